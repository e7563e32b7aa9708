"""A rung: an experiment, the one component it adds to its parent, and what must be true of its learning curves."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from ladder.declare.causes import CAUSES, is_own_finding
from ladder.declare.criteria import Comparison, Criterion, rung_id
from ladder.declare.experiment import Experiment, changed, check_experiment, declared_metrics
from ladder.declare.fields import check_argument, check_fields
from ladder.declare.values import equal, shortened

VARIANT = re.compile(r"[\w+\-.,=]*")  # it stands in test ids, options and file names
LADDER = re.compile(r"[\w+\-.]*")
SCALE = re.compile(r"(?!full$)\w*")  # that is what the option calls the one without a name


@dataclass(frozen=True)
class Control:
    """A rung's being expected to FAIL: it is green on FAIL alone, and blocks nothing.

    Attributes:
        why: Why it must fail, and by whom this was found.
        each_gate_fails: Ask that every gate fails by itself, not only all of them together.
        expects: Names of the findings that its diagnosis must come to: it must fail, and for this reason. A name with a dot is
            that of a finding of your own.

    Raises:
        ValueError: for no reason, or a finding of an unknown name.
    """

    why: str
    each_gate_fails: bool = True
    expects: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _make_tuples(self, "expects")
        check_fields(self)
        if not self.why.strip():
            raise ValueError("Control(why=''): say why it must fail")
        if not all(name in CAUSES or is_own_finding(name) for name in self.expects):
            raise ValueError(
                f"Control(expects={shortened(self.expects)}): give names of findings, of {', '.join(CAUSES)}"
            )


def _make_tuples(configuration: object, *names: str) -> None:
    """Replace lists, and single entries, by tuples, for users write either."""
    for name in names:
        given = getattr(configuration, name)
        if isinstance(given, list):
            object.__setattr__(configuration, name, tuple(given))
        elif isinstance(given, Criterion | Comparison | Rung | str):
            object.__setattr__(configuration, name, (given,))


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
        parent: The rung it differs from in one component and is compared with, or its id; empty for a root.
        adds: Path of that component.
        requires: The rungs, or their ids, that block it unless they pass; by default a gated rung's parent.
        compare: Metrics of the paired comparison with the parent, each with what was published of it, or their names alone; by
            default the metrics of a gated rung's gates, as far as the parent reports them.
        control: Why it is expected to FAIL; None for a rung that is not a control.
        calibration: Id of the rung whose calibration tightens its limits; by default its own.
        ladder: The name of its ladder, with which its id begins, ``vision/rung3[mse]``; empty where a repository has one ladder.
            Rungs that it names without a ladder are of its own. Rungs in a folder of the ini setting ``ladder_folders`` have the
            name of that folder.
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
    parent: "Rung | str" = ""
    adds: str = ""
    requires: "tuple[Rung | str, ...] | None" = None
    compare: Mapping[str, str] | tuple[str, ...] | None = None
    control: Control | None = None
    calibration: str = ""
    claim: str = ""
    ladder: str = ""

    def __post_init__(self) -> None:
        _make_tuples(self, "gates", "goals", "requires")
        self._check_id()
        self._name_by_id()
        self._name_compared()
        try:
            check_experiment(self.experiment)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{self.id}: {error}") from None
        check_fields(self, self.id)
        if self.number < 1:
            raise ValueError(f"rung number {self.number}: count from 1")
        if not self.gates and not self.goals:
            raise ValueError(f"{self.id}: give it at least one gate or goal")
        if self.control and not self.gates:
            raise ValueError(f"{self.id}: a control is a rung whose gates must fail; give it gates")
        if bool(self.parent) != bool(self.adds):
            raise ValueError(f"{self.id}: parent={self.parent_id!r}, adds={self.adds!r}; a rung has both or neither")
        for condition in (*self.gates, *self.goals):
            self._check(condition)
        for gate in self.criteria:
            self._check_floor(gate)
        for metric in self.compare or ():
            self._check_metric(f"the comparison of {metric!r} with {self.parent_id}", metric)

    def _name_by_id(self) -> None:
        """Replace rungs by their ids, all on this ladder, and keep the rungs for the ladder to compare with its own."""
        required = self.requires if isinstance(self.requires, tuple) else ()
        named = [rung for rung in (self.parent, *required) if isinstance(rung, Rung)]
        object.__setattr__(self, "_named_rungs", tuple(rung.on_ladder(self.ladder) for rung in named))
        object.__setattr__(self, "parent", self._on_ladder(self.parent))
        object.__setattr__(self, "calibration", self._on_ladder(self.calibration))
        if isinstance(self.requires, tuple):
            object.__setattr__(self, "requires", tuple(map(self._on_ladder, self.requires)))
        for name in ("gates", "goals"):
            if isinstance(given := getattr(self, name), tuple):
                conditions = [
                    replace(each, against=self._on_ladder(each.against)) if isinstance(each, Comparison) else each
                    for each in given
                ]
                object.__setattr__(self, name, tuple(conditions))

    def _on_ladder(self, rung: Any) -> Any:
        """Return the id of a rung, on this ladder unless it is on another one; anything but a rung or an id as it is."""
        id = rung.id if isinstance(rung, Rung) else rung
        is_elsewhere = not isinstance(id, str) or not id or "/" in id
        return id if is_elsewhere or not self.ladder else f"{self.ladder}/{id}"

    def on_ladder(self, name: str) -> "Rung":
        """Return the same rung on a ladder with this name, unless it is on another one."""
        if self.ladder or not name:
            return self
        named = replace(self, ladder=name)
        object.__setattr__(named, "_named_rungs", tuple(rung.on_ladder(name) for rung in self.named_rungs))
        return named

    def _name_compared(self) -> None:
        """Replace a list of metrics by a mapping without published values."""
        given: object = self.compare
        if isinstance(given, str):
            raise ValueError(
                f"{self.id}: compare={given!r}: give a tuple of metrics, such as {(given,)!r}, or a dict with published values"
            )
        if isinstance(given, tuple | list) and all(isinstance(name, str) for name in given):
            object.__setattr__(self, "compare", dict.fromkeys(given, ""))

    @property
    def named_rungs(self) -> "tuple[Rung, ...]":
        """The rungs that it was given by themselves, not by their ids."""
        rungs: tuple[Rung, ...] = self.__dict__["_named_rungs"]
        return rungs

    def _check_id(self) -> None:
        """Check what the id is made of, before a message begins with it."""
        for name, annotation in (("number", int), ("variant", str), ("scale", str), ("ladder", str)):
            check_argument("Rung", name, getattr(self, name), annotation)
        id = self.id if self.id.isprintable() else f"rung{self.number}"
        if not VARIANT.fullmatch(self.variant):
            raise ValueError(f"{id}: variant {self.variant!r}: use letters, digits and + - . , = _")
        if not LADDER.fullmatch(self.ladder):
            raise ValueError(f"{id}: ladder {self.ladder!r}: use letters, digits and + - . _")
        if not SCALE.fullmatch(self.scale):
            raise ValueError(f"{id}: scale {self.scale!r}: use letters, digits and _, and for the full one nothing")

    def _check(self, condition: Criterion | Comparison) -> None:
        for metric in condition.metrics:
            self._check_metric(str(condition), metric)
        if isinstance(condition, Criterion) and condition.last_epoch > self.experiment.epochs:
            raise ValueError(
                f"{self.id}: {condition}: the experiment trains {self.experiment.epochs} epochs; ask for an earlier one"
            )

    def _check_floor(self, gate: Criterion) -> None:
        """Check a gate against its floor, of a control too: one that fails where nothing could pass shows nothing."""
        if gate.floor is not None and gate.beyond_floor:
            raise ValueError(
                f"{self.id}: gate {gate}: its limit of {gate.limit:.4g} ({gate.source}) lies beyond the floor of "
                f"{gate.floor.value:.4g} ({gate.floor.source}), which no model gets past; ask for no more than the floor, "
                "make it a goal, or correct the floor where models did get past it"
            )

    def _check_metric(self, what: str, metric: str) -> None:
        if (known := declared_metrics(self.experiment)) is not None and metric not in known:
            raise ValueError(f"{self.id}: {what}: the experiment reports no {metric!r}; it reports {', '.join(known)}")

    @property
    def id(self) -> str:
        """``rung3`` or, of a variant, ``rung3[mse]``; of a smaller scale ``rung3@small[mse]``; of a ladder ``vision/rung3``."""
        sized = f"{self.marker}@{self.scale}" if self.scale else self.marker
        named = f"{self.ladder}/{sized}" if self.ladder else sized
        return f"{named}[{self.variant}]" if self.variant else named

    @property
    def place(self) -> tuple[str, int]:
        """Its ladder and its number, which its scales and variants share."""
        return self.ladder, self.number

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
        """The gates that each seed meets or not."""
        return tuple(gate for gate in self.gates if isinstance(gate, Criterion))

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """The gates that compare all pairs of seeds."""
        return tuple(gate for gate in self.gates if isinstance(gate, Comparison))

    @property
    def expected_findings(self) -> tuple[str, ...]:
        """Names of the findings that the diagnosis of a control must come to."""
        return self.control.expects if self.control else ()

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of its own that its conditions and the comparison with its parent name, each once."""
        named = [metric for condition in (*self.gates, *self.goals) for metric in condition.metrics]
        return tuple(dict.fromkeys((*named, *self.compared)))

    @property
    def compared(self) -> Mapping[str, str]:
        """The metrics of the paired comparison with its parent, each with what was published of it."""
        if isinstance(self.compare, Mapping):
            return self.compare
        gated = [metric for gate in self.gates for metric in gate.metrics]
        return dict.fromkeys(gated, "") if self.parent and self.role == "gate" else {}

    @property
    def without_source(self) -> list[str]:
        """The conditions without a source, and the comparison with its parent if nothing says what was published."""
        missing = [str(condition) for condition in (*self.gates, *self.goals) if not condition.source.strip()]
        published = " ".join(self.compared.values())
        if self.parent and self.role == "gate" and not published.strip():
            missing.append(f"the comparison with {self.parent_id} (compare=)")
        return missing

    @property
    def headline(self) -> Criterion | Comparison:
        """The condition whose metric stands for the rung in one line."""
        return (*self.gates, *self.goals)[0]

    @property
    def required(self) -> tuple[str, ...]:
        """Ids of the rungs that block it."""
        if self.requires is not None:
            return tuple(map(rung_id, self.requires))
        return (self.parent_id,) if self.parent and self.role == "gate" else ()

    @property
    def partners(self) -> tuple[str, ...]:
        """Ids of the rungs whose curves it is compared with, in order, each once."""
        parent = [self.parent_id] if self.parent and self.compared else []
        compared = [c.against for c in (*self.gates, *self.goals) if isinstance(c, Comparison)]
        return tuple(dict.fromkeys((*parent, *compared)))

    def compared_with(self, id: str) -> tuple[str, ...]:
        """Return the metrics on which it is compared with another rung."""
        compared = [c.metric for c in (*self.gates, *self.goals) if isinstance(c, Comparison) and c.against == id]
        return tuple(dict.fromkeys((*compared, *(self.compared if id == self.parent_id else ()))))

    def as_control(
        self,
        control: Control,
        /,
        *,
        gates: tuple[Criterion | Comparison, ...] = (),
        goals: tuple[Criterion | Comparison, ...] = (),
        label: str = "",
        **change: Any,
    ) -> "Rung":
        """Return a control of this rung: the same experiment but for one changed component, expected to fail.

        Args:
            control: Why it must fail.
            gates: The gates that it must fail; by default all of the rung's.
            goals: What is reported of it besides.
            label: What its variant is called; by default after the change, ``learning_rate=0.0``.
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
            parent=self,
            adds=component,
            requires=(),
            compare={},
            control=control,
            calibration=self.calibration or self.id,
        )

    @property
    def parent_id(self) -> str:
        """The id of the rung it differs from in one component; empty for a root."""
        return rung_id(self.parent)

    @property
    def named(self) -> tuple[str, ...]:
        """Ids of every other rung it names, each once."""
        return tuple(dict.fromkeys(filter(None, (self.parent_id, *self.required, *self.partners))))

    # An experiment may hold arrays, whose == is not True or False and which have no hash.

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rung):
            return NotImplemented
        return all(equal(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))

    def __hash__(self) -> int:
        return hash(self.id)

    def __str__(self) -> str:
        return self.id
