"""A ladder: rungs in climbing order, checked against each other, and the rule that a rung adds one component."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from ladder.declare.criteria import Comparison
from ladder.declare.experiment import differences
from ladder.declare.rung import Rung
from ladder.declare.values import shortened


class LadderError(ValueError):
    """A set of rungs that is no ladder; the message names the rung and what to change."""


class Ladder(Mapping[str, Rung]):
    """Rungs by id, in an order in which each stands above what it requires.

    Raises:
        LadderError: for two rungs of one id, a parent, requirement or partner that is missing or cannot be one, a cycle,
            components that cannot be compared, or a rung that does not differ from its parent in exactly the component it
            declares.
    """

    def __init__(self, rungs: Sequence[Rung]):
        self._rungs: dict[str, Rung] = {}
        for rung in sorted(rungs, key=lambda rung: rung.number):
            if rung.id in self._rungs:
                raise LadderError(f"{rung.id} is declared twice; give one of them another number or variant")
            self._rungs[rung.id] = rung
        for rung in self._rungs.values():
            self._check_names(rung)
        self._rungs = {id: self._rungs[id] for id in self._sorted()}
        for rung in self._rungs.values():
            self._check_component(rung)

    def __getitem__(self, id: str) -> Rung:
        return self._rungs[id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rungs)

    def __len__(self) -> int:
        return len(self._rungs)

    def gated(self, scale: str) -> int:
        """Return the number of rungs that could be named as culprit by a run that climbs this scale."""
        return sum(
            rung.role == "gate" for rung in self.values() if rung.scale == scale or rung.number not in self.scales
        )

    @cached_property
    def scales(self) -> dict[int, set[str]]:
        """The scales of each rung that comes in several, by its number."""
        found: dict[int, set[str]] = {}
        for rung in self.values():
            found.setdefault(rung.number, set()).add(rung.scale)
        return {number: scales for number, scales in found.items() if scales != {""}}

    def standing_on(self, ids: Sequence[str]) -> list[str]:
        """Return the given rungs and all that they require, in climbing order."""
        wanted: set[str] = set()
        todo = list(ids)
        while todo:
            id = todo.pop()
            if id not in wanted:
                wanted.add(id)
                todo.extend(self[id].required)
        return [id for id in self if id in wanted]

    def _check_names(self, rung: Rung) -> None:
        for id in rung.named:
            if id not in self._rungs:
                raise LadderError(
                    f"{rung.id} stands on {id}, which is not on this ladder; it has {', '.join(self._rungs)}"
                )
        for id in rung.named:
            other = self._rungs[id]
            if other.number in self.scales and other.scale != rung.scale:
                raise LadderError(f"{rung.id} stands on {id}, which is of another scale; name the one of its own")
        for id in rung.required:
            if (role := self._rungs[id].role) != "gate":
                raise LadderError(
                    f"{rung.id} requires {id}, which is a {role} row and cannot pass; require a gated rung"
                )
        for condition in (*rung.gates, *rung.goals):
            if (
                isinstance(condition, Comparison)
                and condition.metric not in self._rungs[condition.against].experiment.metrics
            ):
                raise LadderError(f"{rung.id}: {condition}: {condition.against} reports no {condition.metric!r}")
        for metric in rung.compare:
            if rung.parent_id and metric not in self._rungs[rung.parent_id].experiment.metrics:
                raise LadderError(
                    f"{rung.id}: it is compared with {rung.parent_id} on {metric!r}, which that rung does not report"
                )

    def _sorted(self) -> list[str]:
        order: list[str] = []
        path: list[str] = []

        def visit(id: str) -> None:
            if id in order:
                return
            if id in path:
                raise LadderError(
                    f"the ladder bites its tail: {' → '.join([*path[path.index(id) :], id])}; cut one link"
                )
            path.append(id)
            for below in self._rungs[id].named:
                visit(below)
            order.append(path.pop())

        for id in self._rungs:
            visit(id)
        return order

    def _check_component(self, rung: Rung) -> None:
        if not rung.parent_id:
            return
        try:
            found = differences(self._rungs[rung.parent_id].experiment, rung.experiment)
        except TypeError as error:
            raise LadderError(
                f"{rung.id} on {rung.parent_id}: {error}; give both rungs the same object, or one whose == is True or False"
            ) from error
        if list(found) == [rung.adds] or rung.role == "goal":
            return
        said = f"{rung.id} declares that it adds {rung.adds!r} to {rung.parent_id}"
        if not found:
            raise LadderError(f"{said}, but the two experiments are the same: it adds nothing")
        changes = ", ".join(f"{path} ({shortened(a)} → {shortened(b)})" for path, (a, b) in found.items())
        if len(found) == 1:
            raise LadderError(f"{said}, but what differs is {changes}; declare that")
        raise LadderError(f"{said}, but they differ in {len(found)} components: {changes}; put a rung between them")
