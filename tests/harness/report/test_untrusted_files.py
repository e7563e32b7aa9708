"""Files that are wrong or hostile: evidence, the list of attempts, calibrations and reports.

Each case takes valid files, spoils one of them, and holds what comes of it against what comes of the valid ones: the same
verdicts, or one message and exit code 2; in time, and without a character that a terminal obeys.
"""

# ruff: noqa: D102  # the methods are those of ladder.train.trainer.Trainer

import io
import json
import os
import runpy
import signal
import unicodedata
import zipfile
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from played import LEARNS, at, climb, play, same
from toys import HEAD, SOURCE, TEST, Coin, SeenFit, report_of

from ladder import Control, Floor, Ladder, Rung, Seeds, SequentialTest, Trained, Verdict, below, falls
from ladder.cli import main
from ladder.evidence import archive as module
from ladder.evidence.attempts import Attempt
from ladder.evidence.fingerprint import Fingerprint, fingerprint
from ladder.evidence.store import Evidence
from ladder.judge.calibration import Calibration, load, path, save, tightened
from ladder.report import reading
from ladder.report.document import RunRecord, document, entry
from ladder.report.schema import SCHEMA
from ladder.report.terminal import lines
from ladder.report.text import printable
from ladder.train.trainer import Trainer

SECONDS = 20  # for one case, of some milliseconds; a hang is what takes longer

DAILY, NIGHTLY = 100, 500  # cases of each kind of file
cases = pytest.mark.parametrize("cases", [DAILY, pytest.param(NIGHTLY, marks=pytest.mark.nightly)])


def fuzz(check, cases):
    """Try a check on that many cases; by day on the same ones every time."""
    tried = given(st.data())(check)
    settings(
        max_examples=cases,
        deadline=None,  # ``in_time`` breaks off what hangs
        derandomize=cases == DAILY,
        database=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )(tried)()


class HangError(BaseException):
    """An error for something that hangs; not an Exception, so that no code handles it as a damaged file."""


@contextmanager
def in_time():
    """Break off what hangs."""

    def ring(*_):
        raise HangError(f"not done after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def obeyed(character):
    """Return whether a character controls a terminal or is invisible, by its Unicode category."""
    turns = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI", "BN"}
    marks = "\u200e\u200f\u061c"
    controls = unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") and character not in "\n\t"
    return controls or unicodedata.bidirectional(character) in turns or character in marks


def check_harmless(told):
    assert not [hex(ord(character)) for character in told if obeyed(character)]


# What is put in the place of something.

ODD = [
    "\x1b]0;mine\x07",
    "\u202egreen\u202c",
    "\u2066x\u2069",
    "\u200f",
    "\u061c",
    "\u2028",
    "\x9b2J",
    "\ud800",
    "\x00",
    "\r",
]


def nested(depth, inner=0):
    for _ in range(depth):
        inner = [inner]
    return inner


VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 16, 2**31, 2**53, 2**63, -(2**70), 10**400, 0.5, -0.0, 1e-320, 1.7e308, -1.7e308,
    float("nan"), float("inf"), "", "x", "loss", "PASS", "rung1", "1", "yesterday", "2026-11-22", "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59", "x" * 50_000, "\n" * 9, *ODD, [], {}, [[]], [None], [0], {"": 0}, {"x": {"y": []}},
    nested(70), nested(900), [0.1] * 5000, ["x\x1b[2J", 1], [1, "x\x1b[2J"], {"\u202ename": "\x1b[2J"},
]  # fmt: skip


