"""The tasks: one batch to memorise, and sources of sequences to generalise from."""

from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int, Key

FirstTokens = Literal["distinct", "shared"]
Task = Literal["markov", "recall"]


def one_batch(
    key: Key[Array, ""], size: int, length: int, vocabulary: int, first: FirstTokens
) -> Int[Array, "{size} {length}+1"]:
    """Draw random sequences; the first tokens are all distinct, or those of the first two sequences are the same.

    Two sequences with the same first token and different second tokens cannot both be predicted from the tokens before.

    Args:
        key: The random key.
        size: The number of sequences.
        length: The number of tokens in a sequence after the first.
        vocabulary: The number of different tokens.
        first: ``"distinct"``, or ``"shared"`` by the first two sequences.
    """
    heads, rest = jax.random.split(key)
    start = jax.random.permutation(heads, vocabulary)[:size]
    tokens = jax.random.randint(rest, (size, length), 0, vocabulary)
    if first == "shared":
        start = start.at[1].set(start[0])
        tokens = tokens.at[1, 0].set((tokens[0, 0] + 1) % vocabulary)
    return jnp.concatenate([start[:, None], tokens], axis=1)


SUCCESSORS = (0.8, 0.15, 0.05)
"""The probabilities of a token's three successors; their entropy, 0.613 nats, is the least possible cross-entropy."""


def markov_source(key: Key[Array, ""], vocabulary: int) -> Float[Array, "token token"]:
    """Draw the transition matrix of a first-order Markov source: each token has three successors, drawn at random."""

    def row(key: Array) -> Array:
        successors = jax.random.permutation(key, vocabulary)[: len(SUCCESSORS)]
        return jnp.zeros(vocabulary).at[successors].set(jnp.array(SUCCESSORS))

    return jax.vmap(row)(jax.random.split(key, vocabulary))


def markov(
    key: Key[Array, ""], source: Float[Array, "token token"], size: int, length: int
) -> Int[Array, "{size} {length}+1"]:
    """Draw sequences from a Markov source; all first tokens are equally likely.

    Args:
        key: The random key.
        source: The transition matrix, one row per token.
        size: The number of sequences.
        length: The number of tokens in a sequence after the first.
    """
    start, rest = jax.random.split(key)
    first = jax.random.randint(start, (size,), 0, len(source))

    def transition(token: Array, key: Array) -> tuple[Array, Array]:
        following = jax.random.categorical(key, jnp.log(source[token]))
        return following, following

    following = jax.lax.scan(transition, first, jax.random.split(rest, length))[1]
    return jnp.concatenate([first[None], following]).T


def recall(key: Key[Array, ""], size: int, length: int, vocabulary: int) -> Int[Array, "{size} {length}+1"]:
    """Draw random tokens, then the last token of the vocabulary, which asks for the first token of the sequence, then the answer.

    Args:
        key: The random key.
        size: The number of sequences.
        length: The number of tokens in a sequence before the answer.
        vocabulary: The number of different tokens, the question included.
    """
    tokens = jax.random.randint(key, (size, length - 1), 0, vocabulary - 1)
    question = jnp.full((size, 1), vocabulary - 1)
    return jnp.concatenate([tokens, question, tokens[:, :1]], axis=1)
