"""Training many seeds at once: what a seed yields depends on its number alone, and trouble is found where it began."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from toys import Coin, Diverges, Fit, Misreports, SeenFit

from ladder.studies.manifoldformer import Oscillators, Signals
from ladder.train.compiled import CompiledTrainer
from ladder.train.devices import devices
from ladder.train.program import Program
from ladder.train.result import NonFinite, Trained
from ladder.train.trainer import CALIBRATION_STREAM, GATE_STREAM, Seeds

ROUNDING = 1e-6  # a few roundings of float32, carried through a dozen steps of a contraction


@pytest.fixture(scope="module")
def fit():
    """One compiled program for many tests; a block of four."""
    return CompiledTrainer(Fit(), 4)


class Log:
    """A meter that records all progress calls."""

    def __init__(self):
        self.told = []

    def compiling(self, first, last):
        """Note it."""
        self.told.append(("compiling", first, last))

    def epoch(self, first, last, epoch, metrics):
        """Record the call, and check that it covers every seed that was trained, and no other."""
        self.told.append((epoch, first, last))
        assert {name: len(value) for name, value in metrics.items()} == dict.fromkeys(
            ("loss", "step_loss"), last - first
        )


def same(one, other, **tolerance):
    for a, b in ((one.curves, other.curves), (one.traces, other.traces)):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_allclose(a[name], b[name], **({"rtol": 0} | tolerance))


def test_shapes(fit):
    """Curves have the shape (seeds, epochs), and traces have the shape (seeds, epochs, steps)."""
    trained = fit(Seeds(), range(6))
    assert trained.seeds == 6
    assert {name: curve.shape for name, curve in trained.curves.items()} == {"loss": (6, 4)}
    assert {name: trace.shape for name, trace in trained.traces.items()} == {"step_loss": (6, 4, 3)}


def test_reproducibility(fit):
    """Seeds differ from one another, and each is reproducible."""
    once, again = fit(Seeds(), range(4)), fit(Seeds(), range(4))
    same(once, again)
    assert len(np.unique(once.curves["loss"][:, 0])) == 4


def test_independence_of_blocks(fit):
    """A seed has the same result in every block and order."""
    whole = fit(Seeds(), range(8))
    picked = fit(Seeds(), [5, 2, 7])
    np.testing.assert_array_equal(picked.traces["step_loss"], whole.traces["step_loss"][[5, 2, 7]])
    same(CompiledTrainer(Fit(), 3)(Seeds(), range(8)), whole, rtol=ROUNDING)


def test_concatenation(fit):
    """A short last block adds no seeds, and concatenated blocks equal a single run."""
    whole = fit(Seeds(), range(6))
    same(fit(Seeds(), range(4)).concatenate(fit(Seeds(), range(4, 6))), whole)
    same(whole.head(5), fit(Seeds(), range(5)))


def test_no_seeds(fit):
    """A run without seeds raises an error."""
    with pytest.raises(ValueError, match="no seeds to train"):
        fit(Seeds(), range(0))


def test_progress_callbacks():
    """The progress meter receives one call for compilation and one for every epoch of a block."""
    log, trainer = Log(), CompiledTrainer(Fit(), 4)
    trainer(Seeds(), range(6), log)
    epochs = [(epoch, *block) for block in ((0, 4), (4, 6)) for epoch in range(1, 5)]
    assert log.told == [("compiling", 0, 4), *epochs]
    trainer(Seeds(), range(4), log)
    assert log.told[9:] == epochs[:4]


def test_keys():
    """Keys differ for all seeds, streams and roots."""
    keys = {
        tuple(key)
        for stream in (GATE_STREAM, CALIBRATION_STREAM)
        for root in (0, 1, 2**31 - 1)
        for key in jax.random.key_data(Seeds(root, stream).keys(range(100))).tolist()
    }
    assert len(keys) == 2 * 3 * 100
    np.testing.assert_array_equal(
        jax.random.key_data(Seeds().keys([7])), jax.random.key_data(Seeds().keys(range(8)))[7:]
    )


def test_roots_and_streams(fit):
    """Another root or the calibration stream gives other curves."""
    losses = [fit(seeds, range(4)).curves["loss"] for seeds in (Seeds(), Seeds(1), Seeds(stream=CALIBRATION_STREAM))]
    assert len(np.unique(losses)) == 3 * losses[0].size


@pytest.fixture(scope="module")
def healthy():
    """The losses of eight seeds of which none diverges, and which of them would."""
    losses = CompiledTrainer(Diverges(step=99), 8)(Seeds(), range(8)).curves["loss"]
    doomed = np.isnan(CompiledTrainer(Diverges(step=1), 8)(Seeds(), range(8)).curves["loss"]).any(axis=1)
    assert 0 < doomed.sum() < 8
    return losses, doomed


@pytest.mark.parametrize(("step", "found"), [(6, 6), (12, 12), (13, 0)])
def test_first_non_finite_step(step, found, healthy):
    """The first non-finite step is exact, and other seeds are unaffected."""
    losses, doomed = healthy
    trained = CompiledTrainer(Diverges(step=step), 8)(Seeds(), range(8))
    np.testing.assert_array_equal(trained.first_non_finite_step, np.where(doomed, found, 0))
    np.testing.assert_array_equal(trained.curves["loss"][~doomed], losses[~doomed])


def test_first_non_finite_epoch():
    """The first non-finite step counts epochs in a run without traces."""
    trained = CompiledTrainer(Diverges(share=1.0, step=6, traced=False), 2)(Seeds(), range(2))
    assert trained.first_non_finite_step.tolist() == [2, 2]


@pytest.mark.parametrize(
    ("curve", "trace", "step"),
    [
        ([1, 1], [[1, 1, 1], [1, 1, 1]], 0),
        ([1, math.inf], [[1, 1, 1], [1, 1, 1]], 6),
        ([math.nan, 1], [[1, 1, 1], [1, 1, 1]], 3),
        ([1, 1], [[1, -math.inf, 1], [1, math.nan, 1]], 2),
        ([math.nan, 1], [[1, math.nan, 1], [1, 1, 1]], 2),
        ([1, math.nan], [[1, 1, 1], [1, 1, math.nan]], 6),
    ],
)
def test_first_non_finite_metric(curve, trace, step):
    """The first non-finite step of a metric is the last step of its epoch."""
    trained = Trained({"loss": np.array([curve], float)}, {"step_loss": np.array([trace], float)}, 0, 0)
    assert trained.first_non_finite_step.tolist() == [step]


@pytest.mark.parametrize(
    ("experiment", "message"),
    [
        (Misreports(), r"declares the metrics loss but epoch\(\) reports the scalars (loss, extra|extra, loss)"),
        (Misreports(declared=("loss", "mse"), shape=(2,)), r"metrics loss, mse but epoch\(\) reports the scalars loss"),
        (Misreports(shape=(2, 3)), r"'extra' as float32\[2, 3\]; report a real scalar"),
    ],
)
def test_undeclared_metric(experiment, message):
    """A report that differs from the declared metrics raises an error."""
    with pytest.raises(ValueError, match=message):
        CompiledTrainer(experiment, 2)(Seeds(), range(2))


@dataclass(frozen=True, kw_only=True)
class Returns:
    """An experiment that returns given objects in place of the state and the metrics."""

    done: Callable[[Any, Any], Any]
    start: Callable[[Any], Any] = jax.random.uniform
    epochs: int = 2
    metrics = ("loss",)

    def init(self, key):
        """Return the given start."""
        return self.start(key)

    def epoch(self, state, key):
        """Return the given end."""
        return self.done(state, {"loss": jnp.zeros(())})


def reports(value):
    return lambda state, report: (state, report | {"extra": value(state)})


AS = "Returns.epoch() reports 'extra' as {}; report a real scalar (a metric) or a vector with one entry for each step (a trace)"
FORM = "Returns.epoch() returns a state of a different form: {}; keep its structure, shapes and dtypes"
MISTAKES = {
    "no pair": (
        lambda s, r: s,
        "Returns.epoch() returns float32[]; return two things, the state and a dict of metrics",
    ),
    "nothing": (lambda s, r: None, "Returns.epoch() returns None; return two things, the state and a dict of metrics"),
    "three": (lambda s, r: (s, r, r), "Returns.epoch() returns a tuple of 3; return two things"),
    "a dict of two": (lambda s, r: {"a": s, "b": r}, "returns an object of type dict; return two things"),
    "no report": (
        lambda s, r: (s, None),
        "Returns.epoch() returns None beside the state; return a dict of metrics, such as {'loss': loss}",
    ),
    "scalar report": (lambda s, r: (s, s), "Returns.epoch() returns float32[] beside the state; return a dict"),
    "tuple report": (lambda s, r: (s, (s,)), "Returns.epoch() returns a tuple of 1 beside the state; return a dict"),
    "number for a name": (lambda s, r: (s, {1: s}), "Returns.epoch(): 1 cannot be the name of a metric or trace"),
    "line in a name": (lambda s, r: (s, r | {"a\nb": s}), r"Returns.epoch(): 'a\nb' cannot be the name"),
    "None": (reports(lambda s: None), AS.format("None")),
    "dict": (reports(lambda s: {"a": s}), AS.format("an object of type dict")),
    "list": (reports(lambda s: [s, s]), AS.format("an object of type list")),
    "string": (reports(lambda s: "low"), AS.format("an object of type str")),
    "complex": (reports(lambda s: s + 1j), AS.format("complex64[]")),
    "complex trace": (reports(lambda s: jnp.ones(3) * 1j), AS.format("complex64[3]")),
    "complex number": (reports(lambda s: 1j), AS.format("complex64[]")),
    "key": (reports(lambda s: jax.random.key(0)), AS.format("key<fry>[]")),
    "matrix": (reports(lambda s: jnp.zeros((2, 3))), AS.format("float32[2, 3]")),
    "no steps": (reports(lambda s: jnp.zeros(0)), AS.format("float32[0]")),
    "dtype": (lambda s, r: (s.astype(jnp.float16), r), FORM.format("state was float32[] and is float16[]")),
    "shape": (lambda s, r: (s[None], r), FORM.format("state was float32[] and is float32[1]")),
    "structure": (
        lambda s, r: ((s, s), r),
        FORM.format("state was float32[] and is nothing (and 2 more)"),
    ),
    "object in the state": (
        lambda s, r: ({"w": s, "name": "x"}, r),
        FORM.format("state was float32[] and is nothing (and 2 more)"),
    ),
}


@pytest.mark.parametrize("jit", [True, False], ids=["compiled", "not compiled"])
@pytest.mark.parametrize(("done", "message"), MISTAKES.values(), ids=MISTAKES)
def test_invalid_epoch(done, message, jit):
    """An invalid return value of epoch raises an error of one sentence, compiled or not."""
    with jax.disable_jit(not jit), pytest.raises(ValueError) as refused:  # noqa: PT011  # the whole sentence is compared below
        CompiledTrainer(Returns(done=done), 2)(Seeds(), range(2))
    said = str(refused.value)
    assert message in said
    assert "\n" not in said
    assert (type(refused.value), refused.value.__suppress_context__) == (ValueError, True)
    assert not hasattr(refused.value, "__notes__")


class Foreign:
    """An array of another library."""

    dtype, shape = np.dtype("float32"), (2,)

    def __array__(self, dtype=None, copy=None):
        """Return it as one of NumPy."""
        return np.zeros(2, np.float32)


def test_array_of_another_library():
    """A state with an array that JAX does not know raises an error, because it would never be trained."""
    with pytest.raises(
        ValueError, match=r"^Returns.init\(\) returns a state in which state\['f'\] is an object of type Foreign"
    ):
        CompiledTrainer(Returns(done=lambda s, r: (s, r), start=lambda key: {"f": Foreign()}), 2)(Seeds(), range(2))


@pytest.mark.parametrize(
    ("done", "instead"),
    [
        (lambda s, r: (s, r) if s > 0.5 else (s + 1.0, r), "use jnp.where"),
        (lambda s, r: (s, {"loss": float(s)}), "compute with jax.numpy"),
        (lambda s, r: (s, {"loss": len(range(s.astype(int)))}), "or jax.lax.fori_loop"),
        (lambda s, r: (s, {"loss": np.sum(np.asarray(s))}), "compute with jax.numpy"),
        (lambda s, r: (s, {"loss": jnp.sum(jnp.ones(3)[jnp.ones(3) > s])}), "use jnp.where"),
    ],
    ids=["branch", "float", "range", "NumPy", "mask"],
)
def test_values_needed_in_advance(done, instead):
    """Code that needs the value of an array while it is traced is named by its line, with what to use instead."""
    with pytest.raises(ValueError, match=r"Returns cannot be compiled: it needs the value of an array") as refused:
        CompiledTrainer(Returns(done=done), 2)(Seeds(), range(2))
    assert "test_trainer.py:" in str(refused.value)
    assert "lambda s, r: " in str(refused.value)
    assert instead in str(refused.value)
    assert "\n" not in str(refused.value)


@dataclass(frozen=True, kw_only=True)
class Traced:
    """An experiment that branches on a traced component."""

    rate: Any = 0.5
    parts: Any = ()
    epochs: int = 1
    metrics: tuple[str, ...] = ("loss",)
    traced_components = ("rate",)

    def init(self, key):
        """Return a number."""
        return jnp.ones(())

    def epoch(self, state, key):
        """Branch."""
        return state, {"loss": state if self.rate > 0.0 else -state}


def test_traced_component_in_a_branch():
    """A branch on a traced component is refused with a sentence that names the component."""
    with pytest.raises(
        ValueError, match=r"if self.rate > 0.0.*the traced components rate, take it out of traced_components"
    ):
        CompiledTrainer(Traced(), 2)(Seeds(), range(1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate": Fraction(1, 2)}, r"Fraction\(1, 2\) is not a float, int or bool; leave it out"),
        ({"rate": 2**40}, "is too large for JAX's integers .*; make it a float, or leave it out"),
        ({"parts": (Traced(),)}, "component 'parts' contains a Traced, which declares traced_components"),
        ({"parts": {"a": [Traced()]}}, "component 'parts' contains a Traced, which declares traced_components"),
    ],
)
def test_invalid_traced_component(change, message):
    """A traced component that JAX cannot hold, or that has no path, is refused with one sentence."""
    with pytest.raises(ValueError, match=message) as refused:
        CompiledTrainer(Traced(**change), 2)(Seeds(), range(1))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("jit", [True, False], ids=["compiled", "not compiled"])
@pytest.mark.parametrize(
    "value",
    [1, 0.5, True, np.float32(0.5), np.arange(3), jnp.bfloat16(0.5), nnx.Variable(jnp.zeros(()))],
    ids=lambda value: type(value).__name__,
)
def test_real_numbers(value, jit):
    """Any real number is reported without change, compiled or not."""

    @dataclass(frozen=True)
    class Extra(Returns):
        metrics = ("loss", "extra") if np.ndim(value) == 0 else ("loss",)

    with jax.disable_jit(not jit):
        trained = CompiledTrainer(Extra(done=reports(lambda state: value)), 2)(Seeds(), range(2))
    found = (trained.curves | trained.traces)["extra"]
    np.testing.assert_array_equal(found, np.broadcast_to(np.asarray(value, float), found.shape))


@jax.tree_util.register_pytree_node_class
class Optimiser:
    """Holds a function, as an optimiser does, that is another each time it is made."""

    def __init__(self, step, rule=None):
        self.step, self.rule = step, rule or (lambda x: 0.5 * x)

    def tree_flatten(self):
        """The step is data, the rule is not."""
        return (self.step,), self.rule

    @classmethod
    def tree_unflatten(cls, rule, leaves):
        """The same again."""
        return cls(*leaves, rule)


def test_static_data_of_a_state():
    """Static data of a state may be new in every init and must not change in epoch."""
    made = Returns(
        start=lambda key: Optimiser(jax.random.uniform(key)), done=lambda s, r: (s, {"loss": s.rule(s.step)})
    )
    assert CompiledTrainer(made, 2)(Seeds(), range(2)).curves["loss"].min() > 0.0
    with pytest.raises(
        ValueError,
        match=r"of a different form: Optimiser was made with .*lambda> and has now .*lambda>; keep everything besides",
    ):
        CompiledTrainer(replace(made, done=lambda s, r: (Optimiser(s.step), r)), 2)(Seeds(), range(2))


def test_state_of_python_numbers():
    """A state of Python numbers is trained like one of arrays."""

    def one(state, report):
        return {"n": state["n"] + 1, "x": state["x"] * jnp.bfloat16(0.5)}, {"loss": state["x"] * state["n"]}

    experiment = Returns(start=lambda key: {"n": 0, "x": 1.0}, done=one)
    for jit in (True, False):
        with jax.disable_jit(not jit):
            assert CompiledTrainer(experiment, 2)(Seeds(), range(2)).curves["loss"].tolist() == [[0.0, 0.5]] * 2


@pytest.mark.parametrize(
    "experiment", [Coin(p=0.5), SeenFit(traced=False, epochs=1), Diverges()], ids=lambda each: type(each).__name__
)
def test_training_without_jit(experiment):
    """But for roundings: an operation by itself rounds where a fused one does not."""
    compiled = CompiledTrainer(experiment, 2)(Seeds(), range(3))
    with jax.disable_jit():
        looped = CompiledTrainer(experiment, 2)(Seeds(), range(3))
    same(looped, compiled, rtol=1e-5, atol=1e-6)
    assert looped.inspected.keys() == compiled.inspected.keys()
    for name, value in compiled.inspected.items():
        np.testing.assert_allclose(looped.inspected[name], value, rtol=1e-4, atol=1e-5)


def test_recording_without_jit():
    """Values of a state can be printed and recorded in a run without compilation."""
    printed = []

    def one(state, report):
        printed.append(float(state))
        return state, {"loss": state}

    with jax.disable_jit():
        shown = CompiledTrainer(Returns(done=one), 1).record_states(Seeds(), 3, lambda state, key: {"state": 2 * state})
    assert shown["state"].tolist() == [2 * printed[0]] * 3


@pytest.mark.parametrize("guard", ["disallow", "disallow_explicit"])
def test_transfer_guard(fit, guard):
    """Training makes no transfer that JAX's transfer guard disallows."""
    whole = fit(Seeds(), range(4))
    with jax.transfer_guard(guard):
        same(CompiledTrainer(Fit(), 4)(Seeds(), range(4)), whole)


