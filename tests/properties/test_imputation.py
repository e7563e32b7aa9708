"""The roll-outs against a loop over growing sequences, on trajectories whose continuation is known, and what they look at."""

import re
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from precision import compiled

from ladder.studies.manifoldformer import (
    Annealed,
    Causal,
    Coupling,
    Dynamic,
    Fixed,
    Flow,
    Learned,
    ManifoldFormer,
    Memory,
    Model,
    Pointwise,
    Residual,
    Static,
)
from ladder.studies.manifoldformer.imputation import fill, latent_rollout, measure, phase_error, signal_rollout
from ladder.studies.manifoldformer.sampling import draw

LENGTH, CHANNELS, START, STEPS = 9, 3, 5, 3
ROLLOUTS = {"latent": latent_rollout, "signal": signal_rollout}
# Rounding of the memory's FFT, which the roll-outs do without, and what a few steps of these models make of it; a wrong
# tap, key, rotation or noise changes a prediction by 1e-3 or more.
CLOSE = 2e-5
ways = pytest.mark.parametrize("how", ROLLOUTS)

FRACTIONAL = Flow(
    drift=True,
    memory=Memory(kernel="power law", trained=False, projection=True, taps=3),
    coupling=Coupling(between="projections", lag="none"),
    integrator="euler",
    substeps=2,
)
LONG = Flow(memory=Memory(taps=2 * LENGTH), integrator="euler", step=0.5)
CONTEXTS = ("velocity", "end points", "covariance")
MODELS = {
    "flat": Model(encoder=Causal(features=5, taps=2, dilations=(1, 2)), sampling=Learned()),
    "flow": Model(latent="sphere", encoder=Causal(), dynamics=Flow(), sampling=Fixed(sigma=0.3), alignment=Static()),
    "fractional": Model(latent="sphere", dynamics=FRACTIONAL),
    "long": Model(latent="sphere", dynamics=LONG, alignment=Dynamic()),
    "spectrum": Model(latent="sphere", fourier_branch=True, dynamics=Residual(), sampling=Annealed(start=1.0, end=0.2)),
} | {of: Model(latent="sphere", dynamics=Residual(), alignment=Dynamic(context=of)) for of in CONTEXTS}
models = pytest.mark.parametrize("name", MODELS)


@cache
def shape(wanted):
    return nnx.split(nnx.eval_shape(lambda: wanted.build(LENGTH, CHANNELS, jax.random.key(0))))


def built(name, seed=0):
    """Every parameter is random: those that start at zero would hide what they multiply."""
    rng, (graph, params) = np.random.default_rng(seed), shape(MODELS.get(name, name))
    return nnx.merge(
        graph,
        jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape) / max(p.shape[:1] or [4]) ** 0.5, p.dtype), params),
    )


def signals(*batch, time=LENGTH, seed=0):
    return np.random.default_rng(seed).normal(size=(*batch, time, CHANNELS)).astype(np.float32)


def both(model, context, key=None, steps=STEPS):
    """Both roll-outs, in one program."""
    graph, params = nnx.split(model)
    return program(both_rollouts, graph, steps)(params, context, key)


@cache
def program(function, graph, steps):
    return compiled(lambda params, context, key: function(nnx.merge(graph, params), context, steps, key))


def both_rollouts(*args):
    return {how: rollout(*args) for how, rollout in ROLLOUTS.items()}


def both_loops(model, context, steps, key):
    """Growing sequences through all of the model, and what the model itself makes of the context."""
    known = context.shape[-2]

    def moved(z):
        return model.dynamics(z)[..., -1:, :]

    def aligned(x):
        mean, sigma = model.encode(x)
        if sigma is not None and key is not None:
            drawn = draw(mean[..., :known, :], sigma[..., :known, :], key, model.wanted.latent)[0]
            mean = jnp.concatenate([drawn, mean[..., known:, :]], axis=-2)
        return model.align(mean)[0]

    z, x = aligned(context), context
    for _ in range(steps):
        z = jnp.concatenate([z, moved(z)], axis=-2)
        x = jnp.concatenate([x, model.decoder(moved(aligned(x)))], axis=-2)
    return {"latent": model.decoder(z[..., -steps:, :]), "signal": x[..., -steps:, :]}, model(context, key).signal


@models
def test_they_are_loops_over_growing_sequences_and_begin_with_the_models_own_prediction(name):
    model, context, key = built(name), signals(2, time=START), jax.random.key(3)
    graph, params = nnx.split(model)
    expected, own = program(both_loops, graph, STEPS)(params, context, key)
    for how, found in both(model, context, key).items():
        assert found.shape == (2, STEPS, CHANNELS)
        np.testing.assert_allclose(found, expected[how], rtol=0, atol=CLOSE)
        np.testing.assert_allclose(found[:, 0], own[:, -1], rtol=0, atol=CLOSE)


