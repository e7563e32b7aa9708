"""Platforms: what only Unix has is taken away, and all is as before; also what Windows refuses, name by name."""

import ast
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from toys import HEAD, INI, TEST

import ladder
from ladder import Verdict, files
from ladder.evidence.store import Evidence
from ladder.files import lock, write_atomically
from ladder.plugin.workers import Handover
from ladder.train import compilation

HERE = Path(__file__).parent
SOURCES = sorted(Path(ladder.__file__).parent.rglob("*.py"))

TAKEN_AWAY = """
import os, signal
assert not any(hasattr(os, name) for name in ("fchmod", "pread", "pwrite", "sched_getaffinity"))
assert not hasattr(signal, "SIGPIPE") and not os.path.exists("/proc")
with pytest.raises(ModuleNotFoundError):
    import fcntl
with pytest.raises(NotImplementedError):
    os.link(__file__, "link")
"""

RUNGS = (
    HEAD
    + TAKEN_AWAY
    + """
RUNGS = [
    Rung(number=1, name="coin", experiment=Coin(), gates=(below("loss", 0.5, by=3, source="made up", calibrated=True),)),
    Rung(number=2, name="stuck", experiment=Coin(p=0.0), gates=(LEARNS,), parent="rung1", adds="p", compare={"loss": ""}),
    Rung(number=3, name="apart", experiment=Coin(epochs=4), gates=(LEARNS,)),
]
RUNGS.append(RUNGS[0].as_control(Control("it never learns"), p=0.0))

@pytest.fixture(autouse=True)
def gpu(request):
    if hasattr(request.config, "workerinput"):
        assert os.environ["CUDA_VISIBLE_DEVICES"] in ("0", "1")
"""
    + TEST
)