def test_zero_learning_rate():
    """A learning rate of 0 changes no metric."""
    trained = CompiledTrainer(Oscillators(data=Signals(length=8), epochs=3, learning_rate=0.0), 2)(Seeds(), range(2))
    for curve in trained.curves.values():
        np.testing.assert_array_equal(curve, np.broadcast_to(curve[:, :1], curve.shape))
    assert len(np.unique(trained.curves["loss"])) == 2
    np.testing.assert_array_equal(trained.traces["step_loss"][:, 0], trained.traces["step_loss"][:, 2])


def test_learning():
    """Every seed learns a coin that always falls on one side."""
    assert (CompiledTrainer(Coin(), 2)(Seeds(), range(2)).curves["loss"][:, -1] < 0.25).all()


def test_order_within_a_step():
    """Of the tensors that become non-finite in one step, the first is the one computed first."""
    order = [
        "stage/0/input",
        "stage/1/latent",
        "accuracy",
        "step_loss",
        "gradient/a",
        "gradient/b",
        "update/a",
        "weight/a",
    ]
    for i, name in enumerate(order):
        traces = {other: np.array([[[1.0, np.nan if other in order[i:] else 1.0]]]) for other in reversed(order)}
        trained = Trained({"metric": np.array([[np.nan]])}, traces, 0, 0)
        assert trained.first_non_finite == (NonFinite(0, 2, name),)


