"""Traced components: numbers of an experiment that are arguments of its compiled program instead of constants in it."""

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from ladder.declare.values import PLAIN, cached_properties, contents, equal, fields_by_path, has_fields, shortened

ATTRIBUTE = "traced_components"


def traced_components(experiment: object) -> dict[str, Any]:
    """Return the numbers that the experiment and its components declare as traced, by dotted path.

    Raises:
        ValueError: for a declaration that is not a tuple of names of fields, for a field that is not a number, and for a
            declaration by a component inside a container, which has no path.
    """
    numbers: dict[str, Any] = {}
    name = type(experiment).__qualname__
    values = fields_by_path(experiment)
    for prefix, owner in {"": experiment, **values}.items():
        if not has_fields(owner) or ATTRIBUTE in {field.name for field in dataclasses.fields(owner)}:
            continue
        declared: object = getattr(owner, ATTRIBUTE, ())
        if not isinstance(declared, tuple) or not all(isinstance(path, str) for path in declared):
            raise ValueError(
                f"{type(owner).__qualname__}.{ATTRIBUTE}={shortened(declared)}: give a tuple of names of fields, such as "
                "('learning_rate',)"
            )
        for declared_path in declared:
            path = f"{prefix}.{declared_path}" if prefix else declared_path
            if path not in values:
                raise ValueError(
                    f"{type(owner).__qualname__}.{ATTRIBUTE} names {declared_path!r}, which is not a field; the fields are "
                    f"{', '.join(fields_by_path(owner))}"
                )
            if not isinstance(value := values[path], bool | int | float | np.bool_ | np.integer | np.floating):
                raise ValueError(
                    f"{name}: {ATTRIBUTE} names {path!r}, but {shortened(value)} is not a float, int or bool; leave it out"
                )
            numbers[path] = value
    for path, value in values.items():
        if not has_fields(value):
            _check_container(path, value, {})
    return numbers


def _check_container(path: str, value: Any, seen: dict[int, Any]) -> None:
    """Check that nothing in a container declares traced components, which would stay constants."""
    if id(value) in seen:
        return
    seen[id(value)] = value
    for inner in (contents(value) or {}).values():
        if has_fields(inner) and getattr(inner, ATTRIBUTE, None):
            raise ValueError(
                f"component {path!r} contains a {type(inner).__qualname__}, which declares {ATTRIBUTE}; only a field that is a "
                "dataclass itself can, so give it a field of its own, or leave the declaration out"
            )
        if type(inner) not in PLAIN:
            _check_container(path, inner, seen)


def with_components(experiment: Any, values: Mapping[str, Any]) -> Any:
    """Return a copy with these components replaced, by dotted path; no method runs and no cached property is copied."""
    copied = copy.copy(experiment)
    for name in cached_properties(copied):
        del vars(copied)[name]
    inner: dict[str, dict[str, Any]] = {}
    for path, value in values.items():
        field, _, rest = path.partition(".")
        if rest:
            inner.setdefault(field, {})[rest] = value
        else:
            object.__setattr__(copied, field, value)  # the dataclass is frozen
    for field, replaced in inner.items():
        object.__setattr__(copied, field, with_components(getattr(experiment, field), replaced))
    return copied


def differ_in_numbers_only(one: object, other: object) -> bool:
    """Return whether two experiments are of the same classes, with equal values in all but their traced components.

    Values must also have the same type, because 1 and 1.0 make different programs.
    """
    traced = traced_components(one)
    return traced.keys() == traced_components(other).keys() and _interchangeable(one, other, "", frozenset(traced), {})


def _interchangeable(
    one: Any, other: Any, path: str, traced: frozenset[str], pairs: dict[tuple[int, int], Any]
) -> bool:
    if type(one) is not type(other):
        return False
    if path in traced or (id(one), id(other)) in pairs:
        return True
    if type(one) in PLAIN:
        return repr(one) == repr(other)  # tells 0.0 from -0.0
    inner, others = _attributes(one), _attributes(other)
    if inner is None or others is None:
        try:
            return equal(one, other)
        except TypeError:
            return False
    pairs[id(one), id(other)] = one, other
    # Only fields of dataclasses have a path that can be declared; an index of a list cannot be mistaken for one.
    prefix = (f"{path}." if path else "") if has_fields(one) else f"{path}[]."
    return inner.keys() == others.keys() and all(
        _interchangeable(inner[name], others[name], f"{prefix}{name}", traced, pairs) for name in inner
    )


def _attributes(value: Any) -> dict[Any, Any] | None:
    """Return the contents of a value; for a dataclass also what its ``__post_init__`` has set besides the fields."""
    inner = contents(value)
    if inner is not None and has_fields(value) and hasattr(value, "__dict__"):
        cached = cached_properties(value)
        inner |= {name: each for name, each in vars(value).items() if name not in cached}
    return inner
