"""The experiment against a training loop written by hand, and what its stages, tasks and means say they are."""

from dataclasses import replace
from functools import cache
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from precision import QUICK

from ladder.studies.manifoldformer import (
    Annealed,
    Gap,
    Learned,
    Model,
    Oscillators,
    Pointwise,
    Refine,
    Signals,
    losses,
    regularisers,
)
from ladder.studies.manifoldformer.data import Task
from ladder.studies.manifoldformer.experiments import OPTIMISERS
from ladder.studies.manifoldformer.imputation import latent_rollout, phase_error, signal_rollout
from ladder.studies.manifoldformer.published import CORE

KEY = jax.random.key(5)
PLAIN = Oscillators(
    data=Signals(length=8, batches=2),
    model=Model(encoder=Pointwise(features=5), latent="sphere", latent_dim=4, decoder=5),
    loss="mse + 0.5 entropy",
    batch_size=32,
    learning_rate=0.03,
    epochs=2,
    during="before",
)


@cache
def programs(experiment):
    return jax.jit(experiment.init, compiler_options=QUICK), jax.jit(experiment.epoch, compiler_options=QUICK)


def trained(experiment, state=None, epochs=None, **more):
    """The state after each epoch, and what each reports."""
    init, epoch = programs(experiment)
    state = (init(KEY) if state is None else state)._replace(**more)
    told = []
    for key in jax.random.split(KEY, epochs or experiment.epochs):
        state, report = epoch(state, key)
        told.append((state, {name: np.asarray(value) for name, value in report.items()}))
    return told


def by_hand(experiment, loss, epochs):
    """Every sequence of every batch, in order, with Adam; the losses before and after each step, and the last parameters."""
    data, task = experiment.data, experiment.task
    graph, params = experiment._graphdef, programs(experiment)[0](KEY).params
    adam = optax.adam(experiment.learning_rate)
    moments = adam.init(params)

    def mean(params, x):
        out = nnx.merge(graph, params)(x[:, :-1] if task == "next step" else x)
        return jnp.mean(loss(out, x[:, 1:] if task == "next step" else x))

    def follow(params, moments, slope):
        update, moments = adam.update(slope, moments)
        return optax.apply_updates(params, update), moments

    step, follow = (jax.jit(f, compiler_options=QUICK) for f in (jax.value_and_grad(mean), follow))
    before, after = [], []
    for _ in range(epochs):
        for start in range(0, data.sequences, experiment.batch_size):
            x = jnp.asarray(data.clean[data.drawn[start : start + experiment.batch_size]])
            value, slope = step(params, x)
            params, moments = follow(params, moments, slope)
            before.append(float(value))
            after.append(float(step(params, x)[0]))
    return np.reshape(before, (epochs, -1)), np.reshape(after, (epochs, -1)), params


def regularised(out, target):
    return losses.mse(out.signal, target) + 0.5 * regularisers.spectral_entropy(out.moved)


@pytest.fixture(scope="module")
def hand():
    return {task: by_hand(replace(PLAIN, task=task), regularised, PLAIN.epochs) for task in get_args(Task)}


@pytest.mark.parametrize(("task", "during"), [("identity", "before"), ("next step", "after")])
def test_training_is_adam_on_every_batch_and_its_means_are_those_of_the_losses_around_each_step(task, during, hand):
    before, after, params = hand[task]
    told = trained(replace(PLAIN, task=task, during=during))
    expected = before if during == "before" else after
    for epoch, (_, report) in enumerate(told):
        np.testing.assert_allclose(report["step_loss"], before[epoch], rtol=1e-4)
        np.testing.assert_allclose(report["during_loss"], expected[epoch].mean(), rtol=1e-4)
        same = report["reconstruction"] == pytest.approx(report["mse"], rel=1e-4)  # nothing moves it
        assert same == (task == "identity")
    assert not np.isclose(before.mean(), after.mean(), rtol=1e-3)
    for ours, theirs in zip(jax.tree.leaves(told[-1][0].params), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)


def test_metrics_are_means_over_the_training_set_after_the_epoch(hand):
    _, report = trained(PLAIN)[-1]
    x = PLAIN.data.clean[PLAIN.data.drawn]
    out = jax.jit(lambda params, x: nnx.merge(PLAIN._graphdef, params)(x))(hand["identity"][2], jnp.asarray(x))
    error = np.mean((np.asarray(out.signal) - x) ** 2)
    entropy = float(jnp.mean(regularisers.spectral_entropy(out.moved)))
    assert report["mse"] == pytest.approx(error, rel=1e-3)
    assert report["entropy"] == pytest.approx(entropy, rel=1e-3)
    assert report["loss"] == pytest.approx(error + 0.5 * entropy, rel=1e-3)


