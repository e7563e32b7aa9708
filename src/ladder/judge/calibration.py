"""Limits that nobody has published: measured on separate seeds, stored in files, and outdated if their experiment changes."""

import json
import math
import sys
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ladder.declare.criteria import Criterion
from ladder.declare.rung import Rung
from ladder.evidence.fingerprint import Fingerprint, fingerprint
from ladder.files import read_regular, write_atomically
from ladder.naming import on_disk
from ladder.train.factory import TrainerFactory, default_trainer
from ladder.train.progress import ProgressMeter, ProgressRecorder
from ladder.train.timelimit import run_until
from ladder.train.trainer import CALIBRATION_STREAM, Seeds

COVERAGE, CONFIDENCE = 0.95, 0.95
BLOCK = 32
LARGEST = 2**20  # bytes of a file
STATISTIC_MODULES = "ladder.declare.criteria"  # curves to numbers: a limit depends on it, the curves do not


def sample_size(limits: int, coverage: float = COVERAGE, confidence: float = CONFIDENCE) -> int:
    """Compute the number of seeds whose worst values bound ``coverage`` of all seeds at ``confidence``.

    >>> [sample_size(limits) for limits in (1, 2, 3)]
    [59, 93, 124]

    The share of seeds inside the extremes of ``m`` statistics of ``n`` seeds is at least Beta(n - m + 1, m)
    distributed whatever their distribution, so ``P(Bin(n, 1 - coverage) < m) <= 1 - confidence`` is enough.
    Source: Wilks, *Determination of sample sizes for setting tolerance limits* (1941).

    Args:
        limits: The number of limits that the same seeds measure.
        coverage: The share of all seeds to bound.
        confidence: The probability with which the bound holds.
    """
    n = limits
    while sum(math.comb(n, i) * (1 - coverage) ** i * coverage ** (n - i) for i in range(limits)) > 1 - confidence:
        n += 1
    return n


@dataclass(frozen=True)
class Calibration:
    """Measured limits of one rung, by criterion key, with all that is needed to measure them again."""

    rung: str
    seeds: int
    limits: dict[str, float]
    medians: dict[str, float]
    fingerprint: Fingerprint
    created: str

    def check(self, id: str) -> None:
        """Check that it belongs to that rung and has a finite limit and median under every key.

        Raises:
            ValueError: if it does not.
        """
        if self.rung != id:
            raise ValueError(f"it is of {self.rung!r:.100}")
        if type(self.seeds) is not int or self.seeds < 1:
            raise ValueError(f"seeds are {self.seeds!r:.40}, not a number of them")
        if not all(isinstance(text, str) for text in (self.created, *asdict(self.fingerprint).values())):
            raise ValueError("the date or a part of the fingerprint is not text")
        if self.limits.keys() != self.medians.keys():
            raise ValueError("limits and medians have different keys")
        for value in (*self.limits.values(), *self.medians.values()):
            if type(value) not in (int, float) or not abs(value) <= sys.float_info.max:
                raise ValueError(f"{value!r:.40} is not a finite number")

    def source(self, key: str) -> str:
        """Return the source of a limit, in words."""
        return (
            f"calibration of {self.created[:10]}: worst of {self.seeds} seeds (median {self.medians[key]:.4g}), "
            f"bounds {COVERAGE:.0%} of seeds at {CONFIDENCE:.0%} confidence"
        )


def calibrate(
    rung: Rung, progress: ProgressMeter | None = None, trainer: TrainerFactory = default_trainer
) -> Calibration:
    """Measure the limits of a rung's calibrated gates on seeds that no gate uses.

    Args:
        rung: The rung, whose gates with ``calibrated=True`` are measured.
        progress: Receives the progress of training.
        trainer: Makes the trainer of the experiment.

    Raises:
        ValueError: if the rung has no such gate, or a seed or a limit is not finite.
    """
    criteria = [gate for gate in rung.criteria if gate.calibrated]
    if not criteria:
        raise ValueError(f"{rung.id}: no gate says calibrated=True; nothing to calibrate")
    n = sample_size(len(criteria))
    recorder = ProgressRecorder(rung.experiment.epochs, progress)
    work = partial(trainer(rung.experiment, BLOCK), Seeds(stream=CALIBRATION_STREAM), range(n), recorder)
    trained = run_until(math.inf, 0.0, work, recorder.stop)
    if np.any(bad := trained.first_non_finite_step > 0):
        raise ValueError(
            f"{rung.id}: calibration seeds {np.flatnonzero(bad).tolist()} of {n} turned non-finite; fix the rung first"
        )
    measured = Calibration(
        rung=rung.id,
        seeds=n,
        limits={gate.key: gate.worst(trained.curves) for gate in criteria},
        medians={gate.key: float(np.median(gate.statistic(trained.curves))) for gate in criteria},
        fingerprint=fingerprint(rung.experiment, STATISTIC_MODULES, trainer=trainer),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    try:
        measured.check(rung.id)
    except ValueError as error:
        raise ValueError(f"{rung.id}: no limit can be measured: {error}: {measured.limits}") from error
    return measured


def path(folder: Path, id: str) -> Path:
    """Return the file of that rung's calibration."""
    return folder / on_disk(f"{id.replace('[', '-').replace(']', '')}.json")


def save(calibration: Calibration, folder: Path) -> Path:
    """Write a calibration to its file, in place of an earlier one, and return the path."""
    target = path(folder, calibration.rung)
    write_atomically(target, json.dumps(asdict(calibration), indent=2, allow_nan=False) + "\n")
    return target


def load(folder: Path, id: str) -> Calibration | None:
    """Read the stored calibration of that rung.

    Returns:
        The calibration, or None if there is no file.

    Raises:
        ValueError: for a file that cannot be read; the message names it.
    """
    target = path(folder, id)
    try:
        stored: dict[str, Any] = json.loads(read_regular(target, LARGEST).decode())
        found = Calibration(**{**stored, "fingerprint": Fingerprint(**stored["fingerprint"])})
        found.check(id)
        date.fromisoformat(found.created[:10])
        return found
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _unusable(target, error) from error


def _unusable(target: Path, error: Exception) -> ValueError:
    return ValueError(f"{target} is not a calibration ({error!s:.200}); measure it again or restore it from git")


def outdated(rung: Rung, base: Rung, folder: Path) -> list[str]:
    """Return the changes since the limits of a rung were measured on ``base``; ``missing`` if a limit was never measured."""
    keys = {gate.key for gate in rung.criteria if gate.calibrated}
    if not keys:
        return []
    measured = load(folder, base.id)
    if measured is None or not keys <= measured.limits.keys():
        return ["missing"]
    return fingerprint(base.experiment, STATISTIC_MODULES).changed_since(measured.fingerprint)


def tightened(rung: Rung, folder: Path) -> Rung:
    """Return the rung with every calibrated gate at its measured limit, if there is one."""
    if not any(gate.calibrated for gate in rung.criteria):
        return rung
    calibration = load(folder, rung.calibration or rung.id)
    if calibration is None:
        return rung
    try:
        gates = tuple(
            gate.tightened(calibration.limits[gate.key], calibration.source(gate.key))
            if isinstance(gate, Criterion) and gate.calibrated and gate.key in calibration.limits
            else gate
            for gate in rung.gates
        )
        return replace(rung, gates=gates)
    except ValueError as error:  # a limit that no such gate can have
        raise _unusable(path(folder, calibration.rung), error) from error
