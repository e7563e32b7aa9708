"""Pictures: what is drawn and linked, from which numbers, and that trouble with one costs that picture alone."""

import json
import os
import re
import sys
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import jax.numpy as jnp
import jsonschema_rs
import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image
from toys import HEAD, INI, SOURCE, TEST, Coin, Fit

from ladder import (
    Climb,
    Floor,
    Ladder,
    Rung,
    Seeds,
    SequentialTest,
    Trained,
    Trainer,
    Verdict,
    above,
    agrees,
    below,
    falls,
)
from ladder import better_than as better
from ladder.climb import Outcome
from ladder.evidence.closure import closure
from ladder.judge.judgement import judge
from ladder.pictures import Picture, draw, style
from ladder.pictures.learning import learning_curves
from ladder.report.document import result
from ladder.report.schema import SCHEMA
from ladder.report.text import verdict_and_seeds

TEST_16 = SequentialTest(looks=(16,))

FILE = (
    HEAD
    + """
from dataclasses import dataclass
from typing import ClassVar

@dataclass(frozen=True, kw_only=True)
class Pictured(Coin):
    pictures: ClassVar[str] = "artist"

FLOORED = below("loss", 0.5, by=3, source="made up", floor=Floor(0.001, "made up"))

def rung(number, experiment, parent="", adds="", **more):
    told = {"name": f"r{number}", "gates": (LEARNS,), "compare": {"loss": ""} if parent else {}} | more
    return Rung(number=number, experiment=experiment, parent=parent, adds=adds, **told)

RUNGS = [
    rung(1, Pictured(), gates=(FLOORED,)),
    rung(2, Pictured(p=0.5), "rung1", "p"),
    rung(3, Pictured(p=0.5, shift=0.1), "rung2", "shift"),
]
RUNGS.append(RUNGS[0].as_control(Control("it never learns"), p=0.0))
"""
    + TEST
)
ARTIST = """
from ladder.pictures import Picture, style

def record(experiment, state, key):
    return {"loss": state["loss"]}

def losses(experiment, recording):
    figure, axes = style.panels(1, 1, 4.0, 3.0)
    axes[0, 0].plot(recording["loss"])
    return Picture(f"losses [of {len(recording['loss'])} states]", figure)

def nothing(experiment, recording):
    return Picture("no such thing, for a reason", None)

PICTURES = {"losses": losses, "nothing": nothing}
"""


@pytest.fixture(scope="module", autouse=True)
def _matplotlib():
    """Import all that drawing imports: pytester forgets what an inner run is the first to import."""
    with style.settings():
        figure, axes = style.panels(1, 1, 2.0, 2.0)
        axes[0, 0].plot([1, 2])
        style.over_time(figure, axes, 0.0, 1.0, "t")
        style.legend(figure, {"line": axes[0, 0].lines[0]})
        style.files(figure, "title")


