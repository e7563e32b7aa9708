"""Values of components: their contents, their equality, and a short repr."""

import dataclasses
import hashlib
import sys
from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from numbers import Number
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

MAX_DEPTH = 100  # levels of nesting
PLAIN = {type(None), bool, int, float, complex, str, bytes}
REPR_DEPTH, REPR_ENTRIES, REPR_LENGTH = 4, 24, 200  # of a short repr: levels, entries in each, characters of each


class Configuration(Mapping[str, Any]):
    """A read-only mapping whose entries are components: they are compared one by one, and are attributes too.

    Args:
        entries: The entries; mappings among them become configurations.

    Raises:
        ValueError: for an entry whose name is not an identifier.
    """

    def __init__(self, entries: Mapping[Any, Any]):
        for name in entries:
            if not (isinstance(name, str) and name.isidentifier()) or name.startswith("__"):
                raise ValueError(
                    f"entry {shortened(name)} of a configuration: name it by an identifier, such as 'rate'"
                )
        self._entries = {
            name: Configuration(value) if isinstance(value, Mapping) else value for name, value in entries.items()
        }

    def __getitem__(self, name: str) -> Any:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __getattr__(self, name: str) -> Any:
        entries = self.__dict__.get("_entries", {})  # there are none while an instance is unpickled
        if name not in entries:
            raise AttributeError(f"the configuration has no entry {name!r}; it has {', '.join(entries)}")
        return entries[name]

    def __repr__(self) -> str:
        return repr(self._entries)


@dataclasses.dataclass(frozen=True)
class _Absent:
    """The value of an entry that only the other configuration has."""

    def __repr__(self) -> str:
        return "(absent)"


ABSENT = _Absent()


def contents(value: Any) -> dict[Any, Any] | None:
    """Return the contents of a value by key; None for one that has none.

    Contents are the entries of a container or array of objects, the fields of a dataclass, and of a closure, partial function or
    bound method its code and the values that it is bound to. A node of a pytree, such as a module of flax, has its structure and
    its children; an object whose class defines no equality has what pickle would store. A function, class or module that can be
    imported has none: it is known by its name.
    """
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, list | tuple | set | frozenset):
        return dict(enumerate(value))
    if isinstance(value, np.ndarray) and value.dtype == object:
        return dict(np.ndenumerate(value))
    if has_fields(value):
        names = [field.name for field in dataclasses.fields(value)]
        if not _is_own_dataclass(value):  # what a subclass adds is in no field
            names += [
                name for name in getattr(value, "__dict__", ()) if name not in (*names, *cached_properties(value))
            ]
        return {name: getattr(value, name) for name in names if hasattr(value, name)}
    if type(value) in PLAIN or is_array(value) or isinstance(value, type | ModuleType) or is_importable(value):
        return None
    return (
        _function_contents(value) or _node_contents(value) or (stored_state(value) if is_plain_object(value) else None)
    )


def _function_contents(value: Any) -> dict[Any, Any] | None:
    if isinstance(value, MethodType):
        return {"function": value.__func__, "self": value.__self__}
    if isinstance(value, partial):
        return {"function": value.func, "arguments": value.args, "keywords": value.keywords}
    if isinstance(value, FunctionType):
        bound = dict(zip(value.__code__.co_freevars, value.__closure__ or (), strict=True))
        cells = {name: cell.cell_contents for name, cell in bound.items() if _is_filled(cell)}
        defaults = {"defaults": value.__defaults__, "keywords": value.__kwdefaults__}
        return {"module": value.__module__, "code": code_digest(value.__code__)} | defaults | cells | _attributes(value)
    if callable(value) and callable(inner := getattr(value, "__wrapped__", None)):  # by jax.jit, for example
        return {"wrapper": type(value).__qualname__, "function": inner} | _attributes(value)
    return None


def _attributes(function: Any) -> dict[Any, Any]:
    """Return what a function or its wrapper has besides a name, such as the rules of ``jax.custom_vjp``."""
    return {f".{name}": each for name, each in getattr(function, "__dict__", {}).items() if not name.startswith("_")}


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018  # raises if the variable has no value yet
    except ValueError:
        return False
    return True


def _node_contents(value: Any) -> dict[Any, Any] | None:
    jax = sys.modules.get("jax")  # no value is a node before JAX is loaded
    if jax is None or type(value) in PLAIN:
        return None
    node = jax.tree_util.default_registry.flatten_one_level(value)
    return None if node is None else {"structure": node[1]} | dict(enumerate(node[0]))


