"""Interruptions: Ctrl-C, SIGTERM and SIGHUP at any moment end a run in seconds, with its report and pytest's exit code."""

import itertools
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from toys import INI

from ladder.plugin.workers import Handover
from ladder.train.progress import ProgressRecorder
from ladder.train.timelimit import run_until, run_with_timeout, still_computing

LIMIT = 5.0  # seconds from the signal to the end of the last process

# At its moment a run says so with a file, and stays there for some seconds: the time for a signal.
MOMENTS = """
import os
import time
from pathlib import Path

def moment(name, seconds=20.0):
    if os.environ.get("MOMENT") == name and not Path("reached").exists():
        Path("reached").touch()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.02)
"""

CONFTEST = """
import atexit
import os
from pathlib import Path
import pytest
from moments import moment

def before(module, name, told, seconds=20.0):
    original = getattr(module, name)
    def wrapped(*arguments, **options):
        moment(told, seconds)
        return original(*arguments, **options)
    setattr(module, name, wrapped)

HERE = "PYTEST_XDIST_WORKER" not in os.environ  # in the process that writes the report

def pytest_configure(config):
    moment("configure")
    import ladder.report
    before(ladder.report, "write", "report", 1.0)  # an interruption waits for it

@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    moment("selection")

@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session):
    if not hasattr(session.config, "workerinput") and not session.items:
        return
    moment("collected")

@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session):
    moment("loop")

@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report):
    if "rung1" in report.nodeid and report.when == "call" and HERE:
        Path("heard").touch()

def pytest_runtest_logfinish(nodeid):
    if "rung1" in nodeid:
        moment("between rungs")

@pytest.fixture(scope="session", autouse=True)
def session_fixture():
    yield
    moment("session fixture")

@pytest.fixture(autouse=True)
def fixture(request):
    rung = request.node.callspec.params["rung"].id if hasattr(request.node, "callspec") else ""
    if rung == "rung2":
        moment("setup")
        import ladder.climb, ladder.evidence.archive, ladder.evidence.attempts
        before(ladder.climb, "judge", "judgement")
        before(ladder.evidence.attempts, "append_line", "attempts")
        before(ladder.evidence.archive, "write_atomically", "evidence")
    yield
    if rung == "rung2":
        moment("teardown")

@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session):
    HERE and moment("sessionfinish first")

def pytest_keyboard_interrupt():
    moment("interrupted", 1.0)

def pytest_terminal_summary():
    HERE and moment("summary")

def pytest_unconfigure():
    HERE and moment("unconfigure")
    HERE and Path("unconfigured").touch()

@atexit.register
def leave():
    HERE and Path("left").touch()
"""

RUNGS = """
import os
from dataclasses import dataclass
from pathlib import Path
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from moments import moment
from toys import Coin
from ladder import Rung, below

moment("import")

def wait(x):
    moment("callback")
    if x >= 1.0 and os.environ.get("MOMENT") == "epoch":
        Path("reached").touch()
    return np.asarray(x)

@dataclass(frozen=True, kw_only=True)
class Stays(Coin):
    def init(self, key):
        moment("trace")
        return super().init(key) | {"epoch": jnp.zeros(())}

    def epoch(self, state, key):
        epoch, at = state["epoch"], os.environ.get("MOMENT")
        if at in ("callback", "epoch"):
            epoch = jax.pure_callback(wait, epoch, epoch)
        if at == "epoch":  # a program that no signal ends, from the second epoch on
            start = jnp.where(epoch >= 1.0, 1.0, jnp.inf)
            epoch += jnp.where(jax.lax.while_loop(lambda x: x < 1.0e30, lambda x: 0.5 * x, start) < 1.0, 1.0, 0.0)
        if at == "compile":
            x = jnp.full((8, 8), epoch)
            for k in range(2500):
                x = jnp.sin(x @ x) + k
            epoch += jnp.sum(x) * 0.0
        state, report = super().epoch(state, key)
        if at == "compile":
            Path("reached").touch()
        return state | {"epoch": epoch + 1.0}, report

LEARNS = below("loss", 0.5, by=3, source="made up for the test")

@pytest.mark.parametrize("rung", [
    Rung(number=1, name="first", experiment=Coin(), gates=(LEARNS,)),
    Rung(number=2, name="second", experiment=Stays(), gates=(LEARNS,), requires=("rung1",)),
    Rung(number=3, name="third", experiment=Coin(p=0.0), gates=(LEARNS,), requires=("rung2",)),
])
def test_rung(climb, rung):
    if rung.id == "rung2":
        moment("test")
    climb(rung)

def test_other():
    moment("other test")
"""

