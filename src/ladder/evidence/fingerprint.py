"""Fingerprints: everything a measurement depends on, except its seeds."""

import hashlib
import os
import pickle
import platform
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

import ladder
from ladder.declare.experiment import components, is_host
from ladder.declare.values import contents, has_fields, is_array, is_importable, stored_state
from ladder.evidence.closure import closure
from ladder.evidence.provenance import dependency_versions
from ladder.evidence.syntax import Source, read_source
from ladder.train.devices import devices, gpu_models
from ladder.train.factory import TrainerFactory, default_trainer

PLAIN = {bool, int, float, complex, str, bytes, range, slice, type(...)}

PROCESS = uuid.uuid4().hex
"""An id of this process, for values that no other process can compare with its own."""

# The settings of JAX that change numbers.
SETTINGS = (
    "enable_x64",
    "default_matmul_precision",
    "default_prng_impl",
    "threefry_partitionable",
    "random_seed_offset",
    "numpy_dtype_promotion",
    "disable_jit",
)

# Part of every fingerprint: the module that derives the seeds and trains, and that for host experiments.
TRAINING_MODULES, HOST_MODULES = ("ladder.train.compiled",), ("ladder.train.host",)


@dataclass(frozen=True)
class Fingerprint:
    """Everything a measurement depends on, except its seeds. Measurements with equal fingerprints are comparable."""

    experiment: str
    code: str
    versions: str
    backend: str

    def changed_since(self, old: "Fingerprint") -> list[str]:
        """Return the names of the parts that differ."""
        return [
            name for name in ("experiment", "code", "versions", "backend") if getattr(self, name) != getattr(old, name)
        ]


def fingerprint(experiment: object, *modules: str, trainer: TrainerFactory = default_trainer) -> Fingerprint:
    """Return the fingerprint of an experiment, its trainer, and further modules that decide its numbers.

    This starts JAX's backend if the experiment is to be compiled.
    """
    custom, host = trainer is not default_trainer, is_host(experiment)
    trained_by = _defining_modules(trainer) if custom else HOST_MODULES if host else TRAINING_MODULES
    code = closure(type(experiment).__module__, *_defining_modules(experiment), *trained_by, *modules)
    versions = {"python": platform.python_version(), **dependency_versions(code.packages)}
    return Fingerprint(
        experiment=f"{_type_name(experiment)}({describe(experiment)})"
        + (f" by {_stable_repr(trainer)}" if custom else ""),
        code=_digest(code.files),
        versions=", ".join(f"{name} {version}" for name, version in versions.items()),
        backend=host_backend() if host else backend(),
    )


def host_backend() -> str:
    """Describe what a host experiment computes on: the kind of processor, and the models of the GPUs."""
    return " ".join(["host", platform.machine(), *gpu_models()])


def backend() -> str:
    """Describe the backend: platform, kind of device, XLA's flags, and the settings of JAX that change numbers."""
    device = devices()[0]
    import jax  # an optional dependency; devices() has checked that it is installed

    parts = [jax.default_backend(), device.device_kind, os.environ.get("XLA_FLAGS", "")]
    parts += [f"{name}={value}" for name in SETTINGS if (value := getattr(jax.config, f"jax_{name}")) is not None]
    return " ".join(dict.fromkeys(filter(None, parts)))


def _digest(files: Mapping[str, Path]) -> str:
    """Return a digest of what runs in source files, by module; the paths of the files do not count.

    If a file may read annotations, docstrings or sources, every byte of all files counts. Ladder's own files are exempt: its
    checks of configurations read only the annotations of fields, which always count.
    """
    digest = hashlib.sha256()
    unchanged = True
    sources: dict[str, Source] = {}
    for name, path in sorted(files.items()):
        try:
            status = path.stat()
            sources[name] = read_source(path, status.st_mtime_ns)
            unchanged &= status.st_mtime <= ladder._STARTED
        except OSError:  # the file is gone
            sources[name], unchanged = Source("", "", False, ()), False
    introspects = any(source.introspects for name, source in sources.items() if name.partition(".")[0] != "ladder")
    for name, source in sources.items():
        digest.update(f"{name} {source.digest if introspects else source.runtime_digest} ".encode())
    # A file that was saved after the start may differ from the code that runs here, so no other process may use the digest.
    return digest.hexdigest()[:16] + ("" if unchanged else f", edited during {PROCESS}")