@pytest.mark.parametrize("name", ["flat", "spectrum"])
def test_the_noise_is_of_the_key_and_without_one_there_is_none(name):
    model, context = built(name), signals(time=START)
    drawn = [both(model, context, key) for key in map(jax.random.key, (3, 3, 4))]
    mean = both(model, context)
    graph, params = nnx.split(model)
    expected = program(both_loops, graph, STEPS)(params, context, None)[0]
    for how in ROLLOUTS:
        np.testing.assert_allclose(mean[how], expected[how], rtol=0, atol=CLOSE)
        np.testing.assert_array_equal(drawn[0][how], drawn[1][how])
        for other in (drawn[2], mean):
            assert (np.abs(drawn[0][how] - other[how]) > 1e-3).any()


@pytest.mark.parametrize("name", ["flow", "spectrum", "covariance"])
def test_a_batch_is_its_sequences(name):
    model, contexts = built(name), signals(2, 2, time=START)
    together = both(model, contexts)
    for where in np.ndindex(2, 2):
        for how, alone in both(model, contexts[where]).items():
            assert alone.shape == (STEPS, CHANNELS)
            np.testing.assert_allclose(together[how][where], alone, rtol=0, atol=CLOSE)


def test_models_may_be_mapped_over_and_learn_through_every_step():
    wanted = Model(latent="sphere", dynamics=Flow(coupling=None, integrator="euler"))
    context, each = jnp.asarray(signals(time=START)), [built(wanted, seed) for seed in (0, 1)]
    graph = shape(wanted)[0]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(nnx.split(model)[1] for model in each))

    def ends(rolled, params):
        found = rolled(nnx.merge(graph, params), context, STEPS, None)
        return jnp.stack([jnp.sum(found[how][-1] ** 2) for how in ROLLOUTS]), found

    @compiled
    def mapped(params):
        slopes = [
            jax.vmap(jax.jacrev(partial(ends, rolled), has_aux=True))(params)[0]
            for rolled in (both_rollouts, lambda *args: both_loops(*args)[0])
        ]
        return jax.vmap(partial(ends, both_rollouts))(params)[1], *slopes

    found, slopes, expected = mapped(stacked)
    for n, model in enumerate(each):
        for how, alone in both(model, context).items():
            np.testing.assert_allclose(found[how][n], alone, rtol=0, atol=CLOSE)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=0, atol=100 * CLOSE), slopes, expected)
    taps = np.abs(slopes["dynamics"]["memory"]["kernel"][...]).max(axis=-1)
    reach = START + STEPS - 1  # from the last point moved to the first sample
    assert (taps[..., :reach] > 1e-3).all()
    assert (taps[..., reach:] == 0.0).all()


@ways
def test_it_is_traced_once_for_each_shape(how, monkeypatch):
    """Whatever the weights, the values of the context and the noise."""
    wanted = Model(sampling=Learned(), latent_dim=5)  # no other test's, which would have been traced already
    traced, encode = [], ManifoldFormer.encode
    monkeypatch.setattr(ManifoldFormer, "encode", lambda *args: traced.append(1) or encode(*args))

    def traces(seed, time):
        before = len(traced)
        ROLLOUTS[how](built(wanted, seed), signals(time=time, seed=seed), STEPS, jax.random.key(seed))
        return len(traced) - before

    assert traces(0, START) > 0
    assert traces(1, START) == 0
    assert traces(1, START + 1) > 0


@pytest.mark.parametrize(("start", "stop"), [(START, START + 1), (3, 6), (1, LENGTH)])
def test_a_gap_is_filled_from_what_is_before_it(start, stop):
    """Were anything else looked at, the gap would be filled with what is written there: nothing."""
    model, whole, unknown = built("spectrum"), signals(2), signals(2)
    unknown[:, start:] = np.nan
    expected = both(model, whole[:, :start], steps=stop - start)

    @compiled
    def filled(signal):
        return {how: fill(model, signal, start, stop, how) for how in ROLLOUTS}

    for signal in (whole, unknown):
        for how, found in filled(signal).items():
            np.testing.assert_array_equal(found[:, :start], whole[:, :start])
            np.testing.assert_array_equal(found[:, stop:], signal[:, stop:])
            np.testing.assert_allclose(found[:, start:stop], expected[how], rtol=0, atol=CLOSE)


def test_a_gap_is_filled_in_the_way_and_with_the_noise_asked_for():
    model, whole, key = built("spectrum"), signals(), jax.random.key(3)
    stop = START + STEPS
    found = {how: np.asarray(fill(model, whole, START, stop, how, key)[START:stop]) for how in ROLLOUTS}
    for how, expected in both(model, whole[:START], key).items():
        np.testing.assert_allclose(found[how], expected, rtol=0, atol=CLOSE)
    assert (np.abs(found["latent"] - found["signal"]).max(axis=-1) > 1e-3)[1:].all()
    np.testing.assert_array_equal(fill(model, whole, START, stop, key=key)[START:stop], found["latent"])


