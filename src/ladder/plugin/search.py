"""The search for rungs: tests that a command line names by id, and files that may have rungs according to their source.

If only rungs are selected, files without rungs need not be imported. Most files are scanned by regular expressions and not
parsed, because the search runs in the first seconds of pytest.
"""

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ONLY_RUNGS = re.compile(r"\s*(?:rung\d*(?:\s+or\s+rung\d*)*)?\s*")
# An argument or a string ``climb``, and an attribute that may be the mark of a rung, or add one.
MENTIONS_RUNGS = re.compile(rb"\bclimb(?:['\"]|\s*[,):=/#])|\.[\s\\]*(?:rung\d*|add_marker|applymarker)\b")
IMPORTS = re.compile(rb"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+)?import[ \t]+(\([^)]*\)|[^\n]+)", re.M)
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
    """Return whether a test file may have tests that an ``-m`` expression of rungs selects; if in doubt, it may.

    It may if the file, a ``conftest.py`` above it, or a module that these import uses ``climb``, has one of the marks, or adds
    marks. An expression with other marks may select tests of any file.
    """
    if path.suffix != ".py" or not ONLY_RUNGS.fullmatch(expression):
        return True
    marks = {"rung", *re.findall(r"rung\d+", expression), "add_marker", "applymarker"}
    todo = [path, *(folder / "conftest.py" for folder in path.parents)]
    seen: set[Path] = set()
    while todo:
        file = todo.pop()
        if file in seen or not file.is_file():
            continue
        seen.add(file)
        source = _scan(file, file.stat().st_mtime_ns)
        if source is None or source.climbs or source.marks & marks:
            return True
        if file.parent in path.parents:  # a test or its helper; imports of other modules are not followed
            todo += [each for name in source.imports for each in _modules(name, path.parent)]
    return False


class _Source(NamedTuple):
    """The features of a file: the fixture ``climb``, attributes that may be marks, and imported names."""

    climbs: bool
    marks: frozenset[str]
    imports: frozenset[str]


@cache
def _scan(file: Path, modified_ns: int) -> _Source | None:
    """Scan a file, once for each time of modification; return None if it cannot be parsed."""
    text = file.read_bytes()
    modules = (name for line in IMPORTS.finditer(text) for name in _imported(*line.groups(b"")))
    plugins = (name.decode() for names in PLUGINS.findall(text) for name in re.findall(rb"[\"']([\w.]+)[\"']", names))
    imports = frozenset((*modules, *plugins))
    if not MENTIONS_RUNGS.search(text):  # true of most files, and parsing is slow
        return _Source(False, frozenset(), imports)
    climbs, marks = False, set[str]()
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except (SyntaxError, ValueError):
        return None
    for node in nodes:
        match node:
            case ast.arg(arg="climb") | ast.Constant(value="climb"):  # also getfixturevalue("climb")
                climbs = True
            case ast.Attribute(attr="rung", value=ast.Attribute(attr="mark") | ast.Name(id="mark")):
                marks.add("rung")
            case ast.Attribute(attr=name) if name != "rung":
                marks.add(name)
            case _:
                pass
    return _Source(climbs, frozenset(marks), imports)


def _imported(module: bytes, names: bytes) -> Iterator[str]:
    """Yield the modules that a statement may import: ``a.b``, ``a.b.c`` and ``a.b.d`` for ``from a.b import c, d``."""
    home = module.decode().strip(".")
    if home:
        yield home
    yield from (f"{home}.{name.decode()}".strip(".") for name in re.findall(rb"[\w.]+", names))


@cache
def _modules(name: str, folder: Path) -> list[Path]:
    """Return the files of a module: in the folder, above it, or on the import path, without installed packages."""
    top = name.partition(".")[0]
    if top == "ladder" or top in sys.stdlib_module_names:
        return []
    relative = Path(*name.split("."))
    roots = [
        root
        for root in (folder, *folder.parents, *map(Path, filter(None, sys.path)))
        if "site-packages" not in root.parts
    ]
    files = (root / file for root in roots for file in (relative.with_suffix(".py"), relative / "__init__.py"))
    return [file for file in files if file.is_file()]
