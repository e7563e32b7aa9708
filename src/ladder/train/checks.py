"""Checks of the values that an experiment's ``init`` and ``epoch`` return, made while JAX traces them."""

import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ladder.declare.experiment import CompiledExperiment, check_name
from ladder.declare.traced import traced_components
from ladder.declare.values import equal, shortened
from ladder.declare.values import is_array as is_other_array
from ladder.train.state import is_array

VALUE_NEEDED = (
    jax.errors.ConcretizationTypeError,
    jax.errors.NonConcreteBooleanIndexError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerBoolConversionError,
    jax.errors.TracerIntegerConversionError,
)
"""The errors that JAX raises for code which needs the values of arrays while it is traced."""


class InvalidExperimentError(ValueError):
    """An error for an ``init`` or ``epoch`` that returns a value which cannot be trained."""


def checked_init(experiment: CompiledExperiment) -> Callable[[Any], Any]:
    """Return the experiment's ``init`` with a check that its state can be trained."""

    @wraps(experiment.init)
    def init(key: Any) -> Any:
        __tracebackhide__ = True
        state = experiment.init(key)
        _leaves(f"{type(experiment).__qualname__}.init()", state)
        return state

    return init


def checked_epoch(experiment: CompiledExperiment) -> Callable[[Any, Any], tuple[Any, dict[str, Any]]]:
    """Return the experiment's ``epoch`` with a check of the report and of the state, whose form must not change."""
    name = type(experiment).__qualname__

    @wraps(experiment.epoch)
    def epoch(state: Any, key: Any) -> tuple[Any, dict[str, Any]]:
        __tracebackhide__ = True
        before = _leaves(name, state)  # before the call, which may change the state in place
        structure = jax.tree.structure(state)
        returned: object = experiment.epoch(state, key)
        if not isinstance(returned, tuple | list) or len(returned) != 2:
            raise InvalidExperimentError(
                f"{name}.epoch() returns {_form(returned)}; return two things, the state and a dict of metrics"
            )
        after, report = returned
        if isinstance(report, Mapping):
            report = {metric: _as_array(value) for metric, value in report.items()}
        _check_report(name, report, experiment.metrics)
        _check_state(
            name, before, _leaves(f"{name}.epoch()", after), _static_change(structure, jax.tree.structure(after))
        )
        return after, report

    return epoch


def value_needed(experiment: CompiledExperiment, error: BaseException) -> str:
    """Return a sentence on code that needs the value of an array while it is traced, with its place."""
    name = type(experiment).__qualname__
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_of_a_library(frame.filename)]
    where = f" ({frames[-1].filename}:{frames[-1].lineno}: {frames[-1].line})" if frames else ""
    traced = ", ".join(traced_components(experiment))
    hint = (
        f"; if it is a number among the traced components {traced}, take it out of traced_components" if traced else ""
    )
    is_value = type(error) in (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError)
    of_values = "compute with jax.numpy, and print with jax.debug.print"
    instead = of_values if is_value else "use jnp.where, jax.lax.cond or jax.lax.fori_loop"
    return (
        f"{name} cannot be compiled: it needs the value of an array before the program runs{where}; {instead}, or make it a "
        f"host experiment, with train(seed){hint}"
    )


def _is_of_a_library(file: str) -> bool:
    parts = Path(file).parts
    return "site-packages" in parts or "dist-packages" in parts or Path(file).is_relative_to(Path(__file__).parent)


def _check_report(experiment: str, report: Any, metrics: Sequence[str]) -> None:
    __tracebackhide__ = True
    if not isinstance(report, Mapping):
        raise InvalidExperimentError(
            f"{experiment}.epoch() returns {_form(report)} beside the state; return a dict of metrics, such as "
            f"{{{metrics[0]!r}: {metrics[0]}}}"
        )
    for name, value in report.items():
        try:
            check_name(name)
        except ValueError as error:
            raise InvalidExperimentError(f"{experiment}.epoch(): {error}") from None
        if not _is_real(value) or np.ndim(value) > 1 or np.size(value) == 0:
            raise InvalidExperimentError(
                f"{experiment}.epoch() reports {name!r} as {_form(value)}; report a real scalar (a metric) or a vector with "
                "one entry for each step (a trace)"
            )
    scalars = [name for name, value in report.items() if np.ndim(value) == 0]
    if set(scalars) != set(metrics):
        raise InvalidExperimentError(
            f"{experiment} declares the metrics {', '.join(metrics)} but epoch() reports the scalars "
            f"{', '.join(scalars) or '(none)'}; make them the same"
        )


