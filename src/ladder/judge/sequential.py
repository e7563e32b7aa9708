"""Verdicts over seeds: a sequential test on the fraction that learns.

Nothing here knows a model, JAX or pytest.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

from ladder.declare.verdict import Verdict


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
    most ``beta``, whenever one stops.

    >>> test = SequentialTest()
    >>> test.verdict(16, 16), test.verdict(13, 16), test.verdict(11, 16)
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
    looks: tuple[int, ...] = (16, 32, 64)

    def __post_init__(self) -> None:
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
                f"seeds {shown or '(none)'}: choose increasing numbers of seeds, at least 1, such as 16,32,64"
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

    def operating_characteristics(self, rate: float) -> OperatingCharacteristics:
        """Compute exactly the chance of each verdict if seeds learn independently with probability ``rate``.

        >>> round(SequentialTest().operating_characteristics(0.95).passes, 4)
        0.9899

        With ``P(k, n)`` the chance that ``k`` of ``n`` seeds have learned and no look has decided,
        ``P(k, n) = rate P(k-1, n-1) + (1-rate) P(k, n-1)``, after which a look at ``n`` takes out every ``k`` it decides;
        seed ``n`` is trained with probability ``sum_k P(k, n-1)``. Source: Wald (1945), who calls them the operating
        characteristic and the average sample number.

        Raises:
            ValueError: for a rate outside [0, 1].
        """
        if not 0.0 <= rate <= 1.0:
            raise ValueError(f"rate={rate}: choose a probability from 0 to 1")
        decided = {Verdict.PASS: 0.0, Verdict.FAIL: 0.0}
        undecided, seeds = [1.0], 0.0
        for n in range(1, self.looks[-1] + 1):
            seeds += sum(undecided)
            before = zip([0.0, *undecided], [*undecided, 0.0], strict=True)
            undecided = [rate * learned + (1.0 - rate) * not_learned for learned, not_learned in before]
            if n in self.looks:
                for k in range(n + 1):
                    if (verdict := self.verdict(k, n)) in decided:
                        decided[verdict] += undecided[k]
                        undecided[k] = 0.0
        return OperatingCharacteristics(decided[Verdict.PASS], decided[Verdict.FAIL], sum(undecided), seeds)

    def names_culprit(self, k: int, n: int, tests: int) -> bool:
        """Return whether a FAIL is strong enough to name a culprit where ``tests`` tests could: ``E <= beta / tests``.

        By Ville's inequality a rung of which at least ``p1`` of seeds learn is named with probability at most
        ``beta / tests``, whenever one stops.
        """
        return self.log_e(k, n) <= math.log(self.beta / tests)
