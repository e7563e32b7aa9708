"""Rung 7: PureFEP memorises one batch by minimising free energy; evaluations hide the targets.

An epoch is ten training steps. The controls are the choices and the listed fixes of the original, each alone, and the ways to
pass such a test without learning.
"""

from dataclasses import replace

import pytest

from ladder import Control, Floor, Rung, above, below
from ladder.studies.purefep import Chasing, Discriminative, FreeEnergy, Overfit
from ladder.studies.purefep.original import FIXED, ORIGINAL

LEARNED = 30  # epochs, that is 300 steps


CERTAIN = Floor(0.0, "in a single batch the next token is certain")


def gates(by, source):
    return (
        below("cross_entropy", 0.05, by=by, source=source, floor=CERTAIN),
        above("accuracy", 1 - 1 / 64, by=by, source="all 32 predictions right"),
        above("separation", 3.0, by=by, source="the source says 'token priors visibly separate'; the number is ours"),
    )


RATIO = (
    above("ce_kl", 1.0, by=1, source="a healthy ratio is 1 to 10 while learning (FEP-8)"),
    above("ce_kl", 0.1, by=1, source="below 0.1 learning fails (FEP-8)"),
)
OVERFIT = Rung(
    number=7,
    name="PureFEP overfit",
    claim="Free energy alone learns one batch and keeps it to step 1000. The gradient ratio detects a divided observation "
    "term, which starts near 0.05. It cannot tell learning from failing: it falls to zero when all is learned, and stays at "
    "1 if beliefs do not attend to each other.",
    experiment=Overfit(),
    gates=gates(LEARNED, "the source says 'train loss to 0': from step 300 to step 1000"),
    goals=(*gates(10, "the source allows 100 steps"), *RATIO),
)
BRIEF = replace(
    OVERFIT,
    variant="300-steps",
    claim="300 steps are enough to learn; the controls differ from this rung in one component.",
    experiment=Overfit(epochs=LEARNED),
    parent="rung7",
    adds="epochs",
    goals=RATIO,
    compare={"cross_entropy": "not published"},
)
FASTER = replace(
    BRIEF,
    variant="300-steps-faster",
    claim="At twice the rate of the encoding priors 100 steps suffice, but some seeds lose a token again before step 1000.",
    experiment=Overfit(epochs=LEARNED, learning=FreeEnergy(prior_rate=0.3)),
    parent=BRIEF,
    adds="learning.prior_rate",
    gates=(),
    goals=gates(10, "the source allows 100 steps"),
)
WHOLE = [
    Rung(
        number=7,
        name=f"PureFEP, the original{what}",
        variant=f"original{what.replace(' ', '-')}",
        claim="With targets visible in every step of inference the original looks as if it learned.",
        experiment=replace(experiment, epochs=LEARNED),
        goals=(
            *gates(LEARNED, "the limits of rung 7, targets hidden"),
            below(
                "visible_cross_entropy", 0.05, by=LEARNED, source="the limit of rung 7, targets visible", floor=CERTAIN
            ),
        ),
    )
    for what, experiment in {"": ORIGINAL, " with every fix": FIXED}.items()
]


def control(label, why, **change):
    return BRIEF.as_control(Control(why, each_gate_fails=False), label=label, goals=RATIO, **change)


RESERVOIR = "honesty: with frozen encoding priors only the decode bank learns, from beliefs that are not trained"
SELF_ATTENTION = control(
    "self-attention", "the original: a belief that attends to itself needs no others", **{"model.self_attention": True}
)
CONTROLS = [
    control("impossible", "honesty: two sequences share their first token, and differ in what follows", first="shared"),
    control("reservoir", RESERVOIR, **{"learning.prior_rate": 0.0}),
    control("divided", "divided by B N, the observation is ignored (FEP-2)", **{"model.observation": "sum/(B N)"}),
    control("no-attraction", "repulsion alone cannot learn (FEP-4)", **{"learning.decode.attraction": False}),
    control("no-repulsion", "without repulsion priors collapse (FEP-4)", **{"learning.decode.repulsion": False}),
    control("chasing", "chasing beliefs alone collapses the priors (FEP-4)", **{"learning.decode": Chasing()}),
    control("no-alignment", "without alignment a belief depends on its own token alone", **{"model.lambda_beta": 0.0}),
    control(
        "position-prior", "the self-coupling prior does not depend on the token (FEP-5)", **{"model.prior": "position"}
    ),
    SELF_ATTENTION,
    SELF_ATTENTION.as_control(
        Control("the original", each_gate_fails=False), label="kappa=0.1", goals=RATIO, **{"model.kappa": 0.1}
    ),
    *(
        control(
            f"discriminative={multiplier}",
            "the discriminative rule alone fails at each rate of the published sweep (FEP-1)",
            **{"learning.decode": Discriminative(multiplier, contrastive=False)},
        )
        for multiplier in (0.01, 0.1, 0.5, 1.0)
    ),
]


SLOW = [pytest.param(rung, marks=pytest.mark.slow) for rung in [BRIEF, FASTER, *WHOLE, *CONTROLS]]


@pytest.mark.parametrize("rung", [OVERFIT, *SLOW])
def test_purefep_overfit(climb, rung):
    climb(rung)
