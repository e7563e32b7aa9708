"""Pictures of a rung, drawn where it was climbed: its learning curves, and pictures of its experiment.

An experiment with pictures of its own names the module that draws them, an :class:`Artist`, in a class attribute ``pictures``.
The module is named and not imported: a drawing is not a part of the measurement, so a picture may be changed, or matplotlib be
updated, and the evidence stays valid.

Only ``style`` imports matplotlib, and only when something is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from ladder.declare.verdict import Verdict
from ladder.files import write_atomically
from ladder.naming import on_disk
from ladder.pictures import style
from ladder.pictures.learning import learning_curves
from ladder.report import schema
from ladder.train.timelimit import TimedOutError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ladder.climb import Climb, Outcome
    from ladder.train.progress import ProgressMeter

FOLDER = "pictures"  # beside the report

Recording = Mapping[str, np.ndarray]
"""The arrays that an artist's ``record`` returned before training and after every epoch, stacked: (1 + epochs, ...)."""


class Picture(NamedTuple):
    """A picture with a caption of what it shows or, without a figure, of why there is none."""

    caption: str
    figure: Figure | None


@runtime_checkable
class Artist(Protocol):
    """A module that draws an experiment."""

    @property
    def PICTURES(self) -> Mapping[str, Callable[[Any, Recording], Picture]]:  # noqa: N802  # a constant of the module
        """The drawing function of each picture, by file name; its arguments are the experiment and its recording."""

    def record(self, experiment: Any, state: Any, key: Any) -> Mapping[str, Any]:
        """Return the arrays of a state that the pictures are drawn from, in pure JAX; the key is the same in every epoch."""


class Drawn(NamedTuple):
    """The pictures of a rung as its entry lists them, and the reasons why others could not be drawn."""

    pictures: list[schema.Picture]
    trouble: list[str]


def draw(
    climb: Climb, outcome: Outcome, label: str, reports: Path, deadline: float, progress: ProgressMeter | None = None
) -> Drawn:
    """Draw a climbed rung into ``reports/pictures/<its id>``, replacing the pictures there.

    If a picture fails, only that picture is missing. The experiment's pictures are of one seed: the first failing one, or the
    first of all if the rung passed. It is trained again, by itself, because states are not stored, but not beyond the deadline.

    Args:
        climb: The climb, which has the curves and can train again.
        outcome: The rung with its curves and its judgement.
        label: The verdict and the number of seeds, for the titles.
        reports: The folder of the report.
        deadline: The time of the monotonic clock, in seconds, at which training must be done.
        progress: Receives progress callbacks during training.
    """
    rung = outcome.rung
    if outcome.trained is None:
        return Drawn([], [])
    title = f"{rung.id} ({rung.name}): {label}"
    folder = _Folder(reports, rung.id)
    partners = {id: curves for id in rung.partners if (curves := climb.curves.so_far(climb.ladder[id]))}
    folder.add("curves", title, lambda: Picture(*learning_curves(outcome, partners)))
    artist = getattr(rung.experiment, "pictures", "")
    if artist and outcome.verdict is not Verdict.TIMED_OUT:
        try:
            _draw_experiment(import_module(artist), climb, outcome, folder, title, deadline, progress)
        except TimedOutError:
            folder.trouble.append(f"its experiment is not drawn: its {climb.time_limit:g} s were over")
        except Exception as error:
            folder.trouble.append(f"its experiment is not drawn: {error!r}")
    folder.remove_others()
    return Drawn(folder.pictures, folder.trouble)


def _draw_experiment(
    artist: Artist,
    climb: Climb,
    outcome: Outcome,
    folder: _Folder,
    title: str,
    deadline: float,
    progress: ProgressMeter | None,
) -> None:
    experiment, judged = outcome.rung.experiment, outcome.judgement
    failed = outcome.rung.role != "goal" and outcome.verdict is not Verdict.PASS and judged and judged.failing
    seed = failed[0] if failed else 0
    record = partial(artist.record, experiment)
    recording = climb.curves.record_states(outcome.rung, seed, record, progress, deadline, climb.time_limit)
    seed_title = f"{title}, seed {seed}{', the first that failed' if failed else ''}"
    for name, make in artist.PICTURES.items():
        folder.add(name, seed_title, partial(make, experiment, recording))


class _Folder:
    """The pictures of one rung on disk."""

    def __init__(self, reports: Path, id: str):
        self.pictures: list[schema.Picture] = []
        self.trouble: list[str] = []
        self._id = id
        self._folder = reports / FOLDER / on_disk(id)
        self._written: set[Path] = set()

    def add(self, name: str, title: str, make: Callable[[], Picture]) -> None:
        """Draw a picture and write its files."""
        paths: dict[str, str | None] = dict.fromkeys(style.FORMATS)
        try:
            with style.settings():
                caption, figure = make()
                files = {} if figure is None else style.files(figure, f"{title}\n{caption}")
            for kind, content in files.items():
                target = self._folder / f"{name}.{kind}"
                write_atomically(target, content)
                self._written.add(target)
                paths[kind] = f"{FOLDER}/{self._id}/{target.name}"
        except Exception as error:
            self.trouble.append(f"its picture {name!r} is missing: {error!r}")
        else:
            self.pictures.append({"name": name, "caption": caption, "svg": paths["svg"], "png": paths["png"]})

    def remove_others(self) -> None:
        """Remove the pictures of an earlier run that this one has not drawn."""
        for old in [path for kind in style.FORMATS for path in self._folder.glob(f"*.{kind}")]:
            if old not in self._written:
                with suppress(OSError):  # nothing links to it
                    old.unlink()
