"""Diagnosis of a failed rung: findings with numbers, the most likely cause first, and the tables one would print by hand."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ladder.declare.arrays import Shaped
from ladder.declare.rung import Rung
from ladder.diagnose.findings import FailedRun, Finding, findings, median
from ladder.judge.judgement import Judgement
from ladder.judge.sequential import Verdict
from ladder.train.result import Trained


@dataclass(frozen=True)
class Scale:
    """The scale of the numbers in a tensor."""

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
    """The parameters of one module over the steps, counted from 1.

    Attributes:
        name: Path of the module.
        weight: Norm after the first, the middle and the last step.
        smallest_gradient: Smallest norm, and its step.
        largest_gradient: Largest norm, and its step.
        update_to_weight: Median over steps of the norm of the update over that of the weight.
    """

    name: str
    weight: tuple[float, float, float]
    smallest_gradient: tuple[float, int]
    largest_gradient: tuple[float, int]
    update_to_weight: float


@dataclass(frozen=True)
class Diagnosis:
    """The causes of a failure. Findings are in order of precedence; a table is empty where nothing was reported for it."""

    findings: tuple[Finding, ...] = ()
    stages: tuple[Stage, ...] = ()
    groups: tuple[Group, ...] = ()
    latent: Latent | None = None


def diagnose(
    rung: Rung, judgement: Judgement, trained: Trained, inspected: Mapping[str, Shaped[np.ndarray, "seed ..."]] | None
) -> Diagnosis:
    """Return the diagnosis of the failing seeds; it is empty for a rung that passed.

    Args:
        rung: What was trained; its experiment's ``objective`` and ``reference`` are read, if it has them.
        judgement: How its seeds fared, and which of them failed.
        trained: The curves and traces of all of them.
        inspected: :func:`ladder.inspection.summarise` of some of the failing seeds, stacked, before training under
            ``start/`` and after it under ``end/``; None if the experiment cannot be looked into.
    """
    if judgement.verdict is Verdict.PASS:
        return Diagnosis()
    case = FailedRun(rung, judgement, trained, inspected or {})
    return Diagnosis(findings(case), _stages(case), _groups(case), _latent(case))


def _stages(case: FailedRun) -> tuple[Stage, ...]:
    def scale(when: str, name: str) -> Scale:
        return Scale(*(median(case.inspected[f"{when}/{name}/{what}"]) for what in ("mean", "rms", "min", "max")))

    found = []
    for key, shapes in sorted(case.inspected.items()):
        if key.startswith("end/stage/") and key.endswith("/shape"):
            name = key.removeprefix("end/").removesuffix("/shape")
            shape = tuple(int(size) for size in shapes[0])
            found.append(Stage(name.split("/", 2)[2], shape, scale("start", name), scale("end", name)))
    return tuple(found)


def _groups(case: FailedRun) -> tuple[Group, ...]:
    if not case.finite.seeds:
        return ()
    ratios = case.updates(np.median)

    def group(name: str) -> Group:
        weight, gradient = (
            np.median(case.steps("weight", name), axis=0),
            np.median(case.steps("gradient", name), axis=0),
        )
        return Group(
            name,
            (float(weight[0]), float(weight[len(weight) // 2]), float(weight[-1])),
            (float(gradient.min()), int(gradient.argmin()) + 1),
            (float(gradient.max()), int(gradient.argmax()) + 1),
            ratios.get(name, math.nan),
        )

    return tuple(group(name) for name in case.groups)


def _latent(case: FailedRun) -> Latent | None:
    if "end/latent/spectrum" not in case.inspected:
        return None
    start, end = (
        tuple(float(value) for value in np.median(case.inspected[f"{when}/latent/spectrum"], axis=0))
        for when in ("start", "end")
    )
    return Latent(median(case.inspected["start/latent/rank"]), case.end("latent/rank"), start, end)