UNCLIMBED = ["configure", "import", "selection"]  # plain pytest: what happens before a rung is known
CLIMBED = ["setup", "test", "trace", "compile", "epoch", "callback", "evidence", "judgement", "attempts", "teardown"]
CLIMBED += ["other test", "session fixture"]  # the first rung has its verdict
CLIMBING = ["collected", "loop", "between rungs", *CLIMBED]
ENDING = ["sessionfinish first", "report", "summary", "unconfigure"]
SIGNALS = {"once": "SIGINT", "twice": "SIGINT", "term": "SIGTERM", "hup": "SIGHUP"}
VERDICTS = {"rung1": "PASS", "rung2": "PASS", "rung3": "FAIL"}


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Programs compiled by one run are there for the next."""
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture
def heeds_signals():
    """What is started in the background, or by nohup, ignores some signals, and what it starts would inherit that."""
    own = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in own.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def start(heeds_signals, pytester, monkeypatch, programs):
    """Starts pytest on three rungs, in a session of its own, at whose moment it stays for a while."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=os.pathsep)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(programs))
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT"):  # of this suite, which is none of its business
        monkeypatch.delenv(name, raising=False)
    pytester.makeini(f"{INI}ladder_seeds = 16\n")
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(moments=MOMENTS, test_rungs=RUNGS)
    started = []

    def start(moment, *arguments, command=(sys.executable, "-m", "pytest")):
        signs = [pytester.path / name for name in ("reached", "heard")]
        for sign in signs:
            sign.unlink(missing_ok=True)
        process = subprocess.Popen(
            [*command, *arguments],
            cwd=pytester.path,
            env=os.environ | {"MOMENT": moment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,  # workers have it too: it ends with the last of them
            text=True,
            start_new_session=True,
        )
        started.append(process)
        end = time.monotonic() + 120.0
        signs = signs[: 2 if moment in CLIMBED else 1 if moment else 0]
        while not all(sign.exists() for sign in signs) and process.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        return process

    yield start
    for process in started:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        process.communicate()


def strike(process, how):
    """Send the signal, as a terminal does to the whole session, SIGTERM to the one process; returns what came of it."""
    if process.poll() is not None:
        pytest.fail(f"ended before its moment: {process.communicate()[0]}")
    began = time.monotonic()
    number = getattr(signal, SIGNALS[how])
    (os.kill if how == "term" else os.killpg)(process.pid, number)
    if how == "twice":
        try:
            process.wait(0.3)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, number)
    told, _ = process.communicate(timeout=60)
    return told, time.monotonic() - began


def report_in(folder):
    written = folder / "reports" / "ladder.json"
    return json.loads(written.read_text()) if written.exists() else None


def verdicts(report):
    return {rung["id"]: rung["verdict"] for rung in report["rungs"]}


def interrupted(start, folder, moment, how, *arguments):
    """Interrupt a run, hold it to all that it owes its user, and return the seconds it took to end."""
    process = start(moment, *arguments)
    told, seconds = strike(process, how)
    report = report_in(folder)
    name = SIGNALS[how]
    if moment in UNCLIMBED or ("2" in arguments and moment in CLIMBING[:2]):  # nobody knows of rungs yet
        assert process.returncode != 0, told
        assert report is None
        return seconds
    assert process.returncode == 2, told
    assert "Traceback" not in told
    assert "INTERNALERROR" not in told
    if moment in CLIMBING and how != "twice":
        assert told.count(f"received {name} !" if how in ("term", "hup") else "! KeyboardInterrupt !") == 1, told
    if moment in [*CLIMBED, *ENDING]:
        assert report is not None, told
        assert verdicts(report)["rung1"] == "PASS"
    if moment in CLIMBING:  # other plugins and libraries had their end too
        assert (folder / "unconfigured").exists()
        assert (folder / "left").exists()
    if report is not None:
        assert verdicts(report).items() <= VERDICTS.items()
        assert report["complete"] == (verdicts(report) == VERDICTS and moment in ENDING), told
    busy = max(1.0, os.getloadavg()[0] / os.cpu_count())  # what else this machine does
    assert seconds <= LIMIT * busy, told
    return seconds


