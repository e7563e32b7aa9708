"""What an experiment tells of its own inside: traces at every step, and a look at one batch when a rung has failed.

Both are pure functions of arrays, for use inside compiled code; :mod:`ladder.diagnose.diagnosis` reads what they return.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import Array

from ladder.declare.arrays import Float

SHIFTS = 3  # samples to either side at which a prediction is compared with its target


def step_traces(*, stages: Mapping[str, Array], params: Any, gradient: Any, update: Any) -> dict[str, Float[Array, ""]]:
    """One training step in numbers: the RMS of each stage, and norms by parameter group.

    A group is a module: the kernel and the bias of a layer count as one, named by the path to it, ``encoder.hidden``.
    Stacked by the experiment's scan and reported, each number becomes a trace. Names order themselves as data flows:
    ``stage/0/input``, ``stage/1/...``, then ``gradient/<group>``, ``update/<group>`` and ``weight/<group>``.

    Args:
        stages: What the forward pass computed, by name, in its order; arrays of any shape.
        params: The parameters after the step, a pytree.
        gradient: The loss's gradient in them, the same pytree.
        update: What the step added to them, the same pytree.
    """
    traces = {name: _rms(stage) for name, stage in _numbered(stages).items()}
    for kind, tree in (("gradient", gradient), ("update", update), ("weight", params)):
        traces |= {f"{kind}/{group}": _norm(*leaves) for group, leaves in _groups(tree).items()}
    return traces


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """One batch on its way through the model, and what it should have become.

    Attributes:
        stages: What the forward pass computed, by name, in its order.
        prediction: What the model predicts.
        target: What it should predict; its mean squared error is also taken at other times, so time must be an axis.
        latent: Which of the stages is the latent; None where there is none.
        noise: Length of the noise that sampling adds, in the latent or the tangent space; None where nothing is sampled.
        radius: Radius of the manifold, in the same unit; None for a flat latent.
    """

    stages: Mapping[str, Float[Array, "*batch time dim"]]
    prediction: Float[Array, "*batch time channel"]
    target: Float[Array, "*batch time channel"]
    latent: str | None = None
    noise: Float[Array, "*batch time"] | None = None
    radius: float | None = None


@runtime_checkable
class Inspectable(Protocol):
    """An experiment that can be looked into; asked of one only when its rung has failed."""

    def inspect(self, state: Any, key: Any) -> Inspection:
        """A batch of the experiment's own choosing through the model in this state, in pure JAX."""


def summarise(inspection: Inspection) -> dict[str, Array]:
    """An inspection in small arrays of fixed shape, for use inside compiled code.

    ``stage/<i>/<name>/`` ``shape``, ``mean``, ``rms``, ``min`` and ``max`` of each stage; of the latent's covariance over
    batch and time ``latent/spectrum``, its eigenvalues, the largest first, ``latent/rank``, their
    :func:`effective_rank`, and ``latent/variance``, their sum over the mean square of a point, in [0, 1]; ``target/rank``
    likewise. ``prediction/amplitude``, the standard deviation of prediction over target; ``prediction/correlation``,
    Pearson's; both NaN where the target is constant. ``prediction/shifted``, the mean squared errors of ``p[t]`` against
    ``y[t + s]`` for ``s = -k ... k`` with ``k = min(3, (time - 1) // 2)``, all over the times that every shift leaves.
    ``noise/length``, the mean, and ``noise/radius``, infinite for a flat latent.

    Raises:
        ValueError: if ``latent`` is none of the stages, or prediction and target differ in shape or have no time axis.
    """
    p, y = inspection.prediction, inspection.target
    if p.shape != y.shape or p.ndim < 2:
        raise ValueError(
            f"an inspection's prediction {p.shape} and target {y.shape} must be alike, (..., time, channel)"
        )
    if inspection.latent is not None and inspection.latent not in inspection.stages:
        raise ValueError(f"latent={inspection.latent!r} is none of the stages {', '.join(inspection.stages)}")
    found: dict[str, Array] = {}
    for name, x in _numbered(inspection.stages).items():
        found |= {
            f"{name}/shape": jnp.asarray(x.shape),
            f"{name}/mean": jnp.mean(x),
            f"{name}/rms": _rms(x),
            f"{name}/min": jnp.min(x),
            f"{name}/max": jnp.max(x),
        }
    if inspection.latent is not None:
        z = inspection.stages[inspection.latent]
        spectrum = covariance_spectrum(z)
        mean_square = jnp.mean(jnp.sum(z * z, axis=-1))
        found["latent/spectrum"] = spectrum
        found["latent/rank"] = effective_rank(spectrum)
        found["latent/variance"] = jnp.sum(spectrum) / jnp.where(mean_square > 0.0, mean_square, 1.0)
    found["target/rank"] = effective_rank(covariance_spectrum(y))
    p_size, y_size = jnp.std(p), jnp.std(y)
    known = jnp.where(y_size > 0.0, y_size, jnp.nan)
    covariance = jnp.mean((p - jnp.mean(p)) * (y - jnp.mean(y)))
    found["prediction/amplitude"] = p_size / known
    found["prediction/correlation"] = covariance / (known * jnp.where(p_size > 0.0, p_size, 1.0))
    found["prediction/shifted"] = _shifted(p, y)
    if inspection.noise is not None:
        found["noise/length"] = jnp.mean(inspection.noise)
        found["noise/radius"] = jnp.asarray(jnp.inf if inspection.radius is None else inspection.radius)
    return found


