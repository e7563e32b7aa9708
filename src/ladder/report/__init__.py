"""The report: ``document`` builds it as data, the other modules draw it, ``write`` files it."""

import json
import re
from pathlib import Path

from ladder.files import write_atomically
from ladder.report.markdown import markdown
from ladder.report.schema import Document


def write(document: Document, folder: Path) -> list[Path]:
    """Write ``ladder.json`` and ``ladder.md``, each in one step.

    Raises:
        OSError: if the folder cannot be made or written.
    """
    targets = {
        folder / "ladder.json": _json(document) + "\n",
        folder / "ladder.md": markdown(document),
    }
    for target, content in targets.items():
        write_atomically(target, content)
    return list(targets)


def _json(document: Document) -> str:
    """Indented, but for lists of numbers: a seed's curve is one line."""
    text = json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False)
    return re.sub(r"\[[\s\d.,eE+null-]+\]", lambda numbers: re.sub(r"\s+", " ", numbers[0]), text)