def test_order_of_steps():
    """An earlier step precedes an earlier tensor, and a trace precedes a metric."""
    stage, weight = np.ones((3, 2, 2)), np.ones((3, 2, 2))
    weight[0, 0, 1], stage[0, 1, 0], stage[1, 0, 1] = np.inf, np.nan, np.nan
    trained = Trained(
        {"loss": np.array([[1.0, 1.0], [np.nan, 1.0], [1.0, np.nan]])}, {"stage/0/x": stage, "weight/a": weight}, 0, 0
    )
    assert trained.first_non_finite == (
        NonFinite(0, 2, "weight/a"),
        NonFinite(1, 2, "stage/0/x"),
        NonFinite(2, 4, "loss"),
    )
    assert trained.first_non_finite_step.tolist() == [2, 2, 4]
    assert trained.select([2, 0]).first_non_finite_step.tolist() == [4, 2]


@dataclass(frozen=True, kw_only=True)
class Line(Fit):
    """The regression, with a rate that is an argument of the program; counts how often its Python code runs."""

    calls: Any = field(default_factory=list, compare=False)
    traced_components = ("rate",)

    def epoch(self, state, key):
        """Count the call."""
        self.calls.append(1)
        return super().epoch(state, key)


@pytest.fixture
def compilations():
    """The events of XLA compilations of programs of a block."""
    durations = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, duration, **kw: durations.append(event) if event.endswith("backend_compile_duration") else None
    )
    return durations


