"""The two precisions that every law is tested in, and the compilation of the functions under test."""

import os
from dataclasses import dataclass
from functools import wraps

import jax
import numpy as np
import pytest

# A daily run spends its time in the compiler: it does without optimisations (see conftest.py) and without XLA's newer code
# generator, four times faster on these small programs. The nightly run compiles as users do.
QUICK = {"xla_cpu_use_fusion_emitters": False, "xla_cpu_parallel_codegen_split_count": 1}
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "default")


def compiled(function, **options):
    """Compile a function, with NumPy arrays for results: JAX would compute on them in its own precision."""
    program = jax.jit(function, compiler_options=None if PROFILE == "nightly" else QUICK, **options)

    @wraps(function)
    def call(*args, **kwargs):
        return jax.tree.map(np.asarray, program(*args, **kwargs))

    return call


@dataclass(frozen=True)
class Precision:
    """A dtype with its unit roundoff: half a unit in the last place of 1, the largest relative error of one rounding."""

    dtype: type
    unit: float

    def __str__(self):
        return self.dtype.__name__

    @property
    def tiny(self):
        """The smallest positive number: XLA has no subnormal numbers."""
        return np.finfo(self.dtype).tiny

    @property
    def floor(self):
        """The length below which squares underflow: an absolute error of this size counts as none."""
        return 4 * np.sqrt(self.tiny)

    def on(self):
        """Return a context in which JAX computes in this precision."""
        return jax.enable_x64(self.dtype is np.float64)

    def all(self, values):
        """Convert the values to this precision; what would be subnormal, which XLA does not have, becomes zero."""
        return [np.where(np.abs(v) < self.tiny, 0.0, v).astype(self.dtype) for v in map(np.asarray, values)]

    def round(self, *values):
        """Convert the values to this precision; return one array for one value."""
        rounded = self.all(values)
        return rounded if len(rounded) > 1 else rounded[0]


SINGLE, DOUBLE = Precision(np.float32, 2.0**-24), Precision(np.float64, 2.0**-53)
precisions = pytest.mark.parametrize("precision", [SINGLE, DOUBLE], ids=str)
