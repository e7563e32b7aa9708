"""Finite gradients: of every loss, through every rung's model, for any signal."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from precision import SINGLE, compiled

from ladder.studies.geometry.sphere import normalise
from ladder.studies.manifoldformer import (
    MINIMAL,
    Causal,
    Coupling,
    Dynamic,
    Flow,
    Learned,
    Memory,
    Model,
    Residual,
    Static,
    losses,
    regularisers,
    supervision,
)
from ladder.studies.manifoldformer.coupling import order_parameter
from ladder.studies.manifoldformer.data import CHANNELS
from ladder.studies.manifoldformer.metrics import oracle_distance

TIME = 16
FRACTIONAL = Memory(kernel="power law", trained=False, projection=True)
MODELS = {
    "model.identity": Model(),
    "model.sphere": Model(latent="sphere"),
    "model.switches": Model(
        encoder=Causal(features=8),
        fourier_branch=True,
        latent="sphere",
        sampling=Learned(),
        alignment=Static(),
        dynamics=MINIMAL,
    ),
    "alignment.dynamic": Model(latent="sphere", alignment=Dynamic(context="velocity", features=8)),
    "dynamics.residual": Model(latent="sphere", dynamics=Residual()),
    "dynamics.full": Model(latent="sphere", dynamics=Flow()),
    "dynamics.full-zero": Model(latent="sphere", dynamics=Flow(init="zero")),
    "dynamics.projections": Model(
        latent="sphere", dynamics=Flow(memory=FRACTIONAL, coupling=Coupling(between="projections", lag="none"))
    ),
}


def of_signal(loss):
    return lambda out, target, oracle: loss(out.signal, target)


# By the module they are in.
LOSSES = {
    "losses.*": [
        of_signal(losses.mse),
        of_signal(losses.log_magnitude),
        of_signal(losses.phase),
        of_signal(losses.spectral),
        of_signal(losses.energy_spectral),
        of_signal(losses.fractional),
    ],
    "regularisers.*": [
        lambda out, target, oracle: regularisers.spectral_entropy(out.moved),
        lambda out, target, oracle: regularisers.spectral_entropy(out.moved, spectrum="magnitude"),
        lambda out, target, oracle: regularisers.smoothness(out.moved),
        lambda out, target, oracle: regularisers.decorrelation(normalise(out.moved)),
        lambda out, target, oracle: regularisers.isometry(normalise(out.sampled), oracle),
    ],
    "supervision.*": [
        lambda out, target, oracle: supervision.oracle(out.sampled, oracle),
        lambda out, target, oracle: supervision.aligned(out.sampled, oracle),
        lambda out, target, oracle: supervision.gram(normalise(out.sampled), oracle),
        lambda out, target, oracle: supervision.delay_gram(normalise(out.sampled), target),
        lambda out, target, oracle: supervision.consistency(out.moved, out.sampled),
    ],
    "metrics.*": [lambda out, target, oracle: oracle_distance(out.encoded, oracle)],
    "coupling.*": [lambda out, target, oracle: order_parameter(out.moved)],
}


def values_and_slopes(losses):
    """Return the values of all losses, stacked, and their gradients in the model's output."""
    return compiled(
        lambda *args: jax.tree.map(lambda *g: jnp.stack(g), *[jax.value_and_grad(f)(*args) for f in losses])
    )


of_output = {name: values_and_slopes(group) for name, group in LOSSES.items()}


def through(model):
    """Return a fresh model's parameters, its forward pass, and the pull-back of gradients to parameters and input."""

    def built(key):
        return model.build(TIME, CHANNELS, key)

    graph = nnx.split(nnx.eval_shape(lambda: built(jax.random.key(0))))[0]

    def forward(params, x):
        return nnx.merge(graph, params)(x, jax.random.key(0))

    fresh = compiled(lambda key: nnx.split(built(key))[1])
    return fresh, compiled(forward), compiled(lambda params, x, g: jax.vmap(jax.vjp(forward, params, x)[1])(g))


of_model = {name: through(model) for name, model in MODELS.items()}

SHAPES = {
    "silence": lambda rng: np.zeros((TIME, CHANNELS)),
    "a constant": lambda rng: np.ones((TIME, CHANNELS)),
    "a spike": lambda rng: np.eye(TIME, CHANNELS)[rng.permutation(TIME)] * (np.arange(CHANNELS) == 3),
    "repeated rows": lambda rng: np.repeat(rng.normal(size=(2, CHANNELS)), TIME // 2, axis=0),
    "equal channels": lambda rng: np.tile(rng.normal(size=(TIME, 1)), CHANNELS),
    "one tone": lambda rng: np.sin(2 * np.pi * np.arange(TIME)[:, None] / TIME + np.arange(CHANNELS)),
    "noise": lambda rng: rng.normal(size=(TIME, CHANNELS)),
}
scales = st.sampled_from([1e-37, 1e-20, 1e-8, 1e-3, 1.0, 1e3, 1e8, 1e15])


@st.composite
def signals(draw):
    if draw(st.integers(0, 3)) == 0:  # anything
        columns = draw(arrays(np.float64, (TIME, 2), elements=st.floats(-1e15, 1e15, allow_subnormal=False)))
        return np.tile(columns, CHANNELS // 2)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return draw(scales) * SHAPES[draw(st.sampled_from(sorted(SHAPES)))](rng)


@pytest.mark.parametrize("group", LOSSES)
@pytest.mark.parametrize("model", MODELS)
@given(st.data())
def test_finite_gradients(model, group, data):
    """In float32 every loss of every model has a finite value and gradient, for silent, degenerate and extreme signals."""
    x, y = SINGLE.round(data.draw(signals()), data.draw(signals()))
    target = data.draw(st.sampled_from([x, y]), label="target")
    fresh, forward, pulled_back = of_model[model]
    params = fresh(jax.random.key(data.draw(st.integers(0, 2**31))))
    out = forward(params, x)
    oracle = normalise(jnp.asarray(y / (np.abs(y).max() or 1.0)))  # on the sphere, or silent: it has no scale
    value, slope = of_output[group](out, target, oracle)
    for leaf in jax.tree.leaves((out, value, slope, pulled_back(params, x, at_most_one(slope)))):
        assert np.isfinite(leaf).all()


def at_most_one(slope):
    """Scale gradients to at most 1 before the pull-back, which is linear: a loss of 1e15 may overflow, but not in the model."""
    leaves = [np.abs(leaf).reshape(len(leaf), -1).max(axis=1) for leaf in jax.tree.leaves(slope)]
    largest = np.maximum(np.max(leaves, axis=0), 1.0)
    return jax.tree.map(lambda leaf: leaf / largest.reshape(-1, *[1] * (leaf.ndim - 1)), slope)
