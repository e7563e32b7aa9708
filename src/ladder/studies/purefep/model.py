"""The generative model of PureFEP, and the free energy of beliefs in it."""

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float, Int

from ladder.declare.fields import check_fields
from ladder.studies.purefep.beliefs import Belief, divergence
from ladder.studies.purefep.transport import frames, transported_divergence

Prior = Literal["token+position", "token", "position"]
Banks = Literal["separate", "tied"]
Frames = Literal["random", "identity"]
Covariance = Literal["isotropic", "diagonal"]
Observation = Literal["sum", "mean", "sum/(B N)"]


@dataclass(frozen=True, kw_only=True)
class Model:
    """A configuration of the model and its fast flow. The defaults are the recipe that works.

    Attributes:
        vocabulary: The number of tokens, V.
        length: The number of tokens in a sequence, N.
        dim: The dimension of a belief, K.
        layers: The number of beliefs per token; the prior of a layer is the belief below it plus the prior of the position.
        prior: The source of the mean of a bottom belief's prior. With ``position`` alone a token enters only as the mean that
            inference starts from, which a converged inference forgets.
        banks: Whether the token priors that encode also decode.
        frames: ``random`` rotations, one per position, or ``identity``: no transport.
        covariance: One variance per belief, or one per direction.
        alpha: The weight of self-coupling.
        lambda_beta: The weight of belief alignment.
        lambda_obs: The weight of the observation.
        kappa: The temperature of attention, in nats.
        tau: The temperature of decoding, in nats.
        self_attention: Whether a belief attends to itself too.
        observation: The reduction of the cross-entropy over all tokens of a batch. ``mean`` and ``sum/(B N)`` are the same.
        scale: The standard deviation of every prior mean at initialisation; all prior variances are 1.
        turn: The angle of random frames in radians: eigenvalues of ``phi`` fill about ``i [-turn, turn] sqrt(2)``, so that
            from 3 on rotations come from all of SO(K).
        steps: The number of steps of the fast flow, with targets hidden, and again with them visible.
        mean_rate: The rate of the means.
        variance_rate: The rate of the log variances.
        trust: The longest step of one belief, in the Fisher metric.
        natural: Whether the flow follows the natural gradient, or the plain one.

    Raises:
        ValueError: for a value outside those listed, or a number out of its range.
    """

    vocabulary: int = 16
    length: int = 8
    dim: int = 24
    layers: int = 1
    prior: Prior = "token+position"
    banks: Banks = "separate"
    frames: Frames = "random"
    covariance: Covariance = "isotropic"
    alpha: float = 1.0
    lambda_beta: float = 2.0
    lambda_obs: float = 1.0
    kappa: float = 1.0
    tau: float = 1.0
    self_attention: bool = False
    observation: Observation = "sum"
    scale: float = 0.2
    turn: float = 3.0
    steps: int = 20
    mean_rate: float = 0.1
    variance_rate: float = 0.02
    trust: float = 0.5
    natural: bool = True

    traced_components: ClassVar[tuple[str, ...]] = ("alpha", "lambda_beta", "lambda_obs", "kappa", "tau")

    def __post_init__(self) -> None:
        check_fields(self)
        for name in ("vocabulary", "length", "dim", "layers", "steps"):
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"Model({name}={value}): choose at least 1")
        for name in ("alpha", "lambda_beta", "lambda_obs", "mean_rate", "variance_rate"):
            if not (value := getattr(self, name)) >= 0.0:
                raise ValueError(f"Model({name}={value}): choose a number of at least 0")
        for name in ("kappa", "tau", "scale", "turn", "trust"):
            if not (value := getattr(self, name)) > 0.0:
                raise ValueError(f"Model({name}={value}): choose a number above 0")


class Terms(NamedTuple):
    """The three parts of the free energy, in nats: per token, summed over its layers, or of a whole batch."""

    self_coupling: Float[Array, "*tokens"]
    alignment: Float[Array, "*tokens"]
    observation: Float[Array, "*tokens"]


