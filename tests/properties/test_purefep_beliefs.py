"""Laws of Gaussian beliefs and of their transport. ``u`` in a comment is the unit roundoff."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from draws import generators, rotation
from hypothesis import given
from hypothesis import strategies as st
from precision import DOUBLE, compiled, precisions

from ladder.studies.purefep import beliefs, transport
from ladder.studies.purefep.beliefs import Belief

K, TIME = 4, 5

divergence = compiled(lambda *parts: beliefs.divergence(Belief(*parts[:2]), Belief(*parts[2:])))
transported = compiled(
    lambda *parts: transport.transported_divergence(Belief(*parts[:2]), Belief(*parts[2:4]), parts[4])
)
frames, pairs = compiled(transport.frames), compiled(transport.transport)
spreads = pytest.mark.parametrize("spread", [1, K], ids=["isotropic", "diagonal"])


def belief(rng, shape, spread):
    return rng.normal(size=(*shape, K)), rng.uniform(-2, 2, size=(*shape, spread))


def covariance(log_variance):
    return np.diag(np.exp(np.broadcast_to(log_variance, K)))


def full(m, s, n, t):
    """Compute the divergence of Gaussians with any covariances."""
    inverse = np.linalg.inv(t)
    return 0.5 * (
        np.trace(inverse @ s) + (m - n) @ inverse @ (m - n) - K + np.linalg.slogdet(t)[1] - np.linalg.slogdet(s)[1]
    )


@precisions
@spreads
@given(generators, st.floats(-3, 0))
def test_divergence_sign(precision, spread, rng, closeness):
    """The divergence is zero for equal beliefs and positive otherwise."""
    m, v, step, ratio = precision.round(*belief(rng, (3,), spread), *belief(rng, (3,), spread))
    n, w = precision.round(m + 10**closeness * step, v + 10**closeness * ratio)
    with precision.on():
        nothing, something = divergence(m, v, m, v), divergence(m, v, n, w)
    np.testing.assert_array_equal(nothing, 0)
    # At most the mean's part, and at least a quarter of what the variances make at second order: no rounding hides it.
    apart = 0.5 * np.sum((n - m).astype(float) ** 2 * np.exp(-w.astype(float)) + np.zeros((3, K)), axis=-1)
    assert (something >= 0.99 * apart - 100 * K * precision.unit).all()
    assert (something > 0).all()


@spreads
@given(generators)
def test_divergence_formula(spread, rng):
    """The divergence of diagonal covariances equals that of full ones."""
    m, v, n, w = *belief(rng, (), spread), *belief(rng, (), spread)
    with DOUBLE.on():
        actual = divergence(m, v, n, w)
    np.testing.assert_allclose(actual, full(m, covariance(v), n, covariance(w)), rtol=1e-12)


@spreads
@given(generators)
def test_natural_gradient(spread, rng):
    """The natural gradient and the squared length are those of a numerical Fisher matrix."""
    k = 2
    m, v = rng.normal(size=k), rng.uniform(-1, 1, size=min(spread, k))
    g, h = rng.normal(size=k), rng.normal(size=min(spread, k))
    nodes, weights = np.polynomial.hermite_e.hermegauss(8)  # exact for the fourth powers a product of scores has
    points = np.array(list(itertools.product(nodes, repeat=k)))
    weight = np.array([np.prod(w) for w in itertools.product(weights / weights.sum(), repeat=k)])
    with DOUBLE.on():
        score = np.concatenate(scores(m, v, m + np.exp(v / 2) * points), axis=-1)
        fisher = np.einsum("p,pi,pj->ij", weight, score, score)
        natural = compiled(beliefs.natural_gradient)(Belief(m, v), Belief(g, h))
        step = Belief(g, h)
        length = compiled(beliefs.squared_length)(Belief(m, v), step)
    both = np.concatenate([g, h])
    np.testing.assert_allclose(np.concatenate(natural), np.linalg.solve(fisher, both), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(length, both @ fisher @ both, rtol=1e-9)


@compiled
def scores(m, v, points):
    def log_density(m, v, z):
        return -0.5 * jnp.sum((z - m) ** 2 * jnp.exp(-v) + v)

    return jax.vmap(jax.grad(log_density, (0, 1)), (None, None, 0))(m, v, points)


@precisions
@given(generators, st.sampled_from([1e-3, 1.0, 10.0]))
def test_transport(precision, rng, scale):
    """Transports are rotations with ``O_ii = I`` and ``O_ij O_jk = O_ik``."""
    phi = precision.round(scale * rng.normal(size=(TIME, K, K)))
    with precision.on():
        r = frames(phi)
        o = pairs(r)
    limit = 40 * K * (1 + scale) * precision.unit  # the exponential squares as often as its argument must be halved
    eye = np.eye(K)
    np.testing.assert_allclose(o @ np.swapaxes(o, -1, -2), np.broadcast_to(eye, o.shape), rtol=0, atol=limit)
    np.testing.assert_allclose(np.linalg.det(o), 1.0, rtol=0, atol=K * limit)
    np.testing.assert_allclose(o[range(TIME), range(TIME)], np.broadcast_to(eye, (TIME, K, K)), rtol=0, atol=limit)
    np.testing.assert_allclose(
        np.einsum("ijab,jkbc->ijkac", o, o),
        np.broadcast_to(o[:, None], (TIME, TIME, TIME, K, K)),
        rtol=0,
        atol=2 * limit,
    )


@given(generators)
def test_frames(rng):
    """A frame is the exponential of the skew part of ``phi``."""
    phi = rng.normal(size=(K, K))
    with DOUBLE.on():
        actual = frames(phi)
    np.testing.assert_allclose(actual, scipy.linalg.expm((phi - phi.T) / 2), rtol=0, atol=1e-13)


@spreads
@given(generators)
def test_transported_divergence(spread, rng):
    """The transported divergence equals that of full covariances carried as ``O S O^T``."""
    m, v, n, w = *belief(rng, (TIME,), spread), *belief(rng, (TIME,), spread)
    r = np.stack([rotation(rng, K) for _ in range(TIME)])
    with DOUBLE.on():
        actual = transported(m, v, n, w, r)
    for i, j in np.ndindex(TIME, TIME):
        o = r[i] @ r[j].T
        expected = full(m[i], covariance(v[i]), o @ n[j], o @ covariance(w[j]) @ o.T)
        np.testing.assert_allclose(actual[i, j], expected, rtol=1e-11)


@spreads
@given(generators)
def test_gauge_invariance(spread, rng):
    """A change of the common frame, ``R_i -> R_i G``, changes no divergence."""
    m, v, n, w = *belief(rng, (TIME,), spread), *belief(rng, (TIME,), spread)
    r, g = np.stack([rotation(rng, K) for _ in range(TIME)]), rotation(rng, K)
    with DOUBLE.on():
        plain, turned = transported(m, v, n, w, r), transported(m, v, n, w, r @ g)
    np.testing.assert_allclose(turned, plain, rtol=1e-11)
