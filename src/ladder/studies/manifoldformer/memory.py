"""Memory of a trajectory: a causal convolution, and the power-law kernel of fractional integration."""

from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.scipy.special import gamma
from jaxtyping import Float, Int

from ladder.declare.fields import check_fields
from ladder.studies.manifoldformer.linear import Linear

Kernel = Literal["random", "power law"]


@dataclass(frozen=True, kw_only=True)
class Memory:
    """A convolution over the trajectory's past, each coordinate by itself.

    The initial kernel is LeCun-normal (``random``, as in the published runs, whose power law never entered the model) or the
    power law of this order, and it is trained or constant. ``projection`` adds a Dense layer behind it, without bias. The
    three attempts of the status document on imputation are ``Memory(kernel="power law")``; with
    ``trained=False, projection=True``; and with ``trained=False`` alone.

    Attributes:
        taps: The number of samples that the kernel reaches back, the current one included; by default as many as the signal
            has.

    Raises:
        ValueError: for another kernel, no taps, an order outside [0, 1), or a random kernel that is not trained.
    """

    kernel: Kernel = "random"
    trained: bool = True
    projection: bool = False
    order: float = 0.5
    taps: int | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.trained and self.kernel == "random":
            raise ValueError(
                "Memory(kernel='random', trained=False): noise is not a memory; train it, or freeze the power law"
            )
        _check(f"Memory(order={self.order}, taps={self.taps})", self.order, 1 if self.taps is None else self.taps)

    def build(self, length: int, latent_dim: int, zero: bool, rngs: nnx.Rngs) -> "MemoryModule":
        """Build the module.

        Args:
            length: The number of samples of a sequence; only roll-outs can use taps beyond it.
            latent_dim: The number of coordinates of the latent.
            zero: Whether the initial force is zero.
            rngs: The random streams of the initial values.
        """
        return MemoryModule(self, length, latent_dim, zero, rngs)


class MemoryModule(nnx.Module):
    """The module of :class:`Memory`."""

    def __init__(self, config: Memory, length: int, latent_dim: int, zero: bool, rngs: nnx.Rngs):
        taps = length if config.taps is None else config.taps
        zeros, random = nnx.initializers.zeros_init(), nnx.initializers.lecun_normal()
        self.order: float = config.order
        self.taps: int = taps
        self.trained: bool = config.trained
        if config.trained and config.kernel == "random":
            start = zeros if zero and not config.projection else random
            self.kernel: nnx.Param[Array] = nnx.Param(start(rngs.params(), (taps, latent_dim)))
        elif config.trained:
            self.kernel = nnx.Param(self._power_law(latent_dim))
        last = zeros if zero else random
        self.projection: nnx.Linear | None = (
            Linear(latent_dim, latent_dim, use_bias=False, kernel_init=last, rngs=rngs) if config.projection else None
        )

    def _power_law(self, latent_dim: int) -> Float[Array, "tap latent"]:
        return jnp.tile(power_law_kernel(self.order, self.taps)[:, None], latent_dim)

    def __call__(self, z: Float[Array, "*batch time latent"]) -> Float[Array, "*batch time latent"]:
        """Return the memory of the trajectory at each sample."""
        return self._read(causal_convolution(z, self._taps(z)))

    def last(
        self, z: Float[Array, "*batch time latent"], length: int | Int[Array, ""]
    ) -> Float[Array, "*batch 1 latent"]:
        """Return the memory of the first ``length`` points at the last of them: one sum of the convolution."""
        kernel, age = self._taps(z), length - 1 - jnp.arange(z.shape[-2])
        in_reach = ((age >= 0) & (age < self.taps))[:, None]
        weight = jnp.where(in_reach, kernel[jnp.clip(age, 0, self.taps - 1)], 0.0)
        return self._read(jnp.sum(weight.reshape((1,) * (z.ndim - 2) + weight.shape) * z, axis=-2, keepdims=True))

    def _taps(self, z: Float[Array, "*batch time latent"]) -> Float[Array, "tap latent"]:
        return self.kernel[...] if self.trained else self._power_law(z.shape[-1]).astype(z.dtype)

    def _read(self, memory: Float[Array, "*batch time latent"]) -> Float[Array, "*batch time latent"]:
        return memory if self.projection is None else self.projection(memory)


def power_law_kernel(order: float | Float[Array, ""], taps: int) -> Float[Array, " tap"]:
    """Return the kernel ``t^(-order) / Gamma(1 - order)`` at ``t = 1, ..., taps``, for an order in [0, 1).

    Convolution with it discretises the fractional integral of order ``1 - order`` in steps of one sample.
    Source: the published ``get_fractional_kernel``; Podlubny, *Fractional Differential Equations*, section 2.3.

    Raises:
        ValueError: for an order outside [0, 1), where that is known before tracing, or no taps.
    """
    _check(f"power_law_kernel(order={order}, taps={taps})", 0.0 if isinstance(order, jax.core.Tracer) else order, taps)
    return jnp.arange(1.0, taps + 1.0) ** -order / gamma(1.0 - order)


def causal_convolution(
    z: Float[Array, "*batch time latent"], kernel: Float[Array, "tap latent"]
) -> Float[Array, "*batch time latent"]:
    """Convolve each coordinate in time, ``y[t] = sum_s kernel[s] z[t - s]``, by FFT with zero padding against wrap-around.

    A Fourier transform spreads rounding over all times: the output before a change of the input is the same only to rounding
    of the largest value in the sequence, not to the bit.
    """
    time, taps = z.shape[-2], kernel.shape[-2]
    padded = time + taps - 1
    n = 1 << (padded - 1).bit_length()
    kernel = kernel.reshape((1,) * (z.ndim - 2) + kernel.shape)
    product = jnp.fft.rfft(z, n, axis=-2) * jnp.fft.rfft(kernel, n, axis=-2)
    return jnp.fft.irfft(product, n, axis=-2)[..., :time, :]


def _check(name: str, order: float | Float[Array, ""], taps: int) -> None:
    if not 0.0 <= order < 1.0:
        raise ValueError(f"{name}: choose an order in [0, 1)")
    if taps < 1:
        raise ValueError(f"{name}: a kernel has at least one tap")
