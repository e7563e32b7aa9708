"""The report: ``document`` builds it as data, the other modules draw it, ``write`` files it."""

import json
import re
from contextlib import suppress
from pathlib import Path

from ladder.files import write_atomically
from ladder.naming import REPORT_FILES
from ladder.report.markdown import markdown
from ladder.report.schema import Document

NUMBERS = re.compile(r'"(?:[^"\\]|\\.)*"|\[[\s\d.,eE+null-]+\]')
"""A list of numbers in JSON; or a string, in which there are none."""


def write(document: Document, folder: Path) -> list[Path]:
    """Write ``ladder.json``, ``ladder.md`` and ``ladder.html``, each in one step; pictures are read from the folder.

    Returns:
        The files. An earlier report that was set aside is removed, now that there is another.

    Raises:
        OSError: if the folder cannot be made or written.
    """
    from ladder.report.html import html  # here, for Jinja2 is not needed where nothing is written

    contents = as_json(document), markdown(document), html(document, folder)
    for name, content in zip(REPORT_FILES, contents, strict=True):
        write_atomically(folder / name, content)
    for previous in REPORT_FILES.values():
        with suppress(OSError):  # it is in nobody's way
            (folder / previous).unlink()
    return [folder / name for name in REPORT_FILES]


def as_json(document: Document) -> str:
    """Indented, but for lists of numbers: a seed's curve is one line."""
    text = json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False)
    return NUMBERS.sub(lambda found: found[0] if found[0][0] == '"' else re.sub(r"\s+", " ", found[0]), text) + "\n"