def test_whole_numbers_are_continued_as_numbers_are():
    """What is predicted is put behind the context: in whole numbers it would be cut off."""
    model = built("spectrum")
    context = np.round(9 * signals()[:START]).astype(np.int16)
    for how, found in both(model, context).items():
        np.testing.assert_array_equal(found, ROLLOUTS[how](model, context.astype(np.float32), STEPS))
        assert found.dtype == jnp.float32


@pytest.mark.ill_typed
@ways
@pytest.mark.parametrize(
    ("shape", "steps", "reason"),
    [
        ((CHANNELS,), 1, "give at least one sample of"),
        ((0, CHANNELS), 1, "give at least one sample of"),
        (
            (START, CHANNELS + 1),
            1,
            f"context of shape ({START}, {CHANNELS + 1})): give at least one sample of {CHANNELS} channels",
        ),
        ((START, CHANNELS), 0, "(steps=0): predict a whole number of samples, at least 1"),
        ((START, CHANNELS), 2.5, "(steps=2.5): predict a whole number"),
    ],
)
def test_a_context_that_cannot_be_continued_is_refused(how, shape, steps, reason):
    with pytest.raises(ValueError, match=re.escape(reason)):
        ROLLOUTS[how](built("spectrum"), jnp.zeros(shape), steps)


def transparent(dynamics):
    """A model that encodes and decodes points of the sphere as themselves: ``relu(x) - relu(-x)``."""
    wanted = Model(
        encoder=Pointwise(features=2 * DIM), latent="sphere", latent_dim=DIM, dynamics=dynamics, decoder=2 * DIM
    )
    graph, params = nnx.split(nnx.eval_shape(lambda: wanted.build(ORBIT, DIM, jax.random.key(0))))
    model = nnx.merge(graph, jax.tree.map(lambda p: jnp.zeros(p.shape, p.dtype), params))
    signs = np.concatenate([np.eye(DIM), -np.eye(DIM)]).astype(np.float32)
    for first, second in [(model.encoder.hidden, model.mean), (model.decoder.hidden, model.decoder.out)]:
        first.kernel.set_value(jnp.asarray(signs.T))
        second.kernel.set_value(jnp.asarray(signs))
    return model


DIM, ORBIT, ANGLE, OTHER = 4, 40, 0.3, 0.7


def turning(a, b):
    """The rotation of two planes by these angles, of row vectors."""
    turn = np.zeros((DIM, DIM))
    for where, angle in ((0, a), (2, b)):
        c, s = np.cos(angle), np.sin(angle)
        turn[where : where + 2, where : where + 2] = [[c, s], [-s, c]]
    return turn


def cell():
    """``z + z (R - 1)``, by a different angle in each plane."""
    model = transparent(Residual())
    model.dynamics.step.kernel.set_value(jnp.asarray(turning(ANGLE, OTHER) - np.eye(DIM), jnp.float32))
    return model, turning(ANGLE, OTHER)


def drift():
    """An Euler step along a skew field goes up the tangent: of length tan(angle) it turns by the angle."""
    step = 0.1
    model = transparent(Flow(drift=True, memory=None, coupling=None, integrator="euler", step=step))
    skew = (turning(ANGLE, ANGLE) - turning(-ANGLE, -ANGLE)) / (2 * np.cos(ANGLE))
    model.dynamics.drift.kernel.set_value(jnp.asarray(skew / step, jnp.float32))
    return model, turning(ANGLE, ANGLE)


def inertia():
    """Away from the sample before: its part tangent here is sin(angle) long, and tan(angle) is needed.

    It goes on along any great circle, at this speed: what it remembers must be the sample before, and no other.
    """
    model = transparent(Flow(memory=Memory(taps=2), coupling=None, integrator="euler"))
    before = jnp.full((DIM,), -1.0 / np.cos(ANGLE), jnp.float32)
    model.dynamics.memory.kernel.set_value(jnp.stack([jnp.zeros(DIM), before]))
    return model, turning(ANGLE, ANGLE)