class PureFEP(nnx.Module):
    """The priors, which are all the parameters that are learned.

    Attributes:
        encode: The prior mean of each token as an input.
        decode: The prior mean of each token as a target; the same as ``encode`` where the banks are tied.
        position: The prior mean of each position, in each layer.
        phi: The frame of each position, in the Lie algebra so(K).
    """

    def __init__(self, config: Model, rngs: nnx.Rngs):
        def normal_param(*shape: int, scale: float = config.scale) -> nnx.Param[Array]:
            return nnx.Param(scale * rngs.params.normal(shape))

        k = config.dim
        self.config = config
        self.encode: nnx.Param[Array] = normal_param(config.vocabulary, k)
        self.position: nnx.Param[Array] = normal_param(config.layers, config.length, k)
        self.decode: nnx.Param[Array] = self.encode if config.banks == "tied" else normal_param(config.vocabulary, k)
        if config.frames == "random":
            self.phi: nnx.Param[Array] = normal_param(config.length, k, k, scale=config.turn * k**-0.5)
        else:
            self.phi = nnx.Param(jnp.zeros((config.length, k, k)))

    def initial(self, x: Int[Array, "batch time"]) -> Belief:
        """Return the beliefs that inference starts from: the prior's mean, with the prior's variance.

        If the prior depends on the position alone, inference starts at the token's mean instead.
        """
        token = self.encode[...][x]
        start = token if self.config.prior == "position" else self._bottom(x)
        above = jnp.cumsum(self.position[...][1:, None, : x.shape[1]], axis=0)
        mean = jnp.concatenate([start[None], start[None] + above]) if self.config.layers > 1 else start[None]
        spread = 1 if self.config.covariance == "isotropic" else self.config.dim
        return Belief(mean, jnp.zeros((*mean.shape[:-1], spread)))

    def _bottom(self, x: Int[Array, "batch time"]) -> Float[Array, "batch time dim"]:
        token, position = self.encode[...][x], self.position[...][0, : x.shape[1]]
        if self.config.prior == "token":
            return token
        position = jnp.broadcast_to(position[None], token.shape)
        return position if self.config.prior == "position" else token + position

    def frame(self) -> Float[Array, "time dim dim"]:
        """Return the frame of each position as a rotation."""
        return frames(self.phi[...])

    def logits(self, q: Belief) -> Float[Array, "batch time vocabulary"]:
        """Decode the top layer's beliefs: ``-KL(q || N(decode_v, I)) / tau`` for each token ``v``."""
        top = Belief(*(part[-1][..., None, :] for part in q))
        bank = self.decode[...][None, None]
        return -divergence(top, Belief(bank, jnp.zeros((*bank.shape[:-1], 1)))) / self.config.tau

    def terms(
        self,
        q: Belief,
        x: Int[Array, "batch time"],
        frame: Float[Array, "time dim dim"],
        targets: Float[Array, "batch time vocabulary"] | None = None,
    ) -> Terms:
        """Compute each token's part of the free energy of beliefs of shape (layer, batch, time, ...), not yet weighted.

        The terms are ``KL(q || prior)``, ``sum_j beta_ij KL(q_i || O_ij q_j)`` with ``beta_ij = softmax_j(-KL_ij / kappa)``
        over the positions before ``i``, and the cross-entropy of decoding. In the second, the beliefs of other positions are
        constants: a position minimises its own free energy, and no earlier belief changes to make a later one easier to
        predict.

        Args:
            q: The beliefs.
            x: The input tokens.
            frame: The result of ``frame()``.
            targets: The one-hot target tokens, zero where there is none; None while targets are hidden.
        """
        below = jnp.concatenate([self._bottom(x)[None], q.mean[:-1] + self.position[...][1:, None, : x.shape[1]]])
        self_coupling = jnp.sum(divergence(q, Belief(below, jnp.zeros((1, 1, 1, 1)))), axis=0)
        kl = transported_divergence(q, jax.lax.stop_gradient(q), frame[: x.shape[1]])
        alignment = jnp.sum(_attended(kl, self.config.kappa, self.config.self_attention), axis=0)
        observation = jnp.zeros(x.shape)
        if targets is not None:
            observation = -jnp.sum(targets * jax.nn.log_softmax(self.logits(q)), axis=-1)
        return Terms(self_coupling, alignment, observation)

    def weighted(self, terms: Terms) -> Terms:
        """Return the parts of the batch's free energy: each summed over tokens and weighted, the observation as configured."""
        c = self.config
        observation = jnp.mean(terms.observation) if c.observation == "mean" else jnp.sum(terms.observation)
        if c.observation == "sum/(B N)":
            observation = observation / terms.observation.size
        return Terms(
            c.alpha * jnp.sum(terms.self_coupling), c.lambda_beta * jnp.sum(terms.alignment), c.lambda_obs * observation
        )

    def free_energy(
        self,
        q: Belief,
        x: Int[Array, "batch time"],
        frame: Float[Array, "time dim dim"],
        targets: Float[Array, "batch time vocabulary"] | None = None,
    ) -> Float[Array, ""]:
        """Return the weighted sum of the terms over all tokens of a batch, in nats.

        Args:
            q: The beliefs, of shape (layer, batch, time, ...).
            x: The input tokens.
            frame: The result of ``frame()``.
            targets: The one-hot target tokens, zero where there is none; None while targets are hidden.
        """
        return sum(self.weighted(self.terms(q, x, frame, targets)), start=jnp.zeros(()))


def _attended(kl: Float[Array, "*batch time key"], kappa: float, itself: bool = False) -> Float[Array, "*batch time"]:
    """Compute ``sum_j beta_ij KL_ij`` with ``beta_ij = softmax_j(-KL_ij / kappa)`` over ``j < i``, or ``j <= i`` with ``itself``.

    A position with nothing to attend to has a sum of zero.
    """
    mask = jnp.broadcast_to(jnp.tril(jnp.ones(kl.shape[-2:], bool), k=0 if itself else -1), kl.shape)
    # A softmax over an empty set is 0/0, and so are its derivatives, even where the result is not used.
    beta = jax.nn.softmax(-kl / kappa, axis=-1, where=mask | ~jnp.any(mask, axis=-1, keepdims=True))
    return jnp.sum(jnp.where(mask, beta * kl, 0.0), axis=-1)
