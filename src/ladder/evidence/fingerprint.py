"""Fingerprints: a digest of everything a measurement depends on, except its seeds."""

import ast
import hashlib
import os
import pickle
import platform
import sys
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import ladder
from ladder.declare.experiment import components
from ladder.declare.values import inside, is_array
from ladder.evidence.closure import closure
from ladder.evidence.provenance import dependency_versions
from ladder.evidence.syntax import READERS, identifiers, running
from ladder.train.devices import devices

PLAIN = {bool, int, float, complex, str, bytes, range, slice, type(...)}

PROCESS = uuid.uuid4().hex

# Of JAX's settings, those that change numbers.
SETTINGS = (
    "enable_x64",
    "default_matmul_precision",
    "default_prng_impl",
    "threefry_partitionable",
    "random_seed_offset",
    "numpy_dtype_promotion",
    "disable_jit",
)

# Whatever the experiment: the module that derives its keys and runs it.
TRAINING_MODULES = ("ladder.train.compiled",)


@dataclass(frozen=True)
class Fingerprint:
    """Everything a measurement depends on, but for its seeds. Equal fingerprints, comparable measurements."""

    experiment: str
    code: str
    versions: str
    backend: str

    def changed_since(self, old: "Fingerprint") -> list[str]:
        """Return the names of the parts that differ."""
        return [
            name for name in ("experiment", "code", "versions", "backend") if getattr(self, name) != getattr(old, name)
        ]


def fingerprint(experiment: object, *also: str) -> Fingerprint:
    """Return the fingerprint of an experiment, and of the modules ``also`` that decide the numbers; it starts JAX's backend."""
    kind = type(experiment)
    code = closure(kind.__module__, *_homes(experiment), *TRAINING_MODULES, *also)
    found = {"python": platform.python_version(), **dependency_versions(code.packages)}
    return Fingerprint(
        experiment=f"{_kind(experiment)}({describe(experiment)})",
        code=_digest(code.files),
        versions=", ".join(f"{name} {version}" for name, version in found.items()),
        backend=backend(),
    )


def backend() -> str:
    """Return what computes, and how: platform, kind of device, XLA's flags, precision, random bits."""
    device = devices()[0]
    import jax  # an extra, and there it is

    told = [jax.default_backend(), device.device_kind, os.environ.get("XLA_FLAGS", "")]
    told += [f"{name}={value}" for name in SETTINGS if (value := getattr(jax.config, f"jax_{name}")) is not None]
    return " ".join(dict.fromkeys(filter(None, told)))


def _digest(files: Mapping[str, Path]) -> str:
    """Return a digest of what runs in some source files, by module: where a package is installed does not count.

    If one of them may read annotations, docstrings or sources, every byte of all of them counts. Ladder's own files do not: its
    checks of configurations read the annotations of fields, which always count.
    """
    digest = hashlib.sha256()
    loaded = True
    sources: dict[str, _Source] = {}
    for name, path in sorted(files.items()):
        try:
            changed = path.stat()
            sources[name] = _read(path, changed.st_mtime_ns)
            loaded &= changed.st_mtime <= ladder._STARTED
        except OSError:  # it is gone
            sources[name], loaded = _Source("", "", False), False
    bare = not any(source.reads_itself for name, source in sources.items() if name.partition(".")[0] != "ladder")
    for name, source in sources.items():
        digest.update(f"{name} {source.running if bare else source.whole} ".encode())
    # What was saved since may not be what runs here, and another process must not take the one for the other.
    return digest.hexdigest()[:16] + ("" if loaded else f", edited during {PROCESS}")


class _Source(NamedTuple):
    """Digests of a source file, of all of it and of what runs, and whether it may read annotations, docstrings or sources."""

    whole: str
    running: str
    reads_itself: bool


@cache
def _read(path: Path, changed: int) -> _Source:
    """Digest a file; once as long as it does not change."""
    content = path.read_bytes()
    whole = hashlib.sha256(content).hexdigest()
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # a library that was compiled, or what cannot be imported
        return _Source(whole, whole, False)
    reads_itself = not READERS.isdisjoint(identifiers(tree))
    return _Source(whole, hashlib.sha256(ast.dump(running(tree)).encode()).hexdigest(), reads_itself)


def describe(experiment: object) -> str:
    """Return the components as ``name=value``, in order; for a dataclass, whose fields are components too, its type."""
    found = components(experiment).items()
    return ", ".join(f"{path}={_kind(value) if _has_fields(value) else _stable_repr(value)}" for path, value in found)


def _stable_repr(value: Any) -> str:
    """Return all that a value is, in words that mean the same in another process.

    A repr is that of plain values alone: NumPy leaves out the middle of an array, and a class may say what it likes.
    """
    if value is None or type(value) in PLAIN:
        return repr(value)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_stable_repr(name)}: {_stable_repr(inner)}' for name, inner in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"{_kind(value)}({', '.join(map(_stable_repr, value))})"
    if isinstance(value, set | frozenset):
        return f"{_kind(value)}({', '.join(sorted(map(_stable_repr, value)))})"
    if _has_fields(value):
        return f"{_kind(value)}({', '.join(f'{name}={_stable_repr(held)}' for name, held in (inside(value) or {}).items())})"
    if is_array(value):
        with suppress(Exception):  # an array that is gone, or has no entries that NumPy could hold
            return _stable_array_repr(value)
    if _found_by_name(value):
        return _name(value)
    try:
        return f"{_kind(value)} {hashlib.sha256(pickle.dumps(value)).hexdigest()[:16]}"
    except Exception:  # closures and the like: known by their address, which tells nothing to another process
        return f"{_kind(value)} {id(value)} in {PROCESS}"


def _stable_array_repr(value: Any) -> str:
    kind = ""
    if "key<" in str(value.dtype):
        import jax

        kind, value = f"{value.dtype} ", jax.random.key_data(value)
    array = np.asarray(value)
    if array.dtype.hasobject:  # whose bytes are addresses
        return f"{array.dtype}{list(array.shape)} {_stable_repr(array.ravel().tolist())}"
    return f"{kind}{array.dtype}{list(array.shape)} {hashlib.sha256(array.tobytes()).hexdigest()[:16]}"


def _kind(value: object) -> str:
    """Return the class of a value; one that its module does not have under its name is another in every process."""
    kind = type(value)
    return _name(kind) if _found_by_name(kind) else f"{_name(kind)} {id(kind)} in {PROCESS}"


def _has_fields(value: object) -> bool:
    return is_dataclass(value) and not isinstance(value, type)


def _name(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}".removeprefix("builtins.")


def _found_by_name(value: Any) -> bool:
    """Return whether a value is a class or function that its module has under its name, and not a method of some instance."""
    if not hasattr(value, "__qualname__"):
        return False
    found: object = sys.modules.get(str(value.__module__))
    for part in value.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is value


def _homes(experiment: object) -> list[str]:
    """Return the modules that an experiment's parts come from: classes and functions among its components, and base classes."""
    found: set[str] = set()
    todo: list[Any] = [experiment]
    while todo:
        value = todo.pop()
        todo.extend((inside(value) or {}).values())
        found.update(getattr(part, "__module__", None) or "builtins" for part in (value, *type(value).__mro__))
    return sorted(found)
