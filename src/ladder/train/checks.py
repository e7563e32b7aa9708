"""Checks of what an experiment's ``init`` and ``epoch`` return, made while JAX traces them."""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ladder.declare.experiment import Experiment, check_name


class RefusedError(ValueError):
    """An experiment's init or epoch returned what cannot be trained."""


def checked_init(experiment: Experiment) -> Callable[[Any], Any]:
    """Return the experiment's ``init``, refusing a state that cannot be trained."""

    @wraps(experiment.init)
    def init(key: Any) -> Any:
        __tracebackhide__ = True
        state = experiment.init(key)
        _forms(f"{type(experiment).__qualname__}.init()", state)
        return state

    return init


def checked_epoch(experiment: Experiment) -> Callable[[Any, Any], tuple[Any, dict[str, Any]]]:
    """Return the experiment's ``epoch``, refusing a report or a state of a form that cannot be trained."""
    who = type(experiment).__qualname__

    @wraps(experiment.epoch)
    def epoch(state: Any, key: Any) -> tuple[Any, dict[str, Any]]:
        __tracebackhide__ = True
        before = _forms(who, state)  # now, for it may be changed in place
        structure: object = jax.tree.structure(state)
        done: object = experiment.epoch(state, key)
        if not isinstance(done, tuple | list) or len(done) != 2:
            raise RefusedError(
                f"{who}.epoch() returns {_form(done)}; return two things, the state and a dict of metrics"
            )
        after, report = done
        if isinstance(report, Mapping):
            report = {name: _array_of(value) for name, value in report.items()}
        _check_report(who, report, experiment.metrics)
        _check_state(who, before, _forms(f"{who}.epoch()", after), structure == jax.tree.structure(after))
        return after, report

    return epoch


def _check_report(who: str, report: Any, metrics: Sequence[str]) -> None:
    __tracebackhide__ = True
    if not isinstance(report, Mapping):
        raise RefusedError(
            f"{who}.epoch() returns {_form(report)} beside the state; return a dict of metrics, such as "
            f"{{{metrics[0]!r}: {metrics[0]}}}"
        )
    for name, value in report.items():
        try:
            check_name(name)
        except ValueError as error:
            raise RefusedError(f"{who}.epoch(): {error}") from None
        if not _is_real(value) or np.ndim(value) > 1 or np.size(value) == 0:
            raise RefusedError(
                f"{who}.epoch() reports {name!r} as {_form(value)}; report a real scalar (a metric) or a vector of them, "
                "one a step (a trace)"
            )
    scalars = [name for name, value in report.items() if np.ndim(value) == 0]
    if set(scalars) != set(metrics):
        raise RefusedError(
            f"{who} declares the metrics {', '.join(metrics)} but epoch() reports the scalars "
            f"{', '.join(scalars) or '(none)'}; make them the same"
        )


def _check_state(who: str, before: dict[str, str], after: dict[str, str], alike: bool) -> None:
    __tracebackhide__ = True
    changes = [
        f"state{path} was {before.get(path, 'nothing')} and is {after.get(path, 'nothing')}"
        for path in {**before, **after}
        if before.get(path) != after.get(path)
    ]
    if not changes and not alike:
        changes = ["what it holds besides arrays is another"]
    if changes:
        more = f" (and {len(changes) - 1} more)" if len(changes) > 1 else ""
        raise RefusedError(
            f"{who}.epoch() returns a state of another form: {changes[0]}{more}; keep its structure, shapes and dtypes, for "
            "one program trains all epochs"
        )


def _forms(who: str, state: Any) -> dict[str, str]:
    """Return the form of every leaf of a state, by path."""
    __tracebackhide__ = True
    found = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(state)}
    for path, leaf in found.items():
        if not _is_array(leaf):
            raise RefusedError(
                f"{who} returns a state in which state{path} is {_form(leaf)}; a state holds arrays, make all else fields"
            )
    return {path: _form(leaf) for path, leaf in found.items()}


def _form(value: Any) -> str:
    """``float32[3]``, or what else it is."""
    if _is_array(value):
        return f"{jnp.result_type(value)}{list(np.shape(value))}"
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return "None" if value is None else f"an object of type {type(value).__qualname__}"


def _array_of(value: Any) -> Any:
    """Return the array that stands for a value, such as a variable of flax; where none does, the value."""
    convert = None if _is_array(value) else getattr(value, "__jax_array__", None)
    return convert() if convert else value


def _is_array(value: Any) -> bool:
    return isinstance(value, jax.Array | np.ndarray | np.generic | bool | int | float | complex)


def _is_real(value: Any) -> bool:
    return _is_array(value) and any(
        jnp.issubdtype(jnp.result_type(value), kind) for kind in (jnp.bool_, jnp.integer, jnp.floating)
    )
