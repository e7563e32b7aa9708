"""Faults: a run killed at any moment, a full disk, an unwritable folder, damaged files, files of a newer version, a rival."""

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache
from toys import HEAD, TEST

from ladder import files
from ladder.evidence.store import Evidence
from ladder.files import append_line, write_atomically
from ladder.train.compilation import CompilationCache

HERE = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def struck(tmp_path_factory):
    """What came of striking at every point, by ``kill`` and by ``full``; both are tried at the same time."""
    tried = {
        mode: subprocess.Popen(
            [sys.executable, HERE / "faults.py", mode, tmp_path_factory.mktemp(mode)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
            text=True,
        )
        for mode in ("kill", "full")
    }
    found = {}
    for mode, process in tried.items():
        out, error = process.communicate()
        assert process.returncode == 0, error
        found[mode] = json.loads(out)
    return found


def test_kill_at_every_point(struck):
    """A run killed at any point keeps its completed work, and the next run ends like an undisturbed one."""
    found = struck["kill"]
    assert found["wrong"] == []
    assert found["points"] >= 200
    within = {"write", "replace", "fsync", "open", "mkdir", "close", "within write"}
    assert all(found["kinds"][kind] >= 15 for kind in within)
    assert not found["jax"], "a process with JAX in it must not be forked"


def test_full_disk_at_every_point(struck):
    """A disk that is full at any point costs evidence and nothing else."""
    found = struck["full"]
    assert found["wrong"] == []
    assert found["points"] >= 200
    assert not found["jax"]


def test_failed_truncation(tmp_path, monkeypatch):
    """A failed write raises its own error even if the truncation after it fails, too."""
    target = tmp_path / "list"
    append_line(target, "whole")
    write = os.write

    def half(handle, content):
        if len(content) < 8:
            raise OSError(errno.ENOSPC, "No space left")
        return write(handle, content[: len(content) // 2])

    def broken(handle, size):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "write", half)
        patch.setattr(files.os, "ftruncate", broken)
        with pytest.raises(OSError, match="No space left"):
            append_line(target, "never written in full")
    append_line(target, "after")
    first, torn, last = target.read_text().splitlines()
    assert (first, last) == ("whole", "after")
    assert "never written in full".startswith(torn)


def test_interrupted_write(tmp_path, monkeypatch):
    """An interrupted write leaves neither a partial line nor a partial file."""
    append_line(tmp_path / "list", "whole")
    write_atomically(tmp_path / "file", "whole")
    write = os.write

    def interrupted(handle, content):
        write(handle, content[:3])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "write", interrupted)
        for writing in (append_line, write_atomically):
            with pytest.raises(KeyboardInterrupt):
                writing(tmp_path / ("list" if writing is append_line else "file"), "another")
    assert (tmp_path / "list").read_text() == "whole\n"
    assert (tmp_path / "file").read_text() == "whole"
    assert {path.name for path in tmp_path.iterdir()} == {"list", "list.lock", "file"}


def newer(file):
    """The same file as a later version would have written it."""
    with np.load(file) as stored:
        arrays = {name: stored[name] for name in stored.files}
    arrays["about"] = np.asarray(str(arrays["about"]).replace('"format": 1', '"format": 2'))
    np.savez_compressed(file.with_suffix(""), **arrays)


def damage(folder, how):
    """Bring a fault upon a folder of evidence that a run has left."""
    attempts, block = folder / "attempts.jsonl", min(folder.glob("curves/*/*.npz"))
    if how == "full disk":
        shutil.rmtree(folder)
        folder.mkdir()
        attempts.symlink_to("/dev/full")
    elif how == "unwritable":
        shutil.rmtree(folder)
        folder.write_text("a file")
    elif how == "torn line":
        with attempts.open("a") as file:
            file.write('{"format": 1, "rung": "ru')
    elif how == "damaged line":
        lines = attempts.read_bytes().splitlines(keepends=True)
        attempts.write_bytes(b"".join([lines[0], b"\x00\xff\xfe damaged\n", *lines[2:]]))
    elif how == "newer line":
        with attempts.open("a") as file:
            file.write('{"format": 2, "what": "nobody knows"}\n')
    elif how == "newer curves":
        for block in folder.glob("curves/*/*.npz"):
            newer(block)
    elif how == "truncated":
        block.write_bytes(block.read_bytes()[:-50])
    elif how == "flipped":
        content = bytearray(block.read_bytes())
        content[len(content) // 4 :: 8] = bytes(byte ^ 0xFF for byte in content[len(content) // 4 :: 8])
        block.write_bytes(bytes(content))
    elif how == "empty":
        block.write_bytes(b"")


def snapshot(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.parent.name != "running"}


NEWER = (
    "ladder: the evidence in {folder} was written by a newer ladder (format 2, this version reads 1); it is neither read nor "
    "changed: update ladder, or choose another folder with --ladder-evidence"
)
UNWRITTEN = (
    "ladder: the evidence in {folder} cannot be written: {error}; the verdicts stand, but the next run trains "
    "these seeds again; free disk space or choose another folder with --ladder-evidence"
)
UNUSED = "ladder: {folder}/curves/*/0-16.npz is not used: *; its content is measured again"


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("full disk", UNWRITTEN.replace("{error}", "*No space left on device*")),
        ("unwritable", UNWRITTEN.replace("{error}", "*Not a directory*")),
        (
            "torn line",
            "ladder: the last line of {folder}/attempts.jsonl was cut off, as by a crash; that attempt is not listed",
        ),
        (
            "damaged line",
            "ladder: {folder}/attempts.jsonl: line 2 cannot be read, and its attempt is not listed; delete the line to "
            "silence this warning",
        ),
        ("newer line", NEWER),
        ("newer curves", NEWER),
        ("truncated", UNUSED),
        ("flipped", UNUSED),
        ("empty", UNUSED),
    ],
)
@pytest.mark.parametrize("verdict", ["PASS", "FAIL"])
def test_damaged_evidence(pytester, rungs, how, message, verdict):
    """A fault of the evidence is reported once and changes no verdict."""
    rungs(
        coin="Coin()" if verdict == "PASS" else "Coin(p=0.0)",
        shift="Coin(shift=0.1)" if verdict == "PASS" else "Coin(p=0.0, shift=0.1)",
    )
    whole = pytester.runpytest()
    before = json.loads((pytester.path / "reports" / "ladder.json").read_text())
    folder = pytester.path / "reports" / "evidence"
    damage(folder, how)
    left = snapshot(folder) if folder.is_dir() else {}

    result = pytester.runpytest()
    assert result.ret == whole.ret == (verdict == "FAIL")
    told = [line for line in result.outlines if line.startswith("ladder: ")]
    assert len(told) == 1
    result.stdout.fnmatch_lines([message.replace("{folder}", str(folder))])
    after = json.loads((pytester.path / "reports" / "ladder.json").read_text())
    for one, other in zip(before["rungs"], after["rungs"], strict=True):
        for part in ("verdict", "green", "seeds", "curves", "gates"):
            assert one[part] == other[part]
    if how.startswith("newer"):
        assert snapshot(folder) == left
    if how in ("truncated", "flipped", "empty"):
        assert not [line for line in pytester.runpytest().outlines if line.startswith("ladder: ")]


