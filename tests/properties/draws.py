"""Strategies and generators of points, vectors, matrices and signals for the laws.

Points are made in extended precision, to be rounded once, so that a law's tolerance counts the roundings of the code and
one of its input, and none of the generator.
"""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

WIDE = np.longdouble
SHAPE = (4, 5)  # one, since every shape is compiled; that batches and dimensions are alike is a law of its own

generators = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def numbers(limit):
    return st.floats(-limit, limit, allow_subnormal=False)


def wide(x):
    return np.asarray(x, WIDE)


def inner(x, y):
    return np.sum(wide(x) * wide(y), axis=-1)


def norm(x):
    return np.sqrt(inner(x, x))


def unit(x, fallback):
    """Divide each vector by its norm; return the fallback where the norm is next to zero."""
    size = norm(x)[..., None]
    return np.where(size > 1e-3, wide(x) / np.maximum(size, 1e-3), fallback)


def axes(where, dim):
    return np.eye(dim, dtype=WIDE)[where]


def on_sphere(rng, shape):
    """Draw unit vectors, uniformly distributed."""
    return unit(rng.normal(size=shape), axes(np.zeros(shape[:-1], int), shape[-1]))


@st.composite
def points(draw):
    """Draw unit vectors, often with zeros in them."""
    return unit(draw(arrays(np.float64, SHAPE, elements=numbers(1.0))), axes([0] * SHAPE[0], SHAPE[1]))


@st.composite
def directions(draw):
    """Draw a point and a unit tangent vector at it."""
    x = draw(points())
    y = draw(points())
    least = axes(np.argmin(np.abs(x), axis=-1), x.shape[-1])
    tangents = [v - inner(v, x)[..., None] * x for v in (y, least)]
    u = unit(tangents[0], unit(tangents[1], least))
    return x, u - inner(u, x)[..., None] * x


# Nothing, an angle float32 can hardly tell from it, small ones, and the same from the other end.
ANGLES = [0.0, 1e-10, 1e-7, 1e-4, 6e-3, np.pi / 2, np.pi - 1e-4, np.pi - 1e-7, np.pi]
angles = st.one_of(st.sampled_from(ANGLES), st.floats(0.0, np.pi, allow_subnormal=False))


@st.composite
def geodesics(draw, angle=angles):
    """Draw a point, a unit tangent vector at it, an angle along it, and the point at that angle."""
    x, u = draw(directions())
    theta = wide(draw(angle))
    return x, u, theta, np.cos(theta) * x + np.sin(theta) * u


def rotation(rng, dim):
    """Draw an orthogonal matrix with determinant 1."""
    q, _ = np.linalg.qr(rng.normal(size=(dim, dim)))
    q[:, 0] *= np.sign(np.linalg.det(q))
    return q


def orthogonal(rng, dim):
    """Draw a rotation or reflection."""
    q = rotation(rng, dim)
    q[:, 0] *= rng.choice([-1.0, 1.0])
    return q


def without_empty_bins(rng, shape, low=1.0, high=2.0):
    """Draw signals along the last axis but one whose rFFT has magnitudes from `low` to `high` and any phases.

    Where a bin is nearly empty its logarithm magnifies rounding.
    """
    *batch, time, channels = shape
    bins = (*batch, time // 2 + 1, channels)
    size, angle = rng.uniform(low, high, size=bins), rng.uniform(0, 2 * np.pi, size=bins)
    angle[..., [0, -1], :] = np.pi * rng.integers(2, size=(*batch, 2, channels))  # of an even length these two are real
    return np.fft.irfft(size * np.exp(1j * angle), time, axis=-2)