def describe(experiment: object) -> str:
    """Return the components as ``name=value``, in order; for a dataclass the value is its type, because its fields follow."""
    parts = components(experiment).items()
    return ", ".join(
        f"{path}={_type_name(value) if has_fields(value) else _stable_repr(value)}" for path, value in parts
    )


def _stable_repr(value: Any, within: tuple[int, ...] = ()) -> str:
    """Return a complete description of a value, the same in every process.

    ``repr`` is used for plain values only: NumPy's omits the middle of an array, and a class may define any. A function or object
    that is described ``within`` itself is known by its level.
    """
    if value is None or type(value) in PLAIN:
        return repr(value)
    if id(value) in within:
        return f"level {within.index(id(value))}"
    described = partial(_stable_repr, within=(*within, id(value)))
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{described(name)}: {described(inner)}' for name, inner in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"{_type_name(value)}({', '.join(map(described, value))})"
    if isinstance(value, set | frozenset):
        return f"{_type_name(value)}({', '.join(sorted(map(described, value)))})"
    if is_array(value):
        with suppress(Exception):  # a deleted array, or one that NumPy cannot convert
            return _stable_array_repr(value)
    if isinstance(value, ModuleType):
        return f"module {value.__name__}"
    if is_importable(value):
        return _name(value)
    if (inner := contents(value)) is not None:  # a dataclass, a closure, a module of flax, or an object
        parts = (f"{name}={described(each)}" for name, each in inner.items())
        is_function = (
            isinstance(value, FunctionType | MethodType) or "wrapper" in inner
        )  # whose types no module knows by name
        return f"{_name(type(value)) if is_function else _type_name(value)}({', '.join(parts)})"
    try:
        return f"{_type_name(value)} {hashlib.sha256(pickle.dumps(value)).hexdigest()[:16]}"
    except Exception:  # an open file, for example: its address identifies it in this process only
        return f"{_type_name(value)} {id(value)} in {PROCESS}"


def _stable_array_repr(value: Any) -> str:
    prefix = ""
    if "key<" in str(value.dtype):
        import jax  # an optional dependency; only JAX makes keys

        prefix, value = f"{value.dtype} ", jax.random.key_data(value)
    array = np.asarray(value)
    if array.dtype.hasobject:  # its bytes are addresses
        return f"{array.dtype}{list(array.shape)} {_stable_repr(array.ravel().tolist())}"
    return f"{prefix}{array.dtype}{list(array.shape)} {hashlib.sha256(array.tobytes()).hexdigest()[:16]}"


def _type_name(value: object) -> str:
    """Return the name of a value's class; a class that cannot be imported by it differs between processes."""
    cls = type(value)
    return _name(cls) if is_importable(cls) else f"{_name(cls)} {id(cls)} in {PROCESS}"


def _name(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}".removeprefix("builtins.")


def _defining_modules(experiment: object) -> list[str]:
    """Return the modules that define the classes, base classes and functions among an experiment's components."""
    modules: set[str] = set()
    todo: list[Any] = [experiment]
    seen: dict[int, Any] = {}  # with the values, because an id is unique only while its value exists
    while todo:
        value = todo.pop()
        if id(value) not in seen:
            seen[id(value)] = value
            todo.extend((contents(value) or stored_state(value) or {}).values())
            modules.update(getattr(part, "__module__", None) or "builtins" for part in (value, *type(value).__mro__))
    return sorted(modules)
