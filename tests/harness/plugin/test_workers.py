"""Several processes: the same verdicts however many there are, and what becomes of a rung whose process dies or hangs."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from toys import HEAD, INI, TEST, Coin

from ladder import Control, Ladder, Rung, Verdict, below, better_than
from ladder.plugin import workers
from ladder.plugin.workers import Handover, groups, take_gpu
from ladder.train import devices

LEARNS = below("loss", 0.5, by=3, source="made up for the test")

# Two ladders, one of which breaks; a control and a rung by themselves; ids of the user's own.
FILE = (
    HEAD
    + """
def rung(number, experiment, parent="", adds="", **more):
    told = {"name": f"r{number}", "gates": (LEARNS,), "compare": {"loss": ""} if parent else {}} | more
    return Rung(number=number, experiment=experiment, parent=parent, adds=adds, **told)

RUNGS = [
    rung(1, Coin()),
    rung(2, Coin(shift=-0.05), "rung1", "shift", gates=(LEARNS, better_than("rung1", "loss", source="made up"))),
    rung(3, Coin(shift=-0.05, p=0.0), "rung2", "p"),
    rung(4, Coin(shift=-0.05, p=0.0, epochs=4), "rung3", "epochs"),
    rung(5, Coin(epochs=5)),
    rung(6, Coin(epochs=5, p=0.9), "rung5", "p"),
]
RUNGS.append(RUNGS[0].as_control(Control("it never learns"), p=0.0))
"""
)
ALL = (
    FILE
    + """
RUNGS = [pytest.param(rung, id=f"my-{k}") for k, rung in enumerate(RUNGS)]
"""
    + TEST
    + """
@pytest.mark.parametrize("k", range(4))
def test_other(k):
    pass
"""
)


@pytest.fixture
def run(pytester, monkeypatch, programs):
    """Runs pytest in a process of its own on a file of rungs; gives the result and the report."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=os.pathsep)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(programs))
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    monkeypatch.delenv("PYTEST_XDIST_WORKER_COUNT", raising=False)  # this suite's own workers are none of its business
    pytester.makeini(INI)

    def run(text, *arguments):
        pytester.makepyfile(test_rungs=text)
        result = pytester.runpytest_subprocess(*arguments)
        written = pytester.path / "reports" / "ladder.json"
        return result, json.loads(written.read_text()) if written.exists() else None

    return run


def told(report):
    """A report without what differs from run to run: times, and what names the run itself."""
    rungs = [rung | dict.fromkeys(("seconds", "attempts")) for rung in report["rungs"]]
    return report | {"rungs": rungs} | dict.fromkeys(("created", "command"))


def verdicts(report):
    return {rung["id"]: rung["verdict"] for rung in report["rungs"]}


@pytest.mark.parametrize(
    "spreads",
    [
        ["-n 2", "-n 2 --dist loadgroup"],
        pytest.param(["-n 4", "-n 2 --dist worksteal", "-n 2 --dist loadscope"], marks=pytest.mark.nightly),
    ],
    ids=["daily", "others"],
)
def test_report_by_number_of_workers(run, spreads):
    """The report and the exit code are the same for every number of workers and every kind of distribution."""
    alone, one = run(ALL, "-n", "0", "--ladder-rerun")
    assert list(verdicts(one)) == ["rung1", "rung1[p=0.0]", "rung2", "rung3", "rung4", "rung5", "rung6"]
    assert verdicts(one)["rung3"] == "FAIL"
    for spread in spreads:
        result, many = run(ALL, *spread.split(), "--ladder-rerun")
        assert result.ret == alone.ret == 1
        assert result.parseoutcomes() == alone.parseoutcomes()
        assert told(many) == told(one)


def test_dist_each(run):
    """The option --dist each is refused because every worker would climb every rung."""
    result, report = run(ALL, "-n", "2", "--dist", "each")
    assert result.ret == 4
    result.stdout.fnmatch_lines(["*--dist each climbs every rung on every worker*"])
    assert report is None


