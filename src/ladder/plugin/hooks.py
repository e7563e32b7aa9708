"""The hooks of ladder, which a ``conftest.py`` or another plugin may implement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from ladder.diagnose.findings import FailedRun, Finding
    from ladder.report.schema import Entry


def pytest_ladder_rung_finished(entry: Entry, curves: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Do something with the outcome of a rung, such as writing its curves for another program.

    It is called once for each rung, in the process that climbed it, after its test; not for a rung whose process died. If it
    raises an error, the run prints the error and goes on.

    Args:
        entry: The rung's entry in the report.
        curves: Metric to values of shape (seed, epoch); empty for a rung that was not trained.
    """


def pytest_ladder_findings(run: FailedRun) -> Sequence[Finding]:
    """Return findings on why a rung failed, besides those of ladder; they come before these.

    The name of such a finding has a dot, such as ``"vision.aliasing"``. A control may expect it.

    Args:
        run: The rung with its curves, traces and inspections.
    """
    return ()