def test_concurrent_run(pytester, rungs):
    """Another run in the same checkout is reported and changes no verdict."""
    rungs(coin="Coin()")
    folder = pytester.path / "reports" / "evidence"
    program = (
        "import sys, pathlib; from ladder.evidence.store import Evidence\n"
        "Evidence(pathlib.Path(sys.argv[1]), run='other').lock.acquire(); print('ready', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "ready\n"
        result = pytester.runpytest()
        assert result.ret == 0
        result.stdout.fnmatch_lines(
            [f"ladder: another run is climbing in this checkout (process {other.pid}, since *); *that ends last"]
        )
        other.stdin.close()
    again = pytester.runpytest()
    assert "another run" not in again.stdout.str()
    again.stdout.fnmatch_lines(["rung1: from evidence of *"])


@pytest.mark.parametrize("cache", ["unwritable", "torn"])
def test_damaged_compilation_cache(pytester, rungs, monkeypatch, cache):
    """A compilation cache that is unwritable or damaged changes no verdict."""
    monkeypatch.setattr(jax.config, "update", jax.config.update)
    before = jax.config.jax_compilation_cache_dir
    rungs(coin="Coin()")
    ini = (pytester.path / "tox.ini").read_text().replace("-p no:cacheprovider ", "")
    if cache == "unwritable":
        (pytester.path / ".pytest_cache").write_text("a file")
        ini = ini.replace("filterwarnings = error", "filterwarnings = default")  # pytest's own cache warns of it
    (pytester.path / "tox.ini").write_text(ini)
    try:
        compilation_cache.set_cache_dir(None)
        compilation_cache.reset_cache()
        if cache == "torn":
            assert pytester.runpytest().ret == 0
            programs = list((pytester.path / ".pytest_cache" / "d" / "ladder-xla").iterdir())
            assert programs
            for program in programs:
                program.write_bytes(program.read_bytes()[:20])
            shutil.rmtree(pytester.path / "reports")
            jax.clear_caches()
        result = pytester.runpytest()
    finally:
        compilation_cache.set_cache_dir(before)
        compilation_cache.reset_cache()
    assert result.ret == 0
    result.stdout.fnmatch_lines(["rung1  PASS*"])


RUNGS = f"""{HEAD}
RUNGS = [Rung(number=i, name="coin", experiment=Coin(shift=i / 100, p=float(i != 4)), gates=(LEARNS,)) for i in range(1, 7)]
{TEST}"""


@pytest.mark.nightly
def test_repeated_kills(pytester, rungs, monkeypatch):
    """A run that was killed three times ends like an undisturbed one and uses all evidence."""
    rungs()
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    pytester.makepyfile(test_rungs=RUNGS)
    undisturbed = pytester.runpytest("--ladder-evidence=undisturbed", "--ladder-reports=undisturbed")
    whole = json.loads((pytester.path / "undisturbed" / "ladder.json").read_text())
    ini = pytester.path / "tox.ini"
    ini.write_text(ini.read_text().replace("-p no:cacheprovider ", ""))  # programs are cached, and torn, as users'
    attempts = pytester.path / "reports" / "evidence" / "attempts.jsonl"
    moments = random.Random(0)
    killed = 0
    for lines in (1, 4, 8):
        process = subprocess.Popen([sys.executable, "-m", "pytest"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        while process.poll() is None and (not attempts.exists() or attempts.read_bytes().count(b"\n") < lines):
            time.sleep(0.005)
        time.sleep(moments.uniform(0.0, 0.2))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
    assert killed == 3
    complete = len(list(attempts.parent.glob("curves/*/0-16.npz")))
    assert complete > 0
    last = pytester.runpytest_subprocess()
    assert last.ret == undisturbed.ret == 1
    report = json.loads((pytester.path / "reports" / "ladder.json").read_text())
    assert report["complete"]
    for one, other in zip(whole["rungs"], report["rungs"], strict=True):
        for part in ("id", "verdict", "seeds", "curves", "gates"):
            assert one[part] == other[part]
    kept = [sum(origin["seeds"] for origin in rung["evidence"]) for rung in report["rungs"]]
    assert kept == [16] * complete + [0] * (6 - complete)
    told = Evidence(attempts.parent, run="reader")
    for number in range(1, 7):
        *broken_off, ended = [attempt.verdict for attempt in told.attempts.for_rung(f"rung{number}")]
        assert (set(broken_off), ended) in (
            (set(), whole["rungs"][number - 1]["verdict"]),
            ({""}, whole["rungs"][number - 1]["verdict"]),
        )
    shared = pytester.path / ".pytest_cache" / "d" / "ladder-xla"
    assert [path.name for path in shared.iterdir() if path.name.startswith("process")] == []


CACHED = """
import os, pathlib, signal, sys
import jax
from jax._src import path
from ladder.train.compilation import CompilationCache

heard = []
jax.monitoring.register_event_listener(lambda event, **more: heard.append(event))
cache = CompilationCache(pathlib.Path(sys.argv[1]))
if sys.argv[2] == "dies":
    def die(self, content, write=path.Path.write_bytes):
        write(self, content[: len(content) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    path.Path.write_bytes = die
assert float(jax.jit(lambda x: 3.0 * x)(2.0)) == 6.0
cache.share()
cache.close()
print(heard.count("/jax/compilation_cache/cache_hits"))
"""


def test_killed_compilation(tmp_path):
    """A killed process shares no partial program, and complete programs are shared."""

    def run(what):
        command = [sys.executable, "-W", "error", "-c", CACHED, str(tmp_path), what]
        env = {name: value for name, value in os.environ.items() if not name.startswith("JAX_COMPILATION")}
        done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
        return done.returncode, done.stdout, done.stderr

    def folders():
        return [path for path in tmp_path.iterdir() if path.is_dir()]

    assert run("dies") == (-signal.SIGKILL, "", "")
    [dead] = folders()
    [torn] = dead.glob("*-cache")
    assert list(tmp_path.iterdir()) == [dead], "what is torn is not shared"
    assert run("compiles") == (0, "0\n", "")
    assert folders() == []
    [program] = tmp_path.iterdir()
    assert program.name == torn.name
    assert run("finds it compiled") == (0, "1\n", "")
    assert list(tmp_path.iterdir()) == [program]


@pytest.fixture
def no_cache():
    """JAX without a folder for compiled programs, which is the default."""
    before = jax.config.jax_compilation_cache_dir
    threshold = jax.config.jax_persistent_cache_min_compile_time_secs
    compilation_cache.set_cache_dir(None)
    yield
    compilation_cache.set_cache_dir(before)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", threshold)
    compilation_cache.reset_cache()


def test_shared_compilation_cache(tmp_path, no_cache):
    """Processes share their programs, and only the folder of a dead one is removed."""
    one = CompilationCache(tmp_path)
    first = Path(jax.config.jax_compilation_cache_dir)
    compilation_cache.set_cache_dir(None)  # as if in another process
    other = CompilationCache(tmp_path)
    second = Path(jax.config.jax_compilation_cache_dir)
    assert first.exists()
    for folder, programs in ((first, "ab"), (second, "bc")):
        for name in programs:
            (folder / f"{name}-cache").write_text(name)
    one.share()
    other.share()
    assert [(path.name, path.read_text()) for path in sorted(tmp_path.glob("*-cache"))] == [
        ("a-cache", "a"),
        ("b-cache", "b"),
        ("c-cache", "c"),
    ]
    (tmp_path / "process-dead").mkdir()
    (tmp_path / "process-dead" / "d-cache").write_text("half of")
    compilation_cache.set_cache_dir(None)
    third = CompilationCache(tmp_path)
    assert sorted(path.name for path in Path(jax.config.jax_compilation_cache_dir).glob("*-cache")) == [
        "a-cache",
        "b-cache",
        "c-cache",
    ]
    for cache in (third, other, one):
        cache.close()
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a-cache", "b-cache", "c-cache"]


def test_cache_of_the_user(tmp_path, no_cache):
    """A compilation cache that the user has set gets every program, however small, and settings are restored."""
    own, shared = tmp_path / "own", tmp_path / "shared"
    shared.mkdir()
    compilation_cache.reset_cache()
    compilation_cache.set_cache_dir(str(own))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 1.0)  # JAX's default
    before = dict(jax.config.values)
    cache = CompilationCache(shared)
    jax.jit(lambda x: 3 * x + 1).lower(1.0).compile()
    assert list(own.glob("*-cache"))
    cache.share()
    cache.close()
    assert dict(jax.config.values) == before
    assert list(shared.iterdir()) == []


def test_jax_settings_after_close(tmp_path, no_cache):
    """JAX's settings are restored when the compilation cache is closed."""
    before = dict(jax.config.values)
    cache = CompilationCache(tmp_path)
    assert dict(jax.config.values) != before
    cache.close()
    cache.close()
    assert dict(jax.config.values) == before


def test_unwritable_cache_folder(tmp_path, no_cache):
    """JAX's settings are unchanged if the folder of the compilation cache cannot be made."""
    (tmp_path / "file").write_text("")
    before = dict(jax.config.values)
    cache = CompilationCache(tmp_path / "file")
    cache.share()
    cache.close()
    assert dict(jax.config.values) == before
