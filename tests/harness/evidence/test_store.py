"""Evidence: an unchanged rung is judged again without training, a changed one is not, and every attempt stays listed."""

import json
import os
import re
import subprocess
import sys
import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from played import BETTER, ROOT, Player, at, climb, play, same
from toys import SOURCE, Coin

from ladder import Climb, Ladder, Seeds, SequentialTest, Trained, Verdict, below
from ladder.evidence import lock, provenance
from ladder.evidence.archive import archive_key
from ladder.evidence.attempts import Attempt
from ladder.evidence.fingerprint import fingerprint
from ladder.evidence.source import CurveSource
from ladder.evidence.store import Evidence
from ladder.evidence.stored import NewerFormatError
from ladder.report.document import ATTEMPTS, RunRecord, entry
from ladder.report.terminal import lines


@pytest.fixture
def trained():
    """The log of what is trained."""
    Player.log.clear()
    return Player.log


@pytest.mark.parametrize(
    ("p", "verdict"),
    [(1.0, Verdict.PASS), (0.0, Verdict.FAIL), (14 / 16, Verdict.UNDECIDED)],
    ids=lambda value: str(getattr(value, "value", "")),
)
def test_verdict_from_evidence(tmp_path, trained, p, verdict):
    """Every verdict is reached again from evidence without training."""
    before, _ = climb(tmp_path, at(p))
    assert trained == [(Coin(p=p), list(range(16)))]
    after, evidence = climb(tmp_path, at(p))
    assert len(trained) == 1
    first, second = before["rung1"], after["rung1"]
    assert first.verdict is second.verdict is verdict
    assert (first.judgement.k, first.judgement.n) == (second.judgement.k, second.judgement.n)
    assert same(first.trained, second.trained)
    assert first.evidence == ()
    [(origin, seeds)] = second.evidence
    assert (origin.commit, seeds) == ("abc", 16)
    assert [attempt.verdict for attempt in evidence.attempts.for_rung("rung1")] == [verdict]
    assert evidence.problems == []


def test_additional_seeds(tmp_path, trained):
    """A climb with more seeds trains only those that are missing."""
    undecided = at(14 / 16)
    climb(tmp_path, undecided)
    outcomes, _ = climb(tmp_path, undecided, looks=(16, 32, 64))
    assert [numbers for _, numbers in trained] == [list(range(i, i + 16)) for i in (0, 16, 32, 48)]
    found = outcomes["rung1"]
    assert [seeds for _, seeds in found.evidence] == [16]
    assert same(found.trained, play(undecided.experiment, Seeds(), range(64)))

    again, _ = climb(tmp_path, undecided, looks=(16, 32, 64))
    assert len(trained) == 4
    assert [seeds for _, seeds in again["rung1"].evidence] == [16, 16, 16, 16]
    fewer, _ = climb(tmp_path, undecided, looks=(20,))
    assert len(trained) == 4, "other looks, the same seeds"
    assert [seeds for _, seeds in fewer["rung1"].evidence] == [16, 4]
    assert same(fewer["rung1"].trained, play(undecided.experiment, Seeds(), range(20)))


def test_partial_block(tmp_path, trained):
    """Seeds beyond the end of a stored block are trained and stored as a block of their own."""
    climb(tmp_path, at(14 / 16), looks=(10,))
    climb(tmp_path, at(14 / 16), looks=(16, 32))
    assert [numbers for _, numbers in trained] == [list(range(10)), list(range(10, 16)), list(range(16, 32))]


def test_changed_component(tmp_path, trained):
    """An experiment with a changed component is trained anew, and the old evidence remains."""
    climb(tmp_path, ROOT)
    for change in ({"p": 0.5}, {"shift": 1e-17}, {"epochs": 4}):
        climb(tmp_path, replace(ROOT, experiment=Coin(**change)))
    assert len(trained) == 4
    climb(tmp_path, ROOT)
    assert len(trained) == 4, "what was measured before the changes is still there"