def _check_state(experiment: str, before: dict[str, Any], after: dict[str, Any], static_change: str) -> None:
    __tracebackhide__ = True
    changes = [
        f"state{path} was {_form_at(before, path)} and is {_form_at(after, path)}"
        for path in {**before, **after}
        if not (path in before and path in after and _is_same_leaf(before[path], after[path]))
    ]
    if not changes and static_change:
        raise InvalidExperimentError(
            f"{experiment}.epoch() returns a state of a different form: {static_change}; keep everything besides arrays as it "
            "was: change a mode back before it returns, with model.train(), and count in an array"
        )
    if changes:
        more = f" (and {len(changes) - 1} more)" if len(changes) > 1 else ""
        raise InvalidExperimentError(
            f"{experiment}.epoch() returns a state of a different form: {changes[0]}{more}; keep its structure, shapes and "
            "dtypes: one program trains all epochs"
        )


def _leaves(source: str, state: Any) -> dict[str, Any]:
    """Return the leaves of a state by path: arrays by their form, because their values are traced, and all others themselves."""
    __tracebackhide__ = True
    leaves = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(state)}
    for path, leaf in leaves.items():
        if not is_array(leaf) and is_other_array(leaf):
            raise InvalidExperimentError(
                f"{source} returns a state in which state{path} is {_form(leaf)}, which JAX cannot train; use jnp.asarray"
            )
        if isinstance(leaf, np.ndarray | np.generic) and leaf.dtype.kind not in "biufcV":
            raise InvalidExperimentError(
                f"{source} returns a state in which state{path} is an array of dtype {leaf.dtype}; JAX computes with numbers, so "
                "leave it out, or give a list"
            )
        if type(leaf) is int and not _fits(leaf):
            raise InvalidExperimentError(
                f"{source} returns a state in which state{path} is {shortened(leaf)}, which an integer of JAX cannot hold; make "
                "it a float, or leave it out"
            )
    return {path: _ArrayForm(_form(leaf)) if is_array(leaf) else leaf for path, leaf in leaves.items()}


def _static_change(before: Any, after: Any) -> str:
    """Return the first part of a structure that has changed besides its leaves; empty if there is none."""
    if before == after:
        return ""
    kind: Any
    new_kind: Any
    (kind, data), (new_kind, new_data) = (each.node_data() or (None, None) for each in (before, after))
    if kind is not new_kind:
        return f"{getattr(kind, '__qualname__', 'a leaf')} has become {getattr(new_kind, '__qualname__', 'a leaf')}"
    if data != new_data:
        return f"{kind.__qualname__}{_first_change(data, new_data)}"
    inner = (_static_change(one, other) for one, other in zip(before.children(), after.children(), strict=False))
    return next(filter(None, inner), f"{kind.__qualname__} has other entries")


def _first_change(before: Any, after: Any, names: Any = ()) -> str:
    """Return the first difference between the static data of a node, with the attribute's name where flax nnx gives it."""
    if not (type(before) is type(after) is tuple and len(before) == len(after)):
        return f" was made with {shortened(before, 60)} and has now {shortened(after, 60)}"
    pairs = zip(before, after, strict=True)
    place, one, other = next((place, one, other) for place, (one, other) in enumerate(pairs) if one != other)
    if names:
        return f".{names[place]} was {shortened(one, 60)} and is {shortened(other, 60)}"
    is_nnx = place == 2 and isinstance(one, tuple) and isinstance(before[1], tuple) and len(before[1]) == len(one)
    return _first_change(one, other, before[1] if is_nnx else ())


def _fits(number: int) -> bool:
    limits = jnp.iinfo(jnp.result_type(int))
    return int(limits.min) <= number <= int(limits.max)


class _ArrayForm(str):
    """The form of an array, such as ``float32[3]``."""


def _is_same_leaf(before: Any, after: Any) -> bool:
    if isinstance(before, _ArrayForm) or isinstance(after, _ArrayForm):
        return type(before) is type(after) and bool(before == after)
    try:
        return equal(before, after)
    except TypeError:
        return False


def _form_at(leaves: dict[str, Any], path: str) -> str:
    leaf = leaves.get(path, _ArrayForm("nothing"))
    return leaf if isinstance(leaf, _ArrayForm) else shortened(leaf)


def _form(value: Any) -> str:
    """Describe a value: ``float32[3]`` for an array, else its type."""
    if is_array(value):
        return f"{jnp.result_type(value)}{list(np.shape(value))}"
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return "None" if value is None else f"an object of type {type(value).__qualname__}"


def _as_array(value: Any) -> Any:
    """Return the array that a value wraps, as a variable of flax does; the value itself if it wraps none."""
    convert = None if is_array(value) else getattr(value, "__jax_array__", None)
    return convert() if convert else value


def _is_real(value: Any) -> bool:
    return is_array(value) and any(
        jnp.issubdtype(jnp.result_type(value), kind) for kind in (jnp.bool_, jnp.integer, jnp.floating)
    )
