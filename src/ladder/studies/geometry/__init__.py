"""Manifolds and integrators on them: pure functions of arrays that know no model."""