def places(value, at=()):
    """Every place in nested data, the deepest too."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for name, each in inner for place in places(each, (*at, name)))]


def put(value, place, change):
    """The same data with what is at that place changed; ``change`` may take it out by returning nothing."""
    if not place:
        changed = change(value)
        return changed[0] if changed else None
    name, *rest = place
    pairs = list(value.items() if isinstance(value, dict) else enumerate(value))
    done = []
    for key, each in pairs:
        if key != name:
            done.append((key, each))
        elif rest:
            done.append((key, put(each, rest, change)))
        else:
            done += [(key, new) for new in change(each)]
    return dict(done) if isinstance(value, dict) else [each for _, each in done]


def renamed(value, place, name):
    """The same data with what is at that place under another name, where it has one."""
    *outer, last = place
    return put(value, outer, lambda holder: [
        {name if key == last else key: each for key, each in holder.items()} if isinstance(holder, dict) else holder
    ])  # fmt: skip


def spoiled(data, value):
    """Nested data with something in it replaced, left out, doubled, wrapped, renamed, or with a character too many."""
    place = data.draw(st.sampled_from(places(value)), label="place")
    how = data.draw(st.sampled_from(["replace"] * 5 + ["drop", "double", "wrap", "rename", "insert"]), label="how")
    odd = data.draw(st.sampled_from(VALUES), label="value") if how == "replace" else None
    if how == "rename" and place:
        return renamed(value, place, data.draw(st.sampled_from(["x", *ODD]), label="name"))
    if how == "insert":
        character = data.draw(st.sampled_from(ODD), label="character")
        return put(value, place, lambda old: [f"{old[:1]}{character}{old[1:]}" if isinstance(old, str) else character])
    change = {
        "replace": lambda old: [odd],
        "drop": lambda old: [],
        "double": lambda old: [old, old],
        "wrap": lambda old: [[old]],
        "rename": lambda old: [{"x": old}],
    }
    return put(value, place, change[how])


def packed(data, value):
    """As JSON, with escapes or as it is, and now and then its bytes spoiled too."""
    if data.draw(st.booleans(), label="escaped"):
        content = json.dumps(value).encode()
    else:
        content = json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")
    return spoiled_bytes(data, content) if data.draw(st.integers(0, 9), label="bytes") == 0 else content


def spoiled_bytes(data, content):
    """Cut off, with a byte flipped, with bytes between, or something else altogether."""
    at = data.draw(st.integers(0, len(content)), label="at")
    how = data.draw(st.sampled_from(["cut", "flip", "insert", "brackets", "braces", "empty", "noise"]), label="how")
    if how == "flip" and at < len(content):
        return content[:at] + bytes([content[at] ^ data.draw(st.integers(1, 255))]) + content[at + 1 :]
    return {
        "cut": content[:at],
        "flip": content + b"\x00",
        "insert": content[:at] + "\u202e\x1b]0;x\x07\x9b".encode() + b"\xff" + content[at:],
        "brackets": b"[" * 100_000,
        "braces": b'{"x":' * 100_000,
        "empty": b"",
        "noise": data.draw(st.binary(max_size=200)) if how == "noise" else b"",
    }[how]


def clear(target):
    if target.is_dir() and not target.is_symlink():
        target.rmdir()
    target.unlink(missing_ok=True)


def in_the_way(data, target):
    """Replace a file by something that is not a regular file, or by an endless one."""
    clear(target)
    what = data.draw(st.sampled_from(["fifo", "folder", "device", "loop", "dangling", "huge"]), label="what")
    if what == "fifo":
        os.mkfifo(target)
    elif what == "folder":
        target.mkdir()
    elif what == "huge":
        with target.open("wb") as file:
            file.truncate(2**33)
    else:
        target.symlink_to({"device": "/dev/zero", "loop": target, "dangling": "gone/nowhere"}[what])
    return what


# Reports, and the command that reads them.

CONTROL_GATE = below("loss", 0.5, by=3, source=SOURCE, floor=Floor(0.01, "the noise"))
GREEN = Rung(number=1, name="coin", claim="Luck suffices.", experiment=Coin(), gates=(CONTROL_GATE,))
RED = replace(
    GREEN, number=2, name="unlucky", experiment=Coin(p=0.0), parent="rung1", adds="p", compare={"loss": "0.1"}
)
STILL = Rung(
    number=4, name="fit", experiment=SeenFit(rate=0.0), gates=(falls("loss", 0.5, by=4, source=SOURCE),)
)  # fmt: skip
RUNGS = (
    GREEN, GREEN.as_control(Control("no seed learns"), p=0.0), RED,
    replace(RED, number=3, experiment=Coin(p=0.0, shift=0.1), parent="rung2", adds="shift"), STILL,
    replace(STILL, number=5, gates=(), goals=STILL.gates),
)  # fmt: skip


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """A folder with a green report, a red one, and the place of one to be spoiled."""
    folder = tmp_path_factory.mktemp("reports")
    found = {"green": report_of(*RUNGS[:2]), "red": report_of(*RUNGS)}
    found = {name: json.loads(json.dumps(each)) for name, each in found.items()}
    for name, each in found.items():
        (folder / name).mkdir()
        (folder / name / "ladder.json").write_text(json.dumps(each))
    return folder, found


def ladder(*arguments):
    """Run the command; its exit code, what it printed, and what it printed of trouble."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.MonkeyPatch.context() as patch, in_time():
        patch.setattr("webbrowser.open", lambda address: True)
        code = main([str(argument) for argument in arguments])
    check_harmless(out.getvalue() + err.getvalue())
    return code, out.getvalue(), err.getvalue()


COMMANDS = (
    "show",
    "show --json",
    "explain rung1",
    "explain rung4",
    "compare before",
    "compare after",
    "list",
    "history",
    "open",
)


