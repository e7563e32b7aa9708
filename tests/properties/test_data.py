"""The oscillators and their batches, each against its definition."""

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

from ladder.studies.manifoldformer import Model, Oscillators, Signals

ROUNDING = SINGLE.unit
KINDS = 20


@pytest.mark.parametrize("length", [5, 64])
def test_signals(length):
    """A clean sequence is the sum of two tones of distinct frequencies, in 16 phases."""
    actual = Signals(length=length).clean
    pairs = [(f, g) for f in (1, 2, 3, 5, 8) for g in (1, 2, 3, 5, 8) if f != g]
    assert actual.shape == (len(pairs), length, 16)
    assert actual.dtype == np.float32
    for n, (f, g) in enumerate(pairs):
        for i, c in [(0, 0), (1, 3), (length // 2, 8), (length - 1, 15)]:
            t, phase = 4 * math.pi * i / (length - 1), 2 * math.pi * c / 16
            expected = math.sin(f * t + phase) + 0.5 * math.sin(g * t + phase)
            assert actual[n, i, c] == pytest.approx(expected, abs=2 * ROUNDING)


def test_training_set():
    """Batch ``i`` of the training set is drawn with seed ``i``."""
    actual = Signals().training_choices
    assert actual.shape == (960,)
    assert set(actual) == set(range(KINDS))
    for batch in (0, 14):
        again = np.random.default_rng(batch).integers(KINDS, size=64)
        np.testing.assert_array_equal(actual[64 * batch : 64 * (batch + 1)], again)


def test_mean_square():
    """``mean_square`` is the mean square of the training set."""
    assert Signals().mean_square == pytest.approx(0.6328, abs=5e-5)
    for data in (Signals(), Signals(length=8), Signals(tones=3, length=8, batches=2)):
        assert data.mean_square == pytest.approx(float(np.mean(data.clean[data.training_choices] ** 2)), rel=1e-6)


@given(st.sampled_from([1, 8, 20, 32, 64, 960]), st.integers(0, 2**31))
def test_row_weights(batch_size, seed):
    """The weight of a row is how often its sequence occurs in the batch."""
    data = Signals()
    order = np.random.default_rng(seed).permutation(data.sequences)
    sequence = data.training_choices[order]
    rows, number, weights = data.rows(jnp.asarray(order), batch_size)
    assert rows.shape == number.shape == weights.shape == (960 // batch_size, min(batch_size, KINDS))

    def counts(rows, weights):
        batch = np.broadcast_to(np.arange(len(rows))[:, None], rows.shape)
        actual = np.zeros((len(rows), KINDS))
        np.add.at(actual, (batch, rows), weights)
        return actual

    weighed = counts(np.asarray(rows), np.asarray(weights, np.float64))
    np.testing.assert_allclose(
        weighed, counts(sequence.reshape(-1, batch_size), 1 / batch_size), rtol=0, atol=batch_size * ROUNDING
    )
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=0, atol=KINDS * ROUNDING)


@cache
def slopes(loss):
    """Return the parameters of a fresh model, and a function that computes loss and gradient of weighted rows."""
    experiment = Oscillators(data=Signals(length=8), model=Model(latent="sphere"), loss=loss)
    graph, params = nnx.split(experiment.build(jax.random.key(0)))

    @compiled
    def value_and_slope(params, rows, weights):
        def mean(params):
            batch = experiment.data.batch(rows, rows, "identity", experiment.model.latent_dim)
            batch = jax.tree.map(lambda x: x.astype(weights.dtype), batch)
            each = experiment.measure(nnx.merge(graph, params)(batch.input), batch, jnp.asarray(0))
            return jnp.sum(weights * each["loss"])

        value, slope = jax.value_and_grad(mean)(params)
        return value, ravel_pytree(slope)[0]

    return params, value_and_slope


@given(st.integers(0, 2**31))
@pytest.mark.parametrize(
    ("loss", "wide", "rounding"),
    # The logarithm of a bin that is nearly empty magnifies rounding; that loss is compared where there is room for it.
    [("mse", False, ROUNDING), ("mse + spectral", True, 2.0**-40)],
)
def test_weighted_loss(loss, wide, rounding, seed):
    """The weighted loss of distinct sequences, and its gradient, equal the mean over all sequences."""
    params, value_and_slope = slopes(loss)
    data = Signals(length=8)
    sequence = jnp.asarray(np.random.default_rng(seed).permutation(data.sequences))
    with jax.enable_x64(wide):
        dtype = np.float64 if wide else np.float32
        params = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), params)
        rows, _, weights = data.rows(sequence, 64)
        value, slope = value_and_slope(params, rows[0], jnp.asarray(weights[0], dtype))
        everyone = jnp.asarray(data.training_choices)[sequence[:64]]
        plain, plain_slope = value_and_slope(params, everyone, jnp.full(64, 1 / 64, dtype))
    assert len(rows[0]) == KINDS
    # Losses are positive: 64 terms, each rounded as often as it is summed. Slopes cancel; they are held to their size.
    np.testing.assert_allclose(value, plain, rtol=64 * rounding)
    assert np.linalg.norm(slope - plain_slope) <= 64 * rounding * np.linalg.norm(plain_slope)


