"""What produced a measurement: the experiment, the code it runs, the versions, the backend, the commit, the machine."""

import ast
import hashlib
import os
import platform
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ladder.experiment import components

PACKAGES = ("pytest-ladder", "jax", "jaxlib", "flax", "optax", "numpy")
# Whatever the experiment: the module that derives its keys and runs it, and the one that reduces its curves to numbers.
ENGINE = ("ladder.training", "ladder.criteria")


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


def fingerprint(experiment: object) -> Fingerprint:
    """The fingerprint of an experiment in this process; asks JAX for its backend."""
    import jax

    kind = type(experiment)
    sources = closure(kind.__module__).union(*map(closure, ENGINE))
    # By content, in an order of its own: where a package is installed is no part of what it does.
    digest = hashlib.sha256(b"".join(sorted(hashlib.sha256(path.read_bytes()).digest() for path in sources)))
    return Fingerprint(
        experiment=f"{kind.__module__}.{kind.__qualname__}({described(experiment)})",
        code=digest.hexdigest()[:16],
        versions=", ".join(f"{name} {version}" for name, version in versions().items()),
        backend=jax.default_backend(),
    )


def described(experiment: object) -> str:
    """The components as ``name=value``, in order."""
    return ", ".join(f"{path}={value!r}" for path, value in components(experiment).items())


def closure(module: str) -> set[Path]:
    """Source files of a module and of all that it imports, directly or not, outside installed packages.

    A package's ``__init__`` runs whenever something below it is imported, so it belongs to the closure; what is imported
    for type checkers alone does not.
    """
    own = module.partition(".")[0]
    found: dict[str, Path] = {}
    todo = list(_with_parents(module))
    while todo:
        name = todo.pop()
        file = None if name in found else _file(name)
        if file is None or not file.endswith(".py"):
            continue
        path = Path(file)
        if name.partition(".")[0] != own and _is_installed(path):
            continue
        found[name] = path
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        todo.extend(_imports(ast.parse(path.read_bytes()), package))
    return set(found.values())


def _file(name: str) -> str | None:
    """Where a module's source lies, loaded or not; None if there is no such module."""
    if name in sys.modules:
        return getattr(sys.modules[name], "__file__", None)
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):  # an attribute of a module, not a module
        return None
    return spec.origin if spec else None


def _with_parents(name: str) -> Iterator[str]:
    while name:
        yield name
        name = name.rpartition(".")[0]


def _imports(tree: ast.AST, package: str) -> Iterator[str]:
    for node in _executed(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _with_parents(alias.name)
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
    roots = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return any(path.is_relative_to(root) for root in roots if root)


def versions() -> dict[str, str]:
    """Installed versions of Python and of the packages that decide a result."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "none"
    return found


def commit(folder: Path) -> dict[str, Any] | None:
    """The checked-out commit and whether the work tree differs from it; None outside git."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        return {"sha": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None


def machine() -> dict[str, Any]:
    """The machine: system, processor, cores, and the devices JAX uses if it has been started."""
    info: dict[str, Any] = {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
    }
    if jax := sys.modules.get("jax"):
        devices = jax.devices()
        info["backend"] = jax.default_backend()
        info["devices"] = [f"{device.device_kind} {device.id}" for device in devices]
    return info
