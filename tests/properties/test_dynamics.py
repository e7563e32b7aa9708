"""Laws of the dynamics: on the sphere, initially the identity but not a dead end, and one step of their flow."""

from dataclasses import replace
from functools import reduce
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from draws import generators, norm, on_sphere
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st
from precision import DOUBLE, SINGLE, compiled

from ladder.studies.geometry.sphere import normalise, project, retract
from ladder.studies.manifoldformer import MINIMAL, Coupling, Flow, Identity, Memory, Residual
from ladder.studies.manifoldformer.coupling import coupling
from ladder.studies.manifoldformer.dynamics import Init
from ladder.studies.manifoldformer.memory import causal_convolution

TIME, DIM = 6, 4
PROJECTIONS = Coupling(between="projections", lag="none")
# Every kind of dynamics that can start at nothing, and the parameters in which it then has a gradient.
KINDS = {
    "residual": (Residual(), ["step"]),
    "flow": (Flow(), ["memory", "coupling.out"]),
    "drift": (MINIMAL, ["drift"]),
    "power law": (
        Flow(coupling=None, memory=Memory(kernel="power law", projection=True)),
        ["memory.projection"],
    ),
    "frozen": (
        Flow(coupling=None, memory=Memory(kernel="power law", trained=False, projection=True)),
        ["memory.projection"],
    ),
    "projections": (Flow(memory=None, coupling=PROJECTIONS, substeps=2), ["coupling.out"]),
    "all by Euler": (
        Flow(drift=True, memory=Memory(taps=3, projection=True), coupling=PROJECTIONS, integrator="euler", substeps=2),
        ["memory.projection", "coupling.out", "drift"],
    ),
}
shapes = st.sampled_from([(TIME, DIM), (3, TIME, DIM)])
kinds = pytest.mark.parametrize("kind", KINDS)


def built(dynamics, init, key, length=TIME, dim=DIM):
    return replace(dynamics, init=init).build(length, dim, nnx.Rngs(key))


@compiled
def all_moved(z, key):
    """Move the trajectory by each kind of dynamics, at each initialisation."""
    return {
        (kind, init): built(dynamics, init, key)(z) for kind, (dynamics, _) in KINDS.items() for init in get_args(Init)
    } | {("identity", ""): Identity().build(TIME, DIM, nnx.Rngs(key))(z)}


@given(generators, shapes)
def test_initial_value(rng, shape):
    """Zero-initialised dynamics return the trajectory bit for bit; randomly initialised ones move it on the sphere."""
    z = SINGLE.round(on_sphere(rng, shape))
    moved = all_moved(z, jax.random.key(rng.integers(2**31)))
    np.testing.assert_array_equal(moved["identity", ""], z)
    for kind in KINDS:
        np.testing.assert_array_equal(moved[kind, "zero"], z, err_msg=kind)
        assert (np.abs(norm(moved[kind, "random"]) - 1.0) <= 40 * DIM * SINGLE.unit).all(), kind
        assert (norm(np.asarray(moved[kind, "random"]) - z) > 1e-3).any(), kind


@given(generators)
def test_definitions(rng):
    """Residual dynamics and a full RK4 step equal their formulas."""
    z = SINGLE.round(on_sphere(rng, (TIME, DIM)))
    key = jax.random.key(rng.integers(2**31))
    actual, expected = steps(z, key, np.float32(rng.uniform(-2, 2)))
    for ours, written in zip(actual, expected, strict=True):
        np.testing.assert_allclose(ours, written, rtol=0, atol=200 * SINGLE.unit)


@compiled
def steps(z, key, lag):
    residual, full = built(Residual(), "random", key), built(Flow(), "random", key)
    full.coupling.lag.set_value(lag)
    for dense in (full.coupling.out, residual.step):
        dense.bias.set_value(jnp.arange(1.0, DIM + 1.0))
    memory = causal_convolution(z, full.memory.kernel[...])

    def slope(q):
        """Compute the tangent force on a query; memory and keys stay at z."""
        force = coupling(q, z, lag) @ full.coupling.out.kernel[...] + full.coupling.out.bias[...].reshape(1, -1)
        return project(q, memory + force)

    k1 = slope(z)
    k2 = slope(retract(z, k1 / 2))
    k3 = slope(retract(z, k2 / 2))
    k4 = slope(retract(z, k3))
    stepped = normalise(z + (k1 + 2 * k2 + 2 * k3 + k4) / 6)
    cell = normalise(z + z @ residual.step.kernel[...] + residual.step.bias[...].reshape(1, -1))
    return (residual(z), full(z)), (cell, stepped)


def test_initialisation():
    """Randomly initialised kernels are LeCun-normal, of as many inputs as they sum over.

    The memory's kernel sums over taps, each Dense over latent coordinates.
    """
    length, dim = 200, 100
    config = Flow(drift=True, memory=Memory(projection=True), coupling=Coupling(between="projections"))
    full = nnx.jit(lambda: built(config, "random", jax.random.key(0), length, dim))()
    dense = (full.memory.projection, full.coupling.out, full.coupling.query, full.coupling.key, full.drift)
    for kernel, fan_in in [(full.memory.kernel, length), *((layer.kernel, dim) for layer in dense)]:
        assert float(jnp.std(kernel[...])) == pytest.approx(
            fan_in**-0.5, rel=0.03
        )  # of 10000 values: 0.7 %, four times
    assert full.memory.kernel[...].shape == (length, dim)
    assert full.coupling.lag[...] == 0.0


