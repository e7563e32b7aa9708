"""Experiments as people write them in JAX: the states of its libraries, solvers that few transformations suit, and data sets."""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx
from flax.training.train_state import TrainState

from ladder import CompiledTrainer, Seeds
from ladder.inspection import Inspection
from ladder.train.constants import LARGE, TracedFunction

X = jax.random.normal(jax.random.key(0), (8, 16, 2))
Y = X[..., :1] * X[..., 1:]
METRICS: tuple[str, ...] = ("loss",)


def mean_squared_error(prediction, target):
    """The mean squared error."""
    return jnp.mean((prediction - target) ** 2)


@dataclass(frozen=True)
class Nnx:
    """A model of flax nnx with batch norm and dropout, and ``nnx.Optimizer``, both changed in place."""

    rate: float = 1e-2
    epochs: int = 3
    metrics: ClassVar = METRICS

    def init(self, key):
        """Return model and optimiser."""
        rngs = nnx.Rngs(key)
        layers = (nnx.Linear(2, 8, rngs=rngs), nnx.BatchNorm(8, rngs=rngs), nnx.Dropout(0.1, rngs=rngs), jax.nn.relu)
        model = nnx.Sequential(*layers, nnx.Linear(8, 1, rngs=rngs))
        return model, nnx.Optimizer(model, optax.adam(self.rate), wrt=nnx.Param)

    def epoch(self, state, key):
        """Train on each batch, and evaluate without dropout."""
        model, optimiser = state

        @nnx.scan(in_axes=(nnx.Carry, 0, 0), out_axes=(nnx.Carry, 0))
        def step(state, x, y):
            model, optimiser = state
            loss, gradient = nnx.value_and_grad(lambda model: mean_squared_error(model(x), y))(model)
            optimiser.update(model, gradient)
            return state, loss

        _, losses = step((model, optimiser), X, Y)
        model.eval()
        loss = mean_squared_error(model(X), Y)
        model.train()
        return state, {"loss": loss, "step_loss": losses}

    def inspect(self, state, key):
        """Run the batches through the model."""
        output = state[0](X)
        return Inspection(stages={"output": output}, prediction=output, target=Y)


class Network(linen.Module):
    """A network of linen with batch norm and dropout."""

    @linen.compact
    def __call__(self, x, train):
        """Apply it."""
        x = linen.BatchNorm(use_running_average=not train)(linen.Dense(8)(x))
        return linen.Dense(1)(linen.Dropout(0.1, deterministic=not train)(linen.relu(x)))


class NormState(TrainState):
    """A train state with the statistics of batch norm."""

    batch_stats: Any


@dataclass(frozen=True)
class Linen:
    """A train state of linen, made in ``init`` with functions that differ in every trace."""

    rate: float = 1e-2
    epochs: int = 3
    metrics: ClassVar = METRICS

    def init(self, key):
        """Return the train state."""
        variables = Network().init({"params": key, "dropout": key}, X[0], train=True)
        return NormState.create(apply_fn=Network().apply, tx=optax.adam(self.rate), **variables)

    def epoch(self, state, key):
        """Train on each batch, and evaluate without dropout."""

        def step(state, batch):
            x, y, key = batch

            def loss(params):
                variables = {"params": params, "batch_stats": state.batch_stats}
                apply = partial(state.apply_fn, mutable=["batch_stats"], rngs={"dropout": key})
                output, changed = apply(variables, x, train=True)
                return mean_squared_error(output, y), changed["batch_stats"]

            (value, statistics), gradient = jax.value_and_grad(loss, has_aux=True)(state.params)
            return state.apply_gradients(grads=gradient, batch_stats=statistics), value

        state, losses = jax.lax.scan(step, state, (X, Y, jax.random.split(key, len(X))))
        variables = {"params": state.params, "batch_stats": state.batch_stats}
        return state, {"loss": mean_squared_error(state.apply_fn(variables, X, train=False), Y), "step_loss": losses}


class Normalised(eqx.Module):
    """A model of equinox with batch norm, dropout and an activation function among its leaves."""

    first: eqx.nn.Linear
    norm: eqx.nn.BatchNorm
    dropout: eqx.nn.Dropout
    last: eqx.nn.Linear
    activation: Any = jax.nn.relu

    def __call__(self, x, state, key):
        """Apply it to one point of a batch."""
        x, state = self.norm(self.first(x), state)
        return self.last(self.dropout(self.activation(x), key=key)), state