@pytest.fixture
def folder(compiled, pytester, monkeypatch):
    """Rungs whose artist is a module beside them."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=os.pathsep)
    pytester.makeini(f"{INI}ladder_seeds = 16\n")
    pytester.makepyfile(test_rungs=FILE, artist=ARTIST)
    return pytester


def report(pytester):
    return {
        rung["id"]: rung
        for rung in json.loads((pytester.path / "reports" / "ladder.json").read_text(encoding="utf-8"))["rungs"]
    }


def drawn(pytester):
    return sorted(
        path.relative_to(pytester.path / "reports").as_posix()
        for path in (pytester.path / "reports" / "pictures").rglob("*")
        if path.is_file()
    )


def words(svg):
    return " ".join(text for text in ET.fromstring(svg).itertext() if text.strip())


def test_pictures_of_a_run(folder):
    """Every climbed rung has its pictures, and every link of the report leads to one."""
    result = folder.runpytest("--ladder-pictures")
    result.stdout.no_fnmatch_line("*: its *")
    reports = folder.path / "reports"
    rungs = report(folder)
    assert [rung["verdict"] for rung in rungs.values()] == ["PASS", "FAIL", "FAIL", "BLOCKED"]
    listed = {id: [picture["name"] for picture in rung["pictures"]] for id, rung in rungs.items()}
    three = ["curves", "losses", "nothing"]
    assert listed == {"rung1": three, "rung1[p=0.0]": three, "rung2": three, "rung3": []}
    links = [p[kind] for rung in rungs.values() for p in rung["pictures"] for kind in ("svg", "png") if p[kind]]
    assert len(links) == 3 * 2 * 2
    assert sorted(links) == drawn(folder)
    markdown = (reports / "ladder.md").read_text(encoding="utf-8")
    assert sorted(map(unquote, re.findall(r"\]\((pictures/\S+?)\)", markdown))) == sorted(links)
    assert "](pictures/rung1%5Bp%3D0.0%5D/curves.png)" in markdown
    assert "[![losses \\[of 4 states\\]](" in markdown
    assert "\nNo such thing, for a reason.\n" in markdown
    first, second = (words((reports / "pictures" / id / "curves.svg").read_text()) for id in ("rung1", "rung2"))
    for told in ("rung1 (r1): PASS 16/16", "limit", "0.5", "floor", "0.001", "loss < 0.5 by epoch 3", "epoch"):
        assert told in first
    assert "median of rung1" in second
    assert "seed that does not meet it" in second
    assert "seed that does not meet it" not in first
    for link in links:
        content = (reports / link).read_bytes()
        if link.endswith(".png"):
            with Image.open(reports / link) as image:
                assert image.format == "PNG"
        assert len(content) < 200_000
        assert b"dc:date" not in content
    schema = json.loads(SCHEMA.read_text())
    jsonschema_rs.validator_for(schema).validate(json.loads((reports / "ladder.json").read_text()))


def test_pictured_seed(folder):
    """The pictures of an experiment are of the first failing seed, or of seed 0."""
    folder.runpytest("--ladder-pictures")
    for id, rung in report(folder).items():
        if not rung["pictures"]:
            continue
        svg = words((folder.path / rung["pictures"][1]["svg"].replace("pictures", "reports/pictures", 1)).read_text())
        failing = [seed for seed, curve in enumerate(rung["curves"]["loss"]) if curve[-1] >= 0.5]
        expected = f"seed {failing[0]}, the first that failed" if failing else "seed 0"
        assert f"{rung['seeds']['passed']}/16, {expected}" in svg, id
        assert ("the first that failed" in svg) == (id != "rung1")
    assert report(folder)["rung2"]["curves"]["loss"][0][-1] < 0.5, "or the first failing seed would be the first"


def test_run_without_pictures(folder, monkeypatch):
    """A run without the option draws no picture and does not import matplotlib."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    folder.runpytest()
    assert [(rung["pictures"], rung["note"]) for rung in report(folder).values()] == [([], "")] * 4
    assert not drawn(folder)
    assert "pictures/" not in (folder.path / "reports" / "ladder.md").read_text()


def test_ini_setting(folder):
    """Pictures can be enabled in the ini file."""
    result = folder.runpytest("-o", "ladder_pictures=true", "--ladder-only=rung1")
    assert result.ret == 0
    assert drawn(folder) == [
        f"pictures/rung1/{name}.{kind}" for name in ("curves", "losses") for kind in ("png", "svg")
    ]