def stored_state(value: Any) -> dict[Any, Any] | None:
    """Return what pickle would store of an object, its attributes by default; None for one that it cannot store."""
    if type(value) in PLAIN or is_array(value) or isinstance(value, type | ModuleType) or is_importable(value):
        return None
    try:
        state = value.__getstate__()
    except Exception:  # an open file, for example
        return None
    return None if state is None else {"state": state}


def is_plain_object(value: object) -> bool:
    """Return whether a value is of a class that defines no equality: ``==`` would compare addresses."""
    defines_equality = any("__eq__" in vars(cls) for cls in type(value).__mro__[:-1])
    return not defines_equality and not callable(getattr(value, "equals", None))


def is_importable(value: Any) -> bool:
    """Return whether a value is a class or function that its module defines under its qualified name."""
    if not hasattr(value, "__qualname__"):
        return False
    candidate: object = sys.modules.get(str(getattr(value, "__module__", None)))
    for part in value.__qualname__.split("."):
        candidate = getattr(candidate, part, None)
    return candidate is value


def code_digest(code: CodeType) -> str:
    """Return a digest of what code does, without its file and line numbers."""
    digest = hashlib.sha256()
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    digest.update(f"{names} {counts} ".encode() + code.co_code)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            digest.update(code_digest(constant).encode())
        else:
            digest.update(repr(sorted(map(repr, constant)) if isinstance(constant, frozenset) else constant).encode())
    return digest.hexdigest()[:16]


def has_fields(value: object) -> bool:
    """Return whether a value is an instance of a dataclass, or of a subclass that adds no fields of its own."""
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return False
    return _is_own_dataclass(value) or bool(
        dataclasses.fields(value)
    )  # a list of flax has an empty dataclass as a base


def _is_own_dataclass(value: object) -> bool:
    return "__dataclass_fields__" in vars(type(value))


def cached_properties(value: object) -> list[str]:
    """Return the names under which the cached properties of a value have been computed."""
    return [
        name for name in getattr(value, "__dict__", ()) if isinstance(getattr(type(value), name, None), cached_property)
    ]


def has_components(value: object) -> bool:
    """Return whether the contents of a value are components by themselves: the fields of a dataclass, or a configuration."""
    return has_fields(value) or isinstance(value, Configuration)


def fields_by_path(value: object) -> dict[str, Any]:
    """Return the fields of an instance of a dataclass, those of nested instances and configurations by dotted path."""
    paths: dict[str, Any] = {}
    for name, inner in (contents(value) or {}).items():
        paths[name] = inner
        if has_components(inner):
            paths |= {f"{name}.{path}": each for path, each in fields_by_path(inner).items()}
    return paths


def is_too_deep(value: Any) -> bool:
    """Return whether values are nested deeper than ``MAX_DEPTH``, as in a container that contains itself.

    A function or an object may contain itself.
    """
    done: dict[int, Any] = {}  # with the values, because an id is unique only while its value exists

    def visit(value: Any, depth: int) -> bool:
        if id(value) in done or (inner := contents(value)) is None:
            return False
        if depth == MAX_DEPTH:
            return True
        if callable(value) or "state" in inner:
            done[id(value)] = value
        if any(type(each) not in PLAIN and visit(each, depth + 1) for each in inner.values()):
            return True
        done[id(value)] = value
        return False

    return visit(value, 0)


def equal(one: Any, other: Any) -> bool:
    """Return whether two values are equal, where NaN equals NaN, also inside containers and arrays.

    Values with contents are compared by these (:func:`contents`), arrays by dtype, shape and entries, tables by their method
    ``equals``, and everything else by ``==``.

    Raises:
        TypeError: if ``==`` raises or returns something other than True or False.
    """
    return _equal(one, other, {})


