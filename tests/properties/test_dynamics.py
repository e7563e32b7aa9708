"""Laws of the dynamics: on the sphere, the identity at zero but not a dead end there, and one step of the flow they name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from draws import generators, norm, on_sphere
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st
from precision import SINGLE, compiled

from ladder.geometry.sphere import normalise, project, retract
from ladder.manifoldformer import dynamics
from ladder.manifoldformer.coupling import coupling
from ladder.manifoldformer.dynamics import DYNAMICS, INITS, Full, Residual
from ladder.manifoldformer.memory import causal_convolution

TIME, DIM = 6, 4
KINDS = ["residual", "full"]
shapes = st.sampled_from([(TIME, DIM), (3, TIME, DIM)])


@compiled
def all_moved(z, key):
    """By each kind of dynamics, at each initialisation."""
    return {
        (kind, init): dynamics.build(kind, init, TIME, DIM, nnx.Rngs(key))(z) for kind in DYNAMICS for init in INITS
    }


@given(generators, shapes)
def test_they_start_at_nothing_to_the_bit_or_move_on_the_sphere(rng, shape):
    z = SINGLE.round(on_sphere(rng, shape))
    moved = all_moved(z, jax.random.key(rng.integers(2**31)))
    for kind in DYNAMICS:
        np.testing.assert_array_equal(moved[kind, "zero"], z)
    np.testing.assert_array_equal(moved["identity", "random"], z)
    for kind in KINDS:
        assert (np.abs(norm(moved[kind, "random"]) - 1.0) <= 40 * DIM * SINGLE.unit).all()
        assert (norm(np.asarray(moved[kind, "random"]) - z) > 1e-3).any()


@given(generators)
def test_they_are_what_their_docstrings_say(rng):
    z = SINGLE.round(on_sphere(rng, (TIME, DIM)))
    key = jax.random.key(rng.integers(2**31))
    found, expected = steps(z, key, np.float32(rng.uniform(-2, 2)))
    for ours, written in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, written, rtol=0, atol=200 * SINGLE.unit)


@compiled
def steps(z, key, lag):
    residual, full = Residual(DIM, "random", nnx.Rngs(key)), Full(TIME, DIM, "random", nnx.Rngs(key))
    full.lag.set_value(lag)
    for dense in (full.out, residual.step):
        dense.bias.set_value(jnp.arange(1.0, DIM + 1.0))
    memory = causal_convolution(z, full.memory[...])

    def slope(q):
        """Memory and keys stay at z; only the query moves."""
        force = coupling(q, z, lag) @ full.out.kernel[...] + full.out.bias[...].reshape(1, -1)
        return project(q, memory + force)

    k1 = slope(z)
    k2 = slope(retract(z, k1 / 2))
    k3 = slope(retract(z, k2 / 2))
    k4 = slope(retract(z, k3))
    stepped = normalise(z + (k1 + 2 * k2 + 2 * k3 + k4) / 6)
    cell = normalise(z + z @ residual.step.kernel[...] + residual.step.bias[...].reshape(1, -1))
    return (residual(z), full(z)), (cell, stepped)


def test_random_initialisation_is_lecun_normal():
    """Of as many inputs as the kernel sums over: taps for the memory, latent coordinates for the Dense."""
    length, dim = 200, 100
    full = nnx.jit(lambda: Full(length, dim, "random", nnx.Rngs(0)))()
    for kernel, fan_in in [(full.memory[...], length), (full.out.kernel[...], dim)]:
        assert float(jnp.std(kernel)) == pytest.approx(fan_in**-0.5, rel=0.03)  # of 10000 values: 0.7 %, four times
    assert full.memory[...].shape == (length, dim)
    assert full.lag[...] == 0.0


@pytest.mark.parametrize("kind", KINDS)
def test_zero_force_is_learned_from(kind):
    """At zero the step is the identity, but not a dead end: the loss has a gradient in the force's own parameters."""
    z = normalise(jax.random.normal(jax.random.key(1), (TIME, DIM)))
    graph, params = nnx.split(nnx.jit(lambda: dynamics.build(kind, "zero", TIME, DIM, nnx.Rngs(0)))())
    slope = compiled(jax.grad(lambda params: jnp.sum(nnx.merge(graph, params)(z) ** 3)))(params)
    weights = [slope["step"]["kernel"]] if kind == "residual" else [slope["memory"], slope["out"]["kernel"]]
    for weight in weights:
        assert float(jnp.abs(weight[...]).max()) > 1e-3


def test_a_step_of_constant_memory_alone_is_the_flow_towards_it():
    """Without coupling the field is the projection of a constant vector, whose flow is known in closed form."""
    angle = np.arccos(0.6)
    moved = pulled(SINGLE.round(np.array([[0.6, 0.8, 0.0]])), SINGLE.round(np.array([[0.1 / 0.6, 0.0, 0.0]])))
    # Its only tap sees z itself: the memory is 0.1 times the first axis. The angle to it obeys a' = -0.1 sin(a), so
    # tan(a / 2) shrinks by exp(-0.1). One RK4 step is off by 0.1^5.
    angle = 2 * np.arctan(np.tan(angle / 2) * np.exp(-0.1))
    np.testing.assert_allclose(moved[0], [np.cos(angle), np.sin(angle), 0.0], rtol=0, atol=0.1**5)


@compiled
def pulled(z, memory):
    full = Full(1, 3, "zero", nnx.Rngs(0))
    full.memory.set_value(memory)
    return full(z)
