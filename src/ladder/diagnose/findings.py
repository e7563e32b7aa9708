"""Findings: causes of a rung's failure, each detected by one statistic, in the order of the detectors.

Statistics are medians over the failing seeds. The thresholds, with their sources and the values of healthy rungs, are
in ``docs/findings.md``.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ladder.declare.arrays import Float, Shaped
from ladder.declare.causes import CAUSES, is_own_finding
from ladder.declare.rung import Rung
from ladder.diagnose.departure import Departure, Place, departures, traced_groups
from ladder.judge.judgement import CriterionResult, Judgement
from ladder.train.result import Trained

ROUNDING = 2.0**-23  # of float32: a smaller relative update does not change the weight
LARGE_UPDATE = math.sqrt(0.5)  # of the weight after it: an orthogonal update as long as the weight before
SMALL_UPDATE = 1e-5  # of the weight: a hundredth of the 1/1000 that CS231n calls usual
ILL_CONDITIONED = 1e3  # |gradient| |weight| / |loss|: a usual update of 1/1000 changes the loss by 100 %
VANISHED = 1e-5  # of the largest group's gradient norm
EPSILON = 1e-8  # of Adam, whose step shrinks if the gradient is below it
NOISE = math.pi / 4  # of the radius: signal and noise have the same power, cos^2 = sin^2
SHIFTED = 0.5  # of the mean squared error unshifted
COLLAPSED_RANK, COLLAPSED_VARIANCE = 0.6, 1e-3  # of the target's effective rank; of the latent's mean square
SQUASHED = 0.25  # amplitude over correlation, 1 for the best predictor in mean square
GAMED = 0.05  # the objective falls by more than this and the reference rises by more
SHORT_PATH = 0.03  # sum of a group's updates over its largest norm


@dataclass(frozen=True)
class Finding:
    """A cause of failure: a stable name, a sentence, and the numbers in it."""

    name: str
    text: str
    numbers: dict[str, float]


@dataclass(frozen=True)
class FailedRun:
    """The data a finding is computed from.

    Attributes:
        rung: The rung; its experiment's ``objective`` and ``reference`` are used, if it has them.
        judgement: The verdict, with the seeds that failed.
        trained: The curves, traces and inspections of all seeds.
        parent: Those of its parent; None for a rung without one.
    """

    rung: Rung
    judgement: Judgement
    trained: Trained
    parent: Trained | None = None

    @cached_property
    def failed(self) -> Trained:
        """The failing seeds."""
        return self.trained.select([*self.judgement.failing])

    @cached_property
    def departures(self) -> tuple[Departure, ...]:
        """The departures from the parent, the first one first; none without a parent."""
        if self.parent is None:
            return ()
        return departures(self.failed, self.parent, str(getattr(self.rung.experiment, "objective", "")))

    @cached_property
    def twin(self) -> "FailedRun | None":
        """The parent as if all its seeds had failed; None without a parent."""
        if self.parent is None:
            return None
        judgement = replace(self.judgement, failing=tuple(range(self.parent.seeds)), goals=())
        return FailedRun(self.rung, judgement, self.parent)

    @property
    def inspected(self) -> Mapping[str, Shaped[np.ndarray, "seed ..."]]:
        """The inspections of the failing seeds, NaN for a seed without one; empty if the experiment cannot be inspected."""
        return self.failed.inspected

    @cached_property
    def finite(self) -> Trained:
        """The failing seeds that stayed finite."""
        return self.trained.select(
            [seed for seed in self.judgement.failing if self.trained.first_non_finite_step[seed] == 0]
        )

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The parameter groups that were traced."""
        return traced_groups(self.finite)

    def steps(self, kind: str, group: str) -> Float[np.ndarray, "seed step"]:
        """Return the norms of a group over all steps of the failing seeds that stayed finite."""
        trace = self.finite.traces[f"{kind}/{group}"]
        return trace.reshape(len(trace), trace.shape[1] * trace.shape[2])

    def by_group(self, statistic: Callable[[str], Float[np.ndarray, " seed"]]) -> dict[str, float]:
        """Return the median over seeds of a statistic for each group whose median is not NaN."""
        medians = {group: median(statistic(group)) for group in self.groups}
        return {group: value for group, value in medians.items() if not math.isnan(value)}

    def updates(self, over: Callable[..., Shaped[np.ndarray, " seed"]]) -> dict[str, float]:
        """Return the norm of each group's update over that of its weight, reduced over the steps."""

        def ratio(group: str) -> Float[np.ndarray, " seed"]:
            weight = self.steps("weight", group)
            return over(self.steps("update", group) / np.where(weight > 0.0, weight, np.nan), axis=1)

        return self.by_group(ratio)

    def end(self, name: str) -> float:
        """Return the median of a number from the inspection of the trained model; NaN if there is none."""
        return median(self.inspected.get(f"end/{name}", np.empty(0)))

    def curve(self, attribute: str) -> tuple[str, Float[np.ndarray, "seed epoch"]] | None:
        """Return the metric that the experiment declares as its ``objective`` or ``reference``, and its curves."""
        name = getattr(self.rung.experiment, attribute, None)
        return (name, self.finite.curves[name]) if isinstance(name, str) and name in self.finite.curves else None