@kinds
def test_gradient_at_zero(kind):
    """Zero-initialised dynamics are not a dead end: the loss has a gradient in the last kernel of every force."""
    z = normalise(jax.random.normal(jax.random.key(1), (TIME, DIM)))
    dynamics, learning = KINDS[kind]
    graph, params = nnx.split(nnx.jit(lambda: built(dynamics, "zero", jax.random.key(0)))())
    slope = compiled(jax.grad(lambda params: jnp.sum(nnx.merge(graph, params)(z) ** 3)))(params)
    for path in learning:
        weight = reduce(lambda tree, name: tree[name], path.split("."), slope)["kernel"]
        assert float(jnp.abs(weight[...]).max()) > 1e-3, path


def test_constant_memory():
    """A step with constant memory alone is the flow towards it, which has a closed form."""
    angle = np.arccos(0.6)
    moved = pulled(SINGLE.round(np.array([[0.6, 0.8, 0.0]])), SINGLE.round(np.array([[0.1 / 0.6, 0.0, 0.0]])))
    # Its only tap sees z itself: the memory is 0.1 times the first axis. The angle to it obeys a' = -0.1 sin(a), so
    # tan(a / 2) shrinks by exp(-0.1). One RK4 step is off by 0.1^5.
    angle = 2 * np.arctan(np.tan(angle / 2) * np.exp(-0.1))
    np.testing.assert_allclose(moved[0], [np.cos(angle), np.sin(angle), 0.0], rtol=0, atol=0.1**5)


@compiled
def pulled(z, memory):
    full = built(Flow(), "zero", jax.random.key(0), 1, 3)
    full.memory.kernel.set_value(memory)
    return full(z)


ORDERS = {"rk4": 4, "euler": 1}
FIELD = Flow(drift=True, memory=Memory(taps=3), coupling=None, init="random", step=0.2)


@compiled
def refined(z):
    """Integrate the same interval by each integrator in 1, 2 and 4 steps, and by RK4 in 16."""
    flows = {
        (name, n): replace(FIELD, integrator=name, step=FIELD.step / n, substeps=n)
        for name in ORDERS
        for n in (1, 2, 4)
    }
    flows["rk4", 16] = replace(FIELD, step=FIELD.step / 16, substeps=16)
    return {name: flow.build(TIME, DIM, nnx.Rngs(0))(z) for name, flow in flows.items()}


@pytest.mark.parametrize("integrator", ORDERS)
def test_convergence(integrator):
    """More and smaller steps converge to one flow at the order of the integrator.

    The memory is that of the encoded trajectory, whatever the step: otherwise there would be no common flow.
    """
    with DOUBLE.on():
        actual = refined(np.asarray(on_sphere(np.random.default_rng(0), (TIME, DIM)), float))
    error = [np.linalg.norm(actual[integrator, n] - actual["rk4", 16]) for n in (1, 2, 4)]
    assert error[0] < 0.3
    orders = np.log2(np.array(error[:-1]) / error[1:])
    np.testing.assert_allclose(orders, ORDERS[integrator], rtol=0, atol=0.35)


@compiled
def minimal(z):
    built = MINIMAL.build(TIME, DIM, nnx.Rngs(0))
    return built(z), built.drift.kernel[...]


@given(generators)
def test_minimal_step(rng):
    """``MINIMAL`` is ``(z + 0.1 v) / |z + 0.1 v|`` with ``v`` the tangent part of ``W z``."""
    z = SINGLE.round(on_sphere(rng, (TIME, DIM)))
    actual, kernel = minimal(z)
    v = z @ kernel
    v = v - np.sum(z * v, axis=-1, keepdims=True) * z
    expected = (z + 0.1 * v) / np.linalg.norm(z + 0.1 * v, axis=-1, keepdims=True)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=20 * SINGLE.unit)


@compiled
def summed(z, lag):
    """Return a step of a flow with all forces, and the sum of its forces computed one by one."""
    built = Flow(drift=True, coupling=Coupling(between="projections"), integrator="euler", step=0.3).build(
        TIME, DIM, nnx.Rngs(0)
    )
    built.coupling.lag.set_value(lag)
    query, key = (normalise(layer(z)) for layer in (built.coupling.query, built.coupling.key))
    coupled = built.coupling.out(coupling(query, key, lag))
    return built(z), causal_convolution(z, built.memory.kernel[...]) + coupled + z @ built.drift.kernel[...]


@given(generators, st.floats(-2.0, 2.0))
def test_sum_of_forces(rng, lag):
    """The field is the tangent part of the sum of all forces."""
    z = SINGLE.round(on_sphere(rng, (TIME, DIM)))
    actual, force = summed(z, np.float32(lag))
    force = force - np.sum(force * z, axis=-1, keepdims=True) * z
    moved = z + 0.3 * force
    np.testing.assert_allclose(
        actual, moved / np.linalg.norm(moved, axis=-1, keepdims=True), rtol=0, atol=200 * SINGLE.unit
    )