# Other tones, tasks and noise

NOISY = Signals(tones=3, length=16, noise=0.3, batches=2)
noisy_batch = compiled(lambda kind, number: NOISY.batch(kind, number, "identity", 7))


@pytest.mark.parametrize(("tones", "kinds"), [(1, 5), (2, 20), (3, 60), (5, 120)])
def test_tone_choices(tones, kinds):
    """There are as many clean sequences as ordered choices of tones, each the sum of its tones."""
    data = Signals(tones=tones, length=5)
    assert data.clean.shape == (kinds, 5, 16)
    assert len(set(data.tone_choices)) == kinds
    n, t = kinds // 2, data.times[3]
    expected = sum(0.5**k * math.sin(f * t + 2 * math.pi * 3 / 16) for k, f in enumerate(data.tone_choices[n]))
    assert data.clean[n, 3, 3] == pytest.approx(expected, abs=4 * ROUNDING)


def test_oracle():
    """The oracle is the sine and cosine of each tone on the unit sphere, padded with zeros."""
    oracle = NOISY.oracle(7)
    assert oracle.shape == (60, 16, 7)
    for n, i in [(0, 0), (17, 5), (59, 15)]:
        f, g, h = NOISY.tone_choices[n]
        t = 4 * math.pi * i / 15
        state = [
            math.sin(f * t),
            math.cos(f * t),
            math.sin(g * t),
            math.cos(g * t),
            math.sin(h * t),
            math.cos(h * t),
            0,
        ]
        np.testing.assert_allclose(oracle[n, i], np.array(state) / math.sqrt(3), rtol=0, atol=2 * ROUNDING)
    np.testing.assert_allclose(np.linalg.norm(oracle, axis=-1), 1.0, rtol=0, atol=1e-6)


def test_noise_number():
    """The noise of a sequence depends on its number alone, not on the batch."""
    kinds, numbers = np.arange(8), np.arange(100, 108)
    together = noisy_batch(kinds, numbers).input
    for row in (0, 5):
        alone = noisy_batch(kinds[row : row + 1], numbers[row : row + 1]).input
        np.testing.assert_array_equal(alone[0], together[row])
    backwards = noisy_batch(kinds[::-1].copy(), numbers[::-1].copy()).input
    np.testing.assert_array_equal(backwards[::-1], together)


def test_noise():
    """Noise is white, has the declared size, differs between numbers, and is not in the target."""
    number = np.arange(NOISY.sequences + len(NOISY.tone_choices))
    batch = noisy_batch(np.zeros(len(number), int), number)
    np.testing.assert_array_equal(batch.clean, np.tile(NOISY.clean[:1], (len(number), 1, 1)))
    np.testing.assert_array_equal(batch.target, batch.clean)
    noise = (batch.input - batch.clean).reshape(len(number), -1).astype(float)
    # 188 rows of 256 values: the mean is good to 0.3 / 48128^(1/2), the deviation to 0.3 %; four times over.
    assert abs(noise.mean()) <= 4 * 0.3 / noise.size**0.5
    assert noise.std() == pytest.approx(0.3, rel=0.013)
    correlation = np.corrcoef(noise) - np.eye(len(noise))
    assert np.abs(correlation).max() <= 6 / 256**0.5


def test_held_out():
    """The held-out set has every clean sequence once, with noise that the training set does not have."""
    held_out = jax.tree.map(np.asarray, NOISY.held_out("identity", 7))
    np.testing.assert_array_equal(held_out.clean, NOISY.clean)
    np.testing.assert_array_equal(held_out.oracle, NOISY.oracle(7))
    kinds = np.arange(60)
    np.testing.assert_allclose(held_out.input, noisy_batch(kinds, NOISY.sequences + kinds).input, rtol=0, atol=1e-6)
    order = jnp.arange(NOISY.sequences)
    _, number, _ = NOISY.rows(order, 64)
    assert int(number.max()) < NOISY.sequences
    trained = noisy_batch(np.asarray(NOISY.training_choices), np.arange(NOISY.sequences))
    closest = min(
        np.abs(held_out.input[k] - held_out.clean[k] - (x - c)).max()
        for k in (0, 59)
        for x, c in zip(*trained[:2], strict=True)
    )
    assert closest > 0.1


def test_noisy_rows():
    """With noise every sequence is a row of its own, with its own number."""
    order = np.random.default_rng(0).permutation(NOISY.sequences)
    rows, number, weights = NOISY.rows(jnp.asarray(order), 64)
    np.testing.assert_array_equal(number, order.reshape(2, 64))
    np.testing.assert_array_equal(rows, NOISY.training_choices[order].reshape(2, 64))
    np.testing.assert_array_equal(weights, np.full((2, 64), 1 / 64, np.float32))


