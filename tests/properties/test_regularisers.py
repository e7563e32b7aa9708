"""Laws of the regularisers, each formula against one written by hand."""

from itertools import pairwise

import jax.numpy as jnp
import numpy as np
import pytest
from draws import generators, on_sphere, orthogonal, without_empty_bins
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from precision import DOUBLE, compiled, precisions

from ladder.studies.manifoldformer import regularisers
from ladder.studies.manifoldformer.losses import EPSILON

TIME, DIM = 16, 2
BINS = TIME // 2 + 1
entropy = compiled(regularisers.spectral_entropy, static_argnames="spectrum")
fast = {
    name: compiled(getattr(regularisers, name))
    for name in ("kl", "isometry", "smoothness", "decorrelation", "orthogonality")
}
signals = arrays(np.float64, (TIME, DIM), elements=st.floats(-1e15, 1e15, allow_subnormal=False))


def signal(rng, low=1.0):
    return without_empty_bins(rng, (3, TIME, DIM), low)


POWERS = ("power", "magnitude")


@pytest.mark.parametrize("of", POWERS)
@precisions
@given(signals)
def test_entropy_range(precision, of, z):
    """The entropy is between zero and the logarithm of the number of bins."""
    with precision.on():
        actual = float(entropy(precision.round(z), spectrum=of))
    slack = 2 * EPSILON + 4 * BINS * precision.unit
    assert -slack <= actual <= np.log(BINS) + slack


@pytest.mark.parametrize("of", POWERS)
@pytest.mark.parametrize("full", [1, 2, 5])
@given(generators)
def test_entropy_of_equal_bins(of, full, rng):
    """The entropy of equal bins is the logarithm of their number."""
    spectrum = np.zeros((BINS, 1), complex)
    spectrum[1 : full + 1] = np.exp(1j * rng.uniform(0, 2 * np.pi, size=(full, 1)))
    with DOUBLE.on():
        actual = float(entropy(np.fft.irfft(spectrum, TIME, axis=0), spectrum=of))
    assert actual == pytest.approx(np.log(full), abs=(full + BINS) * 4 * EPSILON)


@pytest.mark.parametrize("of", POWERS)
@given(generators)
def test_entropy(of, rng):
    """The entropy equals its formula, is invariant to scale and shift, and is lower for power than for magnitude."""
    z = signal(rng, 0.1)
    size = np.abs(np.fft.rfft(z, axis=-2)) ** (2 if of == "power" else 1)
    share = size / size.sum(axis=-2, keepdims=True)
    with DOUBLE.on():
        actual, power = entropy(z, spectrum=of), entropy(z)
        louder, turned = entropy(1e3 * z, spectrum=of), entropy(np.roll(z, 5, axis=-2), spectrum=of)
    limit = BINS * 4 * EPSILON
    np.testing.assert_allclose(actual, -np.sum(share * np.log(share), axis=-2).mean(axis=-1), rtol=0, atol=limit)
    np.testing.assert_allclose(louder, actual, rtol=0, atol=limit)
    np.testing.assert_allclose(turned, actual, rtol=0, atol=limit)
    assert (np.asarray(power) <= np.asarray(actual)).all()


def test_entropy_of_silence():
    """The entropy of a silent latent is zero."""
    for of in POWERS:
        assert float(entropy(jnp.zeros((TIME, 2)), spectrum=of)) == 0.0


@pytest.mark.ill_typed
def test_invalid_spectrum():
    """Another kind of spectrum raises an error with its value."""
    with pytest.raises(ValueError, match=r"spectrum='energy'.*'power' or 'magnitude'"):
        regularisers.spectral_entropy(jnp.ones((4, 1)), spectrum="energy")


@given(generators)
def test_kl(rng):
    """The KL divergence equals its integral on a grid of 10 standard deviations."""
    mean, sigma = rng.normal(size=(5, 3)), rng.uniform(0.3, 1.5, size=(5, 3))
    u = np.linspace(-10, 10, 4001)
    x = mean[..., None] + sigma[..., None] * u
    log_p = -0.5 * u**2 - np.log(sigma[..., None]) - 0.5 * np.log(2 * np.pi)
    log_q = -0.5 * x**2 - 0.5 * np.log(2 * np.pi)
    integral = np.trapezoid(np.exp(log_p) * (log_p - log_q), x, axis=-1)
    with DOUBLE.on():
        actual = fast["kl"](mean, sigma)
        nothing = fast["kl"](np.zeros((5, 3)), np.ones((5, 3)))
    np.testing.assert_allclose(actual, integral.sum(axis=-1).mean(), rtol=1e-9)
    assert float(nothing) == 0.0


@given(generators)
def test_kl_on_the_sphere(rng):
    """On the sphere the KL divergence does not depend on the mean."""
    sigma = rng.uniform(0.3, 1.5, size=(5, 4))
    one, other = on_sphere(rng, (2, 5, 4)).astype(float)
    with DOUBLE.on():
        assert float(fast["kl"](one, sigma)) == pytest.approx(float(fast["kl"](other, sigma)), rel=1e-12)
        np.testing.assert_allclose(fast["kl"](one, np.ones((5, 4))), 0.5, rtol=1e-12)


@given(generators)
def test_isometry(rng):
    """The isometry is the share of squared distances that no scale explains: invariant to rotation, scale and shift."""
    z, x = rng.normal(size=(6, 3)), rng.normal(size=(6, 4))
    a, b = (np.array([[np.sum((p - q) ** 2) for p in points] for q in points]) for points in (z, x))
    scale = np.sum(a * b) / np.sum(a * a)  # least squares
    share = np.sum((b - scale * a) ** 2) / np.sum(b * b)
    with DOUBLE.on():
        actual = float(fast["isometry"](z, x))
        moved = float(fast["isometry"](3.0 * z @ orthogonal(rng, 3) + 1.0, x))
        itself = float(fast["isometry"](0.1 * x @ orthogonal(rng, 4) - 2.0, x))
    assert actual == pytest.approx(share, abs=1e-8)
    assert moved == pytest.approx(actual, abs=1e-8)
    assert itself == pytest.approx(0.0, abs=1e-8)
    assert 0.01 < actual <= 1.0


def test_smoothness_of_one_sample():
    """The smoothness of a single sample is zero."""
    assert float(regularisers.smoothness(jnp.ones((1, 3)))) == 0.0


@given(generators)
def test_formulas(rng):
    """Smoothness, decorrelation and orthogonality equal their formulas as loops."""
    z, m = rng.normal(size=(7, 3)), rng.normal(size=(3, 3))
    steps = [np.sum((b - a) ** 2) for a, b in pairwise(z)]
    covariance = np.cov(z.T, bias=True)
    off = sum(covariance[i, j] ** 2 for i in range(3) for j in range(3) if i != j)
    with DOUBLE.on():
        actual = {name: float(fast[name](z)) for name in ("smoothness", "decorrelation")}
        shifted = float(fast["decorrelation"](z + 5.0))
        far, near = float(fast["orthogonality"](m)), float(fast["orthogonality"](orthogonal(rng, 3)))
    assert actual["smoothness"] == pytest.approx(np.mean(steps), rel=1e-12)
    assert actual["decorrelation"] == pytest.approx(off, rel=1e-10)
    assert shifted == pytest.approx(off, rel=1e-8)
    assert far == pytest.approx(np.linalg.norm(m.T @ m - np.eye(3)) ** 2, rel=1e-12)
    assert near == pytest.approx(0.0, abs=1e-25)