@dataclass(frozen=True)
class Equinox:
    """A model of equinox with its state and that of its optimiser."""

    rate: float = 1e-2
    epochs: int = 3
    metrics: ClassVar = METRICS

    @property
    def optimiser(self):
        """Adam."""
        return optax.adam(self.rate)

    def init(self, key):
        """Return model, state and the optimiser's state."""
        one, two = jax.random.split(key)

        def make():
            return Normalised(
                eqx.nn.Linear(2, 8, key=one), eqx.nn.BatchNorm(8, "batch", mode="batch"), eqx.nn.Dropout(0.1),
                eqx.nn.Linear(8, 1, key=two),
            )  # fmt: skip

        model, state = eqx.nn.make_with_state(make)()
        return model, state, self.optimiser.init(eqx.filter(model, eqx.is_inexact_array))

    def epoch(self, state, key):
        """Train on each batch."""
        model, norm, memory = state

        def loss(model, norm, x, y, key):
            apply = jax.vmap(model, axis_name="batch", in_axes=(0, None, 0), out_axes=(0, None))
            output, norm = apply(x, norm, jax.random.split(key, len(x)))
            return mean_squared_error(output, y), norm

        for x, y in zip(X[:2], Y[:2], strict=True):
            gradient, norm = eqx.filter_grad(loss, has_aux=True)(model, norm, x, y, key)
            update, memory = self.optimiser.update(gradient, memory)
            model = eqx.apply_updates(model, update)
        evaluated, _ = loss(eqx.nn.inference_mode(model), norm, X[0], Y[0], key)
        return (model, norm, memory), {"loss": evaluated}


@dataclass(frozen=True)
class Solved:
    """The decay of an ordinary differential equation, fitted through a solver of diffrax with its default adjoint."""

    epochs: int = 3
    metrics: ClassVar = METRICS

    def init(self, key):
        """Return a rate of decay."""
        return jax.random.uniform(key)

    def epoch(self, decay, key):
        """Take a step."""

        def loss(decay):
            term = diffrax.ODETerm(lambda t, y, args: -decay * y)
            return (diffrax.diffeqsolve(term, diffrax.Tsit5(), 0.0, 1.0, 0.1, jnp.float32(1.0)).ys[-1] - 0.1) ** 2

        return decay - jax.grad(loss)(decay), {"loss": loss(decay)}


@pytest.mark.parametrize("experiment", [Nnx(), Linen(), Equinox(), Solved()], ids=lambda e: type(e).__name__)
def test_learning(experiment):
    """A state as the library makes it trains, by the same numbers in any block."""
    whole = CompiledTrainer(experiment, 4)(Seeds(), range(4))
    assert (whole.curves["loss"][:, -1] < whole.curves["loss"][:, 0]).all()
    assert len(np.unique(whole.curves["loss"][:, -1])) == 4
    again = CompiledTrainer(experiment, 3)(Seeds(), [2, 0])
    np.testing.assert_allclose(again.curves["loss"], whole.curves["loss"][[2, 0]], rtol=2e-5)


class Tied(nnx.Module):
    """A model with one layer in two places, another's kernel, and a generator that two modules draw from."""

    def __init__(self, rngs):
        self.first = nnx.Linear(2, 2, rngs=rngs)
        self.blocks = nnx.List([self.first] * 2)
        self.other = nnx.Linear(2, 2, rngs=rngs)
        self.other.kernel = self.first.kernel
        self.noises = nnx.List([nnx.Dropout(0.5, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)])

    def __call__(self, x):
        """Pass through all of them."""
        for layer in (*self.blocks, self.other, *self.noises):
            x = layer(x)
        return x


@dataclass(frozen=True)
class Shared:
    """A state with a module of the model beside the model."""

    epochs: int = 3
    metrics: ClassVar = ("loss", "apart", "probe")

    def init(self, key):
        """Return the model, one of its layers, and the optimiser."""
        model = Tied(nnx.Rngs(key))
        return {"model": model, "probe": model.first, "optimiser": nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)}

    def epoch(self, state, key):
        """Take one step; report how far apart are weights that are one."""
        model = state["model"]
        loss, gradient = nnx.value_and_grad(lambda model: mean_squared_error(model(X[0]), Y[0]))(model)
        state["optimiser"].update(model, gradient)
        kernels = model.blocks[1].kernel[...], model.other.kernel[...]
        apart = sum(jnp.abs(kernel - model.first.kernel[...]).max() for kernel in kernels)
        return state, {"loss": loss, "apart": apart, "probe": state["probe"].kernel[...].sum()}


def test_shared_variables():
    """A variable of nnx at two places of a state stays one: training gives the numbers of a plain loop."""
    experiment, seeds = Shared(), Seeds()
    trained = CompiledTrainer(experiment, 2)(seeds, range(2)).curves
    with jax.disable_jit():
        state = experiment.init(jax.random.split(seeds.keys([1])[0])[0])
        looped = [experiment.epoch(state, jax.random.key(0))[1] for _ in range(experiment.epochs)]
    for name in experiment.metrics:
        np.testing.assert_allclose(trained[name][1], [report[name] for report in looped], rtol=1e-4, err_msg=name)
    assert (trained["apart"] == 0.0).all()


def test_inspection():
    """The state that is inspected, or recorded, is that of the library."""
    trainer = CompiledTrainer(Nnx(), 2)
    inspected = trainer(Seeds(), range(2)).inspected
    assert inspected["end/prediction/amplitude"].shape == (2,)
    recorded = trainer.record_states(Seeds(), 0, lambda state, key: {"kernel": state[0].layers[0].kernel[...]})
    assert recorded["kernel"].shape == (4, 2, 8)