CRASH = (
    FILE
    + """
RUNGS[2] = rung(3, Dies(how="HOW"), requires=("rung1",))
RUNGS[3] = rung(4, Dies(how="HOW", epochs=4), "rung3", "epochs")
RUNGS.append(rung(7, Coin(epochs=6), requires=("rung2",)))

@pytest.fixture(autouse=True)
def begins(rung):
    with open(f"begun-{rung.id}", "a") as file:
        file.write("once ")
"""
    + TEST
)


@pytest.mark.parametrize(("how", "number"), [("exit", "1"), ("SIGKILL", "2")])
def test_worker_death(run, pytester, how, number):
    """The rung of a worker that dies is CRASHED, the rungs that require it are BLOCKED and all others are climbed."""
    result, report = run(CRASH.replace("HOW", how), "-n", number)
    assert result.ret == 1
    assert verdicts(report) == {
        "rung1": "PASS", "rung1[p=0.0]": "FAIL", "rung2": "PASS", "rung3": "CRASHED", "rung4": "BLOCKED", "rung5": "PASS",
        "rung6": verdicts(report)["rung6"], "rung7": "PASS",
    }  # fmt: skip
    assert report["complete"]
    assert report["culprit"] is None
    entries = {rung["id"]: rung for rung in report["rungs"]}
    assert entries["rung3"]["error"] == "its worker process died"
    assert entries["rung3"]["test"]["line"] == entries["rung2"]["test"]["line"]
    assert entries["rung4"]["blocked_by"] == ["rung3"]
    begun = {path.name: path.read_text() for path in pytester.path.glob("begun-*")}
    assert set(begun.values()) == {"once "}
    assert len(begun) == 8
    listed = [json.loads(line) for line in (pytester.path / "reports/evidence/attempts.jsonl").read_text().splitlines()]
    assert [attempt["verdict"] for attempt in listed if attempt["rung"] == "rung3"] == [""]


class Node:
    """A worker as the scheduler sees it: its name, the tests it was sent, and whether it must end."""

    def __init__(self, name):
        self.gateway = SimpleNamespace(id=name)
        self.sent = []
        self.shutting_down = False

    def send_runtest_some(self, indices):
        """Run these."""
        self.sent += indices

    def shutdown(self):
        """End when done."""
        self.shutting_down = True


@pytest.fixture
def sched(pytester, tmp_path):
    """Two workers on two groups of rungs and four tests, with what they share."""
    handover = Handover(tmp_path)
    handover.announce({f"rung{k}": {"rung": f"rung{k}", "group": "rung1" if k < 4 else "rung4"} for k in range(1, 6)})
    sched = workers.scheduler(pytester.parseconfig("--dist=load", "--tx=2*popen"), None, handover)
    sched.handover = handover
    for name in ("gw0", "gw1"):
        join(sched, Node(name))
    sched.schedule()
    return sched


TESTS = [*(f"rung{k}" for k in range(1, 6)), *(f"other{k}" for k in range(4))]


def join(sched, node, collected=True):
    sched.add_node(node)
    if collected:
        sched.add_node_collection(node, TESTS)
    return node


def finish(sched, node):
    """The worker runs all that it is sent."""
    for test in node.sent:  # it grows as tests are done
        sched.mark_test_complete(node, test)
    return sorted(node.sent)


def test_rescheduling_after_a_death(sched):
    """The running test of a dead worker is given up, and its other tests go to the next workers."""
    first, second = sched.nodes
    assert (first.sent[:3], second.sent[:2]) == ([0, 1, 2], [3, 4])
    sched.mark_test_complete(first, 0)
    assert sched.remove_node(first) == "rung2"
    join(sched, Node("gw2"))
    sched.schedule()
    assert finish(sched, second) + finish(sched, sched.nodes[1]) == [2, 3, 4, 5, 6, 7, 8]


