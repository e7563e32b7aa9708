"""The source of a rung's curves: trained earlier in this run, stored by an earlier run, or trained now."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from ladder.declare.experiment import declared_metrics
from ladder.declare.rung import Rung
from ladder.evidence.archive import Origin, archive_key
from ladder.evidence.fingerprint import fingerprint
from ladder.evidence.store import Evidence
from ladder.train.factory import TrainerFactory, default_trainer
from ladder.train.progress import ProgressMeter, ProgressRecorder
from ladder.train.result import Trained
from ladder.train.timelimit import TimedOutError, run_until
from ladder.train.trainer import NoReportError, Seeds, Trainer


@dataclass
class _Curves:
    """The curves of one rung.

    Attributes:
        key: The key of its evidence.
        trained: The curves of its first seeds.
        origins: The earlier runs that trained some of these seeds, with the number of seeds from each.
        unfinished: The curves of a training run that was stopped at its time limit.
    """

    key: str
    trained: Trained | None = None
    origins: list[tuple[Origin, int]] = field(default_factory=list)
    unfinished: Trained | None = None

    @property
    def seeds(self) -> int:
        return self.trained.seeds if self.trained else 0

    def add(self, more: Trained) -> None:
        self.trained = self.trained.concatenate(more) if self.trained else more


class CurveSource:
    """The curves of rungs, each trained at most once on each seed.

    Args:
        seeds: The seeds to train.
        block: The number of seeds that are trained at once.
        evidence: The curves of earlier runs, to which those of this run are added; None to train everything and store nothing.
        trainer: A function that makes the trainer of an experiment; by default that which compiles with JAX.
    """

    def __init__(
        self, seeds: Seeds, block: int, evidence: Evidence | None = None, trainer: TrainerFactory = default_trainer
    ):
        self.seeds = seeds
        self._block = block
        self._evidence = evidence
        self._make_trainer = trainer
        self._curves: dict[str, _Curves] = {}
        self._trainers: dict[str, Trainer] = {}

    def has(self, rung: Rung, seeds: int) -> bool:
        """Return whether the curves of that many seeds are available without training."""
        return self._load(rung, seeds).seeds >= seeds

    def key(self, rung: Rung) -> str:
        """Return the key of the rung's evidence."""
        return self._load(rung, 0).key

    def origins(self, rung: Rung, seeds: int) -> tuple[tuple[Origin, int], ...]:
        """Return the earlier runs that trained some of the first ``seeds`` seeds, with the number of seeds from each."""
        origins, left = [], seeds
        for origin, count in self._load(rung, seeds).origins:
            if left > 0:
                origins.append((origin, min(count, left)))
            left -= count
        return tuple(origins)

    def so_far(self, rung: Rung) -> Trained | None:
        """Return everything measured for a rung, with NaN for the epochs that were not trained before the time limit."""
        curves = self._load(rung, 0)
        if curves.trained is None or curves.unfinished is None:
            return curves.trained or curves.unfinished
        return curves.trained.concatenate(curves.unfinished)

    def __call__(
        self,
        rung: Rung,
        seeds: int,
        progress: ProgressMeter | None = None,
        deadline: float = math.inf,
        grace: float = 0.0,
    ) -> Trained:
        """Return the curves of a rung's first ``seeds`` seeds, training those that are missing.

        Seeds that cost nothing more are trained ahead, up to a multiple of the number that the trainer trains ``at_once``.

        Args:
            rung: The rung.
            seeds: The number of seeds.
            progress: The meter that is called after every epoch.
            deadline: The time of the monotonic clock, in seconds, at which training must be done.
            grace: The seconds to wait, after the deadline, for the program that is running.

        Raises:
            TimedOutError: if training is not done at the deadline.
        """
        curves = self._load(rung, seeds)
        tried = 0  # seeds that did not report anything
        while curves.seeds < seeds:
            trainer = self._trainer(rung)
            at_once, block = getattr(trainer, "at_once", 1), getattr(trainer, "block", self._block)
            last = max(min(-(-seeds // at_once) * at_once, curves.seeds + block), curves.seeds + tried)
            numbers = range(curves.seeds, last)
            recorder = ProgressRecorder(rung.experiment.epochs, progress, numbers[0], rung.metrics)
            work = partial(trainer, self.seeds, numbers, recorder)
            try:
                more = run_until(deadline, grace, work, _stop(trainer, recorder))
            except TimedOutError:
                curves.unfinished = recorder.so_far()
                raise
            except NoReportError:
                if len(numbers) >= self._block:
                    raise
                tried = min(2 * len(numbers), self._block)  # once more, together with others
                continue
            if self._evidence:
                self._evidence.curves.save(curves.key, numbers[0], more)
            if curves.trained is not None and not more.continues(curves.trained):
                if self._evidence is None or not curves.origins:
                    raise ValueError(
                        f"seed {numbers[0]} reports other metrics or traces than the seeds before it; report the same in every "
                        "epoch of every seed, and one entry for each step"
                    )
                self._evidence.curves.warn_of_mismatch(curves.key)
                curves.trained, curves.origins = None, []
                continue
            curves.add(more)
        assert curves.trained is not None
        return curves.trained.head(seeds)

    def record_states(
        self,
        rung: Rung,
        seed: int,
        observe: Callable[[Any, Any], Mapping[str, Any]],
        progress: ProgressMeter | None = None,
        deadline: float = math.inf,
        grace: float = 0.0,
    ) -> dict[str, np.ndarray]:
        """Train one seed and return ``observe(state, key)`` before training and after every epoch, stacked.

        Raises:
            TimedOutError: if it is not done at the deadline.
        """
        recorder = ProgressRecorder(rung.experiment.epochs, progress)
        record = self._make_trainer(rung.experiment, 1).record_states
        return run_until(deadline, grace, partial(record, self.seeds, seed, observe, recorder), recorder.stop)

    def _archive_key(self, rung: Rung) -> str:
        return archive_key(fingerprint(rung.experiment, trainer=self._make_trainer), self.seeds)

    def _load(self, rung: Rung, seeds: int) -> _Curves:
        """Return the curves of the rung at hand, after loading those of the first ``seeds`` seeds that evidence has."""
        if rung.id not in self._curves:
            key = self._archive_key(rung) if self._evidence else ""
            self._curves[rung.id] = _Curves(key)
        curves = self._curves[rung.id]
        if self._evidence and curves.seeds < seeds:
            experiment = rung.experiment
            blocks = self._evidence.curves.blocks(
                curves.key, curves.seeds, seeds, declared_metrics(experiment), experiment.epochs, curves.trained
            )
            for trained, origin in blocks:
                curves.add(trained)
                curves.origins.append((origin, trained.seeds))
        return curves

    def _trainer(self, rung: Rung) -> Trainer:
        if rung.id not in self._trainers:
            self._trainers[rung.id] = self._make_trainer(rung.experiment, self._block)
        return self._trainers[rung.id]


def _stop(trainer: Trainer, recorder: ProgressRecorder) -> Callable[[], None]:
    """Return a function that ends what a trainer is doing, at its next callback or at once if it can."""

    def stop() -> None:
        recorder.stop()
        if end := getattr(trainer, "stop", None):
            end()

    return stop