def check_report(data, reports):
    """Where a report can be read the command says what it says; where not, one line and 2."""
    folder, valid = reports
    spoilt = folder / "spoilt" / "ladder.json"
    spoilt.parent.mkdir(exist_ok=True)
    which = data.draw(st.sampled_from(["green", "red"]), label="report")
    found: Any = None
    if data.draw(st.integers(0, 19), label="file") == 0:
        in_the_way(data, spoilt)
    else:
        clear(spoilt)
        found = spoiled(data, valid[which])
        if data.draw(st.integers(0, 3), label="twice") == 0:
            found = spoiled(data, found)
        spoilt.write_bytes(packed(data, found))
    try:
        with in_time():
            there = reading.load(spoilt)
    except (OSError, reading.ReportError):
        there = None
    command, *more = data.draw(st.sampled_from(COMMANDS), label="command").split()
    arguments = {
        "explain": [*more, spoilt],
        "compare": [spoilt, folder / which / "ladder.json"][:: 1 if more == ["before"] else -1],
        "list": [folder],
        "history": [folder],
    }.get(command, [*more, spoilt])
    code, out, err = ladder(command, *arguments)
    if command == "list":
        assert (code, err) == (0, "")
        assert out.count("spoilt/ladder.json") == 1
    elif command == "history":
        assert err == ""
        assert ("skipped, not reports: 1" in out) == (there is None)
    elif command == "open":
        assert (code, out, err.count("\n")) == (2, "", 1)
    elif there is None:
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert err.startswith("ladder: ")
    else:
        check_read(there, found, command, more, code, out, err)


def check_read(there, found, command, more, code, out, err):
    """A report that is read has the content of its file, and so have the texts about it."""
    jsonschema_rs.validator_for(json.loads(SCHEMA.read_text())).validate(there | {"schema": "2.1.0"})
    rungs = found["rungs"]
    assert [(rung["id"], rung["verdict"], rung["green"]) for rung in there["rungs"]] == [
        (rung["id"], rung["verdict"], rung["green"]) for rung in rungs
    ]
    green = found["complete"] is True and all(rung["green"] for rung in rungs)
    assert all(rung["verdict"] == "PASS" for rung in rungs if rung["green"] and rung["role"] == "gate")
    if command == "show":
        assert (code, err) == (0 if green else 1, "")
        if more:
            assert json.loads(out) == there
        else:
            assert out.startswith("ALL GREEN") == green
    elif command == "explain":
        chosen = [rung["green"] for rung in rungs if f"rung{rung['number']}" == more[0] or rung["id"] == more[0]]
        assert (code, bool(err)) == ((0 if all(chosen) else 1, False) if chosen else (2, True))
    else:
        assert (code in (0, 1, 2), err) == (True, "")


@cases
def test_spoilt_report(cases, reports):
    """A spoilt report is either read faithfully or refused in one line."""
    fuzz(lambda data: check_report(data, reports), cases)


# Evidence and the list of attempts, read by a climb.

CLIMBED = (
    at(14 / 16),
    Rung(number=2, name="off", experiment=Coin(shift=2.0), gates=(LEARNS,)),
    Rung(number=3, name="fair", experiment=Coin(shift=-0.1), gates=(LEARNS,)),
)
LOOKS = (16, 32)
KNOWN = cache(fingerprint)  # no source changes meanwhile


class Player(Trainer):
    """A trainer that plays as ``played.play`` does and logs each block in ``log``."""

    log: list[Any] = []  # noqa: RUF012  # of the whole process

    def __init__(self, experiment, block):
        self.experiment = experiment

    def __call__(self, seeds, numbers, progress=None):
        self.log.append((self.experiment, numbers[0]))
        return play(self.experiment, seeds, numbers)


