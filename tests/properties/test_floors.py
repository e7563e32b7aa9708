"""Floors: the definition of each predictor, invalid arguments, and the figures of the core task."""

import subprocess
import sys
from decimal import Decimal
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from draws import generators
from hypothesis import given
from precision import compiled

from ladder import floors
from ladder.floors import (
    LinearPredictor,
    bayes_readout,
    carry_forward,
    harmonic_continuation,
    hold_last,
    noisy,
    posterior_mean,
)
from ladder.studies.manifoldformer import losses
from ladder.studies.manifoldformer.data import FREQUENCIES, Batch, Signals
from ladder.studies.manifoldformer.gates import BAYES as BAYES_FLOORS
from ladder.studies.manifoldformer.gates import REFERENCES
from ladder.studies.manifoldformer.memory import power_law_kernel
from ladder.studies.manifoldformer.metrics import oracle_distance
from ladder.studies.manifoldformer.published import CORE
from ladder.studies.manifoldformer.summit import SUMMIT_SMALL

# The laws


def white(rng, *shape):
    return rng.standard_normal(shape)


def by_hand(x, t, window):
    """Return the window that ends at ``t``, the latest sample first, with zeros before the beginning."""
    return np.concatenate([x[t - lag] if t >= lag else np.zeros(x.shape[-1]) for lag in range(window)])


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("window", [1, 2, 5, 9])
@given(generators)
def test_linear_predictor(padded, window, rng):
    """A linear predictor is the least-squares solution over windows and a constant."""
    x, y, new = white(rng, 7, 9, 2), white(rng, 7, 9, 3) + 4.0, white(rng, 2, 9, 2)
    x = 10.0 ** rng.integers(-6, 6) * x
    predictor = LinearPredictor.fit(x, y, window, padded=padded)
    times = range(predictor.first, 9)
    rows = np.array([[*by_hand(sequence, t, window), 1.0] for sequence in x for t in times])
    solution, *_ = np.linalg.lstsq(rows, np.array([sequence[t] for sequence in y for t in times]), rcond=None)
    expected = [[[*by_hand(sequence, t, window), 1.0] @ solution for t in times] for sequence in new]
    assert (predictor.window, predictor.first) == (window, 0 if padded else window - 1)
    # The ridge is 1e-12 of at most 19 features, of which the smallest direction is larger than 1e-4 of one. With windows as
    # long as the sequences there are more features than samples: the solution is one of many.
    if len(rows) > 2 * rows.shape[1]:
        np.testing.assert_allclose(predictor.predict(new), expected, rtol=0, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("channels", [1, 3])
def test_continuation(channels):
    """A linear predictor continues two tones, which obey a linear recurrence of four samples, for many steps."""
    t = np.arange(120)[:, None]
    tones = np.sin(0.3 * t + np.arange(channels)) + 0.5 * np.sin(0.11 * t + 2.0 * np.arange(channels))
    context, rest = tones[:80], tones[80:]
    for window in (4, 12):
        predictor = LinearPredictor.fit(context[:-1], context[1:], window, padded=False)
        np.testing.assert_allclose(predictor.continue_(context, 40), rest, atol=1e-3)
        np.testing.assert_allclose(predictor.continue_(context, 1)[0], predictor.predict(context)[-1], atol=1e-12)


def test_padding():
    """A padded predictor reads zeros before the first sample."""
    rng = np.random.default_rng(0)
    predictor = LinearPredictor.fit(white(rng, 20, 6, 2), white(rng, 20, 6, 2), 4)
    short = white(rng, 2, 2)
    padded = np.concatenate([np.zeros((3, 2)), short])
    np.testing.assert_allclose(predictor.predict(short)[-1], predictor.predict(padded)[-1], atol=1e-12)
    np.testing.assert_allclose(predictor.continue_(short, 2), predictor.continue_(padded, 2), atol=1e-12)


def test_zero_inputs():
    """Fitted on zeros alone, a linear predictor returns the mean target."""
    y = np.arange(6.0).reshape(2, 3, 1)
    predictor = LinearPredictor.fit(np.zeros((2, 3, 2)), y, 2)
    np.testing.assert_allclose(predictor.predict(np.zeros((1, 3, 2))), 2.5, rtol=1e-9)


@given(generators)
def test_harmonic_continuation(rng):
    """Tones of known frequencies are continued exactly, and noisy ones by the least-squares fit."""
    frequencies, n, steps = (0.3, 0.7, 2.0), 20, 15
    t, start = np.arange(n + steps)[:, None, None], rng.uniform(0, 2 * np.pi, size=(2, 1, 3, 3))
    tones = np.sum(rng.normal(size=(2, 1, 3, 3)) * np.sin(np.array(frequencies) * t + start), axis=-1)
    actual = harmonic_continuation(tones[:, :n], frequencies, steps)
    np.testing.assert_allclose(actual, tones[:, n:], atol=1e-9)
    context = tones[0, :n] + 0.1 * rng.normal(size=(n, 3))
    waves = np.concatenate([f(t[:, 0] * np.array(frequencies)) for f in (np.sin, np.cos)], axis=-1)
    fitted = scipy.linalg.lstsq(waves[:n], context)[0]
    np.testing.assert_allclose(harmonic_continuation(context, frequencies, steps), waves[n:] @ fitted, atol=1e-9)


def test_hold_last():
    """``hold_last`` and ``carry_forward`` repeat the last sample before the prediction."""
    x = np.arange(10.0).reshape(1, 5, 2)
    for ahead in (1, 3):
        np.testing.assert_array_equal(hold_last(x, ahead) + 2.0 * ahead, x[:, ahead:])
    np.testing.assert_array_equal(carry_forward(x, 3), [[[8.0, 9.0]] * 3])


@pytest.mark.parametrize(("candidates", "features"), [(3, 7), (40, 2), (40, 6)])
@given(generators)
def test_posterior_mean(candidates, features, rng):
    """A posterior mean is the weighted sum over candidates, also if they span less than the space or more than one block."""
    noise, prior = 10.0 ** rng.uniform(-1, 1), rng.integers(0, 4, size=candidates) + np.eye(candidates)[0]
    clean, values = (
        5.0 + white(rng, candidates, min(features, 4)) @ white(rng, min(features, 4), features),
        white(rng, candidates, 2),
    )
    observed = clean[rng.integers(candidates, size=(4, 5))] + noise * white(rng, 4, 5, features)
    logit = -np.sum((observed[..., None, :] - clean) ** 2, axis=-1) / (2.0 * noise**2)
    logit = np.where(prior > 0.0, logit, -np.inf)
    weight = prior * np.exp(logit - logit.max(axis=-1, keepdims=True))
    expected = weight @ values / weight.sum(axis=-1, keepdims=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(floors, "BLOCK", 3 * candidates)
        actual = posterior_mean(observed, clean, values, noise=noise, prior=prior)
    # Weights and values are rounded to float32, and the sums over them.
    np.testing.assert_allclose(actual, expected, atol=(candidates + 4) * 2.0**-24 * np.abs(values).max())
    even = posterior_mean(observed, clean, values, noise=noise)
    np.testing.assert_allclose(
        even, posterior_mean(observed, clean, values, noise=noise, prior=np.full(candidates, 7.0)), atol=1e-6
    )
    np.testing.assert_allclose(posterior_mean(observed[0, 0], clean, values, noise=noise), even[0, 0], atol=1e-6)


@pytest.mark.parametrize("place", ["known", "unknown"])
@pytest.mark.parametrize("padded", [True, False])
def test_bayes_readout(place, padded):
    """A Bayes read-out is the posterior mean over windows that end at its own time, or at any time if that is unknown."""
    rng, window, noise = np.random.default_rng(0), 3, 0.8
    clean, values = white(rng, 4, 6, 2), white(rng, 4, 6, 1)
    observed = clean[[0, 2]] + noise * white(rng, 2, 6, 2)
    actual = bayes_readout(observed, clean, values, window=window, noise=noise, place=place, padded=padded)
    times = range(0 if padded else window - 1, 6)
    assert actual.shape == (2, len(times), 1)
    for row, t in enumerate(times):
        length = min(t + 1, window)
        here = place == "known" or length < window
        ends = [(k, e) for k in range(4) for e in ([t] if here else range(window - 1, 6))]
        could = np.stack([by_hand(clean[k], e, length) for k, e in ends])
        windows = np.stack([by_hand(x, t, length) for x in observed])
        expected = posterior_mean(windows, could, np.stack([values[k, e] for k, e in ends]), noise=noise)
        np.testing.assert_allclose(actual[:, row], expected, atol=1e-6)


def test_noisy():
    """``noisy`` returns a metric's mean over draws of noise, and its standard error."""
    target = np.zeros((4, 50, 3), np.float32)
    actual = noisy(mse, target, rms=0.3, draws=40)
    # The mean square of n normal numbers has a relative standard deviation of sqrt(2 / n).
    error = 0.09 * np.sqrt(2.0 / target.size / 40)
    assert abs(actual.mean - 0.09) < 4.0 * error
    assert 0.5 * error < actual.error < 2.0 * error
    assert actual == noisy(mse, target, rms=0.3, draws=40) != noisy(mse, target, rms=0.3, draws=40, seed=1)
    assert noisy(mse, target, rms=0.0) == (0.0, 0.0)


X, Y = np.zeros((2, 5, 3)), np.zeros((2, 5, 1))
BAD = np.where(np.arange(5)[:, None] == 2, np.nan, X)
FITTED = LinearPredictor.fit(X, Y, 4, padded=False)


@pytest.mark.ill_typed
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (partial(hold_last, X, 0), r"hold_last\(ahead=0\): choose 1 to 4 of 5 samples"),
        (partial(hold_last, X, 5), r"hold_last\(ahead=5\): choose 1 to 4"),
        (partial(hold_last, X[0, 0]), r"of shape \(3,\): give at least two axes"),
        (partial(hold_last, BAD), "6 of 30 numbers are not finite; leave them out"),
        (partial(carry_forward, X, 0), r"carry_forward\(steps=0\): choose at least 1"),
        (partial(carry_forward, X[:, :0], 2), "none of them empty"),
        (partial(LinearPredictor.fit, X, Y[:, 1:], 2), r"\(2, 5, 3\) and targets of shape \(2, 4, 1\): give the same"),
        (partial(LinearPredictor.fit, X, Y, 0), r"window=0\): choose at least 1 sample"),
        (partial(LinearPredictor.fit, X, Y, 6, padded=False), r"window=6\): there are 5 samples; choose a window of at most"),
        (partial(FITTED.predict, X[:, :3]), r"predict\(window=4\): there are 3 samples"),
        (partial(FITTED.predict, X[..., :2]), "it was fitted on 3 channels"),
        (partial(FITTED.continue_, X, 2), "predicts 1 values of 3 channels; fit it on the next sample"),
        (partial(FITTED.continue_, X, 0), r"steps=0\): choose at least 1"),
        (partial(harmonic_continuation, X, (0.5,), 0), r"harmonic_continuation\(steps=0\): choose at least 1"),
        (partial(harmonic_continuation, X, (), 2), "give at least one, each once, between 0 and pi"),
        (partial(harmonic_continuation, X, (0.5, 0.5), 2), "each once"),
        (partial(harmonic_continuation, X, (0.5, 4.0), 2), "between 0 and pi radians per sample"),
        (
            partial(harmonic_continuation, X[:, :3], (0.5, 1.0), 2),
            "3 samples cannot separate 2 tones; give at least 4",
        ),
        (partial(posterior_mean, X[0], X[0], Y[0], noise=0.0), r"noise=0.0\): choose a positive standard deviation"),
        (partial(posterior_mean, X[0], X[0, :, :2], Y[0], noise=1.0), r"candidates of \(5, 2\).*: give \(\.\.\., feature\)"),
        (partial(posterior_mean, X[0], X[0], Y[0, :4], noise=1.0), r"values of \(4, 1\)"),
        (partial(posterior_mean, X[0], X[0], Y[0], noise=1.0, prior=np.zeros(5)), "give 5 weights of at least 0, not all"),
        (partial(posterior_mean, X[0], X[0], Y[0], noise=1.0, prior=np.ones(4)), "give 5 weights"),
        (partial(bayes_readout, X, X, Y, window=6, noise=1.0), r"window=6\): there are 5 samples"),
        (partial(bayes_readout, X, X, Y, window=2, noise=1.0, place="here"), "choose one of 'known', 'unknown'"),
        (partial(bayes_readout, X, X, Y[:, :4], window=2, noise=1.0), r"values of \(2, 4, 1\): give"),
        (partial(bayes_readout, X[:, :4], X, Y, window=2, noise=1.0, padded=True), "4 samples were observed of 5; give all"),
        (partial(noisy, losses.mse, X, rms=-1.0), r"rms=-1.0\): choose a finite number of at least 0"),
        (partial(noisy, losses.mse, X, rms=0.1, draws=1), r"draws=1\): choose at least 2"),
    ],
)  # fmt: skip
def test_invalid_arguments(make, message):
    """An argument without a meaning raises an error with its value and the remedy."""
    with pytest.raises(ValueError, match=message):
        make()


