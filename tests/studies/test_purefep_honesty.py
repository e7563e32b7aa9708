"""The honesty of rung 7: properties of trained models and of the program that trains them exclude passing by leaks.

The impossible task and the reservoir, which a leak or a lucky projection would let pass, are controls of the rung.
"""

from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import ClosedJaxpr, Jaxpr

from ladder.studies.purefep import Backprop, FreeEnergy, Model, Overfit
from ladder.studies.purefep.flow import predict
from ladder.studies.purefep.learning import Batch

pytestmark = [pytest.mark.rung7, pytest.mark.usefixtures("quickly_compiled")]

EXPERIMENT = Overfit(epochs=30)
SEEDS = 3


@pytest.fixture(scope="module")
def trained():
    """Train a few seeds until they have learned their batch, and return their states, stacked."""

    def train(key):
        state = EXPERIMENT.init(key)
        return jax.lax.scan(
            lambda state, key: (EXPERIMENT.epoch(state, key)[0], None), state, jax.random.split(key, 30)
        )[0]

    state = jax.jit(jax.vmap(train))(jax.random.split(jax.random.key(7), SEEDS))
    assert np.all(np.argmax(logits(state, state.batch.inputs), -1) == np.argmax(state.batch.targets, -1))
    return state


@jax.jit
@jax.vmap
def logits(state, inputs):
    model = EXPERIMENT.model_at(state)
    return predict(model, inputs, model.frame())


@jax.jit
@jax.vmap
def step(state):
    """Return the logits of one more training step, with the targets hidden and visible."""
    model = EXPERIMENT.model_at(state)
    _, outputs = EXPERIMENT.learning.step(model, state.memory, state.batch)
    return outputs.hidden, outputs.visible


def test_hidden_targets(trained):
    """A change of every target changes no bit of the logits with hidden targets."""
    batch = trained.batch
    other = trained._replace(batch=Batch(batch.inputs, jnp.roll(batch.targets, 1, axis=-1)))
    (hidden, visible), (hidden_other, visible_other) = step(trained), step(other)
    np.testing.assert_array_equal(hidden, hidden_other)
    assert not np.array_equal(visible, visible_other)  # where they are shown they do enter


@pytest.mark.parametrize("t", range(1, EXPERIMENT.model.length))
def test_causality(trained, t):
    """A change of the inputs from ``t`` on changes no bit of the logits before ``t``."""
    x = trained.batch.inputs
    changed = x.at[..., t:].set((x[..., t:] + 5) % EXPERIMENT.model.vocabulary)
    before, after = logits(trained, x), logits(trained, changed)
    np.testing.assert_array_equal(before[..., :t, :], after[..., :t, :])
    assert not np.array_equal(before[..., t, :], after[..., t, :])


def test_stateless_evaluation(trained):
    """An evaluation leaves no trace in a later one, and no sequence affects another."""
    x = trained.batch.inputs
    first = logits(trained, x)
    logits(trained, (x + 1) % EXPERIMENT.model.vocabulary)
    np.testing.assert_array_equal(first, logits(trained, x))
    # One sequence among others is predicted as it is among others still: nothing passes from row to row either.
    np.testing.assert_allclose(logits(trained, x[:, ::-1])[:, ::-1], first, rtol=1e-6, atol=1e-5)


@cache
def updated(observation):
    """Return the priors after an epoch in which the observation is reduced in this way."""
    experiment = replace(EXPERIMENT, model=Model(observation=observation), epochs=1)
    state = jax.jit(experiment.init)(jax.random.key(3))
    return jax.tree.leaves(jax.jit(experiment.epoch)(state, jax.random.key(0))[0].priors)


@pytest.mark.parametrize("reduced", ["mean", "sum/(B N)"])
def test_observation_reductions(reduced):
    """The two normalisations of the observation give the same update, and the sum another."""
    listed, loops, summed = updated("sum/(B N)"), updated(reduced), updated("sum")
    for a, b in zip(listed, loops, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)
    assert max(np.abs(a - b).max() for a, b in zip(listed, summed, strict=True)) > 1e-3


