"""Numbers from inside an experiment: traces at every training step, and an inspection of one batch before and after training.

Both are pure functions of arrays, for use inside compiled code; :mod:`ladder.diagnose.diagnosis` reads what they return. An
inspection may also have arrays of NumPy. JAX is an optional dependency, so the functions that need it import it themselves.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from ladder.declare.arrays import Float

Array: TypeAlias = Any
"""An array of NumPy or JAX."""

SAMPLES = 256  # at most, between which distances are computed
SHIFTS = 3  # largest shift, in samples, at which a prediction is compared with its target


def step_traces(*, stages: Mapping[str, Array], params: Any, gradient: Any, update: Any) -> dict[str, Float[Array, ""]]:
    """Return one training step in numbers: the RMS of each stage, and norms by parameter group.

    A group is a module: the kernel and the bias of a layer count as one, named by the path to it, ``encoder.hidden``. When the
    experiment's scan stacks these numbers and the experiment reports them, each becomes a trace. The names sort in the order
    of the data flow: ``stage/0/input``, ``stage/1/...``, then ``gradient/<group>``, ``update/<group>`` and ``weight/<group>``.

    >>> import jax, jax.numpy as jnp
    >>> x, params = jnp.ones((8, 20, 3)), {"encoder": {"kernel": jnp.ones((3, 2)), "bias": jnp.zeros(2)}}
    >>> gradient = update = jax.tree.map(jnp.ones_like, params)
    >>> traces = step_traces(stages={"input": x}, params=params, gradient=gradient, update=update)
    >>> {name: round(float(value), 2) for name, value in traces.items()}
    {'stage/0/input': 1.0, 'gradient/encoder': 2.83, 'update/encoder': 2.83, 'weight/encoder': 2.45}

    Args:
        stages: The intermediate results of the forward pass, by name, in its order; arrays of any shape.
        params: The parameters after the step, a pytree.
        gradient: The gradient of the loss with respect to them, the same pytree.
        update: The change that the step added to them, the same pytree.

    Raises:
        ValueError: for a stage without entries.
    """
    traces = {name: _rms(stage) for name, stage in numbered(stages).items()}
    for kind, tree in (("gradient", gradient), ("update", update), ("weight", params)):
        traces |= {f"{kind}/{group}": _norm(*leaves) for group, leaves in _groups(tree).items()}
    return traces


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """A batch on its way through the model, and its target.

    Attributes:
        stages: The intermediate results of the forward pass, by name, in its order.
        prediction: The model's output.
        target: The value that the model should predict; its mean squared error is also computed at shifted times, so time must
            be an axis.
        latent: The name of the stage that is the latent; None if there is none.
        noise: The length of the noise that sampling adds, in the latent or the tangent space; None without sampling.
        radius: The radius of the manifold, in the same unit; None for a flat latent.
    """

    stages: Mapping[str, Float[Array, "... _"]]
    prediction: Float[Array, "*batch time channel"]
    target: Float[Array, "*batch time channel"]
    latent: str | None = None
    noise: Float[Array, "*batch time"] | None = None
    radius: float | None = None


@runtime_checkable
class Inspectable(Protocol):
    """An experiment with an inspection method, which is called for every seed before and after training."""

    def inspect(self, state: Any, key: Any) -> Inspection:
        """Run a batch of the experiment's own choice through the model in this state, in pure JAX."""


