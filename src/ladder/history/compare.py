"""The comparison of two reports of the same ladder: what became worse, what became better, and what cannot be decided.

``docs/nightly.md`` gives the reasons for every rule here, and the rates of error.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ladder.declare.verdict import Verdict
from ladder.history import ALPHA
from ladder.history.reports import Identity, identity
from ladder.history.samples import conditions, differences, epochs_to_target, in_time, same
from ladder.history.significance import corrected, fewer, shift
from ladder.report.schema import Comparison, Condition, Criterion, Document, Effect, Entry
from ladder.report.text import find, format_number, verdict_label

LISTED = 3  # rungs named in a line that says other things too

WORSE = ("slower", "broke", "worse")
BETTER = ("faster", "mended", "better")
CHANGED = ("changed",)
FAMILIES = (WORSE, BETTER, CHANGED)
"""The results of tests. Each family is corrected by itself: a changed effect does not make a regression less certain."""


@dataclass(frozen=True)
class SeedTest:
    """A test of one quantity of a rung over its seeds.

    Attributes:
        quantity: The name of what is compared.
        before: The median before, infinite for never, or the count out of the first of ``seeds``.
        after: The same after.
        seeds: The numbers of seeds before and after.
        p: The p-value of every possible result; empty if all values are equal, so that no result is possible.
        claims: The results that the test may have: for a comparison only those that its verdict confirms.
        chance: The probability that a value after is larger than one before; None for counts.
        corrected: The p-values corrected by Holm.
        result: The result; empty for a difference within noise.
    """

    quantity: str
    before: float
    after: float
    seeds: tuple[int, int]
    p: dict[str, float]
    claims: tuple[str, ...]
    chance: float | None = None
    corrected: dict[str, float] = field(default_factory=dict)
    result: str = ""

    @property
    def text(self) -> str:
        """The result with its p-value: ``slower: median epoch 3 → 5, p = 0.0004 (Holm)``."""
        p = f"p = {self.corrected[self.result]:.2g} (Holm)"
        if self.result in ("broke", "mended"):
            counts = f"{self.before:g}/{self.seeds[0]} → {self.after:g}/{self.seeds[1]}"
            return f"{self.result}: {self.quantity} {counts}, {p}"
        if self.result in ("slower", "faster"):
            later = f", later in {self.chance:.0%} of pairs of seeds" if self.before == self.after else ""
            return f"{self.result}: median epoch {epoch(self.before)} → {epoch(self.after)}{later}, {p}"
        return f"{self.result}: {self.quantity}, median {_signed(self.before)} → {_signed(self.after)}, {p}"


@dataclass(frozen=True)
class RungComparison:
    """A rung in two reports: its verdict in each, None where it is missing, and its differences.

    Attributes:
        id: The rung's id.
        before: The verdict in the earlier report.
        after: The verdict in the later report.
        measured: Whether seeds were judged in both.
        tests: The tests of the quantities that both record.
        fault: What makes it worse without statistics: it crashed, timed out, or fails for another reason than a control must.
        same_conditions: Whether both have the same conditions.
        notes: Further remarks for the reader.
        untested: The quantities that could not be tested because an older report does not record them.
    """

    id: str
    before: str | None
    after: str | None
    measured: bool
    tests: tuple[SeedTest, ...] = ()
    fault: str = ""
    same_conditions: bool = True
    notes: tuple[str, ...] = ()
    untested: tuple[str, ...] = ()

    def tests_with(self, results: Sequence[str]) -> list[SeedTest]:
        """Return the tests that have one of these results."""
        return [test for test in self.tests if test.result in results]

    @property
    def regressions(self) -> list[str]:
        """A description of everything that became worse."""
        return [*([self.fault] if self.fault else []), *(test.text for test in self.tests_with(WORSE))]

    @property
    def descriptions(self) -> list[str]:
        """A description of every difference; empty for an unchanged rung."""
        reason = "within noise" if self.same_conditions else "by other conditions"
        verdict_change = [f"{self.before} → {self.after}, {reason}"] if self._verdict_changed else []
        others = [test.text for test in self.tests_with(BETTER + CHANGED)]
        return [*self.regressions, *others, *verdict_change, *self.notes]

    @property
    def _verdict_changed(self) -> bool:
        return self.measured and self.before != self.after and not self.regressions and not self.tests_with(BETTER)


@dataclass(frozen=True)
class ReportComparison:
    """The differences between two reports, rung by rung in climbing order; ``before`` and ``after`` identify the reports."""

    alpha: float
    before: Identity
    after: Identity
    rows: tuple[RungComparison, ...]

    @property
    def regressions(self) -> list[RungComparison]:
        """The rungs that became worse."""
        return [row for row in self.rows if row.regressions]

    @property
    def compared(self) -> list[RungComparison]:
        """The rungs with a fault or a test of a condition in both reports; effects do not count, they are only reported."""
        return [row for row in self.rows if row.fault or any(test.claims != CHANGED for test in row.tests)]

    @property
    def headline(self) -> str:
        """The verdict in one line."""
        parts = []
        if self.regressions:
            first, *others = self.regressions
            parts.append(f"REGRESSION: {first.id} {'; '.join(first.regressions)}")
            parts += [f"and {listed([row.id for row in others])}"] if others else []
        elif self.compared:
            parts.append(f"no regression in {counted(len(self.compared))}")
        else:
            parts.append("NOTHING TO COMPARE: no condition was measured in both reports")
        for what, rows in (
            ("better", [row for row in self.rows if row.tests_with(BETTER)]),
            ("effect changed", [row for row in self.rows if row.tests_with(CHANGED)]),
            ("not compared", [row for row in self.rows if row.before and row.after and row not in self.compared]),
            ("gone", [row for row in self.rows if row.after is None]),
        ):
            parts += [f"{what}: {listed([row.id for row in rows])}"] if rows else []
        return "; ".join([*parts, *([] if self.after["complete"] else ["the later report was broken off"])])


def compare(before: Document, after: Document, alpha: float = ALPHA) -> ReportComparison:
    """Compare two reports rung by rung, with p-values corrected over all rungs."""
    gone = [entry["id"] for entry in before["rungs"] if find(after, entry["id"]) is None]
    ids = [*(entry["id"] for entry in after["rungs"]), *gone]
    rows = [_row(find(before, id), find(after, id)) for id in ids]
    return ReportComparison(alpha, identity(before), identity(after), tuple(_decided(rows, alpha)))


def experiment_changes(before: Entry, after: Entry) -> list[str]:
    """Return the differences between the experiments of two entries: ``changed: width: 64 → 32``."""
    one, other = before["experiment"], after["experiment"]
    descriptions = [
        f"changed: {name}: {one[name]} → {other[name]}" for name in ("type", "epochs") if one[name] != other[name]
    ]
    old, new = one["components"], other["components"]
    for name in [*old, *(name for name in new if name not in old)]:
        if name not in old or name not in new:
            descriptions.append(f"changed: {name}: {old.get(name, 'not there')} → {new.get(name, 'not there')}")
        elif old[name] != new[name]:
            descriptions.append(f"changed: {name}: {old[name]} → {new[name]}")
    return descriptions


def epoch(value: float) -> str:
    """Return an epoch as text, ``never`` if it is infinite."""
    return f"{value:g}" if math.isfinite(value) else "never"


def listed(ids: Sequence[str]) -> str:
    """Return the ids of the rungs, or how many there are if they are more than ``LISTED``."""
    return ", ".join(ids) if len(ids) <= LISTED else counted(len(ids))


def counted(rungs: int) -> str:
    """Return ``1 rung``, ``17 rungs``."""
    return f"{rungs} rung{'' if rungs == 1 else 's'}"


def _row(before: Entry | None, after: Entry | None) -> RungComparison:
    if before is None or after is None:
        present = before or after
        assert present is not None
        note = "not in the later report" if after is None else "not in the earlier report"
        was, now = (None if entry is None else verdict_label(entry) for entry in (before, after))
        return RungComparison(present["id"], was, now, measured=False, notes=(note,))
    row = RungComparison(
        after["id"], verdict_label(before), verdict_label(after), measured=bool(before["seeds"] and after["seeds"])
    )
    if not row.measured:
        fault = bool(before["seeds"]) and after["verdict"] in (Verdict.CRASHED, Verdict.TIMED_OUT)
        if fault:
            return replace(
                row, fault=f"{after['verdict']}: {after['error']}", notes=tuple(experiment_changes(before, after))
            )
        return replace(row, notes=(_unmeasured(before, after),))
    if before["role"] != after["role"]:
        return replace(row, measured=False, notes=(f"was a {before['role']}, is a {after['role']}: not compared",))
    pairs, notes = _matched(conditions(before), conditions(after))
    tests, untested = _tests(before, after, pairs, all_same=not notes)
    missed = [name for name in after["missed"] if name in before["expects"] and name not in before["missed"]]
    return replace(
        row,
        tests=tuple(tests),
        fault=verdict_label(after) if missed and before["verdict"] == Verdict.FAIL else "",
        same_conditions=not notes,
        notes=(*experiment_changes(before, after), *notes),
        untested=tuple(untested),
    )


def _unmeasured(before: Entry, after: Entry) -> str:
    if after["seeds"]:
        return f"measured again: {before['verdict']} before"
    if after["blocked_by"]:
        return f"not measured: blocked by {', '.join(after['blocked_by'])}"
    return (
        f"not measured: {after['verdict']}{': ' + after['error'] if after['error'] else ''}, {before['verdict']} before"
    )


def _matched(before: list[Condition], after: list[Condition]) -> tuple[list[tuple[Condition, Condition]], list[str]]:
    """Return the pairs of equal conditions, and notes on the other conditions."""
    pairs = [(one, other) for one in before for other in after if same(one, other)]
    old = [one for one in before if not any(one is paired for paired, _ in pairs)]
    new = [other for other in after if not any(other is paired for _, paired in pairs)]
    notes = []
    for one in list(old):
        kin = [other for other in new if (other["kind"], other["metric"]) == (one["kind"], one["metric"])]
        if kin:
            texts = [c["text"] if one["text"] != kin[0]["text"] else _exactly(c) for c in (one, kin[0])]
            notes.append(f"limit changed, not compared: {texts[0]} → {texts[1]}")
            old.remove(one)
            new.remove(kin[0])
    notes += [f"no longer required: {one['text']}" for one in old]
    return pairs, [*notes, *(f"newly required: {other['text']}" for other in new)]


def _exactly(condition: Condition) -> str:
    """Return the condition's text with the number that it rounds."""
    return f"{condition['text']} ({condition.get('limit', condition.get('margin'))!r})"