@pytest.mark.parametrize(
    ("file", "again"),
    [("experiments.py", True), ("deep/inner.py", True), ("sibling.py", True), ("unrelated.py", False)],
)
def test_edited_source(lab, tmp_path, trained, file, again):
    """An edited source file causes training only if the experiment imports it."""
    own = replace(ROOT, experiment=sys.modules["lab.experiments"].Own())
    climb(tmp_path / "evidence", own)
    text = (lab / file).read_text()
    (lab / file).write_text(text + "edited = True\n")
    climb(tmp_path / "evidence", own)
    assert len(trained) == 1 + again
    (lab / file).write_text(text)
    climb(tmp_path / "evidence", own)
    assert len(trained) == 1 + again, "the edit was taken back"


@pytest.mark.parametrize("package", ["jax", "jaxlib", "numpy", "ml-dtypes"])
def test_dependency_version(tmp_path, trained, monkeypatch, package):
    """Another version of a package that the experiment depends on causes training."""
    climb(tmp_path, ROOT)
    installed = provenance.metadata.distribution

    def updated(name):
        found = installed(name)
        if name != package:
            return found
        return SimpleNamespace(version="0.0.1", requires=found.requires, locate_file=found.locate_file)

    with monkeypatch.context() as patch:
        patch.setattr(provenance.metadata, "distribution", updated)
        provenance.dependency_versions.cache_clear()  # no version changes in a process, but for a test
        climb(tmp_path, ROOT)
    assert len(trained) == 2
    provenance.dependency_versions.cache_clear()
    climb(tmp_path, ROOT)
    assert len(trained) == 2


@pytest.mark.parametrize("changed", ["backend", "flags", "precision"])
def test_backend(tmp_path, trained, monkeypatch, changed):
    """Another backend, other XLA flags or another precision cause training."""
    import jax

    climb(tmp_path, ROOT)
    if changed == "backend":
        monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    elif changed == "flags":
        monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    with jax.default_matmul_precision("float32" if changed == "precision" else None):
        climb(tmp_path, ROOT)
    assert len(trained) == 2


def test_changed_criterion(tmp_path, trained):
    """A changed criterion is judged on the stored curves without training."""
    climb(tmp_path, ROOT)
    stricter = replace(ROOT, gates=(below("loss", 0.01, by=3, source=SOURCE),))
    outcomes, evidence = climb(tmp_path, stricter)
    assert len(trained) == 1
    assert outcomes["rung1"].verdict is Verdict.FAIL
    assert [(attempt.verdict, attempt.k, attempt.n) for attempt in evidence.attempts.for_rung("rung1")] == [
        ("PASS", 16, 16),
        ("FAIL", 0, 16),
    ]
    _, evidence = climb(tmp_path, stricter)
    assert len(evidence.attempts.for_rung("rung1")) == 2, "the same verdict on the same curves is no news"
    _, evidence = climb(tmp_path, ROOT)
    assert [attempt.verdict for attempt in evidence.attempts.for_rung("rung1")] == ["PASS", "FAIL", "PASS"]
    assert len(trained) == 1


def test_other_seed_root(tmp_path, trained):
    """Evidence of another seed root is stored separately from that of the default root."""
    default, _ = climb(tmp_path, ROOT)
    kept = {path: path.read_bytes() for path in tmp_path.rglob("*.npz")}
    fresh, evidence = climb(tmp_path, ROOT, root=7)
    assert len(trained) == 2
    assert not same(default["rung1"].trained, fresh["rung1"].trained)
    assert fresh["rung1"].evidence == ()
    assert all(path.read_bytes() == content for path, content in kept.items())
    assert len(list(tmp_path.rglob("*.npz"))) == 2
    assert [attempt.root for attempt in evidence.attempts.for_rung("rung1")] == [0, 7]
    again, _ = climb(tmp_path, ROOT)
    repeated, _ = climb(tmp_path, ROOT, root=7)
    assert len(trained) == 2
    assert same(again["rung1"].trained, default["rung1"].trained)
    assert same(repeated["rung1"].trained, fresh["rung1"].trained)


