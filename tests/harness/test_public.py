"""The public face: what a type checker sees is what there is."""

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest

import ladder

FIRST = re.compile(r"(What|Where|Whether|How|Of|As|Without|From|Which|Who|When|Why)\b")
SOURCES = Path(ladder.__file__).parent


def seen_by_type_checkers():
    tree = ast.parse((SOURCES / "__init__.py").read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    return {
        alias.asname or alias.name: (node.module, alias.name)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


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
