"""What a rung and a ladder refuse, and the order in which a ladder stands."""

from contextlib import nullcontext
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from toys import SOURCE, Coin

from ladder import Control, Floor, Ladder, LadderError, Rung, above, below, better_than, falls
from ladder.declare.experiment import changed, components, differences
from ladder.evidence.fingerprint import fingerprint
from ladder.judge.calibration import Calibration, save, tightened

LEARNS = below("loss", 0.5, by=3, source=SOURCE)
ROOT = Rung(number=1, name="root", experiment=Coin(), gates=(LEARNS,))


def on_root(number=2, **change):
    """Return a gated rung that differs from the root in its shift, unless ``change`` says otherwise."""
    told = {
        "name": "shifted",
        "experiment": Coin(shift=0.1),
        "gates": (LEARNS,),
        "parent": "rung1",
        "adds": "shift",
        "compare": {"loss": "not published"},
    }
    return Rung(number=number, **(told | change))


@dataclass(frozen=True)
class Layer:
    """A component of two fields."""

    width: int = 4
    depth: int = 1


@dataclass(frozen=True)
class Wide:
    """Another component in its place."""

    width: int = 4


@dataclass(frozen=True, kw_only=True)
class Nest(Coin):
    """An experiment with a component that has components."""

    layer: Layer | Wide = field(default_factory=Layer)


@pytest.mark.ill_typed
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"number": 0}, "count from 1"),
        ({"variant": "a[b]"}, r"variant 'a\[b\]': use letters"),
        ({"variant": "a/b"}, "variant 'a/b': use letters"),
        ({"scale": "half-size"}, "rung1@half-size: scale 'half-size': use letters, digits and _"),
        ({"scale": "a[b]"}, r"scale 'a\[b\]': use letters"),
        ({"scale": "@small"}, "scale '@small': use letters"),
        ({"gates": (below("mse", 0.5, by=3, source=SOURCE),)}, "mse < 0.5 by epoch 3: the experiment reports no 'mse'"),
        ({"goals": (better_than("rung1", "mse", source=SOURCE),)}, "the experiment reports no 'mse'; it reports loss"),
        ({"compare": {"mse": ""}, "parent": "rung1", "adds": "p"}, "the experiment reports no 'mse'"),
        ({"gates": (below("loss", 0.5, by=4, source=SOURCE),)}, "the experiment trains 3 epochs"),
        ({"goals": (falls("loss", 0.5, by=4, source=SOURCE),)}, "the experiment trains 3 epochs"),
        ({"gates": ()}, "at least one gate or goal"),
        ({"gates": (), "goals": (LEARNS,), "control": Control("must fail")}, "give it gates"),
        ({"control": "must fail"}, r"rung1: control='must fail': give Control\(...\) or None$"),
        ({"scale": "full"}, "scale 'full': use letters, digits and _, and for the full one nothing"),
        ({"parent": "rung1"}, "a rung has both or neither"),
        ({"adds": "shift"}, "a rung has both or neither"),
        ({"parent": 1, "adds": "shift"}, r"rung1: parent=1: give Rung\(...\) or a string$"),
        ({"compare": "loss"}, r"rung1: compare='loss': give a tuple of metrics, such as \('loss',\), or a dict"),
        ({"compare": (1,)}, r"rung1: compare=\(1,\): give a dict, from a string to a string or a tuple, each entry"),
        ({"compare": {"loss": 0.1}}, r"rung1: compare=\{'loss': 0.1\}: give a dict"),
        ({"gates": 3}, "rung1: gates=3: give a tuple, each entry Criterion"),
        ({"gates": "loss"}, r"rung1: gates=\('loss',\): give a tuple, each entry Criterion"),
        ({"requires": 3}, r"rung1: requires=3: give a tuple, each entry Rung\(...\) or a string or None$"),
        ({"number": "1"}, "Rung: number='1': give a whole number$"),
        ({"name": None}, "rung1: name=None: give a string$"),
    ],
)
def test_invalid_rung(change, message):
    """A rung with an invalid field raises an error that names it."""
    with pytest.raises(ValueError, match=message):
        Rung(**({"number": 1, "name": "x", "experiment": Coin(), "gates": (LEARNS,)} | change))