class Other(Player):
    """Another trainer."""


def test_key_by_trainer(tmp_path, trained):
    """Evidence of one trainer does not count for another."""
    climb(tmp_path, ROOT)
    climb(tmp_path, ROOT, trainer=Other)
    assert len(trained) == 2
    climb(tmp_path, ROOT, trainer=Other)
    assert len(trained) == 2


def test_key_by_stream():
    """Keys of evidence differ by seed root and by stream."""
    found = fingerprint(Coin())
    assert (
        len({archive_key(found, Seeds()), archive_key(found, Seeds(root=1)), archive_key(found, Seeds(stream=1))}) == 3
    )


def test_order_of_attempts(tmp_path, trained, monkeypatch):
    """Attempts are listed in order, including crashed and unfinished ones."""
    climb(tmp_path, ROOT, run="first")

    def die(self, rung, *others):
        raise SystemError("as if killed")

    with monkeypatch.context() as patch:
        patch.setattr(CurveSource, "__call__", die)
        patch.setattr(Climb, "_end", lambda self, rung, outcome: None)
        with pytest.raises(SystemError):
            climb(tmp_path, ROOT, root=1, run="killed")
    with monkeypatch.context() as patch:
        patch.setattr(CurveSource, "__call__", die)
        with pytest.raises(SystemError):
            climb(tmp_path, ROOT, root=2, run="crashed")
    climb(tmp_path, at(0.0), run="failed")
    evidence = Evidence(tmp_path, run="reader")
    told = [
        (each.run, each.root, each.verdict, each.k, each.n, each.error) for each in evidence.attempts.for_rung("rung1")
    ]
    assert told == [
        ("first", 0, "PASS", 16, 16, ""),
        ("killed", 1, "", None, None, ""),
        ("crashed", 2, "CRASHED", None, None, "as if killed"),
        ("failed", 0, "FAIL", 0, 16, ""),
    ]
    assert evidence.attempts.for_rung("rung2") == []


def test_attempts_in_the_report(tmp_path, trained):
    """The report counts all attempts and lists the latest."""
    evidence = Evidence(tmp_path, run="many")
    for number in range(ATTEMPTS + 3):
        evidence.attempts.end("rung1", f"{number}", 0, verdict="FAIL", k=number, n=16)
    ladder, test = Ladder([ROOT]), SequentialTest(looks=(16,))
    found = entry(
        Climb(ladder, test, trainer=Player)("rung1"),
        ladder,
        test,
        RunRecord(attempts=evidence.attempts.for_rung("rung1")),
    )["attempts"]
    assert found["total"] == ATTEMPTS + 3
    assert [attempt["k"] for attempt in found["latest"]] == list(range(3, ATTEMPTS + 3))


def test_rerun(tmp_path, trained):
    """A rerun trains again, and later runs use its evidence."""
    undecided = at(14 / 16)
    climb(tmp_path, undecided, looks=(16, 32), run="first")
    outcomes, evidence = climb(tmp_path, undecided, looks=(16, 32), run="again", rerun=True)
    assert len(trained) == 4
    assert outcomes["rung1"].evidence == ()
    assert [attempt.run for attempt in evidence.attempts.for_rung("rung1")] == ["first", "again"]
    for path in tmp_path.rglob("*.npz"):
        assert json.loads(str(np.load(path)["about"]))["run"] == "again"
    climb(tmp_path, undecided, looks=(16, 32))
    assert len(trained) == 4


def test_evidence_of_a_rerun(tmp_path, trained):
    """The evidence of a rerun replaces all earlier evidence of the experiment."""
    climb(tmp_path, ROOT, looks=(32,), run="first")
    climb(tmp_path, ROOT, looks=(16,), run="again", rerun=True)
    assert [path.name for path in tmp_path.rglob("*.npz")] == ["0-16.npz"]
    outcomes, _ = climb(tmp_path, ROOT, looks=(16,))
    assert len(trained) == 3
    assert [seeds for _, seeds in outcomes["rung1"].evidence] == [16]