def followed(start, folder, *arguments):
    """Go on with what was interrupted, to the verdicts of a run that was not; return the report."""
    told, _ = start("", *arguments).communicate(timeout=120)
    assert "could not" not in told
    assert "not used" not in told
    report = report_in(folder)
    assert verdicts(report) == VERDICTS
    assert report["complete"]
    return report


DAILY = [
    ("epoch", "twice", "600", "0"),
    ("epoch", "once", "", "0"),
    ("callback", "term", "", "2"),
    ("report", "hup", "", "0"),
    ("import", "term", "", "0"),
]
CELLS = list(itertools.product([*UNCLIMBED, *CLIMBING, *ENDING], SIGNALS, ("", "600"), ("0", "2")))


@pytest.mark.parametrize(
    ("moment", "how", "limit", "workers"),
    [
        pytest.param(*cell, marks=[] if cell in DAILY else pytest.mark.nightly, id="-".join(filter(None, cell)))
        for cell in CELLS
    ],
)
def test_signal_at_any_moment(start, pytester, record_property, moment, how, limit, workers):
    """A signal at any moment ends the run in seconds, with a report of the rungs climbed so far."""
    arguments = ["-n", workers, *([f"--ladder-time-limit={limit}"] if limit else [])]
    record_property("seconds", round(interrupted(start, pytester.path, moment, how, *arguments), 2))
    if (limit, workers) == ("", "0") and moment in CLIMBED:
        report = followed(start, pytester.path, *arguments)
        assert report["rungs"][0]["evidence"]  # the first rung is not trained again


@pytest.mark.nightly
def test_killed_controller(start):
    """Workers end within seconds of the death of their controller."""
    process = start("callback", "-n", "2")
    began = time.monotonic()
    process.kill()
    process.communicate(timeout=60)
    assert time.monotonic() - began <= LIMIT * max(1.0, os.getloadavg()[0] / os.cpu_count())


