"""The comparison of reports: of two, or of those of many nightly runs. Nothing here loads JAX, trains or judges again."""

ALPHA = 0.05
"""The default chance of reporting a change for the worse although nothing changed, over all rungs."""