def _raised(run: FailedRun) -> Finding | None:
    if not (errors := run.trained.errors):
        return None
    first = min(errors, key=lambda error: error.epoch)
    text = (
        f"{len(errors)} of the {len(run.judgement.failing)} seeds that fail raised an error; the first was seed {first.seed}, in "
        f"epoch {first.epoch}: {first.error}"
    )
    return Finding(
        "raised", text, {"seeds": float(len(errors)), "seed": float(first.seed), "epoch": float(first.epoch)}
    )


def _non_finite(run: FailedRun) -> Finding | None:
    if not (bad := run.trained.first_non_finite):
        return None
    first = min(bad, key=lambda b: b.step)
    numbers = {"seeds": float(len(bad)), "seed": float(first.seed), "step": float(first.step)}
    text = (
        f"{len(bad)} of the {len(run.judgement.failing)} seeds that fail turned non-finite; the first was seed {first.seed}, "
        f"at step {first.step}, in {first.tensor}"
    )
    return Finding("non-finite", text, numbers)


def _below_floor(run: FailedRun) -> Finding | None:
    """Detect a goal whose limit is beyond its floor; a gate with such a limit is refused when it is declared."""
    for result in run.judgement.goals:
        if isinstance(result, CriterionResult) and (criterion := result.criterion).beyond_floor:
            assert criterion.floor is not None
            text = f"{criterion} asks for more than its floor of {criterion.floor.value:.4g} allows ({criterion.floor.source})"
            return Finding("below-floor", text, {"limit": criterion.limit, "floor": criterion.floor.value})
    return None


def _never_moves(run: FailedRun) -> Finding | None:
    def moves(group: str) -> Float[np.ndarray, " seed"]:
        weight, update = run.steps("weight", group), run.steps("update", group)
        below_rounding = (update <= ROUNDING * weight).all(axis=1) & (weight == weight[:, :1]).all(axis=1)
        return np.where(below_rounding, 0.0, (update > 0.0).sum(axis=1))

    still = [group for group, count in run.by_group(moves).items() if count == 0.0]
    if not still:
        return None
    steps = run.steps("update", still[0]).shape[1]
    gradient = max(median(run.steps("gradient", group).max(axis=1)) for group in still)
    who = f"{', '.join(still)} never moved" if len(still) < len(run.groups) else "nothing ever moved"
    why = "no gradient arrived" if gradient == 0.0 else f"though the gradient's norm reached {gradient:.3g}"
    numbers = {"groups": float(len(still)), "moves": 0.0, "steps": float(steps), "largest gradient": gradient}
    return Finding("never-moves", f"{who}: 0 of {steps} updates, {why}", numbers)


def _large_updates(run: FailedRun) -> Finding | None:
    # The median over groups: for a group that starts at zero, the first update is its whole weight.
    ratio = median(np.array(list(run.updates(np.max).values())))
    if not ratio > LARGE_UPDATE:
        return None
    text = (
        f"updates reach {ratio:.3g} of the weight after them, in the median group; an orthogonal update as long as the weight "
        f"reaches {LARGE_UPDATE:.2g}"
    )
    return Finding("large-updates", text, {"update to weight": ratio, "threshold": LARGE_UPDATE})


def _small_updates(run: FailedRun) -> Finding | None:
    group, ratio = _extreme({g: r for g, r in run.updates(np.median).items() if r > 0.0}, min)
    if not ratio < SMALL_UPDATE:
        return None
    text = f"{group} changes by {ratio:.3g} of its weight at every step; 0.001 is usual"
    return Finding("small-updates", text, {"update to weight": ratio, "threshold": SMALL_UPDATE})


def _exploding(run: FailedRun) -> Finding | None:
    loss = run.finite.traces.get(f"step_{getattr(run.rung.experiment, 'objective', '')}")
    if loss is None:
        return None
    size = np.abs(loss.reshape(len(loss), loss.shape[1] * loss.shape[2]))

    def condition(group: str) -> Float[np.ndarray, " seed"]:
        change = run.steps("gradient", group) * run.steps("weight", group)
        return np.asarray(np.median(change / np.where(size > 0.0, size, np.nan), axis=1))

    group, number = _extreme(run.by_group(condition), max)
    if not number > ILL_CONDITIONED:
        return None
    norm = median(np.median(run.steps("gradient", group), axis=1))
    text = (
        f"the gradient of {group} explodes: median norm {norm:.3g}; a step of 1/1000 of the weight changes the loss by "
        f"{number / 1000:.3g} times itself"
    )
    return Finding("exploding-gradient", text, {"norm": norm, "condition": number, "threshold": ILL_CONDITIONED})


