"""The shape of a report for the code that writes reports and the code that reads them.

``schema.json`` publishes the same shape for other programs; a test compares the two. Some of the types are named like a class of
the harness that they describe; a module that needs both imports this one as a whole.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeAlias, TypedDict

VERSION = "2.4.0"
"""The version of the reports that are written: a reader of 2.x reads every 2.y, and ``reading`` upgrades older ones."""

SCHEMA = Path(__file__).with_name("schema.json")
"""The published JSON Schema of ``ladder.json``."""

WHOLE = 2**63
"""The bound on the whole numbers of a report: their absolute values are smaller."""

Role: TypeAlias = Literal["gate", "goal", "control"]
Verdict: TypeAlias = Literal["PASS", "FAIL", "UNDECIDED", "BLOCKED", "CRASHED", "TIMED OUT"]
ConditionVerdict: TypeAlias = Literal["PASS", "FAIL", "UNDECIDED", "BLOCKED"]
CriterionKind: TypeAlias = Literal["below", "above", "falls", "agrees", "other"]
Stale: TypeAlias = Literal["experiment", "code", "versions", "backend", "missing"]


class Floor(TypedDict):
    """The best value that any model could reach, and the source of that number."""

    value: float
    source: str


class Criterion(TypedDict):
    """A judged condition on each seed's curves; median, low and high are over the seeds' statistics."""

    kind: CriterionKind
    text: str
    metric: str
    source: str
    verdict: ConditionVerdict
    limit: float
    by: int
    since: int | None
    calibrated: bool
    floor: Floor | None
    reached: list[int | None] | None
    passed: int
    of: int
    median: float | None
    low: float | None
    high: float | None


class Rate(TypedDict):
    """A rate seen ``passed`` times in ``of``, and the interval of this level that holds whenever one looks."""

    passed: int
    of: int
    low: float
    high: float
    level: float


class Interval(TypedDict):
    """The paired differences over seeds from another rung, the interval of their median, and how often they are negative."""

    differences: list[float | None] | None
    median: float | None
    low: float | None
    high: float | None
    level: float
    lower: Rate | None


class Comparison(Interval):
    """A judged condition on the paired differences from another rung."""

    kind: Literal["comparison"]
    text: str
    metric: str
    source: str
    verdict: ConditionVerdict
    against: str
    margin: float


class Effect(Interval):
    """A comparison that is reported and judges nothing."""

    metric: str
    against: str
    published: str


Condition: TypeAlias = Criterion | Comparison
"""A gate or a goal of a rung that was judged."""


class Unjudged(TypedDict):
    """A gate or a goal of a rung that could not be judged."""

    kind: Literal["gate", "goal"]
    text: str
    source: str
    floor: Floor | None


Change = TypedDict("Change", {"component": str, "from": object, "to": object})
"""A component in which a rung differs from its parent, with its values in both."""


class Adds(TypedDict):
    """The one component that a rung adds to its parent, and all the fields that this changes."""

    component: str
    changes: list[Change]


class Experiment(TypedDict):
    """The experiment of a rung."""

    type: str
    epochs: int
    components: Mapping[str, object]


class NonFinite(TypedDict):
    """The first non-finite value of a seed: its step, and the trace or metric."""

    seed: int
    step: int
    tensor: str


class SeedError(TypedDict):
    """An error that ended the training of a seed: its epoch, the error in one line, and the lines of its traceback."""

    seed: int
    epoch: int
    error: str
    traceback: list[str]


class Decision(TypedDict):
    """The looks that decide an UNDECIDED rung with this chance, if its seeds go on as so far."""

    looks: list[int]
    chance: float


class Seeds(TypedDict):
    """The number of seeds that met every gate and what follows from it.

    The verdict is that of the seeds and comparisons: of a BLOCKED rung that was climbed all the same, and else the rung's.
    """

    passed: int
    of: int
    log_e: float | None
    pass_at: int | None
    fail_at: int | None
    names_culprit: bool
    verdict: ConditionVerdict | None
    rate: Rate | None
    decision: Decision | None
    non_finite: list[NonFinite]
    errors: list[SeedError]


class Evidence(TypedDict):
    """The origin of seeds that an earlier run trained."""

    date: str
    commit: str
    seeds: int


class Attempt(TypedDict):
    """An attempt at a rung; the verdict is empty if the attempt never ended."""

    date: str
    commit: str
    root: int
    verdict: str
    k: int | None
    n: int | None
    error: str


class Attempts(TypedDict):
    """The number of attempts at a rung, and the latest of them."""

    total: int
    latest: list[Attempt]


class Finding(TypedDict):
    """A diagnosed cause: a stable name, a sentence, and the numbers in it."""

    name: str
    text: str
    numbers: dict[str, float | None]


class Departure(TypedDict):
    """A quantity in which the rung departs from its parent, from a step on, 0 before training; medians over seeds."""

    place: Literal["data", "weights", "stages", "loss", "gradient", "update", "training", "evaluation"]
    name: str
    step: int
    when: str
    alike: int
    value: float | None
    parent: float | None
    spread: tuple[float | None, float | None]


class Scale(TypedDict):
    """The scale of the numbers in a tensor."""

    mean: float | None
    rms: float | None
    min: float | None
    max: float | None


class Stage(TypedDict):
    """A tensor of the forward pass, before and after training."""

    name: str
    shape: list[int]
    start: Scale
    end: Scale


class Group(TypedDict):
    """The parameters of one module over the steps: norms, extreme gradients with their steps, update over weight."""

    name: str
    weight: tuple[float | None, float | None, float | None]
    smallest_gradient: tuple[float | None, int]
    largest_gradient: tuple[float | None, int]
    update_to_weight: float | None


class Latent(TypedDict):
    """The effective rank of the latent's covariance and its eigenvalues, before and after training."""

    start_rank: float | None
    end_rank: float | None
    start_spectrum: list[float | None]
    end_spectrum: list[float | None]