@pytest.fixture
def unixless(pytester, monkeypatch):
    """Runs a module, such as pytest, in processes that have nothing of what only Unix has; programs are kept, as users' are."""
    for name in ("JAX_COMPILATION_CACHE_DIR", "PYTEST_XDIST_WORKER_COUNT"):  # of this suite's own run
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (HERE / "unixless", HERE))), prepend=os.pathsep)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    pytester.makeini(INI.replace("-p no:cacheprovider ", "") + "ladder_seeds = 16\n")

    def run(module, *arguments):
        command = [sys.executable, "-m", module, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", cwd=pytester.path, check=False)

    return run


def report(folder):
    return json.loads((folder / "reports" / "ladder.json").read_text(encoding="utf-8"))


def test_run_without_rungs(pytester, unixless):
    """A run without rungs works without the functions that only Unix has."""
    pytester.makepyfile("import pytest\n" + TAKEN_AWAY + "def test_it():\n    pass\n")
    done = unixless("pytest")
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 passed" in done.stdout


VERDICTS = {"rung1": "PASS", "rung1[p=0.0]": "FAIL", "rung2": "FAIL", "rung3": "PASS"}


def test_ladder_without_unix(pytester, unixless):
    """A ladder has the same verdicts with and without workers where Unix functions are missing."""
    pytester.makepyfile(test_rungs=RUNGS)
    spread = unixless("pytest", "-n", "2")
    many = report(pytester.path)
    assert (spread.returncode, spread.stderr) == (1, "")
    assert {rung["id"]: rung["verdict"] for rung in many["rungs"]} == VERDICTS
    assert many["complete"]
    assert many["culprit"]["rung"] == "rung2"
    assert "ladder: " not in spread.stdout, "no trouble with the evidence is told of"

    (pytester.path / "before.json").write_text(json.dumps(many), encoding="utf-8")

    alone = unixless("pytest")
    one = report(pytester.path)
    assert (alone.returncode, alone.stderr) == (1, "")
    assert "another run" not in alone.stdout
    for before, after in zip(many["rungs"], one["rungs"], strict=True):
        assert [origin["seeds"] for origin in after["evidence"]] == [16]
        for part in ("id", "verdict", "curves"):
            assert before[part] == after[part]
    running = list((pytester.path / "reports/evidence/running").iterdir())
    assert len(running) == 1, "the last run's files are removed"
    locked = [pytester.path / "reports/evidence/attempts.jsonl.lock", *running]
    assert {path.stat().st_size for path in locked} == {0}, "Windows lets nobody read what is locked"
    programs = [path.name for path in (pytester.path / ".pytest_cache/d/ladder-xla").iterdir()]
    assert programs
    assert all(name.endswith("-cache") for name in programs)

    assert unixless("ladder", "show").returncode == 1
    compared = unixless("ladder", "compare", "before.json", "reports/ladder.json", "--json")
    assert (compared.returncode, compared.stderr) == (0, "")


@pytest.mark.nightly
def test_calibration_without_unix(pytester, unixless):
    """Calibration works without the functions that only Unix has."""
    pytester.makepyfile(test_rungs=RUNGS)
    done = unixless("pytest", "--ladder-only=rung1", "--ladder-calibrate")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((pytester.path / "reports/calibration/rung1.json").read_text(encoding="utf-8"))["seeds"] == 59
    done = unixless("pytest", "--ladder-only=rung1")
    assert (done.returncode, done.stderr) == (0, "")
    assert report(pytester.path)["rungs"][0]["gates"][0]["source"].startswith("calibration of ")


def test_broken_pipe_without_signal(tmp_path):
    """Without SIGPIPE a broken pipe ends the command with exit code 2 and one message."""
    environment = os.environ | {"PYTHONPATH": f"{HERE / 'unixless'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    ear, mouth = os.pipe()
    os.close(ear)
    command = [sys.executable, "-m", "ladder", "list", str(HERE.parent)]
    try:
        done = subprocess.run(command, stdout=mouth, stderr=subprocess.PIPE, text=True, env=environment, check=False)
    finally:
        os.close(mouth)
    assert done.returncode == 2
    assert done.stderr == "ladder: cannot print the output: [Errno 32] Broken pipe\n"


UNIX_MODULES = {"crypt", "fcntl", "grp", "nis", "posix", "pty", "pwd", "resource", "spwd", "syslog", "termios", "tty"}
UNIX_NAMES = {
    *(
        "fchmod",
        "fork",
        "forkpty",
        "getuid",
        "geteuid",
        "killpg",
        "lockf",
        "mkfifo",
        "nice",
        "pread",
        "preadv",
        "pwrite",
    ),
    *("pwritev", "sched_getaffinity", "sched_setaffinity", "setsid", "sysconf", "uname", "wait", "waitid", "WNOHANG"),
    *(
        "O_CLOEXEC",
        "O_DIRECTORY",
        "O_NOFOLLOW",
        "O_NONBLOCK",
        "SIGALRM",
        "SIGHUP",
        "SIGKILL",
        "SIGPIPE",
        "SIGUSR1",
        "SIGUSR2",
    ),
    *("alarm", "setitimer", "pthread_kill", "pthread_sigmask"),
}


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.partition(".")[0]


def used_unguarded(tree):
    """Names of ``os`` and ``signal`` that only Unix has and that no ``hasattr`` of the module asks for."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    asked = [call.args[1] for call in calls if isinstance(call.func, ast.Name) and call.func.id == "hasattr"]
    guarded = {name.value for name in asked if isinstance(name, ast.Constant)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("os", "signal"):
            yield from {node.attr} & UNIX_NAMES - guarded


def without_encoding(tree):
    """Return the calls that read or write text in the encoding of the machine."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or any(keyword.arg == "encoding" for keyword in node.keywords):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in ("read_text", "write_text"):
            yield ast.unparse(node)
        if name == "open" and isinstance(node.func, ast.Name) and "b" not in ast.unparse(node):
            yield ast.unparse(node)
        if any(keyword.arg in ("text", "universal_newlines") for keyword in node.keywords):
            yield ast.unparse(node)


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(SOURCES[0].parent)))
def test_portable_source(file):
    """No module uses Unix functions without a check, or the default encoding of the machine."""
    tree = ast.parse(file.read_bytes())
    assert not set(imports(tree)) & UNIX_MODULES
    assert not list(used_unguarded(tree))
    assert not list(without_encoding(tree))


def test_imports_of_the_plugin():
    """The plugin imports neither filelock nor JAX nor NumPy at start."""
    program = "import sys, ladder.plugin; print(sorted({'filelock', 'jax', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


HOLD = (
    "import sys, pathlib; from ladder.files import lock\n"
    "print(lock(pathlib.Path(sys.argv[1])) is not None, flush=True); sys.stdin.read()"
)


