"""Pictures of a rung, drawn where it was climbed: its learning curves, and what its experiment has to show besides.

An experiment that has more to show than curves names in a class attribute ``pictures`` the module that draws it, an
:class:`Artist`. Named and not imported: how something is drawn is no part of what was measured, so a picture may be changed, or
matplotlib be updated, and the evidence still holds.

Only ``style`` imports matplotlib, and only when something is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from ladder.files import write_atomically
from ladder.judge.sequential import Verdict
from ladder.naming import on_disk
from ladder.pictures import style
from ladder.pictures.learning import learning_curves
from ladder.report.schema import Entry
from ladder.report.text import seeds, verdict_label
from ladder.train.timelimit import TimedOutError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ladder.climb import Climb, Outcome
    from ladder.train.progress import ProgressMeter

FOLDER = "pictures"  # beside the report

Shown = Mapping[str, np.ndarray]
"""What an artist's ``shown`` returned before training and after every epoch, stacked: (1 + epochs, ...)."""


class Picture(NamedTuple):
    """One picture, and in words what it shows; without a figure, why there is none."""

    caption: str
    figure: Figure | None


class Artist(Protocol):
    """A module that draws an experiment."""

    @property
    def PICTURES(self) -> Mapping[str, Callable[[Any, Shown], Picture]]:  # noqa: N802  # a constant of the module
        """File name to what draws it: of the experiment, and of what was shown."""

    def shown(self, experiment: Any, state: Any, key: Any) -> Mapping[str, Any]:
        """What the pictures are drawn from, arrays of this state, in pure JAX. The key is the same in every epoch."""


class Drawn(NamedTuple):
    """The pictures of a rung as its entry lists them, and what kept others from being drawn."""

    pictures: list[dict[str, str | None]]
    trouble: list[str]


def draw(
    climb: Climb, outcome: Outcome, entry: Entry, reports: Path, deadline: float, progress: ProgressMeter | None = None
) -> Drawn:
    """Draw a climbed rung into ``reports/pictures/<its id>``, in place of what was there.

    Trouble with a picture costs that picture. What the experiment shows is of one seed, the first failing one, or of a rung that
    passed the first; it is trained again, by itself, for states are not kept, and not beyond the rung's deadline.
    """
    rung = outcome.rung
    if outcome.trained is None:
        return Drawn([], [])
    title = f"{rung.id} ({rung.name}): {verdict_label(entry)} {seeds(entry)}".removesuffix(" –")
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
    look = partial(artist.shown, experiment)
    shown = climb.curves.record_states(outcome.rung, seed, look, progress, deadline, climb.time_limit)
    of = f"{title}, seed {seed}{', the first that failed' if failed else ''}"
    for name, make in artist.PICTURES.items():
        folder.add(name, of, partial(make, experiment, shown))


class _Folder:
    """The pictures of one rung on disk."""

    def __init__(self, reports: Path, id: str):
        self.pictures: list[dict[str, str | None]] = []
        self.trouble: list[str] = []
        self._id = id
        self._folder = reports / FOLDER / on_disk(id)
        self._written: set[Path] = set()

    def add(self, name: str, title: str, make: Callable[[], Picture]) -> None:
        """Draw and file a picture."""
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
            self.pictures.append({"name": name, "caption": caption, **paths})

    def remove_others(self) -> None:
        """Remove the pictures of an earlier run that this one has not drawn."""
        for old in [path for kind in style.FORMATS for path in self._folder.glob(f"*.{kind}")]:
            if old not in self._written:
                with suppress(OSError):  # it is linked from nowhere
                    old.unlink()