def covariance_spectrum(z: Float[Array, "*batch dim"]) -> Float[Array, " dim"]:
    """Eigenvalues of the covariance of the points ``z``, the largest first."""
    points = z.reshape(-1, z.shape[-1])
    centred = points - jnp.mean(points, axis=0, keepdims=True)
    return jnp.maximum(jnp.linalg.eigvalsh(centred.T @ centred / len(points))[::-1], 0.0)


def effective_rank(spectrum: Float[Array, " dim"]) -> Float[Array, ""]:
    """``exp(-sum p log p)`` of the shares ``p`` of a spectrum: ``r`` for ``r`` equal eigenvalues, 0 for none.

    Source: Roy and Vetterli, *The effective rank: a measure of effective dimensionality* (2007), of the covariance matrix,
    whose singular values are its eigenvalues.
    """
    total = jnp.sum(spectrum)
    share = spectrum / jnp.where(total > 0.0, total, 1.0)
    entropy = -jnp.sum(jnp.where(share > 0.0, share * jnp.log(jnp.where(share > 0.0, share, 1.0)), 0.0))
    return jnp.where(total > 0.0, jnp.exp(entropy), total)


def _shifted(p: Float[Array, "*batch time channel"], y: Float[Array, "*batch time channel"]) -> Float[Array, " shift"]:
    time = p.shape[-2]
    k = min(SHIFTS, (time - 1) // 2)
    inner = p[..., k : time - k, :]
    return jnp.stack([jnp.mean((inner - y[..., k + s : time - k + s, :]) ** 2) for s in range(-k, k + 1)])


def _numbered(stages: Mapping[str, Array]) -> dict[str, Array]:
    """The stages under names that sort as data flows: JAX sorts the keys of what leaves a compiled function."""
    digits = len(str(max(len(stages) - 1, 0)))
    return {f"stage/{i:0{digits}}/{name}": stage for i, (name, stage) in enumerate(stages.items())}


def _groups(tree: Any) -> dict[str, list[Array]]:
    groups: dict[str, list[Array]] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        # An nnx.Variable is a node of its own, with its array at the attribute ``value``.
        keys = path[:-1] if path and path[-1] == jax.tree_util.GetAttrKey("value") else path
        group = jax.tree_util.keystr(keys[:-1] or keys, simple=True, separator=".")
        groups.setdefault(group or "params", []).append(leaf)
    return groups


def _norm(*arrays: Array) -> Float[Array, ""]:
    """Euclidean norm of all entries, scaled so that squares neither overflow nor vanish: finite entries, finite norm."""
    largest = jnp.max(jnp.stack([jnp.max(jnp.abs(a)) for a in arrays]))
    unit = jnp.where(largest > 0.0, largest, 1.0)
    return largest * jnp.sqrt(sum((jnp.sum((a / unit) ** 2) for a in arrays), start=jnp.zeros(())))


def _rms(x: Array) -> Float[Array, ""]:
    return _norm(x) / jnp.sqrt(jnp.asarray(x.size, x.dtype))