def summarise(inspection: Inspection) -> dict[str, Array]:
    """Summarise an inspection in small arrays of fixed shape, of the same library; for use inside compiled code, too.

    The keys are:

    - ``stage/<i>/<name>/`` followed by ``shape``, ``mean``, ``rms``, ``min`` and ``max``, for each stage, and by ``constant``:
      the share of its units, which are its last axis, with one value everywhere. ``prediction/`` and ``target/`` likewise.
    - ``latent/spectrum``: the eigenvalues of the latent's covariance over batch and time, the largest first. ``latent/rank``:
      their :func:`effective_rank`. ``latent/variance``: their sum over the mean square of a point, in [0, 1].
    - ``target/rank``: the effective rank of the target's covariance. ``target/dependence``: the :func:`distance_correlation` of
      the first stage and the target, whose first axes are samples; NaN if they differ in length.
    - ``prediction/amplitude``: the standard deviation of the prediction over that of the target. ``prediction/correlation``:
      Pearson's coefficient. Both are NaN where the target is constant.
    - ``prediction/shifted``: the mean squared errors of ``p[t]`` against ``y[t + s]`` for ``s = -k ... k`` with
      ``k = min(3, (time - 1) // 2)``, all over the times that every shift leaves.
    - ``noise/length``: the mean length of the noise. ``noise/radius``: the radius, infinite for a flat latent.

    Raises:
        ValueError: if ``latent`` is not one of the stages, a stage has no entries, or prediction and target differ in shape or
            have no time axis.
    """
    p, y = inspection.prediction, inspection.target
    if p.shape != y.shape or p.ndim < 2:
        raise ValueError(
            f"an inspection's prediction {p.shape} and target {y.shape} must have the same shape, (..., time, channel)"
        )
    if inspection.latent is not None and inspection.latent not in inspection.stages:
        raise ValueError(f"latent={inspection.latent!r} is not one of the stages {', '.join(inspection.stages)}")
    with np.errstate(all="ignore"):  # what is not finite is NaN or infinite in the summary
        summary: dict[str, Array] = {}
        for name, stage in numbered(inspection.stages).items():
            summary |= _tensor_summary(name, stage)
        if inspection.latent is not None:
            summary |= _latent_summary(inspection.stages[inspection.latent])
        summary |= _tensor_summary("prediction", p) | _tensor_summary("target", y)
        summary["target/rank"] = effective_rank(covariance_spectrum(y))
        summary["target/dependence"] = _dependence(next(iter(inspection.stages.values()), y), y)
        summary |= _prediction_summary(p, y)
        if inspection.noise is not None:
            xp = _namespace(inspection.noise)
            summary["noise/length"] = xp.mean(inspection.noise)
            summary["noise/radius"] = xp.asarray(xp.inf if inspection.radius is None else inspection.radius)
    return summary


def _tensor_summary(name: str, x: Array) -> dict[str, Array]:
    xp = _namespace(x)
    units = x.reshape(-1, x.shape[-1] if x.ndim else 1)
    return {
        f"{name}/shape": xp.asarray(x.shape),
        f"{name}/mean": xp.mean(x),
        f"{name}/rms": _rms(x),
        f"{name}/min": xp.min(x),
        f"{name}/max": xp.max(x),
        f"{name}/constant": xp.mean(xp.asarray(xp.all(units == units[:1], axis=0), xp.float32)),
    }


def _latent_summary(z: Float[Array, "*batch time dim"]) -> dict[str, Array]:
    xp = _namespace(z)
    spectrum = covariance_spectrum(z)
    mean_square = xp.mean(xp.sum(z * z, axis=-1))
    return {
        "latent/spectrum": spectrum,
        "latent/rank": effective_rank(spectrum),
        "latent/variance": xp.sum(spectrum) / xp.where(mean_square > 0.0, mean_square, 1.0),
    }


def _prediction_summary(
    p: Float[Array, "*batch time channel"], y: Float[Array, "*batch time channel"]
) -> dict[str, Array]:
    xp = _namespace(p)
    p_size, y_size = xp.std(p), xp.std(y)
    size_or_nan = xp.where(y_size > 0.0, y_size, xp.nan)
    covariance = xp.mean((p - xp.mean(p)) * (y - xp.mean(y)))
    return {
        "prediction/amplitude": p_size / size_or_nan,
        "prediction/correlation": covariance / (size_or_nan * xp.where(p_size > 0.0, p_size, 1.0)),
        "prediction/shifted": _shifted(p, y),
    }


def covariance_spectrum(z: Float[Array, "*batch dim"]) -> Float[Array, " dim"]:
    """Return the eigenvalues of the covariance of the points ``z``, the largest first.

    >>> covariance_spectrum(np.array([[-1.0, 0.0], [1.0, 0.0]])).tolist()
    [1.0, 0.0]
    """
    xp = _namespace(z)
    points = z.reshape(-1, z.shape[-1])
    centred = points - xp.mean(points, axis=0, keepdims=True)
    covariance = centred.T @ centred / len(points)
    if xp is np and not np.isfinite(covariance).all():  # JAX returns NaN, but NumPy raises an error or returns anything
        return np.full_like(covariance[0], np.nan)
    return xp.maximum(xp.linalg.eigvalsh(covariance)[::-1], 0.0)


def effective_rank(spectrum: Float[Array, " dim"]) -> Float[Array, ""]:
    """Compute ``exp(-sum p log p)`` of the shares ``p`` of a spectrum: ``r`` for ``r`` equal eigenvalues, 0 for none.

    >>> round(float(effective_rank(np.array([2.0, 2.0, 0.0]))), 4)
    2.0

    Source: Roy and Vetterli, *The effective rank: a measure of effective dimensionality* (2007), applied to the covariance
    matrix, whose singular values are its eigenvalues.
    """
    xp = _namespace(spectrum)
    total = xp.sum(spectrum)
    share = spectrum / xp.where(total > 0.0, total, 1.0)
    entropy = -xp.sum(xp.where(share > 0.0, share * xp.log(xp.where(share > 0.0, share, 1.0)), 0.0))
    return xp.where(total > 0.0, xp.exp(entropy), total)


