"""The diagnosis of a failed rung: findings with numbers, the most likely cause first, and tables of the model's inside."""

import math
from dataclasses import dataclass

import numpy as np

from ladder.declare.rung import Rung
from ladder.declare.verdict import Verdict
from ladder.diagnose.departure import Departure, stage_keys, stage_name
from ladder.diagnose.findings import FailedRun, Finding, findings, median
from ladder.judge.judgement import Judgement
from ladder.train.result import Trained

DEPARTURES = 12  # that are listed


@dataclass(frozen=True)
class Scale:
    """Statistics of the entries of a tensor."""

    mean: float
    rms: float
    min: float
    max: float


@dataclass(frozen=True)
class Stage:
    """A tensor of the forward pass, before and after training."""

    name: str
    shape: tuple[int, ...]
    start: Scale
    end: Scale


@dataclass(frozen=True)
class Latent:
    """The latent's covariance: its eigenvalues, the largest first, and their effective rank, before and after training."""

    start_rank: float
    end_rank: float
    start_spectrum: tuple[float, ...]
    end_spectrum: tuple[float, ...]


@dataclass(frozen=True)
class Group:
    """The parameters of one module over the training steps, which are counted from 1.

    Attributes:
        name: The path of the module.
        weight: The norm of the weights after the first, the middle and the last step.
        smallest_gradient: The smallest norm of the gradient, and its step.
        largest_gradient: The largest norm of the gradient, and its step.
        update_to_weight: The median over steps of the norm of the update over the norm of the weights.
    """

    name: str
    weight: tuple[float, float, float]
    smallest_gradient: tuple[float, int]
    largest_gradient: tuple[float, int]
    update_to_weight: float


@dataclass(frozen=True)
class Diagnosis:
    """The causes of a failure; a table is empty if the experiment reports nothing for it.

    Attributes:
        findings: The causes, the most likely first.
        departures: The first quantities in which the rung departs from its parent.
        missing: What would tell more, and where to give it.
        stages: The tensors of the forward pass.
        groups: The parameters by module.
        latent: The latent's covariance.
    """

    findings: tuple[Finding, ...] = ()
    departures: tuple[Departure, ...] = ()
    missing: tuple[str, ...] = ()
    stages: tuple[Stage, ...] = ()
    groups: tuple[Group, ...] = ()
    latent: Latent | None = None


def diagnose(rung: Rung, judgement: Judgement, trained: Trained, parent: Trained | None = None) -> Diagnosis:
    """Return the diagnosis of the failing seeds; it is empty for a rung that passed.

    Args:
        rung: The rung; its experiment's ``objective`` and ``reference`` are used, if it has them.
        judgement: The verdict, with the seeds that failed.
        trained: The curves, traces and inspections of all seeds.
        parent: Those of its parent, which passed; None for a rung without one.
    """
    if judgement.verdict is Verdict.PASS:
        return Diagnosis()
    run = FailedRun(rung, judgement, trained, parent)
    return Diagnosis(
        findings(run), run.departures[:DEPARTURES], _missing(run), _stages(run), _groups(run), _latent(run)
    )


def _missing(run: FailedRun) -> tuple[str, ...]:
    """Return what an experiment does not report, without which causes are not found."""
    missing = []
    if run.parent is None:
        missing.append("a parent to compare with: parent=")
    if not run.groups and run.finite.seeds:
        missing.append("traces of gradients, updates and weights: step_traces or watch")
    if not run.inspected:
        missing.append("an inspection of a batch: inspect or watch's probe=")
    if run.curve("objective") is None:
        missing.append("the name of the metric that is trained on: objective")
    return tuple(missing)


def _stages(run: FailedRun) -> tuple[Stage, ...]:
    def scale(when: str, name: str) -> Scale:
        return Scale(*(median(run.inspected[f"{when}/{name}/{what}"]) for what in ("mean", "rms", "min", "max")))

    stages = []
    for key in stage_keys(run.failed, "end"):
        shape = tuple(median(sizes) for sizes in run.inspected[f"end/{key}/shape"].T)
        if not np.isnan(shape).any():  # of a failing seed
            stages.append(Stage(stage_name(key), tuple(map(int, shape)), scale("start", key), scale("end", key)))
    return tuple(stages)


def _groups(run: FailedRun) -> tuple[Group, ...]:
    if not run.finite.seeds:
        return ()
    ratios = run.updates(np.median)

    def group(name: str) -> Group:
        weight, gradient = (
            np.median(run.steps("weight", name), axis=0),
            np.median(run.steps("gradient", name), axis=0),
        )
        return Group(
            name,
            (float(weight[0]), float(weight[len(weight) // 2]), float(weight[-1])),
            (float(gradient.min()), int(gradient.argmin()) + 1),
            (float(gradient.max()), int(gradient.argmax()) + 1),
            ratios.get(name, math.nan),
        )

    return tuple(group(name) for name in run.groups)


def _latent(run: FailedRun) -> Latent | None:
    if "end/latent/spectrum" not in run.inspected:
        return None
    start, end = (tuple(map(median, run.inspected[f"{when}/latent/spectrum"].T)) for when in ("start", "end"))
    return Latent(median(run.inspected["start/latent/rank"]), run.end("latent/rank"), start, end)
