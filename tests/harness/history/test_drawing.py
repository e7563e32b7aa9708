"""The drawing of a history."""

from xml.etree import ElementTree as ET

import pytest
from nights import example, of_one_rung, report, rung, unmeasured, write

from ladder.history.drawing import HIGH, LEFT, LOW, RIGHT, svg
from ladder.history.history import read

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def drawing(tmp_path_factory):
    return ET.fromstring(svg(read(write(tmp_path_factory.mktemp("nights"), example(20)))))


def test_accessibility(drawing):
    """A screen reader finds a title and a description with every change."""
    assert drawing.get("role") == "img"
    ids = [element.get("id") for element in (drawing.find(f"{SVG}title"), drawing.find(f"{SVG}desc"))]
    assert drawing.get("aria-labelledby").split() == ids
    assert "rung2: step for the worse" in drawing.find(f"{SVG}desc").text


def test_rows(drawing):
    """Every rung has a row, with a mark for the verdict of every report."""
    texts = [text.text for text in drawing.iter(f"{SVG}text")]
    assert {"rung1", "rung2", "rung3[mse]", "rung4[mse]", "never"} <= set(texts)
    titles = [title.text for title in drawing.iter(f"{SVG}title")]
    assert any("BLOCKED" in title for title in titles)
    assert len(drawing.findall(f".//{SVG}rect")) == 5 * 20 + 3


def test_places(history_of):
    """The oldest and the latest report lie at the ends, the smallest and the largest median at bottom and top."""
    reports = of_one_rung([[2] * 16, [4] * 16, [3] * 16])
    root = ET.fromstring(svg(history_of(*reports)))
    points = [(float(point.get("cx")), float(point.get("cy"))) for point in root.iter(f"{SVG}circle")]
    assert points == [(LEFT + 10, LOW), ((LEFT + RIGHT) / 2, HIGH + 8), (RIGHT - 10, (LOW + HIGH + 8) / 2)]
    ends = [text.text for text in root.iter(f"{SVG}text") if float(text.get("x")) == RIGHT + 14]
    assert ends == ["4", "2"]


def test_equal_medians(history_of):
    """Equal medians lie in the middle of an axis of length 1."""
    root = ET.fromstring(svg(history_of(*of_one_rung([[3] * 16, [3] * 15 + [3]]))))
    assert {text.text for text in root.iter(f"{SVG}text") if float(text.get("x")) == RIGHT + 14} == {"3.5", "2.5"}


def test_markup(history_of):
    """Markup in a report is text in the drawing, whatever is recorded."""
    wild = unmeasured("rung1[<&>]", error="<b>")
    root = ET.fromstring(svg(history_of(report(wild), report(rung("rung1[<&>]"), night=1))))
    assert "rung1[<&>]" in [text.text for text in root.iter(f"{SVG}text")]
