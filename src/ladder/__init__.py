"""Find the component that broke a model: a ladder of experiments, climbed by pytest on many seeds at once.

Names are loaded when they are first used, so that importing ``ladder`` costs nothing.
"""

import time
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ladder.climb import Climb, Outcome
    from ladder.declare.criteria import Criterion, Floor, above, agrees, below, better_than, falls, no_worse_than
    from ladder.declare.experiment import CompiledExperiment, Experiment, HostExperiment
    from ladder.declare.function import experiment
    from ladder.declare.ladder import Ladder, LadderError
    from ladder.declare.rung import Control, Rung
    from ladder.declare.verdict import Verdict
    from ladder.diagnose.findings import FailedRun, Finding
    from ladder.judge.sequential import SequentialTest
    from ladder.train.compiled import CompiledTrainer
    from ladder.train.compiled import CompiledTrainer as Trainer
    from ladder.train.host import HostTrainer
    from ladder.train.lines import json_lines
    from ladder.train.result import Trained
    from ladder.train.trainer import Seeds

_STARTED = time.time()
"""When this process began, as far as ladder knows: sources that changed later are not what it runs."""

_HOMES = {
    "Rung": "declare.rung",
    "Control": "declare.rung",
    "Criterion": "declare.criteria",
    "FailedRun": "diagnose.findings",
    "Finding": "diagnose.findings",
    "Floor": "declare.criteria",
    "Ladder": "declare.ladder",
    "LadderError": "declare.ladder",
    "Experiment": "declare.experiment",
    "CompiledExperiment": "declare.experiment",
    "HostExperiment": "declare.experiment",
    "experiment": "declare.function",
    "below": "declare.criteria",
    "above": "declare.criteria",
    "falls": "declare.criteria",
    "agrees": "declare.criteria",
    "better_than": "declare.criteria",
    "no_worse_than": "declare.criteria",
    "Verdict": "declare.verdict",
    "SequentialTest": "judge.sequential",
    "Climb": "climb",
    "Outcome": "climb",
    "CompiledTrainer": "train.compiled",
    "HostTrainer": "train.host",
    "json_lines": "train.lines",
    "Trained": "train.result",
    "Seeds": "train.trainer",
}

__all__ = [
    "Climb", "CompiledExperiment", "CompiledTrainer", "Control", "Criterion", "Experiment", "FailedRun", "Finding", "Floor",
    "HostExperiment", "HostTrainer", "Ladder", "LadderError", "Outcome", "Rung", "Seeds", "SequentialTest", "Trained", "Trainer",
    "Verdict", "above", "agrees", "below", "better_than", "experiment", "falls", "json_lines", "no_worse_than",
]  # fmt: skip

__version__ = metadata.version("pytest-ladder")


def __getattr__(name: str) -> Any:
    if name == "Trainer":
        name = "CompiledTrainer"  # which had this name when it was the only one
    if name not in _HOMES:
        raise AttributeError(f"module 'ladder' has no attribute {name!r}")
    return getattr(import_module(f"ladder.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
