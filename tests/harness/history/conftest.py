"""Histories of reports with chosen numbers."""

from itertools import count

import pytest
from nights import write

from ladder.history.history import read


@pytest.fixture
def history_of(tmp_path):
    """A function that files reports in a folder of their own and returns its history."""
    folders = count()
    return lambda *reports: read(write(tmp_path / f"nights{next(folders)}", reports))
