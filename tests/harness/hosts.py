"""Host experiments that train in milliseconds and whose every outcome is known. Nothing here imports JAX: workers import it."""

# ruff: noqa: D102  # the methods are those of ladder.HostExperiment, which says what they do

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ladder.inspection import Inspection


@dataclass(frozen=True)
class Halving:
    """A loss of 1 to 2, by the seed, that falls by ``rate`` in every epoch, with a trace of it."""

    rate: float = 0.5
    epochs: int = 3

    def train(self, seed: int) -> Iterator[Mapping[str, Any]]:
        loss = 1.0 + np.random.default_rng(seed).random()
        for _ in range(self.epochs):
            loss *= self.rate
            yield {"loss": loss, "step_loss": np.array([2.0 * loss, loss])}


@dataclass(frozen=True)
class Declared(Halving):
    """The same, which declares its metrics."""

    metrics: tuple[str, ...] = ("loss",)


@dataclass(frozen=True)
class Inspected(Halving):
    """The same, with inspections of a model whose prediction shrinks."""

    def train(self, seed: int) -> Iterator[Mapping[str, Any]]:
        target = np.random.default_rng(seed).normal(size=(4, 8, 2))
        start = Inspection(stages={"input": target}, prediction=target, target=target)
        for epoch, report in enumerate(super().train(seed), 1):
            end = Inspection(stages={"input": target}, prediction=target / 2**epoch, target=target)
            yield report | {"start": start, "end": end}


@dataclass(frozen=True)
class Fails:
    """An experiment of which every other seed ends in its second epoch, in this way."""

    how: str = "raises"
    epoch: int = 2
    share: int = 2
    epochs: int = 3

    def train(self, seed: int) -> Iterator[Mapping[str, Any]]:
        for epoch in range(1, self.epochs + 1):
            if epoch == self.epoch and seed % self.share == 0:
                end(self.how)
            yield {"loss": 1.0 / epoch}


def end(how: str) -> None:
    """End the training of a seed."""
    if how == "raises":
        raise ZeroDivisionError("as planned")
    if how == "exits":
        sys.exit("as planned")
    if how == "dies":
        os._exit(3)
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Reports:
    """An experiment that reports this, in every epoch."""

    report: Any
    epochs: int = 2

    def train(self, seed: int) -> Iterator[Any]:
        for _ in range(self.epochs):
            yield self.report


@dataclass(frozen=True)
class Varies:
    """An experiment whose trace has another length in each epoch, or for each seed."""

    by: str = "epoch"
    epochs: int = 2

    def train(self, seed: int) -> Iterator[Mapping[str, Any]]:
        for epoch in range(self.epochs):
            yield {"loss": 0.0, "step_loss": np.zeros(1 + (epoch if self.by == "epoch" else seed % 1000))}


@dataclass(frozen=True)
class Short:
    """An experiment that yields fewer reports than it has epochs."""

    epochs: int = 3

    def train(self, seed: int) -> Iterator[Mapping[str, Any]]:
        yield {"loss": 0.0}


@dataclass(frozen=True)
class Observed:
    """An experiment that reports what it sees of its process."""

    epochs: int = 1

    def train(self, seed: int) -> Iterator[Mapping[str, Any]]:
        yield {
            "process": os.getpid(),
            "group": os.getpgid(0),
            "main thread": threading.current_thread() is threading.main_thread(),
            "threads": float(os.environ.get("OMP_NUM_THREADS", -1)),
            "gpu": float(os.environ.get("CUDA_VISIBLE_DEVICES") or -1),
            "random": np.random.random(),  # noqa: NPY002  # the global generator is what is observed
            "seed": seed,
            "jax": "jax" in sys.modules,
        }


@dataclass(frozen=True)
class Endless:
    """An experiment that writes its process and its children, one in a session of its own, to files, and never ends."""

    folder: Path
    epochs: int = 2

    def train(self, seed: int) -> Iterator[Mapping[str, Any]]:
        sleeps = [sys.executable, "-c", "import time; time.sleep(600)"]
        children = [subprocess.Popen(sleeps, start_new_session=own) for own in (False, sys.platform == "linux")]
        for number in (os.getpid(), *(child.pid for child in children)):
            (self.folder / f"{number}").touch()
        yield {"loss": 1.0}
        while True:
            time.sleep(0.1)


def halving(config: Any, seed: int) -> Iterator[Mapping[str, Any]]:
    """Train as :class:`Halving` does, from a configuration."""
    return Halving(config.rate, config.epochs).train(seed)


def is_running(pid: str) -> bool:
    """Return whether a process runs: a dead one may stay until its parent has asked for its exit code."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