def test_imports():
    """``ladder.floors`` imports neither JAX nor a case study."""
    names = "('jax.', 'ladder.studies.manifoldformer', 'ladder.studies.purefep')"
    code = f"import sys, ladder.floors; sys.exit(any(name.startswith({names}) for name in sys.modules))"
    subprocess.run([sys.executable, "-c", code], check=True)


# The figures of the core task: the next step of three noisy tones, and a latent of 21 dimensions


SIGNALS, DIM = Signals(tones=3, length=256, noise=0.1, batches=10), 21
WINDOWS = (9, 33, 129)
distances = compiled(oracle_distance)
fractional = compiled(losses.fractional)
mse = compiled(losses.mse)


class Core(NamedTuple):
    """Every clean sequence once, with noise that the training set does not have, and predictions fitted on the training set."""

    batch: Batch
    next_step: dict[int, np.ndarray]
    by_frequency: dict[int, np.ndarray]
    complete: dict[int, np.ndarray]


@pytest.fixture(scope="module")
def core():
    number = jnp.arange(SIGNALS.sequences)
    training = jax.tree.map(np.asarray, SIGNALS.batch(jnp.asarray(SIGNALS.training_choices), number, "next step", DIM))
    held_out = jax.tree.map(np.asarray, SIGNALS.held_out("next step", DIM))
    # Which tone comes first is not linear in the signal, but is the same at all times of a sequence: the alignment finds it.
    targets = np.concatenate([training.target, states()[SIGNALS.training_choices]], axis=-1)
    fitted = {window: LinearPredictor.fit(plane(training.input), targets, window) for window in WINDOWS}
    actual = {w: np.split(p.predict(plane(held_out.input)), [SIGNALS.channels], axis=-1) for w, p in fitted.items()}
    complete = {w: LinearPredictor.fit(plane(training.input), training.target, w, padded=False) for w in WINDOWS}
    return Core(
        batch=held_out,
        next_step={w: x.astype(np.float32) for w, (x, _) in actual.items()},
        by_frequency={w: z for w, (_, z) in actual.items()},
        complete={w: p.predict(plane(held_out.input)) for w, p in complete.items()},
    )


