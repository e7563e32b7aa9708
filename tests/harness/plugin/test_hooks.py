"""Extension points: hooks, findings and criteria of one's own, and strictness about sources."""

import json
import re
import struct
import sys
from pathlib import Path

import pytest
from test_plugin import report

CONFTEST = """
import json
import re
import struct
from pathlib import Path
from ladder import Finding

def pytest_ladder_rung_finished(entry, curves):
    with Path("finished.jsonl").open("a") as file:
        shapes = {name: list(curve.shape) for name, curve in curves.items()}
        file.write(json.dumps([entry["id"], entry["verdict"], shapes]) + "\\n")

def pytest_ladder_findings(run):
    worst = float(run.trained.curves["loss"].max())
    return [Finding("toys.large", f"the loss reaches {worst:.2f}", {"loss": worst})]
"""


def finished(pytester):
    lines = (pytester.path / "finished.jsonl").read_text().splitlines()
    return sorted(json.loads(line) for line in lines)


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one process", "xdist"])
def test_rung_finished(rungs, pytester, options):
    """The hook gets every rung once with its entry and curves, also one that is blocked, or judged from evidence."""
    rungs(coin="Coin()", p="Coin(p=0.0)", shift="Coin(p=0.0, shift=0.1)")
    pytester.makeconftest(CONFTEST)
    expected = [["rung1", "PASS", {"loss": [16, 3]}], ["rung2", "FAIL", {"loss": [16, 3]}], ["rung3", "BLOCKED", {}]]
    assert pytester.runpytest_subprocess(*options).ret == 1
    assert finished(pytester) == expected
    (pytester.path / "finished.jsonl").unlink()
    pytester.runpytest_subprocess(*options)
    assert finished(pytester) == expected


@pytest.mark.parametrize("error", ["OSError('disk full')", "SystemExit('no key')"])
def test_failing_hook(rungs, pytester, error):
    """A hook that raises an error, or exits, is named, and the verdict stands."""
    rungs(coin="Coin()")
    pytester.makeconftest(f"def pytest_ladder_rung_finished(entry): raise {error}")
    result = pytester.runpytest_subprocess()
    assert result.ret == 0
    result.stdout.fnmatch_lines([f"*pytest_ladder_rung_finished raised {error} for rung1; the verdict stands*"])


def test_own_finding(rungs, pytester):
    """A finding of one's own comes first, and a control can expect it."""
    rungs(coin="Coin()", p="Coin(p=0.0)")
    pytester.makeconftest(CONFTEST)
    pytester.runpytest_subprocess()
    found = report(pytester)["rungs"][1]["diagnosis"]["findings"]
    assert found[0]["name"] == "toys.large"
    assert found[0]["text"].startswith("the loss reaches")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return [Finding('large', 'x', {})]", "the finding 'large' needs a name with a dot"),
        ("raise KeyError('x')", "KeyError"),
        ("raise SystemExit('x')", "SystemExit"),
    ],
)
def test_invalid_finding(rungs, pytester, body, message):
    """A finding without a name of its own, or a hook that raises an error, costs neither verdict nor diagnosis."""
    rungs(coin="Coin()", p="Coin(p=0.0)")
    pytester.makeconftest(f"from ladder import Finding\ndef pytest_ladder_findings(run): {body}")
    pytester.runpytest_subprocess()
    entry = report(pytester)["rungs"][1]
    names = [finding["name"] for finding in entry["diagnosis"]["findings"]]
    assert (entry["verdict"], names) == ("FAIL", ["first-departure"])
    assert "the findings of pytest_ladder_findings are lost" in entry["note"]
    assert message in entry["note"]


OWN = """
from dataclasses import KW_ONLY, dataclass
import numpy as np
import pytest
from toys import Coin
from ladder import Control, Criterion, Rung, below

@dataclass(frozen=True)
class Monotone(Criterion):
    kind = "monotone"
    limit: float = 0.0

    @property
    def text(self):
        return f"{self.metric} never rises by epoch {self.by}"

    def series(self, curves):
        rises = np.maximum(np.diff(curves[self.metric], axis=1, prepend=np.inf), 0.0)
        return np.maximum.accumulate(rises, axis=1)

LOW, FAILS = below("loss", 0.1, by=3), Control("it is shifted", expects="toys.large")
RUNGS = [
    Rung(number=1, name="coin", experiment=Coin(), gates=Monotone("loss", by=3)),
    Rung(number=2, name="shifted", experiment=Coin(shift=0.1), gates=LOW, control=FAILS),
]

@pytest.mark.parametrize("rung", RUNGS)
def test_it(climb, rung):
    climb(rung)
"""


def test_own_criterion(rungs, pytester):
    """A criterion of one's own is judged, reported in its words, and read again; a control expects a finding of one's own."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_rung1_own=OWN)
    result = pytester.runpytest_subprocess()
    assert result.ret == 0
    result.stdout.fnmatch_lines(["rung1  PASS*loss never rises by epoch 3: 0 *"])
    gate = report(pytester)["rungs"][0]["gates"][0]
    assert (gate["kind"], gate["source"]) == ("other", "no source given")
    shown = pytester.run(sys.executable, "-m", "ladder", "show")
    assert shown.ret == 0
    assert "no source given" in (pytester.path / "reports" / "ladder.md").read_text()
    assert "no source given" in (pytester.path / "reports" / "ladder.html").read_text()
    explained = pytester.run(sys.executable, "-m", "ladder", "explain", "rung1")
    explained.stdout.fnmatch_lines(["*no source given*"])


def test_strictness(rungs, pytester):
    """With ladder_strict, a rung without a source is a usage error that names the rung and what lacks one."""
    pytester.makepyfile(test_rung1_own=OWN)
    result = pytester.runpytest_subprocess("-o", "ladder_strict=true")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*rung1: no source for loss never rises by epoch 3; give each its source=*"])


def events(file):
    """The metrics, epochs and values of an event file of TensorBoard."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    data, values = file.read_bytes(), []
    while data:  # a record: length and its checksum, content and its checksum
        (length,) = struct.unpack("<Q", data[:8])
        event = event_pb2.Event.FromString(data[12 : 12 + length])
        values += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
        data = data[16 + length :]
    return values


def test_tensorboard(rungs, pytester):
    """The hook in the documentation writes the curves of every seed in the format of TensorBoard."""
    pytest.importorskip("tensorboardX")
    page = (Path(__file__).parents[3] / "docs" / "extending.md").read_text()
    example = re.search(r"```python\n# conftest.py\n(.*?)```", page, re.DOTALL)[1]
    assert len(example.splitlines()) <= 15
    rungs(coin="Coin()")
    pytester.makeconftest(example)
    assert pytester.runpytest_subprocess("-W", "ignore").ret == 0
    curve = report(pytester)["rungs"][0]["curves"]["loss"][7]
    (file,) = (pytester.path / "runs" / "rung1" / "seed7").iterdir()
    assert [(tag, step) for tag, step, _ in events(file)] == [("loss", 1), ("loss", 2), ("loss", 3)]
    assert [value for *_, value in events(file)] == pytest.approx(curve, rel=1e-4)
