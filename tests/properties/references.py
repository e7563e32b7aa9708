"""Independent implementations that the laws are checked against."""

import diffrax
import jax

_wide = jax.config.jax_enable_x64

from pymanopt.manifolds import SpecialOrthogonalGroup, Sphere  # noqa: E402

# Importing pymanopt switches JAX to float64, in every test of the session.
jax.config.update("jax_enable_x64", _wide)

__all__ = ["SpecialOrthogonalGroup", "Sphere", "flow"]

TOLERANCE = 1e-10


def flow(slope, start):
    """Integrate ``y' = slope(t, y)`` from ``start`` at time 0 to time 1, by diffrax's method of order 8."""
    return diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, y, _: slope(t, y)),
        diffrax.Dopri8(),
        0.0,
        1.0,
        0.1,
        start,
        stepsize_controller=diffrax.PIDController(rtol=TOLERANCE, atol=TOLERANCE),
    ).ys[0]