def states():
    """Return ``sin(f t), cos(f t)`` of each frequency that a sequence has, in the order of the frequencies, else zero."""
    angles = np.array(FREQUENCIES) * SIGNALS.times[:-1, None]
    there = np.array([[f in tones for f in FREQUENCIES] for tones in SIGNALS.tone_choices])[:, None, :]
    return np.concatenate([np.sin(angles) * there, np.cos(angles) * there], axis=-1)


def distance(z, oracle):
    """Compute the Oracle Distance of a latent put on the sphere and padded to the oracle's dimensions."""
    z = np.pad(z, ((0, 0), (0, 0), (0, DIM - z.shape[-1])))
    return distances((z / np.linalg.norm(z, axis=-1, keepdims=True)).astype(np.float32), oracle)


def constant(core):
    return np.tile(np.eye(DIM)[0], (*core.batch.oracle.shape[:2], 1))


def plane(x):
    """Project onto the two dimensions that the 16 channels span; the other dimensions have noise alone."""
    phase = 2.0 * np.pi * np.arange(SIGNALS.channels) / SIGNALS.channels
    return x @ np.stack([np.cos(phase), np.sin(phase)], axis=-1) / np.sqrt(SIGNALS.channels / 2)


def amplitudes(core):
    return core.batch.oracle[..., :6] * np.repeat([1.0, 0.5, 0.25], 2)


