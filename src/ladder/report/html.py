"""The report as a self-contained page: it needs no network, no font and no script from elsewhere.

All text of a report is escaped, and the page's own policy allows only the one style and the one script that it contains.
"""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from importlib.util import cache_from_source
from pathlib import Path, PurePosixPath
from urllib.parse import quote

import jinja2
from jinja2 import Environment, FileSystemBytecodeCache, FileSystemLoader, StrictUndefined, Template
from jinja2.bccache import Bucket
from markupsafe import Markup

from ladder.naming import on_disk
from ladder.report import chart, schema, text
from ladder.report.schema import Document, Entry, Spread

TEMPLATES = Path(__file__).with_name("templates")
LARGEST = 3 * 2**20  # bytes of a page, so that it can be mailed and opened on a phone
WORDS = 2**14  # bytes for each rung, for everything but curves and pictures
CURVES = "curves"  # the picture of the curves that the page draws itself: linked, not embedded
PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Picture:
    """A picture of a rung: embedded in ``data``, or linked, or without files, with a caption alone.

    Attributes:
        data: The file as a ``data:`` URI; empty if the picture is not embedded.
        size: Its width and height in pixels; zeros if it is not embedded.
        links: The addresses of its files, by format.
        note: The reason why it is missing from the page; else empty.
    """

    caption: str
    data: str
    size: tuple[int, int]
    links: dict[str, str]
    note: str


def html(document: Document, folder: Path) -> str:
    """Return the whole report as a page, with as many pictures from ``folder`` embedded as fit, those of red rungs first.

    If the file of a picture cannot be read, only that picture is missing.
    """
    rungs = document["rungs"]
    charts = {
        rung["id"]: [chart.chart(rung, metric, document) for metric in chart.metrics(rung) if rung["epochs"]]
        for rung in rungs
    }
    curves = sum(len(c.met) + len(c.missed) for drawn in charts.values() for c in drawn)
    return _template().render(
        document=document,
        charts=charts,
        pictures=_pictures(document, folder, LARGEST - WORDS * len(rungs) - curves),
    )


class _CompiledTemplates(FileSystemBytecodeCache):
    """Compiled templates in the folder of Python's compiled modules: compiling takes longer than filling in a report."""

    def __init__(self) -> None:
        # Their names contain a digest of the template; this module decides how it is compiled.
        settings = sha256(Path(__file__).read_bytes()).hexdigest()[:16]
        folder = Path(cache_from_source(str(TEMPLATES / "ladder.py"))).parent
        super().__init__(str(folder), f"%s.jinja-{jinja2.__version__}-{settings}")

    def load_bytecode(self, bucket: Bucket) -> None:
        with suppress(Exception):  # a damaged file may raise anything; the template is then compiled
            super().load_bytecode(bucket)

    def dump_bytecode(self, bucket: Bucket) -> None:
        if not sys.dont_write_bytecode:
            with suppress(OSError):  # installed for all users, by another
                Path(self.directory).mkdir(parents=True, exist_ok=True)
                super().dump_bytecode(bucket)


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        bytecode_cache=_CompiledTemplates(),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = ((TEMPLATES / f"ladder.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    environment.globals |= {
        "style": Markup(style),
        "script": Markup(script),
        "policy": f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'",
        "text": text,
        "chart": chart,
        "others": _others,
    }
    environment.filters |= {
        "sentence": _sentence,
        "figure": text.format_number,
        "anchor": _anchor,
        "breakable": _breakable,
    }
    return environment.get_template("ladder.html.jinja")


def _hash(content: str) -> str:
    """Return the source expression by which a policy allows a style or a script."""
    return f"'sha256-{base64.b64encode(sha256(content.encode()).digest()).decode()}'"


def _sentence(clause: str) -> str:
    """Return a clause with a capital and a full stop."""
    return f"{clause[:1].upper()}{clause[1:]}{'' if clause.endswith(('.', '!', '?')) else '.'}"


def _anchor(id: str) -> str:
    """Return the address of a rung's section."""
    return f"#{quote(id)}"


def _breakable(id: str) -> Markup:
    """Return a rung's id that a browser may break after its punctuation."""
    return Markup("<wbr>").join(re.split(r"(?<=[\[,=_+])", id))


def _others(rung: Entry) -> list[tuple[str, Spread]]:
    """Return median, low and high by epoch of each metric that has no chart."""
    drawn = chart.metrics(rung)
    spreads = {name: chart.spread(curve) for name, curve in rung["curves"].items() if name not in drawn}
    return sorted((spreads | rung["others"]).items())


def _pictures(document: Document, folder: Path, bytes_left: int) -> dict[str, list[Picture]]:
    """Return the pictures of every rung, in the rung's order."""
    accused = document["culprit"]["rung"] if document["culprit"] else None
    expected = [rung["id"] for rung in text.expected(document)]

    def urgency(rung: Entry) -> tuple[bool, bool, bool]:
        return rung["id"] != accused, rung["green"], rung["id"] not in expected

    pictures: dict[str, list[Picture]] = {}
    for rung in sorted(document["rungs"], key=urgency):
        pictures[rung["id"]] = list(_pictures_of(rung, folder, bytes_left))
        bytes_left -= sum(len(picture.data) for picture in pictures[rung["id"]])
    return pictures


def _pictures_of(rung: Entry, folder: Path, bytes_left: int) -> Iterator[Picture]:
    for picture in rung["pictures"]:
        result = _picture(picture, folder, bytes_left)
        bytes_left -= len(result.data)
        yield result


def _picture(picture: schema.Picture, folder: Path, bytes_left: int) -> Picture:
    paths = [path for path in (picture["png"], picture["svg"]) if path]
    links = {PurePosixPath(path).suffix[1:].upper(): quote(path) for path in paths}
    linked = Picture(picture["caption"], "", (0, 0), links, "")
    if not paths or picture["name"] == CURVES:
        return linked
    try:
        content = _read(folder, paths[0])
    except (OSError, ValueError) as error:
        return replace(linked, links={}, note=f"its file cannot be read: {getattr(error, 'strerror', '') or error}")
    data = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    if len(data) > bytes_left:
        return replace(linked, note="there was no room for it in this page; it lies beside it")
    return replace(linked, data=data, size=(int.from_bytes(content[16:20]), int.from_bytes(content[20:24])))


def _read(folder: Path, path: str) -> bytes:
    """Return the content of a picture within the report's folder.

    Raises:
        OSError: if there is no such picture, or it cannot be read.
        ValueError: if the name is one that no file can have.
    """
    file = (folder / on_disk(path)).resolve()
    if not file.is_relative_to(folder.resolve()):
        raise OSError("it is not in the report's folder")
    content = file.read_bytes()
    if not content.startswith(PNG):
        raise OSError("it is not a PNG")
    return content
