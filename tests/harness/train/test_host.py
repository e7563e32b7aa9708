"""Host experiments: what a seed yields depends on its number alone, and a seed that fails takes no other with it."""

import os
import pickle
import sys
import time
from dataclasses import dataclass

import numpy as np
import pytest
from hosts import Declared, Endless, Fails, Halving, Inspected, Observed, Reports, Short, Varies, is_running

from ladder import HostTrainer, Seeds, json_lines
from ladder.inspection import Inspection
from ladder.train import pool
from ladder.train.pool import share_machine, worker_count, worker_pool
from ladder.train.timelimit import TimedOutError, run_with_timeout
from ladder.train.trainer import CALIBRATION_STREAM, GATE_STREAM


@pytest.fixture(params=[2, 0], ids=["workers", "this process"], autouse=True)
def workers(request):
    """Two workers, or none."""
    share_machine(request.param)
    yield request.param
    share_machine(None)


def test_result(workers):
    """Curves, traces and their order are those of the seeds, each of which trains from its own integer."""
    trained = HostTrainer(Halving(), 16)(Seeds(), range(5))
    expected = [[report["loss"] for report in Halving().train(seed)] for seed in Seeds().integers(range(5))]
    np.testing.assert_array_equal(trained.curves["loss"], expected)
    assert trained.traces["step_loss"].shape == (5, 3, 2)
    np.testing.assert_array_equal(trained.traces["step_loss"][..., 1], expected)
    assert trained.errors == ()


def test_independence_of_blocks():
    """A seed has the same result in every block and order."""
    trainer = HostTrainer(Halving(), 16)
    whole, picked = trainer(Seeds(), range(8)), trainer(Seeds(), [5, 2, 7])
    np.testing.assert_array_equal(picked.curves["loss"], whole.curves["loss"][[5, 2, 7]])


def test_integers():
    """Seeds differ in every stream, root and number, are below 2**32, and are no neighbours."""
    seeds = [
        seed
        for stream in (GATE_STREAM, CALIBRATION_STREAM)
        for root in (0, 1, 2**31 - 1)
        for seed in Seeds(root, stream).integers(range(100))
    ]
    assert len(set(seeds)) == 600
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert not {seed + 1 for seed in seeds} & set(seeds)


@pytest.mark.parametrize(
    ("how", "error", "traceback"),
    [
        ("raises", "ZeroDivisionError: as planned", True),
        ("exits", "SystemExit: as planned", True),
        ("dies", "the worker process exited with code 3", False),
        ("killed", "the worker process was ended by SIGKILL; the system may have run out of memory", False),
    ],
)
def test_failing_seed(workers, how, error, traceback):
    """A seed that raises an error, exits, dies or is killed ends alone, with its error, and values up to that epoch."""
    if how in ("dies", "killed") and not workers:
        pytest.skip("there is no process to die")
    numbers = range(6)
    fails = np.array(Seeds().integers(numbers)) % 2 == 0
    assert 0 < fails.sum() < 6
    trained = HostTrainer(Fails(how), 16)(Seeds(), numbers)
    np.testing.assert_array_equal(trained.curves["loss"][~fails], [[1.0, 0.5, 1.0 / 3.0]] * (~fails).sum())
    np.testing.assert_array_equal(trained.curves["loss"][fails], [[1.0, np.nan, np.nan]] * fails.sum())
    assert [(raised.seed, raised.epoch, raised.error) for raised in trained.errors] == [
        (seed, 2, error) for seed in np.flatnonzero(fails)
    ]
    for raised in trained.errors:
        assert ("hosts.py" in raised.traceback and "worker.py" not in raised.traceback) == traceback
    assert trained.first_non_finite == ()
    np.testing.assert_array_equal(trained.first_non_finite_step, np.where(fails, 2, 0))


def test_errors_of_selected_seeds():
    """Selecting and concatenating results keeps each error with its seed."""
    trained = HostTrainer(Fails(), 16)(Seeds(), range(6))
    for result, seeds in (
        (trained.select([5, 3, 1]), [5, 3, 1]),
        (trained.head(4), [0, 1, 2, 3]),
        (trained.select([2]).concatenate(trained.select([0, 4])), [2, 0, 4]),
    ):
        raised = [error.seed for error in result.errors]
        np.testing.assert_array_equal(np.isnan(result.curves["loss"]).any(axis=1).nonzero()[0], raised)
        assert [seeds[seed] for seed in raised] == [seed for seed in seeds if Seeds().integers([seed])[0] % 2 == 0]