def test_workers_of_a_rerun(tmp_path, trained):
    """Workers of a rerun use what other workers of the same run have trained."""
    climb(tmp_path, ROOT, run="first")
    climb(tmp_path, ROOT, run="again", rerun=True)
    climb(tmp_path, ROOT, run="again", rerun=True)
    assert len(trained) == 2


def test_evidence_of_a_compared_rung(tmp_path, trained):
    """The curves of a compared rung are read from evidence, too."""
    before, _ = climb(tmp_path, ROOT, BETTER)
    assert [coin.shift for coin, _ in trained] == [0.0, -0.1]
    evidence = Evidence(tmp_path, run="alone")
    alone = Climb(
        Ladder([ROOT, BETTER]),
        SequentialTest(looks=(16,)),
        Seeds(),
        evidence,
        elsewhere=lambda id: Verdict.PASS,
        trainer=Player,
    )
    outcome = alone("rung2")
    assert len(trained) == 2
    assert outcome.verdict is before["rung2"].verdict
    assert [effect.interval for effect in outcome.judgement.effects] == [
        effect.interval for effect in before["rung2"].judgement.effects
    ]
    assert len(evidence.attempts.for_rung("rung2")) == 1


def test_changed_parent(tmp_path, trained):
    """A changed parent is trained anew and the rung itself is not."""
    climb(tmp_path, ROOT, replace(BETTER, parent="", adds="", compare={}))
    climb(tmp_path, replace(ROOT, experiment=Coin(epochs=4)), replace(BETTER, parent="", adds="", compare={}))
    assert [(coin.shift, coin.epochs) for coin, _ in trained] == [(0.0, 3), (-0.1, 3), (0.0, 4)]


def test_experiment_on_another_rung(tmp_path, trained):
    """An experiment that another rung has trained is not trained again."""
    climb(tmp_path, ROOT)
    outcomes, evidence = climb(tmp_path, replace(ROOT, number=5, name="renamed"))
    assert len(trained) == 1
    assert [seeds for _, seeds in outcomes["rung5"].evidence] == [16]
    assert [attempt.verdict for attempt in evidence.attempts.for_rung("rung5")] == ["PASS"]


def test_inspection(tmp_path, trained):
    """Inspections are stored with the curves of the seeds, and their error with them."""
    shows = replace(ROOT, experiment=Coin(shift=2.0))
    first, _ = climb(tmp_path, shows)
    second, _ = climb(tmp_path, shows)
    assert len(trained) == 1
    np.testing.assert_array_equal(second["rung1"].trained.inspected["end/weights"], np.arange(16) / 7.0)
    assert same(second["rung1"].trained, first["rung1"].trained)
    lost = replace(first["rung1"].trained, inspected={}, inspection_error="the inspection raised IndexError()")
    evidence = Evidence(tmp_path, run="writer")
    evidence.curves.save("key", 0, lost)
    [(found, _)] = evidence.curves.blocks("key", 0, 16, ["loss"], 3)
    assert (found.inspected, found.inspection_error) == ({}, lost.inspection_error)


def test_round_trip(tmp_path):
    """Stored curves are read back bit by bit."""
    odd = np.array([[np.nan, -0.0, 5e-324], [np.inf, -np.inf, 1 / 3]])
    odd.view(np.uint64)[0, 0] = 0x7FF8_0000_DEAD_BEEF
    trained = Trained({"loss": odd, "a name, with: signs/": odd * 2}, {"step loss": odd[:, :, None]}, 0.5, 2.0)
    evidence = Evidence(tmp_path, run="writer", commit="abc+")
    evidence.curves.save("key", 3, trained)
    [block] = Evidence(tmp_path, run="reader").curves.blocks("key", 3, 5, [*trained.curves], 3)
    assert same(block.trained, trained)
    assert (block.trained.compile_seconds, block.trained.run_seconds) == (0.5, 2.0)
    assert block.origin.commit == "abc+"
    assert list(Evidence(tmp_path, run="reader").curves.blocks("key", 0, 5, [*trained.curves], 3)) == [], (
        "there is no seed 0"
    )
    assert list(Evidence(tmp_path, run="reader").curves.blocks("other", 3, 5, [*trained.curves], 3)) == []