@pytest.mark.ill_typed
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"why": " "}, "say why it must fail"),
        ({"expects": ("game",)}, r"expects=\('game',\)\): give names of findings, of raised, non-finite, never-moves"),
        ({"expects": 3}, r"Control\(expects=3\): give a tuple, each entry a string"),
        ({"each_gate_fails": "no"}, r"Control\(each_gate_fails='no'\): give True or False"),
    ],
)
def test_control(change, message):
    """A control says why it must fail, and expects findings that there are."""
    with pytest.raises(ValueError, match=message):
        Control(**({"why": "must fail"} | change))


def test_rung_references():
    """A rung names another by itself as well as by its id."""
    by_id = on_root(requires=("rung1",), gates=(LEARNS, better_than("rung1", "loss", source=SOURCE)))
    by_itself = replace(by_id, parent=ROOT, requires=[ROOT], gates=(LEARNS, better_than(ROOT, "loss", source=SOURCE)))
    for rung in (by_id, by_itself):
        assert (rung.parent_id, rung.required, rung.partners, rung.named) == ("rung1", *[("rung1",)] * 3)
        assert list(Ladder([ROOT, rung])) == ["rung1", "rung2"]


def test_another_rung_of_that_id():
    """A rung is refused if it names a rung by itself whose experiment is not that of the ladder's rung of this id."""
    other = replace(ROOT, experiment=Coin(p=0.5))
    for change in ({"parent": other}, {"parent": "rung1", "requires": (other,)}):
        with pytest.raises(
            LadderError, match="rung2 was given a rung1 whose experiment is not that of the ladder's rung1"
        ):
            Ladder([ROOT, on_root(**change)])
    Ladder([ROOT, on_root(parent=replace(ROOT))])


def test_long_chain():
    """A rung's repr and equality do not grow with the rungs that it names."""
    chain = [ROOT]
    for number in range(2, 40):
        chain.append(on_root(number, parent=chain[-1], requires=[chain[-1]], experiment=Coin(shift=0.1 * number)))
    assert len(repr(chain[-1])) < 2000
    assert chain[-1] == replace(chain[-1])
    assert chain[-1] != chain[-2]


def test_hash():
    """Rungs are hashable, whatever their experiments hold, and equal ones have one hash."""
    rung = replace(ROOT, number=2, experiment=Nest(layer=Layer(width=np.arange(3))))
    again = replace(ROOT, number=2, experiment=Nest(layer=Layer(width=np.arange(3))))
    assert len({rung, again, ROOT, replace(ROOT)}) == 2
    assert rung != replace(rung, experiment=Nest(layer=Layer(width=np.arange(4))))


@pytest.mark.parametrize(("make", "limit", "floor"), [(below, 0.5, 0.6), (falls, 0.1, 0.2), (above, 0.9, 0.8)])
@pytest.mark.parametrize("control", [None, Control("must fail")])
def test_gate_beyond_its_floor(make, limit, floor, control):
    """A gate whose limit lies beyond its floor raises an error, and such a goal is allowed."""
    within, beyond = (
        make("loss", limit, by=3, source="table 2", floor=Floor(at, "theorem 1")) for at in (limit, floor)
    )
    told = rf"rung1: gate loss .* by epoch 3: its limit of {limit} \(table 2\) lies beyond the floor of {floor} \(theorem 1\)"
    with pytest.raises(ValueError, match=f"{told}.*no more than the floor, make it a goal, or correct the floor"):
        replace(ROOT, gates=(LEARNS, beyond), control=control)
    rung = replace(ROOT, gates=(LEARNS, within), goals=(beyond,), control=control)
    assert rung.goals == (beyond,)


