"""The command ``ladder compare``."""

import copy
import json
import subprocess
import sys

import pytest
from nights import LATE, NEVER, SOON, comparison, effect, gate, report, rung, unmeasured

from ladder.cli import main
from ladder.report.reading import load


def filed(folder, **reports):
    for name, document in reports.items():
        (folder / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
    return [str(folder / f"{name}.json") for name in reports]


@pytest.fixture
def pair(tmp_path):
    still = rung("rung2", (gate(SOON),))
    return filed(
        tmp_path,
        a=report(rung("rung1", (gate(SOON),)), still),
        b=report(rung("rung1", (gate(LATE),)), still, night=1),
    )


def test_headline_and_exit_code(pair, capsys):
    """The headline comes first, and a regression exits with 1."""
    assert main(["compare", *pair]) == 1
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith("REGRESSION: rung1 slower: median epoch 2.5 → 4.5, p = ")
    assert rest[0] == "A: 2026-10-16T02:00:00+00:00, commit 000000000000, seed root 1000"
    assert [line.split()[0] for line in rest[2:4]] == ["rung", "rung1"]
    assert rest[-1] == "1 rung unchanged"
    assert main(["compare", *reversed(pair)]) == 0
    assert capsys.readouterr().out.startswith("no regression in 2 rungs; better: rung1\n")
    assert main(["compare", *pair, "--alpha", "1e-12"]) == 0


def test_all(pair, capsys):
    """--all lists unchanged rungs too."""
    assert main(["compare", pair[0], pair[0], "--all"]) == 0
    out = capsys.readouterr().out
    assert [line.split() for line in out.splitlines()[4:]] == [
        [id, "PASS", "PASS", "unchanged"] for id in ("rung1", "rung2")
    ]


def test_json(pair, capsys):
    """--json prints the comparison as JSON, whose regressions are the rungs to climb again."""
    assert main(["compare", *pair, "--json"]) == 1
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail)["regressions"] == ["rung1"]


def test_untested(tmp_path, capsys):
    """Rungs with quantities that an older report does not record are named."""
    before, after = (report(rung("rung1", (gate(SOON),)), night=night) for night in range(2))
    before["rungs"][0]["gates"][0]["reached"] = None
    paths = filed(tmp_path, a=before, b=after)
    assert main(["compare", *paths]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "not everything is recorded in both, so it was not tested (see --json): rung1",
        "1 rung unchanged",
    ]


def test_nothing_to_compare(tmp_path, pair, capsys):
    """Reports without a condition in common, or without a report, exit with 2."""
    (other,) = filed(tmp_path, other=report(rung("rung9", (gate(SOON),))))
    assert main(["compare", pair[0], other]) == 2
    assert capsys.readouterr().out.startswith(
        "NOTHING TO COMPARE: no condition was measured in both reports; gone: rung1, rung2\n"
    )
    assert main(["compare", pair[0], other, "--json"]) == 2
    assert "NOTHING TO COMPARE" in capsys.readouterr().err
    assert main(["compare", pair[0], str(tmp_path / "none.json")]) == 2


@pytest.mark.parametrize("alpha", ["0", "1", "often", "nan"])
def test_alpha(alpha, pair, capsys):
    """An alpha that is not a probability is refused."""
    with pytest.raises(SystemExit) as stopped:
        main(["compare", *pair, "--alpha", alpha])
    assert stopped.value.code == 2
    assert "choose a probability between 0 and 1" in capsys.readouterr().err


def test_help_of_compare(capsys):
    """The help has an example and the exit codes."""
    with pytest.raises(SystemExit):
        main(["compare", "--help"])
    out = capsys.readouterr().out
    assert "ladder compare last-week.json reports/ladder.json" in out
    assert "0 no regression, 1 a regression, 2 " in out


@pytest.mark.parametrize("command", ["compare", "history"])
def test_without_jax(command, pair, tmp_path):
    """Both commands work where JAX is not installed."""
    blocked = "import sys; sys.modules['jax'] = None; from ladder.cli import main; sys.exit(main(sys.argv[1:]))"
    arguments = pair if command == "compare" else [str(tmp_path), "--svg", str(tmp_path / "drawn.svg")]
    ran = subprocess.run([sys.executable, "-c", blocked, command, *arguments], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (1, ""), ran.stderr


def test_reports_of_these_tests(pair, tmp_path):
    """The reports of these tests are reports."""
    everything = report(
        rung("rung1[p=0.0]", (gate(NEVER),), role="control"),
        rung("rung2", (comparison([0.1] * 16),), effects=(effect([0.1] * 16),)),
        unmeasured("rung3"),
        rung("rung4", goals=(gate(SOON),), role="goal"),
    )
    (path,) = filed(tmp_path, everything=copy.deepcopy(everything))
    assert load(tmp_path / "everything.json") == everything
    assert path
