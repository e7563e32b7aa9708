"""Evidence: stored curves, by which an unchanged rung is judged again without training, and a log of every attempt."""

from collections.abc import Mapping
from pathlib import Path

from ladder.evidence.archive import CurveArchive
from ladder.evidence.attempts import AttemptLog
from ladder.evidence.lock import RunLock
from ladder.evidence.stored import Folder


class Evidence:
    """A folder of evidence, read and written by one run.

    If the folder fails, evidence is lost but the verdict stands; the user is warned once.

    Args:
        folder: The folder.
        run: The id of this run, shared by its workers.
        commit: The commit of the work tree, with ``+`` if the work tree differs from it.
        rerun: Whether the curves of earlier runs are ignored.
        ladders: Rung to the folder of its test; the attempts of every ladder are listed for a rung without an entry.

    Attributes:
        curves: The curves of all runs.
        attempts: The attempts of all runs.
        lock: The lock by which runs in the same checkout notice each other.
    """

    def __init__(
        self,
        folder: Path,
        run: str,
        commit: str = "",
        rerun: bool = False,
        ladders: Mapping[str, str] | None = None,
    ):
        self._folder = Folder(folder)
        self.curves: CurveArchive = CurveArchive(self._folder, run, commit, rerun)
        self.attempts: AttemptLog = AttemptLog(self._folder, run, commit, ladders if ladders is not None else {})
        self.lock: RunLock = RunLock(self._folder, run)

    @property
    def problems(self) -> list[str]:
        """Warnings of the folder."""
        return self._folder.problems