@pytest.mark.parametrize(("measured", "refused"), [(0.3, False), (0.1, True)])
def test_calibration_beyond_the_floor(measured, refused, tmp_path):
    """Its seeds got past what none can: the floor is wrong."""
    gate = below("loss", 0.5, by=3, source=SOURCE, calibrated=True, floor=Floor(0.2, "theorem 1"))
    rung, values = replace(ROOT, gates=(gate,)), {gate.key: measured}
    save(Calibration("rung1", 59, values, values, fingerprint(rung.experiment), "2026-11-22T09:54:37+00:00"), tmp_path)
    told = "rung1: gate .* its limit of 0.1 .calibration of 2026-11-22: worst of 59 seeds .*beyond the floor of 0.2 .theorem 1"
    with pytest.raises(ValueError, match=told) if refused else nullcontext():
        assert tightened(rung, tmp_path).gates[0].limit == measured


@dataclass
class Thawed:
    """An experiment that could change under the ladder."""

    epochs: int = 3
    metrics = ("loss",)
    init = epoch = print


@pytest.mark.ill_typed
def test_lists():
    """Lists are accepted in place of tuples."""
    assert replace(ROOT, gates=[LEARNS], goals=[LEARNS], requires=[]) == replace(
        ROOT, gates=(LEARNS,), goals=(LEARNS,), requires=()
    )


@dataclass(frozen=True, kw_only=True)
class Says:
    """An experiment that declares these epochs and metrics, and has a component."""

    epochs: object = 3
    metrics: object = ("loss",)
    part: object = None

    def init(self, key):
        """Nothing."""

    def epoch(self, state, key):
        """Nothing."""


def with_a_circle():
    circle = [1]
    circle.append({"it": (circle,)})
    return circle


@pytest.mark.parametrize(
    ("change", "message"),
    [
        *(
            ({"epochs": epochs}, f"epochs={shown}: give a whole number from 1 to 1000000")
            for epochs, shown in [
                (0, "0"),
                (-1, "-1"),
                (3.0, "3.0"),
                (True, "True"),
                (None, "None"),
                ("3", "'3'"),
                (10**12, "1000000000000"),
            ]
        ),
        ({"metrics": "loss"}, "metrics='loss': give a tuple of names, such as ('loss',)"),
        *(
            ({"metrics": metrics}, f"metrics={metrics}: give a tuple of names, such as ('loss',)")
            for metrics in ((), None, {"loss": 1})
        ),
        ({"metrics": ("loss", "mse", "loss")}, "('loss', 'mse', 'loss'): 'loss' occurs twice; name each metric once"),
        *(
            (
                {"metrics": ("loss", name)},
                f"{name!r} cannot be the name of a metric or trace; give a string of printable",
            )
            for name in (1, "", " loss", "lo\nss", "\x1b[31m", "\u202eloss", ("mse",))
        ),
        ({"part": with_a_circle()}, "component 'part' contains itself, or is nested more than 100 levels deep"),
    ],
)
def test_untrainable_experiment(change, message):
    """An experiment with invalid epochs, metrics or components raises an error of its rung."""
    with pytest.raises(ValueError) as refused:  # noqa: PT011  # the whole sentence is compared below
        Rung(number=7, name="x", experiment=Says(**change), gates=(LEARNS,))
    said = str(refused.value)
    assert said.startswith("rung7: ")
    assert message in said
    assert "\n" not in said
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("metrics", [["loss"], ("loss", "val loss"), ("loss", "val/Größe")])
def test_metric_names(metrics):
    """Metrics may be a list, and their names may consist of any printable characters."""
    rung = Rung(number=1, name="x", experiment=Says(metrics=metrics, epochs=np.int64(3)), gates=(LEARNS,))
    assert rung.experiment.metrics == metrics


@dataclass(frozen=True)
class Forgets(Coin):
    """An epoch that takes no key."""

    def epoch(self, state):
        """Return the state alone."""
        return state


