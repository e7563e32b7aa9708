"""The comparison of two reports of the same ladder: what became worse, what became better, and what cannot be decided.

``docs/nightly.md`` gives the reasons for every rule here, and the rates of error.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from ladder.history import ALPHA
from ladder.history.samples import conditions, differences, epochs_to_target, in_time, same
from ladder.history.significance import corrected, fewer, shift
from ladder.judge.sequential import Verdict
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
    """A test of a rung over its seeds; ``found`` is its result, empty for a difference within noise.

    ``before`` and ``after`` are medians, infinite for never, or counts out of ``seeds``. ``p`` has the p-value of every possible
    result, ``corrected`` the same by Holm; both are empty if all values are equal, so that no result is possible. ``claims`` are
    the results it may have: for a comparison only those that its verdict confirms. ``chance`` is the probability that a value
    after is larger than one before.
    """

    of: str
    before: float
    after: float
    seeds: tuple[int, int]
    p: dict[str, float]
    claims: tuple[str, ...]
    chance: float | None = None
    corrected: dict[str, float] = field(default_factory=dict)
    found: str = ""

    @property
    def text(self) -> str:
        """The result with its p-value: ``slower: median epoch 3 → 5, p = 0.0004 (Holm)``."""
        p = f"p = {self.corrected[self.found]:.2g} (Holm)"
        if self.found in ("broke", "mended"):
            counts = f"{self.before:g}/{self.seeds[0]} → {self.after:g}/{self.seeds[1]}"
            return f"{self.found}: {self.of} {counts}, {p}"
        if self.found in ("slower", "faster"):
            later = f", later in {self.chance:.0%} of pairs of seeds" if self.before == self.after else ""
            return f"{self.found}: median epoch {epoch(self.before)} → {epoch(self.after)}{later}, {p}"
        return f"{self.found}: {self.of}, median {_signed(self.before)} → {_signed(self.after)}, {p}"


@dataclass(frozen=True)
class RungComparison:
    """A rung in two reports: its verdict in each, None where it is missing, and its differences.

    ``measured`` says whether seeds were judged in both. ``fault`` is what makes it worse without any statistics: it crashed,
    timed out, or fails for another reason than a control must. ``same`` says whether both have the same conditions. ``notes``
    are further remarks for the reader, ``untold`` lists what could not be tested because an older report does not record it.
    """

    id: str
    before: str | None
    after: str | None
    measured: bool
    tests: tuple[SeedTest, ...] = ()
    fault: str = ""
    same: bool = True
    notes: tuple[str, ...] = ()
    untold: tuple[str, ...] = ()

    def found(self, words: Sequence[str]) -> list[SeedTest]:
        """Return the tests whose result is one of these words."""
        return [test for test in self.tests if test.found in words]

    @property
    def worse(self) -> list[str]:
        """A description of everything that became worse."""
        return [*([self.fault] if self.fault else []), *(test.text for test in self.found(WORSE))]

    @property
    def told(self) -> list[str]:
        """A description of every difference; empty for an unchanged rung."""
        verdict_change = (
            [f"{self.before} → {self.after}, {'within noise' if self.same else 'not of the same'}"]
            if self._verdict_changed
            else []
        )
        return [*self.worse, *(test.text for test in self.found(BETTER + CHANGED)), *verdict_change, *self.notes]

    @property
    def _verdict_changed(self) -> bool:
        return self.measured and self.before != self.after and not self.worse and not self.found(BETTER)


@dataclass(frozen=True)
class ReportComparison:
    """The differences between two reports, rung by rung in climbing order; ``before`` and ``after`` identify the reports."""

    alpha: float
    before: dict[str, Any]
    after: dict[str, Any]
    rows: tuple[RungComparison, ...]

    @property
    def regressions(self) -> list[RungComparison]:
        """The rungs that became worse."""
        return [row for row in self.rows if row.worse]

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
            parts.append(f"REGRESSION: {first.id} {'; '.join(first.worse)}")
            parts += [f"and {listed([row.id for row in others])}"] if others else []
        elif self.compared:
            parts.append(f"no regression in {counted(len(self.compared))}")
        else:
            parts.append("NOTHING TO COMPARE: nothing that both ask was measured in both")
        for what, rows in (
            ("better", [row for row in self.rows if row.found(BETTER)]),
            ("effect changed", [row for row in self.rows if row.found(CHANGED)]),
            ("not compared", [row for row in self.rows if row.before and row.after and row not in self.compared]),
            ("gone", [row for row in self.rows if row.after is None]),
        ):
            parts += [f"{what}: {listed([row.id for row in rows])}"] if rows else []
        return "; ".join([*parts, *([] if self.after["complete"] else ["the later report was broken off"])])

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON data; a median of never is null."""
        rows = [asdict(row) | {"worse": bool(row.worse), "told": row.told} for row in self.rows]
        for row in rows:
            for test in row["tests"]:
                test |= {name: _finite(test[name]) for name in ("before", "after")} | {"seeds": list(test["seeds"])}
        return {
            "headline": self.headline,
            "alpha": self.alpha,
            "before": self.before,
            "after": self.after,
            "regressions": [row.id for row in self.regressions],
            "compared": len(self.compared),
            "rungs": rows,
        }