def test_every_seed_raises():
    """If every seed raises an error in its first epoch, the experiment is broken, and the first traceback is shown."""
    with pytest.raises(
        RuntimeError, match=r"Fails\.train\(\) raised in seed 0: ZeroDivisionError: as planned"
    ) as caught:
        HostTrainer(Fails(epoch=1, share=1), 16)(Seeds(), range(3))
    assert "hosts.py" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("experiment", "message"),
    [
        (Reports(0.5), r"Reports\.train\(\) yields 0\.5; yield a mapping"),
        (Reports({"loss": "0.5"}), r"Reports\.train\(\) reports 'loss' as '0\.5'; report a real number"),
        (Reports({"loss": None}), "reports 'loss' as None"),
        (Reports({"loss": 1j}), "reports 'loss' as 1j"),
        (Reports({"loss": np.zeros((2, 2))}), r"reports 'loss' as float64\[2, 2\]"),
        (Reports({"loss": []}), r"reports 'loss' as \[\]"),
        (Reports({"loss": {"a": 1.0}}), "reports 'loss' as {'a': 1.0}"),
        (Reports({1: 1.0}), "1 cannot be the name of a metric"),
        (Reports({}), "reports no number"),
        (Reports({"step_loss": [1.0, 2.0]}), "reports no number"),
        (Reports({"loss": 1.0, "middle": Inspection(stages={}, prediction=np.zeros((2, 2)), target=np.zeros((2, 2)))}),
         "yields an Inspection as 'middle'; name it 'start' or 'end'"),
        (Declared(metrics=("loss", "accuracy")), "declares the metrics loss, accuracy but train.. reports the numbers loss;"),
        (Varies("epoch"), "reports 'step_loss' as a vector of 2 in epoch 2 and as a vector of 1 in epoch 1"),
        (Varies("seed"), r"reports 'step_loss' as a vector of \d+ in seed 1 and as a vector of \d+ in seed 0"),
        (Short(), r"Short\.train\(\) ended after 1 of 3 epochs; yield one mapping after every epoch, or set epochs=1"),
    ],
)  # fmt: skip
def test_invalid_report(experiment, message):
    """A report that no experiment may make ends the run with one sentence."""
    with pytest.raises(ValueError, match=message) as caught:
        HostTrainer(experiment, 16)(Seeds(), range(2))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [1, True, np.float32(1.0), np.array(1.0), np.int64(1)])
def test_numbers(value):
    """A metric is a number of Python or NumPy, or an array without axes."""
    trained = HostTrainer(Reports({"loss": value}), 16)(Seeds(), range(1))
    assert trained.curves["loss"].tolist() == [[1.0, 1.0]]