OF_LATENTS = {
    "random": ("0.285", "0.285", lambda core: white(np.random.default_rng(0), *core.batch.oracle.shape)),
    "constant": ("0.309", "0.309", constant),
    "the signal's plane": ("0.205", "0.205", lambda core: plane(core.batch.input)),
    "tones at their amplitudes": ("0.106", "0.106", amplitudes),
    "linear, 9": ("0.147", "0.147", lambda core: core.by_frequency[9]),
    "linear, 33": ("0.120", "0.118", lambda core: core.by_frequency[33]),
    "linear, 129": ("0.105", "0.105", lambda core: core.by_frequency[129]),
}
OF_SIGNALS = {
    "copied input": (mse, "0.0424", "0.0465", lambda core: core.batch.input),
    "copied clean input": (mse, "0.0325", "0.0365", lambda core: core.batch.clean),
    "linear, 9": (mse, "0.0028", "0.0027", lambda core: core.next_step[9]),
    "linear, 33": (mse, "0.0019", "0.0019", lambda core: core.next_step[33]),
    "linear, 129": (mse, "0.0014", "0.0015", lambda core: core.next_step[129]),
    "spectral, linear, 9": (fractional, "0.74", "0.74", lambda core: core.next_step[9]),
    "spectral, linear, 129": (fractional, "0.63", "0.63", lambda core: core.next_step[129]),
    "spectral, copied clean input": (fractional, "0.30", "0.30", lambda core: core.batch.clean),
}
OF_NOISE = {0.001: "0.071", 0.01: "0.27", 0.1: "1.33"}
BAYES = {
    1: ("0.162", "0.163"),
    3: ("0.085", "0.092"),
    5: ("0.040", "0.040"),
    9: ("0.0107", "0.0094"),
    17: ("0.0014", "0.0017"),
}


