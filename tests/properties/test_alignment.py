"""Laws of the rotations between encoder and dynamics."""

from dataclasses import replace
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from draws import generators, on_sphere
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st
from precision import DOUBLE, SINGLE, compiled

from ladder.studies.manifoldformer import Dynamic, Model, Static
from ladder.studies.manifoldformer.alignment import Context, context, rotation

TIME, DIM = 6, 4
contexts = pytest.mark.parametrize("kind", get_args(Context))
summary = compiled(context, static_argnames="kind")
turned = compiled(rotation)


def by_hand(z, kind):
    """Compute the context of one trajectory."""
    if kind == "mean":
        return sum(z) / len(z)
    if kind == "velocity":
        return z[-1] - z[0]
    if kind == "end points":
        return np.array([*z[0], *z[-1]])
    return sum(np.outer(point, point) for point in z).reshape(-1) / len(z)


@contexts
@given(generators)
def test_contexts(kind, rng):
    """Each context equals its formula."""
    z = np.asarray(on_sphere(rng, (3, TIME, DIM)), float)
    with DOUBLE.on():
        actual = summary(z, kind=kind)
    np.testing.assert_allclose(actual, [by_hand(each, kind) for each in z], rtol=0, atol=1e-14)


@contexts
@given(generators, st.integers(1, TIME))
def test_context_length(kind, rng, length):
    """The context of the first ``length`` samples does not read the others."""
    z = np.asarray(on_sphere(rng, (TIME, DIM)), float)
    z[length:] = np.nan if kind in ("mean", "covariance") else 7.0
    with DOUBLE.on():
        actual = summary(z, kind=kind, length=jnp.asarray(length))
        sliced = summary(z[:length], kind=kind)
    np.testing.assert_allclose(actual, sliced, rtol=0, atol=1e-14)


def predictor(kind):
    """Return a fresh module's layers and its rotations: of the first 4 samples by ``length``, of these alone, and of all."""

    def call(z):
        aligner = Dynamic(context=kind, features=8).build(DIM, nnx.Rngs(0))
        layers = [(layer.kernel[...], layer.bias[...]) for layer in (aligner.hidden, aligner.out)]
        return layers, (aligner(z, 4), aligner(z[:, :4]), aligner(z))

    return compiled(call)


predicted = {kind: predictor(kind) for kind in get_args(Context)}


@contexts
def test_rotation_length(kind):
    """The predicted rotation of the first ``length`` samples does not read the others."""
    rng = np.random.default_rng(1)
    z = on_sphere(rng, (2, TIME, DIM)).astype(np.float32)
    written, sliced, whole = predicted[kind](z)[1]
    np.testing.assert_allclose(written, sliced, rtol=0, atol=1e-6)
    assert (np.abs(whole - sliced).max(axis=(-2, -1)) > 1e-4).all()


@given(generators, st.sampled_from([1e-3, 1.0, 30.0]))
def test_rotation(rng, scale):
    """For any weights, a rotation is orthogonal with determinant 1, and is the Cayley transform of ``W - W^T``."""
    w = scale * rng.normal(size=(3, DIM, DIM))
    with DOUBLE.on():
        actual = turned(w)
    a = w - np.swapaxes(w, -1, -2)
    identity = np.eye(DIM)
    np.testing.assert_allclose(np.swapaxes(actual, -1, -2) @ actual, np.tile(identity, (3, 1, 1)), rtol=0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(actual), 1.0, rtol=1e-11)
    np.testing.assert_allclose(actual, (identity - a) @ np.linalg.inv(identity + a), rtol=0, atol=1e-11)


def test_static_rotation():
    """A static rotation is initially the identity and has a gradient there."""
    aligner = Static().build(DIM, nnx.Rngs(0))
    graph, params = nnx.split(aligner)
    z = jnp.asarray(on_sphere(np.random.default_rng(0), (TIME, DIM)), jnp.float32)
    np.testing.assert_array_equal(aligner(z), np.eye(DIM))
    slope = compiled(jax.grad(lambda params: jnp.sum((z @ nnx.merge(graph, params)(z)) ** 3)))(params)
    assert float(jnp.abs(slope["weight"][...]).max()) > 1e-2


@contexts
@given(generators)
def test_dynamic_rotation(kind, rng):
    """A dynamic rotation is the Cayley transform of two Dense layers of the context."""
    z = SINGLE.round(on_sphere(rng, (2, TIME, DIM)))
    (hidden, out), (_, _, actual) = predicted[kind](z)
    for each, ours in zip(z.astype(float), actual, strict=True):
        w = (np.maximum(by_hand(each, kind) @ hidden[0] + hidden[1], 0) @ out[0] + out[1]).reshape(DIM, DIM)
        a = w - w.T
        expected = (np.eye(DIM) - a) @ np.linalg.inv(np.eye(DIM) + a)
        np.testing.assert_allclose(ours, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("config", [Static(), Dynamic(features=8)], ids=repr)
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_model(config, batch):
    """A model rotates its sampled latent, for any batch axes, and decodes the reconstruction without the rotation."""
    x = np.random.default_rng(0).normal(size=(*batch, TIME, 3)).astype(np.float32)

    @compiled
    def decoded(x):
        model = Model(latent="sphere", latent_dim=DIM, alignment=config).build(TIME, 3, jax.random.key(0))
        if isinstance(config, Static):
            model.alignment.weight.set_value(jnp.arange(DIM * DIM, dtype=jnp.float32).reshape(DIM, DIM) / 10)
        out = model(x)
        return out, model.decoder(out.sampled), model.decoder(out.moved)

    out, still, moved = decoded(x)
    np.testing.assert_allclose(out.aligned, out.sampled @ out.rotation, rtol=0, atol=1e-6)
    assert out.rotation.shape == ((DIM, DIM) if isinstance(config, Static) else (*batch, DIM, DIM))
    assert (np.abs(out.aligned - out.sampled).max(axis=(-2, -1)) > 1e-3).all()
    np.testing.assert_allclose(out.reconstruction, still, rtol=0, atol=1e-6)
    np.testing.assert_allclose(out.signal, moved, rtol=0, atol=1e-6)


def test_causality():
    """A model with a dynamic rotation or a Fourier branch is not causal, and any other is."""
    model = Model(latent="sphere", alignment=Static())
    assert model.causal
    assert not replace(model, alignment=Dynamic()).causal
    assert not replace(model, fourier_branch=True).causal
