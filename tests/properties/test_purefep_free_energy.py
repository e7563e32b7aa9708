"""Laws of the free energy and of the fast flow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from draws import generators, rotation
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st
from precision import DOUBLE, compiled

from ladder.studies.purefep import Model
from ladder.studies.purefep.beliefs import Belief, divergence
from ladder.studies.purefep.flow import settle, step
from ladder.studies.purefep.model import PureFEP

V, N, B, K = 5, 4, 3, 3

CONFIGS = {
    "recipe": Model(vocabulary=V, length=N, dim=K),
    "diagonal": Model(vocabulary=V, length=N, dim=K, covariance="diagonal"),
    "two layers": Model(vocabulary=V, length=N, dim=K, layers=2, kappa=0.5, alpha=0.7, lambda_obs=2.0, tau=0.5),
    "self-attention": Model(vocabulary=V, length=N, dim=K, self_attention=True, kappa=0.1),
    "position prior": Model(vocabulary=V, length=N, dim=K, prior="position", banks="tied"),
}
configs = pytest.mark.parametrize("name", CONFIGS)


def drawn(config, rng):
    """Draw the priors of a model, beliefs, inputs and one-hot targets."""
    graph, shapes = nnx.split(nnx.eval_shape(lambda: PureFEP(config, nnx.Rngs(0))))
    priors = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), shapes)
    spread = 1 if config.covariance == "isotropic" else config.dim
    q = Belief(
        rng.normal(size=(config.layers, B, N, config.dim)), rng.uniform(-1, 1, size=(config.layers, B, N, spread))
    )
    x, y = rng.integers(V, size=(2, B, N))
    return graph, priors, q, x, np.eye(V)[y]


def calls(method):
    """Return a method of the model as a function of graph, priors and the method's arguments."""
    return compiled(lambda graph, priors, *args: method(nnx.merge(graph, priors), *args), static_argnums=0)


terms = calls(lambda model, q, x, targets: model.terms(q, x, model.frame(), targets))
free_energy = calls(lambda model, q, x, targets: model.free_energy(q, x, model.frame(), targets))
logits = calls(lambda model, q: model.logits(q))
initial = calls(lambda model, x: model.initial(x))
stepped = calls(step)
settled_at = calls(lambda model, q, x: settle(model, q, x, model.frame()))


@calls
def moved(model, q, x, targets):
    """Return the beliefs after one step of the flow, and the first-order fall of the free energy."""
    gradient = jax.grad(model.free_energy)(q, x, model.frame(), targets)
    after = step(model, q, gradient)
    slopes = [g * (a - b) for g, a, b in zip(gradient, after, q, strict=True)]
    return after, sum(jnp.sum(slope, axis=(0, -1)) for slope in slopes)


def per_token(config, actual):
    return (
        config.alpha * actual.self_coupling
        + config.lambda_beta * actual.alignment
        + config.lambda_obs * actual.observation
    )


@configs
@given(generators)
def test_descent(name, rng):
    """The free energy of each token falls along its own step of the flow, by the first-order amount."""
    config = Model(**{**vars(CONFIGS[name]), "mean_rate": 1e-5, "variance_rate": 1e-5})
    graph, priors, q, x, y = drawn(config, rng)
    with DOUBLE.on():
        after, expected = moved(graph, priors, q, x, y)
        before = per_token(config, terms(graph, priors, q, x, y))
        for i in range(N):
            here = (np.arange(N) == i)[None, None, :, None]
            one = Belief(*(np.where(here, new, old) for new, old in zip(after, q, strict=True)))
            fall = per_token(config, terms(graph, priors, one, x, y))[:, i] - before[:, i]
            assert (fall < 0).all()
            # The second order is a rate times curvature, of up to 1e3, below the first.
            np.testing.assert_allclose(fall, expected[:, i], rtol=0.02, atol=1e-13)


@configs
@given(generators)
def test_causality(name, rng):
    """Neither the free energy of a token nor its step depends on a later token."""
    graph, priors, q, x, y = drawn(CONFIGS[name], rng)
    t = rng.integers(1, N)
    late = np.arange(N) >= t
    changed = Belief(*(part + late[:, None] for part in q))
    other = np.where(late, (x + 1) % V, x)
    with DOUBLE.on():
        plain, altered = terms(graph, priors, q, x, y), terms(graph, priors, changed, other, np.roll(y, 1, axis=-1))
        one, two = moved(graph, priors, q, x, y)[0], moved(graph, priors, changed, other, y)[0]
    for a, b in zip(plain[:2], altered[:2], strict=True):
        np.testing.assert_array_equal(a[:, :t], b[:, :t])
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a[:, :, :t], b[:, :, :t])


@given(generators)
def test_rotation_invariance(rng):
    """A rotation of the latent space leaves the free energy of isotropic beliefs unchanged."""
    graph, priors, q, x, y = drawn(CONFIGS["recipe"], rng)
    g = rotation(rng, K)
    turned = jax.tree.map(lambda prior: prior @ g.T, priors)
    phi = priors["phi"][...]
    turned["phi"][...] = g @ phi @ g.T
    with DOUBLE.on():
        plain = free_energy(graph, priors, q, x, y)
        actual = free_energy(graph, turned, Belief(q.mean @ g.T, q.log_variance), x, y)
    np.testing.assert_allclose(actual, plain, rtol=1e-11)


