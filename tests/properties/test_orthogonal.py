"""Laws of the orthogonal group. ``u`` in a comment is the unit roundoff, ``d`` the size of the matrices."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.stats
from draws import generators, rotation
from draws import orthogonal as random_orthogonal
from hypothesis import given
from hypothesis import strategies as st
from jax.test_util import check_grads
from precision import DOUBLE, SINGLE, compiled, precisions
from references import SpecialOrthogonalGroup

from ladder.studies.geometry import orthogonal

D = 4
skew_part = compiled(orthogonal.skew)
cayley = compiled(orthogonal.cayley)
exponential = compiled(orthogonal.exponential)
polar_factor = compiled(orthogonal.polar_factor)
procrustes = compiled(orthogonal.procrustes)
scales = st.floats(-8.0, 3.0).map(lambda power: 10.0**power)


def skew(rng, scale=1.0, d=D):
    """Draw a skew-symmetric matrix of this spectral norm."""
    m = rng.normal(size=(d, d))
    return scale * (m - m.T) / np.linalg.norm(m - m.T, 2)


def size(m):
    return np.linalg.norm(np.asarray(m, np.float64), 2)


@given(generators)
def test_skew(rng):
    """The skew part is skew-symmetric, and the rest is symmetric."""
    m, a = rng.normal(size=(D, D)), skew(rng)
    with DOUBLE.on():
        actual = skew_part(m)
        np.testing.assert_array_equal(skew_part(a), a)
    np.testing.assert_array_equal(actual, -actual.T)
    np.testing.assert_allclose(m - actual, (m - actual).T, rtol=0, atol=4 * DOUBLE.unit * np.abs(m).max())


# The Cayley transform. A solver's answer is off by its condition number, here sqrt(1 + |A|^2), times d roundings or so:
# d for each of d steps of the elimination at most, and as many for the substitution (Higham, "Accuracy and Stability",
# theorem 9.4).


def solver(precision, scale):
    return 3 * D**2 * np.hypot(1.0, scale) * precision.unit


@pytest.mark.parametrize("d", [2, 3, D])
@precisions
@given(generators, scales)
def test_cayley_rotation(precision, d, rng, scale):
    """The Cayley transform is a rotation, and that of ``-A`` its transpose."""
    a = precision.round(skew(rng, scale, d))
    with precision.on():
        c, back = np.asarray(cayley(a), np.float64), cayley(-a)
    limit = solver(precision, scale)
    assert size(c.T @ c - np.eye(d)) <= 2 * limit
    assert abs(np.linalg.det(c) - 1.0) <= D * limit
    assert size(back - c.T) <= 2 * limit


@precisions
@given(generators, scales)
def test_cayley_definition(precision, rng, scale):
    """The Cayley transform is ``(I - A) (I + A)^-1``."""
    a = precision.round(skew(rng, scale)).astype(np.float64)
    with precision.on():
        c = cayley(precision.round(a))
    expected = (np.eye(D) - a) @ np.linalg.inv(np.eye(D) + a)
    assert size(c - expected) <= 2 * solver(precision, scale)


@precisions
@given(generators, st.floats(-8.0, 1.0).map(lambda power: 10.0**power))
def test_cayley_involution(precision, rng, scale):
    """The Cayley transform is its own inverse."""
    a = precision.round(skew(rng, scale))
    with precision.on():
        again = cayley(cayley(a))
    # What the first is off by, times the derivative of the second, (1 + |A|^2) / 2; and the second's own solve.
    limit = solver(precision, scale)
    assert size(again - a) <= (limit * (1 + scale**2) / 2 + limit * (1 + scale)) * 2


@given(generators)
def test_cayley_order(rng):
    """The Cayley transform of ``t A`` differs from ``expm(-2 t A)`` by ``-2/3 (t A)^3`` to third order."""
    a = skew(rng)
    steps = [0.02, 0.01, 0.005]
    with DOUBLE.on():
        gaps = [cayley(t * a) - scipy.linalg.expm(-2 * t * a) for t in steps]
    # I - 2A + 2A^2 - 2A^3 + ... against I - 2A + 2A^2 - (4/3) A^3 + ...; the next terms are 2 A^4 and (2/3) A^4.
    for t, gap in zip(steps, gaps, strict=True):
        np.testing.assert_allclose(gap, -2 / 3 * (t * a) @ (t * a) @ (t * a), rtol=0, atol=1.5 * t**4)
    slope = np.log2(size(gaps[0]) / size(gaps[1]))
    assert slope == pytest.approx(3.0, abs=4 * steps[0])


@precisions
@given(generators, st.floats(-8.0, 1.0).map(lambda power: 10.0**power))
def test_exponential(precision, rng, scale):
    """The exponential is a rotation, and equals SciPy's."""
    a = precision.round(skew(rng, scale))
    with precision.on():
        actual = np.asarray(exponential(a), np.float64)
    # Each squaring doubles what the approximant is off by: some D roundings a product, scale times in all.
    limit = 20 * D * (1 + scale) * precision.unit
    # JAX rounds the number of squarings down, and uses an approximant whose error is of order 27 up to twice as far as is good.
    approximant = 2.0**27 * DOUBLE.unit if scale > 2.0 else 0.0
    assert size(actual - scipy.linalg.expm(a.astype(float))) <= limit + approximant
    assert size(actual.T @ actual - np.eye(D)) <= limit
    assert np.linalg.det(actual) == pytest.approx(1.0, abs=D * limit)


