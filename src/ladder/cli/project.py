"""The location of the last report according to pytest's settings, which are read without importing pytest."""

import shlex
import tomllib
from argparse import ArgumentError, ArgumentParser
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from iniconfig import IniConfig, ParseError

REPORT = Path("reports", "ladder.json")
"""The path of the last report relative to pytest's root, unless a setting says otherwise."""

CONFIGURATION = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")
"""The files in which pytest looks for its settings, in pytest's order."""

ROOTS = ("pyproject.toml", "setup.py", ".git")
"""The files that mark the root of a project that has no settings for pytest."""


def last_report(folder: Path) -> Path:
    """Return the path of the last report in the project that a folder belongs to, even if there is none yet.

    The folder of the report is, in this order, the value of ``--ladder-reports`` in pytest's setting ``addopts``, that of the
    setting ``ladder_reports``, and ``reports``. Without either setting, ``reports`` may also be nearer to the folder than the
    root is.
    """
    folders = [folder, *folder.parents]
    project = next(((place, settings) for place in folders if (settings := _settings(place)) is not None), None)
    if project is None:
        marked = (place for name in ROOTS for place in folders if (place / name).exists())
        project = next(marked, folder), {}
    root, settings = project
    setting = _reports_option(settings.get("addopts")) or settings.get("ladder_reports")
    if isinstance(setting, str):
        return root / setting / REPORT.name
    candidates = [root, *folders[: folders.index(root)]]
    return next((place / REPORT for place in candidates if (place / REPORT).is_file()), root / REPORT)


def _reports_option(addopts: Any) -> str | None:
    """Return the value of ``--ladder-reports`` in pytest's ``addopts``; None if it is not there."""
    try:
        words = shlex.split(addopts) if isinstance(addopts, str) else [str(word) for word in addopts or ()]
    except (TypeError, ValueError):  # pytest reports the error
        return None
    parser = ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--ladder-reports")
    with suppress(ArgumentError):
        reports: str | None = parser.parse_known_args(words)[0].ladder_reports
        return reports
    return None


def _settings(folder: Path) -> Mapping[str, Any] | None:
    """Return pytest's settings in a folder; None if no file there has any."""
    for name in CONFIGURATION:
        try:
            settings = _read(folder / name)
        except (OSError, ValueError, AttributeError, ParseError):  # missing, or invalid: pytest reports the error
            continue
        if settings is not None:
            return settings
    return None


def _read(file: Path) -> Mapping[str, Any] | None:
    """Return pytest's settings in a file; None if pytest would look for them in another file."""
    content = file.read_text(encoding="utf-8")
    if file.suffix == ".toml":
        document = tomllib.loads(content)
        table: dict[str, Any] = (document.get("tool", {}) if file.name == "pyproject.toml" else document).get(
            "pytest", {}
        )
        settings: dict[str, Any] = table.get("ini_options", table)
        return settings or (None if file.name == "pyproject.toml" and "ini_options" not in table else {})
    section = "tool:pytest" if file.suffix == ".cfg" else "pytest"
    parsed = IniConfig(str(file), data=content)
    if section in parsed:
        return dict(parsed[section].items())
    return None if file.name in ("tox.ini", "setup.cfg") else {}
