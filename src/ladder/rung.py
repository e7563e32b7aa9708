"""Rungs and the ladder they form: frozen data, and the rule that a rung adds one component."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from ladder.criteria import Comparison, Criterion
from ladder.experiment import Experiment, changed, check_experiment, differences
from ladder.fields import check_fields
from ladder.values import shortened

VARIANT = re.compile(r"[\w+\-.,=]*")  # it stands in test ids, options and file names
SCALE = re.compile(r"(?!full$)\w*")  # that is what the option calls the one without a name


@dataclass(frozen=True, kw_only=True)
class Rung:
    """An experiment, the one component it adds to its parent, and what must be true of its learning curves.

    Attributes:
        number: Position on the ladder, from 1; with ``scale`` and ``variant`` it makes the id, ``rung3[mse]``, ``rung9@small``.
        name: What the rung is called, ``sphere``.
        experiment: What is trained.
        gates: Conditions that must hold, and could: a limit beyond its floor is refused. A rung without any is a goal row:
            reported, never red, and exempt from the one-component rule.
        goals: Conditions that are only reported.
        variant: Task or loss, where a rung comes in several.
        scale: Of a rung that comes in several sizes, the name of a smaller one; empty for the full one. Each has limits and
            evidence of its own, and one run climbs one of them.
        parent: Id of the rung it differs from in one component and is compared with; empty for a root.
        adds: Path of that component.
        requires: Ids of the rungs that block it unless they pass; by default a gated rung's parent.
        compare: Metrics of the paired comparison with the parent, each with what was published of it.
        control: Why it is expected to FAIL, and by whom; a control is green on FAIL alone and blocks nothing.
        each_gate_fails: Ask of a control that every gate fails by itself, not only all of them together.
        expects: Findings that the diagnosis of a control must come to, by name: it must fail, and for this reason.
        calibration: Id of the rung whose calibration tightens its limits; by default its own.
        claim: The sentence that the rung tests.

    Raises:
        ValueError: for a rung that is not well formed by itself; ``Ladder`` checks it against the others.
        TypeError: for an experiment that is not one.
    """

    number: int
    name: str
    experiment: Experiment
    gates: tuple[Criterion | Comparison, ...] = ()
    goals: tuple[Criterion | Comparison, ...] = ()
    variant: str = ""
    scale: str = ""
    parent: str = ""
    adds: str = ""
    requires: tuple[str, ...] | None = None
    compare: Mapping[str, str] = field(default_factory=dict)
    control: str = ""
    each_gate_fails: bool = False
    expects: tuple[str, ...] = ()
    calibration: str = ""
    claim: str = ""

    def __post_init__(self) -> None:
        for name in ("gates", "goals", "requires", "expects"):
            if isinstance(given := getattr(self, name), list):
                object.__setattr__(self, name, tuple(given))
        self._check_expected()
        if isinstance(self.parent, Rung):
            raise ValueError(f"{self.id}: parent={shortened(self.parent)}: give its id, {self.parent.id!r}")
        try:
            check_experiment(self.experiment)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{self.id}: {error}") from None
        check_fields(self, self.id)
        if self.number < 1:
            raise ValueError(f"rung number {self.number}: count from 1")
        if not VARIANT.fullmatch(self.variant):
            raise ValueError(f"{self.id}: variant {self.variant!r}: use letters, digits and + - . , = _")
        if not SCALE.fullmatch(self.scale):
            raise ValueError(
                f"{self.id}: scale {self.scale!r}: use letters, digits and _, and for the full one nothing"
            )
        if not self.gates and not self.goals:
            raise ValueError(f"{self.id}: give it at least one gate or goal")
        if self.control and not self.gates:
            raise ValueError(f"{self.id}: a control is a rung whose gates must fail; give it gates")
        if (self.each_gate_fails or self.expects) and not self.control:
            raise ValueError(
                f"{self.id}: each_gate_fails and expects are for controls; say in control= why it must fail"
            )
        if bool(self.parent) != bool(self.adds):
            raise ValueError(f"{self.id}: parent={self.parent!r}, adds={self.adds!r}; a rung has both or neither")
        if self.role == "gate" and self.parent and not self.compare:
            raise ValueError(
                f"{self.id}: say in compare= on which metrics it is compared with {self.parent}, such as "
                f"{{{self.headline.metric!r}: 'not published'}}"
            )
        for condition in (*self.gates, *self.goals):
            self._check(condition)
        for gate in self.criteria:
            self._check_floor(gate)
        for metric in self.compare:
            self._check_metric(f"the comparison of {metric!r} with {self.parent}", metric)

    def _check_expected(self) -> None:
        if not self.expects:
            return
        from ladder.findings import DETECTORS  # which knows rungs

        given: object = self.expects
        if not isinstance(given, tuple) or not all(name in DETECTORS for name in given):
            raise ValueError(
                f"{self.id}: expects={shortened(self.expects)}: give a tuple of names of findings, of {', '.join(DETECTORS)}"
            )

    def _check(self, condition: Criterion | Comparison) -> None:
        for metric in condition.metrics:
            self._check_metric(str(condition), metric)
        if isinstance(condition, Criterion) and condition.last_epoch > self.experiment.epochs:
            raise ValueError(
                f"{self.id}: {condition}: the experiment trains {self.experiment.epochs} epochs; ask for an earlier one"
            )

    def _check_floor(self, gate: Criterion) -> None:
        """Of a control too: one that fails where nothing could pass shows nothing."""
        if gate.floor is not None and gate.beyond_floor:
            raise ValueError(
                f"{self.id}: gate {gate}: its limit of {gate.limit:.4g} ({gate.source}) lies beyond the floor of "
                f"{gate.floor:.4g} ({gate.floor_source}), which no model gets past; ask for no more than the floor, "
                "make it a goal, or correct the floor where models did get past it"
            )

    def _check_metric(self, what: str, metric: str) -> None:
        if metric not in self.experiment.metrics:
            known = ", ".join(self.experiment.metrics)
            raise ValueError(f"{self.id}: {what}: the experiment reports no {metric!r}; it reports {known}")

    @property
    def id(self) -> str:
        """``rung3`` or, of a variant, ``rung3[mse]``; of a smaller scale ``rung3@small[mse]``."""
        sized = f"{self.marker}@{self.scale}" if self.scale else self.marker
        return f"{sized}[{self.variant}]" if self.variant else sized

    @property
    def marker(self) -> str:
        """The pytest marker that selects every variant of it, at whatever scale is climbed."""
        return f"rung{self.number}"

    @property
    def role(self) -> str:
        """``gate``, ``goal`` or ``control``."""
        if self.control:
            return "control"
        return "gate" if self.gates else "goal"

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """The gates that are asked of every seed."""
        return tuple(gate for gate in self.gates if isinstance(gate, Criterion))

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """The gates that are asked of all pairs together."""
        return tuple(gate for gate in self.gates if isinstance(gate, Comparison))

    @property
    def headline(self) -> Criterion | Comparison:
        """The condition whose metric stands for the rung in one line."""
        return (*self.gates, *self.goals)[0]

    @property
    def required(self) -> tuple[str, ...]:
        """Ids of the rungs that block it."""
        if self.requires is not None:
            return self.requires
        return (self.parent,) if self.parent and self.role == "gate" else ()

    @property
    def partners(self) -> tuple[str, ...]:
        """Ids of the rungs whose curves it is compared with, in order, each once."""
        parent = [self.parent] if self.parent and self.compare else []
        compared = [c.against for c in (*self.gates, *self.goals) if isinstance(c, Comparison)]
        return tuple(dict.fromkeys((*parent, *compared)))

    def as_control(
        self,
        *,
        why: str,
        gates: tuple[Criterion | Comparison, ...] = (),
        goals: tuple[Criterion | Comparison, ...] = (),
        label: str = "",
        each_gate_fails: bool = True,
        expects: tuple[str, ...] = (),
        **change: Any,
    ) -> "Rung":
        """A control of this rung: the same experiment but for one changed component, expected to fail.

        Args:
            why: Why it must fail, and by whom.
            gates: The gates that it must fail; by default all of the rung's.
            goals: What is reported of it besides.
            label: What its variant is called; by default after the change, ``learning_rate=0.0``.
            each_gate_fails: Whether it must fail every gate by itself, or only all of them together.
            expects: Findings that it must fail for, by name.
            change: The component and its value; of a nested one by path, ``**{"model.dim": 4}``.

        Raises:
            ValueError: unless exactly one component is given.
        """
        if len(change) != 1:
            raise ValueError(f"{self.id}: a control changes one component, not {sorted(change) or 'none'}")
        ((component, value),) = change.items()
        label = label or f"{component}={value}"
        return replace(
            self,
            experiment=changed(self.experiment, component, value),
            gates=gates or self.gates,
            goals=goals,
            variant=f"{self.variant},{label}" if self.variant else label,
            parent=self.id,
            adds=component,
            requires=(),
            compare={},
            control=why,
            each_gate_fails=each_gate_fails,
            expects=expects,
            calibration=self.calibration or self.id,
        )

    @property
    def named(self) -> tuple[str, ...]:
        """Ids of every other rung it names, each once."""
        return tuple(dict.fromkeys(filter(None, (self.parent, *self.required, *self.partners))))

    def __str__(self) -> str:
        return self.id


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
        """The number of rungs that could be named as culprit by a run that climbs this scale."""
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
        """The given rungs and all that they require, in climbing order."""
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
            if rung.parent and metric not in self._rungs[rung.parent].experiment.metrics:
                raise LadderError(
                    f"{rung.id}: it is compared with {rung.parent} on {metric!r}, which that rung does not report"
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
        if not rung.parent:
            return
        try:
            found = differences(self._rungs[rung.parent].experiment, rung.experiment)
        except TypeError as error:
            raise LadderError(
                f"{rung.id} on {rung.parent}: {error}; give both rungs the same object, or one whose == is True or False"
            ) from error
        if list(found) == [rung.adds] or rung.role == "goal":
            return
        said = f"{rung.id} declares that it adds {rung.adds!r} to {rung.parent}"
        if not found:
            raise LadderError(f"{said}, but the two experiments are the same: it adds nothing")
        changes = ", ".join(f"{path} ({shortened(a)} → {shortened(b)})" for path, (a, b) in found.items())
        if len(found) == 1:
            raise LadderError(f"{said}, but what differs is {changes}; declare that")
        raise LadderError(f"{said}, but they differ in {len(found)} components: {changes}; put a rung between them")