# What the program is made of


def equations(jaxpr):
    """Yield every equation of a program, including those of inner programs."""
    for equation in jaxpr.eqns:
        yield equation
        for value in jax.tree.leaves(equation.params, is_leaf=lambda v: isinstance(v, Jaxpr | ClosedJaxpr)):
            if isinstance(value, Jaxpr | ClosedJaxpr):
                yield from equations(value.jaxpr if isinstance(value, ClosedJaxpr) else value)


def program(experiment):
    state = jax.eval_shape(experiment.init, jax.random.key(0))
    return state, jax.make_jaxpr(experiment.epoch)(state, jax.random.key(0)).jaxpr


def settlings(experiment):
    """Return the loops over inference steps: the shapes that each carries, how much it stacks, and whether it runs backwards."""
    loops = []
    for equation in equations(program(experiment)[1]):
        assert equation.primitive.name != "while"  # a loop that a look at scans would miss
        if equation.primitive.name == "scan" and equation.params["length"] == experiment.model.steps:
            carried, constants = equation.params["num_carry"], equation.params["num_consts"]
            shapes = sorted(v.aval.shape for v in equation.invars[constants : constants + carried])
            loops.append((shapes, len(equation.outvars) - carried, equation.params["reverse"]))
    return loops


DIFFERENT_LENGTHS = replace(EXPERIMENT, steps_per_epoch=7)  # so that a loop's length tells which one it is


def differentiated(experiment):
    m = experiment.model
    belief = sorted([(m.layers, experiment.batch_size, m.length, k) for k in (1, m.dim)])
    return [loop for loop in settlings(experiment) if loop != (belief, 0, False)]


def test_no_differentiation():
    """Training does not differentiate through inference: each loop carries one belief, stacks nothing, and runs forwards.

    Reverse-mode differentiation of a loop stacks what the backward pass needs and adds a loop that runs backwards; forward mode
    carries tangents.
    """
    assert len(settlings(DIFFERENT_LENGTHS)) == 3  # targets hidden, targets shown, and the check
    assert differentiated(DIFFERENT_LENGTHS) == []


def test_differentiation_detected():
    """The test above detects differentiation through inference, in reverse and in forward mode."""
    assert any(backwards for *_, backwards in differentiated(replace(DIFFERENT_LENGTHS, learning=Backprop())))

    class Forward(Overfit):
        def epoch(self, state, key):
            def loss(scale):
                scaled = state._replace(priors=jax.tree.map(lambda p: scale * p, state.priors))
                model = self.model_at(scaled)
                return jnp.sum(predict(model, state.batch.inputs, model.frame()))

            return state, {"slope": jax.jvp(loss, (1.0,), (1.0,))[1]}

    assert differentiated(Forward(steps_per_epoch=7))


def test_training_state():
    """A training step passes only the priors to the next, beside constants: no optimiser state."""
    state, jaxpr = program(DIFFERENT_LENGTHS)
    assert jax.tree.leaves(state.memory) == []
    (training,) = [e for e in equations(jaxpr) if e.primitive.name == "scan" and e.params["length"] == 7]
    constants, carried = training.params["num_consts"], training.params["num_carry"]
    handed_on = sorted(str(v.aval) for v in training.invars[constants : constants + carried])
    unchanging = [*state.batch, state.initial_distance]
    allowed = [*jax.tree.leaves(state.priors), *unchanging]
    short = sorted(jax.core.ShapedArray(leaf.shape, leaf.dtype).str_short() for leaf in allowed)
    assert [name for name in handed_on if name not in short] == []
    assert len(handed_on) <= len(allowed)
    with_optimiser = jax.eval_shape(replace(DIFFERENT_LENGTHS, learning=Backprop()).init, jax.random.key(0))
    assert len(jax.tree.leaves(with_optimiser.memory)) > 0
    assert jax.tree.leaves(jax.eval_shape(Overfit(learning=FreeEnergy(lag=2)).init, jax.random.key(0)).memory)
