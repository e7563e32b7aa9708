"""The first departure of a rung from its parent: the first quantity, in the order of computation, in which the two differ.

Both are trained on the same seeds and the same data, so the parent is a healthy twin. A quantity departs if the medians over
seeds differ by more than the spreads over seeds and by more than a least difference.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from ladder.declare.arrays import Bool, Float
from ladder.train.result import Trained

RATIO = 1.25  # of medians; smaller differences are not told
SHARE = 0.1  # of quantities between -1 and 1
LASTING = 3  # steps in a row: one batch that is unlike the others is no departure
SMALL_FIRST_UPDATE = 0.1  # of the weight after it, which is then close to the initial weight


class Place(IntEnum):
    """The places of a training step, in the order in which they are computed; those of a finding and of a departure."""

    DATA = 0
    WEIGHTS = 1
    STAGES = 2
    LOSS = 3
    GRADIENT = 4
    UPDATE = 5
    TRAINING = 6
    EVALUATION = 7


@dataclass(frozen=True)
class Departure:
    """A quantity in which a rung departs from its parent.

    Attributes:
        place: The place at which it is computed.
        name: The quantity, such as "the RMS of stage hidden.2".
        step: The step from which on it differs, counted from 1; 0 before training.
        when: The same in words: "before training", "step 3", or "epoch 2" for what is measured after an epoch.
        alike: The number of quantities that are computed before it and were compared.
        value: The median over the failing seeds at that step.
        parent: The median of the parent.
        spread: The smallest and the largest value of the parent's seeds.
    """

    place: Place
    name: str
    step: int
    when: str
    alike: int
    value: float
    parent: float
    spread: tuple[float, float]


@dataclass(frozen=True)
class _Quantity:
    """A number over time, for each seed.

    Attributes:
        place: The place at which it is computed.
        name: What it is.
        values: Its values; of one time before training.
        is_size: Whether it is a size, which is compared by ratio; otherwise it is between -1 and 1.
        every: The number of training steps between two values; 0 before training.
    """

    place: Place
    name: str
    values: Float[np.ndarray, "seed time"]
    is_size: bool = True
    every: int = 0


def departures(run: Trained, parent: Trained, objective: str) -> tuple[Departure, ...]:
    """Return the departures of a rung from its parent, the first one first.

    Args:
        run: The failing seeds of the rung.
        parent: The parent's seeds.
        objective: The metric that both are trained on, whose trace is named ``step_`` and this; empty if it is not known.
    """
    of_parent = {quantity.name: quantity for quantity in _quantities(parent, objective)}
    compared = [quantity for quantity in _quantities(run, objective) if quantity.name in of_parent]
    found = [
        departure
        for position, quantity in enumerate(compared)
        if (departure := _departure(quantity, of_parent[quantity.name], _count_before(compared, position)))
    ]
    return tuple(sorted(found, key=lambda departure: (departure.step, departure.place)))


def _count_before(compared: Sequence[_Quantity], position: int) -> int:
    """Return how many quantities are computed before one: all of them, for a trace, but those measured after an epoch."""
    if compared[position].every == 0:
        return position
    is_trace = compared[position].place < Place.EVALUATION
    return sum(each.place < Place.EVALUATION for each in compared) - is_trace


def _quantities(trained: Trained, objective: str) -> Iterator[_Quantity]:
    """Yield everything that is compared, in the order in which it is computed within a step."""
    yield from _data(trained)
    yield from _initial_weights(trained)
    yield from _stages(trained)
    yield from _steps(trained, objective)
    steps = max((trace.shape[2] for trace in trained.traces.values()), default=1)
    for name, curve in trained.curves.items():
        yield _Quantity(Place.EVALUATION, name, curve, every=steps)


def _data(trained: Trained) -> Iterator[_Quantity]:
    yield from _tensor(trained, Place.DATA, "target", "the target")
    stages = stage_keys(trained, "start")
    if stages:
        yield from _tensor(trained, Place.DATA, stages[0], f"the first stage, {stage_name(stages[0])}")
    if (dependence := trained.inspected.get("start/target/dependence")) is not None:
        name = "the distance correlation of the first stage and the target"
        yield _Quantity(Place.DATA, name, dependence[:, None], is_size=False)


def _initial_weights(trained: Trained) -> Iterator[_Quantity]:
    """Yield the norms of the weights after the first step, if it is so small that they are still the initial ones."""
    for group in traced_groups(trained):
        weight, update = trained.traces[f"weight/{group}"][:, 0, :1], trained.traces[f"update/{group}"][:, 0, :1]
        if (update <= SMALL_FIRST_UPDATE * weight).all():
            yield _Quantity(Place.WEIGHTS, f"the norm of the weights of {group}", weight)


def _stages(trained: Trained) -> Iterator[_Quantity]:
    for key in stage_keys(trained, "start")[1:]:
        yield from _tensor(trained, Place.STAGES, key, f"stage {stage_name(key)}")
    yield from _tensor(trained, Place.STAGES, "prediction", "the prediction")


def _tensor(trained: Trained, place: Place, key: str, name: str) -> Iterator[_Quantity]:
    """Yield shape, size and mean of a tensor before training, and the share of its units that are constant."""
    numbers = {what: trained.inspected.get(f"start/{key}/{what}") for what in ("shape", "rms", "mean", "constant")}
    if any(values is None for values in numbers.values()):
        return
    shape, rms, mean, constant = (np.asarray(values, float) for values in numbers.values())
    yield _Quantity(
        place, f"the number of units of {name}", shape[:, -1:] if shape.shape[1] else np.ones((len(shape), 1))
    )
    yield _Quantity(place, f"the RMS of {name}", rms[:, None])
    yield _Quantity(place, f"mean over RMS of {name}", (mean / np.where(rms > 0.0, rms, 1.0))[:, None], is_size=False)
    yield _Quantity(place, f"the share of constant units of {name}", constant[:, None], is_size=False)


def _steps(trained: Trained, objective: str) -> Iterator[_Quantity]:
    """Yield the traces of training."""
    series = {name: trace.reshape(len(trace), -1) for name, trace in trained.traces.items()}
    for name in sorted(series):
        if name.startswith("stage/"):
            yield _Quantity(Place.STAGES, f"the RMS of stage {stage_name(name)} in training", series[name], every=1)
    if (loss := series.get(f"step_{objective}")) is not None:
        yield _Quantity(Place.LOSS, f"the loss {objective}", loss, every=1)
    for group in traced_groups(trained):
        gradient, update, weight = (series[f"{kind}/{group}"] for kind in ("gradient", "update", "weight"))
        yield _Quantity(Place.GRADIENT, f"the gradient's norm of {group}", gradient, every=1)
        relative = update / np.where(weight > 0.0, weight, 1.0)
        yield _Quantity(Place.UPDATE, f"update over weight of {group}", relative, every=1)
        yield _Quantity(Place.TRAINING, f"the norm of the weights of {group} in training", weight, every=1)


def _departure(quantity: _Quantity, of_parent: _Quantity, alike: int) -> Departure | None:
    times = min(quantity.values.shape[1], of_parent.values.shape[1])
    ours, theirs = quantity.values[:, :times], of_parent.values[:, :times]
    apart = _differ(ours, theirs, quantity.is_size)
    lasting = min(LASTING, times)
    windows = np.lib.stride_tricks.sliding_window_view(apart, lasting).all(axis=1)
    if not windows.any():
        return None
    first = int(windows.argmax())
    with np.errstate(all="ignore"):
        value, other = (float(np.median(values[:, first])) for values in (ours, theirs))
    spread = float(theirs[:, first].min()), float(theirs[:, first].max())
    step = (first + 1) * quantity.every
    unit = "epoch" if quantity.place is Place.EVALUATION else "step"
    when = f"{unit} {first + 1}" if quantity.every else "before training"
    return Departure(quantity.place, quantity.name, step, when, alike, value, other, spread)


def _differ(
    ours: Float[np.ndarray, "seed time"], theirs: Float[np.ndarray, "seed time"], is_size: bool
) -> Bool[np.ndarray, " time"]:
    """Return at which times the medians differ by more than both spreads together, and by more than the least difference."""
    with np.errstate(all="ignore"):
        least = math.log(RATIO) if is_size else SHARE
        one, other = (np.log(np.abs(values)) if is_size else values for values in (ours, theirs))
        one, other = (
            np.clip(np.nan_to_num(values, nan=1e3, posinf=1e3, neginf=-1e3), -1e3, 1e3) for values in (one, other)
        )
    spread = sum(np.ptp(np.quantile(values, [0.05, 0.95], axis=0), axis=0) / 2.0 for values in (one, other))
    return np.asarray(np.abs(np.median(one, axis=0) - np.median(other, axis=0)) > np.maximum(least, spread))


def stage_keys(trained: Trained, when: str) -> list[str]:
    """Return the keys of the stages that were inspected at the ``start`` or ``end``, in the order of the data flow."""
    return sorted(
        name.removeprefix(f"{when}/").removesuffix("/shape")
        for name in trained.inspected
        if name.startswith(f"{when}/stage/") and name.endswith("/shape")
    )


def stage_name(key: str) -> str:
    """Return the name that the experiment gave a stage."""
    return key.split("/", 2)[2]


def traced_groups(trained: Trained) -> tuple[str, ...]:
    """Return the parameter groups whose gradients, updates and weights were traced."""
    names = (name.partition("/") for name in trained.traces)
    groups = sorted(group for kind, _, group in names if kind == "gradient" and group)
    return tuple(group for group in groups if {f"update/{group}", f"weight/{group}"} <= trained.traces.keys())