def test_one_compilation_for_any_number_of_seeds(compilations):
    """One trace and one compilation serve 4, 6, 16 and 5 seeds, and every seed has the result it has in any other number."""
    calls = []
    trainer = CompiledTrainer(Line(rate=0.07, calls=calls), 16)
    whole = trainer(Seeds(), range(16))
    assert len(calls) == 1
    for count in (1, 3, 4, 5, 6):  # compiles the small programs that make keys
        Seeds().keys(range(count))
    compilations.clear()
    for numbers in (range(4), range(4, 10), range(16), range(5), [9, 2, 5]):
        trained = trainer(Seeds(), numbers)
        same(trained, whole.select(list(numbers)))
    assert len(calls) == 1
    assert compilations == []


def test_one_compilation_for_different_numbers(compilations):
    """Experiments that differ in traced components only share one program, and have the curves that constants would give."""
    calls = []
    CompiledTrainer(Line(rate=0.03, calls=calls), 3)(Seeds(), range(3))
    compilations.clear()
    other = CompiledTrainer(Line(rate=0.2, calls=calls), 3)(Seeds(), range(3))
    assert len(calls) == 1
    assert compilations == []
    same(other, CompiledTrainer(Fit(rate=0.2), 3)(Seeds(), range(3)), rtol=ROUNDING)


