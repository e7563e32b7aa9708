"""How matrices are given to LAPACK's decompositions and solvers: one by one on a CPU."""

from collections.abc import Callable
from typing import TypeVar

import jax
from jax import Array
from jaxtyping import Float

Found = TypeVar("Found")


def one_by_one(of: Callable[[Array], Found], m: Float[Array, "*batch row column"]) -> Found:
    """``of`` every matrix; on a CPU of one after another.

    JAX's LAPACK kernels share a batch out to the pool of threads that runs the program, and wait for it. Where a program has
    other work beside them they are themselves run by that pool, and when each of its threads waits for the others it
    never ends (seen with JAX 0.10.2 on two cores). A single matrix is not shared out.
    """

    def in_turn(m: Array) -> Found:
        found: Found = jax.lax.map(of, m.reshape(-1, *m.shape[-2:]))
        whole: Found = jax.tree.map(lambda x: x.reshape(*m.shape[:-2], *x.shape[1:]), found)
        return whole

    found: Found = of(m) if m.ndim == 2 else jax.lax.platform_dependent(m, cpu=in_turn, default=of)
    return found
