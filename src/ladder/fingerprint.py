"""What produced a measurement: the experiment, the code it runs, the versions, the backend, the commit, the machine."""

import ast
import hashlib
import os
import pickle
import platform
import re
import subprocess
import sys
import sysconfig
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, is_dataclass
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import ladder
from ladder.experiment import components
from ladder.values import inside, is_array

PACKAGES = ("pytest-ladder", "jax", "jaxlib", "flax", "optax", "numpy")
NAME = re.compile(r"[\w.\-]+")  # that a requirement begins with
PLAIN = {bool, int, float, complex, str, bytes, range, slice, type(...)}
PACKAGE_FOLDERS = {"site-packages", "dist-packages"}
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
ENGINE = ("ladder.training",)


@dataclass(frozen=True)
class Fingerprint:
    """Everything a measurement depends on, but for its seeds. Equal fingerprints, comparable measurements."""

    experiment: str
    code: str
    versions: str
    backend: str

    def changed_since(self, old: "Fingerprint") -> list[str]:
        """Which parts differ, in words."""
        return [
            name for name in ("experiment", "code", "versions", "backend") if getattr(self, name) != getattr(old, name)
        ]


def fingerprint(experiment: object, *also: str) -> Fingerprint:
    """The fingerprint of an experiment in this process, and of what ``also`` decides the numbers; asks JAX for its backend."""
    kind = type(experiment)
    code = closure(kind.__module__, *_homes(experiment), *ENGINE, *also)
    found = {"python": platform.python_version(), **_concerned(code.packages)}
    return Fingerprint(
        experiment=f"{_kind(experiment)}({described(experiment)})",
        code=_digest(code.files),
        versions=", ".join(f"{name} {version}" for name, version in found.items()),
        backend=backend(),
    )


def _digest(files: Mapping[str, Path]) -> str:
    """The sources by module and content: where a package is installed is no part of what it does."""
    digest = hashlib.sha256()
    loaded = True
    for name, path in sorted(files.items()):
        try:
            content = path.read_bytes()
            loaded &= path.stat().st_mtime <= ladder.STARTED
        except OSError:  # it is gone
            content, loaded = b"", False
        digest.update(f"{name} {hashlib.sha256(content).hexdigest()} ".encode())
    # What was saved since may not be what runs here, and another process must not take the one for the other.
    return digest.hexdigest()[:16] + ("" if loaded else f", edited during {PROCESS}")


def described(experiment: object) -> str:
    """The components as ``name=value``, in order; of one that is a dataclass, whose fields are components too, the type."""
    found = components(experiment).items()
    return ", ".join(f"{path}={_kind(value) if _has_fields(value) else _told(value)}" for path, value in found)


def _told(value: Any) -> str:
    """All that a value is, in words that mean the same in another process.

    A repr is that of plain values alone: NumPy leaves out the middle of an array, and a class may say what it likes.
    """
    if value is None or type(value) in PLAIN:
        return repr(value)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_told(name)}: {_told(inner)}' for name, inner in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"{_kind(value)}({', '.join(map(_told, value))})"
    if isinstance(value, set | frozenset):
        return f"{_kind(value)}({', '.join(sorted(map(_told, value)))})"
    if _has_fields(value):
        return f"{_kind(value)}({', '.join(f'{name}={_told(held)}' for name, held in (inside(value) or {}).items())})"
    if is_array(value):
        with suppress(Exception):  # an array that is gone, or has no entries that NumPy could hold
            return _array_told(value)
    if _found_by_name(value):
        return _name(value)
    try:
        return f"{_kind(value)} {hashlib.sha256(pickle.dumps(value)).hexdigest()[:16]}"
    except Exception:  # closures and the like: known by their address, which tells nothing to another process
        return f"{_kind(value)} {id(value)} in {PROCESS}"


def _array_told(value: Any) -> str:
    kind = ""
    if "key<" in str(value.dtype):
        import jax

        kind, value = f"{value.dtype} ", jax.random.key_data(value)
    array = np.asarray(value)
    if array.dtype.hasobject:  # whose bytes are addresses
        return f"{array.dtype}{list(array.shape)} {_told(array.ravel().tolist())}"
    return f"{kind}{array.dtype}{list(array.shape)} {hashlib.sha256(array.tobytes()).hexdigest()[:16]}"


