"""The code that something runs on: its modules, those they import, and the installed packages among them."""

import ast
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from ladder.evidence.syntax import is_for_type_checkers

PACKAGE_FOLDERS = {"site-packages", "dist-packages"}
FACE = "ladder"  # it hands names on and computes nothing; where a name comes from is followed


class Code(NamedTuple):
    """The source files that something runs on, by module, and the installed packages that they import."""

    files: Mapping[str, Path]
    packages: frozenset[str]


def closure(module: str, *others: str) -> Code:
    """Return the code of a module, of others, and of all that they import, directly or not.

    Imports are followed into the files of the module's own package and of ladder. Of other installed packages the name is enough,
    for they have a version. A package's ``__init__`` runs whenever something below it is imported, so it belongs to the closure,
    and so does the home of an attribute that a package loads lazily. What is imported for type checkers alone does not belong to
    it, nor does ladder's public face. What is imported by a computed name is not seen.
    """
    own = {module.partition(".")[0], "ladder"}
    files: dict[str, Path] = {}
    packages: set[str] = set()
    todo = [name for start in (module, *others) for name in _with_parents(start)]
    while todo:
        name = todo.pop()
        top = name.partition(".")[0]
        if name in files or top in packages or name == FACE:
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
    """Yield the module of an attribute that a package hands on from elsewhere, and the modules above it."""
    parent, _, attribute = name.rpartition(".")
    value = getattr(sys.modules.get(parent), attribute, None)
    yield from _with_parents(getattr(value, "__module__", None) or "")


@cache
def _imported_by(path: Path, changed: int, is_package: bool, name: str) -> tuple[str, ...]:
    """Return the modules that a file imports; it is read once as long as it does not change."""
    return tuple(_imports(ast.parse(path.read_bytes()), name if is_package else name.rpartition(".")[0]))


def _file(name: str) -> str | None:
    """Return the path of a module's source, loaded or not; None if there is no such module."""
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
    """Yield every node except those under ``if TYPE_CHECKING:``."""
    yield tree
    children = tree.orelse if isinstance(tree, ast.If) and is_for_type_checkers(tree) else ast.iter_child_nodes(tree)
    for child in children:
        yield from _executed(child)


def _is_installed(path: Path) -> bool:
    """Return whether a file belongs to a distribution, be it of another environment, such as the system's or the user's own."""
    elsewhere = not PACKAGE_FOLDERS.isdisjoint(path.parts)
    return elsewhere or any(path.is_relative_to(root) for root in _roots())


@cache
def _roots() -> frozenset[str]:
    return frozenset(
        filter(None, (sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")))
    )
