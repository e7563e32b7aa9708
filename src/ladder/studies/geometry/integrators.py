"""One-step integrators for vector fields on the sphere, by projection.

Source: Hairer, Lubich and Wanner, *Geometric Numerical Integration*, section IV.4 (standard projection method).
"""

from collections.abc import Callable

from jax import Array
from jaxtyping import Float

from ladder.studies.geometry.sphere import retract

Field = Callable[[Float[Array, "*batch dim"]], Float[Array, "*batch dim"]]


def rk4_step(field: Field, x: Float[Array, "*batch dim"], h: float | Float[Array, ""]) -> Float[Array, "*batch dim"]:
    """Take one classical Runge-Kutta step of size ``h`` from a unit ``x``, with each stage and the end put on the sphere.

    ``field`` is evaluated only at points of the sphere and must return tangent vectors there. Extending it to the ambient
    space by ``F(y) = field(y / |y|)`` makes this the projected classical method, of order 4. The sum of the slopes is not
    projected onto the tangent space at ``x``: its normal part is of order ``h^2`` and belongs to the step. For a zero field
    the result is ``x`` bit for bit.
    """
    k1 = field(x)
    k2 = field(retract(x, 0.5 * h * k1))
    k3 = field(retract(x, 0.5 * h * k2))
    k4 = field(retract(x, h * k3))
    return retract(x, h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4))


def euler_step(field: Field, x: Float[Array, "*batch dim"], h: float | Float[Array, ""]) -> Float[Array, "*batch dim"]:
    """Take one explicit Euler step of size ``h`` from a unit ``x`` and put it on the sphere: the projected method, of order 1."""
    return retract(x, h * field(x))
