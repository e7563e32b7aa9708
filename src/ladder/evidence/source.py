"""The source of a rung's curves: this run has trained them, an earlier one has left them as evidence, or they are trained now."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from ladder.declare.rung import Rung
from ladder.evidence.archive import Origin, key
from ladder.evidence.fingerprint import fingerprint
from ladder.evidence.store import Evidence
from ladder.train.progress import ProgressMeter, ProgressRecorder
from ladder.train.result import Trained
from ladder.train.timelimit import TimedOutError, run_until
from ladder.train.trainer import Seeds, Trainer, TrainerFactory, compiled_trainer


@dataclass
class _Curves:
    """The curves of one rung.

    Attributes:
        key: The name that its evidence is filed under.
        trained: The curves of its first seeds.
        origins: The earlier runs that trained some of these seeds, with the number of seeds from each.
        unfinished: What a run over its time limit has left.
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
        evidence: What earlier runs have trained, and where to keep what this one does; None to do without.
        trainer: Makes the trainer of an experiment; by default JAX compiles it.
    """

    def __init__(
        self, seeds: Seeds, block: int, evidence: Evidence | None = None, trainer: TrainerFactory = compiled_trainer
    ):
        self.seeds = seeds
        self._block = block
        self._evidence = evidence
        self._make_trainer = trainer
        self._curves: dict[str, _Curves] = {}
        self._trainers: dict[str, Trainer] = {}

    def has(self, rung: Rung, seeds: int) -> bool:
        """Return whether the curves of that many seeds are there without training."""
        return self._of(rung, seeds).seeds >= seeds

    def key(self, rung: Rung) -> str:
        """Return the name that the rung's evidence is filed under."""
        return self._of(rung, 0).key

    def origins(self, rung: Rung, seeds: int) -> tuple[tuple[Origin, int], ...]:
        """Return the earlier runs that trained some of the first ``seeds`` seeds, with the number of seeds from each."""
        origins, left = [], seeds
        for origin, count in self._of(rung, seeds).origins:
            if left > 0:
                origins.append((origin, min(count, left)))
            left -= count
        return tuple(origins)

    def so_far(self, rung: Rung) -> Trained | None:
        """Return all that was measured of a rung, with NaN for the epochs that a run over its limit did not train."""
        curves = self._of(rung, 0)
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

        Args:
            rung: The rung.
            seeds: The number of seeds.
            progress: Who is told of every epoch.
            deadline: The time of the monotonic clock, in seconds, at which training must be done.
            grace: The seconds that the program that runs at the deadline is given to end.

        Raises:
            TimedOutError: if training is not done at the deadline.
        """
        curves = self._of(rung, seeds)
        while curves.seeds < seeds:
            numbers = range(curves.seeds, min(seeds, curves.seeds + self._block))
            recorder = ProgressRecorder(rung.experiment.epochs, progress)
            work = partial(self._trainer(rung), self.seeds, numbers, recorder)
            try:
                more = run_until(deadline, grace, work, recorder.stop)
            except TimedOutError:
                curves.unfinished = recorder.so_far()
                raise
            if self._evidence:
                self._evidence.curves.keep(curves.key, numbers[0], more)
                if curves.trained is not None and not more.continues(curves.trained):
                    self._evidence.curves.distrust(curves.key)
                    curves.trained, curves.origins = None, []
                    continue
            curves.add(more)
        assert curves.trained is not None
        return curves.trained.head(seeds)

    def inspect(
        self, rung: Rung, failing: Sequence[int], deadline: float = math.inf, grace: float = 0.0
    ) -> dict[str, np.ndarray] | None:
        """Return what the experiment shows of the first block of the failing seeds; None if it shows nothing.

        Raises:
            TimedOutError: if it is not done at the deadline; the seeds are trained again unless they were the last to be.
        """
        curves, numbers = self._of(rung, 0), list(failing[: self._block])
        stored = self._evidence.curves.inspection(curves.key) if self._evidence else None
        if stored is not None and np.array_equal(stored.pop("seeds"), numbers):
            return stored
        recorder = ProgressRecorder(rung.experiment.epochs, None)
        work = partial(self._trainer(rung).inspect, self.seeds, numbers, recorder)
        inspected = run_until(deadline, grace, work, recorder.stop)
        if self._evidence and inspected is not None:
            self._evidence.curves.keep_inspection(curves.key, inspected | {"seeds": np.asarray(numbers)})
        return inspected

    def record_states(
        self,
        rung: Rung,
        seed: int,
        look: Callable[[Any, Any], Mapping[str, Any]],
        progress: ProgressMeter | None = None,
        deadline: float = math.inf,
        grace: float = 0.0,
    ) -> dict[str, np.ndarray]:
        """Return ``look(state, key)`` of one seed before training and after every epoch, stacked; the seed is trained for it.

        Raises:
            TimedOutError: if it is not done at the deadline.
        """
        recorder = ProgressRecorder(rung.experiment.epochs, progress)
        record = self._make_trainer(rung.experiment, 1).record_states
        return run_until(deadline, grace, partial(record, self.seeds, seed, look, recorder), recorder.stop)

    def _of(self, rung: Rung, seeds: int) -> _Curves:
        """Return the curves of the rung, with those that evidence has of the first ``seeds`` seeds."""
        if rung.id not in self._curves:
            filed = key(fingerprint(rung.experiment), self.seeds) if self._evidence else ""
            self._curves[rung.id] = _Curves(filed)
        curves = self._curves[rung.id]
        if self._evidence and curves.seeds < seeds:
            experiment = rung.experiment
            blocks = self._evidence.curves.blocks(
                curves.key, curves.seeds, seeds, experiment.metrics, experiment.epochs, curves.trained
            )
            for trained, origin in blocks:
                curves.add(trained)
                curves.origins.append((origin, trained.seeds))
        return curves

    def _trainer(self, rung: Rung) -> Trainer:
        if rung.id not in self._trainers:
            self._trainers[rung.id] = self._make_trainer(rung.experiment, self._block)
        return self._trainers[rung.id]
