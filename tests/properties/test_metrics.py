"""Laws of the metrics of a latent trajectory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from draws import generators, on_sphere, orthogonal, rotation
from hypothesis import given
from precision import DOUBLE, SINGLE, compiled, precisions

from ladder.studies.manifoldformer.metrics import oracle_distance

T, D, RANK = 9, 5, 3
measured = compiled(oracle_distance)
slope = compiled(jax.grad(lambda z, oracle: jnp.sum(oracle_distance(z, oracle))))


def oracle(rng):
    """Draw points of a sphere of fewer dimensions than the space, so that Procrustes' matrix is singular."""
    return np.pad(on_sphere(rng, (T, RANK)), ((0, 0), (0, D - RANK))).astype(float)


@precisions
@given(generators)
def test_invariance(precision, rng):
    """Oracle Distance is invariant to rotations and reflections, and zero for the oracle itself."""
    z, o, q = on_sphere(rng, (T, D)), oracle(rng), orthogonal(rng, D)
    with precision.on():
        plain, turned, both = (measured(*precision.round(*pair)) for pair in ((z, o), (z @ q, o), (z @ q, o @ q.T)))
        itself, aligned = measured(*precision.round(o, o)), measured(*precision.round(o @ q, o))
    # The alignment is orthogonal to 10 d^2 roundings (see test_orthogonal.py), the products are of d; entries are at most 1.
    limit = 20 * D**2 * precision.unit
    for other in (turned, both):
        np.testing.assert_allclose(other, plain, rtol=0, atol=limit)
    for nothing in (itself, aligned):
        assert 0.0 <= float(nothing) <= limit


@given(generators)
def test_definition(rng):
    """Oracle Distance is the RMSE after SciPy's Procrustes, and equals its closed form in singular values."""
    z, o = on_sphere(rng, (2, T, D)).astype(float), np.stack([oracle(rng), oracle(rng)])
    with DOUBLE.on():
        actual = measured(z, o)
    expected = [
        np.sqrt(np.mean((a @ scipy.linalg.orthogonal_procrustes(a, b)[0] - b) ** 2)) for a, b in zip(z, o, strict=True)
    ]
    np.testing.assert_allclose(actual, expected, rtol=1e-12)
    # In closed form: what the singular values of z^T o do not make up for.
    closed = [
        np.sqrt((2 * T - 2 * np.linalg.svd(a.T @ b, compute_uv=False).sum()) / (T * D))
        for a, b in zip(z, o, strict=True)
    ]
    np.testing.assert_allclose(actual, closed, rtol=1e-12)
    assert (actual <= np.sqrt(np.mean((z - o) ** 2, axis=(-2, -1))) + 1e-15).all()


@given(generators)
def test_gradient(rng):
    """The gradient is that of the distance at a constant alignment (the envelope theorem), for an oracle of low rank too."""
    z, o = on_sphere(rng, (T, D)).astype(float), oracle(rng)
    q, _ = scipy.linalg.orthogonal_procrustes(z, o)
    with DOUBLE.on():
        actual, distance = slope(z, o), float(measured(z, o))
    np.testing.assert_allclose(actual, (z - o @ q.T) / (T * D * distance), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["itself", "rotated", "constant", "one spike", "nothing"])
@given(generators)
def test_finite_gradient(name, rng):
    """In float32 the gradient is finite, also where the distance is zero."""
    o = oracle(rng)
    z = {
        "itself": o,
        "rotated": o @ rotation(rng, D),
        "constant": np.tile(o[:1], (T, 1)),
        "one spike": np.where(np.arange(T)[:, None] == 3, o, 0.0),
        "nothing": np.zeros_like(o),
    }[name]
    assert np.isfinite(slope(*SINGLE.round(z, o))).all()
