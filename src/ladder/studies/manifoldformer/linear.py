"""The linear layer of all modules but the coupling, with a derivative that is fast on a CPU too."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
from flax import nnx
from jax import Array
from jaxtyping import Float


def product(x: Float[Array, "*batch input"], kernel: Float[Array, "input output"]) -> Float[Array, "*batch output"]:
    """Compute ``x @ kernel``. The function is differentiable in reverse mode only.

    XLA computes a product fast on a CPU whose left factor is contracted along its last axis. The kernel's derivative
    ``x^T g`` is contracted along the first axis of both, which took up to eight times as long as the same product forward.
    So the narrower of the two is transposed in memory first, and is the left factor.
    """
    return _product(x, kernel)


@jax.custom_vjp
def _product(x: Array, kernel: Array) -> Array:
    return x @ kernel


def _forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return x @ kernel, (x, kernel)


def _backward(saved: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    x, kernel = saved
    rows, slopes = x.reshape(-1, x.shape[-1]), g.reshape(-1, g.shape[-1])
    if len(kernel) <= kernel.shape[-1]:
        return g @ kernel.T, transposed(rows) @ slopes
    return g @ kernel.T, written(transposed(slopes) @ rows).T


_product.defvjp(_forward, _backward)


def transposed(x: Float[Array, "*batch row column"]) -> Float[Array, "*batch column row"]:
    """Return the transposed matrices, written to memory: XLA would make any other transposition a part of the product."""
    return written(x.mT)


def written(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Return the array itself, which XLA cannot compute as a part of what follows."""
    same: Array = jax.lax.optimization_barrier(x)
    return same


def _dot_general(x: Array, kernel: Array, dimension_numbers: Any, **options: Any) -> Array:
    return product(x, kernel)


Linear: Callable[..., nnx.Linear] = partial(nnx.Linear, dot_general=_dot_general)
"""``nnx.Linear`` with :func:`product` as its product."""