@contextmanager
def played():
    """Within it nothing is trained; yields the log."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ladder.evidence.source.fingerprint", KNOWN)
        Player.log.clear()
        yield Player.log


@pytest.fixture(scope="module")
def climbed(tmp_path_factory):
    """The folder of an earlier climb, what is in it, and what came of it."""
    folder = tmp_path_factory.mktemp("evidence")
    with played():
        outcomes, _ = climb(folder, *CLIMBED, looks=LOOKS, run="first", trainer=Player)
    files = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    return folder, files, outcomes


def restore(folder, files):
    for target in folder.rglob("*"):
        if target not in files and (target.is_symlink() or not target.is_dir()):
            target.unlink()
    for target, content in files.items():
        as_it_was = target.is_file() and not target.is_symlink() and target.stat().st_size == len(content)
        if not as_it_was or target.read_bytes() != content:
            clear(target)
            target.write_bytes(content)


def spoiled_arrays(data, content):
    """An archive with an array of another kind, shape or name, one too few or too many, or another about."""
    with np.load(io.BytesIO(content)) as stored:
        arrays = {name: stored[name] for name in stored.files}
    about = json.loads(str(arrays.pop("about")))
    name = data.draw(st.sampled_from(sorted(arrays)), label="array")
    old = arrays[name]
    how = data.draw(
        st.sampled_from(["kind", "shape", "rename", "drop", "add", "about", "unlisted", "bytes"]), label="how"
    )
    if how == "bytes":
        return spoiled_bytes(data, content)
    if how == "kind":
        kind = data.draw(
            st.sampled_from(["U8", "S8", "c16", "f4", "f2", ">f8", "i8", "?", "O", "M8[s]", "V8"]), label="kind"
        )
        arrays[name] = np.zeros(old.shape, "?" if old.dtype == kind else kind)  # other seeds may be looked into too
    elif how == "shape":
        shapes = {
            "fewer seeds": old[1:], "no seeds": old[:0], "fewer axes": old[0], "an axis more": old[None],
            "last axis": old[..., None],
            "a number": old.ravel()[0], "other way": old.T, "fewer epochs": old[:, :-1] if old.ndim > 1 else old[:-1],
            "no epochs": old[:, :0] if old.ndim > 1 else old[:0], "twice": np.concatenate([old, old]),
            "more steps": np.concatenate([old, old], axis=-1),
        }  # fmt: skip
        arrays[name] = np.asarray(shapes[data.draw(st.sampled_from(sorted(shapes)), label="shape")])
    elif how == "rename":
        new = data.draw(
            st.sampled_from(["curve x", "trace x", "curve ", "x", "end/x", "about/x", "seeds"]), label="name"
        )
        arrays = {new if each == name else each: values for each, values in arrays.items()}
    elif how == "drop":
        del arrays[name]
    elif how == "add":
        new = data.draw(st.sampled_from(["curve x", "trace x", "x", "end/x", "seeds x"]), label="name")
        arrays[new] = old if data.draw(st.booleans()) else np.asarray("\x1b[2J")
    if how != "unlisted":
        about["arrays"] = [*arrays]
    told: Any = json.dumps(spoiled(data, about) if how == "about" else about)
    kept = io.BytesIO()
    np.savez(kept, about=np.asarray(told), **(arrays if how != "unlisted" else {name: old}))
    return kept.getvalue()


def check_climb(folder, outcomes):
    """Climb again on what is there: the verdicts of the first climb, at most one message, and a report that can be read."""
    with played() as log, in_time():
        again, evidence = climb(folder, *CLIMBED, looks=LOOKS, run="again", trainer=Player)
        done = list(log)
    for id, outcome in outcomes.items():
        now = again[id]
        assert now.verdict is outcome.verdict
        assert (now.judgement.k, now.judgement.n) == (outcome.judgement.k, outcome.judgement.n)
        bare = {"traces": {}, "inspected": {}}
        assert same(replace(now.trained, **bare), replace(outcome.trained, **bare))
        assert (now.diagnosis is None) == (outcome.diagnosis is None)
    assert len(evidence.problems) <= 1, evidence.problems
    ladder, test = Ladder(CLIMBED), SequentialTest(looks=LOOKS)
    entries = [entry(again[id], ladder, test, RunRecord(attempts=evidence.attempts.for_rung(id))) for id in ladder]
    told = document(entries, test, {"root": 0, "fresh": False, "repeat": ""}, {
        "command": "pytest", "machine": {}, "versions": {}, "commit": None
    })  # fmt: skip
    check_harmless(json.dumps(told, ensure_ascii=False) + "".join(line for line, _ in lines(told)))
    schema = json.loads(SCHEMA.read_text())
    jsonschema_rs.validator_for(schema, validate_formats=True).validate(told)
    return done, evidence


def check_evidence(data, climbed):
    """Whatever curves hold, they are used where they are what the experiment declares, or else measured again."""
    folder, files, outcomes = climbed
    restore(folder, files)
    target = data.draw(st.sampled_from([path for path in files if path.suffix == ".npz"]), label="file")
    if in_place := data.draw(st.integers(0, 9), label="file") == 0:
        what = in_the_way(data, target)
    else:
        target.write_bytes(spoiled_arrays(data, files[target]))
    done, evidence = check_climb(folder, outcomes)
    newer = any("newer ladder" in problem for problem in evidence.problems)
    lost = in_place and what == "dangling"  # as if it had never been there
    assert bool(done) == bool(evidence.problems) or lost, (done, evidence.problems)
    if not newer and not (in_place and what in ("folder", "loop")):
        done, evidence = check_climb(folder, outcomes)
        assert (done, evidence.problems) == ([], []), "what was measured again has been kept"


@cases
def test_spoilt_curves(cases, climbed):
    """Curves that are spoilt are measured again."""
    fuzz(lambda data: check_evidence(data, climbed), cases)


def check_attempts(data, climbed):
    """Whatever the list holds, nothing is trained for it, and the lines that can be read are listed."""
    folder, files, outcomes = climbed
    restore(folder, files)
    target = folder / "attempts.jsonl"
    before = files[target].decode().splitlines()
    at = data.draw(st.integers(0, len(before) - 1), label="line")
    others = [json.loads(line) for number, line in enumerate(before) if number != at]
    if in_place := data.draw(st.integers(0, 19), label="file") == 0:
        in_the_way(data, target)
        others = []
    else:
        line = packed(data, spoiled(data, json.loads(before[at]))).replace(b"\n", b" ")
        there = [each.encode() for each in before]
        there[at] = line
        target.write_bytes(b"\n".join(there) + (b"\n" if data.draw(st.booleans(), label="end") else b""))
    done, evidence = check_climb(folder, outcomes)
    check_harmless("".join(map(printable, evidence.problems)))
    if any("newer ladder" in problem or "cannot be read: " in problem for problem in evidence.problems):
        return
    assert (done, len(evidence.problems)) == ([], 1) if in_place else done == []
    listed = [attempt for id in outcomes for attempt in evidence.attempts.for_rung(id)]
    assert all(Attempt.read(json.dumps(line)) in listed for line in others if line["verdict"])


@cases
def test_spoilt_attempts(cases, climbed):
    """A spoilt list of attempts changes no verdict."""
    fuzz(lambda data: check_attempts(data, climbed), cases)


# Calibrations.

BELOW = below("loss", 0.9, by=3, source=SOURCE, calibrated=True)
FALLS = falls("loss", 0.9, by=3, source=SOURCE, calibrated=True)
CALIBRATED = Rung(number=2, name="limits", experiment=Coin(), gates=(BELOW, FALLS))
MEASURED = Calibration(
    rung="rung2",
    seeds=93,
    limits={BELOW.key: 0.25, FALLS.key: 0.3},
    medians={BELOW.key: 0.2, FALLS.key: 0.25},
    fingerprint=Fingerprint("experiment", "code", "versions", "backend"),
    created="2026-11-22T09:53:01+00:00",
)


def check_calibration(data, folder):
    """A calibration is what was measured, or it is refused by name; no limit is looser than the declared one, or no number."""
    target = path(folder, "rung2")
    clear(target)
    save(MEASURED, folder)
    if data.draw(st.integers(0, 9), label="file") == 0:
        if in_the_way(data, target) == "dangling":
            target.unlink()
            return
    else:
        target.write_bytes(packed(data, spoiled(data, asdict(MEASURED))))
    try:
        with in_time():
            found = load(folder, "rung2")
            rung = tightened(CALIBRATED, folder)
    except ValueError as error:
        told = printable(str(error))
        check_harmless(told)
        assert told.startswith(f"{target} is not a calibration (")
        assert "\n" not in told
        return
    assert found is not None
    numbers = [*found.limits.values(), *found.medians.values()]
    assert {type(value) for value in numbers} <= {int, float}
    assert np.isfinite([float(value) for value in numbers]).all()
    for gate, declared in zip(rung.gates, CALIBRATED.gates, strict=True):
        assert gate.limit == min(declared.limit, found.limits.get(gate.key, declared.limit))
    for name, known in (("fingerprint", Fingerprint), ("seeds", int), ("created", str)):
        assert type(getattr(found, name)) is known


@pytest.mark.ill_typed
@cases
def test_spoilt_calibration(cases, tmp_path_factory):
    """A spoilt calibration raises an error that names its file."""
    folder = tmp_path_factory.mktemp("calibration")
    fuzz(lambda data: check_calibration(data, folder), cases)


# What chance would not find, or not by day.


def test_printable():
    """Every control character is replaced, and every readable character is unchanged."""
    points = [chr(number) for number in range(0x110000) if unicodedata.category(chr(number)) != "Cn"]
    assert printable("".join(filter(obeyed, points))).strip("\ufffd") == ""
    plain = "".join(c for c in points if unicodedata.category(c)[0] in "LMNPS" or c in "\n\t ")
    assert printable(plain) == plain


def test_curves_of_other_metrics(tmp_path):
    """Also where the key is the same, as where ``metrics`` is computed from what no fingerprint sees."""
    evidence = Evidence(tmp_path, run="writer")
    evidence.curves.save("key", 0, play(Coin(), Seeds(), range(16)))
    for metrics, epochs in ((["loss"], 3), (["loss", "mse"], 3), (["mse"], 3), ([], 3), (["loss"], 2), (["loss"], 20)):
        reader = Evidence(tmp_path, run="reader")
        used = (metrics, epochs) == (["loss"], 3)
        assert len(list(reader.curves.blocks("key", 0, 16, metrics, epochs))) == used
        assert len(reader.problems) == 1 - used
        assert all(problem.endswith("its content is measured again") for problem in reader.problems)


@pytest.mark.parametrize("first", [True, False])
def test_blocks_of_other_traces(tmp_path, first):
    """Neither with one another nor with what is trained now."""
    trained = play(Coin(p=14 / 16), Seeds(), range(16) if first else range(16, 32))
    with played() as log:
        _, evidence = climb(tmp_path, CLIMBED[0], looks=LOOKS, run="first", trainer=Player)
        [folder] = (tmp_path / "curves").iterdir()
        evidence.curves.save(
            folder.name, 0 if first else 16, replace(trained, traces={"x": trained.traces["step_loss"]})
        )
        log.clear()
        outcomes, evidence = climb(tmp_path, CLIMBED[0], looks=LOOKS, trainer=Player)
    assert outcomes["rung1"].verdict is Verdict.UNDECIDED
    assert outcomes["rung1"].trained.traces.keys() == {"step_loss"}
    assert len(log) > 0
    assert len(evidence.problems) == 1


@pytest.mark.parametrize(
    "values", [np.zeros(3), np.asarray(1.0), np.asarray(["x"] * 4), np.zeros(4, complex), np.zeros(4, int)]
)
def test_inconsistent_inspection(tmp_path, values):
    """A block with an inspection that does not fit its seeds is dropped with one warning."""
    loss = np.zeros((4, 3))
    evidence = Evidence(tmp_path, run="writer")
    for inspected, used in (({"end/x": np.zeros((4, 2))}, 1), ({"end/x": values}, 0)):
        evidence.curves.save("key", 0, replace(Trained({"loss": loss}, {}, 0.0, 0.0), inspected=inspected))
        reader = Evidence(tmp_path, run="reader")
        assert (len(list(reader.curves.blocks("key", 0, 4, ["loss"], 3))), len(reader.problems)) == (used, 1 - used)


def test_zip_bomb(tmp_path, monkeypatch):
    """A small archive that would unpack to a large one is not unpacked."""
    evidence = Evidence(tmp_path, run="writer")
    evidence.curves.save("key", 0, play(Coin(), Seeds(), range(16)))
    [file] = tmp_path.rglob("*.npz")
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("curve x.npy", bytes(10_000_000))
    assert file.stat().st_size < 20_000
    monkeypatch.setattr(module, "MAX_BYTES", 5_000_000)
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("it is unpacked"))
    reader = Evidence(tmp_path, run="reader")
    assert list(reader.curves.blocks("key", 0, 16, ["loss"], 3)) == []
    [problem] = reader.problems
    assert "at most 5000000 are read" in problem


def test_list_of_damaged_lines(tmp_path):
    """A long list of damaged lines is read in seconds and reported in one message."""
    (tmp_path / "attempts.jsonl").write_bytes(b"{}\n" * 5_000_000)
    with in_time():
        [problem] = Evidence(tmp_path, run="reader").problems
    assert "line 1, 2, 3, 4, 5 and 995 more (the lines after them were not read) cannot be read" in problem


def test_list_of_unfinished_attempts(tmp_path):
    """A long list of unfinished attempts is matched with their ends in seconds."""
    written = {"run": "writer", "date": "2026-11-30T12:00:00+00:00", "commit": "", "rung": "rung1", "root": 0}
    begun = [Attempt(**written, key=str(number)) for number in range(40_000)]
    ended = [replace(attempt, verdict="PASS", k=1, n=1) for attempt in begun]
    lines = (json.dumps({"format": 1, **asdict(attempt)}) for attempt in (*begun, *ended))
    (tmp_path / "attempts.jsonl").write_text("\n".join(lines) + "\n")
    writer = Evidence(tmp_path, run="writer")
    with in_time():
        assert {attempt.verdict for attempt in writer.attempts.for_rung("rung1")} == {"PASS"}


def test_attempts_of_two_ladders(tmp_path):
    """Two ladders in one repository have separate attempts, and older attempts count for both."""
    for ladder, verdict in (("a", "PASS"), ("b/deep", "FAIL"), ("", "CRASHED")):
        Evidence(tmp_path, run=verdict, ladders={"rung1": ladder}).attempts.end("rung1", "key", 0, verdict=verdict)
    old = json.loads((tmp_path / "attempts.jsonl").read_text().splitlines()[0])
    del old["ladder"]
    with (tmp_path / "attempts.jsonl").open("a") as file:
        file.write(json.dumps(old | {"verdict": "UNDECIDED"}) + "\n")
    told = {
        ladder: [
            each.verdict
            for each in Evidence(tmp_path, run="reader", ladders={"rung1": ladder}).attempts.for_rung("rung1")
        ]
        for ladder in ("a", "b/deep", "c", "")
    }
    assert told == {
        "a": ["PASS", "CRASHED", "UNDECIDED"],
        "b/deep": ["FAIL", "CRASHED", "UNDECIDED"],
        "c": ["CRASHED", "UNDECIDED"],
        "": ["PASS", "FAIL", "CRASHED", "UNDECIDED"],
    }


def test_ladder_of_a_rung(pytester, rungs):
    """The ladder of a rung is the folder of its test."""
    rungs(coin="Coin()")
    [rung] = pytester.path.glob("test_rung1_*.py")
    text = rung.read_text()
    rung.unlink()
    for folder, name in (("one", "coin"), ("two/deep", "toss")):
        (pytester.path / folder).mkdir(parents=True)
        (pytester.path / folder / f"test_rung1_{name}.py").write_text(
            text.replace("Coin()", f"Coin(shift=0.0{len(folder)})")
        )
        assert pytester.runpytest(folder).ret == 0
        assert json.loads((pytester.path / "reports" / "ladder.json").read_text())["rungs"][0]["attempts"]["total"] == 1
    listed = map(json.loads, (pytester.path / "reports" / "evidence" / "attempts.jsonl").read_text().splitlines())
    assert [line["ladder"] for line in listed] == ["one", "one", "two/deep", "two/deep"]


NAMES = """
from dataclasses import dataclass
NASTY = "x\\x1b]0;mine\\x07\\u202egreen\\u2028%s"

