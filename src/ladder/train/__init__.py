"""Training: an experiment and seeds in, curves out."""
