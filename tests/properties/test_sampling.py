"""Laws of the noise on the latent: its direction, its size and its schedule."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from draws import generators, inner, norm, on_sphere
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st
from precision import DOUBLE, compiled

from ladder.studies.manifoldformer import Annealed, Fixed, Learned, Model
from ladder.studies.manifoldformer.sampling import MIN_SIGMA, Spread, draw

TIME, DIM = 7, 4
drawn = compiled(draw, static_argnames="latent")
FIXED, ANNEALED = Fixed(sigma=0.3), Annealed(start=0.5, end=0.1)


@given(generators)
def test_draw(rng):
    """A draw is the mean plus ``sigma e``; on the sphere, the exponential map of its tangent part."""
    mean = np.asarray(on_sphere(rng, (3, TIME, DIM)), float)
    sigma, key = rng.uniform(0.01, 2.0, size=mean.shape), jax.random.key(rng.integers(2**31))
    with DOUBLE.on():
        point, step = drawn(mean, sigma, key, latent="sphere")
        flat, flat_step = drawn(mean, sigma, key, latent="euclidean")
        e = np.asarray(jax.random.normal(key, mean.shape))
    np.testing.assert_allclose(flat_step, sigma * e, rtol=1e-12)
    np.testing.assert_allclose(flat, mean + sigma * e, rtol=1e-12)
    np.testing.assert_allclose(inner(step, mean).astype(float), 0.0, atol=1e-13)
    expected = flat_step - inner(flat_step, mean).astype(float)[..., None] * mean
    np.testing.assert_allclose(step, expected, rtol=0, atol=1e-13)
    length = norm(step).astype(float)[..., None]
    np.testing.assert_allclose(point, np.cos(length) * mean + np.sin(length) * step / length, rtol=0, atol=1e-13)


@pytest.mark.parametrize("latent", ["euclidean", "sphere"])
def test_noise_moments(latent):
    """The noise has mean 0, the variance ``sigma^2`` in every coordinate tangent to the sphere, and no correlation.

    There are 40000 draws: the mean is good to 0.5 % of sigma, the variance to 0.7 %, and each limit is five times that.
    """
    sigma = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    mean = np.tile(np.array([1.0, 0, 0, 0], np.float32), (40000, 1))
    _, step = drawn(mean, np.broadcast_to(sigma, mean.shape), jax.random.key(3), latent=latent)
    expected = sigma * ([0, 1, 1, 1] if latent == "sphere" else 1)  # no noise along the mean, on the sphere
    assert (np.abs(step.mean(axis=0)) <= 0.025 * sigma).all()
    np.testing.assert_allclose(step.var(axis=0), expected**2, rtol=0.035, atol=1e-12)
    correlation = np.corrcoef(step[:, 1:].T)
    assert (np.abs(correlation - np.eye(3)) <= 0.025).all()


@given(st.floats(0.0, 1.0))
def test_schedules(progress):
    """Fixed noise is constant, and annealed noise is linear in the progress of training."""
    assert FIXED.at(progress) == 0.3
    assert ANNEALED.at(progress) == pytest.approx(0.5 - 0.4 * progress, abs=1e-12)
    assert ANNEALED.at(0.0) == 0.5
    assert ANNEALED.at(1.0) == pytest.approx(0.1, abs=1e-15)


@compiled
def spread(h):
    built = Spread(3, DIM, nnx.Rngs(0))
    built.out.bias.set_value(jnp.arange(1.0, DIM + 1.0))
    return built(h), built.out.kernel[...], built.out.bias[...]


@given(generators, st.sampled_from([0.1, 10.0, 1e4]))
def test_learned_sigma(rng, scale):
    """The learned sigma is ``softplus(Dense(features)) + 1e-5``."""
    h = (rng.normal(size=(TIME, 3)) * scale).astype(np.float32)
    actual, kernel, bias = spread(h)
    np.testing.assert_allclose(actual, np.logaddexp(0, h @ kernel + bias) + 1e-5, rtol=1e-4)
    assert actual.min() >= np.float32(MIN_SIGMA)


KEY = jax.random.key(1)
X = np.random.default_rng(0).normal(size=(2, TIME, 3)).astype(np.float32)


def outputs(sampling, latent="sphere"):
    """Return a fresh model's output without and with a key, the noise by hand, and the learned sigma."""

    @compiled
    def both(x):
        model = Model(latent=latent, latent_dim=DIM, sampling=sampling).build(TIME, 3, jax.random.key(0))
        noisy = model(x, KEY, 0.25)
        drawn = draw(noisy.encoded, noisy.sigma, KEY, latent) if sampling else None
        return model(x), noisy, drawn, model.spread and model.spread(model.encoder(x))

    return both(X)


@pytest.mark.parametrize("latent", ["euclidean", "sphere"])
@pytest.mark.parametrize("sampling", [None, FIXED, ANNEALED, Learned()], ids=repr)
def test_key(sampling, latent):
    """A model adds noise only if it is given a key, of the sigma of its configuration."""
    still, noisy, drawn, spread = outputs(sampling, latent)
    np.testing.assert_array_equal(still.sampled, still.encoded)
    np.testing.assert_array_equal(noisy.encoded, still.encoded)
    assert still.step is None
    if sampling is None:
        assert noisy.step is None
        assert noisy.sigma is None
        np.testing.assert_array_equal(noisy.signal, still.signal)
        return
    np.testing.assert_allclose(noisy.sampled, drawn[0], rtol=0, atol=1e-6)
    np.testing.assert_allclose(noisy.step, drawn[1], rtol=0, atol=1e-6)
    assert (noisy.sampled != still.sampled).any(axis=-1).all()
    expected = {"Fixed": 0.3, "Annealed": 0.4}.get(type(sampling).__name__)
    if expected:
        np.testing.assert_allclose(noisy.sigma, expected, rtol=1e-6)
    else:
        np.testing.assert_allclose(noisy.sigma, spread, rtol=1e-6)
        assert len(np.unique(noisy.sigma)) > DIM


def test_encoder_initialisation():
    """The encoder's initial values do not depend on the kind of sampling."""
    np.testing.assert_array_equal(outputs(None)[0].signal, outputs(Learned())[0].signal)