@dataclass(frozen=True, kw_only=True)
class Nasty(Coin):
    word: str = NASTY

RUNGS = [
    Rung(number=1, name=NASTY, claim=NASTY, experiment=Nasty(), gates=(below("loss", 0.5, by=3, source=NASTY),)),
    Rung(number=2, name=NASTY, experiment=Nasty(p=%s), gates=(below("loss", 0.5, by=3, source=NASTY),), parent="rung1",
         adds="p", compare={"loss": NASTY}),
    Rung(number=3, name=NASTY, experiment=Nasty(word="x"), gates=(below("loss", 0.5, by=3, source=NASTY),), parent="rung1",
         adds="word", compare={"loss": NASTY}),
]
"""


@pytest.mark.parametrize("half", ["", r"\ud800"])  # with which pytest escapes the whole line
@pytest.mark.parametrize("p", [0.0, 14 / 16])
def test_control_characters_in_names(pytester, rungs, p, half):
    """Control characters in the text of rungs reach neither the terminal nor the report."""
    rungs(coin="Coin()")
    [rung] = pytester.path.glob("test_rung1_*.py")
    rung.write_text(HEAD + NAMES % (half, p) + TEST)
    ended = pytester.runpytest()
    told = ended.stdout.str() + ended.stderr.str()
    assert ended.ret == 1
    assert "\ufffd]0;mine" in told
    check_harmless(told)
    for name in ("ladder.json", "ladder.md"):
        check_harmless((pytester.path / "reports" / name).read_text())
    assert ladder("show", pytester.path / "reports" / "ladder.json")[0] == 1


@pytest.mark.parametrize(
    "content",
    [b"[" * 100_000, b"\xff", b'{"rung": "\\ud800\\u001b[2J"}', json.dumps(asdict(MEASURED) | {"seeds": True}).encode(),
     json.dumps(asdict(MEASURED) | {"limits": MEASURED.limits | {BELOW.key: True}}).encode(),
     json.dumps(asdict(MEASURED) | {"limits": MEASURED.limits | {BELOW.key: 10**400}}).encode(),
     json.dumps(asdict(MEASURED) | {"limits": MEASURED.limits | {FALLS.key: -1.0}}).encode(), "fifo", "folder"],
    ids=["deep", "not utf-8", "another", "a flag", "a flag as a limit", "beyond all", "no factor", "fifo", "folder"],
)  # fmt: skip
def test_usage_error_of_a_calibration(pytester, rungs, content):
    """A spoilt calibration ends the run with one usage error that names its file."""
    rungs(coin="Coin()")
    [rung] = pytester.path.glob("test_rung1_*.py")
    gate = (
        '(below("loss", 0.9, by=3, source="s", calibrated=True), falls("loss", 0.9, by=3, source="s", calibrated=True))'
    )
    rung.write_text(
        f"from ladder import falls\n{HEAD}RUNGS = [Rung(number=2, name='x', experiment=Coin(), gates={gate})]{TEST}"
    )
    folder = pytester.path / "reports" / "calibration"
    folder.mkdir(parents=True)
    if content == "fifo":
        os.mkfifo(folder / "rung2.json")
    elif content == "folder":
        (folder / "rung2.json").mkdir()
    else:
        (folder / "rung2.json").write_bytes(content)
    with in_time():
        ended = pytester.runpytest()
    [line] = ended.stderr.str().strip().splitlines()
    assert ended.ret == 4
    assert line.startswith(f"ERROR: ladder: {folder / 'rung2.json'} is not a calibration (")
    assert line.endswith("; measure it again or restore it from git")
    check_harmless(line)


def grown(valid, **change):
    return json.loads(json.dumps(valid)) | change


@pytest.mark.parametrize("command", ["show", "explain", "compare", "open", "list", "history"])
def test_too_large_report(reports, tmp_path, command):
    """A report that is too large is refused in seconds by every command."""
    _, valid = reports
    many = [valid["green"]["rungs"][0] | {"id": f"rung{number}", "number": number} for number in range(1, 1200)]
    gates = [valid["green"]["rungs"][0] | {"gates": valid["green"]["rungs"][0]["gates"] * 1200}]
    huge = tmp_path / "huge.json"
    with huge.open("wb") as file:
        file.write(b'{"schema": "2.1.0", "x": "')
        file.truncate(2**33)
    for content, said in ((grown(valid["green"], rungs=many), "1199 rungs"), (grown(valid["green"], rungs=gates), "1200 cond"),
                          (None, "at most 16777216 are read")):  # fmt: skip
        target = tmp_path / "ladder.json"
        target.unlink(missing_ok=True)
        target.write_text(json.dumps(content)) if content else target.symlink_to(huge)
        arguments = {
            "explain": ["rung1", target],
            "compare": [target, target],
            "list": [tmp_path],
            "history": [tmp_path],
        }
        code, out, err = ladder(command, *arguments.get(command, [target]))
        assert (code, (out + err).count("\n")) == (2, 1 + (command == "list"))
        assert said in out + err or command in ("open", "history")


@pytest.mark.ill_typed  # with checks it takes longer than it may
def test_largest_report(reports, tmp_path):
    """A report of almost the largest size is read in seconds."""
    _, valid = reports
    target = tmp_path / "ladder.json"
    document = grown(valid["green"])
    [epochs] = {len(rung["epochs"]) for rung in document["rungs"]}
    seeds = (reading.LARGEST - 100_000) // (len("0.12345, ") * epochs + 2)
    document["rungs"][0]["curves"]["more"] = [[0.12345] * epochs] * seeds
    target.write_text(json.dumps(document))
    assert 0.9 * reading.LARGEST < target.stat().st_size <= reading.LARGEST
    assert ladder("show", target)[0] == 0


@pytest.mark.parametrize("created", ["yesterday", "2026-13-01T00:00:00+00:00", "", "2026-11-22T09:53:60+00:00"])
def test_invalid_date(reports, tmp_path, created):
    """A report with an invalid date is refused by every command."""
    _, valid = reports
    target = tmp_path / "ladder.json"
    target.write_text(json.dumps(grown(valid["green"], created=created)))
    for command in (["show", target], ["explain", "rung1", target], ["compare", target, target], ["history", tmp_path]):
        code, out, err = ladder(*command)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert command[0] == "history" or f"it was created at {created!r}, which is not a date" in err


@pytest.mark.parametrize("depth", [70, 900, 100_000])
def test_deeply_nested_report(reports, tmp_path, depth):
    """Here and not by chance alone, for Hypothesis has Python nest deeper than it does elsewhere."""
    _, valid = reports
    target = tmp_path / "ladder.json"
    deep = json.dumps(grown(valid["green"], machine={"x": "?"})).replace('"?"', "[" * depth + "]" * depth)
    target.write_text(deep)
    for command in (["show", target], ["explain", "rung1", target], ["compare", target, target], ["history", tmp_path]):
        code, out, err = ladder(*command)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert command[0] == "history" or "nested too deeply" in err or "recursion" in err


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999", "1" + "0" * 400, "-9223372036854775808"])
def test_invalid_json_number(reports, tmp_path, number):
    """A report with a number outside the range of JSON readers is refused."""
    _, valid = reports
    target = tmp_path / "ladder.json"
    target.write_text(json.dumps(grown(valid["green"], machine={"x": "?"})).replace('"?"', number))
    for command in (["show", "--json", target], ["explain", "rung1", target], ["compare", target, target]):
        code, out, err = ladder(*command)
        assert (code, out) == (2, "")
        assert err.startswith(f"ladder: {target} is not a ladder report: {number[:40]} is ")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"verdict": "CRASHED"}, "rung1, a gate, is green and CRASHED"),
        ({"gates": [], "goals": []}, "rung1 was judged without conditions"),
        ({"role": "goal", "goals": []}, "rung1 was judged without conditions"),
    ],
)
def test_contradictory_verdict(reports, tmp_path, change, said):
    """A report with a verdict that contradicts its conditions is refused."""
    _, valid = reports
    rungs = [valid["green"]["rungs"][0] | change]
    target = tmp_path / "ladder.json"
    target.write_text(json.dumps(grown(valid["green"], rungs=rungs)))
    assert ladder("show", target) == (2, "", f"ladder: {target} is not a valid report: {said}\n")


def test_control_characters_in_file_names(reports, tmp_path):
    """Control characters in file names do not reach the terminal."""
    _, valid = reports
    folder = tmp_path / "a\x1b]0;mine\x07\u202e\udcffb"
    for name in ("one", "two"):
        (folder / name).mkdir(parents=True)
        (folder / name / "ladder.json").write_text(
            json.dumps(valid["red"] | {"complete": False}) if name == "one" else "{"
        )
        (folder / name / "ladder.html").mkdir()
    (folder / "test_rung1_\u202ex.py").touch()
    assert ladder("list", tmp_path)[0] == 0
    assert ladder("history", folder)[0] == 0
    assert ladder("open", folder / "one" / "ladder.json")[0] == 2
    code, out, _ = ladder("list", "--json", tmp_path)
    assert (code, json.loads(out)["reports"][0]["report"]) == (0, f"{folder.name}/one/ladder.json")


@pytest.mark.parametrize("content", ["", "[" * 100_000, "{}", "[]", "\udcff", '{"complete": 1}'])
def test_nightly_report_completeness(tmp_path, content):
    """A spoilt report makes its nightly run incomplete."""
    nightly = runpy.run_path(str(Path(__file__).parents[3] / ".ci" / "nightly.py"))
    target = tmp_path / "ladder.json"
    assert not nightly["_complete"](target)
    target.write_bytes(content.encode(errors="surrogateescape"))
    assert not nightly["_complete"](target)
    target.write_text('{"complete": true}')
    assert nightly["_complete"](target)
