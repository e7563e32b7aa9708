"""Rung 7: PureFEP memorises one batch by minimising free energy, with the targets hidden when it is asked.

An epoch is ten training steps. Its controls are the original's choices and its listed fixes, each alone, and the ways in which
such a test can be passed without learning.
"""

from dataclasses import replace

import pytest

from ladder import Rung, above, below
from ladder.studies.purefep import Chasing, Discriminative, FreeEnergy, Overfit
from ladder.studies.purefep.original import FIXED, ORIGINAL

LEARNED = 30  # epochs, that is 300 steps


CERTAIN = {"floor": 0.0, "floor_source": "in the one batch there is, what comes next is certain"}


def gates(by, source):
    return (
        below("cross_entropy", 0.05, by=by, source=source, **CERTAIN),
        above("accuracy", 1 - 1 / 64, by=by, source="every one of 32 predictions right"),
        above("separation", 3.0, by=by, source="the source's 'token priors visibly separate', made a number"),
    )


RATIO = (
    above("ce_kl", 1.0, by=1, source="FEP-8: a healthy ratio is 1 to 10 while learning"),
    above("ce_kl", 0.1, by=1, source="FEP-8: below 0.1 learning fails"),
)
OVERFIT = Rung(
    number=7,
    name="PureFEP overfit",
    claim="Free energy alone learns one batch and holds it to step 1000. The gradient ratio detects a divided observation "
    "term, which starts out near 0.05. It cannot tell learning from failing: it falls to nothing where all is learned, and "
    "stays at 1 where beliefs talk to no other.",
    experiment=Overfit(),
    gates=gates(LEARNED, "the source's 'train loss to 0', held from step 300 to 1000"),
    goals=(*gates(10, "the source allows 100 steps"), *RATIO),
)
BRIEF = replace(
    OVERFIT,
    variant="300-steps",
    claim="What the controls differ from in one component: 300 steps tell.",
    experiment=Overfit(epochs=LEARNED),
    parent="rung7",
    adds="epochs",
    goals=RATIO,
    compare={"cross_entropy": "not published"},
)
FASTER = replace(
    BRIEF,
    variant="300-steps-faster",
    claim="At twice the rate of the encoding priors 100 steps suffice; but then some seeds lose a token again before step 1000.",
    experiment=Overfit(epochs=LEARNED, learning=FreeEnergy(prior_rate=0.3)),
    parent=BRIEF.id,
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
            *gates(LEARNED, "as of rung 7, targets hidden"),
            below("visible_cross_entropy", 0.05, by=LEARNED, source="the same, targets visible", **CERTAIN),
        ),
    )
    for what, experiment in {"": ORIGINAL, " with every fix": FIXED}.items()
]


def control(label, why, **change):
    return BRIEF.as_control(label=label, why=why, goals=RATIO, each_gate_fails=False, **change)


RESERVOIR = "honesty: with frozen encoding priors only the decode bank learns, from beliefs that nobody shaped"
SELF_ATTENTION = control(
    "self-attention", "the original: a belief that attends to itself needs no other", **{"model.self_attention": True}
)
CONTROLS = [
    control("impossible", "honesty: two sequences share their first token, and differ in what follows", first="shared"),
    control("reservoir", RESERVOIR, **{"learning.prior_rate": 0.0}),
    control("divided", "FEP-2: divided by B N, the observation is ignored", **{"model.observation": "sum/(B N)"}),
    control("no-attraction", "FEP-4: repulsion alone cannot learn", **{"learning.decode.attraction": False}),
    control("no-repulsion", "FEP-4: without repulsion priors collapse", **{"learning.decode.repulsion": False}),
    control("chasing", "FEP-4: chasing beliefs alone collapses the priors", **{"learning.decode": Chasing()}),
    control("no-alignment", "beliefs that talk to no other know only their own token", **{"model.lambda_beta": 0.0}),
    control("position-prior", "FEP-5: the self-coupling prior has no token in it", **{"model.prior": "position"}),
    SELF_ATTENTION,
    SELF_ATTENTION.as_control(
        label="kappa=0.1", why="the original", goals=RATIO, each_gate_fails=False, **{"model.kappa": 0.1}
    ),
    *(
        control(
            f"discriminative={multiplier}",
            "FEP-1: the discriminative rule alone, at each rate of the published sweep",
            **{"learning.decode": Discriminative(multiplier, contrastive=False)},
        )
        for multiplier in (0.01, 0.1, 0.5, 1.0)
    ),
]


SLOW = [pytest.param(rung, marks=pytest.mark.slow) for rung in [BRIEF, FASTER, *WHOLE, *CONTROLS]]


@pytest.mark.parametrize("rung", [OVERFIT, *SLOW])
def test_purefep_overfit(climb, rung):
    climb(rung)