@dataclass(frozen=True)
class Hides:
    """Called like one of the methods, which therefore is none."""

    init: str = "zeros"
    epochs: int = 3
    metrics = ("loss",)
    epoch = print


@dataclass(frozen=True)
class Unset:
    """A component without a value."""

    part: int = field(init=False)
    epochs: int = 3
    metrics = ("loss",)
    init = epoch = print


@dataclass(frozen=True)
class NoMethod:
    """Has a number for a method."""

    epochs: int = 3
    metrics = ("loss",)
    init = print
    epoch = 5


@pytest.mark.parametrize(
    ("experiment", "message"),
    [
        (
            Forgets(),
            r"rung1: Forgets.epoch\(state\) cannot be called as epoch\(state, key\); let it take these arguments",
        ),
        (Hides(), r"rung1: component 'init' hides the method init\(\); give the component another name"),
        (Unset(), "rung1: component 'part' has no value; give it a default or set it in __post_init__"),
        (NoMethod(), r"rung1: epoch=5: make it a method, epoch\(state, key\)"),
    ],
)
def test_invalid_component(experiment, message):
    """A component that has no value or hides a method raises an error."""
    with pytest.raises(ValueError, match=message):
        replace(ROOT, experiment=experiment)


@pytest.mark.ill_typed
@pytest.mark.parametrize("experiment", [object(), Coin, Layer(), Thawed()])
def test_invalid_experiment(experiment):
    """An object that is not a frozen dataclass with init and epoch raises an error."""
    with pytest.raises(TypeError, match=r"rung1: .*(is not an (experiment|instance of a frozen dataclass)|is a class)"):
        Rung(number=1, name="x", experiment=experiment, gates=(LEARNS,))


@pytest.mark.parametrize(
    ("rungs", "message"),
    [
        ([ROOT, on_root(experiment=Coin())], "adds 'shift' to rung1, but the two experiments are the same"),
        (
            [ROOT, on_root(experiment=Coin(shift=0.1, p=0.9))],
            r"differ in 2 components: p \(1.0 → 0.9\), shift \(0.0 → 0.1\); put a rung between them",
        ),
        ([ROOT, on_root(adds="p")], r"declares that it adds 'p' to rung1, but they differ in shift"),
        ([ROOT, on_root(experiment=Nest())], "but they differ in experiment"),
        ([on_root()], "rung2: unknown rung1; known rungs: rung2"),
        ([ROOT, on_root(requires=("rung7",))], "rung2: unknown rung7"),
        ([ROOT, on_root(gates=(LEARNS, better_than("rung5", "loss", source=SOURCE)))], "rung2: unknown rung5"),
        ([ROOT, ROOT], "rung1 is declared twice"),
        ([replace(ROOT, requires=("rung2",)), on_root()], "rungs form a cycle: rung1 → rung2 → rung1"),
        ([replace(ROOT, requires=("rung1",))], "rungs form a cycle: rung1 → rung1"),
        (
            [ROOT, replace(ROOT, number=2, control=Control("must fail")), on_root(3, requires=("rung2",))],
            "rung3 requires rung2, which is a control row and cannot pass",
        ),
        (
            [ROOT, replace(ROOT, number=2, gates=(), goals=(LEARNS,)), on_root(3, requires=("rung2",))],
            "rung3 requires rung2, which is a goal row and cannot pass",
        ),
    ],
)
def test_invalid_ladder(rungs, message):
    """Rungs that do not form a ladder raise an error that names the rungs."""
    with pytest.raises(LadderError, match=message):
        Ladder(rungs)


@dataclass(frozen=True, kw_only=True)
class Scored(Coin):
    """Reports a score beside the loss."""

    @property
    def metrics(self):
        """Both."""
        return ("loss", "score")


