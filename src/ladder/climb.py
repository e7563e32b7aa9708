"""Climbing: train a rung until its verdict is in, on as many seeds as that takes, and not without what it requires."""

from collections.abc import Callable
from dataclasses import dataclass

from ladder.judge import Judgement, judge
from ladder.rung import Ladder, Rung
from ladder.trained import Trained
from ladder.training import Seeds, Trainer, Watch
from ladder.verdict import SequentialTest, Verdict

Watching = Callable[[Rung], Watch | None]
"""Who watches the training of a rung."""


@dataclass(frozen=True)
class Outcome:
    """What climbing one rung came to; a BLOCKED or CRASHED rung has neither judgement nor curves."""

    rung: Rung
    verdict: Verdict
    blocked_by: tuple[str, ...] = ()
    judgement: Judgement | None = None
    trained: Trained | None = None
    error: str = ""

    @property
    def green(self) -> bool:
        """Whether it is as it should be: a gate passed, a control failed with finite numbers, a goal row was measured."""
        if self.rung.role == "goal":
            return self.judgement is not None
        if self.rung.role == "control":
            finite = self.trained is not None and not self.trained.first_bad_step.any()
            return self.verdict is Verdict.FAIL and finite
        return self.verdict is Verdict.PASS


class Climb:
    """One climb of a ladder: each rung is trained at most once on each seed, also where others compare with it."""

    def __init__(
        self,
        ladder: Ladder,
        test: SequentialTest | None = None,
        seeds: Seeds | None = None,
    ):
        self.ladder = ladder
        self.test = test or SequentialTest()
        self.seeds = seeds or Seeds()
        self.outcomes: dict[str, Outcome] = {}
        self._trainers: dict[str, Trainer] = {}
        self._trained: dict[str, Trained] = {}

    def __call__(self, id: str, watch: Watching = lambda rung: None) -> Outcome:
        """Climb one rung, watched if asked. What it requires must have been climbed before; what has not, blocks it."""
        rung = self.ladder[id]
        blocked_by = tuple(below for below in rung.required if not self._passed(below))
        outcome = Outcome(rung, Verdict.BLOCKED, blocked_by) if blocked_by else self._climb(rung, watch)
        self.outcomes[id] = outcome
        return outcome

    def _passed(self, id: str) -> bool:
        return id in self.outcomes and self.outcomes[id].verdict is Verdict.PASS

    def _climb(self, rung: Rung, watch: Watching) -> Outcome:
        for look in self.test.looks:
            trained = self.trained(rung.id, look, watch)
            partners = {id: self.trained(id, look, watch) for id in rung.partners}
            judgement = judge(rung, trained, partners, self.test, self.ladder.gated)
            # A goal is measured, not decided: it never asks for more seeds.
            if judgement.verdict is not Verdict.UNDECIDED or rung.role == "goal":
                break
        return Outcome(rung, judgement.verdict, judgement=judgement, trained=trained)

    def trained(self, id: str, seeds: int, watch: Watching = lambda rung: None) -> Trained:
        """The first ``seeds`` seeds of a rung, training those that are missing."""
        rung = self.ladder[id]
        done = self._trained.get(id)
        have = done.seeds if done else 0
        if have < seeds:
            if id not in self._trainers:
                self._trainers[id] = Trainer(rung.experiment, self.test.looks[0])
            more = self._trainers[id](self.seeds, range(have, seeds), watch(rung))
            done = more if done is None else done.joined(more)
            self._trained[id] = done
        assert done is not None
        return done.head(seeds)
