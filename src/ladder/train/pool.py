"""Worker processes for host experiments: how many there are, what each may use, and how they end."""

import atexit
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from ladder.train import worker
from ladder.train.devices import VISIBLE, cores, gpus

THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
"""Variables that limit the threads of BLAS, PyTorch and others, which read them when they are loaded."""

PATIENCE = 5.0  # seconds that a worker has to end by itself

_environment = threading.Lock()
_share: tuple[int | None, int] = (None, 1)  # see share_machine()


class WorkerDiedError(Exception):
    """An error for a worker process that has died."""


class Worker:
    """A process that trains one seed after another.

    Args:
        variables: Variables of its environment.
    """

    def __init__(self, variables: Mapping[str, str]):
        # A fork would copy held locks, among others those of JAX and CUDA.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self.connection: Any = ours  # its class is another one on Windows
        self._process = context.Process(target=worker.serve, args=(theirs,), name="ladder-worker")
        self._experiment: bytes | None = None
        with _set(variables):
            self._process.start()
        theirs.close()

    def train(self, experiment: bytes, files: Mapping[str, str], seed: int) -> None:
        """Start to train a seed, whose messages arrive at ``connection``.

        Args:
            experiment: The pickled experiment, which is sent only if it is not the one of the seed before.
            files: Module to file, for modules that an import may not find.
            seed: The seed.

        Raises:
            WorkerDiedError: if the process has died.
        """
        is_new = self._experiment is not experiment
        try:
            self.connection.send(worker.Task(experiment, files, seed) if is_new else worker.Task(None, {}, seed))
        except OSError:
            raise WorkerDiedError(self._cause_of_death()) from None
        self._experiment = experiment

    def receive(self) -> worker.Message:
        """Return the next message.

        Raises:
            WorkerDiedError: if the process has died.
        """
        try:
            message: worker.Message = self.connection.recv()
        except (EOFError, OSError):
            raise WorkerDiedError(self._cause_of_death()) from None
        return message

    def _cause_of_death(self) -> str:
        self._process.join(PATIENCE)
        code = self._process.exitcode
        if code is None or code >= 0:
            return f"the worker process exited with code {code}"
        known = {number.value: number.name for number in signal.Signals}
        name = known.get(-code, f"signal {-code}")
        hint = "; the system may have run out of memory" if name == "SIGKILL" else ""
        return f"the worker process was ended by {name}{hint}"

    def close(self) -> None:
        """End the process, which is idle."""
        self.connection.close()
        self._process.join(PATIENCE)
        self.kill()

    def kill(self) -> None:
        """End the process and all that it has started, at once."""
        self.connection.close()
        if self._process.pid is not None:
            worker.kill_tree(self._process.pid)
        self._process.kill()
        self._process.join()


class WorkerPool:
    """The workers of this process, which are started when they are needed and train one experiment after another.

    Args:
        size: The number of workers.
    """

    def __init__(self, size: int):
        self.size: int = size
        self._workers: list[Worker | None] = [None] * size
        self._busy: set[int] = set()

    def idle(self) -> Worker | None:
        """Return a worker that is now in use; None if all are."""
        free = [place for place in range(self.size) if place not in self._busy]
        if not free:
            return None
        place = next((place for place in free if self._workers[place]), free[0])
        used = self._workers[place] = self._workers[place] or Worker(_variables(place, self.size))
        self._busy.add(place)
        return used

    def release(self, used: Worker) -> None:
        """Note that a worker is not in use any more."""
        self._busy.discard(self._workers.index(used))

    def discard(self, used: Worker) -> None:
        """Kill a worker; another one will take its place."""
        place = self._workers.index(used)
        self._workers[place] = None
        self._busy.discard(place)
        used.kill()

    def close(self) -> None:
        """End all workers."""
        for place, used in enumerate(self._workers):
            if used is not None:
                (used.kill if place in self._busy else used.close)()
        self._workers = [None] * self.size
        self._busy.clear()


def share_machine(workers: int | None, processes: int = 1) -> None:
    """Set how many workers this process may have.

    Args:
        workers: The number of workers; 0 to train in this process; None for as many as fit its share of the cores or GPUs.
        processes: The number of processes that share the machine.
    """
    global _share
    _share = (workers, processes)


def worker_count() -> int:
    """Return the number of workers of this process: one for each GPU, or without GPUs for each core; 0 to train in it."""
    workers, processes = _share
    if workers is not None:
        return workers
    return len(gpus()) or max(1, cores() // processes)  # each process of pytest-xdist sees its own GPU only


def worker_pool() -> WorkerPool:
    """Return the pool of this process, which ends with it."""
    return _pool(worker_count())


@cache
def _pool(size: int) -> WorkerPool:
    pool = WorkerPool(size)
    atexit.register(pool.close)  # before multiprocessing waits for its processes
    return pool


def _variables(place: int, size: int) -> dict[str, str]:
    """Return the variables that give a worker its share of the threads and GPUs; those that the user has set are left out."""
    _, processes = _share
    threads = max(1, cores() // (size * processes))
    variables = {name: str(threads) for name in THREADS if name not in os.environ}
    if visible := gpus():
        variables[VISIBLE] = visible[place % len(visible)]
    return variables


@contextmanager
def _set(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables of the environment for a process that starts."""
    with _environment:
        before = {name: os.environ.get(name) for name in variables}
        os.environ.update(variables)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
