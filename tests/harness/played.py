"""Climbs whose training is played: the curves of a seed are a formula of its number, and cost no time."""

import os
from dataclasses import replace
from typing import ClassVar

import numpy as np
from toys import SOURCE, Coin

from ladder import Climb, Ladder, Rung, Seeds, SequentialTest, Trained, below, better_than
from ladder.evidence.store import Evidence
from ladder.train.trainer import Trainer

LEARNS = below("loss", 0.5, by=3, source=SOURCE)
ROOT = Rung(number=1, name="root", experiment=Coin(), gates=(LEARNS,))
BETTER = Rung(
    number=2,
    name="better",
    experiment=Coin(shift=-0.1),
    gates=(LEARNS, better_than("rung1", "loss", source=SOURCE)),
    parent="rung1",
    adds="shift",
    compare={"loss": ""},
)


def play(coin, seeds, numbers):
    """Return the curves of a coin's seeds, of which every sixteen ``16 p`` learn; with a trace, and not a number for seed 40.

    A coin that is shifted far enough shows its weights.
    """
    start = 1.0 + np.array([np.random.default_rng([seeds.root, number]).random() for number in numbers])
    start[np.asarray(numbers) == 40] = np.nan
    pace = np.where(np.asarray(numbers) % 16 < 16 * coin.p, 0.5, 1.0)
    loss = start[:, None] * pace[:, None] ** np.arange(1, coin.epochs + 1) + coin.shift
    weights = {"end/weights": np.asarray(numbers) / 7.0} if coin.shift >= 1.0 else {}
    return Trained({"loss": loss}, {"step_loss": np.stack([loss, loss / 3.0], axis=2)}, 0.25, 1.5, inspected=weights)


class Player(Trainer):
    """A trainer that plays what is trained; it logs experiments and seeds, in order."""

    log: ClassVar[list] = []

    def __init__(self, experiment, block):
        self.experiment = experiment

    def __call__(self, seeds, numbers, progress=None):
        """Play these seeds."""
        self.log.append((self.experiment, list(numbers)))
        return play(self.experiment, seeds, numbers)


def climb(folder, *rungs, looks=(16,), root=0, run="", trainer=Player, **options):
    """Climb all of them in a run of its own; the outcomes by id, and the evidence as the run leaves it."""
    evidence = Evidence(folder, run=run or os.urandom(4).hex(), commit="abc", **options)
    climb = Climb(Ladder(rungs), SequentialTest(looks=looks), Seeds(root), evidence, trainer=trainer)
    return {id: climb(id) for id in climb.ladder}, evidence


def same(one, other):
    """Whether two things trained are the same, bit for bit."""
    ours, theirs = (
        {
            **each.curves,
            **{f"trace {name}": trace for name, trace in each.traces.items()},
            **{f"inspected {name}": values for name, values in each.inspected.items()},
        }
        for each in (one, other)
    )
    return ours.keys() == theirs.keys() and all(
        ours[name].dtype == theirs[name].dtype
        and ours[name].shape == theirs[name].shape
        and ours[name].tobytes() == theirs[name].tobytes()
        for name in ours
    )


def at(p):
    return replace(ROOT, experiment=Coin(p=p))