def test_missing_matplotlib(folder, monkeypatch):
    """The option without matplotlib is a usage error before the climb."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = folder.runpytest("--ladder-pictures")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*pictures need matplotlib*pip install 'pytest-ladder?pictures?'*"])
    assert not (folder.path / "reports").exists()


@pytest.mark.parametrize(
    ("broken", "missing", "told"),
    [
        (
            'PICTURES["losses"] = lambda experiment, recording: 1 / 0',
            ["losses"],
            "its picture 'losses' is missing: Zero*",
        ),
        (
            "def record(experiment, state, key): raise KeyError('gone')",
            ["losses", "nothing"],
            "*not drawn: KeyError('gone')",
        ),
        ("raise ImportError('no artist')", ["losses", "nothing"], "*not drawn: ImportError('no artist')"),
    ],
    ids=["a picture", "the recording", "the artist"],
)
def test_failed_picture(folder, broken, missing, told):
    """A picture that cannot be drawn leaves a note and changes no verdict."""
    stale = folder.path / "reports" / "pictures" / "rung1" / "losses.svg"
    stale.parent.mkdir(parents=True)
    stale.write_text("of an earlier run")
    (folder.path / "artist.py").write_text(f"{ARTIST}\n{broken}\n")
    result = folder.runpytest("--ladder-pictures", "--ladder-only=rung1")
    assert result.ret == 0
    result.stdout.fnmatch_lines([f"rung1: {told}"])
    rung = report(folder)["rung1"]
    assert (rung["verdict"], rung["green"]) == ("PASS", True)
    assert [picture["name"] for picture in rung["pictures"]] == [
        n for n in ("curves", "losses", "nothing") if n not in missing
    ]
    assert not stale.exists()


def test_unwritable_folder(folder):
    """A folder that cannot be written to leaves a note in place of the pictures."""
    (folder.path / "reports").mkdir()
    (folder.path / "reports" / "pictures").write_text("a file")
    result = folder.runpytest("--ladder-pictures", "--ladder-only=rung1")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["rung1: its picture 'curves' is missing: *"])


@pytest.mark.nightly
def test_workers(folder, tmp_path):
    """Workers draw the same pictures as a single process."""
    found = []
    for run, arguments in ((folder.runpytest, ()), (folder.runpytest_subprocess, ("-n", "2"))):
        run("--ladder-pictures", *arguments)
        pictures = {id: (rung["pictures"], rung["note"]) for id, rung in report(folder).items()}
        found.append((pictures, {path: (folder.path / "reports" / path).read_bytes() for path in drawn(folder)}))
        (folder.path / "reports").rename(tmp_path / run.__name__)
    assert found[0] == found[1]
    assert len(found[0][1]) == 12


@dataclass(frozen=True, kw_only=True)
class PicturedFit(Fit):
    """Drawn by this very module."""

    pictures: ClassVar[str] = __name__


def record(experiment, state, key):
    """What the curve is of, too."""
    _, predicted, target = experiment.forward(state)
    return {"loss": jnp.mean((predicted - target) ** 2), "key": jnp.asarray(key.size)}


SEEN = {}


def keep(experiment, recording):
    """Draw nothing."""
    SEEN.update(recording)
    return Picture("nothing to see", None)


PICTURES = {"keep": keep}


def test_recorded_states():
    """Recorded states are those of the seed's training, preceded by the initial one."""
    seeds, experiment = Seeds(root=3), PicturedFit()
    told = Trainer(experiment, 1).record_states(seeds, 5, lambda state, key: record(experiment, state, key))
    curve = Trainer(experiment, 4)(seeds, range(8)).curves["loss"][5]
    assert told["loss"].shape == (1 + experiment.epochs,)
    np.testing.assert_allclose(told["loss"][1:], curve, rtol=1e-5)
    assert told["loss"][0] > told["loss"][1]


def climbed(rung, time_limit=100.0):
    ladder = Ladder([rung])
    climb = Climb(ladder, TEST_16, time_limit=time_limit)
    outcome = climb(rung.id)
    return climb, outcome, verdict_and_seeds(result(outcome, TEST_16))


FITS = Rung(
    number=1,
    name="fits",
    experiment=PicturedFit(),
    gates=(below("loss", 10.0, by=4, source=SOURCE, floor=Floor(0.0, "0")),),
)


def test_artist_input_and_deadline(tmp_path):
    """The artist receives stacked states, and draws nothing after the rung's deadline."""
    climb, outcome, label = climbed(FITS)
    found = draw(climb, outcome, label, tmp_path, deadline=np.inf)
    assert [picture["name"] for picture in found.pictures] == ["curves", "keep"]
    np.testing.assert_allclose(SEEN["loss"][1:], outcome.trained.curves["loss"][0], rtol=1e-5)
    late = draw(climb, outcome, label, tmp_path, deadline=0.0)
    assert [picture["name"] for picture in late.pictures] == ["curves"]
    assert late.trouble == ["its experiment is not drawn: its 100 s were over"]
    cut = outcome.trained.curves["loss"].copy()
    cut[:, 2:] = np.nan
    timed_out = Outcome(FITS, Verdict.TIMED_OUT, trained=Trained({"loss": cut}, {}, 0.0, 0.0), error="not done")
    label = verdict_and_seeds(result(timed_out, TEST_16))
    early = draw(climb, timed_out, label, tmp_path, deadline=np.inf)
    assert ([picture["name"] for picture in early.pictures], early.trouble) == (["curves"], [])
    svg = words((tmp_path / early.pictures[0]["svg"]).read_text())
    assert "rung1 (fits): TIMED OUT" in svg
    assert "–" not in svg, "it has no count of seeds"


def test_reproducible_files(tmp_path, monkeypatch):
    """Equal curves give equal files, whatever the user's matplotlib settings."""
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # its state is the user's
    climb, outcome, label = climbed(FITS)
    draw(climb, outcome, label, tmp_path / "a", np.inf)
    with mpl.rc_context({"axes.facecolor": "red", "xtick.major.size": 20.0, "svg.hashsalt": None}):
        before = list(dict.items(mpl.rcParams))  # not by its own method, which would choose a backend
        draw(climb, outcome, label, tmp_path / "b", np.inf)
        assert list(dict.items(mpl.rcParams)) == before
    for name in ("curves.svg", "curves.png"):
        one, other = ((tmp_path / run / "pictures" / "rung1" / name).read_bytes() for run in "ab")
        assert one == other