def test_damage_detection(tmp_path):
    """Damage to a block is either detected or without effect on its curves."""
    trained = play(Coin(), Seeds(), range(2))
    Evidence(tmp_path, run="writer").curves.save("key", 0, trained)
    [file] = tmp_path.rglob("*.npz")
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    damaged = [whole[:end] for end in range(0, len(whole), 31)] + [whole + b"x" * 70_000]
    for place in range(0, len(whole), 2):
        flipped = bytearray(whole)
        flipped[place] ^= int(rng.integers(1, 256))
        damaged.append(bytes(flipped))
    noticed = 0
    for content in damaged:
        file.write_bytes(content)
        evidence = Evidence(tmp_path, run="reader")
        blocks = list(evidence.curves.blocks("key", 0, 2, ["loss"], 3))
        if blocks:
            assert same(blocks[0].trained, trained), "what nothing depends on may be anything"
            assert evidence.problems == []
        else:
            noticed += 1
            [problem] = evidence.problems
            assert problem.startswith(f"{file} is not used: ")
            assert problem.endswith("its content is measured again")
    assert noticed > 0.7 * len(damaged)


@pytest.mark.parametrize("seeds", [15, 17])
def test_block_with_other_seeds(tmp_path, seeds):
    """A block whose number of seeds differs from its name is not used."""
    Evidence(tmp_path, run="writer").curves.save("key", 0, play(Coin(), Seeds(), range(16)))
    [file] = tmp_path.rglob("*.npz")
    file.rename(file.with_name(f"0-{seeds}.npz"))
    evidence = Evidence(tmp_path, run="reader")
    assert list(evidence.curves.blocks("key", 0, seeds, ["loss"], 3)) == []
    assert len(evidence.problems) == 1


def test_damaged_block(tmp_path, trained):
    """A damaged block is trained again, and the other blocks are used."""
    climb(tmp_path, at(14 / 16), looks=(16, 32))
    first, _ = sorted(tmp_path.rglob("*.npz"))
    first.write_bytes(first.read_bytes()[:-100])
    outcomes, evidence = climb(tmp_path, at(14 / 16), looks=(16, 32))
    assert [numbers[0] for _, numbers in trained] == [0, 16, 0]
    assert [seeds for _, seeds in outcomes["rung1"].evidence] == [16]
    assert len(evidence.problems) == 1
    _, evidence = climb(tmp_path, at(14 / 16), looks=(16, 32))
    assert (len(trained), evidence.problems) == (3, [])


def test_attempt_parsing():
    """A line of the list is an attempt, or it raises an error for damage or for a newer format."""
    attempt = Attempt(rung="r", key="k", root=0, run="x", date="2026-11-22T09:53:01+00:00", commit="c")
    told = {"rung": "r", "key": "k", "root": 0, "run": "x", "date": attempt.date, "commit": "c"}
    line = json.dumps({"format": 1, **told, "later": 1})
    assert Attempt.read(line) == attempt
    for damaged in ("", "[]", "{}", '{"format": "1"}', '{"format": 1}', line[:-1], "\x00" * 8, "NaN"):
        with pytest.raises(ValueError, match=r".*"):
            Attempt.read(damaged)
    with pytest.raises(NewerFormatError, match="format 2, this version reads 1"):
        Attempt.read(line.replace("1", "2", 1))


