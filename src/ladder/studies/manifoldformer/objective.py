"""The training objective: a weighted sum of losses, written ``"fractional + 0.05 entropy"``."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from ladder.declare.fields import check_fields
from ladder.studies.manifoldformer import losses, regularisers, supervision
from ladder.studies.manifoldformer.data import Batch
from ladder.studies.manifoldformer.dynamics import Identity
from ladder.studies.manifoldformer.model import Model, Output
from ladder.studies.manifoldformer.sampling import Annealed, Learned

Term = Callable[[Output, Batch], Float[Array, "*batch"]]
TERM = re.compile(r"(?:(?P<weight>(?:\d+\.?\d*|\.\d+)(?:e-?\d+)?)\s*\*?\s*)?(?P<name>[a-z_]+)")


def _sigma(out: Output) -> Array:
    assert out.sigma is not None
    return out.sigma


def _rotation(out: Output) -> Array:
    assert out.rotation is not None
    return jnp.broadcast_to(out.rotation, (*out.sampled.shape[:-2], *out.rotation.shape[-2:]))


TERMS: Mapping[str, Term] = {
    "mse": lambda out, batch: losses.mse(out.signal, batch.target),
    "reconstruction": lambda out, batch: losses.mse(out.reconstruction, batch.clean),
    "log_magnitude": lambda out, batch: losses.log_magnitude(out.signal, batch.target),
    "phase": lambda out, batch: losses.phase(out.signal, batch.target),
    "spectral": lambda out, batch: losses.spectral(out.signal, batch.target),
    "energy_spectral": lambda out, batch: losses.energy_spectral(out.signal, batch.target),
    "fractional": lambda out, batch: losses.fractional(out.signal, batch.target),
    "fractional_magnitude": lambda out, batch: losses.fractional_log_magnitude(out.signal, batch.target),
    "fractional_phase": lambda out, batch: losses.fractional_phase(out.signal, batch.target),
    "entropy": lambda out, batch: regularisers.spectral_entropy(out.moved, spectrum="power"),
    "magnitude_entropy": lambda out, batch: regularisers.spectral_entropy(out.moved, spectrum="magnitude"),
    "kl": lambda out, batch: regularisers.kl(out.encoded, _sigma(out)),
    "isometry": lambda out, batch: regularisers.isometry(out.sampled, batch.clean),
    "smoothness": lambda out, batch: regularisers.smoothness(out.moved),
    "decorrelation": lambda out, batch: regularisers.decorrelation(out.moved),
    "orthogonality": lambda out, batch: regularisers.orthogonality(_rotation(out)),
    "oracle": lambda out, batch: supervision.oracle(out.sampled, batch.oracle),
    "procrustes": lambda out, batch: supervision.aligned(out.sampled, batch.oracle),
    "gram": lambda out, batch: supervision.gram(out.sampled, batch.oracle),
    "delay_gram": lambda out, batch: supervision.delay_gram(out.sampled, batch.clean),
    "consistency": lambda out, batch: supervision.consistency(out.moved, out.aligned),
}
"""The losses by the name that each has in an objective; each returns one number per sequence.

Entropy, smoothness and decorrelation are computed on the latent after the dynamics, as published. Isometry, and the losses
that compare the latent with the oracle or the signal, are computed on the sampled latent. Consistency compares the latent
before and after the dynamics.
"""


@dataclass(frozen=True, kw_only=True)
class Refine:
    """A second stage of training, align and then refine: from epoch ``after`` on, ``loss`` replaces the first objective.

    Source: the status document of the core, section 11, option C.

    Raises:
        ValueError: for less than one epoch before it, or a loss that cannot be read.
    """

    after: int
    loss: str

    def __post_init__(self) -> None:
        check_fields(self)
        if self.after < 1:
            raise ValueError(f"Refine(after={self.after}): choose at least 1 epoch of the first stage")
        weights(self.loss)


def weights(loss: str) -> dict[str, float]:
    """Parse an objective such as ``"fractional + 0.05 entropy"``; return its terms and their weights, in order.

    Raises:
        ValueError: for a term that cannot be read, is none of those there are, occurs twice, or has no positive weight.
    """
    terms: dict[str, float] = {}
    for part in loss.split("+"):
        term = TERM.fullmatch(part.strip())
        if term is None or term["name"] not in TERMS:
            raise ValueError(
                f"loss={loss!r}: {part.strip()!r} is not a term; write terms as '0.05 entropy', joined by '+', of "
                f"{', '.join(TERMS)}"
            )
        name, weight = term["name"], float(term["weight"] or 1.0)
        if name in terms or not 0.0 < weight < math.inf:
            raise ValueError(f"loss={loss!r}: give {name!r} one positive, finite weight")
        terms[name] = weight
    return terms


def check(loss: str, model: Model) -> None:
    """Raise an error if an objective is meaningless for this model.

    Raises:
        ValueError: for such an objective, with the reason.
    """
    terms = weights(loss)
    if "kl" in terms and (
        model.sampling is None or (model.latent == "sphere" and not isinstance(model.sampling, Learned))
    ):
        raise ValueError(
            f"loss={loss!r} with sampling={model.sampling!r} on a latent that is {model.latent}: the KL divergence is a constant "
            "of this model; sample with Learned(), or leave 'kl' out"
        )
    if "kl" in terms and isinstance(model.sampling, Annealed) and not model.sampling.end:
        raise ValueError(
            f"loss={loss!r} with sampling={model.sampling!r}: the KL divergence of no noise at all is infinite; end above 0, "
            "or leave 'kl' out"
        )
    if "consistency" in terms and isinstance(model.dynamics, Identity):
        raise ValueError(
            f"loss={loss!r} with dynamics=Identity(): nothing leads to the next point, so that the latent would be held still; "
            "choose Residual() or Flow(), or leave 'consistency' out"
        )
    if "orthogonality" in terms and model.alignment is None:
        raise ValueError(
            f"loss={loss!r} with alignment=None: there is no rotation to keep orthogonal; align with Static() or Dynamic(), or "
            "leave 'orthogonality' out"
        )


def evaluate(names: Mapping[str, object], out: Output, batch: Batch) -> dict[str, Float[Array, "*batch"]]:
    """Return these losses, one number per sequence."""
    return {name: TERMS[name](out, batch) for name in names}
