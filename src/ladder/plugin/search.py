"""Search: the tests that a command line names by id, and the files that may hold rungs, judged by their source.

Where rungs alone are asked for, files without any need not be imported.
"""

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

RUNGS_ALONE = re.compile(r"\s*(?:rung\d*(?:\s+or\s+rung\d*)*)?\s*")
SPEAKS = re.compile(rb"climb|rung|marker")
IMPORT = re.compile(rb"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+)?import[ \t]+(\([^)]*\)|[^\n]+)", re.M)
PLUGINS = re.compile(rb"^pytest_plugins\b[^\n]*=([^\n]*(?:\n[ \t]+[^\n]*)*)", re.M)


def named(item: pytest.Item, itself: bool = False) -> bool:
    """Return whether an id on the command line is this test's or, unless only ``itself`` counts, of something around it."""
    inside = item.nodeid.partition("::")[2]
    for argument in item.config.args:
        path, _, id = argument.partition("::")
        here = id and (item.config.invocation_params.dir / path).resolve() == item.path
        if here and (inside == id or (not itself and inside.startswith((f"{id}[", f"{id}::")))):
            return True
    return False


def may_have_rungs(path: Path, expression: str) -> bool:
    """Return whether a test file may hold what an ``-m`` expression of rungs selects; when in doubt it may.

    It may if it, a ``conftest.py`` above it, or a helper that these import asks for ``climb``, bears one of the marks, or adds
    marks. An expression that asks for anything but rungs may be met anywhere.
    """
    if path.suffix != ".py" or not RUNGS_ALONE.fullmatch(expression):
        return True
    marks = {"rung", *re.findall(r"rung\d+", expression), "add_marker", "applymarker"}
    todo = [path, *(folder / "conftest.py" for folder in path.parents)]
    seen: set[Path] = set()
    while todo:
        file = todo.pop()
        if file in seen or not file.is_file():
            continue
        seen.add(file)
        source = _read(file, file.stat().st_mtime_ns)
        if source is None or source.climbs or source.marks & marks:
            return True
        if file.parent in path.parents:  # a test or its helper; what a model's package imports is not followed on
            todo += [found for name in source.imports for found in _modules(name, path.parent)]
    return False


class _Source(NamedTuple):
    climbs: bool
    marks: frozenset[str]
    imports: frozenset[str]


@cache
def _read(file: Path, changed: int) -> _Source | None:
    """Return what matters of a file, as it was when it was changed; None if it cannot be parsed."""
    text = file.read_bytes()
    named = (name for line in IMPORT.finditer(text) for name in _imported(*line.groups(b"")))
    plugins = (name.decode() for names in PLUGINS.findall(text) for name in re.findall(rb"[\"']([\w.]+)[\"']", names))
    imports = frozenset((*named, *plugins))
    if not SPEAKS.search(text):  # most files do not, and to parse one takes a while
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
    """``from a.b import c, d`` may import ``a.b``, ``a.b.c`` and ``a.b.d``."""
    home = module.decode().strip(".")
    if home:
        yield home
    yield from (f"{home}.{name.decode()}".strip(".") for name in re.findall(rb"[\w.]+", names))


@cache
def _modules(name: str, folder: Path) -> list[Path]:
    """Yield the files of the module of that name: in the folder, above it, or on the import path but for installed packages."""
    top = name.partition(".")[0]
    if top == "ladder" or top in sys.stdlib_module_names:
        return []
    inside = Path(*name.split("."))
    roots = [
        root
        for root in (folder, *folder.parents, *map(Path, filter(None, sys.path)))
        if "site-packages" not in root.parts
    ]
    files = (root / file for root in roots for file in (inside.with_suffix(".py"), inside / "__init__.py"))
    return [file for file in files if file.is_file()]
