"""The public face: what a type checker sees is what there is."""

import ast
import importlib
import inspect
import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import ladder

FIRST = re.compile(r"(What|Where|Whether|How|Of|As|Without|From|Which|Who|When|Why)\b")
SOURCES = Path(ladder.__file__).parent
MODULES = (
    "ladder",
    "ladder.floors",
    "ladder.inspection",
    "ladder.pictures",
    pytest.param(
        "ladder.torch", marks=pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")
    ),
)


def seen_by_type_checkers():
    tree = ast.parse((SOURCES / "__init__.py").read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    return {
        alias.asname or alias.name: (node.module, alias.name)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@pytest.fixture(scope="module")
def symbols():
    """The public symbols of the package as pyright sees them, by dotted name."""
    pytest.importorskip("basedpyright")
    command = [sys.executable, "-m", "basedpyright", "--verifytypes", "ladder", "--ignoreexternal", "--outputjson"]
    # It looks for the package where the first Python of the path does.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    report = subprocess.run(command, env={**os.environ, "PATH": path}, capture_output=True, text=True)
    symbols = json.loads(report.stdout)["typeCompleteness"]["symbols"]
    return {symbol["name"]: symbol for symbol in symbols if symbol["isExported"]}


def at_run_time(module):
    """The public names of a module: those of ``__all__`` or, without it, of the classes and functions that it defines."""
    module = importlib.import_module(module)
    defined = {name for name, thing in vars(module).items() if getattr(thing, "__module__", None) == module.__name__}
    return {name for name in getattr(module, "__all__", defined) if not name.startswith("_")}


def test_types(symbols):
    """Every public symbol has a declared type, the same for all type checkers."""
    assert len(symbols) > 1000
    unclear = {
        name: symbol["diagnostics"]
        for name, symbol in symbols.items()
        if not symbol["isTypeKnown"] or symbol["isTypeAmbiguous"]
    }
    assert unclear == {}


@pytest.mark.parametrize("module", MODULES)
def test_what_a_type_checker_sees(symbols, module):
    """A type checker sees what can be imported, and no public class or function is hidden from it."""
    seen = {name.removeprefix(f"{module}.") for name in symbols if name.rpartition(".")[0] == module}
    seen = {name for name in seen if not name.startswith("__")}
    assert [name for name in sorted(seen) if not hasattr(importlib.import_module(module), name)] == []
    names = at_run_time(module)
    constants = {name for name in seen if symbols[f"{module}.{name}"]["category"] not in ("class", "function")}
    assert names - constants == seen - constants


def test_names():
    """A type checker sees the public names and no others, and ``dir`` lists them."""
    assert set(ladder.__all__) == set(seen_by_type_checkers())
    assert set(ladder.__all__) < set(dir(ladder))


@pytest.mark.parametrize("name", ladder.__all__)
def test_name(name):
    """A public name is the object that a type checker takes it for, and is documented."""
    module, attribute = seen_by_type_checkers()[name]
    thing = getattr(ladder, name)
    assert thing is getattr(importlib.import_module(module), attribute)
    assert inspect.getdoc(thing)


def test_unknown_name():
    """A name that is not public is an AttributeError."""
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = ladder.nothing


def test_first_word_of_docstrings():
    """A docstring begins with a verb, or an article and a noun."""
    files = sorted(SOURCES.rglob("*.py"))
    found = [
        f"{file.relative_to(SOURCES)}: {docstring.splitlines()[0]}"
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module)
        and (docstring := ast.get_docstring(node))
        and FIRST.match(docstring)
    ]
    assert found == []
