"""The state of an experiment, taken apart: its arrays, which a program computes, and everything else, which stays as it was."""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

NUMBERS = (bool, int, float, complex)


class _Array:
    """The place of an array among the leaves of a state."""


ARRAY = _Array()


@dataclass(frozen=True)
class Form:
    """The structure of a state, with the leaves that are not arrays, such as the activation function of an equinox module.

    It is that of one call of ``init``: a later one would make other objects of the same meaning, such as another optimiser.

    Attributes:
        structure: The structure of the tree.
        leaves: Its leaves, with ``ARRAY`` in the place of every array.
        numbers: The places of Python's numbers.
    """

    structure: Any
    leaves: tuple[Any, ...]
    numbers: tuple[int, ...]

    def join(self, arrays: list[Any]) -> Any:
        """Return the state with these arrays."""
        left = iter(arrays)
        return jax.tree.unflatten(self.structure, [next(left) if leaf is ARRAY else leaf for leaf in self.leaves])

    def arrays(self, state: Any) -> list[Any]:
        """Return the arrays of a state of this form."""
        return [leaf for leaf, kind in zip(jax.tree.leaves(state), self.leaves, strict=True) if kind is ARRAY]


def split(state: Any, fixed: frozenset[int] = frozenset()) -> tuple[Form, list[Any]]:
    """Return the form of a state and its arrays, where Python's numbers are arrays unless their places are ``fixed``."""
    leaves, structure = jax.tree.flatten(state)
    kinds = tuple(ARRAY if is_array(leaf) and place not in fixed else leaf for place, leaf in enumerate(leaves))
    numbers = tuple(place for place, leaf in enumerate(leaves) if type(leaf) in NUMBERS)
    form = Form(structure, kinds, numbers)
    return form, form.arrays(state)


def is_array(value: Any) -> bool:
    """Return whether a value is an array or a number, as JAX computes with."""
    return isinstance(value, jax.Array | np.ndarray | np.generic | bool | int | float | complex)


def is_changed_number(before: Any, after: Any) -> bool:
    """Return whether a number of Python has become another number, or an array."""
    return is_array(after) and not (type(after) is type(before) and repr(after) == repr(before))
