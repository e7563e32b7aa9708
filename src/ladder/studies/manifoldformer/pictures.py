"""Pictures of :class:`~ladder.studies.manifoldformer.experiments.Oscillators` on one fixed sequence; see ``ladder.pictures``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Key

from ladder.pictures import Picture, Recording, style
from ladder.studies.geometry.orthogonal import procrustes
from ladder.studies.geometry.sphere import normalise
from ladder.studies.manifoldformer.imputation import latent_rollout, signal_rollout

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

    from ladder.studies.manifoldformer.experiments import Oscillators, TrainingState

# The index of the drawn sequence among the held-out ones; if no tones are withheld, its tones are the lowest, which the eye
# follows most easily.
SEQUENCE = 0
CHANNEL = 0
STATES = 6  # the largest number of states drawn: before training, after the last epoch, and some between
MARKED = 100  # the largest number of samples drawn with markers
TINY = 1e-9  # the least magnitude of a spectrum: decibels of zero are not finite
FLOOR_DB = -60.0  # the lowest level drawn, relative to the largest of the target's spectrum
GAP = 4  # without a gap in the experiment the last 1/GAP of a sequence is imputed
FILLS = {
    "latent roll-out": ("latent_fill", style.BLUE, "-"),
    "signal roll-out": ("signal_fill", style.VERMILLION, "-."),
}
LINEAR_BINS = 16  # the bins on the linear part of the axis of a long spectrum: every tone lies among them
PI_TICKS = ([0, np.pi, 2 * np.pi, 3 * np.pi, 4 * np.pi], ["0", "π", "2π", "3π", "4π"])


def record(experiment: Oscillators, state: TrainingState, key: Key[Array, ""]) -> dict[str, Array]:
    """Run the sequence through the model in this state; every array returned has shape (time, ...).

    ``latent`` is the sampled latent, on the sphere, after the rotation that brings it nearest to the ``oracle``, and ``mean``
    the point that it was sampled around, after the same rotation. For the task "next step", ``latent_fill`` and
    ``signal_fill`` are roll-outs over the gap of the experiment, or over the last quarter, from the samples before it.
    """
    data, dim = experiment.data, experiment.model.latent_dim
    batch = data.held_out(experiment.task, dim)
    x, clean, target, oracle = (part[SEQUENCE] for part in batch)
    model = experiment.model_at(state)
    progress = state.step / (experiment.epochs * experiment.steps_per_epoch)
    out = model(x[None], key, progress)
    z = normalise(out.sampled[0])
    rotation = procrustes(z, oracle)
    arrays = {
        "target": target,
        "prediction": out.signal[0],
        "oracle": oracle,
        "latent": z @ rotation,
        "mean": normalise(out.encoded[0]) @ rotation,
    }
    if experiment.task == "next step":
        gap = _gap(experiment)
        context_length = data.length - gap
        context = x[None, :context_length]
        arrays |= {
            "context": x[:context_length],
            "clean": jnp.concatenate([clean, target[-1:]]),
            "latent_fill": latent_rollout(model, context, gap)[0],
            "signal_fill": signal_rollout(model, context, gap)[0],
        }
    return arrays


def prediction(experiment: Oscillators, recording: Recording) -> Picture:
    """Draw prediction and target over time, in some epochs."""
    states = _states_to_draw(len(recording["target"]))
    columns = min(len(states), 3 if experiment.data.length <= MARKED else 2)
    rows = -(-len(states) // columns)
    figure, axes = style.panels(rows, columns, 3.7 if columns == 3 else 5.4, 2.0, sharex=True, sharey=True)
    times = _target_times(experiment)
    marker = "." if len(times) <= MARKED else ""
    for state, ax in zip(states, axes.flat, strict=False):
        target, predicted = recording["target"][state], recording["prediction"][state]
        (target_line,) = ax.plot(times, target[:, CHANNEL], color=style.BLACK, lw=1.2, ls="--", zorder=3)
        (prediction_line,) = ax.plot(times, predicted[:, CHANNEL], color=style.BLUE, lw=1.6, marker=marker, ms=4)
        ax.set_title(f"{_state_label(state)}: MSE {_format_number(np.mean((predicted - target) ** 2))}")
        ax.set_xticks(*PI_TICKS)
    for ax in axes.flat[len(states) :]:
        ax.set_axis_off()
    _label_outside(axes, len(states), "time t [rad]", "signal")
    style.legend(figure, {"target": target_line, "prediction": prediction_line})
    ahead = " one sample ahead" if experiment.task == "next step" else ""
    return Picture(
        f"prediction{ahead} against target: channel {CHANNEL} of {_sequence_label(experiment)}; MSE over all channels",
        figure,
    )


def latent(experiment: Oscillators, recording: Recording) -> Picture:
    """Draw the phase portrait: one pair of coordinates per tone, before and after training."""
    tones = _tones(experiment)
    states = [0, len(recording["latent"]) - 1]
    figure, axes = style.panels(len(states), len(tones), 3.4, 3.2, "compressed", sharex=True, sharey=True)
    times = experiment.data.times[: recording["latent"].shape[1]]
    colours = style.over_time(figure, axes, 0.0, float(times[-1]), "time t [rad]")
    radius = 1.0 / np.sqrt(len(tones))
    sampled = experiment.model.sampling is not None
    handles: dict[str, Any] = {}
    for state, row in zip(states, axes, strict=True):
        z, mean, oracle = recording["latent"][state], recording["mean"][state], recording["oracle"][state]
        for pair, (tone, ax) in enumerate(zip(tones, row, strict=True)):
            plane = slice(2 * pair, 2 * pair + 2)
            handles["oracle: one circle per tone"] = _draw_circle(ax, radius)
            handles |= _draw_trajectory(ax, times, colours, mean[:, plane], z[:, plane] if sampled else None)
            handles["from the latent to the oracle at the same time"] = _draw_errors(ax, z[:, plane], oracle[:, plane])
            ax.set_title(f"{_state_label(state)}\n{_share(z, pair)} of |z|² (oracle {_share(oracle, pair)})")
            ax.set_aspect("equal")
            ax.set_ylabel(f"coordinate {2 * pair + 2}: cos {_factor(tone)}t")
    for pair, (tone, ax) in enumerate(zip(tones, axes[-1], strict=True)):
        ax.set_xlabel(f"coordinate {2 * pair + 1}: sin {_factor(tone)}t")
    limit = 1.08 * max(radius, *(float(np.abs(recording["latent"][s][:, : 2 * len(tones)]).max()) for s in states))
    if np.isfinite(limit):
        axes[0, 0].set_xlim(-limit, limit)
        axes[0, 0].set_ylim(-limit, limit)
    style.legend(figure, handles, columns=2)
    distances = " → ".join(
        _format_number(np.sqrt(np.mean(np.sum((recording["latent"][s] - recording["oracle"][s]) ** 2, axis=-1))))
        for s in states
    )
    projected = " (Euclidean, put on the sphere)" if experiment.model.latent == "euclidean" else ""
    return Picture(
        f"sampled latent{projected} of {_sequence_label(experiment)}, rotated onto the oracle; RMS distance {distances}",
        figure,
    )


def spectra(experiment: Oscillators, recording: Recording) -> Picture:
    """Draw magnitudes over frequency, before and after training."""
    states = [0, len(recording["target"]) - 1]
    figure, axes = style.panels(1, 2, 4.9, 3.0, sharex=True, sharey=True)
    top = 0.0
    for state, ax in zip(states, axes.flat, strict=True):
        target_magnitude, prediction_magnitude = (
            _magnitude(recording["target"][state]),
            _magnitude(recording["prediction"][state]),
        )
        target, predicted = (
            20.0 * np.log10(np.maximum(m / target_magnitude.max(), TINY))
            for m in (target_magnitude, prediction_magnitude)
        )
        bins = np.arange(len(target))
        marker = "." if len(bins) <= MARKED else ""
        (target_line,) = ax.plot(bins, target, color=style.BLACK, lw=1.3, ls="--", zorder=3)
        (prediction_line,) = ax.plot(bins, predicted, color=style.BLUE, lw=1.6, marker=marker, ms=4)
        for tone in _tones(experiment):
            line = ax.axvline(_bin(experiment, tone, recording), color=style.ORANGE, lw=4, alpha=0.3, zorder=1)
        top = max(top, float(np.nanmax(predicted, initial=0.0)))
        ax.set_title(_state_label(state))
    unit = ""
    if len(bins) > 2 * LINEAR_BINS + 1:
        unit = f", logarithmic beyond {LINEAR_BINS}"
        for ax in axes.flat:
            ax.set_xscale("symlog", linthresh=LINEAR_BINS)
            ticks = [0, *(2**k for k in range(2, int(np.log2(len(bins) - 1)) + 1))]
            ax.set_xticks(ticks, map(str, ticks))
            ax.minorticks_off()
    axes[0, 0].set_xlim(-0.7, len(bins) - 1)
    axes[0, 0].set_ylim(FLOOR_DB - 2.0, top + 4.0)
    _label_outside(axes, 2, f"bin of the rFFT{unit}", "mean magnitude over channels\n[dB of the target's largest]")
    style.legend(figure, {"target": target_line, "prediction": prediction_line, "a tone of the sequence": line})
    return Picture(
        f"spectra of prediction and target of {_sequence_label(experiment)}, cut off at −{-FLOOR_DB:.0f} dB", figure
    )


def imputation(experiment: Oscillators, recording: Recording) -> Picture:
    """Draw the gap, or the last quarter, filled by the trained model in two ways."""
    if experiment.task != "next step":
        return Picture(
            "no imputation: a model trained on the identity repeats its input and does not continue it", None
        )
    figure, axes = style.panels(1, 2, 5.3, 2.8, width_ratios=[2, 1])
    clean, context = recording["clean"][-1], recording["context"][-1]
    times, context_length = experiment.data.times, len(context)
    gap_times = times[context_length:]
    whole, gap = axes[0]
    (context_line,) = whole.plot(times[:context_length], context[:, CHANNEL], color=style.GREY, lw=0.9)
    (truth_line,) = whole.plot(times, clean[:, CHANNEL], color=style.BLACK, lw=1.3, ls="--", zorder=3)
    handles = {"context, as the model sees it": context_line, "truth": truth_line}
    for name, (key, colour, line_style) in FILLS.items():
        error = recording[key][-1] - clean[context_length:]
        label = f"{name}: RMSE {_format_number(np.sqrt(np.mean(error**2)))}"
        line_options = {"color": colour, "lw": 1.7, "ls": line_style, "zorder": 4}
        (handles[label],) = whole.plot(gap_times, recording[key][-1][:, CHANNEL], **line_options)
        gap.plot(gap_times, np.sqrt(np.mean(error**2, axis=-1)), **line_options)
    zero_error = np.sqrt(np.mean(clean[context_length:] ** 2, axis=-1))
    (handles["predicting zero"],) = gap.plot(gap_times, zero_error, color=style.GREY, lw=1.3, ls=":")
    (handles["filled"],) = [
        whole.axvspan(times[context_length - 1], times[-1], color=style.ORANGE, alpha=0.12, lw=0.0, zorder=0)
    ]
    whole.set_xticks(*PI_TICKS)
    gap.set_xticks([3 * np.pi, 3.5 * np.pi, 4 * np.pi], ["3π", "3.5π", "4π"])
    gap.set_ylim(bottom=0.0)
    whole.set_ylabel(f"signal, channel {CHANNEL}")
    gap.set_ylabel("RMSE over channels")
    for ax in (whole, gap):
        ax.set_xlabel("time t [rad]")
    style.legend(figure, handles, columns=3)
    return Picture(
        f"imputation after training: the last {len(gap_times)} of {len(times)} samples of {_sequence_label(experiment)}",
        figure,
    )


def _draw_circle(ax: Axes, radius: float) -> Line2D:
    """Draw the oracle of one tone, a circle, and return its line for the legend."""
    circle = np.exp(1j * np.linspace(0.0, 2.0 * np.pi, 181)) * radius
    (line,) = ax.plot(circle.real, circle.imag, color=style.BLACK, lw=1.2, ls="--", zorder=2)
    return line


def _draw_trajectory(
    ax: Axes,
    times: Float[np.ndarray, " time"],
    colours: Callable[[float], Any],
    mean: Float[np.ndarray, "time 2"],
    sampled: Float[np.ndarray, "time 2"] | None,
) -> dict[str, Line2D]:
    """Draw the mean of the latent as a line that changes colour in time, and sampled points if given.

    Args:
        ax: The axes of one pair of coordinates.
        times: The times of the samples, in radians.
        colours: The colour at a fraction of the last time.
        mean: The mean of the latent.
        sampled: The sampled latent; None without sampling.

    Returns:
        One line of each kind, by its label in the legend.
    """
    marker = "." if len(times) <= MARKED and sampled is None else ""
    handles = {}
    for part in np.array_split(np.arange(len(times)), min(len(times), 32)):
        colour = colours(times[part[0]] / times[-1])
        until = slice(part[0], part[-1] + 2)  # up to where the next part begins
        (line,) = ax.plot(*mean[until].T, color=colour, lw=1.4, marker=marker, ms=4, zorder=4)
        if sampled is not None:
            (handles["sampled latent"],) = ax.plot(
                *sampled[part].T, ".", color=colour, ms=4, mec="none", zorder=3, rasterized=True
            )
    handles[f"{'latent' if sampled is None else 'mean of the latent'}, dark to light in time"] = line
    return handles


def _draw_errors(ax: Axes, z: Float[np.ndarray, "time 2"], oracle: Float[np.ndarray, "time 2"]) -> Line2D:
    """Join 16 points of the latent with the oracle at the same time, and return a line for the legend."""
    for index in np.linspace(0, len(z) - 1, 16).astype(int):
        (line,) = ax.plot(*np.stack([z[index], oracle[index]]).T, color=style.VERMILLION, lw=0.8, zorder=4)
    return line


PICTURES: Mapping[str, Callable[[Oscillators, Recording], Picture]] = {
    "prediction": prediction,
    "latent": latent,
    "spectra": spectra,
    "imputation": imputation,
}


def _gap(experiment: Oscillators) -> int:
    return experiment.gap.samples if experiment.gap else max(1, experiment.data.length // GAP)


def _target_times(experiment: Oscillators) -> Float[np.ndarray, " time"]:
    times = experiment.data.times
    return times if experiment.task == "identity" else times[1:]


def _states_to_draw(states: int) -> list[int]:
    """Return the first state, the last, and some at even distances between them; state 0 is before training."""
    if states <= STATES:
        return list(range(states))
    return [round(i * (states - 1) / (STATES - 1)) for i in range(STATES)]


def _state_label(state: int) -> str:
    return f"epoch {state}" if state else "before training"


def _tones(experiment: Oscillators) -> tuple[int, ...]:
    """Return the frequencies of the sequence."""
    data = experiment.data
    return data.tone_choices[int(data.held_out_choices[SEQUENCE])]


def _sequence_label(experiment: Oscillators) -> str:
    """Return a label such as ``the held-out sequence of tones 1+2``."""
    return f"the held-out sequence of tones {'+'.join(map(str, _tones(experiment)))}"


def _share(z: Float[np.ndarray, "time latent"], pair: int) -> str:
    """Return the percentage of the squared norm that this pair of coordinates has."""
    total = np.sum(z**2)
    return f"{np.sum(z[:, 2 * pair : 2 * pair + 2] ** 2) / total:.0%}" if total > 0.0 else "–"


def _factor(tone: int) -> str:
    """Return the frequency as a factor of ``t``: nothing for 1."""
    return "" if tone == 1 else f"{tone}"


def _format_number(value: float | np.floating[Any]) -> str:
    return f"{value:.3g}"


def _magnitude(signal: Float[np.ndarray, "time channel"]) -> Float[np.ndarray, " bin"]:
    """Return the magnitude of each rFFT bin, averaged over channels."""
    return np.asarray(np.mean(np.abs(np.fft.rfft(signal, axis=0)), axis=1))


def _bin(experiment: Oscillators, tone: int, recording: Recording) -> float:
    """Return the position of a tone among the bins: its cycles in the window."""
    step = experiment.data.times[1] - experiment.data.times[0]
    return float(tone * step * recording["target"].shape[1] / (2.0 * np.pi))


def _label_outside(axes: np.ndarray, used: int, x: str, y: str) -> None:
    """Label only the axes at the left and at the bottom; the others share their scales."""
    columns = axes.shape[1]
    for i, ax in enumerate(axes.flat[:used]):
        if i % columns == 0:
            ax.set_ylabel(y)
        if i + columns >= used:
            ax.set_xlabel(x)
            ax.tick_params(labelbottom=True)
