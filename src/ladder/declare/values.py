"""Values of components: what lies inside them, whether two are the same, and how one is shown on a line."""

import dataclasses
from collections.abc import Mapping
from numbers import Number
from typing import Any

import numpy as np

DEEPEST = 100
PLAIN = {type(None), bool, int, float, complex, str, bytes}
DEPTH, MANY, LENGTH = 4, 24, 200  # of what is shown: levels, entries of each, characters of each


def inside(value: Any) -> dict[Any, Any] | None:
    """Return what a mapping, sequence, set, dataclass instance or array of objects holds, by name; None for anything else."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, list | tuple | set | frozenset):
        return dict(enumerate(value))
    if isinstance(value, np.ndarray) and value.dtype == object:
        return dict(np.ndenumerate(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: getattr(value, name) for name in names if hasattr(value, name)}
    return None


def is_too_deep(value: Any) -> bool:
    """Return whether values are nested deeper than ``DEEPEST``, as they are in one that contains itself."""
    done: dict[int, Any] = {}  # the values themselves are kept, for an id lasts as long as its value

    def visit(value: Any, depth: int) -> bool:
        if id(value) in done or (held := inside(value)) is None:
            return False
        if depth == DEEPEST:
            return True
        if any(type(inner) not in PLAIN and visit(inner, depth + 1) for inner in held.values()):
            return True
        done[id(value)] = value
        return False

    return visit(value, 0)


def same(one: Any, other: Any) -> bool:
    """Return whether two values are the same, NaN and arrays inside them included.

    Containers and dataclasses are compared by what they hold, arrays by dtype, shape and entries, tables by their method
    ``equals``, and everything else by ``==``.

    Raises:
        TypeError: if ``==`` raises or returns something other than True or False.
    """
    if one is other:
        return True
    if type(one) is type(other) and type(one) in PLAIN:
        return bool(one == other or (one != one and other != other))
    if isinstance(one, set | frozenset) and isinstance(other, set | frozenset):
        return type(one) is type(other) and _same_sets(one, other)
    held, others = inside(one), inside(other)
    if held is not None or others is not None:
        if type(one) is not type(other) or held is None or others is None or held.keys() != others.keys():
            return False
        return np.shape(one) == np.shape(other) if not held else all(same(held[name], others[name]) for name in held)
    try:
        if is_array(one) and is_array(other):
            return bool(one.dtype == other.dtype and one.shape == other.shape and _same_entries(one, other))
        if is_array(one) or is_array(other):
            array, plain = (one, other) if is_array(one) else (other, one)
            return isinstance(plain, Number) and array.shape == () and bool(array == plain)
        if type(one) is type(other) and callable(getattr(one, "equals", None)):  # pandas, polars, pyarrow
            return bool(one.equals(other))
        equal = one == other
        if isinstance(equal, bool | np.bool_):
            return bool(equal or (one != one and other != other))
    except Exception as error:
        raise TypeError(f"{shortened(one)} == {shortened(other)} raises {type(error).__name__}") from error
    raise TypeError(f"{shortened(one)} == {shortened(other)} is {shortened(equal)}, neither True nor False")


def _same_sets(one: set[Any] | frozenset[Any], other: set[Any] | frozenset[Any]) -> bool:
    """Match what only one of them has, such as NaN, which is found in a set by identity."""
    left = list(other - one)
    for value in one - other:
        match = next((i for i, candidate in enumerate(left) if same(value, candidate)), None)
        if match is None:
            return False
        del left[match]
    return not left


def is_array(value: Any) -> bool:
    """Return whether a value is its entries and no more, other than a table with an index or coordinates."""
    return all(hasattr(value, name) for name in ("__array__", "dtype", "shape")) and not hasattr(value, "equals")


def _same_entries(one: Any, other: Any) -> bool:
    try:
        one, other = np.asarray(one), np.asarray(other)
    except Exception:  # random keys, for one, are compared by JAX
        return bool(np.asarray(one == other).all())
    return bool(((one == other) | ((one != one) & (other != other))).all())


def shortened(value: Any, length: int = 200) -> str:
    """Return a value's repr on one line, with arrays as ``float32[1000, 5]``, and cut where it is long, deep or many."""
    return cut(" ".join(_shown(value, DEPTH).split()), length)


def cut(text: str, length: int) -> str:
    """Leave out the middle of a text that is longer than this."""
    half = (length - 3) // 2
    return text if len(text) <= length else f"{text[:half]}...{text[-half:]}"


def _shown(value: Any, depth: int) -> str:
    if is_array(value) and value.shape != ():
        return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
    held = None if isinstance(value, np.ndarray) else inside(value)
    kind = type(value)
    if held is None:
        try:
            return cut(repr(value), LENGTH)
        except Exception:
            return f"{kind.__qualname__}(...)"
    if depth == 0:
        return f"{kind.__qualname__}(...)"
    named = dataclasses.is_dataclass(value) or hasattr(value, "_fields")  # a named tuple
    names = getattr(value, "_fields", held) if named else held
    first = list(zip(names, held.values(), strict=True))[:MANY]
    shown = [_shown(inner, depth - 1) for _, inner in first]
    if named:
        shown = [f"{name}={inner}" for (name, _), inner in zip(first, shown, strict=True)]
    elif isinstance(value, Mapping):
        shown = [f"{_shown(name, depth - 1)}: {inner}" for (name, _), inner in zip(first, shown, strict=True)]
    if len(held) > MANY:
        shown.append("...")
    plain: dict[type, tuple[str, str]] = {tuple: ("(", ")"), list: ("[", "]"), dict: ("{", "}")}
    begin, end = plain.get(kind) or (f"{kind.__qualname__}(", ")")
    return f"{begin}{', '.join(shown)}{',' if kind is tuple and len(held) == 1 else ''}{end}"
