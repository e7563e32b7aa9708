"""Laws of the encoders: each against loops over samples, taps and channels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from draws import generators
from flax import nnx
from hypothesis import given
from precision import DOUBLE, SINGLE, compiled

from ladder.studies.manifoldformer import Causal, Pointwise
from ladder.studies.manifoldformer.encoder import FourierBranch

TIME, CHANNELS = 11, 3
PLAIN = Causal(features=4, taps=3, dilations=(1, 2))
RESIDUAL = Causal(features=4, taps=2, dilations=(1, 2, 3), residual=True)
DEEP = Causal(features=2, taps=1, dilations=(4,))
ENCODERS = [PLAIN, RESIDUAL, DEEP, Causal(features=2, taps=5)]
causal = pytest.mark.parametrize("config", ENCODERS, ids=repr)


def encoder(config):
    """Return the call of a fresh encoder with non-zero biases, which returns features, kernels and biases."""

    def call(x):
        built = config.build(CHANNELS, nnx.Rngs(0))
        for n, layer in enumerate(built.layers):
            layer.bias.set_value(0.1 * jnp.arange(1.0, config.features + 1) - 0.1 * n)
        return built(x), [(layer.kernel[...], layer.bias[...]) for layer in built.layers]

    return compiled(call)


encoded = {config: encoder(config) for config in ENCODERS}


def convolved(x, kernel, bias, dilation):
    """Convolve one term at a time."""
    y = np.tile(bias, (len(x), 1)).astype(float)
    for t in range(len(x)):
        for s in range(len(kernel)):
            if t - s * dilation >= 0:
                y[t] += x[t - s * dilation] @ kernel[s]
    return y


@causal
@given(generators)
def test_causal_encoder(config, rng):
    """A causal encoder is a sequence of convolutions, each followed by a ReLU and, from the second on, optionally residual."""
    x = SINGLE.round(rng.normal(size=(TIME, CHANNELS)))
    actual, layers = encoded[config](x)
    expected = x.astype(float)
    for n, ((kernel, bias), dilation) in enumerate(zip(layers, config.dilations, strict=True)):
        assert kernel.shape == (config.taps, CHANNELS if n == 0 else config.features, config.features)
        h = np.maximum(convolved(expected, kernel.astype(float), bias.astype(float), dilation), 0)
        expected = expected + h if config.residual and n else h
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-5)


@causal
def test_receptive_field(config):
    """A feature has a gradient in exactly its receptive field; with positive kernels no ReLU hides a sample."""

    def last(x):
        encoder = config.build(CHANNELS, nnx.Rngs(0))
        for layer in encoder.layers:
            layer.kernel.set_value(jnp.abs(layer.kernel[...]))
        return jnp.sum(encoder(x)[-1])

    time = config.receptive_field + 3
    felt = np.flatnonzero(compiled(jax.grad(last))(np.ones((time, CHANNELS), np.float32)).any(axis=-1))
    oldest = time - config.receptive_field
    assert felt.min() == oldest
    assert felt.max() == time - 1


def test_published_receptive_field():
    """The published encoder has a receptive field of 9 samples, and the pointwise one of 1."""
    assert Causal().receptive_field == 9
    assert Pointwise().receptive_field == 1
    assert RESIDUAL.receptive_field == 1 + 1 + 2 + 3


def test_initialisation():
    """Initial kernels are LeCun-normal, and initial biases zero."""
    wide = nnx.jit(lambda: Causal(features=50, taps=4, dilations=(1, 1)).build(100, nnx.Rngs(0)))()
    for layer, fan_in in zip(wide.layers, (400, 200), strict=True):
        assert float(jnp.std(layer.kernel[...])) == pytest.approx(fan_in**-0.5, rel=0.04)
        assert not layer.bias[...].any()


def fourier(x, kernel, bias):
    """Compute the branch by the definition of the discrete Fourier transform of ``TIME`` samples."""
    padded = np.pad(x, ((0, TIME - len(x)), (0, 0)))
    bins, t = np.arange(TIME // 2 + 1), np.arange(TIME)
    size = np.abs(np.exp(-2j * np.pi * np.outer(bins, t) / TIME) @ padded) / TIME
    return size.reshape(1, -1) @ kernel.astype(float) + bias


@compiled
def branched(x):
    branch = FourierBranch(TIME, CHANNELS, 4, nnx.Rngs(0))
    branch.out.bias.set_value(jnp.arange(4.0))
    return branch(x), branch.out.kernel[...], branch.out.bias[...]


@pytest.mark.parametrize("time", [TIME, TIME - 1, 1])
@given(generators)
def test_fourier_branch(time, rng):
    """The Fourier branch is a Dense of the magnitudes of all bins, padded with zeros."""
    x = SINGLE.round(rng.normal(size=(time, CHANNELS)))
    actual, kernel, bias = branched(x)
    assert actual.shape == (1, 4)
    np.testing.assert_allclose(actual, fourier(x, kernel, bias), rtol=0, atol=1e-5)


def test_fourier_branch_length():
    """A sequence longer than the branch was built for raises an error."""
    branch = FourierBranch(TIME, CHANNELS, 4, nnx.Rngs(0))
    with pytest.raises(ValueError, match="built for 11 samples, not 12"):
        branch(jnp.zeros((TIME + 1, CHANNELS)))


def test_fourier_branch_silence():
    """At silence the gradient of the Fourier branch is zero, whatever it is multiplied by, and near silence it is finite."""
    slope = compiled(jax.grad(lambda x, much: much * jnp.sum(branched.__wrapped__(x)[0])))
    np.testing.assert_array_equal(slope(jnp.zeros((TIME, CHANNELS)), 1e35), 0.0)
    assert np.isfinite(slope(jnp.full((TIME, CHANNELS), 1e-30), 1.0)).all()


def test_tone_bin():
    """A tone of whole periods has its magnitude in its own bin alone."""
    branch = FourierBranch(8, 1, 5, nnx.Rngs(0))
    with DOUBLE.on():
        branch.out.kernel.set_value(jnp.eye(5))
        branch.out.bias.set_value(jnp.zeros(5))
        actual = branch(jnp.asarray(2.0 * np.cos(2 * np.pi * 3 * np.arange(8) / 8))[:, None])
    np.testing.assert_allclose(actual[0], [0, 0, 0, 1, 0], rtol=0, atol=1e-12)
