"""The comparison of two reports of the same ladder: what became worse or better, what changed, and what cannot be decided.

``docs/nightly.md`` gives the reasons for every rule here, and the rates of error.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ladder.declare.verdict import Verdict
from ladder.history import ALPHA
from ladder.history.reports import Identity, both_entries, identity
from ladder.history.samples import conditions, limit, measured_by, measures, same
from ladder.history.seedtests import BETTER, CHANGED, EFFECT, FAMILIES, WORSE, SeedTest, seed_tests
from ladder.history.significance import corrected
from ladder.history.wording import counted, listed
from ladder.report.schema import Condition, Document, Entry
from ladder.report.text import verdict_label


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
        """A description of every difference; empty for an unchanged rung. Of the changed quantities the surest is described."""
        others = [test.text for test in self.tests_with(BETTER + EFFECT)]
        changed = sorted(self.tests_with(CHANGED), key=lambda test: test.corrected[test.result])
        if changed:
            more = (
                f"; and {counted(len(changed) - 1, 'other quantity', 'other quantities')}" if len(changed) > 1 else ""
            )
            others.append(f"{changed[0].text}{more}")
        verdict_change = []
        if self.measured and self.before != self.after and not self.regressions and not self.tests_with(BETTER):
            reason = ", by other conditions" if not self.same_conditions else "" if changed else ", within noise"
            verdict_change.append(f"{self.before} → {self.after}{reason}")
        return [*self.regressions, *others, *verdict_change, *self.notes]

    @property
    def differs(self) -> bool:
        """True if anything but a limit differs: a test has a result, the verdict changed, or the later report lacks the rung."""
        changed = self.before is not None and self.before != self.after
        return changed or bool(self.fault) or any(test.result for test in self.tests)


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
        reported = (EFFECT, CHANGED)
        return [row for row in self.rows if row.fault or any(test.claims not in reported for test in row.tests)]

    @property
    def differing(self) -> list[RungComparison]:
        """The rungs in which anything but a limit differs, for better or for worse."""
        return [row for row in self.rows if row.differs]

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
            ("effect changed", [row for row in self.rows if row.tests_with(EFFECT)]),
            ("changed", [row for row in self.rows if row.tests_with(CHANGED)]),
            ("not compared", [row for row in self.rows if row.before and row.after and row not in self.compared]),
            ("gone", [row for row in self.rows if row.after is None]),
        ):
            parts += [f"{what}: {listed([row.id for row in rows])}"] if rows else []
        return "; ".join([*parts, *([] if self.after["complete"] else ["the later report was broken off"])])


def compare(
    before: Document, after: Document, alpha: float = ALPHA, same_seeds: bool | None = None
) -> ReportComparison:
    """Compare two reports rung by rung, with p-values corrected over all rungs.

    Args:
        before: The earlier report.
        after: The later report.
        alpha: The chance of a result in a family of tests although nothing changed.
        same_seeds: Whether seeds of the same number are the same seeds; by default, whether the reports' seed roots are equal.
    """
    if same_seeds is None:
        same_seeds = before["seeds"]["root"] == after["seeds"]["root"]
    rows = [_row(one, other, same_seeds=same_seeds) for _, one, other in both_entries(before, after)]
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


def _row(before: Entry | None, after: Entry | None, *, same_seeds: bool) -> RungComparison:
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
    pairs, unpaired = _matched(conditions(before), conditions(after))
    moved = [_new_limit(one, other) for one, other in pairs if limit(one) != limit(other)]
    tests, untested = seed_tests(before, after, pairs, all_paired=not unpaired, same_seeds=same_seeds)
    missed = [name for name in after["missed"] if name in before["expects"] and name not in before["missed"]]
    return replace(
        row,
        tests=tuple(tests),
        fault=verdict_label(after) if missed and before["verdict"] == Verdict.FAIL else "",
        same_conditions=not (moved or unpaired),
        notes=(*experiment_changes(before, after), *moved, *unpaired),
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
    """Return the pairs of conditions that measure the same, those with equal limits first, and notes on the other conditions."""
    pairs: list[tuple[Condition, Condition]] = []
    old, new = list(before), list(after)
    for alike in (same, lambda one, other: measures(one) == measures(other)):
        for one in list(old):
            other = next((each for each in new if alike(one, each)), None)
            if other is not None:
                pairs.append((one, other))
                old.remove(one)
                new.remove(other)
    gone = [f"no longer required: {one['text']}" for one in old]
    return pairs, [*gone, *(f"newly required: {other['text']}" for other in new)]


def _new_limit(before: Condition, after: Condition) -> str:
    """Return a note on a limit that changed, with every digit where the first few are the same."""
    name = "margin" if after["kind"] == "comparison" else "limit"
    numbers = [f"{limit(condition):.4g}" for condition in (before, after)]
    if numbers[0] == numbers[1]:
        numbers = [repr(limit(condition)) for condition in (before, after)]
    counted_at = "" if after["kind"] == "comparison" else f"; the seeds of both are counted against {numbers[1]}"
    return f"{name} of {measured_by(after)}: {numbers[0]} → {numbers[1]}{counted_at}"


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