# The polar factor, of a decomposition whose factors are orthogonal to p(d) u, p "a modestly growing function" (LAPACK
# Users' Guide, section 4.9): 10 d^2 here. SciPy's polar factors of matrices of size 4 were measured up to 109 u off.

SVD = 10 * D**2


def singular(values, rng):
    """Draw a matrix with these singular values."""
    left, right = rotation(rng, D), rotation(rng, D)
    return (left * np.asarray(values)) @ right.T


conditions = st.lists(st.floats(0.5, 2.0), min_size=D, max_size=D)


@precisions
@given(generators, conditions, scales)
def test_polar_decomposition(precision, rng, values, scale):
    """The polar factor is orthogonal, and ``Q^T M`` is symmetric and positive definite."""
    m = precision.round(singular(values, rng) * scale)
    with precision.on():
        q = np.asarray(polar_factor(m), np.float64)
    limit = SVD * precision.unit
    p = q.T @ m.astype(np.float64)
    assert size(q.T @ q - np.eye(D)) <= limit
    assert size(p - p.T) <= 2 * limit * size(m)
    assert np.linalg.eigvalsh(p + p.T).min() > 0.9 * scale  # twice the smallest singular value, at least 2 * 0.5


@precisions
@given(generators, conditions, scales)
def test_polar_equivariance(precision, rng, values, scale):
    """For orthogonal ``R`` and ``S`` the polar factor of ``c R M S``, ``c > 0``, is ``R Q S``; that of ``Q`` is ``Q``."""
    m, r, s = singular(values, rng), rotation(rng, D), random_orthogonal(rng, D)
    with precision.on():
        plain = np.asarray(polar_factor(precision.round(m)), np.float64)
        turned = polar_factor(precision.round(scale * (r @ m @ s)))
        again = polar_factor(precision.round(plain))
    # The argument's rounding is magnified by 2 / (s_i + s_j), at most 2.
    limit = 2 * 2 * SVD * precision.unit * max(values)
    assert size(turned - r @ plain @ s) <= limit
    assert size(again - plain) <= limit


@precisions
@given(generators)
def test_procrustes_recovery(precision, rng):
    """Procrustes of ``x`` and ``x Q`` is ``Q``."""
    x, q = rng.normal(size=(9, D)), random_orthogonal(rng, D)
    with precision.on():
        actual = procrustes(*precision.round(x, x @ q))
    spread = np.linalg.svd(x, compute_uv=False)
    # x^T y is off by 9 roundings of |x|^2, magnified by 2 / (s_i + s_j) of its singular values, the squares of x's.
    assert size(actual - q) <= 2 * (9 + SVD) * precision.unit * (spread[0] / spread[-1]) ** 2