def test_concurrent_appends(tmp_path):
    """Lines that threads append at the same time are all written."""

    def append(run):
        evidence = Evidence(tmp_path, run=run)
        for number in range(50):
            evidence.attempts.end("rung1", "k" * number * 50, 0, verdict="PASS")

    threads = [threading.Thread(target=append, args=[f"{number}"]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    evidence = Evidence(tmp_path, run="reader")
    assert evidence.problems == []
    assert len(evidence.attempts.for_rung("rung1")) == 200


def test_run_lock(tmp_path):
    """Another live run is reported, and neither a dead one nor a worker of the same run is."""
    program = (
        "import sys, pathlib; from ladder.evidence.store import Evidence\n"
        "evidence = Evidence(pathlib.Path(sys.argv[1]), run=sys.argv[2]); evidence.lock.acquire()\n"
        "print(*evidence.problems, flush=True); sys.stdin.read()"
    )

    def started(run):
        command = [sys.executable, "-c", program, str(tmp_path), run]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "\n"
        return process

    other = started("other")
    for _ in range(2):  # also to one that comes second
        evidence = Evidence(tmp_path, run="ours")
        evidence.lock.acquire()
        [problem] = evidence.problems
        assert re.fullmatch(
            rf"another run is climbing in this checkout \(process {other.pid}, since \S+\); they share their evidence, "
            "and the report is that of the run that ends last",
            problem,
        )
        evidence.lock.release()
    other.kill()
    other.communicate()
    evidence = Evidence(tmp_path, run="ours")
    evidence.lock.acquire()
    worker = started("ours")  # is told of nobody, though its run's first process is there
    assert evidence.problems == []
    names = {path.name for path in (tmp_path / "running").iterdir()}
    assert names == {f"ours-{os.getpid()}", f"ours-{worker.pid}"}
    evidence.lock.release()
    late = Evidence(tmp_path, run="late")
    late.lock.acquire()
    [problem] = late.problems
    assert f"(process {worker.pid}, since " in problem, "a run is under way as long as one of its processes is"
    late.lock.release()
    worker.kill()
    worker.communicate()


def test_concurrent_lock_cleanup(tmp_path, monkeypatch):
    """Two runs may remove the lock of a dead run at the same time."""
    (tmp_path / "running").mkdir()
    for name in ("died", "died too"):
        (tmp_path / "running" / name).touch()
    look = lock._holder

    def late(path):
        path.unlink(missing_ok=True)  # the other was faster
        return look(path)

    monkeypatch.setattr(lock, "_holder", late)
    evidence = Evidence(tmp_path, run="ours")
    evidence.lock.acquire()
    evidence.attempts.end("rung1", "key", 0, verdict="PASS")
    assert evidence.problems == []
    assert len(Evidence(tmp_path, run="reader").attempts.for_rung("rung1")) == 1
    evidence.lock.release()


def test_evidence_in_the_summary(tmp_path, trained):
    """The summary gives the date and commit of evidence and the number of its seeds."""
    test, ladder = SequentialTest(looks=(16, 32)), Ladder([at(14 / 16)])

    def told(commit):
        climb = Climb(ladder, test, Seeds(), Evidence(tmp_path, run=commit, commit=commit), trainer=Player)
        document = {
            "rungs": [entry(climb("rung1"), ladder, test)],
            "culprit": None,
            "other_culprits": [],
            "complete": True,
        }
        return [line for line, _ in lines(document) if "from evidence" in line]

    CurveSource(Seeds(), 16, Evidence(tmp_path, run="a", commit="aaa"), Player)(ladder["rung1"], 16)
    date = r"\d{4}-\d\d-\d\d"
    [some] = told("bbb")
    assert re.fullmatch(rf"rung1: 16 of 32 seeds from evidence of {date}, commit aaa", some)
    one, other = told("ccc")
    assert re.fullmatch(rf"rung1: 16 of 32 seeds from evidence of {date}, commit aaa", one)
    assert re.fullmatch(rf"rung1: 16 of 32 seeds from evidence of {date}, commit bbb", other)


@pytest.fixture
def counted(monkeypatch):
    """Every block that is trained, for real."""
    from ladder.train.compiled import CompiledTrainer

    log = []

    class Counting(CompiledTrainer):
        def __call__(self, seeds, numbers, progress=None):
            log.append((self.experiment.shift, list(numbers)))
            return super().__call__(seeds, numbers, progress)

    monkeypatch.setattr("ladder.train.compiled.CompiledTrainer", Counting)
    return log


def report(pytester):
    return json.loads((pytester.path / "reports" / "ladder.json").read_text())


def test_second_run(pytester, rungs, counted):
    """A second run trains nothing and names the evidence that it used."""
    rungs(coin="Coin()", shift="Coin(shift=0.1)")
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    for arguments in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "first"]):
        subprocess.run(["git", *arguments], cwd=pytester.path, check=True)
    sha = subprocess.run(["git", "rev-parse", "HEAD"], cwd=pytester.path, check=True, capture_output=True, text=True)
    first = pytester.runpytest()
    assert [shift for shift, _ in counted] == [0.0, 0.1]
    assert "from evidence of" not in first.stdout.str()
    before = report(pytester)

    second = pytester.runpytest()
    assert (first.ret, second.ret, len(counted)) == (0, 0, 2)
    assert re.search(
        rf"(?m)^every rung: from evidence of \d{{4}}-\d\d-\d\d, commit {sha.stdout[:12]}\+?$", second.stdout.str()
    )
    after = report(pytester)
    assert [len(rung["evidence"]) for rung in before["rungs"]] == [0, 0]
    assert [[origin["seeds"] for origin in rung["evidence"]] for rung in after["rungs"]] == [[16], [16]]
    for one, other in zip(before["rungs"], after["rungs"], strict=True):
        assert {**one, "evidence": []} == {**other, "evidence": []}

    again = pytester.runpytest("--ladder-rerun")
    assert len(counted) == 4
    assert "from evidence of" not in again.stdout.str()
    assert [rung["attempts"]["total"] for rung in report(pytester)["rungs"]] == [2, 2]
    elsewhere = pytester.runpytest("--ladder-evidence=other")
    assert len(counted) == 6
    assert elsewhere.ret == 0
    assert (pytester.path / "other" / "attempts.jsonl").exists()


