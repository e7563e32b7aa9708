"""The state of an experiment, taken apart: its arrays, which a program computes, and everything else, which stays as it was."""

import sys
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

NUMBERS = (bool, int, float, complex)


class _Array:
    """The place of an array among the leaves of a state."""


ARRAY = _Array()


class _Node:
    """The place of a module, variable or another object of flax nnx among the leaves of a state."""


NODE = _Node()


@dataclass(frozen=True)
class Form:
    """The structure of a state, with the leaves that are not arrays, such as the activation function of an equinox module.

    It is that of one call of ``init``: a later one would make other objects of the same meaning, such as another optimiser. The
    objects of flax nnx are one graph: two paths may lead to the same variable, which a tree would double.

    Attributes:
        structure: The structure of the tree, the leaves of which are arrays, objects of nnx, and all else.
        graph: The structure of the objects of nnx together.
        leaves: The leaves, followed by those of the graph, with ``ARRAY`` in the place of every array and ``NODE`` in that of
            every object of nnx.
        numbers: The places of Python's numbers.
    """

    structure: Any
    graph: Any
    leaves: tuple[Any, ...]
    numbers: tuple[int, ...]

    def join(self, arrays: list[Any]) -> Any:
        """Return the state with these arrays."""
        left = iter(arrays)
        leaves = [next(left) if leaf is ARRAY else leaf for leaf in self.leaves]
        if self.graph is not None:
            definition, structure = self.graph
            nodes = iter(_nnx().merge(definition, jax.tree.unflatten(structure, leaves[self.structure.num_leaves :])))
            leaves = [next(nodes) if leaf is NODE else leaf for leaf in leaves[: self.structure.num_leaves]]
        return jax.tree.unflatten(self.structure, leaves)

    def arrays(self, state: Any) -> list[Any]:
        """Return the arrays of a state of this form.

        Raises:
            ValueError: if objects of nnx are shared otherwise than in this form.
        """
        leaves, _, graph = flatten(state)
        if graph != self.graph:
            raise ValueError(
                "the state's modules or variables of nnx are other ones, or shared otherwise, than init() returned"
            )
        return [leaf for leaf, kind in zip(leaves, self.leaves, strict=True) if kind is ARRAY]


def split(state: Any, fixed: frozenset[int] = frozenset()) -> tuple[Form, list[Any]]:
    """Return the form of a state and its arrays, where Python's numbers are arrays unless their places are ``fixed``."""
    leaves, structure, graph = flatten(state)
    kinds = tuple(ARRAY if is_array(leaf) and place not in fixed else leaf for place, leaf in enumerate(leaves))
    numbers = tuple(place for place, leaf in enumerate(leaves) if type(leaf) in NUMBERS)
    return Form(structure, graph, kinds, numbers), [
        leaf for leaf, kind in zip(leaves, kinds, strict=True) if kind is ARRAY
    ]


def flatten(state: Any) -> tuple[list[Any], Any, Any]:
    """Return the leaves of a state, its structure as a tree, and the structure of its objects of flax nnx as a graph."""
    nnx = _nnx()
    if nnx is None:
        return *jax.tree.flatten(state), None
    kinds = tuple(
        getattr(nnx, name) for name in ("Pytree", "Object", "Variable") if hasattr(nnx, name)
    )  # by its version
    leaves, structure = jax.tree.flatten(state, is_leaf=lambda leaf: isinstance(leaf, kinds))
    nodes = [leaf for leaf in leaves if isinstance(leaf, kinds)]
    if not nodes:
        return leaves, structure, None
    definition, variables = nnx.split(nodes)
    inner, inner_structure = jax.tree.flatten(variables)
    plain = [NODE if isinstance(leaf, kinds) else leaf for leaf in leaves]
    return [*plain, *inner], structure, (definition, inner_structure)


def _nnx() -> Any:
    """Return flax nnx if it is loaded: without it, no state has an object of it."""
    return sys.modules.get("flax.nnx")


def is_array(value: Any) -> bool:
    """Return whether a value is an array or a number, as JAX computes with."""
    return isinstance(value, jax.Array | np.ndarray | np.generic | bool | int | float | complex)


def is_changed_number(before: Any, after: Any) -> bool:
    """Return whether a number of Python has become another number, or an array."""
    return is_array(after) and not (type(after) is type(before) and repr(after) == repr(before))