def test_comparison_on_a_missing_metric():
    """A comparison on a metric that the other rung does not report raises an error."""
    scored = Rung(number=2, name="scored", experiment=Scored(), gates=(better_than("rung1", "score", source=SOURCE),))
    with pytest.raises(LadderError, match="rung1 does not report 'score'"):
        Ladder([ROOT, scored])
    goal = replace(scored, gates=(), goals=(LEARNS,), parent="rung1", adds="score", compare={"score": ""})
    with pytest.raises(LadderError, match="on 'score', which that rung does not report"):
        Ladder([ROOT, goal])


def test_goal_with_several_changes():
    """A goal rung may change several components at once."""
    recipe = on_root(experiment=Coin(shift=0.1, p=0.9), gates=(), goals=(LEARNS,), adds="recipe")
    assert list(Ladder([ROOT, recipe])) == ["rung1", "rung2"]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (Coin(), Coin(), {}),
        (Coin(), Coin(p=0.5, shift=1.0), {"p": (1.0, 0.5), "shift": (0.0, 1.0)}),
        (Coin(), Nest(), {"experiment": ("Coin", "Nest")}),
        (Nest(), Nest(layer=Layer(width=8)), {"layer.width": (4, 8)}),
        (Nest(), Nest(layer=Layer(8, 2)), {"layer.width": (4, 8), "layer.depth": (1, 2)}),
        (Nest(), Nest(layer=Wide()), {"layer": (Layer(), Wide())}),
        (Nest(), Nest(layer=Wide(8)), {"layer": (Layer(), Wide(8)), "layer.width": (4, 8)}),
        (Coin(), Nest(p=0.5), {"experiment": ("Coin", "Nest"), "p": (1.0, 0.5)}),
        (Coin(p=np.zeros(2)), Coin(p=np.zeros(2)), {}),
        (Coin(p=(np.zeros(2), {"x": [np.ones(3)]})), Coin(p=(np.zeros(2), {"x": [np.ones(3)]})), {}),
        (Coin(p=float("nan")), Coin(p=float("nan")), {}),
    ],
)
def test_differences(one, other, expected):
    """Differences are listed by component and field by field in nested components."""
    assert differences(one, other) == expected


@dataclass(frozen=True, kw_only=True)
class Trains(Coin):
    """A coin with a data set, and a layer."""

    data: object = None
    layer: Layer = field(default_factory=Layer)


class Ambiguous:
    """Compares its elements."""

    def __eq__(self, other):
        return [True]

    __hash__ = None


def data(value):
    return {"train": (np.full((1000, 5), value, np.float32), [np.arange(3)]), "seeds": {1, 2}}


def test_data_set_component():
    """A data set is compared like any component and is described by its shape and dtype."""
    root = replace(ROOT, experiment=Trains(data=data(0.0)))
    assert len(Ladder([root, on_root(experiment=Trains(data=data(0.0), shift=0.1))])) == 2
    assert len(Ladder([root, on_root(experiment=Trains(data=data(1.0)), adds="data")])) == 2
    told = "{'train': (float32[1000, 5], [int64[3]]), 'seeds': set(1, 2)}"
    with pytest.raises(LadderError) as refused:
        Ladder([root, on_root(experiment=Trains(data=data(1.0)))])
    assert f"but they differ in data ({told} → {told}); declare that component" in str(refused.value)


@pytest.mark.parametrize("change", [{}, {"gates": (), "goals": (LEARNS,)}], ids=["gate", "goal"])
def test_incomparable_components(change):
    """Components that cannot be compared raise an error that names them."""
    root, other = (Trains(layer=Layer(width=[Ambiguous()])) for _ in range(2))
    with pytest.raises(LadderError) as refused:
        Ladder([replace(ROOT, experiment=root), on_root(experiment=other, **change)])
    said = str(refused.value)
    assert said.startswith("rung2 on rung1: component 'layer.width' cannot be compared: ")
    assert said.endswith("give both rungs the same object, or one whose == is True or False")
    same = replace(other, layer=root.layer, shift=0.1)
    assert len(Ladder([replace(ROOT, experiment=root), on_root(experiment=same, **change)])) == 2