def test_lock(tmp_path):
    """A lock belongs to one process until it is released or the process dies."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "a.lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "True\n"
        assert lock(tmp_path / "a.lock") is None
        os.close(lock(tmp_path / "b.lock"))
        other.send_signal(signal.SIGKILL)
    handle = lock(tmp_path / "a.lock")
    assert handle is not None
    assert lock(tmp_path / "a.lock") is None
    os.close(handle)
    os.close(lock(tmp_path / "a.lock", wait=True))


def test_replacement_of_an_open_file(tmp_path, monkeypatch):
    """The replacement of a file that is in use is repeated until it succeeds."""
    (tmp_path / "file").write_text("old")
    refusals, replace = iter(range(3)), os.replace

    def refuse(source, target):
        if next(refusals, None) is not None:
            raise PermissionError(13, "being used by another process")
        replace(source, target)

    monkeypatch.setattr(files.os, "replace", refuse)
    monkeypatch.setattr(files, "PAUSE", 0.001)
    write_atomically(tmp_path / "file", "new")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["new"]


def test_replacement_timeout(tmp_path, monkeypatch):
    """The replacement of a file that remains in use raises an error and leaves the file unchanged."""

    def refuse(source, target):
        raise PermissionError(13, "being used by another process")

    (tmp_path / "file").write_text("old")
    monkeypatch.setattr(files.os, "replace", refuse)
    monkeypatch.setattr(files, "PATIENCE", 0.01)
    monkeypatch.setattr(files, "PAUSE", 0.001)
    with pytest.raises(PermissionError):
        write_atomically(tmp_path / "file", "new")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize("error", [NotImplementedError, OSError, PermissionError])
def test_cache_without_links(tmp_path, monkeypatch, error):
    """Compiled programs are copied where links cannot be made."""

    def refuse(*arguments):
        raise error("no links here")

    monkeypatch.setattr(os, "link", refuse)
    mine, shared = tmp_path / "mine", tmp_path / "shared"
    for folder in (mine, shared):
        folder.mkdir()
    (mine / "a-cache").write_text("a")
    (shared / "b-cache").write_text("b")
    (mine / "b-cache").write_text("as good")
    compilation._link(mine, shared)
    assert {path.name: path.read_text() for path in shared.iterdir()} == {"a-cache": "a", "b-cache": "b"}


def test_ids_that_differ_in_case(tmp_path):
    """Rungs whose ids differ only in case have separate states."""
    handover = Handover(tmp_path)
    handover.begin("rung1[k]")
    handover.begin("rung1[K]")
    handover.end("rung1[K]", "PASS")
    assert len({path.name.lower() for path in tmp_path.iterdir()}) == 3
    assert (handover.verdict("rung1[k]"), handover.verdict("rung1[K]")) == (Verdict.CRASHED, Verdict.PASS)


def test_line_endings(tmp_path, monkeypatch):
    """No text is written with the two-character line ends of Windows."""
    opened, open_ = [], os.open

    def note(path, flags, mode=0o777):
        opened.append((Path(path).name, flags))
        return open_(path, flags & ~binary, mode)

    binary = 1 << 40
    monkeypatch.setattr(os, "O_BINARY", binary, raising=False)
    monkeypatch.setattr(files.os, "open", note)
    files.append_line(tmp_path / "list", "a line")
    assert [bool(flags & binary) for name, flags in opened if name == "list"] == [True]


def test_append_lock(tmp_path):
    """A process that appends a line waits for the lock of the file."""
    turn = lock(tmp_path / "list.lock")
    thread = threading.Thread(target=files.append_line, args=[tmp_path / "list", "a line"])
    thread.start()
    thread.join(0.3)
    assert thread.is_alive()
    assert not (tmp_path / "list").exists()
    os.close(turn)
    thread.join()
    assert (tmp_path / "list").read_bytes() == b"a line\n"


def test_run_name_without_file_name(tmp_path):
    """A run may have a name that cannot be the name of a file."""
    evidence, other = (Evidence(tmp_path, run=name) for name in ("a/b: c?", "d"))
    evidence.lock.acquire()
    other.lock.acquire()
    [problem] = other.problems
    assert problem.startswith(f"another run is climbing in this checkout (process {os.getpid()}, since ")
    assert evidence.problems == []
    for each in (evidence, other):
        each.lock.release()