def _equal(one: Any, other: Any, pairs: dict[tuple[int, int], Any]) -> bool:
    """Compare two values, which are equal if only ``pairs`` that are being compared already are left to compare."""
    if one is other or (type(one) is object and type(other) is object):  # a mark, which has its meaning from its place
        return True
    if type(one) is type(other) and type(one) in PLAIN:
        return bool(one == other or (one != one and other != other))
    if isinstance(one, set | frozenset) and isinstance(other, set | frozenset):
        return type(one) is type(other) and _equal_sets(one, other)
    if (id(one), id(other)) in pairs:
        return True
    inner, others = contents(one), contents(other)
    if inner is not None or others is not None:
        if type(one) is not type(other) or inner is None or others is None or inner.keys() != others.keys():
            return False
        pairs[id(one), id(other)] = one, other
        return np.shape(one) == np.shape(other) if not inner else all(_equal(inner[k], others[k], pairs) for k in inner)
    try:
        if is_array(one) and is_array(other):
            return bool(one.dtype == other.dtype and one.shape == other.shape and _equal_entries(one, other))
        if is_array(one) or is_array(other):
            array, plain = (one, other) if is_array(one) else (other, one)
            return isinstance(plain, Number) and array.shape == () and bool(array == plain)
        if type(one) is type(other) and callable(getattr(one, "equals", None)):  # pandas, polars, pyarrow
            return bool(one.equals(other))
        result = one == other
        if isinstance(result, bool | np.bool_):
            return bool(result or (one != one and other != other))
    except Exception as error:
        raise TypeError(f"{shortened(one)} == {shortened(other)} raises {type(error).__name__}") from error
    raise TypeError(f"{shortened(one)} == {shortened(other)} is {shortened(result)}, neither True nor False")


def _equal_sets(one: set[Any] | frozenset[Any], other: set[Any] | frozenset[Any]) -> bool:
    """Match the elements that only one set has, such as NaN, which a set finds by identity only."""
    unmatched = list(other - one)
    for value in one - other:
        match = next((i for i, candidate in enumerate(unmatched) if equal(value, candidate)), None)
        if match is None:
            return False
        del unmatched[match]
    return not unmatched


def is_array(value: Any) -> bool:
    """Return whether a value is an array without further content; a table also has an index or coordinates."""
    return all(hasattr(value, name) for name in ("__array__", "dtype", "shape")) and not hasattr(value, "equals")


def _equal_entries(one: Any, other: Any) -> bool:
    try:
        one, other = np.asarray(one), np.asarray(other)
    except Exception:  # JAX's random keys, for example, cannot be converted
        return bool(np.asarray(one == other).all())
    return bool(((one == other) | ((one != one) & (other != other))).all())


def shortened(value: Any, length: int = 200) -> str:
    """Return a repr on one line, with arrays as ``float32[1000, 5]``, cut where it is long, deep or has many entries."""
    return cut(" ".join(_short_repr(value, REPR_DEPTH).split()), length)


def cut(text: str, length: int) -> str:
    """Leave out the middle of a text that is longer than ``length``."""
    half = (length - 3) // 2
    return text if len(text) <= length else f"{text[:half]}...{text[-half:]}"


def _short_function(value: FunctionType, inner: Mapping[str, Any], depth: int) -> str:
    """Return the name of a function with the values that it is bound to: ``scale(step_size=-0.001)``."""
    name = value.__qualname__.replace(".<locals>.", ".")
    names = [name for name in value.__code__.co_freevars if name in inner]
    if not names or depth == 0:
        return name
    return f"{name}({', '.join(f'{each}={_short_repr(inner[each], depth - 1)}' for each in names)})"


def _short_repr(value: Any, depth: int) -> str:
    if is_array(value) and value.shape != ():
        return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
    inner = None if isinstance(value, np.ndarray) else contents(value)
    cls = type(value)
    if isinstance(value, FunctionType):
        return _short_function(value, inner or {}, depth)
    if (
        inner is None
        or "structure" in inner
        or ("state" in inner and any("__repr__" in vars(each) for each in cls.__mro__[:-1]))
    ):
        try:
            return cut(repr(value), REPR_LENGTH)
        except Exception:
            return f"{cls.__qualname__}(...)"
    if depth == 0:
        return f"{cls.__qualname__}(...)"
    named = dataclasses.is_dataclass(value) or hasattr(value, "_fields")  # a named tuple
    names = getattr(value, "_fields", inner) if named else inner
    first = list(zip(names, inner.values(), strict=True))[:REPR_ENTRIES]
    parts = [_short_repr(each, depth - 1) for _, each in first]
    if named:
        parts = [f"{name}={part}" for (name, _), part in zip(first, parts, strict=True)]
    elif isinstance(value, Mapping):
        parts = [f"{_short_repr(name, depth - 1)}: {part}" for (name, _), part in zip(first, parts, strict=True)]
    if len(inner) > REPR_ENTRIES:
        parts.append("...")
    plain: dict[type, tuple[str, str]] = {tuple: ("(", ")"), list: ("[", "]"), dict: ("{", "}")}
    begin, end = plain.get(cls) or (f"{cls.__qualname__}(", ")")
    return f"{begin}{', '.join(parts)}{',' if cls is tuple and len(inner) == 1 else ''}{end}"
