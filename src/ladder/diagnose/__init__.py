"""Diagnosis: from the curves and traces of failing seeds to causes, each with the number that shows it."""
