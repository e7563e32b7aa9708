"""The command ``ladder compare``."""

import copy
import json
import subprocess
import sys

import numpy as np
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
    assert "0 no regression, or with --same-seeds the same curves; 1 a regression or moved curves, with --strict" in out


@pytest.fixture
def curves(tmp_path):
    """Reports of one rung on the same seeds: unchanged, rounded, moved, on other seeds, and with a rung more."""

    def climbed(factor, *more, root=3):
        values = [[1.0 + 0.01 * i, 0.5, 0.1 * factor] for i in range(16)]
        return report(rung("rung1", (gate(SOON),), curves={"loss": values}), *more, root=root)

    other = rung("rung2", (gate(SOON),), curves={"loss": [[1.0, 0.5, 0.1]] * 16})
    documents = {"first": climbed(1.0), "rounded": climbed(1.001), "moved": climbed(1.1)}
    documents |= {"fresh": climbed(1.1, root=4), "more": climbed(1.0, other)}
    return dict(zip(documents, filed(tmp_path, **documents), strict=True))


def test_same_seeds(curves, capsys):
    """--same-seeds exits with 1 if curves moved beyond the tolerance, and prints by how much, where and since when."""
    assert main(["compare", "--same-seeds", curves["first"], curves["rounded"]]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "the same curves, to 0.1 %, in rung1"
    assert out[3:] == [
        "tolerance: 1 % of a value; smaller differences are rounding, amplified by training",
        "1 rung the same",
    ]
    assert main(["compare", "--same-seeds", curves["first"], curves["moved"]]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "MOVED: rung1 up to 9.1 % in loss, 16 of 16 seeds, from epoch 12 (loss)"
    assert out[5].split() == ["rung1", "PASS", "PASS", *out[0].split()[2:]]
    assert main(["compare", "--same-seeds", curves["first"], curves["moved"], "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["moved"] == ["rung1"]


@pytest.mark.parametrize(("tolerance", "code"), [("0.1", 0), ("0.09", 1), ("0", 1)])
def test_tolerance(tolerance, code, curves):
    """--tolerance sets the difference that counts as rounding."""
    assert main(["compare", "--same-seeds", curves["first"], curves["moved"], "--tolerance", tolerance]) == code


def test_unusable_options(curves, tmp_path, capsys):
    """Options that cannot be followed are refused, with the value and what to do."""
    assert main(["compare", "--same-seeds", curves["first"], curves["fresh"]]) == 2
    assert "different seeds, of roots 3 and 4: climb again with --ladder-seed-root=3" in capsys.readouterr().err
    assert main(["compare", "--same-seeds", str(tmp_path), curves["first"]]) == 2
    assert "is a folder of nights; give --same-seeds the ladder.json of one climb" in capsys.readouterr().err
    assert main(["compare", curves["first"], curves["first"], "--tolerance", "0.1"]) == 2
    assert "--tolerance=0.1 is for --same-seeds" in capsys.readouterr().err
    for tolerance in ("1", "-0.1", "some", "nan"):
        with pytest.raises(SystemExit):
            main(["compare", "--same-seeds", curves["first"], curves["first"], "--tolerance", tolerance])
        assert f"{tolerance!r}: choose a relative difference of at least 0 and below 1" in capsys.readouterr().err


def test_strict(curves, pair, tmp_path, capsys):
    """--strict exits with 1 for a change of any kind: of curves, for the better, or a rung that is gone; not for a limit."""
    assert [main(["compare", *paths, "--strict"]) for paths in (pair, pair[::-1], [pair[0]] * 2)] == [1, 1, 0]
    assert main(["compare", curves["first"], curves["fresh"]]) == 0
    assert "changed: loss at epoch 12, median 0.1 → 0.11, A = 1.00, p = " in capsys.readouterr().out
    assert main(["compare", curves["first"], curves["fresh"], "--strict"]) == 1
    assert capsys.readouterr().out.splitlines()[:2] == [
        "no regression in 1 rung; changed: rung1",
        "--strict: not the same in rung1",
    ]
    for same_seeds in ([], ["--same-seeds"]):
        assert main(["compare", curves["more"], curves["first"], "--strict", *same_seeds]) == 1
        assert main(["compare", curves["more"], curves["first"], *same_seeds]) == 0
        assert main(["compare", curves["first"], curves["more"], "--strict", *same_seeds]) == 0
    limits = filed(tmp_path, **{f"limit{i}": report(rung("rung1", (gate(SOON, limit=i),)), night=i) for i in (1, 2)})
    assert main(["compare", *limits, "--strict"]) == 2, "nothing but the limits can be compared"


def test_strict_limit(tmp_path):
    """A changed limit alone is no difference: neither of a strict comparison nor of one of the same seeds."""
    values = [[1.0 + 0.01 * i, 0.3, 0.1] for i in range(16)]
    documents = {
        name: report(rung("rung1", (gate([6] * 16, limit=limit),), curves={"loss": values}), root=3)
        for name, limit in (("a", 0.5), ("b", 0.49999997))
    }
    paths = filed(tmp_path, **documents)
    assert main(["compare", *paths, "--strict"]) == 0
    assert main(["compare", *paths, "--strict", "--same-seeds"]) == 0


def test_seeds_of_a_folder(curves, tmp_path, capsys):
    """Rungs of a folder may be of different nights: their seeds are no pairs, whatever the root."""
    values = np.random.default_rng(0).lognormal(size=(16, 3))
    nights = [
        report(rung("rung1", (gate(SOON),), curves={"loss": (values * factor).tolist()}), night=night, root=3)
        for night, factor in enumerate((1.0, 1.05))
    ]
    folder = tmp_path / "nights"
    folder.mkdir()
    first, last = filed(folder, first=nights[0]), filed(tmp_path, last=nights[1])
    assert main(["compare", *first, *last, "--strict"]) == 1
    assert main(["compare", str(folder), *last, "--strict"]) == 0


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