def distance_correlation(x: Float[Array, "sample ..."], y: Float[Array, "sample ..."]) -> Float[Array, ""]:
    """Compute the distance correlation of paired samples: near 0 if they are independent, 1 if one is a multiple of the other.

    >>> x = np.array([[0.0], [1.0], [2.0]])
    >>> round(float(distance_correlation(x, 3.0 * x)), 4)
    1.0

    Source: Szekely, Rizzo and Bakirov, *Measuring and testing dependence by correlation of distances* (2007).
    """
    xp = _namespace(x)
    a, b = _centred_distances(x), _centred_distances(y)
    size = xp.sqrt(xp.sum(a * a) * xp.sum(b * b))
    return xp.where(size > 0.0, xp.sqrt(xp.maximum(xp.sum(a * b), 0.0) / xp.where(size > 0.0, size, 1.0)), 0.0)


def _centred_distances(x: Float[Array, "sample ..."]) -> Float[Array, "sample sample"]:
    xp = _namespace(x)
    points = x.reshape(x.shape[0], -1)
    points = points - xp.mean(points, axis=0, keepdims=True)
    products = points @ points.T
    squares = xp.diagonal(products)
    distances = xp.sqrt(xp.maximum(squares[:, None] + squares[None, :] - 2.0 * products, 0.0))
    rows = xp.mean(distances, axis=0, keepdims=True)
    return distances - rows - rows.T + xp.mean(distances)


def _dependence(x: Array, y: Array) -> Float[Array, ""]:
    xp = _namespace(y)
    if x.ndim == 0 or x.shape[0] != y.shape[0]:
        return xp.asarray(xp.nan)
    return distance_correlation(x[:SAMPLES], y[:SAMPLES])


def _shifted(p: Float[Array, "*batch time channel"], y: Float[Array, "*batch time channel"]) -> Float[Array, " shift"]:
    xp = _namespace(p)
    time = p.shape[-2]
    k = min(SHIFTS, (time - 1) // 2)
    inner = p[..., k : time - k, :]
    return xp.stack([xp.mean((inner - y[..., k + s : time - k + s, :]) ** 2) for s in range(-k, k + 1)])


def numbered(stages: Mapping[str, Array]) -> dict[str, Array]:
    """Return stages under names that sort in data-flow order: JAX sorts the keys of what a compiled function returns.

    >>> numbered({"input": np.ones(3), "encoder": np.ones(2)})
    {'stage/0/input': array([1., 1., 1.]), 'stage/1/encoder': array([1., 1.])}

    Raises:
        ValueError: for a stage without entries, which has neither an RMS nor a mean.
    """
    for name, stage in stages.items():
        if 0 in np.shape(stage):
            raise ValueError(
                f"stage {name!r} has the shape {stage.shape}, without entries; leave it out, or mend the model"
            )
    digits = len(str(max(len(stages) - 1, 0)))
    return {f"stage/{i:0{digits}}/{name}": stage for i, (name, stage) in enumerate(stages.items())}


def _groups(tree: Any) -> dict[str, list[Array]]:
    import jax  # see the docstring of the module

    groups: dict[str, list[Array]] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        # An nnx.Variable is a node of its own, with its array at the attribute ``value``.
        keys = path[:-1] if path and path[-1] == jax.tree_util.GetAttrKey("value") else path
        group = jax.tree_util.keystr(keys[:-1] or keys, simple=True, separator=".")
        groups.setdefault(group or "params", []).append(leaf)
    return groups


def _norm(*arrays: Array) -> Float[Array, ""]:
    """Return the Euclidean norm of all entries, scaled so that squares neither overflow nor underflow: finite if they are."""
    xp = _namespace(arrays[0])
    entries = xp.concatenate([a.ravel() for a in arrays])
    largest = xp.max(xp.abs(entries))
    scaled = entries / xp.where(largest > 0.0, largest, 1.0)
    return largest * xp.sqrt(xp.vdot(scaled, scaled))  # on a CPU, XLA computes a product faster than a sum of squares


def _rms(x: Array) -> Float[Array, ""]:
    xp = _namespace(x)
    return _norm(x) / xp.sqrt(xp.asarray(x.size, x.dtype))


def _namespace(x: Array) -> Any:
    """Return the module with the functions for an array, as the Python array API standard defines it.

    Raises:
        TypeError: for an object that has none, such as a tensor of PyTorch.
    """
    if not hasattr(x, "__array_namespace__"):
        raise TypeError(
            f"an inspection has a value of type {type(x).__qualname__}; give arrays of NumPy or JAX, such as "
            "x.detach().cpu().numpy()"
        )
    return x.__array_namespace__()