@given(generators)
def test_procrustes_optimality(rng):
    """No other orthogonal matrix, near or far, leaves a smaller error than Procrustes."""
    x, y = rng.normal(size=(2, 9, D))
    with DOUBLE.on():
        q = procrustes(x, y)
    best = np.linalg.norm(x @ q - y)
    anywhere = scipy.stats.ortho_group.rvs(D, size=50, random_state=rng)
    near = q @ scipy.linalg.expm(np.stack([skew(rng, 1e-3) for _ in range(50)]))
    flipped = q * np.where(np.arange(D) == rng.integers(D), -1.0, 1.0)
    for other in (*anywhere, *near, flipped, np.eye(D)):
        assert best <= np.linalg.norm(x @ other - y) + 1e-13


@given(generators)
def test_other_libraries(rng):
    """Polar factor and Procrustes agree with SciPy and pymanopt."""
    m, (x, y) = rng.normal(size=(D, D)), rng.normal(size=(2, 9, D))
    group = SpecialOrthogonalGroup(D, retraction="polar")
    point, step = rotation(rng, D), skew(rng)
    with DOUBLE.on():
        actual = [
            (polar_factor(m), scipy.linalg.polar(m)[0]),
            (procrustes(x, y), scipy.linalg.orthogonal_procrustes(x, y)[0]),
            (polar_factor(point + point @ step), group.retraction(point, step)),
        ]
    # Both are off by p(d) u, magnified by 2 / (s_i + s_j) of the two smallest singular values.
    smallest = min(1.0, *(sum(np.linalg.svd(a, compute_uv=False)[-2:]) for a in (m, x.T @ y)))
    for ours, theirs in actual:
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2 * 2 * SVD * 10 * DOUBLE.unit / smallest)


# Its derivative


@compiled
def slopes(m, dm):
    """Return the polar factor, its derivative along a direction, and the gradient of the inner product with it."""
    q, pull = jax.vjp(orthogonal.polar_factor, m)
    return q, jax.jvp(orthogonal.polar_factor, (m,), (dm,))[1], pull(dm)[0]


VALUES = {
    "distinct": [2.0, 1.5, 1.0, 0.5],
    "a pair": [2.0, 1.0, 1.0, 0.5],
    "all alike": [1.0, 1.0, 1.0, 1.0],
    "one zero": [2.0, 1.0, 1.0, 0.0],
    "one nearly zero": [2.0, 1.0, 1.0, 1e-9],
    "two zero": [2.0, 1.0, 0.0, 0.0],
    "one left": [1.0, 0.0, 0.0, 0.0],
    "nothing": [0.0, 0.0, 0.0, 0.0],
}


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
@given(generators)
def test_polar_derivative_equation(values, rng):
    """The polar factor's derivative solves ``P W + W P = Q^T dM - dM^T Q`` with ``dQ = Q W``, forwards and backwards.

    The equation is solved with Kronecker products and least squares, whose least-norm solution is zero in the part that two
    vanishing singular values leave free.
    """
    m, dm = singular(values, rng), rng.normal(size=(D, D))
    with DOUBLE.on():
        q, forward, backward = slopes(m, dm)
    p = q.T @ m
    p = (p + p.T) / 2
    eye = np.eye(D)
    both_sides = np.kron(p, eye) + np.kron(eye, p)
    right_side = (q.T @ dm - dm.T @ q).ravel()
    w = np.linalg.lstsq(both_sides, right_side, rcond=1e-7)[0].reshape(D, D)
    # Magnified by 1 / (s_i + s_j): the smallest sum of two that is not zero.
    sums = np.add.outer(values, values)[~np.eye(D, dtype=bool)]
    least = min(sums[sums > 0], default=1.0)
    limit = 1e-13 / least**2
    np.testing.assert_allclose(forward, q @ w, rtol=0, atol=limit)
    # Backwards is the transpose of forwards; as a map of matrices the derivative is symmetric but for Q's turn.
    other = rng.normal(size=(D, D))
    with DOUBLE.on():
        _, along, _ = slopes(m, other)
    np.testing.assert_allclose(np.sum(dm * along), np.sum(backward * other), rtol=0, atol=10 * limit)


@pytest.mark.parametrize("name", ["distinct", "a pair", "all alike"])
def test_polar_finite_differences(name):
    """The polar factor's derivative agrees with finite differences, also at repeated singular values."""
    m = singular(VALUES[name], np.random.default_rng(0))
    with DOUBLE.on():
        check_grads(lambda m: orthogonal.polar_factor(jnp.asarray(m)), (m,), order=1, atol=1e-7, rtol=1e-7)


