"""Climbing: train a rung on more and more seeds until it has a verdict, after the rungs that it requires."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ladder.declare.experiment import check_reported, is_host
from ladder.declare.fields import check_argument
from ladder.declare.ladder import Ladder
from ladder.declare.rung import Rung
from ladder.declare.verdict import Verdict
from ladder.diagnose.diagnosis import Diagnosis, diagnose
from ladder.diagnose.findings import FailedRun, Finding, own_findings
from ladder.evidence.archive import Origin
from ladder.evidence.source import CurveSource
from ladder.evidence.store import Evidence
from ladder.judge.judgement import Judgement, judge
from ladder.judge.sequential import REPORT_SEEDS, SequentialTest
from ladder.train.factory import TrainerFactory, default_trainer
from ladder.train.progress import ProgressMeter
from ladder.train.result import Trained
from ladder.train.timelimit import TimedOutError, still_computing
from ladder.train.trainer import Seeds

UNMEASURED = (None, Verdict.CRASHED, Verdict.TIMED_OUT)  # verdicts of rungs without the curves of all seeds
BLOCK = 16
"""The largest number of seeds that are trained at once."""

MeterFactory = Callable[[Rung], ProgressMeter | None]
"""A function that makes the progress meter of a rung, or returns None."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of climbing one rung.

    A CRASHED rung has neither judgement nor curves, and a BLOCKED one only if it was climbed all the same; a TIMED OUT rung
    has only the curves so far.

    Attributes:
        rung: The rung.
        verdict: Its verdict.
        blocked_by: The ids of the required rungs that did not pass.
        judgement: The judgement of its curves.
        trained: Its curves.
        error: The error of a CRASHED rung, or the limit that a TIMED OUT one exceeded.
        evidence: The earlier runs that trained some of the seeds, with the number of seeds from each.
        diagnosis: The diagnosis of a gated rung that did not pass, or of a control that must fail for a reason and failed.
        note: The reason why the diagnosis is incomplete.
    """

    rung: Rung
    verdict: Verdict
    blocked_by: tuple[str, ...] = ()
    judgement: Judgement | None = None
    trained: Trained | None = None
    error: str = ""
    evidence: tuple[tuple[Origin, int], ...] = ()
    diagnosis: Diagnosis | None = None
    note: str = ""

    def __repr__(self) -> str:
        seeds = f" {self.judgement.k}/{self.judgement.n}" if self.judgement else ""
        return f"Outcome({self.rung.id} {self.verdict.value}{seeds})"

    @property
    def green(self) -> bool:
        """True if a gated rung passed, a control failed for its expected reasons, or a goal row was measured.

        A control must have failed with finite numbers.
        """
        if self.blocked_by:
            return False
        if self.rung.role == "goal":
            return self.judgement is not None
        if self.rung.role == "control":
            finite = self.trained is not None and not self.trained.first_non_finite_step.any()
            return self.verdict is Verdict.FAIL and finite and not self.missed
        return self.verdict is Verdict.PASS

    @property
    def missed(self) -> tuple[str, ...]:
        """The expected findings of a control that failed which its diagnosis lacks."""
        if self.verdict is not Verdict.FAIL:
            return ()
        found = {finding.name for finding in self.diagnosis.findings} if self.diagnosis else set()
        return tuple(name for name in self.rung.expected_findings if name not in found)


class Climb:
    """One climb of a ladder, which trains each rung at most once on each seed, even if other rungs are compared with it.

    Args:
        ladder: The ladder to climb.
        test: The sequential test that decides verdicts.
        seeds: The origin of the seeds to train.
        evidence: The store of curves that earlier runs trained and this one trains; None to work without.
        time_limit: The seconds that climbing a rung may take, including the training of rungs that it is compared with.
        elsewhere: Returns the verdict of a rung that another process of this run has climbed; None if none has.
        trainer: Makes the trainer of an experiment; by default one that compiles it with JAX.
        report_seeds: The number of seeds that goals and effects are reported on, at least, if the looks go so far: a rung with
            any goes on after a PASS until it has them.
        findings: Returns further findings on a rung that failed, which come before those of ladder.
        through: Whether rungs are climbed that stand on one that did not pass. They stay BLOCKED, with the judgement of their
            curves.
    """

    def __init__(
        self,
        ladder: Ladder,
        test: SequentialTest | None = None,
        seeds: Seeds | None = None,
        evidence: Evidence | None = None,
        time_limit: float = math.inf,
        elsewhere: Callable[[str], Verdict | None] = lambda id: None,
        trainer: TrainerFactory = default_trainer,
        report_seeds: int = REPORT_SEEDS,
        through: bool = False,
        findings: Callable[[FailedRun], Sequence[Finding]] = lambda run: (),
    ):
        for name, value, annotation in (
            ("ladder", ladder, Ladder),
            ("test", test, SequentialTest | None),
            ("seeds", seeds, Seeds | None),
            ("evidence", evidence, Evidence | None),
            ("report_seeds", report_seeds, int),
        ):
            check_argument("Climb", name, value, annotation)
        self.ladder = ladder
        self.test: SequentialTest = test or SequentialTest()
        self.curves: CurveSource = CurveSource(seeds or Seeds(), BLOCK, evidence, trainer)
        self.report_seeds: int = min(report_seeds, self.test.looks[-1])
        self.through = through
        self._own_findings = findings
        self.time_limit = time_limit
        self.outcomes: dict[str, Outcome] = {}
        self._evidence = evidence
        self._elsewhere = elsewhere
        self._begun: set[str] = set()

    def __call__(self, id: str, progress: MeterFactory = lambda rung: None) -> Outcome:
        """Climb one rung and return the outcome.

        Args:
            id: The id of the rung. Required rungs that have not been climbed before block it.
            progress: Makes the meters that receive the progress of this rung and of those that it is compared with.

        Raises:
            Exception: what the experiment raises; the attempt is then recorded as CRASHED.
        """
        rung = self.ladder[id]
        blocked_by = tuple(below for below in rung.required if self._verdict(below) is not Verdict.PASS)
        # Without the curves of a rung that crashed or took too long, one that is compared with it cannot be judged.
        measured = not any(self._verdict(id) in UNMEASURED for id in blocked_by if id in rung.partners)
        if blocked_by and not (self.through and measured):
            outcome = Outcome(rung, Verdict.BLOCKED, blocked_by)
        else:
            outcome = self._attempt(rung, progress)
            if blocked_by:
                verdict = Verdict.BLOCKED if outcome.judgement else outcome.verdict
                outcome = replace(outcome, verdict=verdict, blocked_by=blocked_by)
        self.outcomes[id] = outcome
        return outcome

    def _verdict(self, id: str) -> Verdict | None:
        return self.outcomes[id].verdict if id in self.outcomes else self._elsewhere(id)

    def _attempt(self, rung: Rung, progress: MeterFactory) -> Outcome:
        """Climb the rung within its time limit, and record the attempt in any case."""
        try:
            outcome = self._climb(rung, progress, time.monotonic() + self.time_limit)
        except TimedOutError:
            message = f"not done after {self.time_limit:g} s" + (", and still computing" if still_computing() else "")
            outcome = Outcome(rung, Verdict.TIMED_OUT, trained=self.curves.so_far(rung), error=message)
        except Exception as error:  # what the user breaks off has begun and never ended
            self._end(rung, Outcome(rung, Verdict.CRASHED, error=str(error) or type(error).__name__))
            raise
        self._end(rung, outcome)
        return outcome

    def _climb(self, rung: Rung, progress: MeterFactory, deadline: float) -> Outcome:
        compared = [rung, *(self.ladder[id] for id in rung.partners)]
        for look in self._looks(rung):
            if not all(self.curves.has(each, look) for each in compared):
                self._begin(rung)
            trained, *others = (self.curves(each, look, progress(each), deadline, self.time_limit) for each in compared)
            partners = dict(zip(rung.partners, others, strict=True))
            self._check_reported(rung, trained, partners)
            judgement = judge(rung, trained, partners, self.test, self.ladder.gate_count(rung.scale, rung.ladder))
            if self._is_settled(rung, judgement):
                break
        outcome = Outcome(
            rung,
            judgement.verdict,
            judgement=judgement,
            trained=trained,
            evidence=self.curves.origins(rung, trained.seeds),
            note=_joined(_identical_seeds(rung, trained), trained.inspection_error),
        )
        diagnosed = rung.role == "gate" or (rung.expected_findings and judgement.verdict is Verdict.FAIL)
        if not diagnosed or judgement.verdict is Verdict.PASS:
            return outcome
        notes = [outcome.note]
        try:
            parent = self._parent(rung, trained.seeds, progress, deadline)
        except Exception as error:  # its training, or the time limit; the verdict stands
            parent = None
            notes.append(f"not compared with {rung.parent_id}: {str(error) or type(error).__name__}")
        try:
            diagnosis = diagnose(rung, judgement, trained, parent)
        except Exception as error:  # traces or an inspection of unexpected shapes; the verdict stands
            return replace(outcome, note=_joined(*notes, f"not diagnosed: {error!r}"))
        try:
            own = own_findings(self._own_findings, FailedRun(rung, judgement, trained, parent))
            diagnosis = replace(diagnosis, findings=(*own, *diagnosis.findings))
        except (Exception, SystemExit) as error:
            notes.append(f"the findings of pytest_ladder_findings are lost: {error!r}")
        return replace(outcome, diagnosis=diagnosis, note=_joined(*notes))

    def _check_reported(self, rung: Rung, trained: Trained, partners: Mapping[str, Trained]) -> None:
        """Check that all metrics were reported, also by curves from evidence and by the rungs that it is compared with."""
        check_reported(rung.metrics, trained.curves)
        for id, partner in partners.items():
            try:
                check_reported(rung.compared_with(id), partner.curves)
            except ValueError as error:
                raise ValueError(f"compared with {id}: {error}") from None

    def _looks(self, rung: Rung) -> Sequence[int]:
        """Return the numbers of seeds at which the rung is judged: for a goal, which is measured, only that of reports."""
        return (self.report_seeds,) if rung.role == "goal" else self.test.looks

    def _is_settled(self, rung: Rung, judgement: Judgement) -> bool:
        """Return whether a rung needs no more seeds.

        A control needs a verdict. A gated rung needs a PASS, with enough seeds to report its effects on, or a FAIL that is
        strong enough to name a culprit.
        """
        if judgement.verdict is Verdict.UNDECIDED:
            return False
        if rung.role == "control":
            return True
        if judgement.verdict is Verdict.FAIL:
            return judgement.names_culprit
        return judgement.n >= self.report_seeds or not (rung.goals or rung.compare)

    def _parent(self, rung: Rung, seeds: int, progress: MeterFactory, deadline: float) -> Trained | None:
        """Return the healthy twin of a failing rung: its parent, trained on seeds of the same numbers."""
        if not rung.parent:
            return None
        parent = self.ladder[rung.parent_id]
        return self.curves(parent, min(seeds, self.report_seeds), progress(parent), deadline, self.time_limit)

    def _begin(self, rung: Rung) -> None:
        if self._evidence and rung.id not in self._begun:
            self._begun.add(rung.id)
            self._evidence.attempts.begin(rung.id, self.curves.key(rung), self.curves.seeds.root)

    def _end(self, rung: Rung, outcome: Outcome) -> None:
        """Record the attempt, unless it only repeats a verdict already recorded."""
        if self._evidence is None:
            return
        key, judged = self.curves.key(rung), outcome.judgement
        k, n = (judged.k, judged.n) if judged else (None, None)
        before = [attempt for attempt in self._evidence.attempts.for_rung(rung.id) if attempt.key == key]
        is_recorded = before and (before[-1].verdict, before[-1].k, before[-1].n) == (outcome.verdict, k, n)
        if rung.id in self._begun or not is_recorded:
            self._evidence.attempts.end(
                rung.id, key, self.curves.seeds.root, verdict=outcome.verdict.value, k=k, n=n, error=outcome.error
            )


def _joined(*notes: str) -> str:
    return "; ".join(filter(None, notes))


def _identical_seeds(rung: Rung, trained: Trained) -> str:
    """Return a sentence on seeds that are not independent: what changes in training is the same in all of them, bit for bit."""
    series = [np.ascontiguousarray(each) for each in (*trained.curves.values(), *trained.traces.values())]
    changes = any((each[0] != each[0].flat[0]).any() for each in series)
    if trained.seeds < 2 or not changes or any((each != each[:1]).any() for each in series):
        return ""
    use = (
        "train() use its seed"
        if is_host(rung.experiment)
        else "init() and epoch() use their key, and nothing draw from NumPy"
    )
    return f"all {trained.seeds} seeds are the same to the last digit, and tell no more than one; let {use}"
