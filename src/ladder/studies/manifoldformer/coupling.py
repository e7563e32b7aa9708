"""Sakaguchi-Kuramoto coupling between the points of a trajectory, and their order parameter."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import Array
from jaxtyping import Float, Int

from ladder.declare.fields import check_fields
from ladder.studies.geometry.sphere import normalise

Between = Literal["points", "projections"]
Lag = Literal["learned", "none"]

# Rows of queries handled at a time; the keys after the last of them are never read, which saves up to half of the
# causal product. Below this length the overhead of smaller products outweighs the saving.
QUERY_BLOCK = 64
# Bytes of such products at a time: at most a core's second-level cache. Four times as much made no difference; all at once
# took twice as long.
CACHE = 2**18


@dataclass(frozen=True, kw_only=True)
class Coupling:
    """A force that pulls every point towards those before it: ``W sum_{j <= i} sin(<q_i, k_j> + lag) k_j``, with ``W`` a Dense.

    Queries and keys are the points themselves (``between="points"``, intrinsic), or the outputs of a Dense layer each, put
    back on the sphere (``projections``). The phase lag is a number, learned from 0, or always 0.
    Source: the status document on imputation, stage II, and sakaguchi, section 5; "picking the lock" for the two kinds.

    Raises:
        ValueError: for another value of either.
    """

    between: Between = "points"
    lag: Lag = "learned"

    def __post_init__(self) -> None:
        check_fields(self)

    def build(self, latent_dim: int, zero: bool, rngs: nnx.Rngs) -> "CouplingModule":
        """Build the module; with ``zero`` its initial force is zero."""
        return CouplingModule(self, latent_dim, zero, rngs)


class CouplingModule(nnx.Module):
    """The module of :class:`Coupling`."""

    def __init__(self, config: Coupling, latent_dim: int, zero: bool, rngs: nnx.Rngs):
        start = nnx.initializers.zeros_init() if zero else nnx.initializers.lecun_normal()
        # With the ``Linear`` of the other modules a step of rung 5 took a tenth longer.
        self.out: nnx.Linear = nnx.Linear(latent_dim, latent_dim, kernel_init=start, rngs=rngs)
        projected = config.between == "projections"
        self.query: nnx.Linear | None = nnx.Linear(latent_dim, latent_dim, rngs=rngs) if projected else None
        self.key: nnx.Linear | None = nnx.Linear(latent_dim, latent_dim, rngs=rngs) if projected else None
        self.lag: nnx.Param[Array] | None = nnx.Param(jnp.zeros(())) if config.lag == "learned" else None

    def force_from(
        self, z: Float[Array, "*batch time latent"], length: int | Int[Array, ""] | None = None
    ) -> Callable[[Float[Array, "*batch query latent"]], Float[Array, "*batch query latent"]]:
        """Return the force as a function of queries, with the keys computed from ``z``.

        Without ``length`` there are as many queries as keys, and each is pulled by the keys up to its own. With ``length``, the
        number of keys that exist, there may be any number of queries, and each is pulled by all of these keys.
        """
        keys = z if self.key is None else normalise(self.key(z))
        lag = jnp.zeros((), z.dtype) if self.lag is None else self.lag[...]

        def force(query: Array) -> Array:
            query = query if self.query is None else normalise(self.query(query))
            if length is None:
                return jnp.asarray(self.out(coupling(query, keys, lag)))
            mask = (jnp.arange(z.shape[-2]) < length).reshape((1,) * (z.ndim - 1) + (-1,))
            weight = lagged_sine(query @ jnp.swapaxes(keys, -1, -2), jnp.cos(lag), jnp.sin(lag))
            return jnp.asarray(self.out(jnp.where(mask, weight, 0.0) @ keys))

        return force


def sin_cos(u: Float[Array, "*shape"]) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    """Compute sine and cosine of inner products of unit vectors, ``|u| <= 1``, by their Taylor polynomials.

    The first terms left out are ``1/13!`` and ``1/12!`` (1.6e-10 and 2.1e-9), below half a unit in the last place of float32
    at 1 (6e-8), so this is the function to float32's precision, and to no more in float64. Without range reduction it
    vectorises, and the coupling spends its time in products instead of in libm.
    """
    s = u * u
    sine = u * (1 + s * (-1 / 6 + s * (1 / 120 + s * (-1 / 5040 + s * (1 / 362880 - s / 39916800)))))
    cosine = 1 + s * (-1 / 2 + s * (1 / 24 + s * (-1 / 720 + s * (1 / 40320 - s / 3628800))))
    return sine, cosine


def lagged_sine(
    u: Float[Array, "*shape"], cos_lag: float | Float[Array, ""], sin_lag: float | Float[Array, ""]
) -> Float[Array, "*shape"]:
    """Compute ``sin(u + lag)`` for ``|u| <= 1`` by the addition theorem, given the lag's own sine and cosine."""
    sine, cosine = sin_cos(u)
    return sine * cos_lag + cosine * sin_lag