def _vanishing(run: FailedRun) -> Finding | None:
    gradient = run.by_group(lambda group: np.median(run.steps("gradient", group), axis=1))
    largest = max(gradient.values(), default=math.nan)
    group, smallest = _extreme({g: norm for g, norm in gradient.items() if norm > 0.0}, min)
    if not (smallest < VANISHED * largest or smallest < EPSILON):
        return None
    text = (
        f"the gradient of {group} vanishes: median norm {smallest:.3g}, {smallest / largest:.3g} of the largest group's"
    )
    numbers = {"norm": smallest, "share": smallest / largest, "threshold": VANISHED}
    return Finding("vanishing-gradient", text, numbers)


def _sampling_noise(run: FailedRun) -> Finding | None:
    length, radius = run.end("noise/length"), run.end("noise/radius")
    if not length > NOISE * radius:
        return None
    text = (
        f"sampling noise of length {length:.3g} fills a manifold of radius {radius:.3g}: "
        "beyond pi/4 of the radius it outweighs the signal"
    )
    return Finding("sampling-noise", text, {"length": length, "radius": radius, "threshold": NOISE})


def _off_by_one(run: FailedRun) -> Finding | None:
    errors = run.inspected.get("end/prediction/shifted")
    if errors is None or not (errors := errors[np.isfinite(errors).all(axis=1)]).size:
        return None
    middle = np.median(errors, axis=0)
    here, best = len(middle) // 2, int(middle.argmin())
    if not middle[best] < SHIFTED * middle[here]:
        return None
    shift = best - here
    text = f"the prediction matches the target of {shift:+d} samples better: MSE {middle[best]:.3g} against {middle[here]:.3g}"
    return Finding(
        "off-by-one", text, {"shift": shift, "shifted": float(middle[best]), "unshifted": float(middle[here])}
    )


def _gamed(run: FailedRun) -> Finding | None:
    objective, reference = run.curve("objective"), run.curve("reference")
    if objective is None or reference is None:
        return None
    (trained_on, loss), (judged_by, truth) = objective, reference
    fall, rise = median(1.0 - loss[:, -1] / loss[:, 0]), median(truth[:, -1] / truth[:, 0] - 1.0)
    if not (fall > GAMED and rise > GAMED):
        return None
    text = (
        f"{trained_on} is gamed: it falls by {fall:.0%} while {judged_by} rises by {rise:.0%} from epoch 1 to the last"
    )
    return Finding("gamed", text, {"fall": fall, "rise": rise, "threshold": GAMED})


def _collapsed(run: FailedRun) -> Finding | None:
    rank, target_rank, variance = run.end("latent/rank"), run.end("target/rank"), run.end("latent/variance")
    if not (rank < COLLAPSED_RANK * target_rank or variance < COLLAPSED_VARIANCE):
        return None
    text = (
        f"the latent has collapsed: effective rank {rank:.3g}, where the target has {target_rank:.3g}, "
        f"and its variance is {variance:.3g} of its mean square"
    )
    return Finding("collapsed-latent", text, {"rank": rank, "target rank": target_rank, "variance": variance})


def _squashed(run: FailedRun) -> Finding | None:
    amplitude, correlation = run.end("prediction/amplitude"), run.end("prediction/correlation")
    if not 0.0 < amplitude < SQUASHED * abs(correlation):
        return None
    text = (
        f"the prediction is squashed: {amplitude:.3g} of the target's amplitude at a correlation of {correlation:.3g}"
    )
    return Finding(
        "squashed-amplitude", text, {"amplitude": amplitude, "correlation": correlation, "threshold": SQUASHED}
    )


def _too_few_steps(run: FailedRun) -> Finding | None:
    if (objective := run.curve("objective")) is None or objective[1].shape[1] < 2:
        return None

    def path(group: str) -> Float[np.ndarray, " seed"]:
        weight = run.steps("weight", group).max(axis=1)
        return np.asarray(run.steps("update", group).sum(axis=1) / np.where(weight > 0.0, weight, np.nan))

    name, loss = objective
    fall = median(loss[:, -2] - loss[:, -1])
    middle = median(np.array([length for length in run.by_group(path).values() if length > 0.0]))
    if not (middle < SHORT_PATH and fall > 0.0):
        return None
    steps = run.steps("update", run.groups[0]).shape[1]
    text = (
        f"too few steps: {name} still falls, and in {steps} steps the median group of those that move went {middle:.3g} of its "
        "weight"
    )
    return Finding("too-few-steps", text, {"path": middle, "steps": steps, "fall": fall, "threshold": SHORT_PATH})


