"""A frozen configuration holds what its annotations say: a wrong value is refused where it is written, not where it is used."""

import math
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ladder.declare.values import shortened


def check_fields(configuration: Any, called: str = "") -> None:
    """Refuse a dataclass instance of which a field's value is not what the field is annotated as; for ``__post_init__``.

    Understood are ``bool``, ``int`` (any whole number), ``float`` (any finite number), ``Literal`` of strings, ``tuple[T, ...]``,
    ``Mapping[T, U]``, other classes and unions of these. ``called`` is what the message calls it; its class by default.

    Raises:
        ValueError: naming the first such value, and what to give instead.
    """
    kind: type = type(configuration)
    annotations = _annotations(kind)
    for field in fields(configuration):
        value = getattr(configuration, field.name)
        if not _allows(annotations[field.name], value):
            given = f"{field.name}={shortened(value)}"
            what = f"{called}: {given}" if called else f"{kind.__name__}({given})"
            raise ValueError(f"{what}: {_asked(annotations[field.name])}")


@cache
def _annotations(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


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


def _asked(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return f"choose one of {', '.join(map(repr, inner))}"
    return f"give {_name(annotation)}"


def _name(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return " or ".join(map(_name, inner))
    if origin is tuple:
        return f"a tuple, of each {_name(inner[0])}"
    if origin is Mapping:
        return f"a dict, from {_name(inner[0])} to {_name(inner[1])}"
    words = {bool: "True or False", int: "a whole number", float: "a finite number", str: "a string", NoneType: "None"}
    return words.get(annotation, f"{annotation.__name__}(...)")
