"""Programs whose large constants are arguments.

An array that traced code closes over, such as a data set, is a constant of the program: XLA would copy it into the program, and
take the longer to compile the larger it is. Here such arrays are found in the traced program and are passed to it instead.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

LARGE = 2**16  # bytes; smaller constants let XLA compute in advance


class TracedFunction:
    """A function that has been traced, with its large constants apart.

    Attributes:
        constants: The large constants, by a key under which the same array is found in any program.
        result_shape: Its result, as shapes and dtypes.
        is_ordered: Whether it has effects that must happen in order, which one device can do only.
    """

    def __init__(self, function: Callable[..., Any], *arguments: Any):
        """Trace the function on arguments that have a shape and a dtype."""
        closed, form = jax.make_jaxpr(function, return_shape=True)(*jax.tree.map(_abstract, arguments))
        self.result_shape: Any = form
        self._closed: ClosedJaxpr = closed
        self.is_ordered: bool = any("Ordered" in type(effect).__name__ for effect in closed.effects)
        self.constants: dict[Any, Any] = {
            _identity(constant): _plain(constant) for constant in _large_constants(closed)
        }

    def __call__(self, constants: Sequence[jax.Array], *arguments: Any) -> Any:
        """Compute the function, where ``constants`` take the place of its own."""
        leaves = jax.tree.leaves(arguments)
        if constants:
            given = dict(zip(self.constants, constants, strict=True))
            results = _evaluate(
                self._closed, leaves, lambda constant: given[_identity(constant)] if _is_large(constant) else constant
            )
        else:
            results = jax.core.eval_jaxpr(self._closed.jaxpr, self._closed.consts, *leaves)
        return jax.tree.unflatten(jax.tree.structure(self.result_shape), results)


def _abstract(leaf: Any) -> jax.ShapeDtypeStruct:
    aval = jax.typeof(leaf) if not isinstance(leaf, jax.ShapeDtypeStruct) else leaf
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype, weak_type=aval.weak_type)


def _is_large(constant: Any) -> bool:
    return getattr(constant, "nbytes", 0) >= LARGE


def _identity(constant: Any) -> Any:
    """Return a key that two constants share if they are the same array: JAX wraps an array anew each time it is used."""
    if isinstance(constant, jax.Array):
        return id(constant)
    array = np.asarray(constant)
    return array.__array_interface__["data"][0], array.shape, array.strides, array.dtype.str


def _plain(constant: Any) -> Any:
    return constant if isinstance(constant, jax.Array) else np.asarray(constant)


def _large_constants(closed: ClosedJaxpr) -> Iterator[Any]:
    """Yield the large constants of a program, and of the programs in it whose constants can be lifted."""
    yield from filter(_is_large, closed.consts)
    for equation in closed.jaxpr.eqns:
        for inner in _inner(equation):
            yield from _large_constants(inner)


def _inner(equation: JaxprEqn) -> tuple[ClosedJaxpr, ...]:
    """Return the programs inside an operation that :func:`_evaluate` can rebuild."""
    params = equation.params
    match equation.primitive.name:
        case "jit" | "pjit" | "scan":
            return (params["jaxpr"],)
        case "while":
            return (params["cond_jaxpr"], params["body_jaxpr"])
        case "cond":
            return tuple(params["branches"])
    return ()


def _evaluate(closed: ClosedJaxpr, arguments: Sequence[Any], lift: Callable[[Any], Any]) -> list[Any]:
    """Compute a program with lifted constants; only operations that contain some are rebuilt."""
    jaxpr: Jaxpr = closed.jaxpr
    constants = [lift(constant) for constant in closed.consts]
    rebuilt = {
        id(eqn) for eqn in jaxpr.eqns if any(any(True for _ in _large_constants(inner)) for inner in _inner(eqn))
    }
    if not rebuilt:
        return list(jax.core.eval_jaxpr(jaxpr, constants, *arguments))
    values: dict[Any, Any] = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*constants, *arguments), strict=True))
    for equation in jaxpr.eqns:
        if id(equation) in rebuilt:
            inputs = [atom.val if isinstance(atom, Literal) else values[atom] for atom in equation.invars]
            outputs = _rebuild(equation, inputs, lift)
        else:
            used = list(dict.fromkeys(atom for atom in equation.invars if not isinstance(atom, Literal)))
            alone = jaxpr.replace(constvars=[], invars=used, outvars=equation.outvars, eqns=[equation])
            outputs = jax.core.eval_jaxpr(alone, (), *(values[atom] for atom in used))
        values.update(zip(equation.outvars, outputs, strict=True))
    return [atom.val if isinstance(atom, Literal) else values[atom] for atom in jaxpr.outvars]


def _rebuild(equation: JaxprEqn, inputs: list[Any], lift: Callable[[Any], Any]) -> Any:
    """Compute an operation, the programs in which close over lifted constants."""
    params = equation.params
    name = equation.primitive.name
    if name in ("jit", "pjit"):
        return _evaluate(params["jaxpr"], inputs, lift)
    if name == "scan":
        consts, carries = params["num_consts"], params["num_carry"]
        closed_over, carry, xs = inputs[:consts], inputs[consts : consts + carries], inputs[consts + carries :]

        def step(carry: list[Any], x: list[Any]) -> tuple[list[Any], list[Any]]:
            results = _evaluate(params["jaxpr"], [*closed_over, *carry, *x], lift)
            return results[:carries], results[carries:]

        options = {name: params[name] for name in ("length", "reverse", "unroll")}
        final, ys = jax.lax.scan(step, carry, xs, **options)
        return [*final, *ys]
    if name == "while":
        of_condition, of_body = params["cond_nconsts"], params["body_nconsts"]
        condition, body = inputs[:of_condition], inputs[of_condition : of_condition + of_body]
        return jax.lax.while_loop(
            lambda carry: _evaluate(params["cond_jaxpr"], [*condition, *carry], lift)[0],
            lambda carry: _evaluate(params["body_jaxpr"], [*body, *carry], lift),
            inputs[of_condition + of_body :],
        )
    index, *operands = inputs
    branches = [partial(_branch, branch, lift) for branch in params["branches"]]
    return jax.lax.switch(index, branches, operands)


def _branch(branch: ClosedJaxpr, lift: Callable[[Any], Any], operands: list[Any]) -> list[Any]:
    return _evaluate(branch, operands, lift)
