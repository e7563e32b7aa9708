"""Reports against each other: two of them, or those of many nights. Nothing here loads JAX, trains or judges anew."""

ALPHA = 0.05
"""The chance of telling of a change for the worse where nothing changed, over all rungs, where nobody says otherwise."""