def test_fresh_seeds(pytester, rungs, counted):
    """Fresh seeds have evidence of their own and leave that of the default seeds unchanged."""
    rungs(coin="Coin()")
    pytester.runpytest()
    default = report(pytester)["rungs"][0]["curves"]
    drawn = pytester.runpytest("--ladder-fresh-seeds")
    assert len(counted) == 2
    root = report(pytester)["seeds"]["root"]
    pytester.runpytest(f"--ladder-seed-root={root}")
    assert len(counted) == 2, "its own evidence"
    assert "from evidence of" not in drawn.stdout.str()
    pytester.runpytest()
    assert len(counted) == 2
    found = report(pytester)["rungs"][0]
    assert found["curves"] == default
    assert [attempt["root"] for attempt in found["attempts"]["latest"]] == [0, root]


def test_edited_criterion_and_experiment(pytester, rungs, counted):
    """An edited criterion is judged without training, and an edited experiment is trained."""
    rungs(coin="Coin()")
    assert pytester.runpytest().ret == 0
    rungs(coin="Coin()", limit=0.01)
    assert (pytester.runpytest().ret, len(counted)) == (1, 1)
    assert [attempt["verdict"] for attempt in report(pytester)["rungs"][0]["attempts"]["latest"]] == ["PASS", "FAIL"]
    rungs(coin="Coin(shift=0.2)")
    assert (pytester.runpytest().ret, len(counted)) == (0, 2)
    assert len(report(pytester)["rungs"][0]["attempts"]["latest"]) == 3