@pytest.mark.parametrize(
    "other",
    [Line(rate=1, calls=[]), Line(rate=0.1, traced=True, calls=[]), SeenFit(rate=0.1)],
    ids=["type of the number", "another component", "another class"],
)
def test_no_sharing(other):
    """A program is not shared where anything but a traced number differs, its type included."""
    assert not Program(Line(calls=[]), 2).serves(other, 2)
    assert Program(Line(calls=[]), 2).serves(Line(rate=0.3, calls=[]), 2)
    assert not Program(Line(calls=[]), 2).serves(Line(calls=[]), 3)
    with jax.default_matmul_precision("bfloat16"):
        assert not Program(Line(calls=[]), 3).serves(other, 2)


@pytest.mark.parametrize("count", [1, 2, 5, 7, 8])
def test_layout(count):
    """Every seed has a row of its own, among the first rows of a device, and devices have equally many but for one."""
    layout = Program(Fit(), 8).layout(range(10, 10 + count))
    assert [layout.filled[row] for row in layout.rows] == list(range(10, 10 + count))
    assert layout.counts.sum() == count
    assert np.ptp(layout.counts) <= 1
    each = len(layout.filled) // len(layout.counts)
    assert all(row % each < layout.counts[row // each] for row in layout.rows)


def test_inspection_of_seeds_from_several_calls():
    """A seed is inspected before and after training, with the same numbers whichever seeds are trained beside it."""
    trainer = CompiledTrainer(SeenFit(), 8)
    whole = trainer(Seeds(), range(11)).inspected
    assert {name.partition("/")[0] for name in whole} == {"start", "end"}
    found = trainer(Seeds(), [5, 1, 10]).inspected
    for name, value in whole.items():
        np.testing.assert_array_equal(found[name], value[[5, 1, 10]])


def test_arrays_without_entries():
    """A state may have arrays without entries, on any number of devices."""
    state = {"w": jnp.ones((3, 0)), "x": jnp.ones(2)}
    trained = CompiledTrainer(Returns(start=lambda key: state, done=lambda s, r: (s, {"loss": s["x"].sum()})), 4)
    assert (trained(Seeds(), range(4)).curves["loss"] == 2.0).all()


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (np.asarray(["a"]), r"state\['x'\] is an array of dtype <U1; JAX computes with numbers"),
        (10**10, r"state\['x'\] is 10000000000, which an integer of JAX cannot hold; make it a float"),
    ],
)
def test_leaves_that_jax_cannot_hold(start, message):
    """A leaf of the state that no array can hold is named, with its path."""
    with pytest.raises(ValueError, match=message):
        CompiledTrainer(Returns(start=lambda key: {"x": start}, done=lambda s, r: (s, {"loss": 0.0})), 2)(Seeds(), [0])