FOLLOW = """
import signal, sys, threading, time
from pathlib import Path
from ladder.plugin.workers import Handover, follow

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has its background ignore it
signal.signal(signal.SIGTERM, getattr(signal, sys.argv[2]))
climbs = threading.Event()
if sys.argv[3] == "climbs":
    climbs.set()
follow(Handover(Path(sys.argv[1])), climbs, threading.Event())
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(("handler", "status"), [("SIG_DFL", -signal.SIGTERM), ("SIG_IGN", 1)])
def test_worker_of_an_interrupted_run(tmp_path, heeds_signals, handler, status):
    """Also one whose main thread heeds no signal, for a program of JAX has it."""
    command = [sys.executable, "-c", FOLLOW, str(tmp_path), handler, "climbs"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout.readline() == "ready\n"
        Handover(tmp_path).interrupt()
        assert worker.wait(30) == status


def test_interrupted_worker_without_rungs(tmp_path, heeds_signals):
    """An interruption of a run that climbs nothing is for its own tests and fixtures to heed."""
    command = [sys.executable, "-c", FOLLOW, str(tmp_path), "SIG_DFL", "other tests"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout.readline() == "ready\n"
        Handover(tmp_path).interrupt()
        with pytest.raises(subprocess.TimeoutExpired):
            worker.wait(1.5)
        worker.kill()


@pytest.mark.parametrize("what", ["climbs", "other tests"])
def test_worker_of_a_killed_controller(tmp_path, heeds_signals, what):
    """Whatever it runs."""
    command = ["sh", "-c", '"$0" -c "$1" "$2" SIG_DFL "$3" 2> /dev/null & read end', sys.executable, FOLLOW]
    with subprocess.Popen(
        [*command, str(tmp_path), what], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as controller:
        told = controller.stdout.readline()
        controller.kill()  # first, or a failure would wait for it
        assert told == "ready\n"
        began = time.monotonic()
        assert controller.stdout.read() == ""  # until the worker has closed it
        assert time.monotonic() - began < 30.0


@pytest.fixture
def hangs():
    """Work that does not end before the test does."""
    over = threading.Event()
    yield lambda: over.wait(60)
    over.set()
    while still_computing():
        time.sleep(0.01)


def test_interrupt_during_work(heeds_signals, hangs):
    """An interruption by the user raises KeyboardInterrupt at once and leaves unfinished work in its thread."""
    stopped = []
    threading.Timer(0.2, signal.raise_signal, (signal.SIGINT,)).start()
    with pytest.raises(KeyboardInterrupt):
        run_with_timeout(math.inf, math.inf, hangs, lambda: stopped.append(True))
    assert stopped
    assert still_computing()


def test_failure_raised_by_a_handler():
    """pytest-timeout fails a test out of a handler; the rung after it must find the devices free."""

    def fail(number, frame):
        pytest.fail("Timeout")

    before = signal.signal(signal.SIGUSR1, fail)
    ended = threading.Event()

    def work():
        ended.wait(1.0)
        ended.set()

    threading.Timer(0.2, signal.raise_signal, (signal.SIGUSR1,)).start()
    try:
        with pytest.raises(pytest.fail.Exception):
            run_with_timeout(math.inf, math.inf, work, lambda: None)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert ended.is_set()
    assert not still_computing()


def test_thread_local_jax_settings():
    """Thread-local JAX settings keep training in the main thread, and a time limit with them is refused."""
    where = []

    def work():
        where.append((threading.current_thread() is threading.main_thread(), jax.config.jax_debug_nans))

    recorder = ProgressRecorder(1, None)
    run_until(math.inf, 0.0, work, recorder.stop)
    with jax.debug_nans(True):
        run_until(math.inf, 0.0, work, recorder.stop)
        with pytest.raises(ValueError, match=r"other settings in the thread.*jax_debug_nans"):
            run_until(time.monotonic() + 60.0, 0.0, work, recorder.stop)
    assert where == [(False, False), (True, True)]


def test_numpy_error_settings():
    """NumPy's error settings hold in the thread that runs the work."""
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        run_until(math.inf, 0.0, lambda: np.ones(1) / 0.0, lambda: None)


LOSES = """
import signal
import time
import pytest

class Finalized:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

@pytest.fixture(autouse=True)
def loses():
    Finalized()
    time.sleep(30)
"""


def test_interruption_ignored_by_python(rungs, pytester, heeds_signals):
    """What a signal raises in a finalizer, or in JAX's callback from the garbage collector, is lost."""
    rungs(coin="Coin()")
    pytester.makeconftest(LOSES)
    began = time.monotonic()
    assert pytester.inline_run(no_reraise_ctrlc=True).ret == 2
    assert time.monotonic() - began < 20.0


HANDLERS = """
import signal
import pytest

@pytest.fixture(autouse=True)
def handlers():
    print("HANDLERS", repr(signal.getsignal(signal.SIGTERM)), repr(signal.getsignal(signal.SIGHUP)))
"""


def test_signal_handlers(rungs, pytester, heeds_signals):
    """A signal that is ignored, as by nohup, stays ignored; a handler of somebody else stays; all is given back."""

    def mine(number, frame):
        pass

    rungs(coin="Coin()")
    pytester.makeconftest(HANDLERS)
    for handler, seen in ((signal.SIG_DFL, "_interrupt"), (signal.SIG_IGN, "SIG_IGN"), (mine, "mine")):
        signal.signal(signal.SIGHUP, handler)
        hook = sys.unraisablehook
        result = pytester.runpytest_inprocess("-s")
        assert result.ret == 0
        result.stdout.re_match_lines([rf".*HANDLERS .*_interrupt.* .*{seen}"])
        assert signal.getsignal(signal.SIGHUP) == handler
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        assert sys.unraisablehook is hook
    pytester.makepyfile(test_plain="def test(): pass")
    result = pytester.runpytest_inprocess("-s", "test_plain.py")
    result.stdout.re_match_lines([".*HANDLERS .*SIG_DFL.* .*mine"])
