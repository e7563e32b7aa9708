"""The process that trains seeds of host experiments: it receives tasks through a connection and sends back reports.

It is started by :mod:`ladder.train.pool`. Nothing here imports NumPy before the experiment is unpickled, so that the
libraries of the experiment start with the number of threads that the environment sets.
"""

import importlib.abc
import importlib.util
import multiprocessing
import os
import pickle
import random
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.machinery import ModuleSpec
from multiprocessing import connection
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np

    from ladder.declare.experiment import HostExperiment

WHEN = ("start", "end")  # names under which an experiment yields an inspection
TRACEBACK = 6000  # characters


class Task(NamedTuple):
    """The training of one seed.

    Attributes:
        experiment: The pickled experiment; None for that of the task before.
        files: Module to file, for modules that an import may not find in another process.
        seed: The seed.
    """

    experiment: bytes | None
    files: Mapping[str, str]
    seed: int


class Report(NamedTuple):
    """The values of one epoch: numbers, and vectors with one entry for each step."""

    values: "dict[str, float | np.ndarray]"


class Inspected(NamedTuple):
    """The summary of an inspection at the ``start`` or ``end`` of training."""

    when: str
    summary: "dict[str, np.ndarray]"


class Raised(NamedTuple):
    """An error of the experiment: one line, and its traceback."""

    error: str
    traceback: str


class Invalid(NamedTuple):
    """A sentence on a report that no experiment may make."""

    message: str


class Done(NamedTuple):
    """The end of a seed that trained all epochs."""


Message = Report | Inspected | Raised | Invalid | Done


class _InvalidReportError(Exception):
    """An error for a value that an experiment may not report."""


def serve(tasks: connection.Connection) -> None:
    """Train the seeds of all tasks that arrive, until the other end closes."""
    if hasattr(os, "setsid"):
        os.setsid()  # a group of its own, which is ended together with all that the experiment starts
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one ends it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    experiment: Any = None
    while True:
        try:
            task: Task = tasks.recv()
        except EOFError:
            return
        if task.experiment is not None:
            try:
                experiment = _load(task.experiment, task.files)
            except BaseException as error:
                tasks.send(Invalid(f"it cannot be loaded in a worker process: {_one_line(error)}"))
                continue
        for message in train(experiment, task.seed):
            tasks.send(message)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    kill_tree(os.getpid())
    os._exit(1)


def kill_tree(pid: int) -> None:
    """Kill a process and its group; on Linux also those of its descendants that have left it. Without groups, do nothing."""
    if not (hasattr(os, "killpg") and hasattr(signal, "SIGKILL")):
        return
    parents: dict[int, int] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            parents[int(status.parent.name)] = int(status.read_bytes().rpartition(b")")[2].split()[1])
    tree = [pid]
    for each in tree:
        tree += [child for child, parent in parents.items() if parent == each]
    for kill, target in (*((os.kill, each) for each in tree[1:]), (os.killpg, pid)):
        with suppress(OSError):  # it has ended meanwhile, or its group does not exist yet
            kill(target, signal.SIGKILL)


def train(experiment: "HostExperiment", seed: int) -> Iterator[Message]:
    """Train one seed; yield the reports and inspections of every epoch, and at last how it ended."""
    _seed_generators(seed)
    epochs, done = int(experiment.epochs), 0
    reports: Any = None
    try:
        while done < epochs:
            try:
                reports = iter(experiment.train(seed)) if reports is None else reports
                report = next(reports)
            except StopIteration:
                fewer = f", or set epochs={done}" if done else ""
                raise _InvalidReportError(
                    f"train() ended after {done} of {epochs} epochs; yield one mapping after every epoch{fewer}"
                ) from None
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # also SystemExit, by which scripts end
                yield Raised(_one_line(error), _traceback(error))
                return
            yield from _messages(report)
            done += 1
        yield Done()
    except _InvalidReportError as error:
        yield Invalid(f"{type(experiment).__qualname__}.{error}")
    finally:
        if hasattr(reports, "close"):
            with suppress(Exception):
                reports.close()