def test_from_its_epoch_on_the_second_stage_is_trained_on_and_reported():
    plain = replace(PLAIN, loss="mse", during="")
    (first, told), (second, told_second) = trained(replace(plain, refine=Refine(after=1, loss="spectral")))
    ((alone, _),) = trained(plain, epochs=1)
    # The second epoch's keys do not matter: nothing is drawn.
    ((followed, _),) = trained(replace(plain, loss="spectral"), first, epochs=1)
    ((not_followed, _),) = trained(plain, first, epochs=1)

    def distance(one, other):
        pairs = zip(jax.tree.leaves(one.params), jax.tree.leaves(other.params), strict=True)
        return max(float(jnp.abs(a - b).max()) for a, b in pairs)

    assert distance(first, alone) < 1e-5
    assert distance(second, followed) < 1e-5
    assert distance(second, not_followed) > 1e-2
    assert told["loss"] == pytest.approx(told["mse"])
    assert told_second["loss"] == pytest.approx(told_second["spectral"])
    assert told_second["loss"] != pytest.approx(told_second["mse"], rel=0.1)


DRAWN = replace(PLAIN, optimiser="sgd", schedule="cosine", shuffle=True, loss="mse", during="")


def test_the_cosine_schedule_is_half_a_wave_over_all_of_training():
    reports = [report for _, report in trained(DRAWN)]
    rate = np.concatenate([report["update/mean"] / report["gradient/mean"] for report in reports])
    np.testing.assert_allclose(rate, 0.03 * 0.5 * (1 + np.cos(np.pi * np.arange(8) / 8)), rtol=1e-4)


@pytest.mark.parametrize(
    ("optimiser", "by_hand"),
    # Adam's first step is the sign of each slope; AdamW's also shrinks by 1e-4 of the parameter.
    [
        ("sgd", lambda slope, params: -slope),
        ("adam", lambda slope, params: -slope / (np.abs(slope) + 1e-8)),
        ("adamw", lambda slope, params: -slope / (np.abs(slope) + 1e-8) - 1e-4 * params),
    ],
)
def test_an_optimiser_is_the_one_that_its_name_says(optimiser, by_hand):
    params = {"large": np.float32(100.0), "small": np.float32(0.01)}
    slope = {"large": np.float32(1e-3), "small": np.float32(-2.0)}
    rule = OPTIMISERS[optimiser]
    update, _ = rule.update(slope, rule.init(params), params)
    for name, found in update.items():
        np.testing.assert_allclose(found, by_hand(slope[name], params[name]), rtol=1e-5)
    assert replace(PLAIN, optimiser=optimiser)._optimiser is rule


def test_muon_orthogonalises_every_kernel_and_leaves_the_rest_to_adam():
    """Of what a kernel maps from to what it maps to, a convolution's taps among the former."""
    rng = np.random.default_rng(0)
    shapes = {"convolution": (3, 4, 6), "dense": (5, 6), "bias": (6,)}
    slope = {name: jnp.asarray(rng.normal(size=shape), jnp.float32) for name, shape in shapes.items()}
    rule = OPTIMISERS["muon"]
    update, _ = rule.update(slope, rule.init(slope), slope)
    # With Nesterov's momentum, Adam's first step is the sign of each slope times 1 + 0.9 / 1.9.
    np.testing.assert_allclose(update["bias"], -(1 + 0.9 / 1.9) * np.sign(slope["bias"]), rtol=1e-4)
    for name in ("convolution", "dense"):
        matrix, given = (np.reshape(of[name], (-1, 6)).astype(float) for of in (update, slope))
        u, _, vt = np.linalg.svd(given, full_matrices=False)
        # Five steps of Newton and Schulz bring each singular value to between 0.7 and 1.2 of one; 0.2 of Adam's size.
        found = -(u.T @ matrix @ vt.T) / (0.2 * max(matrix.shape) ** 0.5)
        assert np.abs(found - np.diag(np.diag(found))).max() < 0.05, name
        assert ((np.diag(found) > 0.6) & (np.diag(found) < 1.3)).all(), name


def test_a_gap_is_filled_both_ways_after_every_epoch_and_training_knows_nothing_of_it():
    plain = replace(PLAIN, task="next step", loss="mse", during="", data=Signals(length=8, batches=1, noise=0.1))
    gapped = replace(plain, gap=Gap(samples=3))
    (*_, (state, report)), (*_, (_, without)) = trained(gapped), trained(plain)
    for name, value in without.items():
        np.testing.assert_allclose(report[name], value, rtol=1e-4, atol=1e-6, err_msg=name)
    data = plain.data
    held = jax.tree.map(np.asarray, data.held_out("identity", 4))
    model = gapped.trained(state)
    for how, roll_out in {"latent": latent_rollout, "signal": signal_rollout}.items():
        filled = np.asarray(roll_out(model, jnp.asarray(held.input[:, :5]), 3))
        wanted = held.clean[:, 5:]
        expected = {
            "gap_mse": np.mean((filled - wanted) ** 2, axis=(1, 2)),
            "gap_amplitude": np.linalg.norm(filled, axis=(1, 2)) / np.linalg.norm(wanted, axis=(1, 2)),
            "gap_phase": np.abs(np.asarray(phase_error(jnp.asarray(filled), jnp.asarray(wanted)))),
        }
        for name, value in expected.items():
            assert report[f"{how}_{name}"] == pytest.approx(float(data.share @ value), rel=1e-3), (how, name)


