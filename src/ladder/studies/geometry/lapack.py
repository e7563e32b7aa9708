"""A wrapper for LAPACK's decompositions and solvers that handles a batch of matrices one by one on a CPU."""

from collections.abc import Callable
from typing import TypeVar

import jax
from jax import Array
from jaxtyping import Float

T = TypeVar("T")


def one_by_one(function: Callable[[Array], T], m: Float[Array, "*batch row column"]) -> T:
    """Apply ``function`` to every matrix of a batch; on a CPU to one after another.

    JAX's LAPACK kernels distribute a batch over the thread pool that runs the program, and wait for it. If a program has other
    work beside them, that pool runs the kernels themselves, and when each of its threads waits for the others the program
    never ends (seen with JAX 0.10.2 on two cores). A single matrix is not distributed.
    """

    def sequential(m: Array) -> T:
        result: T = jax.lax.map(function, m.reshape(-1, *m.shape[-2:]))
        unflattened: T = jax.tree.map(lambda x: x.reshape(*m.shape[:-2], *x.shape[1:]), result)
        return unflattened

    result: T = function(m) if m.ndim == 2 else jax.lax.platform_dependent(m, cpu=sequential, default=function)
    return result
