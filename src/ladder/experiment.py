"""What can be trained, and how two such things are told apart."""

import dataclasses
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Experiment(Protocol):
    """Something that can be trained: a frozen dataclass whose fields are its components, in pure JAX.

    It knows nothing of seeds, rungs or pytest. ``init(key)`` returns the state (any pytree of arrays);
    ``epoch(state, key)`` trains for an epoch and returns the state and a dict: each scalar is a metric, evaluated after
    the epoch; each vector a trace with one number a step. ``metrics`` names the scalars.
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
        TypeError: if it is not a dataclass instance.
    """
    if not dataclasses.is_dataclass(experiment) or isinstance(experiment, type):
        raise TypeError(
            f"{experiment!r} is not a dataclass instance: make the experiment a frozen dataclass whose fields are its components"
        )
    flat: dict[str, Any] = {}
    for f in dataclasses.fields(experiment):
        value = getattr(experiment, f.name)
        flat[f.name] = value
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            flat |= {f"{f.name}.{name}": inner for name, inner in components(value).items()}
    return flat


def differences(one: object, other: object) -> dict[str, tuple[Any, Any]]:
    """Which components two experiments differ in: path to the pair of values.

    A nested dataclass of the same type on both sides is compared field by field; one of another type is a single
    component, however many fields it brings.
    """
    if type(one) is not type(other):
        return {"experiment": (type(one).__qualname__, type(other).__qualname__)}
    found: dict[str, tuple[Any, Any]] = {}
    for f in dataclasses.fields(one):  # type: ignore[arg-type]  # components() has refused what is no dataclass
        a, b = getattr(one, f.name), getattr(other, f.name)
        if type(a) is type(b) and dataclasses.is_dataclass(a):
            found |= {f"{f.name}.{path}": pair for path, pair in differences(a, b).items()}
        elif a != b:
            found[f.name] = (a, b)
    return found
