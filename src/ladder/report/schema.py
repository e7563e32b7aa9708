"""The shape of a report, as ``schema.json`` publishes it, for those who write one and those who read one."""

from pathlib import Path
from typing import Any

VERSION = "2.1.0"
"""Of the reports that are written: a reader of 2.x reads every 2.y, and what is older is brought up by ``reading``."""

SCHEMA = Path(__file__).with_name("schema.json")
"""The published JSON Schema of ``ladder.json``."""

WHOLE = 2**63
"""What whole numbers of a report are smaller than, either side of zero."""

Document = dict[str, Any]
"""A whole report."""

Entry = dict[str, Any]
"""One rung of it."""