def test_worker_that_leaves(sched):
    """A worker that leaves on its own has no test given up."""
    first, second = sched.nodes
    sched.mark_test_complete(first, 0)
    sched.handover.leave("gw0")
    assert sched.remove_node(first) is None
    assert finish(sched, second) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_replacement_worker(sched):
    """A replacement worker gets tests only after its collection, and then enough of them to start."""
    first, second = sched.nodes
    finish(sched, second)
    sched.mark_test_complete(first, 0)
    sched.mark_test_complete(first, 1)
    third = join(sched, Node("gw2"), collected=False)
    sched.handover.leave("gw0")
    sched.remove_node(first)
    assert third.sent == []
    sched.add_node_collection(third, TESTS)
    sched.schedule()
    assert 2 in third.sent
    assert len(third.sent) > 1 or not sched.workqueue


TEARDOWN = (
    FILE
    + """
@pytest.fixture(autouse=True)
def ends(rung):
    yield
    if rung.number == 2:
        import os
        os._exit(3)
"""
    + TEST
)


def test_verdict_before_a_death(run):
    """A verdict that was reported stands even if its worker dies afterwards."""
    result, report = run(TEARDOWN, "-n", "1")
    assert result.ret == 1
    assert [rung["id"] for rung in report["rungs"]].count("rung2") == 1
    assert verdicts(report)["rung2"] == "PASS"
    assert verdicts(report)["rung3"] == "FAIL"


def test_resumption_after_a_death(run, pytester):
    """The run after a killed one uses its evidence, and counts the rung that killed it as CRASHED."""
    result, report = run(CRASH.replace("HOW", "SIGKILL"), "-n", "0")
    assert (result.ret, report) == (-9, None)
    result, report = run(CRASH.replace("HOW", "SIGKILL"), "-n", "1")
    assert verdicts(report)["rung3"] == "CRASHED"
    entries = {rung["id"]: rung for rung in report["rungs"]}
    assert [origin["seeds"] for origin in entries["rung1"]["evidence"]] == [4, 6]
    (killed,) = entries["rung3"]["attempts"]["latest"] or [{"verdict": ""}]
    assert killed["verdict"] == ""


SLOW = (
    FILE
    + """
RUNGS[2] = rung(3, Slow(HOW), requires=("rung1",))
RUNGS[3] = rung(4, Coin(epochs=7), requires=("rung3",))
"""
    + TEST
)


@pytest.fixture
def limited(run):
    """Runs the slow file with a time limit; of the quick rungs there is evidence, however slow the machine."""

    def limited(how, *arguments):
        text = SLOW.replace("HOW", how)
        run(text, *(f"--ladder-only={id}" for id in ("rung1[p=0.0]", "rung2", "rung6")))
        return run(text, *arguments)

    return limited


def test_time_limit(limited):
    """A rung over the time limit is TIMED OUT, keeps its curves so far, and the other rungs are climbed."""
    result, report = limited("seconds=0.01, epochs=1000", "--ladder-time-limit=6")
    assert result.ret == 1
    found = verdicts(report)
    assert (found["rung3"], found["rung4"], found["rung5"]) == ("TIMED OUT", "BLOCKED", "PASS")
    assert report["complete"]
    (late,) = [rung for rung in report["rungs"] if rung["id"] == "rung3"]
    assert late["error"] == "not done after 6 s"
    assert len(late["curves"]["loss"]) == 4
    for curve in late["curves"]["loss"]:
        done = sum(value is not None for value in curve)
        told = [1 / (1 + epoch + curve_start(curve)) for epoch in late["epochs"][:done]]
        assert curve[:done] == pytest.approx(told, rel=1e-4)
        assert curve[done:] == [None] * (len(late["epochs"]) - done)
    assert late["epochs"][0] == 1
    assert 1 <= late["epochs"][-1] < 1000
    result.stdout.fnmatch_lines(["rung3 *TIMED OUT*not done after 6 s"])


def curve_start(curve):
    """The number a seed of ``Slow`` starts from."""
    return 1 / curve[0] - 2