class Diagnosis(TypedDict):
    """The causes of a failure, the most likely first, and the tables that show them."""

    findings: list[Finding]
    departures: list[Departure]
    missing: list[str]
    stages: list[Stage]
    groups: list[Group]
    latent: Latent | None


class Picture(TypedDict):
    """A picture: paths of its files from the report's folder, None if there is nothing to draw, and a caption."""

    name: str
    caption: str
    svg: str | None
    png: str | None


class Spread(TypedDict):
    """The median and range of a metric over seeds, by epoch."""

    median: list[float | None]
    low: list[float | None]
    high: list[float | None]


class OtherMetric(Spread):
    """A metric that judges nothing: its spread, and the values of every seed at a few epochs, those listed here."""

    epochs: list[int]
    seeds: list[list[float | None]]


class Seconds(TypedDict):
    """The time that a rung took."""

    compile: float
    run: float


class Location(TypedDict):
    """The node id of the test that climbed a rung, its file from pytest's root, and its line, counted from 1."""

    id: str
    file: str
    line: int


class Judgement(TypedDict):
    """The judgement of a rung's curves; of a rung that was not judged, None and empty lists."""

    seeds: Seeds | None
    gates: list[Condition]
    goals: list[Condition]
    effects: list[Effect]


class Curves(TypedDict):
    """The curves of a rung at some epochs: every seed's for the metrics that judge it, for the others mostly the spread."""

    epochs: list[int]
    curves: dict[str, list[list[float | None]]]
    others: dict[str, OtherMetric]


class Result(Judgement):
    """The verdict on a rung, and the judgement that it rests on."""

    role: Role
    verdict: Verdict
    green: bool
    missed: list[str]


class Entry(Result, Curves):
    """A rung in a report."""

    id: str
    ladder: str
    number: int
    name: str
    variant: str
    scale: str
    claim: str
    control: str
    expects: list[str]
    adds: Adds | None
    parent: str | None
    requires: list[str]
    experiment: Experiment
    blocked_by: list[str]
    error: str
    note: str
    asks: list[Unjudged]
    stale_calibration: list[Stale]
    evidence: list[Evidence]
    attempts: Attempts
    diagnosis: Diagnosis | None
    pictures: list[Picture]
    test: Location | None
    repeat: str
    seconds: Seconds | None


class Commit(TypedDict):
    """The commit that was checked out, and whether the work tree differed from it."""

    sha: str
    dirty: bool


class Root(TypedDict):
    """The root of the seeds of a run, whether it was drawn anew, and the option that repeats it."""

    root: int
    fresh: bool
    repeat: str


class Look(TypedDict):
    """An interim look of the sequential test: at so many seeds, the numbers that pass and that fail."""

    seeds: int
    pass_at: int | None
    fail_at: int | None


class Rule(TypedDict):
    """The sequential test that gave the verdicts."""

    p0: float
    p1: float
    alpha: float
    beta: float
    looks: list[Look]
    report_seeds: int | None


class Culprit(TypedDict):
    """The first failing rung, and those that it blocks; ``certain`` distinguishes a culprit from a suspect."""

    rung: str
    name: str
    adds: Mapping[str, object] | None
    certain: bool
    blocks: list[str]


class Environment(TypedDict):
    """The command, machine, versions and commit of a run."""

    command: str
    machine: Mapping[str, object]
    versions: Mapping[str, str]
    commit: Commit | None


class Document(Environment):
    """A whole report."""

    schema: str
    created: str
    complete: bool
    seeds: Root
    test: Rule
    culprit: Culprit | None
    other_culprits: list[Culprit]
    rungs: list[Entry]