def test_pictures_outside_the_fingerprint():
    """The code of pictures is not part of the fingerprint of an experiment."""
    code = closure("ladder.studies.manifoldformer.experiments", "ladder.train.compiled")
    assert not [name for name in code.files if "pictures" in name]
    assert not code.packages & {"matplotlib", "PIL"}


# --- learning curves ---------------------------------------------------------------------------------------------------

CURVES = np.array([[1.0, 0.5, 0.2, 0.05], [2.0, 1.0, 0.4, 0.3], [1.0, 0.8, np.nan, np.nan], [np.nan] * 4])


@dataclass(frozen=True, kw_only=True)
class Two(Coin):
    """Declares two metrics."""

    epochs: int = 4

    @property
    def metrics(self):
        """Two."""
        return ("loss", "other")


def axes_of(gates, values=CURVES, others=None, judged=True, **more):
    """The panels of a rung with these gates, drawn with every warning an error."""
    rung = Rung(number=2, name="r", experiment=Two(epochs=values.shape[1]), gates=gates, **more)
    trained = Trained({"loss": values, "other": values + 1.0}, {}, 0.0, 0.0)
    others = others or {}
    found = judge(rung, trained, others, TEST_16, 1) if judged else None
    verdict = found.verdict if found else Verdict.TIMED_OUT
    outcome = SimpleNamespace(rung=rung, trained=trained, judgement=found, verdict=verdict)
    with style.settings(), warnings.catch_warnings():
        warnings.simplefilter("error")
        caption, figure = learning_curves(outcome, others)
        style.files(figure, caption)
    return figure


def lines(ax, colour, style_=None):
    return [
        line
        for line in ax.lines
        if to_hex(line.get_color()).upper() == colour.upper()
        and style_ in (None, line.get_linestyle())
        and len(line.get_xdata()) > 1
    ]


def test_panel():
    """A panel has every seed, failing ones in another style, the median and the limit."""
    (ax,) = axes_of((below("loss", 0.1, by=4, source=SOURCE),)).axes
    assert len(lines(ax, style.BLUE, "-")) == 1
    assert len(lines(ax, style.VERMILLION, "--")) == 3
    (median,) = lines(ax, style.BLACK)
    np.testing.assert_allclose(median.get_ydata(), [1.0, 0.8, 0.3, 0.175])
    (limit,) = lines(ax, style.GREEN)
    assert (limit.get_xdata()[0], set(limit.get_ydata())) == (4, {0.1})
    assert ax.get_xlim()[1] > 4, "room for the limit"
    assert "met by 1 of 4 seeds" in ax.get_title()
    told = [text.get_text() for text in ax.texts]
    assert "limit\n0.1" in told
    assert "1 of 4 seeds: no value" in told
    assert ax.get_yscale() == "log"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "loss")
    crosses = [line for line in ax.lines if line.get_marker() == "x"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in crosses] == [(2, 0.8)]


def test_panel_of_an_unjudged_rung():
    """A panel of a rung that was not judged marks no seed as failing."""
    (ax,) = axes_of((below("loss", 0.1, by=4, source=SOURCE),), judged=False).axes
    assert not lines(ax, style.VERMILLION)
    assert ax.get_title() == "gate: loss < 0.1 by epoch 4"


@pytest.mark.parametrize(
    ("values", "limit", "scale"),
    [
        ([[1.0, 0.2]], 0.3, "linear"),
        ([[1.0, 0.2]], 0.01, "log"),
        ([[1.0, 0.05]], 0.3, "log"),
        ([[1.0, 0.0]], 0.3, "linear"),
    ],
    ids=["less than a decade", "the limit is a decade away", "more than a decade", "not all positive"],
)
def test_scale(values, limit, scale):
    """The scale is logarithmic if all values and the limit are positive and span a decade or more."""
    (ax,) = axes_of((below("loss", limit, by=2, source=SOURCE),), np.array(values)).axes
    assert ax.get_yscale() == scale


def test_floors_and_labels():
    """Floors are dotted, and labels do not overlap."""
    gate = below("loss", 0.1, by=3, source=SOURCE, floor=Floor(0.099, "theory"))
    (ax,) = axes_of((gate,)).axes
    (floor,) = lines(ax, style.BLACK, ":")
    assert set(floor.get_ydata()) == {0.099}
    heights = {text.get_text(): text.xy[1] for text in ax.texts if text.get_text().startswith(("limit", "floor"))}
    assert set(heights) == {"limit\n0.1", "floor\n0.099"}
    assert heights["limit\n0.1"] - heights["floor\n0.099"] > 0.15