def compare(before: Document, after: Document, alpha: float = ALPHA) -> ReportComparison:
    """Compare two reports rung by rung, with p-values corrected over all rungs."""
    gone = [entry["id"] for entry in before["rungs"] if find(after, entry["id"]) is None]
    ids = [*(entry["id"] for entry in after["rungs"]), *gone]
    rows = [_row(find(before, id), find(after, id)) for id in ids]
    return ReportComparison(alpha, identity(before), identity(after), tuple(_decided(rows, alpha)))


def identity(document: Document) -> dict[str, Any]:
    """Return what identifies a report: its date, commit, seed root, and whether it is complete."""
    commit = document["commit"] or {"sha": "", "dirty": False}
    return {
        "created": document["created"],
        "commit": f"{commit['sha'][:12]}{'+' if commit['dirty'] else ''}",
        "root": document["seeds"]["root"],
        "complete": document["complete"],
    }


def changes(before: Entry, after: Entry) -> list[str]:
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
            return replace(row, fault=f"{after['verdict']}: {after['error']}", notes=tuple(changes(before, after)))
        return replace(row, notes=(_unmeasured(before, after),))
    if before["role"] != after["role"]:
        return replace(row, measured=False, notes=(f"was a {before['role']}, is a {after['role']}: not compared",))
    pairs, notes = _matched(conditions(before), conditions(after))
    tests, untold = _tests(before, after, pairs, all_same=not notes)
    missed = [name for name in after["missed"] if name in before["expects"] and name not in before["missed"]]
    return replace(
        row,
        tests=tuple(tests),
        fault=verdict_label(after) if missed and before["verdict"] == Verdict.FAIL else "",
        same=not notes,
        notes=(*changes(before, after), *notes),
        untold=tuple(untold),
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
    notes += [f"no longer asked: {one['text']}" for one in old]
    return pairs, [*notes, *(f"newly asked: {other['text']}" for other in new)]


def _exactly(condition: Condition) -> str:
    """Return the condition's text with the number that it rounds."""
    return f"{condition['text']} ({condition.get('limit', condition.get('margin'))!r})"


def _tests(
    before: Entry, after: Entry, pairs: list[tuple[Condition, Condition]], *, all_same: bool
) -> tuple[list[SeedTest], list[str]]:
    """Return every test of a rung that was measured in both reports, and what the reports do not record."""
    control = after["role"] == "control"
    criteria = [(one, other) for one, other in pairs if one["kind"] != "comparison" and other["kind"] != "comparison"]
    tests, untold = [], []
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
            untold.append("epochs to target")
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
            untold.append(f"differences of {key[0]} against {key[1]}")
    return tests, untold


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


def _seeds(of: str, before: tuple[int, int], after: tuple[int, int]) -> SeedTest:
    total = before[0] + after[0]
    decides = 0 < total < before[1] + after[1]
    p = {"broke": fewer(before, after), "mended": fewer(after, before)} if decides else {}
    return SeedTest(of, before[0], after[0], (before[1], after[1]), p, claims=("broke", "mended"))


def _ranks(of: str, before: list[float], after: list[float], words: Sequence[str]) -> SeedTest:
    """Return a rank test; ``words`` are its results for larger and for smaller values, or one result for both."""
    test = SeedTest(of, _median(before), _median(after), (len(before), len(after)), {}, tuple(words), chance=0.5)
    if len({*before, *after}) == 1:
        return test
    result = shift(before, after)
    p = dict(zip(words, (result.larger, result.smaller) if len(words) == 2 else (result.either,), strict=True))
    return replace(test, p=p, chance=result.chance)


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
            tests.append(replace(test, corrected=ps, found=min(significant, key=lambda name: ps[name], default="")))
        yield replace(row, tests=tuple(tests))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _signed(value: float) -> str:
    return format_number(value) if math.isfinite(value) else "infinite"