def _tests(
    before: Entry, after: Entry, pairs: list[tuple[Condition, Condition]], *, all_same: bool
) -> tuple[list[SeedTest], list[str]]:
    """Return every test of a rung that was measured in both reports, and what the reports do not record."""
    control = after["role"] == "control"
    criteria = [(one, other) for one, other in pairs if one["kind"] != "comparison" and other["kind"] != "comparison"]
    tests, untested = [], []
    if control:
        tests += list(_failing(before, after, criteria))
    elif criteria or all_same:
        first, second = [one for one, _ in criteria], [other for _, other in criteria]
        was, now = _passed(before, first, all_same), _passed(after, second, all_same)
        tests += [_seeds("seeds that learn", was, now)] if was and now else []
        epochs = epochs_to_target(first), epochs_to_target(second)
        if epochs[0] and epochs[1]:
            tests.append(_ranks("epochs to target", epochs[0], epochs[1], ("slower", "faster")))
        elif criteria:
            untested.append("epochs to target")
    for one, other in pairs:
        if one["kind"] == "comparison" and other["kind"] == "comparison":
            samples = differences(one), differences(other)
            if samples[0] and samples[1]:
                words = ("better", "worse") if control else ("worse", "better")
                test = _ranks(one["text"], samples[0], samples[1], words)
                tests.append(
                    replace(test, claims=_verdict_change(one, other, Verdict.FAIL if control else Verdict.PASS))
                )
    effects = [_effects(entry) for entry in (before, after)]
    for key in [key for key in effects[0] if key in effects[1]]:
        samples = differences(effects[0][key]), differences(effects[1][key])
        if samples[0] and samples[1]:
            tests.append(_ranks(f"{key[0]} against {key[1]}", samples[0], samples[1], CHANGED))
        else:
            untested.append(f"differences of {key[0]} against {key[1]}")
    return tests, untested


