"""A configuration holds what its annotations say, or is refused where it is written."""

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pytest

from ladder.declare.fields import check_fields


@dataclass(frozen=True)
class Part:
    """A component."""


@dataclass(frozen=True, kw_only=True)
class Whole:
    """One field of every kind."""

    size: int = 1
    rate: float = 0.5
    on: bool = True
    kind: Literal["", "some"] = ""
    word: str = "x"
    part: "Part | None" = None
    each: tuple[float, ...] = ()
    limit: float | None = None

    shared: ClassVar[int] = "not a field"

    def __post_init__(self):
        check_fields(self)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"size": np.int32(3), "rate": 1},
        {"rate": np.float32(0.5), "limit": -1},
        {"kind": "some", "part": Part(), "each": (1, 2.5)},
    ],
)
def test_valid_fields(given):
    """A value that agrees with the annotation of its field is accepted."""
    Whole(**given)


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("size", 1.0, "give a whole number"),
        ("size", True, "give a whole number"),
        ("rate", "0.5", "give a finite number"),
        ("rate", float("inf"), "give a finite number"),
        ("rate", float("nan"), "give a finite number"),
        ("rate", False, "give a finite number"),
        ("on", 1, "give True or False"),
        ("kind", "none", "choose one of '', 'some'"),
        ("kind", None, "choose one of '', 'some'"),
        ("word", 3, "give a string"),
        ("part", Part, "give Part(...) or None"),
        ("each", [1.0], "give a tuple, each entry a finite number"),
        ("each", (1.0, "2"), "give a tuple, each entry a finite number"),
        ("limit", float("inf"), "give a finite number or None"),
    ],
)
def test_invalid_fields(name, value, wanted):
    """A value that contradicts the annotation of its field raises an error that names the field."""
    with pytest.raises(ValueError, match=re.escape(f"Whole({name}={value!r}): {wanted}")):
        Whole(**{name: value})
