"""The oscillators and the batches cut of them, each against its definition."""

import math
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st
from jax.flatten_util import ravel_pytree
from precision import SINGLE, compiled

from ladder.manifoldformer import Bench
from ladder.manifoldformer.data import batches, drawn, signals, zero_predictor_mse

ROUNDING = SINGLE.unit
KINDS = 20


@pytest.mark.parametrize("length", [5, 64])
def test_signals_are_two_tones_of_distinct_frequencies(length):
    found = signals(length)
    pairs = [(f, g) for f in (1, 2, 3, 5, 8) for g in (1, 2, 3, 5, 8) if f != g]
    assert found.shape == (len(pairs), length, 16)
    assert found.dtype == np.float32
    for n, (f, g) in enumerate(pairs):
        for i, c in [(0, 0), (1, 3), (length // 2, 8), (length - 1, 15)]:
            t, phase = 4 * math.pi * i / (length - 1), 2 * math.pi * c / 16
            expected = math.sin(f * t + phase) + 0.5 * math.sin(g * t + phase)
            assert found[n, i, c] == pytest.approx(expected, abs=2 * ROUNDING)


def test_the_training_set_is_drawn_batch_by_batch():
    found = drawn()
    assert found.shape == (960,)
    assert set(found) == set(range(KINDS))
    for batch in (0, 14):
        again = np.random.default_rng(batch).integers(KINDS, size=64)
        np.testing.assert_array_equal(found[64 * batch : 64 * (batch + 1)], again)


def test_predicting_zero_costs_the_mean_square_of_the_training_set():
    assert zero_predictor_mse(64) == pytest.approx(0.6328, abs=5e-5)
    for length in (8, 64):
        assert zero_predictor_mse(length) == pytest.approx(float(np.mean(signals(length)[drawn()] ** 2)), rel=1e-6)


@given(st.sampled_from([1, 8, 20, 32, 64, 960]), st.integers(0, 2**31))
def test_batches_weigh_every_sequence_as_often_as_it_occurs(batch_size, seed):
    sequence = np.random.default_rng(seed).integers(KINDS, size=960)
    rows, weights = batches(jnp.asarray(sequence), batch_size, KINDS)
    assert rows.shape == weights.shape == (960 // batch_size, min(batch_size, KINDS))

    def counts(rows, weights):
        batch = np.broadcast_to(np.arange(len(rows))[:, None], rows.shape)
        found = np.zeros((len(rows), KINDS))
        np.add.at(found, (batch, rows), weights)
        return found

    weighed = counts(np.asarray(rows), np.asarray(weights, np.float64))
    np.testing.assert_allclose(
        weighed, counts(sequence.reshape(-1, batch_size), 1 / batch_size), rtol=0, atol=batch_size * ROUNDING
    )
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=0, atol=KINDS * ROUNDING)


@cache
def slopes(loss):
    """Loss and gradient of a freshly initialised model, of given rows at given weights."""
    bench = Bench(length=8, latent="sphere", loss=loss)
    graph, params = nnx.split(bench.model(jax.random.key(0)))

    @compiled
    def value_and_slope(params, x, rows, weights):
        def mean(params):
            return jnp.sum(weights * bench.sequence_losses(nnx.merge(graph, params)(x[rows]).signal, x[rows])["loss"])

        value, slope = jax.value_and_grad(mean)(params)
        return value, ravel_pytree(slope)[0]

    return params, value_and_slope


@given(st.integers(0, 2**31))
@pytest.mark.parametrize(
    ("loss", "wide", "rounding"),
    # The logarithm of a bin that is nearly empty magnifies rounding; that loss is compared where there is room for it.
    [("mse", False, ROUNDING), ("mse+spectral", True, 2.0**-40)],
)
def test_distinct_sequences_weighted_give_the_loss_and_gradient_of_all_of_them(loss, wide, rounding, seed):
    params, value_and_slope = slopes(loss)
    sequence = np.random.default_rng(seed).integers(KINDS, size=64)
    with jax.enable_x64(wide):
        dtype = np.float64 if wide else np.float32
        params, x = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), (params, signals(8)))
        rows, weights = batches(jnp.asarray(sequence), 64, KINDS)
        value, slope = value_and_slope(params, x, rows[0], weights[0])
        plain, plain_slope = value_and_slope(params, x, jnp.asarray(sequence), jnp.full(64, 1 / 64))
    # Losses are positive: 64 terms, each rounded as often as it is summed. Slopes cancel; they are held to their size.
    np.testing.assert_allclose(value, plain, rtol=64 * rounding)
    assert np.linalg.norm(slope - plain_slope) <= 64 * rounding * np.linalg.norm(plain_slope)