def test_ordered_effects():
    """An effect that one device can order only is refused on several, in one sentence."""

    def done(state, report):
        jax.debug.print("{}", state, ordered=True)
        return state, report

    if len(devices()) == 1:
        pytest.skip("on one device it is possible")
    with pytest.raises(
        ValueError, match=r"Returns has an ordered effect, such as .*; seeds train on 2 devices at once"
    ):
        CompiledTrainer(Returns(done=done), 4)(Seeds(), range(4))


@pytest.mark.parametrize("shown", [None, {"x": 1.0}])
def test_inspection_of_another_type(shown):
    """A value that inspect returns, but for an Inspection, is named."""

    class Wrong(SeenFit):
        def inspect(self, state, key):
            return shown

    trained = CompiledTrainer(Wrong(epochs=1), 2)(Seeds(), range(2))
    assert f"inspect() returned {shown}; return an Inspection of ladder.inspection" in trained.inspection_error


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ([], "no seeds"),
        (3, "no seeds"),
        ([0.5], "give a whole number"),
        ([-1], "-1 is not from 0"),
        ([2**40], "is not from 0"),
    ],
)
def test_wrong_seeds(numbers, message):
    """Numbers that no seed can have are refused, with the value."""
    with pytest.raises(ValueError, match=message):
        CompiledTrainer(Coin(), 2)(Seeds(), numbers)


