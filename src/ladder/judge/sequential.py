"""Verdicts over seeds: a sequential test on the fraction that learns.

Nothing here knows a model, JAX or pytest.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import NamedTuple

from ladder.declare.verdict import Verdict

REPORT_SEEDS = 16
"""The number of seeds that goals and effects are reported on, unless it is set."""


class Boundary(NamedTuple):
    """The decision at one look: PASS at ``pass_at`` seeds or more, FAIL at ``fail_at`` or fewer (None: never)."""

    seeds: int
    pass_at: int | None
    fail_at: int | None


class OperatingCharacteristics(NamedTuple):
    """The chance of each verdict at a given rate of learning, and the mean number of seeds trained."""

    passes: float
    fails: float
    undecided: float
    seeds: float


@dataclass(frozen=True)
class SequentialTest:
    """An e-value test of "at most ``p0`` of seeds learn" against "``p1`` of seeds learn", with interim looks.

    After ``k`` of ``n`` seeds have learned, ``E = (p1/p0)^k ((1-p1)/(1-p0))^(n-k)``; PASS at ``E >= 1/alpha``, FAIL at
    ``E <= beta``, otherwise train up to the next look. By Ville's inequality a rung of which at most ``p0`` of seeds
    learn passes with probability at most ``alpha``, and one of which at least ``p1`` learn fails with probability at
    most ``beta``, whenever one stops. So early looks cost nothing, and a gated rung may go on after a FAIL until it is strong
    enough to name a culprit; the verdict is that of the seeds at which it stops.

    >>> test = SequentialTest()
    >>> test.verdict(10, 10), test.verdict(9, 10), test.verdict(1, 4)
    (<Verdict.PASS: 'PASS'>, <Verdict.UNDECIDED: 'UNDECIDED'>, <Verdict.FAIL: 'FAIL'>)

    Source: Wald (1945); Ramdas et al., *Game-theoretic statistics and safe
    anytime-valid inference* (2023).

    Attributes:
        p0: The rate of learning that must not pass.
        p1: The rate of learning that must not fail.
        alpha: The largest probability that a rung with rate ``p0`` passes.
        beta: The largest probability that a rung with rate ``p1`` fails, less than 1/2.
        looks: The numbers of seeds after which the test may decide.

    Raises:
        ValueError: unless ``0 < p0 < p1 < 1``, ``0 < alpha < 1``, ``0 < beta < 1/2``, and ``looks`` are increasing numbers
            of seeds the last of which is enough for a PASS.
    """

    p0: float = 0.70
    p1: float = 0.95
    alpha: float = 0.05
    beta: float = 0.01
    looks: tuple[int, ...] = (4, 10, 16, 24, 32, 48, 64)

    def __post_init__(self) -> None:
        for name in ("p0", "p1", "alpha", "beta"):
            if not isinstance(value := getattr(self, name), Real):
                raise ValueError(f"{name} is of type {type(value).__name__}: give a number between 0 and 1")
        looks: object = self.looks
        if not isinstance(looks, tuple | list | range) or not all(isinstance(look, Integral) for look in looks):
            raise ValueError(
                f"looks is a {type(looks).__name__}: give a tuple of numbers of seeds, such as (4, 10, 16, 32)"
            )
        object.__setattr__(self, "looks", tuple(looks))
        if not 0.0 < self.p0 < self.p1 < 1.0:
            raise ValueError(f"p0={self.p0}, p1={self.p1}: choose 0 < p0 < p1 < 1")
        for name in ("alpha", "beta"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise ValueError(f"{name}={getattr(self, name)}: choose a probability between 0 and 1")
        if self.beta >= 0.5:
            raise ValueError(f"beta={self.beta}: choose less than 1/2; no comparison can fail with more")
        shown = ",".join(map(str, self.looks))
        if not self.looks or self.looks[0] < 1 or any(b <= a for a, b in zip(self.looks, self.looks[1:], strict=False)):
            raise ValueError(
                f"seeds {shown or '(none)'}: choose increasing numbers of seeds, at least 1, such as 4,10,16,32"
            )
        needed = math.ceil(-math.log(self.alpha) / math.log(self.p1 / self.p0))
        if self.looks[-1] < needed:
            raise ValueError(
                f"seeds {shown}: even if every seed learns, a PASS at alpha={self.alpha:g} needs {needed} seeds; "
                f"choose at least {needed}"
            )

    def log_e(self, k: int, n: int) -> float:
        """Return the natural logarithm of the e-value after ``k`` of ``n`` seeds have learned."""
        return k * math.log(self.p1 / self.p0) + (n - k) * math.log((1.0 - self.p1) / (1.0 - self.p0))

    def verdict(self, k: int, n: int) -> Verdict:
        """Return the verdict after ``k`` of ``n`` seeds have learned; UNDECIDED asks for more seeds."""
        log_e = self.log_e(k, n)
        if log_e >= -math.log(self.alpha):
            return Verdict.PASS
        return Verdict.FAIL if log_e <= math.log(self.beta) else Verdict.UNDECIDED

    def boundary(self, n: int, beta: float | None = None) -> Boundary:
        """Return the decision at ``n`` seeds; ``beta`` replaces the test's own.

        >>> SequentialTest().boundary(32)
        Boundary(seeds=32, pass_at=29, fail_at=25)
        """
        passing = [k for k in range(n + 1) if self.log_e(k, n) >= -math.log(self.alpha)]
        failing = [k for k in range(n + 1) if self.log_e(k, n) <= math.log(beta or self.beta)]
        return Boundary(n, min(passing, default=None), max(failing, default=None))

    def operating_characteristics(self, rate: float, tests: int | None = None) -> OperatingCharacteristics:
        """Compute exactly the chance of each verdict if seeds learn independently with probability ``rate``.

        >>> round(SequentialTest().operating_characteristics(0.95).passes, 4)
        0.9917

        With ``P(k, n)`` the chance that ``k`` of ``n`` seeds have learned and no look has decided,
        ``P(k, n) = rate P(k-1, n-1) + (1-rate) P(k, n-1)``, after which a look at ``n`` takes out every ``k`` it decides;
        seed ``n`` is trained with probability ``sum_k P(k, n-1)``. Source: Wald (1945), who calls them the operating
        characteristic and the average sample number.

        Args:
            rate: The probability that a seed learns.
            tests: The number of tests that could name a culprit, for a gated rung, which goes on after a FAIL until it names
                one; None for a control, which stops at any verdict.

        Raises:
            ValueError: for a rate outside [0, 1].
        """
        if not 0.0 <= rate <= 1.0:
            raise ValueError(f"rate={rate}: choose a probability from 0 to 1")
        decided = dict.fromkeys(Verdict, 0.0)
        undecided, seeds = [1.0], 0.0
        for n in range(1, self.looks[-1] + 1):
            seeds += sum(undecided)
            undecided = _after_one_more(undecided, rate)
            if n in self.looks:
                for k in range(n + 1):
                    if n == self.looks[-1] or self.stops(k, n, tests):
                        decided[self.verdict(k, n)] += undecided[k]
                        undecided[k] = 0.0
        return OperatingCharacteristics(decided[Verdict.PASS], decided[Verdict.FAIL], decided[Verdict.UNDECIDED], seeds)

    def stops(self, k: int, n: int, tests: int | None = None) -> bool:
        """Return whether a rung needs no more seeds; ``tests`` as in :meth:`operating_characteristics`."""
        verdict = self.verdict(k, n)
        if verdict is Verdict.FAIL and tests is not None:
            return self.names_culprit(k, n, tests)
        return verdict is not Verdict.UNDECIDED

    def names_culprit(self, k: int, n: int, tests: int) -> bool:
        """Return whether a FAIL is strong enough to name a culprit where ``tests`` tests could: ``E <= beta / tests``.

        By Ville's inequality a rung of which at least ``p1`` of seeds learn is named with probability at most
        ``beta / tests``, whenever one stops.
        """
        return self.log_e(k, n) <= math.log(self.beta / tests)


def chance_of_decision(k: int, n: int, looks: Sequence[int], decides: Callable[[int, int], bool]) -> list[float]:
    """Compute the chance that a test has decided by each look after ``k`` of ``n`` outcomes, at the rate ``k/n``.

    >>> test = SequentialTest()
    >>> later = chance_of_decision(54, 64, [96, 128], lambda k, n: test.verdict(k, n) is not Verdict.UNDECIDED)
    >>> [round(chance, 2) for chance in later]
    [0.33, 0.68]

    Args:
        k: The number of successes so far.
        n: The number of outcomes so far.
        looks: The numbers of outcomes, more than ``n`` and increasing, at which the test may decide.
        decides: Whether the test decides at so many successes of so many outcomes.
    """
    undecided, chances = [1.0], []
    for m in range(n + 1, looks[-1] + 1):
        undecided = _after_one_more(undecided, k / n)
        if m in looks:
            undecided = [0.0 if decides(k + more, m) else chance for more, chance in enumerate(undecided)]
            chances.append(1.0 - sum(undecided))
    return chances


def _after_one_more(chances: Sequence[float], rate: float) -> list[float]:
    """Return the chance of each number of successes after one more outcome, given those before it."""
    before = zip([0.0, *chances], [*chances, 0.0], strict=True)
    return [rate * success + (1.0 - rate) * failure for success, failure in before]
