"""Find the component that broke a model: a ladder of experiments, climbed by pytest on many seeds at once.

Names are loaded when they are first used, so that importing ``ladder`` costs nothing.
"""

import time
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ladder.climb import Climb, Outcome
    from ladder.criteria import above, agrees, below, better_than, falls, no_worse_than
    from ladder.experiment import Experiment
    from ladder.rung import Ladder, LadderError, Rung
    from ladder.trained import Trained
    from ladder.training import Seeds, Trainer
    from ladder.verdict import SequentialTest, Verdict

STARTED = time.time()
"""When this process began, as far as ladder knows: sources that changed later are not what it runs."""

_HOMES = {
    "Rung": "rung",
    "Ladder": "rung",
    "LadderError": "rung",
    "Experiment": "experiment",
    "below": "criteria",
    "above": "criteria",
    "falls": "criteria",
    "agrees": "criteria",
    "better_than": "criteria",
    "no_worse_than": "criteria",
    "Verdict": "verdict",
    "SequentialTest": "verdict",
    "Climb": "climb",
    "Outcome": "climb",
    "Trainer": "training",
    "Trained": "trained",
    "Seeds": "training",
}

__all__ = [
    "Climb", "Experiment", "Ladder", "LadderError", "Outcome", "Rung", "Seeds", "SequentialTest", "Trained", "Trainer",
    "Verdict", "above", "agrees", "below", "better_than", "falls", "no_worse_than",
]  # fmt: skip

__version__ = metadata.version("pytest-ladder")


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ladder' has no attribute {name!r}")
    return getattr(import_module(f"ladder.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
