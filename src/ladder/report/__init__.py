"""The report: ``document`` builds it as data, the other modules render it, ``write`` writes it."""

import json
import re
from contextlib import suppress
from pathlib import Path

from ladder.files import write_atomically
from ladder.naming import REPORT_FILES
from ladder.report.markdown import markdown
from ladder.report.schema import Document

NUMBERS = re.compile(r'"(?:[^"\\]|\\.)*"|\[[\s\d.,eE+null-]+\]')
"""A pattern for a list of numbers in JSON, or for a string, so that no list is found in one."""


def write(document: Document, folder: Path) -> list[Path]:
    """Write ``ladder.json``, ``ladder.md`` and ``ladder.html``, each in one step; pictures are read from the folder.

    An earlier report that was set aside is removed, now that there is a new one.

    Returns:
        The paths of the files.

    Raises:
        OSError: if the folder cannot be created or written.
    """
    from ladder.report.html import html  # here: Jinja2 is needed only to write

    contents = as_json(document), markdown(document), html(document, folder)
    for name, content in zip(REPORT_FILES, contents, strict=True):
        write_atomically(folder / name, content)
    for previous in REPORT_FILES.values():
        with suppress(OSError):  # it does no harm
            (folder / previous).unlink()
    return [folder / name for name in REPORT_FILES]


def as_json(document: Document) -> str:
    """Return the report as indented JSON, with each list of numbers, such as a seed's curve, in one line."""
    text = json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False)
    return NUMBERS.sub(lambda match: match[0] if match[0][0] == '"' else re.sub(r"\s+", " ", match[0]), text) + "\n"
