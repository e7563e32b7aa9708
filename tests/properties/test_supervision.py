"""Laws of the losses against the oracle, the signal's own delays and the next latent."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from draws import generators, on_sphere, orthogonal
from hypothesis import given
from precision import DOUBLE, compiled

from ladder.studies.manifoldformer import supervision

TIME, DIM = 9, 5
fast = {name: compiled(getattr(supervision, name)) for name in ("oracle", "aligned", "gram")}
slopes = {name: compiled(jax.grad(getattr(supervision, name))) for name in fast}


def two(rng):
    return on_sphere(rng, (2, TIME, DIM)).astype(float)


@given(generators)
def test_formulas(rng):
    """Each loss against the oracle equals its formula."""
    z, o = two(rng)
    q, _ = scipy.linalg.orthogonal_procrustes(z, o)
    pairs = [(z[s] @ z[t] - o[s] @ o[t]) ** 2 for s in range(TIME) for t in range(TIME)]
    expected = {"oracle": np.mean((z - o) ** 2), "aligned": np.mean((z @ q - o) ** 2), "gram": np.mean(pairs)}
    with DOUBLE.on():
        for name, value in expected.items():
            np.testing.assert_allclose(fast[name](z, o), value, rtol=1e-11, err_msg=name)


@given(generators)
def test_invariance(rng):
    """``aligned`` and ``gram`` are invariant to a rotation or reflection of the latent, and ``oracle`` is not."""
    z, o = two(rng)
    q = orthogonal(rng, DIM)
    with DOUBLE.on():
        for name in ("aligned", "gram"):
            np.testing.assert_allclose(fast[name](z @ q, o), fast[name](z, o), rtol=1e-11, err_msg=name)
            np.testing.assert_allclose(fast[name](o @ q, o), 0.0, atol=1e-26)
        assert float(fast["oracle"](o, o)) == 0.0
        assert abs(float(fast["oracle"](z @ q, o)) - float(fast["oracle"](z, o))) > 1e-6


@given(generators)
def test_descent(rng):
    """A small step along minus the gradient lowers each loss by the squared length of the gradient."""
    z, o = two(rng)
    with DOUBLE.on():
        for name, slope in slopes.items():
            g, before = slope(z, o), float(fast[name](z, o))
            after = float(fast[name](z - 1e-3 * g, o))
            # To first order by the squared length of the gradient.
            np.testing.assert_allclose(before - after, 1e-3 * np.sum(g**2), rtol=0.05, err_msg=name)


# The signal alone

STEP = 4 * np.pi / 255  # of the core's task
FREQUENCIES = (1, 2, 3, 5, 8)


def tones(rng, time):
    """Draw three tones of falling amplitude in three channels, and their state, a unit vector that weights all alike."""
    t, start = STEP * np.arange(time)[:, None], rng.uniform(0, 2 * np.pi, size=3)
    angle = np.array(rng.permutation(FREQUENCIES)[:3]) * t + start
    signal = np.sin(angle[:, None] + np.arange(3)[:, None]) @ np.array([1.0, 0.5, 0.25])
    return signal, np.concatenate([np.sin(angle), np.cos(angle)], axis=-1) / np.sqrt(3)


delays = compiled(supervision.delay_gram)


@given(generators)
def test_delay_gram_of_tones(rng):
    """The oracle of three tones has a delay loss near zero, without knowledge of any tone; the signal itself does not."""
    signal, state = tones(rng, 255)
    with DOUBLE.on():
        actual = float(delays(state, signal))
        turned = float(delays(state @ orthogonal(rng, 6), signal))
    assert actual < 0.02  # of a thousand draws the median is 0.0005 and the largest 0.012
    np.testing.assert_allclose(turned, actual, rtol=1e-8)
    plain = signal / np.linalg.norm(signal, axis=-1, keepdims=True)
    with DOUBLE.on():
        assert float(delays(plain, signal)) > 10 * actual


@given(generators)
def test_delay_gram(rng):
    """The delay loss equals its formula with an eigendecomposition."""
    signal, state = tones(rng, 40)
    h = np.array([signal[t - 9 : t + 1].ravel() for t in range(9, 40)])
    values, vectors = np.linalg.eigh(h @ h.T)
    p = (vectors * (values / (values + 1e-5 * values.sum()))) @ vectors.T
    size = np.sqrt(np.diag(p))
    expected = np.mean((state[9:] @ state[9:].T - p / size / size[:, None]) ** 2)
    with DOUBLE.on():
        np.testing.assert_allclose(delays(state, signal), expected, rtol=1e-6)  # 40 samples: a quarter of them


def test_delay_gram_limits():
    """A silent signal has a finite delay loss, and an impossible number of delays raises an error."""
    z = jnp.asarray(on_sphere(np.random.default_rng(0), (8, DIM)), jnp.float32)
    assert np.isfinite(delays(z, np.zeros((8, 2), np.float32)))
    for wrong in (0, 8):
        with pytest.raises(ValueError, match=f"delays={wrong}.: choose 1 to 7; the signal has 8 samples"):
            supervision.delay_gram(z, jnp.zeros((8, 2)), delays=wrong)


def test_consistency():
    """The consistency loss is zero if every point is moved to the next, and else its mean squared error."""
    z = on_sphere(np.random.default_rng(0), (TIME, DIM)).astype(np.float32)
    moved = np.roll(z, -1, axis=0)
    moved[-1] = 7.0  # leads beyond the end: nobody knows
    moved, z = jnp.asarray(moved), jnp.asarray(z)
    assert float(supervision.consistency(moved, z)) == 0.0
    np.testing.assert_allclose(supervision.consistency(z, z), np.mean((z[:-1] - z[1:]) ** 2), rtol=1e-5)
    assert float(supervision.consistency(z[:1], z[:1])) == 0.0
