"""The report as a page that needs nothing but itself: no network, no font, no script from elsewhere.

All that a report says is escaped, and the page's own policy lets no other style or script run than the two that it came with.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from ladder.naming import on_disk
from ladder.report import chart, text
from ladder.report.schema import Document, Entry

TEMPLATES = Path(__file__).with_name("templates")
LARGEST = 3 * 2**20  # bytes of a page: it is to be mailed, and opened on a phone
WORDS = 2**14  # of them, for each rung, for all that is neither curves nor pictures
CURVES = "curves"  # the picture that shows what the page itself draws: linked, not embedded
PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Picture:
    """A picture of a rung: embedded in ``data``, or else linked, or, without files, said in words.

    Attributes:
        data: The file as a ``data:`` URI; empty of a picture that there was no room for.
        size: Its width and height in pixels; zeros where it is not embedded.
        links: Format to address, of its files.
        note: Why it is not seen; else empty.
    """

    caption: str
    data: str
    size: tuple[int, int]
    links: dict[str, str]
    note: str


def html(document: Document, folder: Path) -> str:
    """The whole report. Pictures are read from ``folder``, and as many embedded as there is room for, of red rungs first.

    A picture whose file cannot be read costs that picture.
    """
    rungs = document["rungs"]
    charts = {
        rung["id"]: [chart.chart(rung, metric, document) for metric in chart.metrics(rung) if rung["epochs"]]
        for rung in rungs
    }
    curves = sum(len(c.met) + len(c.missed) for found in charts.values() for c in found)
    return _template().render(
        document=document,
        charts=charts,
        pictures=_pictures(document, folder, LARGEST - WORDS * len(rungs) - curves),
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
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
    """What a policy calls a style or a script by."""
    return f"'sha256-{base64.b64encode(sha256(content.encode()).digest()).decode()}'"


def _sentence(told: str) -> str:
    """With a capital and a full stop."""
    return f"{told[:1].upper()}{told[1:]}{'' if told.endswith(('.', '!', '?')) else '.'}"


def _anchor(id: str) -> str:
    """The address of a rung's section."""
    return f"#{quote(id)}"


def _breakable(id: str) -> Markup:
    """A rung's id, which may go on in another line after its punctuation."""
    return Markup("<wbr>").join(re.split(r"(?<=[\[,=_+])", id))


def _others(rung: Entry) -> list[tuple[str, dict[str, Any]]]:
    """Of metrics that have no chart, median and range by epoch."""
    drawn = chart.metrics(rung)
    found = {name: chart.spread(curve) for name, curve in rung["curves"].items() if name not in drawn}
    return sorted((found | rung["others"]).items())


def _pictures(document: Document, folder: Path, room: int) -> dict[str, list[Picture]]:
    """Of every rung its pictures, in its order."""
    accused = (document["culprit"] or {}).get("rung")
    known = [rung["id"] for rung in text.expected(document)]

    def urgency(rung: Entry) -> tuple[bool, bool, bool]:
        return rung["id"] != accused, rung["green"], rung["id"] not in known

    found: dict[str, list[Picture]] = {}
    for rung in sorted(document["rungs"], key=urgency):
        found[rung["id"]] = list(_of(rung, folder, room))
        room -= sum(len(picture.data) for picture in found[rung["id"]])
    return found


def _of(rung: Entry, folder: Path, room: int) -> Iterator[Picture]:
    for picture in rung["pictures"]:
        shown = _picture(picture, folder, room)
        room -= len(shown.data)
        yield shown


def _picture(picture: dict[str, Any], folder: Path, room: int) -> Picture:
    paths = [path for kind in ("png", "svg") if (path := picture[kind])]
    links = {PurePosixPath(path).suffix[1:].upper(): quote(path) for path in paths}
    linked = Picture(picture["caption"], "", (0, 0), links, "")
    if not paths or picture["name"] == CURVES:
        return linked
    try:
        content = _read(folder, paths[0])
    except (OSError, ValueError) as error:
        return replace(linked, links={}, note=f"its file cannot be read: {getattr(error, 'strerror', '') or error}")
    data = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    if len(data) > room:
        return replace(linked, note="there was no room for it in this page; it lies beside it")
    return replace(linked, data=data, size=(int.from_bytes(content[16:20]), int.from_bytes(content[20:24])))


def _read(folder: Path, path: str) -> bytes:
    """A picture within the report's folder.

    Raises:
        OSError: if there is none.
        ValueError: for a name that no file can have.
    """
    file = (folder / on_disk(path)).resolve()
    if not file.is_relative_to(folder.resolve()):
        raise OSError("it is not in the report's folder")
    content = file.read_bytes()
    if not content.startswith(PNG):
        raise OSError("it is no PNG")
    return content
