"""Experiments: their form, their components, and the differences between two of them."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from inspect import signature
from numbers import Integral
from typing import Any, Protocol, TypeAlias, runtime_checkable

from ladder.declare.traced import traced_components
from ladder.declare.values import (
    ABSENT,
    MAX_DEPTH,
    Configuration,
    contents,
    equal,
    fields_by_path,
    has_components,
    has_fields,
    is_too_deep,
    shortened,
)

MAX_EPOCHS = 1_000_000  # all metrics of every epoch stay in memory
METHODS = ("init", "epoch", "train", "inspect")  # names that no component may have


@runtime_checkable
class CompiledExperiment(Protocol):
    """An experiment in pure JAX: a frozen dataclass whose fields are its components. All seeds train in one compiled program.

    It does not depend on seeds, rungs or pytest. ``init(key)`` returns the state: a pytree, such as a model and its optimiser,
    of which training changes the arrays alone; ``epoch(state, key)`` trains for an epoch and returns the state and a dict:
    each scalar is a metric, evaluated after the epoch; each vector is a trace with one number for each step. ``metrics`` names
    the scalars.

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


@runtime_checkable
class HostExperiment(Protocol):
    """An experiment in any Python: a frozen dataclass whose fields are its components. Each seed trains in a worker process.

    ``train(seed)`` trains one seed and yields a mapping after every epoch, evaluated after it: each number is a metric; each
    vector is a trace with one number for each training step, the same number of steps in every epoch. Arrays may be those of
    NumPy, PyTorch or JAX. Under the names ``start`` and ``end`` it may yield an :class:`~ladder.inspection.Inspection` of the
    model before and after training; of several, the last one counts.

    The seed is a whole number below 2**32. A seed that raises an error fails, and the others go on. An attribute ``metrics``
    may name the metrics; without one they are those of the first report. ``objective`` and ``reference`` are as in a
    :class:`CompiledExperiment`.

    The instance is pickled, so its class is defined at the top level of a module.
    """

    @property
    def epochs(self) -> int:
        """The number of epochs to train."""

    def train(self, seed: int) -> Iterator[Mapping[str, Any]]:
        """Train one seed, and yield its metrics and traces after every epoch."""


Experiment: TypeAlias = CompiledExperiment | HostExperiment
"""Something that can be trained."""


def check_experiment(experiment: object) -> None:
    """Raise an error for an object that cannot be trained, as far as this is visible without training it.

    Raises:
        TypeError: for an object that is not an experiment.
        ValueError: for an experiment with a component, a number of epochs or a list of metrics that cannot be used.
    """
    if isinstance(experiment, type):
        raise TypeError(f"{experiment.__qualname__} is a class; give an instance of it, {experiment.__qualname__}()")
    if not isinstance(experiment, Experiment):
        raise TypeError(
            f"{shortened(experiment)} is not an experiment; it needs epochs and train(seed), or in JAX epochs, metrics, "
            "init(key) and epoch(state, key)"
        )
    host = is_host(experiment)
    own, other = (("train",), ("init", "epoch")) if host else (("init", "epoch"), ("train",))
    for name in components(experiment):
        if name in METHODS and name not in other:
            raise ValueError(f"component {name!r} hides the method {name}(); give the component another name")
    for name in own:
        arguments = {"init": "key", "epoch": "state, key", "train": "seed"}[name]
        if not callable(method := getattr(experiment, name)):
            raise ValueError(f"{name}={shortened(method)}: make it a method, {name}({arguments})")
        if not _takes(method, len(arguments.split(", "))):
            raise ValueError(
                f"{type(experiment).__qualname__}.{name}{signature(method)} cannot be called as {name}({arguments}); let it take "
                "these arguments"
            )
    if not host:
        traced_components(experiment)
    if (
        not isinstance(epochs := experiment.epochs, Integral)
        or isinstance(epochs, bool)
        or not 1 <= epochs <= MAX_EPOCHS
    ):
        raise ValueError(f"epochs={shortened(epochs)}: give a whole number from 1 to {MAX_EPOCHS}")
    _check_metrics(experiment)


def _takes(method: Callable[..., object], count: int) -> bool:
    """Return whether a method can be called with that many positional arguments, as far as its signature is known."""
    try:
        known = signature(method)
    except (TypeError, ValueError):
        return True
    try:
        known.bind(*range(count))
    except TypeError:
        return False
    return True


def is_host(experiment: object) -> bool:
    """Return whether an experiment trains in worker processes, and not in a compiled program."""
    return not isinstance(experiment, CompiledExperiment)


def declared_metrics(experiment: object) -> tuple[str, ...] | None:
    """Return the names of the metrics that an experiment declares; None if it declares none, as a host experiment may."""
    metrics = getattr(experiment, "metrics", None)
    return None if metrics is None else tuple(metrics)


def check_reported(metrics: Iterable[str], reported: Iterable[str]) -> None:
    """Check that an experiment has reported the metrics that a rung names; it may not have declared them.

    Raises:
        ValueError: for the first metric that it has not reported.
    """
    known = list(reported)
    for name in metrics:
        if name not in known:
            raise ValueError(
                f"the rung names the metric {name!r}, but the experiment reports {', '.join(known)}; name one of these"
            )


def _check_metrics(experiment: object) -> None:
    """Check the names of the metrics, and that those which a role is given to are among them."""
    metrics: object = getattr(experiment, "metrics", None)
    if metrics is None and is_host(experiment):
        return
    if not isinstance(metrics, tuple | list) or not metrics:
        example = (metrics,) if isinstance(metrics, str) and metrics else ("loss",)
        raise ValueError(f"metrics={shortened(metrics)}: give a tuple of names, such as {example!r}")
    for name in metrics:
        check_name(name)
        if metrics.count(name) > 1:
            raise ValueError(f"metrics={shortened(metrics)}: {name!r} occurs twice; name each metric once")
    for role in ("objective", "reference"):
        if (name := getattr(experiment, role, None)) is not None and name not in metrics:
            raise ValueError(
                f"{role}={shortened(name)} is not one of the metrics {', '.join(metrics)}; name one of them"
            )


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
    Configurations are compared entry by entry, those that only one of them has included.

    Raises:
        TypeError: for two values that cannot be compared, naming the component.
    """
    differing: dict[str, tuple[Any, Any]] = {}
    if type(one) is not type(other):
        differing["experiment"] = (type(one).__qualname__, type(other).__qualname__)
    return differing | _differences(one, other, "")


def _differences(one: object, other: object, prefix: str) -> dict[str, tuple[Any, Any]]:
    differing: dict[str, tuple[Any, Any]] = {}
    inner, others = contents(one) or {}, contents(other) or {}
    in_both = [name for name in inner if name in others]
    if isinstance(one, Configuration) and isinstance(other, Configuration):
        alone = {**inner, **others}.keys() - in_both
        differing |= {f"{prefix}{name}": (inner.get(name, ABSENT), others.get(name, ABSENT)) for name in sorted(alone)}
    for name in in_both:
        a, b, path = inner[name], others[name], f"{prefix}{name}"
        if has_components(a) and has_components(b):
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
    if isinstance(experiment, Configuration):
        return Configuration({**experiment, field: inner})
    return dataclasses.replace(experiment, **{field: inner})