@pytest.mark.parametrize("number", ["0", "1"])
def test_hanging_program(limited, number):
    """A program that never ends is TIMED OUT; without workers it ends the run, with workers the run goes on."""
    result, report = limited("hangs=True", "--ladder-time-limit=2", "-n", number)
    found = verdicts(report)
    assert found["rung3"] == "TIMED OUT"
    if number == "0":
        assert result.ret == 2
        assert not report["complete"]
        assert list(found) == ["rung1", "rung1[p=0.0]", "rung2", "rung3"]
        result.stdout.fnmatch_lines(["*JAX cannot cancel it; with -n 1 a new process climbs the remaining rungs*"])
    else:
        assert result.ret == 1
        assert report["complete"]
        assert (found["rung4"], found["rung5"]) == ("BLOCKED", "PASS")


def test_groups():
    """A group contains the rungs that are connected by a requirement or a comparison."""

    def rung(number, **more):
        return Rung(**({"number": number, "name": "r", "experiment": Coin(shift=number), "gates": (LEARNS,)} | more))

    one, three, five = rung(1), rung(3), rung(5)
    two = rung(2, requires=("rung1",))
    four = rung(4, gates=(LEARNS, better_than("rung3", "loss", source="made up")))
    six = rung(6, requires=("rung4", "rung2"))
    control = one.as_control(Control("it never learns"), p=0.0)
    ladder = Ladder([one, two, three, four, five, control])
    joined = {"rung1": "rung1", "rung2": "rung1", "rung3": "rung3", "rung4": "rung3", "rung5": "rung5"}
    assert groups(ladder, list(ladder)) == joined | {control.id: control.id}
    assert groups(ladder, ["rung2", "rung4"]) == {"rung2": "rung2", "rung4": "rung4"}
    ladder = Ladder([one, two, three, four, five, six])
    assert set(groups(ladder, list(ladder)).values()) == {"rung1", "rung5"}


def test_handover_between_processes(tmp_path):
    """The state of a rung, the plan and the departure of a worker can be read from another process."""
    mine, theirs = Handover(tmp_path), Handover(tmp_path)
    assert theirs.verdict("rung3[mse/x]") is None
    mine.begin("rung3[mse/x]")
    assert theirs.verdict("rung3[mse/x]") is Verdict.CRASHED
    mine.end("rung3[mse/x]", "TIMED OUT")
    assert theirs.verdict("rung3[mse/x]") is Verdict.TIMED_OUT
    assert theirs.plan == {}
    mine.announce({"a": {"rung": "rung1"}})
    assert theirs.plan == {"a": {"rung": "rung1"}}
    assert not theirs.has_left("gw0")
    mine.leave("gw0")
    assert theirs.has_left("gw0")


TAKE = (
    "import os, sys; from pathlib import Path; from ladder.plugin import workers\n"
    "workers.take_gpu(Path(sys.argv[1]), int(sys.argv[2]))\n"
    "print(os.environ.get('CUDA_VISIBLE_DEVICES'), os.environ.get('XLA_PYTHON_CLIENT_MEM_FRACTION'), flush=True); input()"
)


class Process:
    """A worker that takes a GPU and keeps it until it is ended."""

    def __init__(self, folder, count, visible):
        self._process = subprocess.Popen(
            [sys.executable, "-c", TAKE, str(folder), str(count)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"CUDA_VISIBLE_DEVICES": visible},
        )  # fmt: skip
        self.took = self._process.stdout.readline().split()

    def die(self):
        """As by a crash."""
        self._process.kill()
        self._process.communicate()


def test_gpu_per_worker(tmp_path):
    """Each worker takes a GPU of its own, and the replacement of a dead worker takes over its GPU."""
    processes = [Process(tmp_path, 3, "2,5,GPU-abc") for _ in range(3)]
    assert sorted(process.took[0] for process in processes) == ["2", "5", "GPU-abc"]
    assert {process.took[1] for process in processes} == {"None"}
    processes[1].die()
    processes[1] = Process(tmp_path, 3, "2,5,GPU-abc")
    assert sorted(process.took[0] for process in processes) == ["2", "5", "GPU-abc"]
    for process in processes:
        process.die()