def test_next_step():
    """In the next-step task the target is the clean signal one sample later."""
    kinds, numbers = jnp.arange(3), jnp.arange(3)
    here, later = NOISY.batch(kinds, numbers, "identity", 7), NOISY.batch(kinds, numbers, "next step", 7)
    np.testing.assert_array_equal(later.input, here.input[:, :-1])
    np.testing.assert_array_equal(later.clean, here.clean[:, :-1])
    np.testing.assert_array_equal(later.oracle, here.oracle[:, :-1])
    np.testing.assert_array_equal(later.target, here.clean[:, 1:])


def test_share():
    """``share`` is the fraction of the training set that each clean sequence makes up."""
    counts = [list(NOISY.training_choices).count(kind) / 128 for kind in range(60)]
    np.testing.assert_allclose(NOISY.share, counts, rtol=1e-12)


# Choices of tones that are withheld, and phases that are drawn


@pytest.mark.parametrize(("tones", "withheld"), [(2, 4), (3, 12), (3, 1), (1, 1)])
def test_withheld(tones, withheld):
    """Withheld choices of tones are not in the training set, and they alone are held out."""
    data = Signals(tones=tones, length=8, batches=3, withheld=withheld)
    assert len(data.held_out_choices) == len(set(data.held_out_choices)) == withheld
    assert not set(data.training_choices) & set(data.held_out_choices)
    assert data.held_out_share.tolist() == [1 / withheld] * withheld
    held_out = data.held_out("identity", 8)
    np.testing.assert_array_equal(held_out.clean, data.clean[data.held_out_choices])
    np.testing.assert_array_equal(held_out.oracle, data.oracle(8)[data.held_out_choices])


def test_withheld_coverage():
    """With 12 choices withheld, training still has every tone in every place."""
    data = Signals(tones=3, length=8, withheld=12)
    trained = {data.tone_choices[kind] for kind in set(data.training_choices)}
    assert {(place, tones[place]) for tones in trained for place in range(3)} == {
        (place, tone) for place in range(3) for tone in (1, 2, 3, 5, 8)
    }


def test_nothing_withheld():
    """With nothing withheld all choices are held out, weighted as in the training set."""
    np.testing.assert_array_equal(NOISY.held_out_choices, np.arange(60))
    np.testing.assert_array_equal(NOISY.held_out_share, NOISY.share)


RANDOM = Signals(tones=3, length=16, noise=0.3, batches=2, phases="random")
anywhere = compiled(lambda kind, number: RANDOM.batch(kind, number, "next step", 7))


def test_random_phases():
    """With random phases a tone starts at the same angle in the signal and in the oracle."""
    kinds, numbers = np.array([0, 17, 17]), np.array([3, 5, 6])
    actual = jax.tree.map(np.asarray, anywhere(kinds, numbers))
    t, channel = RANDOM.times[:, None], 2 * math.pi * np.arange(16) / 16
    for row, kind in enumerate(kinds):
        sine, cosine = (actual.oracle[row, 0, place:6:2] * math.sqrt(3) for place in (0, 1))
        np.testing.assert_allclose(sine**2 + cosine**2, 1.0, atol=1e-5)
        start = np.arctan2(sine, cosine)
        tones = list(zip(RANDOM.tone_choices[kind], start, strict=True))
        signal = sum(0.5**k * np.sin(f * t + phase + channel) for k, (f, phase) in enumerate(tones))
        np.testing.assert_allclose(actual.clean[row], signal[:-1], atol=2e-5)
        np.testing.assert_allclose(actual.target[row], signal[1:], atol=2e-5)
        state = np.stack([wave(f * t[:-1, 0] + phase) for f, phase in tones for wave in (np.sin, np.cos)], axis=-1)
        np.testing.assert_allclose(actual.oracle[row, :, :6], state / math.sqrt(3), atol=2e-5)
        assert not actual.oracle[row, :, 6].any()
    assert np.abs(actual.clean[1] - actual.clean[2]).max() > 0.1


def test_phase_distribution():
    """Random phases are uniform, and independent of the noise."""
    numbers = np.arange(600)
    actual = jax.tree.map(np.asarray, anywhere(np.zeros(600, int), numbers))
    start = np.arctan2(actual.oracle[:, 0, 0:6:2], actual.oracle[:, 0, 1:6:2])
    # Of 600 angles drawn evenly, the mean unit vector is 600^(-1/2) long; four times over.
    assert np.abs(np.mean(np.exp(1j * start), axis=0)).max() <= 4 / 600**0.5
    noise = actual.input - actual.clean
    assert noise.std() == pytest.approx(0.3, rel=0.01)
    assert abs(np.corrcoef(noise[:, 0, 0], np.cos(start[:, 0]))[0, 1]) <= 4 / 600**0.5


def test_random_phase_rows():
    """With random phases every sequence is a row of its own, even without noise."""
    data = Signals(length=8, batches=2, phases="random")
    _, number, weights = data.rows(jnp.arange(data.sequences), 64)
    np.testing.assert_array_equal(number, np.arange(128).reshape(2, 64))
    np.testing.assert_array_equal(weights, np.full((2, 64), 1 / 64, np.float32))
