"""The closure of a module under imports: the source files it runs, and the installed packages."""

import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import NamedTuple

from ladder.evidence.syntax import read_source
from ladder.naming import PACKAGE_FOLDERS

PUBLIC_MODULE = (
    "ladder"  # re-exports names and computes nothing: the modules that define the names are followed instead
)


class Code(NamedTuple):
    """The source files of a closure, by module, and the installed packages that they import."""

    files: Mapping[str, Path]
    packages: frozenset[str]


def closure(module: str, *others: str) -> Code:
    """Return the code of a module, of others, and of everything that they import, directly or indirectly.

    Imports are followed into the files of the module's own package and of ladder. Other installed packages are listed by name,
    because they have a version. The ``__init__`` of a package belongs to the closure, because importing a submodule runs it, and
    so does the module that defines an attribute which a package loads lazily. Imports under ``if TYPE_CHECKING:`` and ladder's
    public module do not belong to it. Imports by a computed name are not detected.
    """
    own = {module.partition(".")[0], "ladder"}
    files: dict[str, Path] = {}
    packages: set[str] = set()
    todo = [name for start in (module, *others) for name in _with_parents(start)]
    while todo:
        name = todo.pop()
        top = name.partition(".")[0]
        if name in files or top in packages or name == PUBLIC_MODULE:
            continue
        file = _file(name)
        if file is None:
            todo.extend(_defining_module(name))
            continue
        path = Path(file)
        if top not in own and _is_installed(path):
            packages.add(top)
            continue
        files[name] = path
        if path.suffix == ".py":
            with suppress(OSError):  # the file is gone, and its imports with it
                package = name if path.name == "__init__.py" else name.rpartition(".")[0]
                todo.extend(_imported(path, path.stat().st_mtime_ns, package))
    return Code(files, frozenset(packages - sys.stdlib_module_names))


def _defining_module(name: str) -> Iterator[str]:
    """Yield the module that defines a re-exported attribute, and its parent packages."""
    parent, _, attribute = name.rpartition(".")
    value = getattr(sys.modules.get(parent), attribute, None)
    yield from _with_parents(getattr(value, "__module__", None) or "")


@cache
def _imported(path: Path, modified_ns: int, package: str) -> list[str]:
    """Return the names that a file imports with their parents, relative ones resolved against the importing module's package.

    Raises:
        OSError: if the file cannot be read.
    """
    names: dict[str, None] = {}
    for name in read_source(path, modified_ns).imports:
        with suppress(ImportError):  # beyond the top-level package: the import itself would fail
            names |= dict.fromkeys(_with_parents(resolve_name(name, package)))
    return list(names)


def _file(name: str) -> str | None:
    """Return the path of a module's source, even if it is not loaded; None if there is no such module."""
    if name in sys.modules:
        return getattr(sys.modules[name], "__file__", None)
    try:
        spec = find_spec(name)
    except Exception:  # the name is that of an attribute, or importing its package fails
        return None
    return spec.origin if spec and spec.has_location else None


def _with_parents(name: str) -> Iterator[str]:
    """Yield a dotted name and those of its parent packages."""
    while name:
        yield name
        name = name.rpartition(".")[0]


def _is_installed(path: Path) -> bool:
    """Return whether a file belongs to an installed distribution, also one of another environment, such as the system's."""
    return not PACKAGE_FOLDERS.isdisjoint(path.parts) or any(map(path.is_relative_to, _installation_folders()))


@cache
def _installation_folders() -> frozenset[str]:
    return frozenset(
        filter(None, (sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")))
    )