PADDED = {1: "0.162", 3: "0.085", 5: "0.040", 9: "0.0128", 17: "0.0060"}
COMPLETE = {9: "0.0017", 33: "0.0008", 129: "0.00004"}
OF_BAYES = {9: "0.00009", 17: "0.00006"}


def rounding(figure):
    """Return half a unit in the last printed place."""
    return 0.5 * 10.0 ** -len(figure.partition(".")[2])


def check(values, measured, stated):
    """Check that the mean over sequences is the figure of docs/floors.md to its last place, and agrees with the earlier figure.

    That one is of a batch of 64 whose tones are not known: the mean of 64 draws of these values, to three standard errors.
    """
    mean, draw = float(np.mean(values)), float(np.std(values)) / np.sqrt(64)
    if measured is not None:
        assert abs(mean - float(measured)) <= rounding(measured)
    assert abs(mean - float(stated)) <= rounding(stated) + 3.0 * draw


@pytest.mark.parametrize("name", OF_LATENTS)
def test_oracle_distances(core, name):
    """The Oracle Distance of each simple latent is the figure of docs/floors.md."""
    measured, stated, latent = OF_LATENTS[name]
    check(distance(latent(core), core.batch.oracle), measured, stated)


@pytest.mark.parametrize("name", OF_SIGNALS)
def test_next_step_losses(core, name):
    """The loss of each simple predictor of the next step is the figure of docs/floors.md."""
    loss, measured, stated, predicted = OF_SIGNALS[name]
    check(loss(predicted(core), core.batch.target), measured, stated)


