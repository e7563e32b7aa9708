"""The original implementation's choices, its listed issues and its listed fixes, as changes of the recipe.

Each is one component of an ``Overfit``, given by its dotted path and its value in the original, so each can be turned on
alone. Issues 2 and 6 are the same, and so are their fixes: the mean is the sum over B N.
"""

from dataclasses import replace
from typing import Any

from ladder.studies.purefep.experiments import Overfit
from ladder.studies.purefep.learning import Discriminative, FreeEnergy
from ladder.studies.purefep.model import Model

Switch = tuple[str, Any]

ISSUES: dict[int, Switch] = {
    1: ("learning.decode", Discriminative(0.01, contrastive=False)),
    2: ("model.observation", "sum/(B N)"),
    3: ("learning.lag", 1),
    4: ("learning.decode", Discriminative(0.5, contrastive=False)),
    5: ("model.prior", "position"),
    6: ("model.observation", "sum/(B N)"),
    7: ("model.natural", False),
}
"""The listed issues by number. Issue 7 blames the natural gradient: its switch turns the natural gradient off."""

FIXES: dict[int, Switch] = {
    1: ("learning.decode", Discriminative(0.5, contrastive=False)),
    2: ("model.observation", "mean"),
    3: ("learning.decode", Discriminative(0.5, contrastive=True)),
    4: ("model.lambda_obs", 10.0),
}
"""The listed fixes by number.

The fourth applied fix only logs gradients, which is always done; the entry is the fourth recommended one.
"""

DEFAULTS: dict[str, Switch] = {
    "two layers": ("model.layers", 2),
    "weak prior": ("model.alpha", 0.1),
    "weak alignment": ("model.lambda_beta", 1.0),
    "sharp attention": ("model.kappa", 0.1),
    "self-attention": ("model.self_attention", True),
    "no frames": ("model.frames", "identity"),
    "tied banks": ("model.banks", "tied"),
    "one variance per direction": ("model.covariance", "diagonal"),
    "rate of variances": ("model.variance_rate", 0.025),
    "rate of priors": ("learning.prior_rate", 0.01),
    "targets visible": ("learning.phases", "visible"),
    "one step of inference in evaluation": ("evaluation_steps", 1),
}

_ARCHITECTURE: dict[str, Any] = {
    path.removeprefix("model."): value for path, value in DEFAULTS.values() if path.startswith("model.")
}

_LEARNING = FreeEnergy(phases="visible", prior_rate=0.01, decode=Discriminative(0.01, contrastive=False))

ORIGINAL = Overfit(
    model=Model(prior="position", observation="sum/(B N)", **_ARCHITECTURE),
    learning=_LEARNING,
    evaluation_steps=1,
)
"""The original implementation with all its choices, on the batch of the overfit test."""

FIXED = replace(
    ORIGINAL,
    model=replace(ORIGINAL.model, observation="sum", lambda_obs=10.0),
    learning=replace(_LEARNING, decode=Discriminative(0.5, contrastive=True)),
)
"""The original with every fix.

The second fix is its option A, no division, because the mean that was applied changes nothing.
"""
