"""pymanopt's manifolds, without what importing them does: it switches JAX to float64, in every test of the session."""

import jax

_wide = jax.config.jax_enable_x64

from pymanopt.manifolds import SpecialOrthogonalGroup, Sphere  # noqa: E402

jax.config.update("jax_enable_x64", _wide)

__all__ = ["SpecialOrthogonalGroup", "Sphere"]
