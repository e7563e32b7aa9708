"""The report: ``document`` builds it as data, the other modules draw it, ``write`` files it."""

import json
import re
from pathlib import Path

from ladder.files import write_atomically
from ladder.report.markdown import markdown
from ladder.report.schema import Document

NUMBERS = re.compile(r'"(?:[^"\\]|\\.)*"|\[[\s\d.,eE+null-]+\]')
"""A list of numbers in JSON; or a string, in which there are none."""


def write(document: Document, folder: Path) -> list[Path]:
    """Write ``ladder.json``, ``ladder.md`` and ``ladder.html``, each in one step; pictures are read from the folder.

    Raises:
        OSError: if the folder cannot be made or written.
    """
    from ladder.report.html import html  # here, for Jinja2 is not needed where nothing is written

    targets = {
        folder / "ladder.json": as_json(document),
        folder / "ladder.md": markdown(document),
        folder / "ladder.html": html(document, folder),
    }
    for target, content in targets.items():
        write_atomically(target, content)
    return list(targets)


def as_json(document: Document) -> str:
    """Indented, but for lists of numbers: a seed's curve is one line."""
    text = json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False)
    return NUMBERS.sub(lambda found: found[0] if found[0][0] == '"' else re.sub(r"\s+", " ", found[0]), text) + "\n"