def test_copied_input(core):
    """Copying the input is ``hold_last`` on the next-step task."""
    signal = SIGNALS.clean
    np.testing.assert_array_equal(hold_last(signal), core.batch.clean)
    np.testing.assert_array_equal(signal[:, 1:], core.batch.target)


@pytest.mark.parametrize("window", COMPLETE)
def test_complete_windows(core, window):
    """The error of the linear predictor of complete windows is the figure of docs/floors.md."""
    actual = core.complete[window]
    assert actual.shape[1] == core.batch.target.shape[1] - window + 1
    error = np.mean((actual - core.batch.target[:, window - 1 :]) ** 2)
    assert abs(error - float(COMPLETE[window])) <= rounding(COMPLETE[window])


def read(core, values, window, padded=False, every=1):
    """Return the Bayes read-out of every ``every``-th sequence."""
    options = {"window": window, "noise": SIGNALS.noise, "padded": padded}
    return bayes_readout(core.batch.input[::every], core.batch.clean, values, **options)


def bayes(core, window, padded=False, every=1):
    oracle = core.batch.oracle[::every]
    return distance(read(core, core.batch.oracle, window, padded, every), oracle[:, 0 if padded else window - 1 :])


@pytest.mark.nightly
@pytest.mark.parametrize("window", PADDED)
def test_padded_bayes_oracle_distance(core, window):
    """The Oracle Distance of the padded Bayes read-out is the figure of docs/floors.md."""
    assert abs(np.mean(bayes(core, window, padded=True)) - float(PADDED[window])) <= rounding(PADDED[window])


@pytest.mark.nightly
@pytest.mark.parametrize("window", OF_BAYES)
def test_padded_bayes_next_step(core, window):
    """The next-step error of the padded Bayes read-out is the figure of docs/floors.md."""
    actual = mse(read(core, core.batch.target, window, padded=True), core.batch.target)
    assert abs(np.mean(actual) - float(OF_BAYES[window])) <= rounding(OF_BAYES[window])


@pytest.mark.parametrize("window", BAYES)
def test_bayes_oracle_distance_sample(core, window):
    """The Oracle Distance of the Bayes read-out of every third sequence agrees with the earlier figure."""
    check(bayes(core, window, every=3), None, BAYES[window][1])


@pytest.mark.nightly
@pytest.mark.parametrize("window", BAYES)
def test_bayes_oracle_distance(core, window):
    """The Oracle Distance of the Bayes read-out is the figure of docs/floors.md."""
    check(bayes(core, window), *BAYES[window])


@pytest.mark.parametrize("rms", OF_NOISE)
def test_spectral_loss_of_noise(core, rms):
    """The spectral loss of the exact target plus noise is the figure of docs/floors.md."""
    actual = noisy(fractional, core.batch.target, rms=rms, draws=4)
    assert abs(actual.mean - float(OF_NOISE[rms])) <= rounding(OF_NOISE[rms]) + 3.0 * actual.error


def test_empty_bin_share(core):
    """Most of the spectral loss of a small error is the one bin where the target is zero, which is rounding and the epsilon.

    For an RMS of 0.001 the earlier figure was 0.081.
    """

    def shares(predicted, target):
        """Return the loss of each bin, in NumPy's float64."""
        n = target.shape[1] + losses.TAPS - 1
        actual = 0.0
        for order in losses.ORDERS:
            kernel = np.fft.rfft(np.asarray(power_law_kernel(order, losses.TAPS), float), n)[:, None]
            p, y = (kernel * np.fft.rfft(signal, n, axis=1) for signal in (predicted, target))
            p_size, y_size = np.abs(p) + losses.EPSILON, np.abs(y) + losses.EPSILON
            error = np.abs(np.log(p_size) - np.log(y_size)) + 0.5 * np.abs(p / p_size - y / y_size) ** 2
            actual = actual + error.mean(axis=(0, 2)) / len(losses.ORDERS)
        return actual / len(actual)

    exact = core.batch.target.astype(float)
    actual = shares(exact + 0.001 * white(np.random.default_rng(0), *exact.shape), exact)
    assert actual.argmax() == 0
    # A target of two whole periods has no mean: in float32 that is 1e-6 of rounding, in float64 that of the stored samples.
    assert noisy(fractional, core.batch.target, rms=0.001).mean < 0.081 < actual.sum()
    assert abs(actual[1:].sum() - 0.0186) < rounding("0.0186")