@given(generators)
def test_attention(rng):
    """The alignment of the first token is zero, and that of the second its divergence from the first."""
    config = CONFIGS["recipe"]
    graph, priors, q, x, y = drawn(config, rng)
    priors["phi"][...] = np.zeros_like(priors["phi"][...])
    with DOUBLE.on():
        actual = terms(graph, priors, q, x, y).alignment
    m, v = q.mean[0], q.log_variance[0]
    ratio = (v[:, 1] - v[:, 0])[:, 0]
    gap = np.sum((m[:, 1] - m[:, 0]) ** 2, axis=-1) * np.exp(-v[:, 0, 0])
    np.testing.assert_array_equal(actual[:, 0], 0)
    np.testing.assert_allclose(actual[:, 1], 0.5 * (K * (np.exp(ratio) - 1 - ratio) + gap), rtol=1e-11)


NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(100)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


@given(generators)
def test_evidence_bound(rng):
    """With the exact expectation, free energy is at least minus the log evidence, integrated for one token in one dimension."""
    config = Model(vocabulary=V, length=1, dim=1, lambda_beta=0.0)
    graph, priors, *_ = drawn(config, rng)
    x, y = rng.integers(V, size=2)
    q = Belief(rng.normal(size=(1, 1, 1, 1)), rng.uniform(-1, 0.5, size=(1, 1, 1, 1)))
    bank = priors["decode"][...][:, 0]
    prior = priors["encode"][...][x, 0] + priors["position"][...][0, 0, 0]

    def chance(z):
        density = np.exp(-0.5 * (z[:, None] - bank) ** 2)
        return density[:, y] / density.sum(axis=-1)

    evidence = WEIGHTS @ chance(prior + NODES)
    expected = -WEIGHTS @ np.log(chance(q.mean.item() + np.exp(q.log_variance.item() / 2) * NODES))
    with DOUBLE.on():
        parts = terms(graph, priors, q, np.array([[x]]), np.eye(V)[[[y]]])
    exact = parts.self_coupling.item() + expected
    assert exact >= -np.log(evidence) - 1e-6  # of the quadrature
    # The cross-entropy of the divergences' softmax leaves out Jensen's gap: it bounds the expected one from below.
    assert parts.observation.item() <= expected + 1e-6


@given(generators, st.sampled_from([1.0, 4.0]))
def test_tight_bound(rng, sharpness):
    """For a linear observation, whose posterior is Gaussian, the free energy of the posterior is minus the log evidence."""
    m, z_observed = rng.normal(size=2)
    posterior = Belief(np.array([(m + sharpness * z_observed) / (1 + sharpness)]), np.array([-np.log1p(sharpness)]))
    with DOUBLE.on():
        kl = float(divergence(posterior, Belief(np.array([m]), np.zeros(1))))
    residual = (posterior.mean[0] - z_observed) ** 2 + 1 / (1 + sharpness)
    expected = 0.5 * (sharpness * residual - np.log(sharpness / (2 * np.pi)))
    evidence = -0.5 * (np.log(2 * np.pi * (1 + 1 / sharpness)) + (z_observed - m) ** 2 / (1 + 1 / sharpness))
    np.testing.assert_allclose(kl + expected, -evidence, rtol=1e-10, atol=1e-12)


@given(generators)
def test_logits(rng):
    """A logit is minus the divergence from the token's prior, over the temperature."""
    config = CONFIGS["two layers"]
    graph, priors, q, *_ = drawn(config, rng)
    with DOUBLE.on():
        actual = logits(graph, priors, q)
    m, s = q.mean[-1][..., None, :], np.exp(q.log_variance[-1])[..., None, :]
    kl = 0.5 * np.sum(s + (m - priors["decode"][...]) ** 2 - 1 - np.log(s), axis=-1)
    np.testing.assert_allclose(actual, -kl / config.tau, rtol=1e-11)


@configs
@given(generators)
def test_trust_region(name, rng):
    """A step of a huge gradient has exactly the length of the trust region, in the Fisher metric."""
    config = CONFIGS[name]
    graph, priors, q, *_ = drawn(config, rng)
    wild = Belief(1e3 * rng.normal(size=q.mean.shape), 1e3 * rng.normal(size=q.log_variance.shape))
    with DOUBLE.on():
        far = stepped(graph, priors, q, wild)
        move = Belief(far.mean - q.mean, far.log_variance - q.log_variance)
        shared = config.dim / q.log_variance.shape[-1]
        squared = np.sum(move.mean**2 * np.exp(-q.log_variance), axis=-1)
        squared = squared + 0.5 * shared * np.sum(move.log_variance**2, axis=-1)
    np.testing.assert_allclose(np.sqrt(squared), config.trust, rtol=1e-9)


@given(generators)
def test_settling(rng):
    """Without alignment and observation, the flow settles at the prior."""
    config = Model(vocabulary=V, length=N, dim=K, lambda_beta=0.0, steps=200)
    graph, priors, q, x, _ = drawn(config, rng)
    with DOUBLE.on():
        settled = settled_at(graph, priors, q, x)
        best = initial(graph, priors, x)
    # With neither alignment nor observation the belief is the prior: the means' error falls by a tenth or more a step.
    np.testing.assert_allclose(settled.mean, best.mean, rtol=0, atol=1e-3)
