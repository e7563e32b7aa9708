"""Where a rung's curves come from: this run has them, an earlier one has left them as evidence, or they are trained now."""

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import jax
import numpy as np

from ladder.declare.rung import Rung
from ladder.evidence.archive import Evidence, Origin, key
from ladder.evidence.fingerprint import fingerprint
from ladder.train.compiled import Trainer
from ladder.train.devices import use_all_cores
from ladder.train.progress import ProgressMeter, ProgressRecorder
from ladder.train.result import Trained
from ladder.train.timelimit import TimedOutError, in_thread, within
from ladder.train.trainer import Seeds

Yield = TypeVar("Yield")


@dataclass
class _Known:
    """Of one rung: its key, its curves, how many of their seeds come from where, and what a run over its limit left."""

    key: str
    trained: Trained | None = None
    origins: list[tuple[Origin, int]] = field(default_factory=list)
    unfinished: Trained | None = None

    @property
    def seeds(self) -> int:
        return self.trained.seeds if self.trained else 0

    def add(self, more: Trained) -> None:
        self.trained = self.trained.joined(more) if self.trained else more


class Curves:
    """The curves of rungs, each trained at most once on each seed.

    Args:
        seeds: Which seeds are trained.
        block: How many at once.
        evidence: What earlier runs have trained, and where to keep what this one does; None to do without.
    """

    def __init__(self, seeds: Seeds, block: int, evidence: Evidence | None = None):
        use_all_cores()  # before a fingerprint asks for the backend, which starts JAX with the devices it then has
        self.seeds = seeds
        self._block = block
        self._evidence = evidence
        self._known: dict[str, _Known] = {}
        self._trainers: dict[str, Trainer] = {}

    def has(self, rung: Rung, seeds: int) -> bool:
        """Whether that many seeds are there without training."""
        return self._of(rung, seeds).seeds >= seeds

    def key(self, rung: Rung) -> str:
        """What the rung's evidence is filed under."""
        return self._of(rung, 0).key

    def origins(self, rung: Rung, seeds: int) -> tuple[tuple[Origin, int], ...]:
        """Where those of the first ``seeds`` seeds come from that an earlier run trained, and how many they are."""
        found, left = [], seeds
        for origin, count in self._of(rung, seeds).origins:
            if left > 0:
                found.append((origin, min(count, left)))
            left -= count
        return tuple(found)

    def so_far(self, rung: Rung) -> Trained | None:
        """All that was measured of a rung, with not-a-number for the epochs that a run over its limit did not train."""
        known = self._of(rung, 0)
        if known.trained is None or known.unfinished is None:
            return known.trained or known.unfinished
        return known.trained.joined(known.unfinished)

    def __call__(
        self, rung: Rung, seeds: int, watch: ProgressMeter | None = None, deadline: float = math.inf, grace: float = 0.0
    ) -> Trained:
        """The first ``seeds`` seeds of a rung.

        Raises:
            TimedOutError: if training is not done at ``deadline``, in seconds of the monotonic clock; ``grace`` seconds are
                given then to what is being computed.
        """
        known = self._of(rung, seeds)
        while known.seeds < seeds:
            numbers = range(known.seeds, min(seeds, known.seeds + self._block))
            recorder = ProgressRecorder(rung.experiment.epochs, watch)
            work = partial(self._trainer(rung), self.seeds, numbers, recorder)
            try:
                more = limited(work, recorder, deadline, grace)
            except TimedOutError:
                known.unfinished = recorder.so_far()
                raise
            if self._evidence:
                self._evidence.keep(known.key, numbers[0], more)
                if known.trained is not None and not more.continues(known.trained):
                    self._evidence.distrust(known.key)
                    known.trained, known.origins = None, []
                    continue
            known.add(more)
        assert known.trained is not None
        return known.trained.head(seeds)

    def inspected(
        self, rung: Rung, failing: Sequence[int], deadline: float = math.inf, grace: float = 0.0
    ) -> dict[str, np.ndarray] | None:
        """What the experiment shows of the first block of the failing seeds; None if it shows nothing.

        Raises:
            TimedOutError: as for training; the seeds are trained again unless they were the last to be.
        """
        known, numbers = self._of(rung, 0), list(failing[: self._block])
        shown = self._evidence.inspected(known.key) if self._evidence else None
        if shown is not None and np.array_equal(shown.pop("seeds"), numbers):
            return shown
        recorder = ProgressRecorder(rung.experiment.epochs, None)
        work = partial(self._trainer(rung).inspect, self.seeds, numbers, recorder)
        found = limited(work, recorder, deadline, grace)
        if self._evidence and found is not None:
            self._evidence.keep_inspected(known.key, found | {"seeds": np.asarray(numbers)})
        return found

    def shown(
        self,
        rung: Rung,
        seed: int,
        look: Callable[[Any, Any], Mapping[str, Any]],
        watch: ProgressMeter | None = None,
        deadline: float = math.inf,
        grace: float = 0.0,
    ) -> dict[str, np.ndarray]:
        """What ``look(state, key)`` shows of one seed before training and after every epoch, stacked; it is trained for it.

        Raises:
            TimedOutError: as for training.
        """
        recorder = ProgressRecorder(rung.experiment.epochs, watch)
        trainer = Trainer(rung.experiment, 1)
        return limited(partial(trainer.shown, self.seeds, seed, look, recorder), recorder, deadline, grace)

    def _of(self, rung: Rung, seeds: int) -> _Known:
        """What is known of the rung, with what evidence has of the first ``seeds`` seeds."""
        if rung.id not in self._known:
            filed = key(fingerprint(rung.experiment), self.seeds) if self._evidence else ""
            self._known[rung.id] = _Known(filed)
        known = self._known[rung.id]
        if self._evidence and known.seeds < seeds:
            experiment = rung.experiment
            blocks = self._evidence.trained(
                known.key, known.seeds, seeds, experiment.metrics, experiment.epochs, known.trained
            )
            for trained, origin in blocks:
                known.add(trained)
                known.origins.append((origin, trained.seeds))
        return known

    def _trainer(self, rung: Rung) -> Trainer:
        if rung.id not in self._trainers:
            self._trainers[rung.id] = Trainer(rung.experiment, self._block)
        return self._trainers[rung.id]


def limited(
    work: Callable[[], Yield], recorder: ProgressRecorder, deadline: float = math.inf, grace: float = 0.0
) -> Yield:
    """Train in a thread, which can be left alone at the deadline or when the user interrupts.

    Settings of JAX that a context manager has made for this thread would not reach it. Without a deadline this thread then
    trains itself, and an interruption waits until the program that runs has ended.

    Raises:
        TimedOutError: if training is not done at ``deadline``, as for :class:`Curves`.
        ValueError: for a deadline and such settings.
    """
    seconds = deadline - time.monotonic()
    here, there = jax.config.values, in_thread(lambda: jax.config.values).result()
    if own := [name for name in here if here[name] != there[name]]:
        if seconds > threading.TIMEOUT_MAX:
            return work()
        raise ValueError(
            f"JAX has other settings in the thread that trains under a time limit ({', '.join(own)}): set them for all "
            "threads, with jax.config.update, or give no limit"
        )
    return within(seconds, grace, work, recorder.stop)