@pytest.mark.parametrize(("last", "scale", "drawn"), [(0.05, "log", 0), (0.5, "linear", 1)])
def test_floor_of_zero(last, scale, drawn):
    """A floor of 0 does not affect the scale, and it is drawn on a linear one only."""
    gate = below("loss", 0.3, by=2, source=SOURCE, floor=Floor(0.0, "theory"))
    (ax,) = axes_of((gate,), np.array([[1.0, last]])).axes
    assert ax.get_yscale() == scale
    assert len(lines(ax, style.BLACK, ":")) == drawn
    assert (ax.get_ylim()[0] <= 0.0) == bool(drawn), "what is drawn lies on the axis"


def test_ceiling():
    """The best value of a metric that must stay above its limit is a ceiling."""
    gate = above("loss", 0.1, by=2, source=SOURCE, floor=Floor(3.0, "theory"))
    figure = axes_of((gate,), np.array([[1.0, 2.0]]))
    assert "ceiling\n3" in [text.get_text() for text in figure.axes[0].texts]
    assert "ceiling" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_panel_of_a_criterion():
    """A panel has the quantity that its criterion compares with the limit."""
    gates = (falls("loss", 0.3, by=4, since=2, source=SOURCE), agrees("loss", "other", within=0.5, by=2, source=SOURCE))
    ratio, apart = axes_of((*gates, above("other", 1.5, by=3, source=SOURCE)), CURVES[:2]).axes[:2]
    np.testing.assert_allclose(lines(ratio, style.BLUE)[0].get_ydata(), CURVES[0] / 0.5)
    assert ratio.get_ylabel() == "loss / loss at epoch 2"
    np.testing.assert_allclose(lines(apart, style.VERMILLION)[0].get_ydata(), np.ones(4))
    assert apart.get_ylabel() == "|loss − other|"
    assert "all seeds lie on the median" in [text.get_text() for text in apart.texts]
    assert "all seeds lie on the median" not in [text.get_text() for text in ratio.texts]


@pytest.mark.parametrize(("apart", "told"), [(1.0, True), (1.01, True), (4.0, False)])
def test_coinciding_seeds(apart, told):
    """Seeds that coincide with the median are mentioned on a logarithmic axis, too."""
    values = np.array([[0.001, 0.001], [0.001 * apart] * 2])
    (ax,) = axes_of((below("loss", 1.0, by=2, source=SOURCE),), values).axes
    assert ("all seeds lie on the median" in [text.get_text() for text in ax.texts]) == told


def test_compared_rungs():
    """The medians of compared rungs are grey."""
    other = Trained({"loss": CURVES[:2] * 2.0}, {}, 0.0, 0.0)
    gates = (
        below("loss", 0.1, by=4, source=SOURCE),
        below("other", 0.1, by=4, source=SOURCE),
        better("rung9", "loss", source=SOURCE),
    )
    others = {"rung1": replace(other), "rung9": replace(other, curves={"loss": CURVES[:2] * 3.0})}
    figure = axes_of(gates, CURVES[:2], others, parent="rung1", adds="p", compare={"loss": ""})
    own, lacking, compared = figure.axes
    (parent,) = lines(own, style.GREY)
    np.testing.assert_allclose(parent.get_ydata(), 2.0 * np.median(CURVES[:2], axis=0))
    assert not lines(lacking, style.GREY), "the parent does not report it"
    (against,) = lines(compared, style.GREY)
    np.testing.assert_allclose(against.get_ydata(), 3.0 * np.median(CURVES[:2], axis=0))
    assert not lines(compared, style.GREEN)
    (legend,) = figure.legends
    assert {"median of rung1", "median of rung9"} <= {text.get_text() for text in legend.get_texts()}


@pytest.mark.parametrize(
    "values", [np.full((3, 2), np.nan), np.full((3, 2), np.inf), np.ones((3, 1)), -np.ones((2, 3))]
)
def test_odd_curves(values):
    """Curves without finite values, with one epoch or with negative values can be drawn."""
    (ax,) = axes_of((below("loss", 0.1, by=1, source=SOURCE),), values).axes
    assert np.isfinite(ax.get_ylim()).all()


def test_file_sizes():
    """Files of many seeds and epochs remain small."""
    rng = np.random.default_rng(0)
    values = np.exp(np.cumsum(rng.normal(size=(64, 400)) * 0.1 - 0.01, axis=1))
    figure = axes_of((below("loss", 0.1, by=200, source=SOURCE), above("other", 0.1, by=200, source=SOURCE)), values)
    with style.settings():
        files = style.files(figure, "title")
    assert len(files["svg"]) < 300 * 1024
    assert len(files["png"]) < 200 * 1024
