"""The search for rungs: tests that a command line names by id, and files that may have rungs according to their source.

If only rungs are selected, files without rungs need not be imported. Most files are scanned by regular expressions and not
compiled, because the search runs in the first seconds of pytest.
"""

import os
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import CodeType
from typing import NamedTuple

import pytest

ONLY_RUNGS = re.compile(r"\s*(?:rung\d*(?:\s+or\s+rung\d*)*)?\s*")
# An argument or a string ``climb``, and an attribute that may be the mark of a rung, or add one.
MENTIONS_RUNGS = re.compile(rb"\bclimb(?:['\"]|\s*[,):=/#])|\.[\s\\]*(?:rung\d*|add_marker|applymarker)\b")
# The mark of all rungs; a test may well have another attribute ``rung``.
MARK_OF_ALL = re.compile(rb"\bmark[\s\\)]*\.[\s\\]*rung\b")
QUOTED = re.compile(rb"['\"]climb['\"]")
COMMENT = re.compile(rb"#[^\n]*")
IMPORTS = re.compile(
    rb"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+)?import[ \t]+(\((?:[^)#]|#[^\n]*)*\)|(?:[^\n\\]|\\\r?\n|\\)+)", re.M
)
PLUGINS = re.compile(rb"^pytest_plugins\b[^\n]*=([^\n]*(?:\n[ \t]+[^\n]*)*)", re.M)


def is_named(item: pytest.Item, itself: bool = False) -> bool:
    """Return whether an id on the command line names this test or, unless ``itself`` is set, a class or function around it."""
    own = item.nodeid.partition("::")[2]
    for argument in item.config.args:
        path, _, id = argument.partition("::")
        is_same_file = id and (item.config.invocation_params.dir / path).resolve() == item.path
        if is_same_file and (own == id or (not itself and own.startswith((f"{id}[", f"{id}::")))):
            return True
    return False


def may_have_rungs(path: Path, expression: str) -> bool:
    """Return whether a file or folder may have tests that an ``-m`` expression of rungs selects; if in doubt, it may.

    A file may if the file, a ``conftest.py`` above it, or a module that these import uses ``climb``, has one of the marks, or
    adds marks. A folder may if one of its files may. A file that is not Python source, or an expression with other marks, may
    select anything.
    """
    if not ONLY_RUNGS.fullmatch(expression):
        return True
    marks = frozenset({"rung", *re.findall(r"rung\d+", expression), "add_marker", "applymarker"})
    seen: dict[Path, set[Path]] = {}
    files = files_below(path) if path.is_dir() else (path,)
    return any(file.suffix != ".py" or _uses_rungs(file, marks, seen.setdefault(file.parent, set())) for file in files)


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder and its subfolders, without compiled ones."""
    seen = {os.path.realpath(folder)}
    for name, folders, files in os.walk(folder, followlinks=True):  # as pytest does
        inner = {os.path.realpath(Path(name, each)): each for each in sorted(folders) if each != "__pycache__"}
        folders[:] = [each for real, each in inner.items() if real not in seen]
        seen |= inner.keys()
        yield from (Path(name, file) for file in sorted(files))


def _uses_rungs(path: Path, marks: frozenset[str], seen: set[Path]) -> bool:
    """Return whether a Python file, a ``conftest.py`` above it, or a module that these import uses rungs.

    Files in ``seen`` do not; those that this search looks at are added, for the other files of the same folder.
    """
    todo = [path, *(folder / "conftest.py" for folder in path.parents)]
    while todo:
        file = todo.pop()
        if file in seen:
            continue
        seen.add(file)
        if not file.is_file():
            continue
        source = _scan(file, file.stat().st_mtime_ns)
        if source is None or source.climbs or source.marks & marks:
            return True
        if file.parent in path.parents:  # a test or its helper; imports of other modules are not followed
            todo += [each for name in source.imports for each in _modules(name, path.parent)]
    return False


class _Source(NamedTuple):
    """The features of a file: the fixture ``climb``, names that may be marks, and imported names."""

    climbs: bool
    marks: frozenset[str]
    imports: frozenset[str]


@cache
def _scan(file: Path, modified_ns: int) -> _Source | None:
    """Scan a file, once for each time of modification; return None if it cannot be compiled."""
    text = file.read_bytes()
    modules = (name for line in IMPORTS.finditer(text) for name in _imported(*line.groups(b"")))
    plugins = (name.decode() for names in PLUGINS.findall(text) for name in re.findall(rb"[\"']([\w.]+)[\"']", names))
    imports = frozenset((*modules, *plugins))
    if not MENTIONS_RUNGS.search(text):  # true of most files, and compiling is slow
        return _Source(False, frozenset(), imports)
    climbs, names = False, set[str]()
    try:
        todo: list[object] = [compile(text, file, "exec", dont_inherit=True)]  # twice as fast as a syntax tree
    except (SyntaxError, ValueError):
        return None
    while todo:
        match todo.pop():
            case CodeType() as code:
                arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
                climbs |= "climb" in arguments
                names |= {*code.co_names}
                todo += code.co_consts
            case "climb":  # getfixturevalue("climb"), but also an imported name and that of a keyword argument
                climbs |= QUOTED.search(text) is not None
            case tuple() | frozenset() as constants:
                todo += constants
            case _:
                pass
    if not MARK_OF_ALL.search(text):  # an attribute or a variable with this name
        names.discard("rung")
    return _Source(climbs, frozenset(names), imports)


def _imported(module: bytes, names: bytes) -> Iterator[str]:
    """Yield the modules that a statement may import: ``a.b``, ``a.b.c`` and ``a.b.d`` for ``from a.b import c, d``."""
    home = module.decode().strip(".")
    if home:
        yield home
    yield from (f"{home}.{name.decode()}".strip(".") for name in re.findall(rb"[\w.]+", COMMENT.sub(b"", names)))


@cache
def _modules(name: str, folder: Path) -> list[Path]:
    """Return the files of a module: in the folder, above it, or on the import path, without installed packages."""
    top, *inner = name.split(".")
    if top == "ladder" or top in sys.stdlib_module_names:
        return []
    modules = (root.joinpath(top, *inner) for root, names in _roots(folder) if top in names)
    files = (file for module in modules for file in (module.with_suffix(".py"), module / "__init__.py"))
    return [file for file in files if file.is_file()]


@cache
def _roots(folder: Path) -> list[tuple[Path, frozenset[str]]]:
    """Return the folders where modules are looked for, each with the names of those directly in it."""
    roots = dict.fromkeys((folder, *folder.parents, *map(Path, filter(None, sys.path))))
    return [(root, _names(root)) for root in roots if "site-packages" not in root.parts]


def _names(folder: Path) -> frozenset[str]:
    """Return the names of files and folders, without endings; none for what is not a readable folder."""
    try:
        return frozenset(path.name.partition(".")[0] for path in folder.iterdir())
    except OSError:
        return frozenset()
