"""What can be trained, how two such things are told apart, and how one is made of another."""

import dataclasses
from typing import Any, Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Experiment(Protocol):
    """Something that can be trained: a frozen dataclass whose fields are its components, in pure JAX.

    It knows nothing of seeds, rungs or pytest. ``init(key)`` returns the state (any pytree of arrays);
    ``epoch(state, key)`` trains for an epoch and returns the state and a dict: each scalar is a metric, evaluated after
    the epoch; each vector a trace with one number a step. ``metrics`` names the scalars.

    What else it may have makes a failing rung's diagnosis say more: class attributes ``objective`` and ``reference``, the
    metric that is trained on and the one that says whether the task is done, both better the lower they are; traces of
    :func:`~ladder.inspection.step_traces`; the method of :class:`~ladder.inspection.Inspectable`. A class attribute
    ``pictures`` names the module that draws it, an :class:`~ladder.pictures.Artist`.
    """

    @property
    def epochs(self) -> int:
        """How many epochs to train."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the scalars that ``epoch`` reports."""

    def init(self, key: Any) -> Any:
        """The untrained state."""

    def epoch(self, state: Any, key: Any) -> tuple[Any, Any]:
        """The state after one more epoch, and what was measured."""


def components(experiment: object) -> dict[str, Any]:
    """The components of an experiment: its dataclass fields, nested ones by dotted path.

    Raises:
        TypeError: if it is not an instance of a frozen dataclass.
    """
    if (
        not dataclasses.is_dataclass(experiment)
        or isinstance(experiment, type)
        or not experiment.__dataclass_params__.frozen  # type: ignore[attr-defined]  # set by every @dataclass
    ):
        raise TypeError(
            f"{experiment!r} is no frozen dataclass instance: make its components the fields of a @dataclass(frozen=True)"
        )
    flat: dict[str, Any] = {}
    for name, value in _fields(experiment).items():
        flat[name] = value
        if _is_component(value):
            flat |= {f"{name}.{path}": inner for path, inner in components(value).items()}
    return flat


def differences(one: object, other: object) -> dict[str, tuple[Any, Any]]:
    """Which components two experiments differ in: path to the pair of values.

    Nested dataclasses are compared field by field. Where the type itself differs, that is one component, named after the
    field (or ``experiment``), with all the fields that only one of the types has; fields of the same name still count.
    """
    found: dict[str, tuple[Any, Any]] = {}
    if type(one) is not type(other):
        found["experiment"] = (type(one).__qualname__, type(other).__qualname__)
    theirs = _fields(other)
    for name, a in _fields(one).items():
        if name not in theirs:
            continue
        b = theirs[name]
        if _is_component(a) and _is_component(b):
            if type(a) is not type(b):
                found[name] = (a, b)
            inner = {path: pair for path, pair in differences(a, b).items() if path != "experiment"}
            found |= {f"{name}.{path}": pair for path, pair in inner.items()}
        elif not _equal(a, b):
            found[name] = (a, b)
    return found


def changed(experiment: Any, component: str, value: Any) -> Any:
    """The experiment with one component, named by its dotted path, replaced."""
    field, _, inside = component.partition(".")
    inner = changed(getattr(experiment, field), inside, value) if inside else value
    return dataclasses.replace(experiment, **{field: inner})


def _fields(experiment: Any) -> dict[str, Any]:
    return {f.name: getattr(experiment, f.name) for f in dataclasses.fields(experiment)}


def _is_component(value: object) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _equal(a: Any, b: Any) -> bool:
    if hasattr(a, "__array__") or hasattr(b, "__array__"):
        return np.array_equal(a, b)
    return bool(a == b)
