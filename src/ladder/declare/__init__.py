"""Declarations, which a user writes: an experiment, the criteria it must meet, and the rungs of a ladder."""