def test_processes(workers):
    """Seeds train in their own processes, in the main thread, with their share of the cores and without JAX."""
    trained = HostTrainer(Observed(), 16)(Seeds(), range(4))
    seen = {name: curve[:, 0] for name, curve in trained.curves.items()} if workers else {}
    if workers:
        assert os.getpid() not in seen["process"]
        assert len(set(seen["process"])) <= 2
        np.testing.assert_array_equal(seen["group"], seen["process"])
        assert seen["main thread"].all()
        assert not seen["jax"].any()
        np.testing.assert_array_equal(seen["threads"], max(1, pool.cores() // 2))
    assert len(set(trained.curves["seed"][:, 0])) == 4


@pytest.fixture
def clean_workers():
    """Workers that start in this test."""
    worker_pool().close()
    yield
    worker_pool().close()


def test_gpus(workers, clean_workers, monkeypatch):
    """Each worker sees one GPU, and there are as many workers as GPUs."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    share_machine(None)
    assert worker_count() == 2
    if workers:
        share_machine(2)
        trained = HostTrainer(Observed(), 16)(Seeds(), range(8))
        assert set(trained.curves["gpu"][:, 0]) <= {4.0, 7.0}
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "4,7"


def test_generators():
    """The global generators are seeded for each seed, whatever trained before."""
    trainer = HostTrainer(Observed(), 16)
    whole, again = trainer(Seeds(), range(4)), trainer(Seeds(), [3, 0])
    np.testing.assert_array_equal(again.curves["random"], whole.curves["random"][[3, 0]])
    assert len(np.unique(whole.curves["random"])) == 4


class Meter:
    """A meter that records all progress calls."""

    def __init__(self):
        self.calls = []

    def compiling(self, first, last):
        """Nothing is compiled."""
        raise AssertionError

    def epoch(self, first, last, epoch, metrics):
        """Record the call."""
        assert {name: len(values) for name, values in metrics.items()} == {"loss": 1, "step_loss": 1}
        self.calls.append((first, last, epoch))


def test_progress():
    """The meter is called after every epoch of every seed."""
    meter = Meter()
    HostTrainer(Halving(), 16)(Seeds(), range(3), meter)
    assert sorted(meter.calls) == [(seed, seed + 1, epoch) for seed in range(3) for epoch in range(1, 4)]


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="reads /proc")  # noqa: PTH112
def test_stop(workers, tmp_path):
    """A run that is stopped ends at once, with its processes and all that they have started."""
    if not workers:
        pytest.skip("only processes can be ended")
    trainer = HostTrainer(Endless(tmp_path), 16)
    started = time.monotonic()
    with pytest.raises(TimedOutError):
        run_with_timeout(3.0, 10.0, lambda: trainer(Seeds(), range(4)), trainer.stop)
    assert time.monotonic() - started < 12.0
    processes = [path.name for path in tmp_path.iterdir()]
    assert len(processes) == 6
    time.sleep(0.2)
    assert not any(map(is_running, processes))
    trained = HostTrainer(Halving(), 16)(Seeds(), range(2))  # by new workers
    assert trained.seeds == 2


def test_unpicklable():
    """An experiment that cannot be sent to a worker is refused with one sentence."""

    @dataclass(frozen=True)
    class Local(Halving):
        """A class that no other process can import."""

    if worker_count():
        with pytest.raises(
            ValueError, match=r"Local cannot be sent to worker processes .*at the top level of a module"
        ):
            HostTrainer(Local(), 16)(Seeds(), range(1))
    else:
        assert HostTrainer(Local(), 16)(Seeds(), range(1)).seeds == 1


def test_large_experiment(monkeypatch):
    """An experiment is sent to a worker once, not once a seed."""
    sent = []
    send = pool.Worker.train
    monkeypatch.setattr(
        pool.Worker, "train", lambda self, *task: (sent.append(self._experiment is task[0]), send(self, *task))
    )
    HostTrainer(Halving(), 16)(Seeds(), range(6))
    assert sent.count(False) == min(worker_count(), 6)


def test_no_seeds():
    """A run without seeds raises an error."""
    with pytest.raises(ValueError, match="no seeds to train"):
        HostTrainer(Halving(), 16)(Seeds(), range(0))


def test_pickled_errors():
    """A result with errors can be sent to another process."""
    trained = HostTrainer(Fails(), 16)(Seeds(), range(6))
    assert pickle.loads(pickle.dumps(trained)).errors == trained.errors


def test_inspection():
    """The first and last inspections of each seed are summarised, and a seed without one has no numbers."""
    inspected = HostTrainer(Inspected(), 16)(Seeds(), [1, 3]).inspected
    np.testing.assert_allclose(inspected["start/prediction/amplitude"], [1.0, 1.0])
    np.testing.assert_allclose(inspected["end/prediction/amplitude"], [0.125, 0.125])
    assert inspected["end/stage/0/input/shape"].tolist() == [[4, 8, 2]] * 2
    assert HostTrainer(Halving(), 16)(Seeds(), [0]).inspected == {}


def test_states():
    """The states of a host experiment cannot be recorded, and the error says what can."""
    with pytest.raises(TypeError, match="Halving trains in processes of its own, whose states cannot be observed"):
        HostTrainer(Halving(), 16).record_states(Seeds(), 0, lambda state, key: {})


def test_lines_that_are_not_text():
    """Bytes that are no text, and variables of one's own, do not end the reports of a program."""
    program = "import os, sys; sys.stdout.buffer.write(b'\\xff\\n'); print('{\"loss\": ' + os.environ['LOSS'] + '}')"
    command = [sys.executable, "-c", program + "; print(os.environ['PYTHONUNBUFFERED'])"]
    assert list(json_lines(command, env={"LOSS": "0.5"})) == [{"loss": 0.5}]


@pytest.mark.parametrize(
    ("command", "options", "message"),
    [
        ("echo hi", {}, r"json_lines\('echo hi'\): give a list, such as .* or shlex.split"),
        ([], {}, r"json_lines\(\[\]\): give a list"),
        (["echo"], {"encoding": "latin1"}, r"encoding=\.\.\.\): it reads the output as text itself"),
    ],
)
def test_wrong_command(command, options, message):
    """A command or option that cannot be used is an error with the fix."""
    with pytest.raises(TypeError, match=message):
        list(json_lines(command, **options))
