"""Encoders, which map the signal to features of each sample for the latent. All but the Fourier branch are causal."""

from dataclasses import dataclass

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float

from ladder.declare.fields import check_fields
from ladder.studies.manifoldformer.linear import Linear, product


@dataclass(frozen=True, kw_only=True)
class Pointwise:
    """An encoder that maps each sample by itself: Dense ``features``, ReLU.

    Source: patches A to E.

    Raises:
        ValueError: for fewer than one feature.
    """

    features: int = 64

    def __post_init__(self) -> None:
        check_fields(self)
        if self.features < 1:
            raise ValueError(f"Pointwise(features={self.features}): choose at least 1")

    @property
    def receptive_field(self) -> int:
        """The number of samples that a feature depends on."""
        return 1

    def build(self, channels: int, rngs: nnx.Rngs) -> "PointwiseFeatures":
        """Build the module."""
        return PointwiseFeatures(channels, self.features, rngs)


@dataclass(frozen=True, kw_only=True)
class Causal:
    """A stack of causal convolutions, one for each dilation, each followed by a ReLU.

    The defaults are the published encoder: two convolutions of 5 taps and 64 features, 9 samples in all. ``residual`` adds the
    input of a convolution to its output, for all but the first. Source: the published core; dilated and residual, van den Oord
    et al., *WaveNet* (2016).

    Raises:
        ValueError: for no layer, or fewer than one feature, tap or sample of dilation.
    """

    features: int = 64
    taps: int = 5
    dilations: tuple[int, ...] = (1, 1)
    residual: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.dilations or min(self.features, self.taps, *self.dilations) < 1:
            raise ValueError(
                f"Causal(features={self.features}, taps={self.taps}, dilations={self.dilations}): choose at least 1 of "
                "each, and at least one dilation"
            )

    @property
    def receptive_field(self) -> int:
        """The number of samples that a feature depends on."""
        return 1 + (self.taps - 1) * sum(self.dilations)

    def build(self, channels: int, rngs: nnx.Rngs) -> "CausalFeatures":
        """Build the module."""
        return CausalFeatures(channels, self, rngs)


Encoder = Pointwise | Causal


class PointwiseFeatures(nnx.Module):
    """The module of :class:`Pointwise`. As everywhere here, the initial kernel is LeCun-normal and the initial bias zero."""

    def __init__(self, channels: int, features: int, rngs: nnx.Rngs):
        self.hidden: nnx.Linear = Linear(channels, features, rngs=rngs)

    def __call__(self, x: Float[Array, "*batch time channel"]) -> Float[Array, "*batch time feature"]:
        """Return features of each sample by itself."""
        return nnx.relu(self.hidden(x))


class CausalConvolution(nnx.Module):
    """A causal convolution, ``y[t] = bias + sum_s x[t - s dilation] kernel[s]``, zero before the first sample.

    It is one product with shifted copies side by side: XLA's own convolution, inside a loop on a CPU, took 10 to 30 times as
    long, and a product for each tap 1.3 times.
    """

    def __init__(self, channels: int, features: int, taps: int, dilation: int, rngs: nnx.Rngs):
        self.kernel: nnx.Param[Array] = nnx.Param(
            nnx.initializers.lecun_normal()(rngs.params(), (taps, channels, features))
        )
        self.bias: nnx.Param[Array] = nnx.Param(jnp.zeros(features))
        self.dilation = dilation

    def __call__(self, x: Float[Array, "*batch time channel"]) -> Float[Array, "*batch time feature"]:
        """Convolve along time."""
        kernel, time = self.kernel[...], x.shape[-2]
        reach = (len(kernel) - 1) * self.dilation
        padded = jnp.pad(x, [(0, 0)] * (x.ndim - 2) + [(reach, 0), (0, 0)])
        past = [padded[..., reach - s * self.dilation :, :][..., :time, :] for s in range(len(kernel))]
        y = product(jnp.concatenate(past, axis=-1), kernel.reshape(-1, kernel.shape[-1]))
        return y + jnp.broadcast_to(self.bias[...], y.shape)


class CausalFeatures(nnx.Module):
    """The module of :class:`Causal`."""

    def __init__(self, channels: int, config: Causal, rngs: nnx.Rngs):
        widths = [channels, *[config.features] * (len(config.dilations) - 1)]
        self.layers: nnx.List[CausalConvolution] = nnx.List(
            [
                CausalConvolution(width, config.features, config.taps, dilation, rngs)
                for width, dilation in zip(widths, config.dilations, strict=True)
            ]
        )
        self.residual: bool = config.residual

    def __call__(self, x: Float[Array, "*batch time channel"]) -> Float[Array, "*batch time feature"]:
        """Return features of each sample and those before it."""
        for n, layer in enumerate(self.layers):
            h = nnx.relu(layer(x))
            x = x + h if self.residual and n else h
        return x


class FourierBranch(nnx.Module):
    """A branch with one set of features for the whole sequence: Dense of ``|rFFT| / time`` of all bins and channels.

    It reads the whole sequence, so a model with it is not causal, and it has a weight for every bin, so it takes sequences of
    one length; shorter ones are padded with zeros. Source: the explicit spectral branch of the status document on imputation,
    lesson 5, which gives no formula beyond "FFT, then Dense, in parallel".
    """

    def __init__(self, length: int, channels: int, features: int, rngs: nnx.Rngs):
        self.length = length
        self.out: nnx.Linear = Linear((length // 2 + 1) * channels, features, rngs=rngs)

    def __call__(self, x: Float[Array, "*batch time channel"]) -> Float[Array, "*batch 1 feature"]:
        """Return features to add to those of every sample.

        Raises:
            ValueError: for a sequence longer than the branch was built for.
        """
        if x.shape[-2] > self.length:
            raise ValueError(f"the Fourier branch was built for {self.length} samples, not {x.shape[-2]}")
        spectrum = jnp.fft.rfft(x, self.length, axis=-2)
        # The modulus has a kink where a bin is empty; JAX's gradient there is zero.
        size = jnp.abs(spectrum) / self.length
        return self.out(size.reshape((*x.shape[:-2], 1, -1)))
