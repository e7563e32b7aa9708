"""Climbing: train a rung until its verdict is in, on as many seeds as that takes, and not without what it requires."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ladder.declare.ladder import Ladder
from ladder.declare.rung import Rung
from ladder.diagnose.diagnosis import Diagnosis, diagnose
from ladder.evidence.archive import Origin
from ladder.evidence.source import CurveSource
from ladder.evidence.store import Evidence
from ladder.judge.judgement import Judgement, judge
from ladder.judge.sequential import SequentialTest, Verdict
from ladder.train.progress import ProgressMeter
from ladder.train.result import Trained
from ladder.train.timelimit import TimedOutError, still_computing
from ladder.train.trainer import Seeds, TrainerFactory, compiled_trainer

MeterFactory = Callable[[Rung], ProgressMeter | None]
"""Makes the meter of a rung's progress."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of climbing one rung.

    A BLOCKED or CRASHED rung has neither judgement nor curves, a TIMED OUT one only the curves so far.

    Attributes:
        evidence: Where those curves come from that an earlier run trained, and of how many seeds.
        diagnosis: Why a gated rung did not pass, or a control that must fail for a reason failed.
        note: What kept the diagnosis from being complete.
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
        """Return whether it is as it should be.

        A gate passed, a control failed, with finite numbers and for the reasons it was to, a goal row was measured.
        """
        if self.rung.role == "goal":
            return self.judgement is not None
        if self.rung.role == "control":
            finite = self.trained is not None and not self.trained.first_non_finite_step.any()
            return self.verdict is Verdict.FAIL and finite and not self.missed
        return self.verdict is Verdict.PASS

    @property
    def missed(self) -> tuple[str, ...]:
        """Findings that were expected of a control that failed, and that its diagnosis did not come to."""
        if self.verdict is not Verdict.FAIL:
            return ()
        found = {finding.name for finding in self.diagnosis.findings} if self.diagnosis else set()
        return tuple(name for name in self.rung.expects if name not in found)


class Climb:
    """One climb of a ladder: each rung is trained at most once on each seed, also where others compare with it.

    Args:
        ladder: What is climbed.
        test: By which rule verdicts are reached.
        seeds: Which seeds are trained.
        evidence: What earlier runs have trained, and where to keep what this one does; None to do without.
        time_limit: Seconds that climbing a rung may take, training what it is compared with included.
        elsewhere: The verdict of a rung that another process of this run has climbed; None of one that none has.
        trainer: Makes the trainer of an experiment; by default JAX compiles it.
    """

    def __init__(
        self,
        ladder: Ladder,
        test: SequentialTest | None = None,
        seeds: Seeds | None = None,
        evidence: Evidence | None = None,
        time_limit: float = math.inf,
        elsewhere: Callable[[str], Verdict | None] = lambda id: None,
        trainer: TrainerFactory = compiled_trainer,
    ):
        self.ladder = ladder
        self.test: SequentialTest = test or SequentialTest()
        self.curves: CurveSource = CurveSource(seeds or Seeds(), self.test.looks[0], evidence, trainer)
        self.time_limit = time_limit
        self.outcomes: dict[str, Outcome] = {}
        self._evidence = evidence
        self._elsewhere = elsewhere
        self._begun: set[str] = set()

    def __call__(self, id: str, progress: MeterFactory = lambda rung: None) -> Outcome:
        """Climb one rung. What it requires must have been climbed before; what has not, blocks it."""
        rung = self.ladder[id]
        blocked_by = tuple(below for below in rung.required if not self._passed(below))
        outcome = Outcome(rung, Verdict.BLOCKED, blocked_by) if blocked_by else self._attempt(rung, progress)
        self.outcomes[id] = outcome
        return outcome

    def _passed(self, id: str) -> bool:
        verdict = self.outcomes[id].verdict if id in self.outcomes else self._elsewhere(id)
        return verdict is Verdict.PASS

    def _attempt(self, rung: Rung, progress: MeterFactory) -> Outcome:
        """Climb the rung within its time, and list the attempt whatever comes of it."""
        try:
            outcome = self._climb(rung, progress, time.monotonic() + self.time_limit)
        except TimedOutError:
            told = f"not done after {self.time_limit:g} s" + (", and still computing" if still_computing() else "")
            outcome = Outcome(rung, Verdict.TIMED_OUT, trained=self.curves.so_far(rung), error=told)
        except Exception as error:  # what the user breaks off has begun and never ended
            self._end(rung, Outcome(rung, Verdict.CRASHED, error=str(error) or type(error).__name__))
            raise
        self._end(rung, outcome)
        return outcome

    def _climb(self, rung: Rung, progress: MeterFactory, deadline: float) -> Outcome:
        compared = [rung, *(self.ladder[id] for id in rung.partners)]
        for look in self.test.looks:
            if not all(self.curves.has(each, look) for each in compared):
                self._begin(rung)
            trained, *others = (self.curves(each, look, progress(each), deadline, self.time_limit) for each in compared)
            partners = dict(zip(rung.partners, others, strict=True))
            judgement = judge(rung, trained, partners, self.test, self.ladder.gated(rung.scale))
            # A goal is measured, not decided: it never asks for more seeds.
            if judgement.verdict is not Verdict.UNDECIDED or rung.role == "goal":
                break
        found = Outcome(
            rung,
            judgement.verdict,
            judgement=judgement,
            trained=trained,
            evidence=self.curves.origins(rung, trained.seeds),
        )
        asked = rung.role == "gate" or (rung.expects and judgement.verdict is Verdict.FAIL)
        if not asked or judgement.verdict is Verdict.PASS:
            return found
        inspected, note = self._inspected(rung, judgement.failing, deadline)
        try:
            return replace(found, diagnosis=diagnose(rung, judgement, trained, inspected), note=note)
        except Exception as error:  # of traces or a look of a shape that nobody thought of; the verdict stands
            return replace(found, note=f"not diagnosed: {error!r}")

    def _inspected(
        self, rung: Rung, failing: Sequence[int], deadline: float
    ) -> tuple[Mapping[str, np.ndarray] | None, str]:
        """Inspect the failing seeds; if that fails, the inspection is lost but the verdict stands."""
        try:
            return self.curves.inspect(rung, failing, deadline, self.time_limit), ""
        except TimedOutError:
            return None, f"not inspected: its {self.time_limit:g} s were over"
        except Exception as error:
            return None, f"its inspection raised {error!r}"

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
        before = [attempt for attempt in self._evidence.attempts.of(rung.id) if attempt.key == key]
        known = before and (before[-1].verdict, before[-1].k, before[-1].n) == (outcome.verdict, k, n)
        if rung.id in self._begun or not known:
            self._evidence.attempts.end(
                rung.id, key, self.curves.seeds.root, verdict=outcome.verdict.value, k=k, n=n, error=outcome.error
            )
