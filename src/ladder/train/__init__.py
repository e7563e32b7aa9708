"""Training: from an experiment and seeds to curves."""