def test_what_is_withheld_is_what_is_measured():
    data = Signals(length=8, batches=1, withheld=4)
    ((state, report),) = trained(replace(PLAIN, loss="mse", data=data, epochs=1, during=""))
    x = jnp.asarray(data.clean[data.held])
    assert report["mse"] == pytest.approx(float(jnp.mean((PLAIN.trained(state)(x).signal - x) ** 2)), rel=1e-3)


def test_noise_is_annealed_by_the_steps_of_training():
    sigma = Annealed(start=0.4, end=0.1)
    model = replace(PLAIN.model, latent="euclidean", sampling=sigma)
    still = {"learning_rate": jnp.zeros(())}
    noise = [report["noise"] for _, report in trained(replace(PLAIN, model=model), **still)]
    # Mean length of 4 normal numbers: sqrt(2) gamma(5 / 2) / gamma(2) = 1.88 of sigma.
    np.testing.assert_allclose(noise, [1.88 * 0.25, 1.88 * 0.1], rtol=0.1)


def test_an_order_drawn_anew_is_another_order_of_the_same():
    still = {"learning_rate": jnp.zeros(())}
    reports = [report for _, report in trained(DRAWN, **still)]
    plain = [report for _, report in trained(replace(PLAIN, loss="mse", during=""), **still)]
    totals = [np.mean(report["step_loss"]) for report in (*reports, *plain)]
    np.testing.assert_allclose(totals, totals[0], rtol=1e-5)
    assert (reports[0]["step_loss"] != reports[1]["step_loss"]).any()
    np.testing.assert_array_equal(plain[0]["step_loss"], plain[1]["step_loss"])


def test_noise_and_movement_are_what_they_say():
    experiment = replace(PLAIN, model=replace(PLAIN.model, sampling=Learned()), loss="mse", epochs=1)
    ((state, report),) = trained(experiment)
    keys = jax.random.split(jax.random.split(KEY, 1)[0], 3)
    batch = experiment.data.held_out("identity", 4)
    out = jax.jit(lambda state: experiment.trained(state)(batch.input, keys[2], 1.0))(state)
    assert report["noise"] == pytest.approx(float(jnp.mean(jnp.linalg.norm(out.step, axis=-1))), rel=1e-4)
    assert "moved" not in report
    named = []

    def inspect(state):
        found = experiment.inspect(state, keys[2])
        named.append((found.latent, found.radius))
        return found.stages["sampled"], found.noise

    sampled, noise = jax.jit(inspect)(state)
    assert named == [("sampled", 1.0)]
    np.testing.assert_allclose(sampled, out.sampled, rtol=0, atol=1e-5)
    np.testing.assert_allclose(noise, np.linalg.norm(out.step, axis=-1), rtol=1e-4)


def test_the_published_core_has_the_published_shapes():
    """Two causal convolutions of 64, a latent on S^20, memory as long as the signal, one coupling, a decoder of 128."""
    params = jax.eval_shape(lambda: nnx.split(CORE.built(KEY))[1])
    shapes = {
        jax.tree_util.keystr(path, simple=True, separator=".").removesuffix(".value"): leaf.shape
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
    }
    assert shapes == {
        "encoder.layers.0.kernel": (5, 16, 64),
        "encoder.layers.0.bias": (64,),
        "encoder.layers.1.kernel": (5, 64, 64),
        "encoder.layers.1.bias": (64,),
        "mean.kernel": (64, 21),
        "mean.bias": (21,),
        "spread.out.kernel": (64, 21),
        "spread.out.bias": (21,),
        "dynamics.memory.kernel": (256, 21),
        "dynamics.coupling.out.kernel": (21, 21),
        "dynamics.coupling.out.bias": (21,),
        "dynamics.coupling.lag": (),
        "decoder.hidden.kernel": (21, 128),
        "decoder.hidden.bias": (128,),
        "decoder.out.kernel": (128, 16),
        "decoder.out.bias": (16,),
    }
    batch = jax.eval_shape(lambda: CORE.data.held_out(CORE.task, CORE.model.latent_dim))
    assert [stage.shape for stage in batch] == [(60, 255, 16)] * 3 + [(60, 255, 21)]
    assert CORE.model.causal
