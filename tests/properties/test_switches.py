"""Training with every value of every switch: finite metrics of the declared names, and no unused parameter."""

import jax
import numpy as np
import pytest
from precision import QUICK

from ladder.studies.manifoldformer import (
    MINIMAL,
    Annealed,
    Causal,
    Coupling,
    Dynamic,
    Fixed,
    Flow,
    Learned,
    Memory,
    Model,
    Oscillators,
    Pointwise,
    Refine,
    Residual,
    Signals,
    Static,
)

EPOCHS = 2


def small(data=(), model=(), **more):
    """Return a small experiment with two steps per epoch."""
    sphere = {"encoder": Pointwise(features=6), "latent": "sphere", "latent_dim": 6, "decoder": 5}
    return Oscillators(
        data=Signals(**({"length": 8, "batches": 1} | dict(data))),
        model=Model(**(sphere | dict(model))),
        **({"epochs": EPOCHS, "batch_size": 32} | more),
    )


def flowing(**config):
    return small({}, {"dynamics": Flow(**config)})


FROZEN = Memory(kernel="power law", trained=False, projection=True)
PROJECTIONS = Coupling(between="projections", lag="none")
EXPERIMENTS = {
    "patch A": small({}, {"latent": "euclidean"}, shuffle=True, optimiser="sgd", schedule="cosine"),
    "three tones": small(
        {"tones": 3, "noise": 0.1},
        {"fourier_branch": True},
        task="next step",
        loss="fractional + entropy",
        during="before",
    ),
    "causal": small({}, {"encoder": Causal(features=4)}, loss="spectral", during="after"),
    "dilated, fixed": small(
        {},
        {
            "encoder": Causal(features=4, taps=2, dilations=(1, 2), residual=True),
            "latent": "euclidean",
            "sampling": Fixed(sigma=0.1),
        },
        loss="phase + mse + kl",
    ),
    "annealed, static": small(
        {},
        {"sampling": Annealed(start=0.2, end=0.0), "alignment": Static()},
        loss="mse + gram + 0.1 isometry + magnitude_entropy",
    ),
    "learned, mean": small(
        {},
        {"sampling": Learned(), "alignment": Dynamic(features=4)},
        loss="mse + 0.01 kl + orthogonality",
        optimiser="adamw",
    ),
    "velocity, residual": small(
        {},
        {"alignment": Dynamic(context="velocity", features=4), "dynamics": Residual()},
        loss="mse + 0.1 smoothness + 0.1 decorrelation",
        task="next step",  # of these signals the last sample is the first, but for the one that is not shown
    ),
    "end points, residual from zero": small(
        {},
        {"alignment": Dynamic(context="end points", features=4), "dynamics": Residual(init="zero")},
        loss="mse + oracle",
    ),
    "flow from zero": flowing(init="zero"),
    "power law": flowing(memory=Memory(kernel="power law", taps=3), coupling=None, drift=True),
    "minimal": small({}, {"dynamics": MINIMAL}, loss="mse + reconstruction"),
    "frozen from zero": flowing(
        memory=FROZEN, coupling=PROJECTIONS, init="zero", integrator="euler", substeps=2, step=0.5
    ),
    "refined": small({}, {}, loss="procrustes + mse", refine=Refine(after=1, loss="spectral")),
    "everything": small(
        {"noise": 0.1},
        {
            "encoder": Causal(features=4),
            "fourier_branch": True,
            "sampling": Learned(),
            "alignment": Dynamic(context="covariance", features=4),
            "dynamics": Flow(drift=True, memory=FROZEN, coupling=PROJECTIONS, init="zero"),
        },
        task="next step",
        loss="log_magnitude + 0.05 entropy + 0.01 kl",
        schedule="cosine",
        optimiser="adamw",
        shuffle=True,
    ),
}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_training(name):
    """Every switch trains: finite metrics of the declared names, and a changed value in every parameter."""
    experiment = EXPERIMENTS[name]

    def train(key):
        fresh = experiment.init(key)
        return fresh, *jax.lax.scan(experiment.epoch, fresh, jax.random.split(key, EPOCHS))

    fresh, state, report = jax.device_get(jax.jit(train, compiler_options=QUICK)(jax.random.key(0)))
    assert {metric for metric, curve in report.items() if curve.ndim == 1} == set(experiment.metrics)
    for what, values in report.items():
        assert np.isfinite(values).all(), what
    assert state.step == EPOCHS * experiment.steps_per_epoch
    groups = {trace.partition("/")[2] for trace in report if trace.startswith("weight/")}
    assert groups >= {"decoder.hidden", "decoder.out", "mean"}
    for group in groups:
        assert report[f"gradient/{group}"].max() > 0.0, group
        assert report[f"update/{group}"].max() > 0.0, group
    # A group may hold a part that learns and one that does not.
    leaves = jax.tree_util.tree_leaves_with_path(state.params)
    for (path, after), before in zip(leaves, jax.tree.leaves(fresh.params), strict=True):
        assert (after != before).any(), jax.tree_util.keystr(path)
