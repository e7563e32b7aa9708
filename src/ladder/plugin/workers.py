"""Workers of pytest-xdist: the distribution of rungs, communication between processes, and rungs whose worker dies."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ladder.declare.verdict import Verdict
from ladder.files import lock, write_atomically
from ladder.train.devices import VISIBLE, gpus

if TYPE_CHECKING:
    import pytest

    from ladder.declare.ladder import Ladder

GRACE = 2.0  # seconds that an interrupted worker has to end
MEMORY_FRACTION = 0.75  # of a GPU that JAX allocates for a process by default


class Handover:
    """A folder through which the processes of one run share the state of its rungs.

    The state is on disk and not in the worker that climbs a rung, so it survives the worker, and a replacement knows which rungs
    have passed.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._plan: dict[str, dict[str, Any]] | None = None

    def announce(self, plan: Mapping[str, Mapping[str, Any]]) -> None:
        """Announce the tests that climb rungs: node id to ``rung``, ``required``, ``group`` and the ``entry`` if its worker dies.

        The first plan that is announced is the plan of all workers.
        """
        handle = lock(self._planned.with_suffix(".lock"), wait=True)
        assert handle is not None
        try:
            if not self._planned.exists():
                write_atomically(self._planned, json.dumps(plan))
        finally:
            os.close(handle)

    @property
    def plan(self) -> Mapping[str, Mapping[str, Any]]:
        """The plan that was announced, in climbing order; empty before that."""
        if self._plan is None and self._planned.exists():
            self._plan = json.loads(self._planned.read_text(encoding="utf-8"))
        return self._plan or {}

    def collect(self) -> None:
        """Note that a worker has finished its collection."""
        (self._folder / "collected").touch()

    @property
    def collected(self) -> bool:
        """Return whether a worker has finished its collection."""
        return (self._folder / "collected").exists()

    def begin(self, id: str) -> None:
        """Note that a rung begins."""
        self._state(id, "begun").touch()

    def end(self, id: str, verdict: str) -> None:
        """Note that a rung has ended."""
        write_atomically(self._state(id, "ended"), verdict)

    def verdict(self, id: str) -> Verdict | None:
        """Return the verdict of a rung in any process; CRASHED if it began and has not ended, None if it never began.

        Only for the process that has taken over the rung's group, so that no other process is climbing the rung.
        """
        try:
            return Verdict(self._state(id, "ended").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return Verdict.CRASHED if self._state(id, "begun").exists() else None

    def leave(self, worker: str) -> None:
        """Note that a worker will end itself, between two tests."""
        (self._folder / f"{worker}.left").touch()

    def has_left(self, worker: str) -> bool:
        """Return whether a worker has ended itself."""
        return (self._folder / f"{worker}.left").exists()

    def interrupt(self) -> None:
        """Note that the run is interrupted, so that its workers end."""
        with suppress(OSError):
            (self._folder / "interrupted").touch()

    @property
    def interrupted(self) -> bool:
        """Return whether the run is interrupted."""
        return (self._folder / "interrupted").exists()

    @property
    def _planned(self) -> Path:
        return self._folder / "plan.json"

    def _state(self, id: str, state: str) -> Path:
        # A hash, because some file systems do not distinguish rung1[k] and rung1[K].
        name = hashlib.sha256(id.encode(errors="surrogatepass")).hexdigest()[:20]
        return self._folder / f"{name}.{state}"


def follow(handover: Handover, climbs: threading.Event, ended: threading.Event) -> None:
    """Start a thread that ends this worker within seconds of its controller's death, or of an interruption if it climbs.

    execnet alone interrupts a worker after five seconds, and kills one that computes after fifteen.

    Args:
        handover: The folder that the processes of the run share.
        climbs: Set when there are rungs to climb.
        ended: Set when this worker ends by itself.
    """
    controller = os.getppid()

    def watch() -> None:
        while not ended.wait(0.2):
            dead = os.getppid() != controller
            if climbs.is_set() and (handover.interrupted or dead):
                os.kill(os.getpid(), signal.SIGTERM)
                if not ended.wait(GRACE):
                    os._exit(1)
            elif dead:  # the interruption that execnet would send in five seconds
                os.kill(os.getpid(), signal.SIGINT)
                return

    threading.Thread(target=watch, name="ladder-follow", daemon=True).start()


def groups(ladder: Ladder, ids: Sequence[str]) -> dict[str, str]:
    """Return the group of each rung by the group's first id: one process climbs rungs that require each other or are compared."""
    first = {id: id for id in ids}

    def root(id: str) -> str:
        while first[id] != id:
            id = first[id]
        return id

    for id in ids:
        for below in (*ladder[id].required, *ladder[id].partners):
            if below in first:
                one, other = sorted((root(id), root(below)), key=list(ids).index)
                first[other] = one
    return {id: root(id) for id in ids}


def scheduler(config: pytest.Config, log: Any, handover: Handover) -> object | None:
    """Return a scheduler that keeps a group of rungs on one worker, and distributes other tests as ``--dist`` says.

    If a worker dies, the test that was running is given up and the others go to another worker; xdist alone would run that
    test again on every worker in turn.
    """
    from xdist import scheduler as xdist  # an optional dependency, whose hook calls this

    mode = config.getvalue("dist")
    scopes = {
        "loadscope": xdist.LoadScopeScheduling,
        "loadfile": xdist.LoadFileScheduling,
        "loadgroup": xdist.LoadGroupScheduling,
    }
    if mode not in {"load", "worksteal", *scopes}:
        return None
    base = scopes.get(mode, xdist.LoadScopeScheduling)

    class RungsTogether(base):  # type: ignore[misc, valid-type]  # xdist has no types
        def _split_scope(self, nodeid: str) -> str:
            if (planned := handover.plan.get(nodeid)) is not None:
                return f"ladder {planned['group']}"
            return super()._split_scope(nodeid) if mode in scopes else nodeid

        def remove_node(self, node: Any) -> str | None:
            units = self.assigned_work[node]
            waiting = [(unit, id) for unit in units.values() for id, done in unit.items() if not done]
            unit, running = waiting[0] if waiting and not handover.has_left(node.gateway.id) else ({}, None)
            if running is not None:
                unit[running] = True
            # Without this, a worker that receives a finished unit would wait for its first test.
            for scope in [scope for scope, unit in units.items() if all(unit.values())]:
                del units[scope]
            super().remove_node(node)
            return running

        def _reschedule(self, node: Any) -> None:
            if node not in self.registered_collections:  # a replacement that has not finished its collection
                return
            super()._reschedule(node)
            # A worker runs a test only once it has the next; with a single test a replacement would wait for ever.
            while self.workqueue and not node.shutting_down and self._pending_of(self.assigned_work[node]) < 2:
                self._assign_work_unit(node)

    return RungsTogether(config, log)


def take_gpu(folder: Path, workers: int) -> None:
    """Restrict this process to one GPU, the least used, before JAX counts the GPUs; a no-op if there are none.

    A claim is a lock, which is released when the process ends, so a replacement takes over the GPU of its predecessor.
    """
    if not (visible := gpus()):
        return
    share = -(-workers // len(visible))
    for slot in range(share):
        for gpu in visible:
            if lock(folder / f"gpu-{quote(gpu, safe='')}-{slot}") is None:
                continue
            os.environ[VISIBLE] = gpu  # the lock is kept until this process ends
            if share > 1:
                os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", f"{MEMORY_FRACTION / share:.3f}")
            return
