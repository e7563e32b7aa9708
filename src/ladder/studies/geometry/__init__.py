"""Manifolds and integrators on them: pure functions of arrays, with no model in sight."""
