"""References for thresholds: the best value that any model could reach on a task, and simple predictors.

Everything here works on NumPy arrays, independent of any model; a metric is any function of a prediction and a target. A bound
that no model can pass belongs in ``floor=`` of a criterion; a reference that a model should beat is a limit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self, get_args

import numpy as np

from ladder.declare.arrays import Float

Place = Literal["known", "unknown"]
PLACES: tuple[str, ...] = get_args(Place)
BLOCK = 2**19  # posterior weights in memory at a time
RIDGE = 1e-12  # times the number of features, each in units of its RMS; some thousand rounding errors of the normal equations


def hold_last(
    signal: Float[np.ndarray, "*batch time channel"], ahead: int = 1
) -> Float[np.ndarray, "*batch rest channel"]:
    """Predict each sample as the value ``ahead`` samples before, for comparison with ``signal[..., ahead:, :]``.

    >>> hold_last(np.array([[1.0], [2.0], [4.0]])).ravel().tolist()
    [1.0, 2.0]

    Source: the naive forecast of Hyndman and Athanasopoulos, *Forecasting: Principles and Practice* (2021), section 5.2.

    Raises:
        ValueError: for ``ahead`` below 1, a signal that is not longer than that, or a number that is not finite.
    """
    signal = _checked("hold_last(signal=...)", signal)
    if not 1 <= ahead < signal.shape[-2]:
        raise ValueError(f"hold_last(ahead={ahead}): choose 1 to {signal.shape[-2] - 1} of {signal.shape[-2]} samples")
    return signal[..., :-ahead, :]


def carry_forward(
    context: Float[np.ndarray, "*batch time channel"], steps: int
) -> Float[np.ndarray, "*batch step channel"]:
    """Continue a signal for ``steps`` samples by repeating its last sample.

    >>> carry_forward(np.array([[1.0], [2.0]]), steps=3).ravel().tolist()
    [2.0, 2.0, 2.0]

    Raises:
        ValueError: for fewer than 1 step, an empty context, or a number that is not finite.
    """
    context = _checked("carry_forward(context=...)", context)
    _check_steps("carry_forward", steps)
    return np.repeat(context[..., -1:, :], steps, axis=-2)


def harmonic_continuation(
    context: Float[np.ndarray, "*batch time channel"],
    frequencies: Sequence[float] | Float[np.ndarray, " frequency"],
    steps: int,
) -> Float[np.ndarray, "*batch step channel"]:
    """Continue a signal for ``steps`` samples as a sum of tones of known frequencies, fitted by ordinary least squares.

    The sine and cosine of each frequency, in radians per sample, are fitted to the whole context, channel by channel, and
    extrapolated. Under white noise this is the maximum-likelihood estimate of amplitudes and phases. Source: Kay, *Modern
    Spectral Estimation*, section 13.3.

    >>> wave = np.sin(0.5 * np.arange(12.0))[:, None]
    >>> continued = harmonic_continuation(wave[:8], frequencies=[0.5], steps=4)
    >>> bool(np.allclose(continued, wave[8:]))
    True

    Args:
        context: The signal to continue.
        frequencies: The frequencies of its tones, in radians per sample.
        steps: The number of samples to continue it for.

    Raises:
        ValueError: for fewer than 1 step, no frequencies, a frequency that is repeated or outside (0, pi), fewer than two
            samples per frequency, or a number that is not finite.
    """
    context = _checked("harmonic_continuation(context=...)", context)
    _check_steps("harmonic_continuation", steps)
    time, tones = context.shape[-2], np.asarray(frequencies, float)
    if (
        tones.ndim != 1
        or tones.size == 0
        or len(set(tones.tolist())) < tones.size
        or not ((tones > 0.0) & (tones < np.pi)).all()
    ):
        raise ValueError(
            f"harmonic_continuation(frequencies={frequencies}): give at least one, each once, between 0 and pi radians per sample"
        )
    if time < 2 * tones.size:
        raise ValueError(
            f"harmonic_continuation: {time} samples cannot separate {tones.size} tones; give at least {2 * tones.size}"
        )
    angles = np.arange(time + steps)[:, None] * tones
    waves = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    coefficients = np.linalg.pinv(waves[:time]) @ context
    return np.asarray(waves[time:] @ coefficients)


@dataclass(frozen=True, eq=False)
class LinearPredictor:
    """The best affine predictor of a value from the last ``window`` samples of all channels: ordinary least squares.

    ``predicted[t] = offset + sum_i signal[t - i] @ weights[i]``, with zeros before the first sample where it is ``padded``. If
    there are several solutions, the fit returns nearly the one of least norm.

    >>> signal = np.array([[1.0], [2.0], [4.0], [8.0], [16.0]])
    >>> doubling = LinearPredictor.fit(signal[:-1], signal[1:], window=1)
    >>> doubling.continue_(signal, steps=2).round(3).ravel().tolist()
    [32.0, 64.0]

    Attributes:
        weights: ``weights[i]`` multiplies the sample ``i`` steps before the current one.
        offset: The constant term: the prediction for a window of zeros.
        padded: Whether windows reach back before the first sample, as those of a causal model with zero padding do. If not,
            the first prediction is at sample ``window - 1``.
    """

    weights: Float[np.ndarray, "window channel value"]
    offset: Float[np.ndarray, " value"]
    padded: bool

    @classmethod
    def fit(
        cls,
        inputs: Float[np.ndarray, "*batch time channel"],
        targets: Float[np.ndarray, "*batch time value"],
        window: int,
        *,
        padded: bool = True,
    ) -> Self:
        """Fit ``targets[t]`` by the samples up to ``inputs[t]``, over all sequences and times.

        The normal equations are solved in float64. With every sample of the window in units of its RMS, a direction in which
        windows are less than a millionth as large as they are in all together counts as absent.

        Args:
            inputs: The signals that the prediction is made from.
            targets: The values to predict, as many sequences and samples as ``inputs``.
            window: The number of samples that a prediction is made from, the current one included.
            padded: Whether windows reach back before the first sample, to zeros.

        Raises:
            ValueError: for a window below 1 or, without padding, longer than the sequences; inputs and targets of different
                sequences; a number that is not finite.
        """
        x, y = _checked("fit(inputs=...)", inputs), _checked("fit(targets=...)", targets)
        if x.shape[:-1] != y.shape[:-1]:
            raise ValueError(
                f"LinearPredictor.fit: inputs of shape {x.shape} and targets of shape {y.shape}: give the "
                "same sequences and samples of both; to predict ahead, shift the targets first"
            )
        _check_window("LinearPredictor.fit", window, x.shape[-2], padded)
        x, y = x.reshape(-1, *x.shape[-2:]), y.reshape(-1, *y.shape[-2:])
        x, y = (_padded(x, window), y) if padded else (x, y[:, window - 1 :])
        left, right = _normal_equations(x, y, window)
        size = np.sqrt(np.diag(left))
        size[size == 0.0] = 1.0
        left = left / size[:, None] / size + RIDGE * len(left) * np.eye(len(left))
        solution = np.linalg.solve(left, right / size[:, None]) / size[:, None]
        return cls(solution[:-1].reshape(window, x.shape[-1], y.shape[-1]), solution[-1], padded)

    @property
    def window(self) -> int:
        """The number of samples that a prediction is made from."""
        return len(self.weights)

    @property
    def first(self) -> int:
        """The index of the sample that the first prediction belongs to."""
        return 0 if self.padded else self.window - 1

    def predict(self, inputs: Float[np.ndarray, "*batch time channel"]) -> Float[np.ndarray, "*batch rest value"]:
        """Return the prediction at each sample from ``first`` on.

        Raises:
            ValueError: for other channels than it was fitted on, fewer samples than its window where it is not padded, or a
                number that is not finite.
        """
        x = self._checked("predict(inputs=...)", inputs)
        _check_window("LinearPredictor.predict", self.window, x.shape[-2], self.padded)
        x = _padded(x, self.window) if self.padded else x
        predicted = np.broadcast_to(
            self.offset, (*x.shape[:-2], x.shape[-2] - self.window + 1, len(self.offset))
        ).copy()
        for lag, weight in enumerate(self.weights):
            predicted += _lagged(x, lag, self.window) @ weight
        return predicted

    def continue_(
        self, context: Float[np.ndarray, "*batch time channel"], steps: int
    ) -> Float[np.ndarray, "*batch step channel"]:
        """Continue a signal by linear autoregression: each prediction is an input of the next. Fit it on the next sample.

        Raises:
            ValueError: for fewer than 1 step, a fit of values other than the input channels, and whatever ``predict`` raises.
        """
        x = self._checked("continue_(context=...)", context)
        _check_steps("LinearPredictor.continue_", steps)
        if (values := self.weights.shape[-1]) != x.shape[-1]:
            raise ValueError(
                f"LinearPredictor.continue_: it predicts {values} values of {x.shape[-1]} channels; fit it on the next sample"
            )
        for _ in range(steps):
            x = np.concatenate([x, self.predict(x[..., -self.window :, :])[..., -1:, :]], axis=-2)
        return x[..., -steps:, :]

    def _checked(
        self, name: str, signal: Float[np.ndarray, "*batch time channel"]
    ) -> Float[np.ndarray, "*batch time channel"]:
        signal = _checked(name, signal)
        if (channels := self.weights.shape[1]) != signal.shape[-1]:
            raise ValueError(
                f"{name} of shape {signal.shape}: it was fitted on {channels} channels; give the same number"
            )
        return signal


def posterior_mean(
    observed: Float[np.ndarray, "*batch feature"],
    candidates: Float[np.ndarray, "candidate feature"],
    values: Float[np.ndarray, "candidate value"],
    *,
    noise: float,
    prior: Float[np.ndarray, " candidate"] | None = None,
) -> Float[np.ndarray, "*batch value"]:
    """Compute the posterior mean of a value, given one of finitely many candidates under white noise.

    The mean is ``sum_c p(c | x) values[c]``, with ``p(c | x)`` proportional to ``prior[c] exp(-|x - c|^2 / (2 noise^2))``. No
    function of ``x`` has a smaller mean squared error; among functions that return unit vectors, none has a smaller one than
    the mean over its norm.

    >>> posterior_mean([[0.0], [2.0]], np.array([[-1.0], [1.0]]), np.array([[10.0], [20.0]]), noise=1.0).round(2).ravel().tolist()
    [15.0, 19.82]

    Args:
        observed: A candidate plus noise.
        candidates: The signals that may have been observed.
        values: The value that belongs to each candidate.
        noise: The standard deviation of the noise in every feature.
        prior: The weight of each candidate, proportional to its prior probability; uniform by default.

    Raises:
        ValueError: for noise or a prior that is not positive, arrays of different sizes, or a number that is not finite.
    """
    x, c, v = (
        _checked(f"posterior_mean({name}=...)", array)
        for name, array in (("observed", np.atleast_2d(observed)), ("candidates", candidates), ("values", values))
    )
    if not noise > 0.0:
        raise ValueError(f"posterior_mean(noise={noise}): choose a positive standard deviation")
    if c.ndim != 2 or v.ndim != 2 or len(c) != len(v) or x.shape[-1] != c.shape[1]:
        raise ValueError(
            f"posterior_mean: observed of shape {np.shape(observed)}, candidates of {c.shape}, values of {v.shape}: give "
            "(..., feature), (candidate, feature) and (candidate, value)"
        )
    weight = np.ones(len(c)) if prior is None else np.asarray(prior, np.float64)
    if weight.shape != (len(c),) or not (np.isfinite(weight).all() and (weight >= 0.0).all() and weight.any()):
        raise ValueError(f"posterior_mean(prior=...): give {len(c)} weights of at least 0, not all of them 0")
    shape, x = np.shape(observed)[:-1], x.reshape(-1, x.shape[-1])
    x, c = _in_span_of_candidates(x, c)
    # The logit of a candidate is affine in x: -|x - c|^2 / (2 noise^2) without the term that all candidates share.
    with np.errstate(divide="ignore"):
        bias = np.log(weight) - 0.5 * np.sum(c**2, axis=1) / noise**2
    x, slopes = np.append(x, np.ones((len(x), 1)), axis=1), np.vstack([c.T / noise**2, bias])
    v, rows = v.astype(np.float32), max(1, BLOCK // len(c))
    means = [_average(x[i : i + rows] @ slopes, v) for i in range(0, len(x), rows)]
    return np.concatenate(means).reshape(*shape, v.shape[1])


def _in_span_of_candidates(
    x: Float[np.ndarray, "row feature"], candidates: Float[np.ndarray, "candidate feature"]
) -> tuple[Float[np.ndarray, "row direction"], Float[np.ndarray, "candidate direction"]]:
    """Centre both at the candidates' mean and drop the directions in which all candidates are equal.

    Noise in those directions carries no information about the candidates.
    """
    centre = candidates.mean(axis=0)
    x, candidates = x - centre, candidates - centre
    if len(candidates) <= candidates.shape[1]:
        return x, candidates
    size, vectors = np.linalg.eigh(candidates.T @ candidates)
    basis = vectors[:, size > size[-1] * len(size) * np.finfo(np.float64).eps]
    return x @ basis, candidates @ basis


def bayes_readout(
    observed: Float[np.ndarray, "*batch time channel"],
    clean: Float[np.ndarray, "sequence time channel"],
    values: Float[np.ndarray, "sequence time value"],
    *,
    window: int,
    noise: float,
    place: Place = "unknown",
    padded: bool = False,
) -> Float[np.ndarray, "*batch rest value"]:
    """Compute the posterior mean of a value at each sample, given the last ``window`` samples under white noise.

    The signal is one of ``clean``, all equally likely. At an unknown place the window may come from any time of the signal,
    all equally likely, so no model that is the same at all times can do better; at a known place it comes from the observed
    time. Only complete windows are read, from sample ``window - 1`` on, unless the read-out is ``padded``: then windows also
    include the zeros before the first sample, which have no noise and so reveal the place to the windows that reach them.

    >>> t = np.arange(20)[:, None]
    >>> clean = np.stack([np.sin(0.3 * t), np.sin(0.7 * t)])
    >>> bayes_readout(clean, clean, clean, window=5, noise=0.1).shape
    (2, 16, 1)

    Args:
        observed: One of the clean signals plus noise, or a part of it.
        clean: All the signals that may have been observed.
        values: The value that belongs to each sample of each clean signal.
        window: The number of samples that a value is read from.
        noise: The standard deviation of the noise in every channel.
        place: ``"known"`` if the time of the window in the signal is given, ``"unknown"`` if it is not.
        padded: Whether windows reach back before the first sample, to zeros without noise.

    Raises:
        ValueError: for a window below 1 or longer than the signals, any other place, clean signals that do not fit the observed
            ones, and what :func:`posterior_mean` raises.
    """
    x, c, v = (
        _checked(f"bayes_readout({name}=...)", array)
        for name, array in (("observed", observed), ("clean", clean), ("values", values))
    )
    if place not in PLACES:
        raise ValueError(f"bayes_readout(place={place!r}): choose one of {', '.join(map(repr, PLACES))}")
    if c.ndim != 3 or v.ndim != 3 or c.shape[:2] != v.shape[:2] or x.shape[-1] != c.shape[-1]:
        raise ValueError(
            f"bayes_readout: observed of shape {x.shape}, clean of {c.shape}, values of {v.shape}: give (..., time, channel), "
            "(sequence, time, channel) and (sequence, time, value)"
        )
    if (place == "known" or padded) and x.shape[-2] != c.shape[1]:
        raise ValueError(
            f"bayes_readout(place={place!r}, padded={padded}): {x.shape[-2]} samples were observed of {c.shape[1]}; give "
            "all of them"
        )
    _check_window("bayes_readout", window, min(x.shape[-2], c.shape[1]), padded=False)
    # A window that reaches the padding reveals its place, so the first samples are read as at a known place.
    start = range(window - 1 if padded else 0)
    if place == "known":
        times = [*start, *range(window - 1, x.shape[-2])]
        return np.concatenate([_read_at(time, x, c, v, window, noise) for time in times], axis=-2)
    return np.concatenate(
        [*(_read_at(time, x, c, v, window, noise) for time in start), _read_anywhere(x, c, v, window, noise)], axis=-2
    )


def _read_at(
    time: int,
    observed: Float[np.ndarray, "*batch time channel"],
    clean: Float[np.ndarray, "sequence time channel"],
    values: Float[np.ndarray, "sequence time value"],
    window: int,
    noise: float,
) -> Float[np.ndarray, "*batch 1 value"]:
    """Read the value at one known time from the window that ends there, cut off at the first sample."""
    windows = (signal[..., max(0, time + 1 - window) : time + 1, :] for signal in (observed, clean))
    seen, possible = (signal.reshape(*signal.shape[:-2], -1) for signal in windows)
    return posterior_mean(seen, possible, values[:, time], noise=noise)[..., None, :]


def _read_anywhere(
    observed: Float[np.ndarray, "*batch time channel"],
    clean: Float[np.ndarray, "sequence time channel"],
    values: Float[np.ndarray, "sequence time value"],
    window: int,
    noise: float,
) -> Float[np.ndarray, "*batch rest value"]:
    """Read the value at each complete window, which may come from any time of any clean signal."""
    possible = _windows(clean, window).reshape(-1, window * clean.shape[-1])
    outcomes = values[:, window - 1 :].reshape(len(possible), -1)
    return posterior_mean(_windows(observed, window), possible, outcomes, noise=noise)


class Estimate(NamedTuple):
    """A mean over draws, and its standard error."""

    mean: float
    error: float


def noisy(
    metric: Callable[[Any, Any], Any],
    target: Float[np.ndarray, "*batch time channel"],
    *,
    rms: float,
    draws: int = 8,
    seed: int = 0,
) -> Estimate:
    """Estimate the value of a metric for a prediction that is the exact target plus white noise of a given RMS.

    The result shows how large an error a value of the metric stands for.

    >>> estimate = noisy(lambda predicted, target: np.mean((predicted - target) ** 2), np.zeros((100, 1)), rms=0.1)
    >>> round(estimate.mean, 3)
    0.01

    Args:
        metric: A function of a prediction and a target; its result, a number or one per sequence, is averaged.
        target: The prediction without its error; the metric receives both arrays in its precision.
        rms: The root mean square of the error.
        draws: The number of draws of the noise.
        seed: The seed of the noise.

    Returns:
        The mean over draws and its standard error.

    Raises:
        ValueError: for an RMS below 0, fewer than 2 draws, or a target that is not finite.
    """
    exact = _checked("noisy(target=...)", target)
    if not (np.isfinite(rms) and rms >= 0.0):
        raise ValueError(f"noisy(rms={rms}): choose a finite number of at least 0")
    if draws < 2:
        raise ValueError(f"noisy(draws={draws}): choose at least 2, because one has no spread")
    rng, dtype = np.random.default_rng(seed), np.result_type(target, np.float32)
    results = [
        float(np.mean(metric((exact + rms * rng.standard_normal(exact.shape)).astype(dtype), exact.astype(dtype))))
        for _ in range(draws)
    ]
    return Estimate(float(np.mean(results)), float(np.std(results, ddof=1) / np.sqrt(draws)))


def _checked(name: str, signal: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    array = np.asarray(signal, np.float64)
    if array.ndim < 2 or array.size == 0:
        raise ValueError(f"{name} of shape {array.shape}: give at least two axes, none of them empty")
    if not np.isfinite(array).all():
        raise ValueError(
            f"{name}: {np.sum(~np.isfinite(array))} of {array.size} numbers are not finite; leave them out"
        )
    return array


def _check_steps(name: str, steps: int) -> None:
    if steps < 1:
        raise ValueError(f"{name}(steps={steps}): choose at least 1")


def _check_window(name: str, window: int, time: int, padded: bool) -> None:
    if window < 1:
        raise ValueError(f"{name}(window={window}): choose at least 1 sample")
    if window > time and not padded:
        raise ValueError(f"{name}(window={window}): there are {time} samples; choose a window of at most {time}")


def _padded(x: Float[np.ndarray, "*batch time channel"], window: int) -> Float[np.ndarray, "*batch longer channel"]:
    return np.concatenate([np.zeros((*x.shape[:-2], window - 1, x.shape[-1])), x], axis=-2)


def _lagged(
    x: Float[np.ndarray, "*batch time channel"], lag: int, window: int
) -> Float[np.ndarray, "*batch rest channel"]:
    """Return the sample ``lag`` steps before the last one of each complete window."""
    return x[..., window - 1 - lag : x.shape[-2] - lag, :]


def _windows(x: Float[np.ndarray, "*batch time channel"], window: int) -> Float[np.ndarray, "*batch rest feature"]:
    """Return all complete windows, one per row."""
    view = np.lib.stride_tricks.sliding_window_view(x, window, axis=-2)
    return view.reshape(*view.shape[:-2], -1)


def _normal_equations(
    x: Float[np.ndarray, "sequence time channel"], y: Float[np.ndarray, "sequence rest value"], window: int
) -> tuple[Float[np.ndarray, "feature feature"], Float[np.ndarray, "feature value"]]:
    """Return the second moments of the complete windows of ``x`` with themselves and with ``y``; the last feature is constant."""
    values, channels, samples = y.shape[-1], x.shape[-1], y.shape[0] * y.shape[1]
    current = np.concatenate([y, _lagged(x, 0, window), np.ones((*y.shape[:-1], 1))], axis=-1).reshape(samples, -1)
    lags = (_lagged(x, lag, window).reshape(samples, channels) for lag in range(window))
    moments = np.stack([lagged.T @ current for lagged in lags])
    cross, latest, sums = np.split(moments, [values, values + channels], axis=-1)

    # Raising both lags by one shifts the products by one sample, so the sums differ at the ends of a sequence only.
    head, tail = (ends[:, ::-1].reshape(len(x), -1) for ends in (x[:, : window - 1], x[:, x.shape[1] - window + 1 :]))
    difference = (head.T @ head - tail.T @ tail).reshape(window - 1, channels, window - 1, channels)
    gram = np.empty((window, channels, window, channels))
    gram[:, :, 0], gram[0] = latest, latest.transpose(2, 0, 1)
    for lag in range(1, window):
        gram[lag, :, 1:] = gram[lag - 1, :, :-1] + difference[lag - 1]

    features = window * channels
    left = np.empty((features + 1, features + 1))
    left[:-1, :-1], left[:-1, -1] = gram.reshape(features, features), sums.ravel()
    left[-1] = np.append(sums, samples)
    return left, np.concatenate([cross.reshape(features, values), current[:, :values].sum(axis=0, keepdims=True)])


def _average(
    logits: Float[np.ndarray, "row candidate"], values: Float[np.ndarray, "candidate value"]
) -> Float[np.ndarray, "row value"]:
    """Return the mean of the values under the softmax of each row, whose weights, at most 1, are rounded to float32."""
    weights = np.empty(logits.shape, np.float32)
    np.subtract(logits, logits.max(axis=1, keepdims=True), out=weights, casting="same_kind")
    np.exp(weights, out=weights)
    return np.asarray((weights @ values) / weights.sum(axis=1, keepdims=True), np.float64)