def test_shared_gpu_memory(tmp_path):
    """Workers that share a GPU share its memory."""
    processes = [Process(tmp_path, 3, "0,1") for _ in range(3)]
    assert sorted(process.took[0] for process in processes) == ["0", "0", "1"]
    assert {process.took[1] for process in processes} == {"0.375"}
    for process in processes:
        process.die()


@pytest.mark.parametrize("visible", [None, ""])
def test_no_gpu(tmp_path, monkeypatch, visible):
    """The variable CUDA_VISIBLE_DEVICES is unchanged on a machine without a GPU."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(devices, "DRIVER", tmp_path / "none")
    take_gpu(tmp_path, 2)
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == visible


def test_gpu_count(tmp_path, monkeypatch):
    """The GPUs are counted by the files of the driver."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for name in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / "gpus" / name).mkdir(parents=True)
    monkeypatch.setattr(devices, "DRIVER", tmp_path / "gpus")
    take_gpu(tmp_path, 1)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"


BREAK_OFF = f"{FILE}RUNGS = [rung(1, Slow(seconds=0.05, epochs=10000))]{TEST}"


@pytest.fixture
def heeds_interrupts():
    """A worker of xdist ignores Ctrl-C, and what it starts would inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeds_interrupts")
def test_interrupted_run(run, pytester):
    """An interruption ends a run within seconds, with exit code 2 and an attempt without a verdict."""
    pytester.makepyfile(test_rungs=BREAK_OFF)
    command = [sys.executable, "-m", "pytest", "--ladder-time-limit=600"]
    with subprocess.Popen(
        command,
        cwd=pytester.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        while not (pytester.path / "waiting").exists() and process.poll() is None:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        try:
            told, _ = process.communicate(timeout=30)
        except subprocess.TimeoutExpired:  # while JAX starts one may be lost in its C++, and one presses again
            process.send_signal(signal.SIGINT)
            told, _ = process.communicate(timeout=30)
    assert process.returncode == 2, told
    assert "KeyboardInterrupt" in told
    listed = (pytester.path / "reports" / "evidence" / "attempts.jsonl").read_text().splitlines()
    assert [json.loads(line)["verdict"] for line in listed] == [""]


@pytest.mark.parametrize("limit", ["1e10", "inf"])
def test_infinite_time_limit(run, limit):
    """A time limit beyond the range of the clock sets no limit."""
    result, report = run(FILE + "RUNGS = RUNGS[:1]" + TEST, f"--ladder-time-limit={limit}")
    assert (result.ret, verdicts(report)) == (0, {"rung1": "PASS"})


SETTINGS = (
    FILE
    + """
import jax
RUNGS = RUNGS[:1]

@pytest.fixture
def wide(climb, rung):
    with jax.enable_x64(True):
        climb(rung)

@pytest.mark.parametrize("rung", RUNGS)
def test_it(wide, rung):
    pass
"""
)


def test_jax_settings_under_a_time_limit(run):
    """Thread-local JAX settings are refused under a time limit, for the training thread would not have them."""
    result, report = run(SETTINGS, "--ladder-time-limit=600")
    assert (result.ret, verdicts(report)) == (1, {"rung1": "CRASHED"})
    assert "JAX has other settings in the thread" in report["rungs"][0]["error"]


def test_devices_of_a_single_process(run):
    """A run in a single process has one JAX device for each core."""
    asked = "    assert jax.device_count() == len(os.sched_getaffinity(0))\n"
    result, _ = run(FILE + "import os\nimport jax\nRUNGS = RUNGS[:1]" + TEST + asked)
    assert result.ret == 0


def test_report_without_terminal(run):
    """A run with -p no:terminal writes its report."""
    result, report = run(FILE + "RUNGS = RUNGS[:2]" + TEST, "-p", "no:terminal")
    assert (result.ret, list(verdicts(report))) == (0, ["rung1", "rung2"])