def coupling(
    query: Float[Array, "*batch time latent"],
    key: Float[Array, "*batch time latent"],
    lag: float | Float[Array, ""],
) -> Float[Array, "*batch time latent"]:
    """Compute the Sakaguchi-Kuramoto force on the sphere: ``F_i = sum_{j <= i} sin(<q_i, k_j> + lag) k_j``.

    Queries and keys are unit vectors. Source: the published dynamics, after Sakaguchi and Kuramoto (1986), with the phase
    difference replaced by the inner product. The function is differentiable in reverse mode only.

    No array of size time x time is saved for the gradient, or written to memory: a few trajectories are handled at a time,
    whose products fit a cache, and their weights are computed again in the backward pass (as in FlashAttention, Dao et al.,
    2022).
    """
    time, dim = query.shape[-2:]
    trajectories = math.prod(query.shape[:-2])
    parts = _parts(trajectories, QUERY_BLOCK * time * query.dtype.itemsize)
    if parts == 1:
        return _coupling(query, key, lag)
    split = [x.reshape(parts, trajectories // parts, time, dim) for x in (query, key)]
    force: Array = jax.lax.map(lambda qk: _coupling(*qk, lag), tuple(split))
    return force.reshape(query.shape)


def _parts(trajectories: int, size: int) -> int:
    """Return the number of equal parts to cut trajectories into, so that their products, ``size`` bytes each, fit a cache."""
    minimum = min(trajectories, -(-trajectories * size // CACHE))
    return next((n for n in range(max(minimum, 1), trajectories) if trajectories % n == 0), max(trajectories, 1))


@jax.custom_vjp
def _coupling(query: Array, key: Array, lag: float | Array) -> Array:
    return _forward(query, key, lag)[0]


def _blocks(query: Array, key: Array) -> Iterator[tuple[slice, slice, Array, Array]]:
    """Yield blocks of queries with the keys up to their last: both slices, the inner products, and a mask of causal pairs."""
    time = query.shape[-2]
    for start in range(0, time, QUERY_BLOCK):
        rows, upto = slice(start, min(start + QUERY_BLOCK, time)), slice(0, min(start + QUERY_BLOCK, time))
        u = query[..., rows, :] @ jnp.swapaxes(key[..., upto, :], -1, -2)
        past = jnp.tri(rows.stop - start, rows.stop, start, dtype=u.dtype)
        yield rows, upto, u, past.reshape((1,) * (u.ndim - 2) + past.shape)


def _forward(query: Array, key: Array, lag: float | Array) -> tuple[Array, tuple[Array, Array, float | Array]]:
    cos_lag, sin_lag = jnp.cos(lag), jnp.sin(lag)
    forces = [(lagged_sine(u, cos_lag, sin_lag) * past) @ key[..., upto, :] for _, upto, u, past in _blocks(query, key)]
    return jnp.concatenate(forces, axis=-2), (query, key, lag)


def _backward(saved: tuple[Array, Array, float | Array], g: Array) -> tuple[Array, Array, Array]:
    query, key, lag = saved
    cos_lag, sin_lag = jnp.cos(lag), jnp.sin(lag)
    to_query, to_key, to_lag = [], jnp.zeros_like(key), jnp.zeros_like(lag)
    for rows, upto, u, past in _blocks(query, key):
        sine, cosine = sin_cos(u)
        weight = (sine * cos_lag + cosine * sin_lag) * past
        slope = (g[..., rows, :] @ jnp.swapaxes(key[..., upto, :], -1, -2)) * (cosine * cos_lag - sine * sin_lag) * past
        to_query.append(slope @ key[..., upto, :])
        to_lag += jnp.sum(slope)
        pull = jnp.swapaxes(slope, -1, -2) @ query[..., rows, :] + jnp.swapaxes(weight, -1, -2) @ g[..., rows, :]
        to_key = to_key.at[..., upto, :].add(pull)
    return jnp.concatenate(to_query, axis=-2), to_key, to_lag


_coupling.defvjp(_forward, _backward)


def order_parameter(z: Float[Array, "*batch time latent"]) -> Float[Array, "*batch"]:
    """Compute Kuramoto's order parameter of unit vectors, ``|mean_t z_t|``: 1 when all are equal, 0 when they cancel.

    Source: Kuramoto (1984), with the circle's ``exp(i phase)`` replaced by the point of the sphere. Where the parameter is
    zero, and has a kink, its gradient is zero.
    """
    order: Array = optax.safe_norm(jnp.mean(z, axis=-2), 0.0, axis=-1)
    return order