@pytest.mark.parametrize("root", ["x", 1.5, -1, 2**32])
def test_wrong_root(root):
    """So are roots."""
    with pytest.raises(ValueError, match=r"Seeds: root=.*: give a whole number"):
        Seeds(root)


@pytest.mark.parametrize("jit", [True, False])
def test_inspection_that_raises(jit):
    """An inspection that raises is lost, with its error; the seeds are trained all the same."""

    class Raises(SeenFit):
        def inspect(self, state, key):
            raise IndexError("no such layer")

    with jax.disable_jit(not jit):
        trained = CompiledTrainer(Raises(epochs=2), 2)(Seeds(), range(2))
    assert trained.curves["loss"].shape == (2, 2)
    assert (trained.inspected, trained.inspection_error) == ({}, "the inspection raised IndexError('no such layer')")


def test_several_epochs_in_a_call(monkeypatch):
    """Several epochs in one call are reported one by one, with the values that single epochs have."""
    trainer, log = CompiledTrainer(Fit(epochs=150), 4), Log()
    monkeypatch.setattr("ladder.train.compiled.UPDATE", 0.0)
    single = trainer(Seeds(), range(4))
    monkeypatch.setattr("ladder.train.compiled.UPDATE", 60.0)
    same(trainer(Seeds(), range(4), log), single)
    assert log.told == [(epoch, 0, 4) for epoch in range(1, 151)]


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (
            ("speed",),
            "Declares.traced_components names 'speed', which is not a field; the fields are done, start, epochs",
        ),
        (("done",), "traced_components names 'done', but .* is not a float, int or bool; leave it out"),
        ("rate", r"traced_components='rate': give a tuple of names of fields, such as \('learning_rate',\)"),
    ],
)
def test_invalid_declaration(declared, message):
    """A declaration of traced components that cannot be used raises an error before anything is traced."""

    @dataclass(frozen=True, kw_only=True)
    class Declares(Returns):
        traced_components = declared

    with pytest.raises(ValueError, match=message):
        CompiledTrainer(Declares(done=lambda s, r: (s, r)), 2)
