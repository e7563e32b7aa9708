"""Experiments: their form, their components, and the differences between two of them."""

import dataclasses
from numbers import Integral
from typing import Any, Protocol, runtime_checkable

from ladder.declare.traced import traced_components
from ladder.declare.values import MAX_DEPTH, contents, equal, fields_by_path, has_fields, is_too_deep, shortened

MAX_EPOCHS = 1_000_000  # all metrics of every epoch stay in memory
METHODS = ("init", "epoch", "inspect")  # names that no component may have


@runtime_checkable
class Experiment(Protocol):
    """Something that can be trained: a frozen dataclass whose fields are its components, in pure JAX.

    It does not depend on seeds, rungs or pytest. ``init(key)`` returns the state (any pytree of arrays);
    ``epoch(state, key)`` trains for an epoch and returns the state and a dict: each scalar is a metric, evaluated after
    the epoch; each vector is a trace with one number for each step. ``metrics`` names the scalars.

    The following are optional and add to the diagnosis of a failing rung: class attributes ``objective`` and ``reference``,
    the metric that is trained on and the one that shows whether the task is solved, both better the lower they are; traces of
    :func:`~ladder.inspection.step_traces`; the method of :class:`~ladder.inspection.Inspectable`. A class attribute
    ``pictures`` names the module that draws it, an :class:`~ladder.pictures.Artist`.

    A class attribute ``traced_components``, of the experiment or of a nested component, names fields that are numbers, such as
    ``("learning_rate",)``. They are arguments of the compiled program, not constants in it: experiments that differ in these
    numbers only are compiled once. Inside ``init`` and ``epoch`` they are arrays, so ``jnp.where`` takes the place of ``if``.
    """

    @property
    def epochs(self) -> int:
        """The number of epochs to train."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the scalars that ``epoch`` reports."""

    def init(self, key: Any) -> Any:
        """Return the untrained state."""

    def epoch(self, state: Any, key: Any) -> tuple[Any, Any]:
        """Return the state after one more epoch, and the metrics and traces of that epoch."""


def check_experiment(experiment: object) -> None:
    """Raise an error for an object that cannot be trained, as far as this is visible without training it.

    Raises:
        TypeError: for an object that is not an experiment.
        ValueError: for an experiment with a component, a number of epochs or a list of metrics that cannot be used.
    """
    if not isinstance(experiment, Experiment):
        raise TypeError(
            f"{shortened(experiment)} is not an experiment; it needs epochs, metrics, init(key) and epoch(state, key)"
        )
    for name in components(experiment):
        if name in METHODS:
            raise ValueError(f"component {name!r} hides the method {name}(); give the component another name")
    traced_components(experiment)
    for name in ("init", "epoch"):
        if not callable(method := getattr(experiment, name)):
            raise ValueError(
                f"{name}={shortened(method)}: make it a method, {name}({'state, ' * (name == 'epoch')}key)"
            )
    epochs, metrics = experiment.epochs, experiment.metrics
    if not isinstance(epochs, Integral) or isinstance(epochs, bool) or not 1 <= epochs <= MAX_EPOCHS:
        raise ValueError(f"epochs={shortened(epochs)}: give a whole number from 1 to {MAX_EPOCHS}")
    if not isinstance(metrics, tuple | list) or not metrics:
        example = (metrics,) if isinstance(metrics, str) and metrics else ("loss",)
        raise ValueError(f"metrics={shortened(metrics)}: give a tuple of names, such as {example!r}")
    for name in metrics:
        check_name(name)
        if metrics.count(name) > 1:
            raise ValueError(f"metrics={shortened(metrics)}: {name!r} occurs twice; name each metric once")


def check_name(name: object) -> None:
    """Raise a ValueError for a name that a metric or trace cannot have, because reports, files and terminals show it."""
    if not isinstance(name, str) or not name.isprintable() or name.strip() != name or not name:
        raise ValueError(
            f"{shortened(name)} cannot be the name of a metric or trace; give a string of printable characters without a "
            "space at either end"
        )


def components(experiment: object) -> dict[str, Any]:
    """Return the components of an experiment: its dataclass fields, nested ones by dotted path.

    Raises:
        TypeError: if it is not an instance of a frozen dataclass.
        ValueError: for a component that has no value or is nested too deeply.
    """
    if not (has_fields(experiment) and experiment.__dataclass_params__.frozen):  # type: ignore[attr-defined]
        raise TypeError(
            f"{shortened(experiment)} is not an instance of a frozen dataclass: make its components the fields of a "
            "@dataclass(frozen=True)"
        )
    for field in dataclasses.fields(experiment):  # type: ignore[arg-type]  # an instance of a dataclass
        if not hasattr(experiment, field.name):
            raise ValueError(f"component {field.name!r} has no value; give it a default or set it in __post_init__")
        if is_too_deep(getattr(experiment, field.name)):
            raise ValueError(
                f"component {field.name!r} contains itself, or is nested more than {MAX_DEPTH} levels deep; make it flatter"
            )
    return fields_by_path(experiment)


def differences(one: object, other: object) -> dict[str, tuple[Any, Any]]:
    """Return the components in which two experiments differ: path to the pair of values.

    Nested dataclasses are compared field by field. If their types differ, the type is one component, named after the field
    (or ``experiment``): it stands for all fields that only one of the types has. Fields that both have are still compared.

    Raises:
        TypeError: for two values that cannot be compared, naming the component.
    """
    differing: dict[str, tuple[Any, Any]] = {}
    if type(one) is not type(other):
        differing["experiment"] = (type(one).__qualname__, type(other).__qualname__)
    return differing | _differences(one, other, "")


def _differences(one: object, other: object, prefix: str) -> dict[str, tuple[Any, Any]]:
    differing: dict[str, tuple[Any, Any]] = {}
    others = contents(other) or {}
    for name, a in (contents(one) or {}).items():
        if name not in others:
            continue
        b, path = others[name], f"{prefix}{name}"
        if has_fields(a) and has_fields(b):
            if type(a) is not type(b):
                differing[path] = (a, b)
            differing |= _differences(a, b, f"{path}.")
            continue
        try:
            is_equal = equal(a, b)
        except TypeError as error:
            raise TypeError(f"component {path!r} cannot be compared: {error}") from error
        if not is_equal:
            differing[path] = (a, b)
    return differing


def changed(experiment: Any, component: str, value: Any) -> Any:
    """Return the experiment with one component, named by its dotted path, replaced."""
    field, _, rest = component.partition(".")
    inner = changed(getattr(experiment, field), rest, value) if rest else value
    return dataclasses.replace(experiment, **{field: inner})
