"""The shape of a report, as ``schema.json`` publishes it, for the code that writes reports and the code that reads them."""

from pathlib import Path
from typing import Any

VERSION = "2.1.0"
"""The version of the reports that are written: a reader of 2.x reads every 2.y, and ``reading`` upgrades older ones."""

SCHEMA = Path(__file__).with_name("schema.json")
"""The published JSON Schema of ``ladder.json``."""

WHOLE = 2**63
"""The bound on the whole numbers of a report: their absolute values are smaller."""

Document = dict[str, Any]
"""A whole report."""

Entry = dict[str, Any]
"""A rung in a report."""
