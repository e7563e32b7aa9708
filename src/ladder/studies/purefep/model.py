"""The generative model of PureFEP, and the free energy of beliefs in it."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

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
    """Every choice about the model and its fast flow. The defaults are the recipe that works.

    Attributes:
        vocabulary: Number of tokens, V.
        length: Tokens in a sequence, N.
        dim: Dimension of a belief, K.
        layers: Beliefs per token; a layer's prior is the belief below it and a position's prior.
        prior: Where the mean of a bottom belief's prior comes from. With ``position`` alone a token enters only as the mean
            that inference starts from, which a converged inference forgets.
        banks: Whether the tokens' priors that encode also decode.
        frames: ``random`` rotations, one a position, or ``identity``: no transport.
        covariance: One variance a belief, or one a direction.
        alpha: Weight of self-coupling.
        lambda_beta: Weight of belief alignment.
        lambda_obs: Weight of the observation.
        kappa: Temperature of attention, in nats.
        tau: Temperature of decoding, in nats.
        self_attention: Whether a belief attends to itself too.
        observation: How the cross-entropy of all tokens of a batch is reduced. ``mean`` and ``sum/(B N)`` are the same.
        scale: Standard deviation of every prior mean at the start; all prior variances are 1.
        turn: Radians by which random frames turn: eigenvalues of ``phi`` fill about ``i [-turn, turn] sqrt(2)``, so that from
            3 on rotations come from all of SO(K).
        steps: Steps of the fast flow, before targets are shown and again with them.
        mean_rate: Rate of the means.
        variance_rate: Rate of the log variances.
        trust: Longest step of one belief, in the Fisher metric.
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
    """The three parts of the free energy, in nats: of each token, summed over its layers, or of a whole batch."""

    self_coupling: Float[Array, "*tokens"]
    alignment: Float[Array, "*tokens"]
    observation: Float[Array, "*tokens"]


class PureFEP(nnx.Module):
    """The priors: all that is learned.

    Attributes:
        encode: Prior mean of each token as an input.
        decode: Prior mean of each token as a target; the same as ``encode`` where the banks are tied.
        position: Prior mean of each position, in each layer.
        phi: Frame of each position, in the Lie algebra so(K).
    """

    def __init__(self, config: Model, rngs: nnx.Rngs):
        def drawn(*shape: int, scale: float = config.scale) -> nnx.Param[Array]:
            return nnx.Param(scale * rngs.params.normal(shape))

        k = config.dim
        self.config = config
        self.encode = drawn(config.vocabulary, k)
        self.position = drawn(config.layers, config.length, k)
        self.decode = self.encode if config.banks == "tied" else drawn(config.vocabulary, k)
        if config.frames == "random":
            self.phi = drawn(config.length, k, k, scale=config.turn * k**-0.5)
        else:
            self.phi = nnx.Param(jnp.zeros((config.length, k, k)))

    def initial(self, x: Int[Array, "batch time"]) -> Belief:
        """Where inference starts: on the prior, with the prior's variance; a prior of position alone is left for the token."""
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
        """Each position's frame as a rotation."""
        return frames(self.phi[...])

    def logits(self, q: Belief) -> Float[Array, "batch time vocabulary"]:
        """Decoding: ``-KL(q || N(decode_v, I)) / tau`` of the top layer's beliefs and each token ``v``."""
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
        """Each token's part of the free energy of beliefs of shape (layer, batch, time, ...), not yet weighted.

        ``KL(q || prior)``, ``sum_j beta_ij KL(q_i || O_ij q_j)`` with ``beta_ij = softmax_j(-KL_ij / kappa)`` over the places
        before ``i``, and the cross-entropy of decoding. Others' beliefs are constants in the second: a place minimises its
        own free energy, and no earlier belief moves to make a later one easier to predict.

        Args:
            q: The beliefs.
            x: Input tokens.
            frame: What ``frame()`` returned.
            targets: One-hot target tokens, zero where there is none; None while targets are hidden.
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
        """The parts of the batch's free energy: each summed over tokens and weighted, the observation as configured."""
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
        """The weighted sum of the terms over all tokens of a batch."""
        return sum(self.weighted(self.terms(q, x, frame, targets)), start=jnp.zeros(()))


def _attended(kl: Float[Array, "*batch time key"], kappa: float, itself: bool = False) -> Float[Array, "*batch time"]:
    """``sum_j beta_ij KL_ij`` with ``beta_ij = softmax_j(-KL_ij / kappa)`` over ``j < i``, or ``j <= i`` with ``itself``.

    Nothing to attend to is no divergence.
    """
    mask = jnp.broadcast_to(jnp.tril(jnp.ones(kl.shape[-2:], bool), k=0 if itself else -1), kl.shape)
    # A softmax over nothing is 0/0, and so are its derivatives, even where the result is not used.
    beta = jax.nn.softmax(-kl / kappa, axis=-1, where=mask | ~jnp.any(mask, axis=-1, keepdims=True))
    return jnp.sum(jnp.where(mask, beta * kl, 0.0), axis=-1)