@dataclass(frozen=True)
class Changes(Equinox):
    """A model whose activation function, or rate of dropout, changes in an epoch."""

    what: str = "activation"

    def epoch(self, state, key):
        """Train, and change it."""
        (model, *others), report = super().epoch(state, key)
        new = jax.nn.gelu if self.what == "activation" else "0.1"
        where = (lambda m: m.activation) if self.what == "activation" else (lambda m: m.dropout.p)
        return (eqx.tree_at(where, model, new, is_leaf=lambda leaf: leaf is None), *others), report


@pytest.mark.parametrize("what", ["activation", "dropout.p"])
def test_changed_leaf(what):
    """A leaf that is not an array and changes is named, in one sentence."""
    with pytest.raises(ValueError, match=rf"state\[0\]\.{what} was .* and is ") as refused:
        CompiledTrainer(Changes(what=what), 2)(Seeds(), range(1))
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


@dataclass(frozen=True)
class Counts:
    """A state with two numbers of Python: one that counts, and one that a branch tests."""

    epochs: int = 3
    metrics: ClassVar = ("count",)

    def init(self, key):
        """Return both."""
        return {"count": 0, "double": True}

    def epoch(self, state, key):
        """Count."""
        count = state["count"] + (2 if state["double"] else 1)
        return state | {"count": count}, {"count": count}


@pytest.mark.parametrize("jit", [True, False], ids=["compiled", "not compiled"])
def test_numbers_in_a_state(jit):
    """A number of Python that changes is an array, and one that does not can be tested."""
    with jax.disable_jit(not jit):
        trained = CompiledTrainer(Counts(), 2)(Seeds(), range(2))
    assert trained.curves["count"].tolist() == [[2.0, 4.0, 6.0]] * 2


# Data sets


DATA = np.random.default_rng(0).normal(size=LARGE).astype(np.float32)
ON_DEVICE = jnp.asarray(DATA[::-1].copy())


@jax.jit
def inside(x):
    """Read data in a function that is jitted by itself."""
    return x + jnp.sum(DATA) + ON_DEVICE[3]


def everywhere(x, steps):
    """Read data in all control flow of JAX."""
    scanned, _ = jax.lax.scan(lambda c, i: (c + jnp.asarray(DATA)[i] + inside(0.0), None), x, jnp.arange(3))
    looped = jax.lax.fori_loop(0, steps, lambda i, c: c + ON_DEVICE[i] * inside(1.0), scanned)
    branched = jax.lax.cond(looped > 0.0, lambda: inside(looped), lambda: looped - DATA[5])
    return {"value": branched, "gradient": jax.grad(lambda x: inside(x) ** 2)(x)}


def test_constants():
    """Large constants are found in jitted functions, loops and branches, each once, and the result is the same without them."""
    arguments = jnp.float32(0.5), jnp.int32(2)
    traced = TracedFunction(everywhere, *arguments)
    assert len(traced.constants) == 2
    lowered = jax.jit(traced).lower(list(traced.constants.values()), *arguments)
    assert len(lowered.as_text()) < LARGE
    result, expected = lowered.compile()(list(traced.constants.values()), *arguments), everywhere(*arguments)
    for name, value in expected.items():
        np.testing.assert_allclose(result[name], value, rtol=1e-5)


def test_small_constants():
    """Small constants stay in the program."""
    assert TracedFunction(lambda x: x + jnp.asarray(DATA[:10]), jnp.zeros(10)).constants == {}


@dataclass(frozen=True)
class Regression:
    """A regression on a data set that is a field, and one that the module has."""

    x: np.ndarray
    epochs: int = 2
    metrics: ClassVar = METRICS

    def init(self, key):
        """Return a slope, which depends on the mean of the data as NumPy computes it."""
        return jax.random.normal(key) + float(np.mean(self.x))

    def epoch(self, slope, key):
        """Take a step on half the data."""

        def loss(slope):
            x = jax.random.permutation(key, jnp.asarray(self.x))[:100]
            return mean_squared_error(slope * x, 2.0 * x) + 0.0 * jnp.sum(ON_DEVICE)

        return slope - 0.1 * jax.grad(loss)(slope), {"loss": loss(slope)}


def test_data_set(monkeypatch):
    """A data set is given to the devices once, for all seeds and programs, and is no part of a program."""
    moved, sizes = [], []
    put, lower = jax.device_put, jax.stages.Traced.lower
    monkeypatch.setattr(jax, "device_put", lambda x, *more: (moved.append(getattr(x, "nbytes", 0)), put(x, *more))[1])

    def lowered(*arguments, **options):
        result = lower(*arguments, **options)
        sizes.append(len(result.as_text()))
        return result

    monkeypatch.setattr(jax.stages.Traced, "lower", lowered)
    trained = CompiledTrainer(Regression(DATA), 4)(Seeds(), range(8))
    assert (trained.curves["loss"][:, 1] < trained.curves["loss"][:, 0]).all()
    assert sorted(size for size in moved if size >= LARGE) == [DATA.nbytes] * 2
    assert all(size < LARGE for size in sizes)
