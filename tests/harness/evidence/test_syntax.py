"""Syntax: edits that change nothing that runs keep the tree of a source, all others change it."""

import ast

import pytest

from ladder.evidence.syntax import READERS, identifiers, runtime_tree

SOURCE = '''
"""A model."""
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar
import jax
from lab import decorate

if TYPE_CHECKING:
    from lab import Array
else:
    Array = None

RATE = 0.1  # of learning
width: int = 8

@dataclass(frozen=True)
class Model:
    """Holds parameters."""

    size: int = 3
    kind: ClassVar[str] = "flat"

    def forward(self, x: float, *, scale: float = 1.0) -> float:
        """Return the output."""
        y: float = x
        z: float
        return y * scale

@partial(jax.jit, static_argnums=0)
def step(n: int, x: Array) -> Array:
    # update
    return x - RATE * n

@decorate
def checked(x: int) -> int:
    return x

def called(x: decorate(1)): pass
'''


def form(source):
    return ast.dump(runtime_tree(ast.parse(source)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""A model."""', '"""Another text."""'),
        ('"""A model."""\n', ""),
        ('"""Holds parameters."""', '"""Hold."""'),
        ('"""Return the output."""', '"""Return."""\n        "and more"'),
        ("# update", "# a step"),
        ("  # of learning", ""),
        ("RATE * n", "(RATE\n        * n)"),
        ("0.1", "1e-1"),
        ('"flat"', "'flat'"),
        ("x: float, *, scale: float = 1.0) -> float", "x, *, scale = 1.0)"),
        ("y: float = x", "y = x"),
        ("z: float\n", "z: int\n"),
        ("width: int = 8", "width = 8"),
        ("n: int, x: Array) -> Array", "n, x)"),
        ("    from lab import Array", "    from elsewhere import Array, Other"),
    ],
)
def test_neutral_edits(old, new):
    """Docstrings, comments, layout, spelling and annotations that nothing reads do not count."""
    assert old in SOURCE
    assert form(SOURCE.replace(old, new, 1)) == form(SOURCE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0.1", "0.2"),
        ("scale: float = 1.0", "scale: float = 2.0"),
        ("scale: float = 1.0", "scale: float"),
        ("size: int = 3", "size: int = 4"),
        ("size: int", "size: ClassVar[int]"),
        ("ClassVar[str]", "str"),
        ("frozen=True", "frozen=False"),
        ("@partial(jax.jit, static_argnums=0)\n", ""),
        ("@dataclass(frozen=True)\n", ""),
        ("import jax", "import jax.numpy as jax"),
        ("from lab import decorate", "from elsewhere import decorate"),
        ("    Array = None", "    Array = int"),
        ("if TYPE_CHECKING:", "if not TYPE_CHECKING:"),
        ("def checked(x: int) -> int", "def checked(x: float) -> float"),
        ("decorate(1)", "decorate(2)"),
        ("x - RATE", "x + RATE"),
        ("        z: float\n", ""),
        ('kind: ClassVar[str] = "flat"', 'kind: ClassVar[str] = "Flat"'),
        ("width: int = 8", "width: int = 8.0"),
    ],
)
def test_effective_edits(old, new):
    """Constants, defaults, decorators, imports, fields, and annotations that something may read do count."""
    assert old in SOURCE
    assert form(SOURCE.replace(old, new, 1)) != form(SOURCE)


@pytest.mark.parametrize("use", ["inspect.signature(f)", "from typing import get_type_hints as hints", "f.__doc__"])
def test_annotation_readers(use):
    """A reader of annotations, docstrings or sources is found by its name, wherever that stands."""
    assert not READERS.isdisjoint(identifiers(ast.parse(use)))