def _verdict_change(before: Comparison, after: Comparison, good: Verdict) -> tuple[str, ...]:
    """Return the results that two verdicts of a comparison confirm: a shift across no margin is reported as an effect only."""
    was, now = before["verdict"] == good, after["verdict"] == good
    return () if was == now else ("worse",) if was else ("better",)


def _effects(entry: Entry) -> dict[tuple[str, str], Comparison | Effect]:
    """Return every comparison of a rung, required or only reported, by metric and other rung."""
    comparisons = [each for each in (*entry["gates"], *entry["goals"]) if each["kind"] == "comparison"]
    compared: list[Comparison | Effect] = [*entry["effects"], *comparisons]
    return {(each["metric"], each["against"]): each for each in compared}


def _passed(entry: Entry, criteria: Sequence[Criterion], all_same: bool) -> tuple[int, int] | None:
    """Return how many seeds met the conditions that both reports have, and of how many."""
    if entry["role"] == "goal":
        return (criteria[0]["passed"], criteria[0]["of"]) if criteria else None
    if all_same and entry["seeds"]:
        return entry["seeds"]["passed"], entry["seeds"]["of"]
    learned = in_time(criteria)
    return (sum(learned), len(learned)) if learned else None


def _failing(before: Entry, after: Entry, criteria: list[tuple[Criterion, Criterion]]) -> Iterator[SeedTest]:
    """Yield the tests of a control, which must fail at every gate by itself, and with finite numbers."""
    for one, other in criteria:
        failed = [(condition["of"] - condition["passed"], condition["of"]) for condition in (one, other)]
        yield _seeds(f"control, seeds that fail {one['text']}", *failed)
    counts = [entry["seeds"] for entry in (before, after) if entry["seeds"]]
    finite = [(seeds["of"] - len(seeds["non_finite"]), seeds["of"]) for seeds in counts]
    yield _seeds("control, seeds with finite numbers", *finite)


