"""A check of configurations: a value that does not fit its annotation raises an error where the configuration is written."""

import math
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ladder.declare.values import shortened


def check_fields(configuration: Any, label: str = "") -> None:
    """Check that the fields of a dataclass instance have the types of their annotations; to be called in ``__post_init__``.

    Supported annotations are ``bool``, ``int`` (any whole number), ``float`` (any finite number), ``Literal`` of strings,
    ``tuple[T, ...]``, ``Mapping[T, U]``, other classes and unions of these.

    Args:
        configuration: The dataclass instance.
        label: The name of the instance in the message; by default its class.

    Raises:
        ValueError: with the first wrong value, and what to give instead.
    """
    cls: type = type(configuration)
    annotations = _annotations(cls)
    for field in fields(configuration):
        value = getattr(configuration, field.name)
        if label:
            check_argument(label, field.name, value, annotations[field.name])
        elif not _allows(annotations[field.name], value):
            given = f"{field.name}={shortened(value)}"
            raise ValueError(f"{cls.__name__}({given}): {_advice(annotations[field.name])}")


def check_argument(label: str, name: str, value: object, annotation: Any) -> None:
    """Check that an argument has the type of its annotation, one of those that :func:`check_fields` supports.

    Raises:
        ValueError: with the value, and what to give instead.
    """
    if not _allows(annotation, value):
        raise ValueError(f"{label}: {name}={shortened(value)}: {_advice(annotation)}")


@cache
def _annotations(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _allows(annotation: Any, value: object) -> bool:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return isinstance(value, str) and value in inner
    if origin in (Union, UnionType):
        return any(_allows(one, value) for one in inner)
    if origin is tuple:
        return isinstance(value, tuple) and all(_allows(inner[0], one) for one in value)
    if origin is Mapping:
        return isinstance(value, Mapping) and all(
            _allows(inner[0], name) and _allows(inner[1], one) for name, one in value.items()
        )
    if annotation in (int, float) and isinstance(value, bool):
        return False
    if annotation is int:
        return isinstance(value, Integral)
    if annotation is float:
        return isinstance(value, Real) and math.isfinite(value)
    return isinstance(value, annotation)


def _advice(annotation: Any) -> str:
    """Return a clause on what to give for an annotation."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return f"choose one of {', '.join(map(repr, inner))}"
    return f"give {_name(annotation)}"


def _name(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return " or ".join(map(_name, inner))
    if origin is tuple:
        return f"a tuple, each entry {_name(inner[0])}"
    if origin is Mapping:
        return f"a dict, from {_name(inner[0])} to {_name(inner[1])}"
    words = {bool: "True or False", int: "a whole number", float: "a finite number", str: "a string", NoneType: "None"}
    return words.get(annotation, f"{annotation.__name__}(...)")