@given(generators)
def test_polar_derivative_batch(rng):
    """The polar factor's derivative of a batch is that of each of its matrices."""
    m, dm = rng.normal(size=(2, 2, 3, D, D))
    with DOUBLE.on():
        together = slopes(m, dm)
        for where in np.ndindex(2, 3):
            for actual, alone in zip(together, slopes(m[where], dm[where]), strict=True):
                np.testing.assert_allclose(actual[where], alone, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(("eps", "free"), [(1.0, True), (3.0, False)])
def test_polar_derivative_threshold(eps, free):
    """A sum of singular values below d units in the last place of the largest counts as zero, and a sum above does not.

    The batch does not count: here it is of one matrix, and the sum is 2 or 6 units.
    """
    small = eps * np.finfo(np.float64).eps
    m, dm = np.diag([1.0, small, small, 0.0])[None], np.zeros((1, D, D))
    dm[0, 1, 2] = 1.0
    with DOUBLE.on():
        _, forward, _ = slopes(m, dm)
    expected = np.zeros((D, D))
    expected[1, 2] = 0.0 if free else 1 / (2 * small)
    np.testing.assert_allclose(forward[0], expected - expected.T, rtol=1e-6)


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
@given(generators)
def test_polar_gradient_float32(values, rng):
    """In float32 the polar factor's derivative is finite for any singular values."""
    m, dm = SINGLE.round(singular(values, rng), rng.normal(size=(D, D)))
    _, forward, backward = slopes(m, dm)
    assert np.isfinite(forward).all()
    assert np.isfinite(backward).all()


@pytest.mark.ill_typed
@pytest.mark.parametrize("function", [orthogonal.cayley, orthogonal.exponential, orthogonal.polar_factor])
@pytest.mark.parametrize("shape", [(3,), (3, 4), (2, 4, 3)])
def test_not_square(function, shape):
    """A matrix that is not square raises an error with its shape."""
    with pytest.raises(ValueError, match=r"square matrices .* shape \(.*\)"):
        function(jnp.zeros(shape))


@pytest.mark.ill_typed
@pytest.mark.parametrize("shapes", [((5, 3), (5, 4)), ((5, 3), (4, 3)), ((3,), (3,))])
def test_unequal_clouds(shapes):
    """Procrustes of clouds of different shapes raises an error."""
    with pytest.raises(ValueError, match="procrustes needs two clouds of one shape"):
        orthogonal.procrustes(*map(jnp.zeros, shapes))


WIDE = """
import jax
jax.config.update("jax_num_cpu_devices", 2)
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from ladder.studies.geometry.orthogonal import cayley, exponential, polar_factor, skew

def one(x):
    # Several of each, and other work beside them, so that the program is wide enough to be run by many threads.
    turned = [jnp.sum(cayley(skew(x) * (1 + 0.1 * k)) ** 3) for k in range(8)]
    turned += [jnp.sum(exponential(skew(x) * (1 + 0.1 * k)) ** 3) for k in range(8)]
    found = [jnp.sum(polar_factor(x[:20, :16, :16] * (1 + 0.1 * k)) ** 3) for k in range(8)]
    beside = [jnp.sum(jnp.tanh(x[:4] @ x[:4] * k) @ x[:4]) for k in range(8)]
    return sum(turned + found + beside)

def every(x):
    return jax.lax.map(one, x)

mesh, split = Mesh(np.asarray(jax.devices()), ("seed",)), PartitionSpec("seed")
whole = jax.jit(jax.shard_map(every, mesh=mesh, in_specs=split, out_specs=split, check_vma=False))
x = jax.random.normal(jax.random.key(0), (8, 64, 21, 21))
for _ in range(5):
    assert np.isfinite(jax.block_until_ready(whole(x))).all()
print(len(jax.devices()))
"""


def test_no_deadlock():
    """A wide program of many decompositions on two devices ends: JAX's own batched kernels wait for each other for ever."""
    env = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    ran = subprocess.run([sys.executable, "-c", WIDE], env=env, capture_output=True, text=True, timeout=240)
    assert ran.stdout.strip() == "2", ran.stderr
