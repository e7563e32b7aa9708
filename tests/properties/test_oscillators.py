"""The experiment against a training loop written by hand: stages, tasks, optimisers and metrics."""

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


def train(experiment, state=None, epochs=None, **more):
    """Return the state and the report of each epoch."""
    init, epoch = programs(experiment)
    state = (init(KEY) if state is None else state)._replace(**more)
    history = []
    for key in jax.random.split(KEY, epochs or experiment.epochs):
        state, report = epoch(state, key)
        history.append((state, {name: np.asarray(value) for name, value in report.items()}))
    return history


def by_hand(experiment, loss, epochs):
    """Train on every batch in order with Adam; return the losses before and after each step, and the last parameters."""
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
            x = jnp.asarray(data.clean[data.training_choices[start : start + experiment.batch_size]])
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
def test_training_loop(task, during, hand):
    """Training equals Adam by hand on every batch, and ``during`` metrics are means of the losses around each step."""
    before, after, params = hand[task]
    history = train(replace(PLAIN, task=task, during=during))
    expected = before if during == "before" else after
    for epoch, (_, report) in enumerate(history):
        np.testing.assert_allclose(report["step_loss"], before[epoch], rtol=1e-4)
        np.testing.assert_allclose(report["during_loss"], expected[epoch].mean(), rtol=1e-4)
        same = report["reconstruction"] == pytest.approx(report["mse"], rel=1e-4)  # nothing moves it
        assert same == (task == "identity")
    assert not np.isclose(before.mean(), after.mean(), rtol=1e-3)
    for ours, theirs in zip(jax.tree.leaves(history[-1][0].params), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)


def test_metrics(hand):
    """Without noise, metrics are means over the training set with the parameters at the end of the epoch."""
    _, report = train(PLAIN)[-1]
    x = PLAIN.data.clean[PLAIN.data.training_choices]
    out = jax.jit(lambda params, x: nnx.merge(PLAIN._graphdef, params)(x))(hand["identity"][2], jnp.asarray(x))
    error = np.mean((np.asarray(out.signal) - x) ** 2)
    entropy = float(jnp.mean(regularisers.spectral_entropy(out.moved)))
    assert report["mse"] == pytest.approx(error, rel=1e-3)
    assert report["entropy"] == pytest.approx(entropy, rel=1e-3)
    assert report["loss"] == pytest.approx(error + 0.5 * entropy, rel=1e-3)


def test_second_stage():
    """From epoch ``after`` on, the second objective is trained on and reported as ``loss``."""
    plain = replace(PLAIN, loss="mse", during="")
    (first, history), (second, told_second) = train(replace(plain, refine=Refine(after=1, loss="spectral")))
    ((alone, _),) = train(plain, epochs=1)
    # The second epoch's keys do not matter: nothing is drawn.
    ((followed, _),) = train(replace(plain, loss="spectral"), first, epochs=1)
    ((not_followed, _),) = train(plain, first, epochs=1)

    def distance(one, other):
        pairs = zip(jax.tree.leaves(one.params), jax.tree.leaves(other.params), strict=True)
        return max(float(jnp.abs(a - b).max()) for a, b in pairs)

    assert distance(first, alone) < 1e-5
    assert distance(second, followed) < 1e-5
    assert distance(second, not_followed) > 1e-2
    assert history["loss"] == pytest.approx(history["mse"])
    assert told_second["loss"] == pytest.approx(told_second["spectral"])
    assert told_second["loss"] != pytest.approx(told_second["mse"], rel=0.1)


DRAWN = replace(PLAIN, optimiser="sgd", schedule="cosine", shuffle=True, loss="mse", during="")


def test_cosine_schedule():
    """The cosine schedule decays the rate by half a cosine wave over all steps."""
    reports = [report for _, report in train(DRAWN)]
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
def test_optimisers(optimiser, by_hand):
    """The first update of each optimiser is the one of its definition."""
    params = {"large": np.float32(100.0), "small": np.float32(0.01)}
    slope = {"large": np.float32(1e-3), "small": np.float32(-2.0)}
    rule = OPTIMISERS[optimiser]
    update, _ = rule.update(slope, rule.init(params), params)
    for name, actual in update.items():
        np.testing.assert_allclose(actual, by_hand(slope[name], params[name]), rtol=1e-5)
    assert replace(PLAIN, optimiser=optimiser)._optimiser is rule


def test_muon():
    """Muon orthogonalises every kernel as a matrix from all inputs to all outputs, and leaves the other parameters to Adam."""
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
        actual = -(u.T @ matrix @ vt.T) / (0.2 * max(matrix.shape) ** 0.5)
        assert np.abs(actual - np.diag(np.diag(actual))).max() < 0.05, name
        assert ((np.diag(actual) > 0.6) & (np.diag(actual) < 1.3)).all(), name