@pytest.mark.parametrize("dynamics", [cell, drift, inertia])
def test_an_exact_rotation_continues_a_rotating_trajectory(dynamics):
    model, turn = dynamics()
    first = np.random.default_rng(0).normal(size=DIM)
    orbit = [first / np.linalg.norm(first)]
    for _ in range(ORBIT - 1):
        orbit.append(orbit[-1] @ turn)
    orbit = np.array(orbit, np.float32)
    for found in both(model, orbit[:2], steps=ORBIT - 2).values():
        # Each step rounds some ten times, and an error of the angle grows with the square of the steps.
        np.testing.assert_allclose(found, orbit[2:], rtol=0, atol=10 * ORBIT**2 * 2.0**-24)
        gap = measure(jnp.asarray(found), jnp.asarray(orbit[2:]))
        assert gap["gap_mse"] < 1e-6
        assert gap["gap_amplitude"] == pytest.approx(1.0, abs=1e-3)
        assert gap["gap_phase"] == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize("angle", [-2.0, 0.0, 0.5, 3.0])
def test_the_phase_error_is_the_angle_that_every_tone_is_ahead_by(angle):
    rng, time = np.random.default_rng(0), np.arange(16)[:, None]
    size, start = rng.uniform(0.1, 1.0, size=(3, CHANNELS)), rng.uniform(0, 6, size=(3, CHANNELS))

    def tones(ahead):
        each = zip((1, 3, 6), size, start, strict=True)
        return jnp.asarray(sum(a * np.cos(2 * np.pi * n * time / 16 + b + ahead) for n, a, b in each))

    found = phase_error(jnp.stack([tones(angle), 2 * tones(0)]), jnp.stack([tones(0), tones(angle)]))
    np.testing.assert_allclose(found, [angle, -angle], rtol=0, atol=1e-5)
    assert phase_error(jnp.zeros((16, CHANNELS)), tones(0)) == 0.0


def test_the_phase_error_counts_tones_by_their_energy():
    time = 2 * np.pi * np.arange(16)[:, None] / 16
    target = np.concatenate([2 * np.cos(time), np.cos(3 * time)], axis=-1)
    predicted = np.concatenate([2 * np.cos(time + 0.5), np.cos(3 * time - 1.0)], axis=-1)
    expected = np.angle(4 * np.exp(0.5j) + np.exp(-1.0j))
    assert phase_error(jnp.asarray(predicted), jnp.asarray(target)) == pytest.approx(expected, abs=1e-5)


def test_a_gap_is_measured_sequence_by_sequence():
    target = signals(2, 3)
    found = measure(jnp.asarray(-2 * target), jnp.asarray(target))
    assert {name: value.shape for name, value in found.items()} == dict.fromkeys(
        ("gap_mse", "gap_amplitude", "gap_phase"), (2, 3)
    )
    np.testing.assert_allclose(found["gap_mse"], 9 * np.mean(target**2, axis=(-2, -1)), rtol=1e-5)
    np.testing.assert_allclose(found["gap_amplitude"], 2.0, rtol=1e-5)
    np.testing.assert_allclose(np.abs(found["gap_phase"]), np.pi, rtol=1e-5)


@pytest.mark.parametrize(
    ("start", "stop", "fix"),
    [
        (0, 3, r"start=0.*nothing is known.*at 1 or later"),
        (-2, 3, r"start=-2.*at 1 or later"),
        (4, 4, r"stop=4.*empty.*at 5 or later"),
        (4, 2, r"stop=2.*empty"),
        (4, LENGTH + 1, rf"stop={LENGTH + 1}.*{LENGTH} samples.*at {LENGTH} or earlier"),
        (LENGTH, LENGTH + 1, rf"{LENGTH} samples"),
    ],
)
def test_a_gap_that_makes_no_sense_is_refused(start, stop, fix):
    with pytest.raises(ValueError, match=fix):
        fill(built("flat"), signals(), start, stop)


@pytest.mark.ill_typed
def test_another_way_is_refused():
    with pytest.raises(ValueError, match=r"how='both'.*'latent', 'signal'"):
        fill(built("flat"), signals(), 1, 2, "both")


def test_a_fourier_branch_takes_no_more_than_it_was_built_for():
    """All but the last prediction are encoded in the signal, and the context alone in the latent."""
    model, longer = built("spectrum"), signals(time=LENGTH + 1)
    assert both(model, signals(), steps=1)["signal"].shape == (1, CHANNELS)
    for rollout, context, steps in ((signal_rollout, signals(), 2), (latent_rollout, longer, 1)):
        with pytest.raises(ValueError, match=rf"built for {LENGTH} samples, not {LENGTH + 1}"):
            rollout(model, context, steps)
    assert latent_rollout(model, signals(), 2).shape == (2, CHANNELS)


def test_memory_and_coupling_go_on_beyond_the_length_they_were_built_for():
    model, context = built("long"), signals(time=LENGTH + 1)
    graph, params = nnx.split(model)
    expected = program(both_loops, graph, STEPS)(params, context, None)[0]
    for how, found in both(model, context).items():
        np.testing.assert_allclose(found, expected[how], rtol=0, atol=CLOSE)