def test_components():
    """Components are listed by their dotted paths."""
    assert components(Nest(layer=Layer(8))) == {
        "p": 1.0,
        "shift": 0.0,
        "epochs": 3,
        "layer": Layer(8),
        "layer.width": 8,
        "layer.depth": 1,
    }


@pytest.mark.parametrize(
    ("component", "value", "expected"),
    [
        ("p", 0.5, Nest(p=0.5)),
        ("layer", Wide(8), Nest(layer=Wide(8))),
        ("layer.depth", 2, Nest(layer=Layer(depth=2))),
    ],
)
def test_changed(component, value, expected):
    """One component is changed by its path, and the original remains unchanged."""
    nest = Nest()
    assert changed(nest, component, value) == expected
    assert nest == Nest()
    assert component in differences(nest, expected)


def test_nested_component():
    """A nested field may be the one component that a rung adds."""
    root = replace(ROOT, experiment=Nest())
    deeper = on_root(experiment=Nest(layer=Layer(depth=2)), adds="layer.depth")
    assert len(Ladder([root, deeper])) == 2


def test_ids_markers_and_roles():
    """A rung has an id with its variant, a marker without it, and the role of a gate, goal or control."""
    variant = replace(ROOT, variant="mse")
    assert [ROOT.id, variant.id, variant.marker, str(variant)] == ["rung1", "rung1[mse]", "rung1", "rung1[mse]"]
    goal, control = replace(ROOT, gates=(), goals=(LEARNS,)), replace(ROOT, control=Control("must fail"))
    assert [rung.role for rung in (ROOT, goal, control)] == ["gate", "goal", "control"]
    assert Ladder([ROOT, replace(goal, number=2), replace(control, number=3)]).gate_count("") == 1


def test_scale_in_the_id():
    """The scale is in the id before the variant, and the marker is without it."""
    small = replace(ROOT, scale="small")
    variant = replace(small, variant="mse")
    assert [small.id, variant.id, str(variant)] == ["rung1@small", "rung1@small[mse]", "rung1@small[mse]"]
    assert {rung.marker for rung in (ROOT, small, variant)} == {"rung1"}
    assert len(Ladder([ROOT, small, variant])) == 3


def test_scale_of_a_control():
    """A control has the scale of its rung and uses its calibration."""
    control = replace(ROOT, scale="small").as_control(Control("no seed learns"), p=0.0)
    assert (control.id, control.scale) == ("rung1@small[p=0.0]", "small")
    assert (control.parent_id, control.calibration) == ("rung1@small", "rung1@small")


def test_scales():
    """A ladder lists the scales of every number that has a rung with a scale."""
    small = replace(ROOT, number=3, scale="small")
    rungs = [ROOT, replace(ROOT, variant="mse"), on_root(), replace(small, scale=""), small, replace(small, number=4)]
    assert Ladder(rungs).scales == {("", 3): {"", "small"}, ("", 4): {"small"}}
    assert Ladder([ROOT]).scales == {}


def test_gated_rungs_of_a_scale():
    """The gated rungs of a scale are those in it and those without several scales."""
    sized = [replace(ROOT, number=2, scale=scale, variant=variant) for scale in ("", "small") for variant in "ab"]
    more = [
        replace(sized[-1], variant="c"),  # of the small one alone
        replace(sized[-1], number=3),
        replace(sized[0], variant="d", gates=(), goals=(LEARNS,)),
        sized[0].as_control(Control("no seed learns"), p=0.0),
    ]
    ladder = Ladder([ROOT, *sized, *more])
    assert {scale: ladder.gate_count(scale) for scale in ("", "small", "tiny")} == {"": 3, "small": 5, "tiny": 1}


def test_requirements_and_partners():
    """A gated rung requires its parent by default and is compared with its parent and its partners."""
    rung = on_root(3, gates=(LEARNS, better_than("rung2", "loss", source=SOURCE)))
    assert (rung.required, rung.partners, rung.named) == (("rung1",), ("rung1", "rung2"), ("rung1", "rung2"))
    assert replace(rung, requires=("rung2",)).required == ("rung2",)
    assert replace(rung, requires=()).required == ()
    assert replace(rung, control=Control("must fail")).required == ()


