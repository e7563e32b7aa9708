"""What the laws are tried on: generated points, vectors, matrices and signals, in the two precisions.

Everything is made in extended precision and rounded once, so that a law's tolerance counts the roundings of the code and
one of its input, and none of the generator.
"""

from dataclasses import dataclass
from functools import partial

import jax
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

WIDE = np.longdouble
SHAPES = [(3,), (4, 5)]  # few, since every shape is compiled

# For programs that are longer in the compiler than in use; LLVM's optimisations change none of their operations.
quickly_compiled = partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
)


@dataclass(frozen=True)
class Precision:
    """A dtype with its unit roundoff: half a unit in the last place of 1, the most that one rounding is off, relatively."""

    dtype: type
    unit: float

    def __str__(self):
        return self.dtype.__name__

    @property
    def floor(self):
        """A length whose square underflows counts as none, and so is an absolute error of that size."""
        return 4 * np.sqrt(np.finfo(self.dtype).tiny)

    def on(self):
        """Within it JAX computes in this precision."""
        return jax.enable_x64(self.dtype is np.float64)

    def round(self, *values):
        """The values in this precision; what would be subnormal, which XLA does not have, is zero."""
        rounded = tuple(
            np.where(np.abs(v) < np.finfo(self.dtype).tiny, 0.0, v).astype(self.dtype) for v in map(np.asarray, values)
        )
        return rounded if len(rounded) > 1 else rounded[0]


SINGLE, DOUBLE = Precision(np.float32, 2.0**-24), Precision(np.float64, 2.0**-53)
precisions = pytest.mark.parametrize("precision", [SINGLE, DOUBLE], ids=str)

shapes = st.sampled_from(SHAPES)
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
    """Each vector over its norm; the fallback where it has no direction worth the name."""
    size = norm(x)[..., None]
    return np.where(size > 1e-3, wide(x) / np.maximum(size, 1e-3), fallback)


def axes(where, dim):
    return np.eye(dim, dtype=WIDE)[where]


def on_sphere(rng, shape):
    """Unit vectors, uniformly distributed."""
    return unit(rng.normal(size=shape), axes(np.zeros(shape[:-1], int), shape[-1]))


@st.composite
def points(draw, shape=shapes):
    """Unit vectors, often with zeros in them."""
    shape = draw(shape) if isinstance(shape, st.SearchStrategy) else shape
    x = draw(arrays(np.float64, shape, elements=numbers(1.0)))
    return unit(x, axes(np.zeros(shape[:-1], int), shape[-1]))


@st.composite
def directions(draw):
    """A point and a unit tangent vector at it."""
    x = draw(points())
    y = draw(points(x.shape))
    least = axes(np.argmin(np.abs(x), axis=-1), x.shape[-1])
    tangents = [v - inner(v, x)[..., None] * x for v in (y, least)]
    u = unit(tangents[0], unit(tangents[1], least))
    return x, u - inner(u, x)[..., None] * x


# Nothing, an angle float32 can hardly tell from it, small ones, and the same from the other end.
ANGLES = [0.0, 1e-10, 1e-7, 1e-4, 6e-3, np.pi / 2, np.pi - 1e-4, np.pi - 1e-7, np.pi]
angles = st.one_of(st.sampled_from(ANGLES), st.floats(0.0, np.pi, allow_subnormal=False))


@st.composite
def geodesics(draw, angle=angles):
    """A point, a unit tangent vector at it, how far along it to go, and the point that is there."""
    x, u = draw(directions())
    theta = wide(draw(angle))
    return x, u, theta, np.cos(theta) * x + np.sin(theta) * u


def rotation(rng, dim):
    """A random orthogonal matrix with determinant 1."""
    q, _ = np.linalg.qr(rng.normal(size=(dim, dim)))
    q[:, 0] *= np.sign(np.linalg.det(q))
    return q