# The references and floors of the rungs


@pytest.mark.parametrize(("data", "references"), REFERENCES.items(), ids=("core", "small"))
def test_references(data, references):
    """Each reference of the rungs is the error of its simple predictor, weighted as in the training set.

    Predictors are fitted in the plane of the 16 channels in which every target lies, but ``hold_last`` has all channels.
    """
    everything = jax.tree.map(
        np.asarray, data.batch(jnp.asarray(data.training_choices), jnp.arange(data.sequences), "identity", 6)
    )
    held_out = jax.tree.map(np.asarray, data.held_out("identity", 6))
    inputs, clean, training = plane(held_out.input), plane(held_out.clean), plane(everything.input)
    gap = data.length // 4
    context, target = inputs[:, :-gap], clean[:, -gap:]
    after = plane(everything.clean)[:, 1:]

    def fitted(window, padded):
        return LinearPredictor.fit(training[:, :-1], after, window, padded=padded)

    def error(predicted, target):
        return data.share @ np.mean((predicted - target) ** 2, axis=(1, 2))

    within = 2 / data.channels  # of the error in the plane, that in all channels
    errors = {
        "copied": error(held_out.clean[:, :-1], held_out.clean[:, 1:]),
        "linear": error(fitted(references.linear[0], True).predict(inputs[:, :-1]), clean[:, 1:]) * within,
        "hold_last": error(carry_forward(held_out.input[:, :-gap], gap), held_out.clean[:, -gap:]),
        "short": error(fitted(references.short[0], True).continue_(context, gap), target) * within,
        "long": error(fitted(references.long[0], False).continue_(context, gap), target) * within,
        "harmonic": error(
            harmonic_continuation(context, (data.times[1] - data.times[0]) * np.array(FREQUENCIES), gap), target
        )
        * within,
    }
    for name, figure in references._asdict().items():
        figure = figure[1] if isinstance(figure, tuple) else figure
        place = Decimal(str(figure)).as_tuple().exponent
        assert abs(errors[name] - figure) <= 0.5 * 10.0**place, (name, errors[name])


@pytest.mark.parametrize(("metric", "data", "task"), BAYES_FLOORS)
def test_rung_floors(metric, data, task):
    """Each floor of the rungs is at most the mean error of the Bayes read-out of the whole past, and at least 1/1.3 of it."""
    draws = 2 if data == SIGNALS else 32
    kinds = jnp.tile(jnp.arange(len(data.tone_choices)), draws)
    batch = jax.tree.map(np.asarray, data.batch(kinds, 10**6 + jnp.arange(len(kinds)), task, 6))
    targets, every = batch.target if metric == "mse" else batch.oracle, len(data.tone_choices)
    options = {"window": batch.input.shape[1], "noise": data.noise, "place": "known", "padded": True}
    read_out = bayes_readout(batch.input, batch.clean[:every], targets[:every], **options)
    if metric == "mse":
        each = np.mean((read_out - targets) ** 2, axis=(1, 2))
    else:  # a root mean square over the coordinates there are, of which the oracle fills six
        dim = CORE.model.latent_dim if data == SIGNALS else SUMMIT_SMALL.model.latent_dim
        unit = (read_out / np.linalg.norm(read_out, axis=-1, keepdims=True)).astype(np.float32)
        each = np.asarray(distances(unit, batch.oracle)) * np.sqrt(6 / dim)
    floor = BAYES_FLOORS[metric, data, task]
    assert floor <= np.mean(each) <= 1.3 * floor
