"""The page: whole by itself, nothing in it runs but what it came with, and it can be read by everyone it is for."""

import base64
import os
import re
import shutil
from hashlib import sha256
from html.parser import HTMLParser
from itertools import pairwise
from urllib.parse import unquote

import numpy as np
import pytest
from jinja2 import Environment
from playwright.sync_api import sync_playwright

from ladder.report import as_json, write
from ladder.report.chart import metrics
from ladder.report.html import LARGEST, _template, html
from ladder.report.markdown import markdown
from ladder.report.text import find as rung
from ladder.report.text import headline

FLAGS = (  # it sees this machine alone, runs as root in a container, and has no GPU there
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
NASTY = """"'><script>alert(1)</script><img src=x onerror=alert(2)>&amp;{{ 1 }}"""
FIXED = {"verdict", "role", "kind", "date"}  # the words that mean something


@pytest.fixture
def page(report, tmp_path):
    return Page(html(report, tmp_path))


class Page(HTMLParser):
    """What is in a page: its elements with their attributes, and the words of each kind of element."""

    def __init__(self, content):
        super().__init__()
        self.elements, self.words, self._open = [], [], []
        self.feed(content)

    def handle_starttag(self, tag, attributes):  # noqa: D102
        self.elements.append((tag, dict(attributes)))
        if tag not in ("meta", "link", "img", "wbr", "path", "circle"):
            self._open.append(tag)

    def handle_endtag(self, tag):  # noqa: D102
        if tag not in ("path", "circle"):
            assert self._open.pop() == tag, (tag, self.getpos())

    def handle_data(self, words):  # noqa: D102
        self.words.append((self._open[-1] if self._open else "", words))

    def of(self, tag):  # noqa: D102
        return [attributes for each, attributes in self.elements if each == tag]

    def told(self, tag=None):  # noqa: D102
        return "".join(words for each, words in self.words if tag in (None, each) and (tag or each != "script"))


def test_headline_and_sections(report, page):
    """The headline comes first, and every rung has a row and a section."""
    assert page.told("title") == headline(report)
    assert headline(report).startswith('CULPRIT rung2 "+unlucky"')
    headings = [tag for tag, _ in page.elements if re.fullmatch(r"h\d", tag)]
    assert (headings[0], headings.count("h1")) == ("h1", 1)
    assert all(int(b[1]) <= int(a[1]) + 1 for a, b in pairwise(headings)), headings
    ids = [entry["id"] for entry in report["rungs"]]
    assert [attributes["id"] for attributes in page.of("article")] == ids
    rows = [attributes for attributes in page.of("th") if "data-value" in attributes]
    assert [row["data-value"] for row in rows] == [str(n) for n in range(1, len(ids) + 1)]
    assert page.told("h3") == "".join(f"{entry['id']}: {entry['name']}" for entry in report["rungs"])


def test_links(page):
    """The ids of the page are unique, and every internal link leads to one of them."""
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {unquote(attributes["href"]) for attributes in page.of("a")}
    assert links
    assert {link.removeprefix("#") for link in links} <= set(ids)
    labelled = [attributes["aria-labelledby"] for _, attributes in page.elements if "aria-labelledby" in attributes]
    assert set(labelled) <= set(ids)


def test_rung_details(report, page):
    """The page contains every detail that the report has about a rung."""
    told = page.told()
    for words in (
        "Luck is not needed.",
        "Control: No seed learns.",
        "It must fail for never-moves.",
        "EXPECTED CULPRIT rung1@small[rate=0.0]",
        "a published value",
        "0.1: the noise",
        "0.1 against 0.2",
        "nothing ever moved: 0 of 12 updates",
        "Effective rank of the latent",
        "pytest tests/ladder --ladder-only 'rung1'",
        "tests/test_it.py:12",
        "12 attempts",
        "2026-11-21 09:54, outside git, root 0: FAIL 3/16: RuntimeError('gone')",
        "10 of 16 seeds from evidence of 2026-11-22, commit 1a2b",
        "Its inspection raised ValueError().",
        "MemoryError()",
        "0123456789abcdef and uncommitted changes",
        "Other metrics (1)",
        "at least 0.79",
        "at most 0.21",
    ):
        assert words in told, words


def test_table_headers(report, page):
    """Every table has a caption, and its heads have a scope."""
    assert len(page.of("caption")) == len(page.of("table")) > len(report["rungs"])
    assert {attributes.get("scope") for attributes in page.of("th")} == {"row", "col"}
    assert page.of("html") == [{"lang": "en"}]
    assert all(attributes["aria-label"] for attributes in page.of("svg") if attributes.get("aria-hidden") != "true")


def spoilt(value, key=""):
    """The same report, with markup in every word that is free, names and ids too."""
    if isinstance(value, dict):
        free = key in ("curves", "others", "components", "versions", "machine", "numbers")
        return {name + NASTY if free else name: spoilt(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [spoilt(inner, key) for inner in value]
    return value + NASTY if isinstance(value, str) and key not in FIXED else value


@pytest.fixture(scope="module")
def nasty(report):
    picture = {"name": "x", "caption": "shown", "svg": "javascript:alert(3)", "png": "x.png"}
    pictures = [picture, picture | {"svg": None, "png": None}]
    return spoilt(report | {"rungs": [entry | {"pictures": pictures} for entry in report["rungs"]]})


def test_markup_in_text(nasty, report, tmp_path):
    """Markup in any text of the report appears as plain text."""
    page, honest = Page(html(nasty, tmp_path)), Page(html(report, tmp_path))
    assert {tag for tag, _ in page.elements} == {tag for tag, _ in honest.elements}
    assert (len(page.of("script")), page.told("script")) == (1, honest.told("script"))
    names = {name for _, attributes in page.elements for name in attributes}
    assert not {name for name in names if name.startswith("on") or name == "style"}
    assert not [a for a in page.of("a") if not a["href"].startswith("#") and ":" in a["href"]]
    told = page.told()
    for entry in nasty["rungs"]:
        free = [entry["id"], entry["name"], entry["claim"], entry["repeat"], entry["error"], entry["note"]]
        free += [c[what] for c in (*entry["gates"], *entry["goals"]) for what in ("text", "source")]
        free += [f["text"] for f in (entry["diagnosis"] or {}).get("findings", [])]
        assert not [words for words in free if words[1:] not in told], "but for its capital"
    assert told.count(NASTY) > 200


def test_content_security_policy(page, report, tmp_path):
    """The page loads nothing from outside, and its policy allows only its own style and script."""
    (policy,) = [a["content"] for a in page.of("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    for tag in ("style", "script"):
        hashed = base64.b64encode(sha256(page.told(tag).encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{hashed}'" in policy
    assert "default-src 'none'; img-src data:;" in policy
    assert "unsafe" not in policy
    content = html(report, tmp_path)
    assert not re.search(r"https?:|//[a-z]|url\(|@import|\bsrcset\b", content)
    assert {a["href"] for a in page.of("link")} == {"data:,"}


def test_charts_by_metric(report, page):
    """Every metric with a condition has a chart, and a rung that was not judged has none."""
    assert metrics(rung(report, "rung1")) == ["loss"]
    assert metrics(rung(report, "rung3")) == metrics(rung(report, "rung8")) == []
    drawn = sum(len(metrics(entry)) for entry in report["rungs"])
    assert [a["class"] for a in page.of("figure")] == ["chart"] * drawn
    assert drawn == len(report["rungs"]) - 2


def test_page_size(report, tmp_path):
    """The page of a large report stays below the size limit, with and without pictures."""
    random, epochs = np.random.default_rng(0), np.linspace(1, 200, 50).round().astype(int).tolist()
    curve = lambda: [[float(f"{value:.5g}") for value in seed] for seed in random.lognormal(size=(64, 50)).tolist()]  # noqa: E731
    base, names, rungs = rung(report, "rung2"), ("loss", "mse", "accuracy"), []
    gate = base["gates"][0] | {"by": 100, "reached": [100] * 64, "passed": 64, "of": 64}
    (tmp_path / "pictures").mkdir()
    for n in range(10):
        curves = {name: curve() for name in names}
        others = {f"other {m}": {what: curve()[0] for what in ("median", "low", "high")} for m in range(6)}
        entry = base | {"id": f"rung{n + 1}", "epochs": epochs, "curves": curves, "others": others}
        entry |= {"gates": [gate | {"metric": name} for name in names], "pictures": [], "parent": None, "adds": None}
        rungs.append(entry | {"seeds": base["seeds"] | {"passed": 64, "of": 64}})
    found = report | {"rungs": rungs, "culprit": None}
    page = html(found, tmp_path)
    sizes = [len(each.encode()) for each in (as_json(found), markdown(found), page)]
    assert max(sizes) < LARGEST, sizes
    assert page.count('<figure class="chart"') == 30
    for n, entry in enumerate(rungs):
        entry["pictures"] = [png(tmp_path, f"pictures/{n}.png", 300_000)]
    full = html(found, tmp_path)
    assert 0.7 * LARGEST < len(full.encode()) < LARGEST
    assert 0 < full.count("no room for it") < 10


def png(folder, name, size=1000):
    header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (640).to_bytes(4) + (480).to_bytes(4)
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(header + bytes(size))
    return {"name": file.stem, "caption": f"what {file.stem} shows", "png": name, "svg": name.replace(".png", ".svg")}


def with_pictures(report, **pictures):
    return report | {"rungs": [entry | {"pictures": pictures.get(entry["id"], [])} for entry in report["rungs"]]}


def test_embedded_pictures(report, tmp_path):
    """Pictures of red rungs are embedded first, and those without room are linked."""
    size = 1_200_000  # of which there is room for one
    listed = {id: [png(tmp_path, f"pictures/{id}/latent.png", size)] for id in ("rung1", "rung2")}
    listed["rung1"].append(png(tmp_path, "pictures/rung1[x]/curves.png"))
    page = Page(html(with_pictures(report, **listed), tmp_path))
    (image,) = page.of("img")
    assert image["src"].startswith("data:image/png;base64,iVBOR")
    assert (image["width"], image["height"], image["alt"]) == ("640", "480", "What latent shows.")
    links = [a["href"] for a in page.of("a") if not a["href"].startswith("#")]
    first = ["pictures/rung1/latent.png", "pictures/rung1/latent.svg"]
    first += ["pictures/rung1%5Bx%5D/curves.png", "pictures/rung1%5Bx%5D/curves.svg"]
    assert links == [*first, "pictures/rung2/latent.svg"]
    assert "What latent shows. Not shown: there was no room for it in this page; it lies beside it." in page.told()
    assert "What curves shows. PNG SVG" in page.told()


def test_unreadable_picture(report, tmp_path):
    """A picture that cannot be read is replaced by the reason, and the others are embedded."""
    folder = tmp_path / "reports"
    good, text, out = (png(folder, f"{name}.png") for name in ("good", "text", "../out"))
    (folder / "text.png").write_text("no picture")
    gone = good | {"png": "gone.png", "caption": "gone"}
    none = {"name": "none", "caption": "no such thing, for a reason", "png": None, "svg": None}
    page = Page(html(with_pictures(report, rung1=[gone, text, out, none, good]), folder))
    assert len(page.of("img")) == 1
    told = page.told()
    for words in (
        "Gone. Not shown: its file cannot be read: No such file or directory.",
        "What text shows. Not shown: its file cannot be read: it is not a PNG.",
        "What out shows. Not shown: its file cannot be read: it is not in the report's folder.",
        "No such thing, for a reason.",
    ):
        assert words in told, words
    assert not [a for a in page.of("a") if ".." in a["href"]]


def test_compiled_template(report, tmp_path, monkeypatch):
    """The template is compiled once for all processes; a damaged or unwritable file of it costs only the compilation."""
    monkeypatch.setattr("sys.pycache_prefix", str(tmp_path / "compiled"))
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    compiled = []
    compiling = Environment.compile
    monkeypatch.setattr(Environment, "compile", lambda *args, **more: compiled.append(1) or compiling(*args, **more))

    def pages():
        _template.cache_clear()  # as in a new process
        return html(report, tmp_path), len(compiled)

    page, _ = pages()
    assert pages() == (page, 1)
    (file,) = (tmp_path / "compiled").rglob("*jinja*")
    for damage in (b"", b"no bytecode", file.read_bytes()[:-9]):
        compiled.clear()
        file.write_bytes(damage)
        assert pages() == (page, 1)
        assert pages() == (page, 1)
    file.unlink()
    file.parent.rmdir()
    file.parent.write_text("")
    assert pages() == (page, 2)


def test_page_without_rungs(report, tmp_path):
    """A report that was broken off without rungs has a page, too."""
    page = Page(html(report | {"rungs": [], "culprit": None, "complete": False}, tmp_path))
    assert page.told("h1").startswith("BROKEN OFF")


@pytest.fixture(scope="module")
def chromium():
    """The browser, started once."""
    found = shutil.which("chromium") or shutil.which("google-chrome")  # which GitHub's machines have
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("there is no chromium to open the page in")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def filed(report, tmp_path_factory):
    """The report as it is written, with a picture in it."""
    folder = tmp_path_factory.mktemp("reports")
    shown = report | {"rungs": [entry | {"pictures": [real_png(folder, entry["id"])]} for entry in report["rungs"]]}
    write(shown, folder)
    return folder / "ladder.html"


def real_png(folder, id):
    from PIL import Image

    name = f"pictures/{id}/latent.png"
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (900, 300), "white").save(folder / name)
    return {"name": "latent", "caption": f"the latent of {id}", "png": name, "svg": name}


@pytest.fixture
def opened(chromium, filed):
    """Opens the page in a window; a request or an error of the page ends the test."""
    contexts, trouble = [], []

    def go(path=filed, width=1280, height=900, **options):
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        tab = context.new_page()
        tab.on(
            "request", lambda request: request.url.startswith(("data:", path.as_uri())) or trouble.append(request.url)
        )
        tab.on("console", lambda message: trouble.append(message.text))
        tab.on("pageerror", lambda error: trouble.append(str(error)))
        tab.on("dialog", lambda dialog: (trouble.append(dialog.message), dialog.dismiss()))
        tab.goto(path.as_uri())
        return tab

    yield go
    for context in contexts:
        context.close()
    assert trouble == []


def test_page_in_a_browser(opened, report):
    """The page opens without requests and errors, and its tables and figures are visible."""
    tab = opened()
    assert tab.title() == headline(report)
    assert tab.get_by_role("heading", level=1).is_visible()
    assert tab.locator("table.ladder tbody tr").count() == len(report["rungs"])
    for each in (*tab.locator("table.ladder, figure, figure svg, figure img").all(),):
        box = each.bounding_box()
        assert box, each
        assert min(box["width"], box["height"]) > 50
    assert tab.locator("figure.chart").count() == len(report["rungs"]) - 2
    assert tab.evaluate("[...document.images].every((image) => image.naturalWidth === 900)")
    tab.get_by_role("link", name="rung2", exact=True).first.click()
    assert tab.locator("article:target h3").inner_text() == "rung2: unlucky"


def test_markup_without_policy(opened, nasty, tmp_path):
    """Markup in a report does not run even if the browser ignores the policy of the page."""
    path = tmp_path / "ladder.html"
    path.write_text(html(nasty, tmp_path), encoding="utf-8")
    tab = opened(path, bypass_csp=True)
    assert tab.title() == headline(nasty)
    assert tab.locator("img").count() == 0


def column(tab, number):
    return tab.locator(f"table.ladder tbody tr > :nth-child({number})").all_inner_texts()


def test_keyboard_sorting(opened):
    """The table of the ladder can be sorted by keyboard, and the page announces the order."""
    tab = opened()
    climbed, heads = column(tab, 1), tab.locator("table.ladder thead th")
    assert heads.nth(2).get_attribute("aria-sort") == "none"
    assert heads.nth(3).get_attribute("aria-sort") is None
    tab.get_by_role("button", name="Seeds").focus()
    for order, key in (("ascending", "Enter"), ("descending", "Space")):
        tab.keyboard.press(key)
        assert heads.nth(2).get_attribute("aria-sort") == order
        assert tab.get_by_role("status").inner_text() == f"Sorted by seeds, {order}."
        shares = [eval(seeds.split()[0]) for seeds in column(tab, 3) if "/" in seeds]
        assert shares == sorted(shares, reverse=order == "descending")
        assert column(tab, 3)[-2:] == ["–", "–"], "what has no seeds comes last"
    tab.keyboard.press("Enter")
    assert column(tab, 1) == climbed
    assert heads.nth(2).get_attribute("aria-sort") == "none"
    tab.get_by_role("button", name="Verdict").click()
    reds = [verdict in ("FAIL", "UNDECIDED", "BLOCKED by rung2", "CRASHED") for verdict in column(tab, 2)]
    assert reds == sorted(reds, reverse=True), "red rungs come first"
    assert any(reds)
    assert heads.nth(2).get_attribute("aria-sort") == "none"


def test_page_without_scripts(opened, report):
    """The page is complete in a browser without scripts."""
    tab = opened(java_script_enabled=False)
    assert tab.locator("table.ladder tbody tr").count() == len(report["rungs"])
    assert tab.get_by_role("button").count() == 0


CONTRAST = """() => {
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const part = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
  };
  const found = {};
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || element.matches("script, style")) continue;
    const style = getComputedStyle(element);
    const ink = parse(element instanceof SVGElement ? style.fill : style.color);
    const [a, b] = [light(ink), light(behind(element))].sort((x, y) => y - x);
    found[ink] = (a + 0.05) / (b + 0.05);
  }
  return found;
}"""


def test_colour_contrast(opened):
    """Light and dark colours differ, and all text has a contrast of at least 4.5 in both."""
    seen = {}
    for scheme in ("light", "dark"):
        tab = opened(color_scheme=scheme)
        seen[scheme] = tab.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        contrasts = tab.evaluate(CONTRAST)
        assert len(contrasts) > 4
        assert min(contrasts.values()) >= 4.5, (scheme, contrasts)
    assert seen["light"] == "rgb(255, 255, 255)"
    assert sum(map(int, re.findall(r"\d+", seen["dark"]))) < 100


@pytest.mark.parametrize("width", [320, 375, 768])
def test_narrow_screen(opened, width):
    """The page does not scroll sideways on a narrow screen, and what scrolls has keyboard focus."""
    tab = opened(width=width, height=740, device_scale_factor=2)
    for details in tab.locator("summary").all():
        details.click()
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    wide = tab.evaluate(
        "[...document.querySelectorAll('.scroll')].filter((box) => box.scrollWidth > box.clientWidth).map((box) => box.tabIndex)"
    )
    assert wide
    assert set(wide) == {0}, "what scrolls is within reach of the keyboard"
    sizes = tab.evaluate("[...document.querySelectorAll('.chart svg')].map((svg) => svg.getBoundingClientRect().width)")
    assert min(sizes) > 0.8 * min(width, 340)


def test_accessible_names(opened, report):
    """Every figure, table, picture, link and button has an accessible name."""
    tab = opened()
    tree = tab.context.new_cdp_session(tab).send("Accessibility.getFullAXTree")["nodes"]
    named = {}
    for node in tree:
        if not node["ignored"]:
            named.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", ""))
    assert {"main", "banner", "contentinfo", "status"} <= set(named)
    for role in ("figure", "image", "table", "heading", "link", "button", "columnheader", "rowheader"):
        assert all(named[role]), role
    charts = [name for name in named["image"] if name.startswith("Loss of ")]
    assert len(charts) == len(report["rungs"]) - 2
    assert any("Condition: loss < 0.5 by epoch 3, met by 16. Floor 0.1" in name for name in charts)
    assert "The latent of rung2." in named["image"]