def _first_departure(run: FailedRun) -> Finding | None:
    if not run.departures:
        return None
    first, parent = run.departures[0], run.rung.parent_id
    low, high = first.spread
    when = f"from {first.when} on" if first.step else first.when
    text = (
        f"unlike {parent} {when}: {first.name} is {first.value:.3g}, there {first.parent:.3g} [{low:.3g}, {high:.3g}]"
    )
    if first.alike:
        text += f"; what is computed before it is alike ({first.alike} compared)"
    numbers = {"step": float(first.step), "value": first.value, "parent": first.parent, "place": float(first.place)}
    return Finding("first-departure", text, numbers)


# Certain findings first, then causes before their symptoms: large updates make gradients spike, a missing gradient leaves the
# latent unchanged, and small updates leave the loss still falling at the end.
DETECTORS: Mapping[str, tuple[Callable[[FailedRun], Finding | None], Place]] = dict(
    zip(
        CAUSES,
        (
            (_raised, Place.DATA),
            (_non_finite, Place.TRAINING),
            (_never_moves, Place.GRADIENT),
            (_large_updates, Place.UPDATE),
            (_exploding, Place.GRADIENT),
            (_vanishing, Place.GRADIENT),
            (_small_updates, Place.UPDATE),
            (_sampling_noise, Place.STAGES),
            (_off_by_one, Place.DATA),
            (_gamed, Place.LOSS),
            (_collapsed, Place.TRAINING),
            (_squashed, Place.TRAINING),
            (_too_few_steps, Place.TRAINING),
            (_below_floor, Place.EVALUATION),
            (_first_departure, Place.DATA),
        ),
        strict=True,
    )
)
"""The detector of each cause, and the place in a training step that it speaks of, in order of precedence."""

# They are no medians, so that the parent's would not tell of most of its seeds.
_OF_SEEDS = ("raised", "non-finite", "below-floor", "first-departure")
_PLACES = {"stage": Place.STAGES, "gradient": Place.GRADIENT, "update": Place.UPDATE, "weight": Place.UPDATE}


def findings(run: FailedRun) -> tuple[Finding, ...]:
    """Return all findings, the most likely cause first.

    What comes later in a step than the first departure from the parent is a symptom. Where no finding is left but symptoms, the
    departure itself comes first. What the healthy parent has, too, comes last.
    """
    found = _detect(run)
    of_parent = {finding.name for finding in _detect(run.twin)} if run.twin else set[str]()
    shared = [finding for finding in found if finding.name in of_parent and finding.name not in _OF_SEEDS]
    departed = [finding for finding in found if finding.name == "first-departure"]
    others = [finding for finding in found if finding not in (*shared, *departed)]
    last = [Finding(each.name, f"{each.text}; {run.rung.parent_id} has it, too", each.numbers) for each in shared]
    if not departed:
        return (*others, *last)
    first = run.departures[0].place
    causes = [finding for finding in others if _place(finding, run) <= first]
    symptoms = [finding for finding in others if _place(finding, run) > first]
    return (*(causes or departed), *symptoms, *last)


def _detect(run: FailedRun) -> list[Finding]:
    with np.errstate(all="ignore"):  # a ratio to zero is NaN or infinite, and medians are over finite values
        return [finding for detect, _ in DETECTORS.values() if (finding := detect(run)) is not None]


def _place(finding: Finding, run: FailedRun) -> Place:
    """Return the place that a finding speaks of. A value that turns non-finite after the first step is a symptom of training."""
    if finding.name == "non-finite" and finding.numbers["step"] == 1.0:
        tensor = min(run.trained.first_non_finite, key=lambda bad: bad.step).tensor
        return _PLACES.get(tensor.partition("/")[0], Place.LOSS)
    return DETECTORS[finding.name][1]


def own_findings(detect: Callable[[FailedRun], Sequence[Finding]], run: FailedRun) -> tuple[Finding, ...]:
    """Return the findings of a function that a user has written.

    Raises:
        ValueError: for one whose name has no dot, and could be that of one of ladder's findings.
    """
    found = tuple(detect(run))
    for finding in found:
        if not is_own_finding(finding.name):
            raise ValueError(f"the finding {finding.name!r} needs a name with a dot, such as 'vision.aliasing'")
    return found


def median(values: Shaped[np.ndarray, " seed"]) -> float:
    """Return the median of the finite values; NaN if there are none."""
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else math.nan


def _extreme(groups: dict[str, float], pick: Callable[..., str]) -> tuple[str, float]:
    """Return the group with the largest or smallest value, and that value; NaN if there is none."""
    if not groups:
        return "", math.nan
    group = pick(groups, key=groups.__getitem__)
    return group, groups[group]
