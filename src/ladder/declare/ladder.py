"""A ladder: rungs in climbing order, checked against each other, and the rule that a rung adds one component."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from ladder.declare.criteria import Comparison
from ladder.declare.experiment import declared_metrics, differences
from ladder.declare.fields import check_argument
from ladder.declare.rung import Rung
from ladder.declare.values import shortened


class LadderError(ValueError):
    """An error for rungs that do not form a ladder; the message names the rung and what to change."""


class Ladder(Mapping[str, Rung]):
    """Rungs by id, sorted so that each follows the rungs that it requires.

    A repository may have several ladders with names, whose rungs are all here, one ladder after the other.

    Raises:
        LadderError: for two rungs with the same id, a parent, requirement or partner that does not exist or cannot be one, a
            cycle, components that cannot be compared, or a rung that does not differ from its parent in exactly the
            component it declares.
    """

    def __init__(self, rungs: Sequence[Rung]):
        self._rungs: dict[str, Rung] = {}
        check_argument("Ladder", "rungs", tuple(rungs) if isinstance(rungs, list) else rungs, tuple[Rung, ...])
        for rung in sorted(rungs, key=lambda rung: rung.place):
            if rung.id in self._rungs:
                raise LadderError(f"{rung.id} is declared twice; give one of them another number or variant")
            self._rungs[rung.id] = rung
        for rung in self._rungs.values():
            self._check_names(rung)
        self._rungs = {id: self._with_comparison(self._rungs[id]) for id in self._sorted()}
        for rung in self._rungs.values():
            self._check_component(rung)

    def __getitem__(self, id: str) -> Rung:
        return self._rungs[id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rungs)

    def __len__(self) -> int:
        return len(self._rungs)

    def gate_count(self, scale: str, name: str = "") -> int:
        """Return the number of gated rungs, each a possible culprit, of the ladder ``name`` if this scale is climbed."""
        own = [rung for rung in self.values() if rung.ladder == name]
        return sum(rung.role == "gate" for rung in own if rung.scale == scale or rung.place not in self.scales)

    @cached_property
    def scales(self) -> dict[tuple[str, int], set[str]]:
        """The scales of each rung that has several, by its ladder and number."""
        by_place: dict[tuple[str, int], set[str]] = {}
        for rung in self.values():
            by_place.setdefault(rung.place, set()).add(rung.scale)
        return {place: scales for place, scales in by_place.items() if scales != {""}}

    def with_required(self, ids: Sequence[str]) -> list[str]:
        """Return the given rungs and all rungs that they require, directly or indirectly, in climbing order."""
        selected: set[str] = set()
        todo = list(ids)
        while todo:
            id = todo.pop()
            if id not in selected:
                selected.add(id)
                todo.extend(self[id].required)
        return [id for id in self if id in selected]

    def _check_names(self, rung: Rung) -> None:
        for named in rung.named_rungs:
            own = self._rungs.get(named.id)
            if own is not None and own is not named and differences(own.experiment, named.experiment):
                raise LadderError(
                    f"{rung.id} was given a {named.id} whose experiment is not that of the ladder's {named.id}; give it the same"
                )
        """Check the rungs and metrics that a rung names."""
        for id in rung.named:
            if id not in self._rungs:
                raise LadderError(f"{rung.id}: unknown {id}; known rungs: {', '.join(self._rungs)}")
        for id in rung.named:
            other = self._rungs[id]
            if other.place in self.scales and other.scale != rung.scale:
                raise LadderError(f"{rung.id}: {id} has a different scale; name the rung with the same scale")
        for id in rung.required:
            if (role := self._rungs[id].role) != "gate":
                raise LadderError(
                    f"{rung.id} requires {id}, which is a {role} row and cannot pass; require a gated rung"
                )
        for condition in (*rung.gates, *rung.goals):
            if isinstance(condition, Comparison) and not self._reports(condition.against, condition.metric):
                raise LadderError(f"{rung.id}: {condition}: {condition.against} does not report {condition.metric!r}")
        for metric in rung.compare or ():
            if rung.parent_id and not self._reports(rung.parent_id, metric):
                raise LadderError(
                    f"{rung.id}: it is compared with {rung.parent_id} on {metric!r}, which that rung does not report"
                )

    def _with_comparison(self, rung: Rung) -> Rung:
        """Return a rung whose comparison with its parent is on metrics that the parent reports."""
        if rung.compare is not None or not rung.compared:
            return rung
        reported = {metric: "" for metric in rung.compared if self._reports(rung.parent_id, metric)}
        return replace(rung, compare=reported)

    def _reports(self, id: str, metric: str) -> bool:
        """Return whether a rung reports a metric, as far as its experiment declares that."""
        declared = declared_metrics(self._rungs[id].experiment)
        return declared is None or metric in declared

    def _sorted(self) -> list[str]:
        """Return the ids in climbing order: a depth-first topological sort, by number where several orders are possible."""
        order: list[str] = []
        path: list[str] = []

        def visit(id: str) -> None:
            if id in order:
                return
            if id in path:
                raise LadderError(
                    f"rungs form a cycle: {' → '.join([*path[path.index(id) :], id])}; remove one dependency"
                )
            path.append(id)
            for below in self._rungs[id].named:
                visit(below)
            order.append(path.pop())

        for id in self._rungs:
            visit(id)
        return order

    def _check_component(self, rung: Rung) -> None:
        """Check that the rung differs from its parent in exactly the component that it declares."""
        if not rung.parent_id:
            return
        try:
            changed = differences(self._rungs[rung.parent_id].experiment, rung.experiment)
        except TypeError as error:
            raise LadderError(
                f"{rung.id} on {rung.parent_id}: {error}; give both rungs the same object, or one whose == is True or False"
            ) from error
        if list(changed) == [rung.adds] or rung.role == "goal":
            return
        declaration = f"{rung.id} declares that it adds {rung.adds!r} to {rung.parent_id}"
        if not changed:
            raise LadderError(f"{declaration}, but the two experiments are the same")
        changes = ", ".join(f"{path} ({shortened(a)} → {shortened(b)})" for path, (a, b) in changed.items())
        if len(changed) == 1:
            raise LadderError(f"{declaration}, but they differ in {changes}; declare that component")
        raise LadderError(
            f"{declaration}, but they differ in {len(changed)} components: {changes}; put a rung between them"
        )