def test_gap():
    """Gap metrics are those of both roll-outs after the epoch, and a gap changes nothing else."""
    plain = replace(PLAIN, task="next step", loss="mse", during="", data=Signals(length=8, batches=1, noise=0.1))
    gapped = replace(plain, gap=Gap(samples=3))
    (*_, (state, report)), (*_, (_, without)) = train(gapped), train(plain)
    for name, value in without.items():
        np.testing.assert_allclose(report[name], value, rtol=1e-4, atol=1e-6, err_msg=name)
    data = plain.data
    held_out = jax.tree.map(np.asarray, data.held_out("identity", 4))
    model = gapped.model_at(state)
    for how, roll_out in {"latent": latent_rollout, "signal": signal_rollout}.items():
        filled = np.asarray(roll_out(model, jnp.asarray(held_out.input[:, :5]), 3))
        target = held_out.clean[:, 5:]
        expected = {
            "gap_mse": np.mean((filled - target) ** 2, axis=(1, 2)),
            "gap_amplitude": np.linalg.norm(filled, axis=(1, 2)) / np.linalg.norm(target, axis=(1, 2)),
            "gap_phase": np.abs(np.asarray(phase_error(jnp.asarray(filled), jnp.asarray(target)))),
        }
        for name, value in expected.items():
            assert report[f"{how}_{name}"] == pytest.approx(float(data.share @ value), rel=1e-3), (how, name)


def test_withheld_metrics():
    """With withheld choices of tones, metrics are means over these alone."""
    data = Signals(length=8, batches=1, withheld=4)
    ((state, report),) = train(replace(PLAIN, loss="mse", data=data, epochs=1, during=""))
    x = jnp.asarray(data.clean[data.held_out_choices])
    assert report["mse"] == pytest.approx(float(jnp.mean((PLAIN.model_at(state)(x).signal - x) ** 2)), rel=1e-3)


def test_annealed_noise():
    """The noise of an annealed sampling is linear in the steps of training."""
    sigma = Annealed(start=0.4, end=0.1)
    model = replace(PLAIN.model, latent="euclidean", sampling=sigma)
    noise = [report["noise"] for _, report in train(replace(PLAIN, model=model, learning_rate=0.0))]
    # Mean length of 4 normal numbers: sqrt(2) gamma(5 / 2) / gamma(2) = 1.88 of sigma.
    np.testing.assert_allclose(noise, [1.88 * 0.25, 1.88 * 0.1], rtol=0.1)


def test_shuffle():
    """Shuffling trains on the same sequences in another order each epoch."""
    reports = [report for _, report in train(replace(DRAWN, learning_rate=0.0))]
    plain = [report for _, report in train(replace(PLAIN, loss="mse", during="", learning_rate=0.0))]
    totals = [np.mean(report["step_loss"]) for report in (*reports, *plain)]
    np.testing.assert_allclose(totals, totals[0], rtol=1e-5)
    assert (reports[0]["step_loss"] != reports[1]["step_loss"]).any()
    np.testing.assert_array_equal(plain[0]["step_loss"], plain[1]["step_loss"])


def test_inspection():
    """The metric ``noise`` is the noise's mean length, and an inspection returns the sampled latent, its noise and radius."""
    experiment = replace(PLAIN, model=replace(PLAIN.model, sampling=Learned()), loss="mse", epochs=1)
    ((state, report),) = train(experiment)
    keys = jax.random.split(jax.random.split(KEY, 1)[0], 3)
    batch = experiment.data.held_out("identity", 4)
    out = jax.jit(lambda state: experiment.model_at(state)(batch.input, keys[2], 1.0))(state)
    assert report["noise"] == pytest.approx(float(jnp.mean(jnp.linalg.norm(out.step, axis=-1))), rel=1e-4)
    assert "moved" not in report
    named = []

    def inspect(state):
        actual = experiment.inspect(state, keys[2])
        named.append((actual.latent, actual.radius))
        return actual.stages["sampled"], actual.noise

    sampled, noise = jax.jit(inspect)(state)
    assert named == [("sampled", 1.0)]
    np.testing.assert_allclose(sampled, out.sampled, rtol=0, atol=1e-5)
    np.testing.assert_allclose(noise, np.linalg.norm(out.step, axis=-1), rtol=1e-4)


def test_published_shapes():
    """The core has two convolutions of 64, a latent on S^20, memory as long as the signal, one coupling, a decoder of 128."""
    params = jax.eval_shape(lambda: nnx.split(CORE.build(KEY))[1])
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