def _kind(value: object) -> str:
    """The class of a value; one that its module does not have under its name is another in every process."""
    kind = type(value)
    return _name(kind) if _found_by_name(kind) else f"{_name(kind)} {id(kind)} in {PROCESS}"


def _has_fields(value: object) -> bool:
    return is_dataclass(value) and not isinstance(value, type)


def _name(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}".removeprefix("builtins.")


def _found_by_name(value: Any) -> bool:
    """Whether it is a class or function that its module has under its name, and not, say, a method of some instance."""
    if not hasattr(value, "__qualname__"):
        return False
    found: object = sys.modules.get(str(value.__module__))
    for part in value.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is value


def _homes(experiment: object) -> list[str]:
    """The modules of what an experiment is made of: classes and functions among its components, and their classes' bases."""
    found: set[str] = set()
    todo: list[Any] = [experiment]
    while todo:
        value = todo.pop()
        todo.extend((inside(value) or {}).values())
        found.update(getattr(part, "__module__", None) or "builtins" for part in (value, *type(value).__mro__))
    return sorted(found)


def devices() -> list[Any]:
    """Return the devices that JAX computes on; the first call starts its backend.

    Raises:
        RuntimeError: if JAX has no backend that starts.
    """
    import jax

    try:
        return list(jax.devices())
    except Exception as error:  # a broken driver or plugin raises what it likes, JAX an AssertionError when asked again
        asked = jax.config.jax_platforms  # type: ignore[attr-defined]
        platforms = f"JAX_PLATFORMS={asked}" if asked else "any of its platforms"
        raise RuntimeError(
            f"JAX cannot start with {platforms} ({_first_line(error)}); mend the driver, or choose another platform, such as "
            "JAX_PLATFORMS=cpu"
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def backend() -> str:
    """What computes, and how: platform, kind of device, XLA's flags, precision, random bits."""
    import jax

    device = devices()[0]
    told = [jax.default_backend(), device.device_kind, os.environ.get("XLA_FLAGS", "")]
    told += [f"{name}={value}" for name in SETTINGS if (value := getattr(jax.config, f"jax_{name}")) is not None]
    return " ".join(dict.fromkeys(filter(None, told)))


@cache
def _concerned(packages: frozenset[str]) -> Mapping[str, str]:
    """Versions of the distributions that hold these packages, and of all that those require, by name."""
    # Accelerators come as plugins that nothing imports or requires.
    todo = [name for package in packages for name in _holding(package)] + list(_installed("jax*", "nvidia*"))
    found: dict[str, str] = {}
    while todo:
        required = NAME.match(todo.pop())
        name = required[0].lower().replace("_", "-") if required else ""
        if name in found:
            continue
        try:
            distribution = metadata.distribution(name)
        except (metadata.PackageNotFoundError, ValueError):  # required elsewhere: on another platform
            continue
        found[name] = distribution.version
        todo += [required for required in distribution.requires or () if "extra ==" not in required]
    return dict(sorted(found.items()))


def _holding(package: str) -> list[str]:
    """The distributions that hold a package; most are called like it, and to read the list of all files takes a while."""
    try:
        if Path(str(metadata.distribution(package).locate_file(package))).exists():
            return [package]
    except metadata.PackageNotFoundError:
        pass
    return _distributions().get(package, [])


@cache
def _distributions() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()


def _installed(*patterns: str) -> set[str]:
    """Return the names of the distributions that this process can import, by pattern."""
    return {
        path.name.partition("-")[0]
        for folder in map(Path, sys.path)
        for pattern in patterns
        for path in folder.glob(f"{pattern}.dist-info")
    }


class Code(NamedTuple):
    """The source files that something runs on, by module, and the installed packages that those import."""

    files: Mapping[str, Path]
    packages: frozenset[str]


def closure(module: str, *others: str) -> Code:
    """A module, others, and all that they import, directly or not.

    Of installed packages the module's own and ladder are followed into their files; of others the name is enough, for
    they have a version. A package's ``__init__`` runs whenever something below it is imported, so it belongs to the closure,
    and so does the home of what a package loads when it is asked for. What is imported for type checkers alone does not, and
    what is imported by a computed name is not seen.
    """
    own = {module.partition(".")[0], "ladder"}
    files: dict[str, Path] = {}
    packages: set[str] = set()
    todo = [name for start in (module, *others) for name in _with_parents(start)]
    while todo:
        name = todo.pop()
        top = name.partition(".")[0]
        if name in files or top in packages:
            continue
        file = _file(name)
        if file is None:
            todo.extend(_home_of(name))
            continue
        path = Path(file)
        if top not in own and _is_installed(path):
            packages.add(top)
            continue
        files[name] = path
        if path.suffix == ".py":
            with suppress(OSError, SyntaxError):  # gone, or not to be imported: there is nothing to follow
                todo.extend(_imported_by(path, path.stat().st_mtime_ns, path.name == "__init__.py", name))
    return Code(files, frozenset(packages - sys.stdlib_module_names))


def _home_of(name: str) -> Iterator[str]:
    """The module of an attribute that a package hands on from elsewhere, and the modules above it."""
    parent, _, attribute = name.rpartition(".")
    value = getattr(sys.modules.get(parent), attribute, None)
    yield from _with_parents(getattr(value, "__module__", None) or "")


@cache
def _imported_by(path: Path, changed: int, is_package: bool, name: str) -> tuple[str, ...]:
    """What a file imports; read once as long as it does not change."""
    return tuple(_imports(ast.parse(path.read_bytes()), name if is_package else name.rpartition(".")[0]))


def _file(name: str) -> str | None:
    """Where a module's source lies, loaded or not; None if there is no such module."""
    if name in sys.modules:
        return getattr(sys.modules[name], "__file__", None)
    try:
        spec = find_spec(name)
    except Exception:  # an attribute of a module and no module, or a package that cannot be imported
        return None
    return spec.origin if spec and spec.has_location else None


def _with_parents(name: str) -> Iterator[str]:
    while name:
        yield name
        name = name.rpartition(".")[0]


def _imports(tree: ast.AST, package: str) -> Iterator[str]:
    for node in _executed(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _with_parents(alias.name)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from (a.value for a in node.args[:1] if isinstance(a, ast.Constant) and isinstance(a.value, str))
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *filter(None, [node.module])])
            yield from _with_parents(base)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _executed(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those under ``if TYPE_CHECKING:``."""
    yield tree
    children: Iterator[ast.AST] | list[ast.stmt] = ast.iter_child_nodes(tree)
    if isinstance(tree, ast.If) and "TYPE_CHECKING" in ast.unparse(tree.test):
        children = tree.orelse
    for child in children:
        yield from _executed(child)


def _is_installed(path: Path) -> bool:
    """Whether a file belongs to a distribution; also one of another environment's, as of the system's or the user's own."""
    elsewhere = not PACKAGE_FOLDERS.isdisjoint(path.parts)
    return elsewhere or any(path.is_relative_to(root) for root in _roots())


@cache
def _roots() -> frozenset[str]:
    return frozenset(
        filter(None, (sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")))
    )


def versions() -> dict[str, str]:
    """Installed versions of Python and of the packages that decide a result."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "none"
    return found


def commit(folder: Path, written: Iterable[Path] = ()) -> dict[str, Any] | None:
    """The checked-out commit and whether the work tree differs from it, but for what ladder has written; None outside git."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        ran = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=True, timeout=10)
        return ran.stdout.strip()

    try:
        root = (folder / git("rev-parse", "--show-cdup")).resolve()
        inside = [path.relative_to(root) for path in map(Path.resolve, written) if root in path.parents]
        but = [f":(top,exclude,literal){path}" for path in inside]
        return {"sha": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--", ":(top)", *but))}
    except (OSError, subprocess.SubprocessError):
        return None


def machine() -> dict[str, Any]:
    """The machine: system, processor, cores, and the devices JAX finds in it if it has been loaded.

    A CPU is one device, whatever number of its cores this process shows to JAX as devices of their own: workers show fewer each.
    """
    info: dict[str, Any] = {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
    }
    if jax := sys.modules.get("jax"):
        with suppress(RuntimeError):  # where JAX does not start there is none, and the rungs say so
            found = [
                device.device_kind if device.platform == "cpu" else f"{device.device_kind} {device.id}"
                for device in devices()
            ]
            info |= {"backend": jax.default_backend(), "devices": list(dict.fromkeys(found))}
    return info
