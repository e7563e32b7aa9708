"""The training objective: the grammar of objectives, and the loss that each term stands for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from draws import on_sphere
from precision import compiled

from ladder.studies.manifoldformer import Fixed, Learned, Model, Static, losses, objective, regularisers, supervision
from ladder.studies.manifoldformer.data import Batch
from ladder.studies.manifoldformer.model import Output
from ladder.studies.manifoldformer.objective import TERMS, weights

TIME, DIM, CHANNELS = 5, 4, 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mse", {"mse": 1.0}),
        ("fractional + 0.05 entropy", {"fractional": 1.0, "entropy": 0.05}),
        (" 2*kl+mse ", {"kl": 2.0, "mse": 1.0}),
        ("3 gram + 1e-3 * smoothness + .5 log_magnitude", {"gram": 3.0, "smoothness": 1e-3, "log_magnitude": 0.5}),
        ("1e3 magnitude_entropy", {"magnitude_entropy": 1e3}),
    ],
)
def test_weights(text, expected):
    """An objective is parsed into its terms and weights, in order."""
    assert list(weights(text).items()) == list(expected.items())


def stages(batch):
    """Return an output and a batch with different values in every stage, so that none can be mistaken for another."""
    rng = np.random.default_rng(0)
    points = [on_sphere(rng, (*batch, TIME, DIM)).astype(np.float32) for _ in range(5)]
    signals = [rng.normal(size=(*batch, TIME, CHANNELS)).astype(np.float32) for _ in range(5)]
    sigma = rng.uniform(0.2, 1.0, size=points[0].shape).astype(np.float32)
    turn = (np.eye(DIM) + 0.1 * rng.normal(size=(*batch, DIM, DIM))).astype(np.float32)
    out = Output(points[0], sigma, points[0], points[1], turn, points[2], points[3], signals[0], signals[1])
    return out, Batch(signals[2], signals[3], signals[4], points[4])


EXPECTED = {
    "mse": lambda o, b: losses.mse(o.signal, b.target),
    "reconstruction": lambda o, b: losses.mse(o.reconstruction, b.clean),
    "log_magnitude": lambda o, b: losses.log_magnitude(o.signal, b.target),
    "phase": lambda o, b: losses.phase(o.signal, b.target),
    "spectral": lambda o, b: losses.spectral(o.signal, b.target),
    "energy_spectral": lambda o, b: losses.energy_spectral(o.signal, b.target),
    "fractional": lambda o, b: losses.fractional(o.signal, b.target),
    "fractional_magnitude": lambda o, b: losses.fractional_log_magnitude(o.signal, b.target),
    "fractional_phase": lambda o, b: losses.fractional_phase(o.signal, b.target),
    "entropy": lambda o, b: regularisers.spectral_entropy(o.moved),
    "magnitude_entropy": lambda o, b: regularisers.spectral_entropy(o.moved, spectrum="magnitude"),
    "kl": lambda o, b: regularisers.kl(o.encoded, o.sigma),
    "isometry": lambda o, b: regularisers.isometry(o.sampled, b.clean),
    "smoothness": lambda o, b: regularisers.smoothness(o.moved),
    "decorrelation": lambda o, b: regularisers.decorrelation(o.moved),
    "orthogonality": lambda o, b: regularisers.orthogonality(o.rotation),
    "oracle": lambda o, b: supervision.oracle(o.sampled, b.oracle),
    "procrustes": lambda o, b: supervision.aligned(o.sampled, b.oracle),
    "gram": lambda o, b: supervision.gram(o.sampled, b.oracle),
    "delay_gram": lambda o, b: supervision.delay_gram(o.sampled, b.clean),
    "consistency": lambda o, b: supervision.consistency(o.moved, o.aligned),
}


@pytest.mark.parametrize("batch", [(), (2,)])
def test_terms(batch):
    """Every term is its loss on the documented stages, one number per sequence."""
    assert set(EXPECTED) == set(TERMS)
    out, data = stages(batch)
    actual = compiled(lambda out, data: objective.evaluate(TERMS, out, data))(out, data)
    expected = compiled(lambda out, data: {name: term(out, data) for name, term in EXPECTED.items()})(out, data)
    assert len({float(value.ravel()[0]) for value in expected.values()}) == len(expected)
    for name, value in expected.items():
        assert actual[name].shape == batch, name
        np.testing.assert_allclose(actual[name], value, rtol=1e-6, atol=1e-7, err_msg=name)


def test_static_orthogonality():
    """The orthogonality of a rotation common to all sequences is the same number for each."""
    out, data = stages((2,))
    one = out._replace(rotation=out.rotation[0])
    actual = TERMS["orthogonality"](one, data)
    np.testing.assert_allclose(actual, np.full(2, regularisers.orthogonality(jnp.asarray(out.rotation[0]))), rtol=1e-6)


@pytest.mark.parametrize(
    ("loss", "model"),
    [
        ("mse + kl", Model(latent="sphere", sampling=Learned())),
        ("mse + kl", Model(sampling=Fixed(sigma=1.0))),
        ("mse + orthogonality", Model(latent="sphere", alignment=Static())),
    ],
)
def test_meaningful_objectives(loss, model):
    """An objective that has a meaning for the model passes the check and is evaluated."""
    objective.check(loss, model)
    actual = weights(loss)

    @compiled
    def evaluated(x):
        out = model.build(TIME, CHANNELS, jax.random.key(0))(x, jax.random.key(1))
        return objective.evaluate(actual, out, Batch(x, x, x, jnp.ones(out.sampled.shape)))

    values = evaluated(np.ones((2, TIME, CHANNELS), np.float32))
    assert {name: value.shape for name, value in values.items()} == dict.fromkeys(actual, (2,))
