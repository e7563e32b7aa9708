"""Which collected tests are rungs, and which of them run: those asked for and all that they require."""

import re
from collections.abc import Collection, Iterable, Sequence

import pytest

from ladder.declare.ladder import Ladder, LadderError
from ladder.declare.rung import Rung
from ladder.plugin.search import named
from ladder.plugin.settings import FULL

MARKER = re.compile(r"\brung[0-9]+\b")


def rung_of(item: pytest.Item) -> Rung | None:
    """The rung that a test is: the value of one of its parameters."""
    callspec = getattr(item, "callspec", None)
    if callspec is None:
        return None
    return next((value for value in callspec.params.values() if isinstance(value, Rung)), None)


class CollectedRungs:
    """The rungs of a collection, each with the tests that climb it: more than one where a test of it is repeated."""

    def __init__(self) -> None:
        self.rungs: dict[str, Rung] = {}
        self.items: dict[str, list[pytest.Item]] = {}

    def add(self, items: Iterable[pytest.Item], wanted: Collection[str] | None = None) -> list[pytest.Item]:
        """Add the tests among these of rungs that are not there yet; with ``wanted`` of those ids alone. Returns what was added.

        Raises:
            LadderError: for two rungs of one id.
        """
        there, added = set(self.rungs), []
        for item in items:
            rung = rung_of(item)
            if rung is None or rung.id in there or (wanted is not None and rung.id not in wanted):
                continue
            if self.rungs.setdefault(rung.id, rung) is not rung:
                raise LadderError(
                    f"{rung.id} is declared twice, by {self.items[rung.id][0].nodeid} and {item.nodeid}; "
                    "give one of them another number or variant"
                )
            self.items.setdefault(rung.id, []).append(item)
            added.append(item)
        return added

    def missing_ids(self) -> set[str]:
        """Return the ids that the rungs name and nobody has declared."""
        return {id for rung in self.rungs.values() for id in rung.named} - set(self.rungs)


def named_by(expression: str) -> set[int]:
    """Return the numbers of the rungs that an ``-m`` expression names."""
    return {int(name.removeprefix("rung")) for name in MARKER.findall(expression)}


def check_markers(expression: str, numbers: Iterable[int]) -> None:
    """Refuse a rung in an ``-m`` expression that nobody declares.

    Raises:
        LadderError: naming it and those there are.
    """
    known = [f"rung{number}" for number in sorted(set(numbers))]
    for name in MARKER.findall(expression):
        if name not in known:
            raise LadderError(f"-m {expression!r}: there is no {name}; there are {', '.join(known) or 'none'}")


def of_other_scales(items: Sequence[pytest.Item], ladder: Ladder, scale: str, asked: bool) -> list[pytest.Item]:
    """Rungs among the items that are of another scale than the one that is climbed.

    Where nobody asked for a scale, a selection that holds rungs of another one alone has chosen that.

    Raises:
        LadderError: for a scale that no rung comes in, a selection that holds several others, or a rung of another scale whose
            node id was given.
    """
    known = sorted({each or FULL for scales in ladder.scales.values() for each in scales})
    if known and (scale or FULL) not in (FULL, *known):
        setting = "--ladder-scale=" if asked else "ini ladder_scale = "
        raise LadderError(f"{setting}{scale}: no rung comes in that size; there are {', '.join(known)}")
    sized = {item: rung for item in items if (rung := rung_of(item)) and rung.number in ladder.scales}
    selected = {rung.scale for rung in sized.values()}
    if not asked and selected and scale not in selected:
        scale, *others = sorted(selected)
        if others:
            there = ", ".join(each or FULL for each in (scale, *others))
            raise LadderError(f"the selected rungs come in several sizes, {there}; choose one with --ladder-scale")
    dropped = [item for item, rung in sized.items() if rung.scale != scale]
    if given := [item.name for item in dropped if named(item, itself=True)]:
        raise LadderError(f"{', '.join(given)}: of another scale than the rest; climb each in a run of its own")
    return dropped


def climbing_order(
    items: Sequence[pytest.Item], found: CollectedRungs, ladder: Ladder, pull: bool
) -> list[pytest.Item]:
    """The items with the rungs together, in climbing order, and where ``pull`` says so those that they require."""
    chosen: dict[str, list[pytest.Item]] = {}
    for item in items:
        if rung := rung_of(item):
            chosen.setdefault(rung.id, []).append(item)
    if not chosen:
        return list(items)
    ids = ladder.standing_on(list(chosen)) if pull else [id for id in ladder if id in chosen]
    first = next(i for i, item in enumerate(items) if rung_of(item))
    others = [item for item in items[first:] if not rung_of(item)]
    climbed = [item for id in ids for item in chosen.get(id, found.items[id][:1])]
    return [*items[:first], *climbed, *others]
