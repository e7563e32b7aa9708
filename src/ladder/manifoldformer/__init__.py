"""Case study: a latent sphere with power-law memory and Sakaguchi-Kuramoto dynamics, learning oscillators."""

from ladder.manifoldformer.experiments import Bench

__all__ = ["Bench"]