def _seed_generators(seed: int) -> None:
    """Seed the global generators of the libraries that are loaded, for experiments that do not."""
    random.seed(seed)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(seed)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(seed)


def _messages(report: object) -> Iterator[Message]:
    """Yield the messages of one epoch.

    Raises:
        _InvalidReportError: for a report that is not a mapping of names to numbers and vectors.
    """
    import numpy as np  # see the docstring of the module

    from ladder.declare.experiment import check_name
    from ladder.declare.values import shortened
    from ladder.inspection import Inspection, summarise

    if not isinstance(report, Mapping):
        raise _InvalidReportError(
            f"train() yields {shortened(report)}; yield a mapping of metrics, such as {{'loss': loss}}"
        )
    values: dict[str, float | np.ndarray] = {}
    for name, value in report.items():
        if isinstance(value, Inspection):
            if name not in WHEN:
                raise _InvalidReportError(f"train() yields an Inspection as {name!r}; name it 'start' or 'end'")
            yield Inspected(name, {key: np.asarray(each) for key, each in summarise(value).items()})
            continue
        try:
            check_name(name)
        except ValueError as error:
            raise _InvalidReportError(f"train(): {error}") from None
        array = _array(value)
        if array is None or array.ndim > 1 or array.size == 0 or array.dtype.kind not in "fiub":
            raise _InvalidReportError(
                f"train() reports {name!r} as {shortened(value)}; report a real number (a metric) or a vector with one entry "
                "for each step (a trace)"
            )
        array = array.astype(np.float64)
        values[name] = array if array.ndim else float(array)
    yield Report(values)


def _array(value: Any) -> "np.ndarray | None":
    """Convert a number, sequence or array of any library to one of NumPy; return None for anything else."""
    import numpy as np

    if value is None or isinstance(value, str | bytes | Mapping):
        return None
    try:
        if hasattr(value, "detach"):  # a tensor of PyTorch, which may require a gradient or be on a GPU
            value = value.detach().cpu()
        array = np.asarray(value)
        if array.dtype.kind not in "fiubc":  # bfloat16, a list of tensors
            array = np.asarray(value, np.float64)
        return array
    except Exception:
        return None


def _one_line(error: BaseException) -> str:
    text = traceback.format_exception_only(error)[-1].strip()
    return " ".join(text.split()) or type(error).__name__


def _traceback(error: BaseException) -> str:
    """Return the traceback from the experiment's own code on."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_globals.get("__name__") == __name__ and frames.tb_next is not None:
        frames = frames.tb_next
    text = "".join(traceback.format_exception(type(error), error, frames))
    half = TRACEBACK // 2
    return text if len(text) <= TRACEBACK else f"{text[:half]}\n...\n{text[-half:]}"


class _Finder(importlib.abc.MetaPathFinder):
    """A finder of modules by the files from which the process that sends tasks has loaded them.

    Folders on ``sys.path`` may have modules of the same name; test modules and others are in none of them.
    """

    def __init__(self, files: Mapping[str, str]):
        self._files = files

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module whose file is known."""
        if not (file := self._files.get(fullname)):
            return None
        folder = [str(Path(file).parent)] if Path(file).name == "__init__.py" else None
        return importlib.util.spec_from_file_location(fullname, file, submodule_search_locations=folder)


class _FinderOfPackages(_Finder):
    """A finder of packages without a file of their own, which contain a module whose file is known."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of such a package."""
        is_package = any(name.startswith(f"{fullname}.") for name in self._files)
        return ModuleSpec(fullname, None, is_package=True) if is_package else None


def _load(pickled: bytes, files: Mapping[str, str]) -> Any:
    sys.meta_path.insert(0, _Finder(files))  # for good: training may import further modules
    sys.meta_path.append(_FinderOfPackages(files))  # last: a folder on sys.path may be the package
    for name, file in files.items():
        if (getattr(sys.modules.get(name), "__file__", None) or file) != file:  # for an earlier experiment
            del sys.modules[name]
    return pickle.loads(pickled)