def _seeds(quantity: str, before: tuple[int, int], after: tuple[int, int]) -> SeedTest:
    total = before[0] + after[0]
    decides = 0 < total < before[1] + after[1]
    p = {"broke": fewer(before, after), "mended": fewer(after, before)} if decides else {}
    return SeedTest(quantity, before[0], after[0], (before[1], after[1]), p, claims=("broke", "mended"))


def _ranks(quantity: str, before: list[float], after: list[float], results: Sequence[str]) -> SeedTest:
    """Return a rank test; ``results`` are its results for larger and for smaller values, or one result for both."""
    test = SeedTest(
        quantity, _median(before), _median(after), (len(before), len(after)), {}, tuple(results), chance=0.5
    )
    if len({*before, *after}) == 1:
        return test
    difference = shift(before, after)
    ps = (difference.larger, difference.smaller) if len(results) == 2 else (difference.either,)
    return replace(test, p=dict(zip(results, ps, strict=True)), chance=difference.chance)


def _median(values: list[float]) -> float:
    """Return the median; for an even number of values the mean of the middle two, infinite if one of them is."""
    with np.errstate(invalid="ignore"):
        return float(np.median(values))


def _decided(rows: list[RungComparison], alpha: float) -> Iterator[RungComparison]:
    """Yield the rows with every test corrected over all rungs, family by family."""
    holm: dict[tuple[int, int, str], float] = {}
    for family in FAMILIES:
        keys = [
            (i, j, name)
            for i, row in enumerate(rows)
            for j, test in enumerate(row.tests)
            for name in test.p
            if name in family
        ]
        holm |= dict(zip(keys, corrected([rows[i].tests[j].p[name] for i, j, name in keys]), strict=True))
    for i, row in enumerate(rows):
        tests = []
        for j, test in enumerate(row.tests):
            ps = {name: holm[i, j, name] for name in test.p}
            significant = [name for name in test.claims if ps.get(name, 1.0) <= alpha]
            tests.append(replace(test, corrected=ps, result=min(significant, key=lambda name: ps[name], default="")))
        yield replace(row, tests=tuple(tests))


def _signed(value: float) -> str:
    return format_number(value) if math.isfinite(value) else "infinite"
