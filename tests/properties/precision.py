"""The two precisions every law is held to, and how the programs under test are compiled."""

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
    """Jitted, and with NumPy arrays for results: to measure them JAX would have to be in their precision."""
    program = jax.jit(function, compiler_options=None if PROFILE == "nightly" else QUICK, **options)

    @wraps(function)
    def call(*args, **kwargs):
        return jax.tree.map(np.asarray, program(*args, **kwargs))

    return call


@dataclass(frozen=True)
class Precision:
    """A dtype with its unit roundoff: half a unit in the last place of 1, the most that one rounding is off, relatively."""

    dtype: type
    unit: float

    def __str__(self):
        return self.dtype.__name__

    @property
    def tiny(self):
        """The smallest number there is: XLA has no subnormal ones."""
        return np.finfo(self.dtype).tiny

    @property
    def floor(self):
        """A length whose square underflows counts as none, and so is an absolute error of that size."""
        return 4 * np.sqrt(self.tiny)

    def on(self):
        """Within it JAX computes in this precision."""
        return jax.enable_x64(self.dtype is np.float64)

    def all(self, values):
        """The values in this precision; what would be subnormal, which XLA does not have, is zero."""
        return [np.where(np.abs(v) < self.tiny, 0.0, v).astype(self.dtype) for v in map(np.asarray, values)]

    def round(self, *values):
        """As many as are given."""
        rounded = self.all(values)
        return rounded if len(rounded) > 1 else rounded[0]


SINGLE, DOUBLE = Precision(np.float32, 2.0**-24), Precision(np.float64, 2.0**-53)
precisions = pytest.mark.parametrize("precision", [SINGLE, DOUBLE], ids=str)