def test_as_control():
    """A control changes exactly one component, requires nothing and must fail every gate."""
    rung = on_root(variant="mse", goals=(LEARNS,))
    control = rung.as_control(Control("no seed learns"), p=0.0)
    assert control.experiment == Coin(shift=0.1, p=0.0)
    assert (control.id, control.parent_id, control.adds) == ("rung2[mse,p=0.0]", "rung2[mse]", "p")
    assert (control.gates, control.goals, control.required) == (rung.gates, (), ())
    assert (control.role, control.control) == ("control", Control("no seed learns", each_gate_fails=True, expects=()))
    assert (control.calibration, control.expected_findings, rung.expected_findings) == ("rung2[mse]", (), ())
    explained = Control("no seed learns", expects=("never-moves",))
    assert rung.as_control(explained, p=0.0).expected_findings == ("never-moves",)
    Ladder([ROOT, rung, control])
    other = (above("loss", 1.0, by=1, source=SOURCE),)
    assert ROOT.as_control(Control("no seed learns"), p=0.0, gates=other).gates == other
    for change in ({}, {"p": 0.0, "shift": 1.0}):
        with pytest.raises(ValueError, match="a control changes one component"):
            rung.as_control(Control("no seed learns"), **change)


def test_climbing_order():
    """A ladder is in climbing order, whatever the order of its declaration."""
    high = on_root(2, gates=(LEARNS, better_than("rung4", "loss", source=SOURCE)), requires=("rung1",))
    rungs = [on_root(4), high, on_root(3, parent="rung4", experiment=Coin(shift=0.1, p=0.9), adds="p"), ROOT]
    ladder = Ladder(rungs)
    assert list(ladder) == ["rung1", "rung4", "rung2", "rung3"]
    # A partner is trained for the comparison, not climbed: it is not stood on.
    assert ladder.with_required(["rung2"]) == ["rung1", "rung2"]
    assert ladder.with_required(["rung3", "rung2"]) == ["rung1", "rung4", "rung2", "rung3"]


@pytest.mark.ill_typed
def test_single_entries():
    """A single gate, requirement or expected finding needs no tuple."""
    rung = Rung(number=1, name="one", experiment=Coin(), gates=LEARNS, requires="rung2")
    assert (rung.gates, rung.requires) == ((LEARNS,), ("rung2",))
    assert Control("it stays", expects="gamed").expects == ("gamed",)


def test_comparison_by_default():
    """A gated rung is compared with its parent on the metrics of its gates, as far as the parent reports them."""
    one = Rung(number=1, name="one", experiment=Coin(), gates=(LEARNS,))
    made = {"number": 2, "name": "two", "experiment": Coin(shift=0.1), "parent": one, "adds": "shift"}
    two = Rung(**made, gates=(LEARNS,))
    assert Ladder([one, two])["rung2"].compare == {"loss": ""}
    assert Ladder([one, Rung(**made, gates=(LEARNS,), compare={})])["rung2"].compared == {}
    assert Rung(**made, gates=(LEARNS,), compare=("loss",)).compare == {"loss": ""}
    assert Rung(**made, goals=(LEARNS,)).compared == {}


def test_missing_sources():
    """A rung lists what has no source: its conditions, and its comparison."""
    bare = below("loss", 0.5, by=3)
    one = Rung(number=1, name="one", experiment=Coin(), gates=(bare,), goals=(LEARNS,))
    assert one.without_source == ["loss < 0.5 by epoch 3"]
    made = {
        "number": 2,
        "name": "two",
        "experiment": Coin(shift=0.1),
        "parent": one,
        "adds": "shift",
        "gates": (LEARNS,),
    }
    assert Rung(**made).without_source == ["the comparison with rung1 (compare=)"]
    assert Rung(**made, compare={"loss": "0.2"}).without_source == []
