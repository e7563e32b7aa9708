"""What is drawn of an Oscillators: the numbers behind the pictures, and that every kind of model can be drawn."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ladder.pictures import style
from ladder.studies.manifoldformer import Learned, Model, Oscillators, Signals, pictures
from ladder.studies.manifoldformer.imputation import latent_rollout, signal_rollout
from ladder.studies.manifoldformer.published import CORE

IDENTITY = Oscillators(data=Signals(length=16))
NEXT = Oscillators(
    data=Signals(tones=3, length=24, noise=0.1, batches=1),
    task="next step",
    model=Model(latent="sphere", latent_dim=8, sampling=Learned()),
)
ROUNDING = 1e-5


def recorded(experiment, seed=0):
    """Of an untrained state and of another, as if it had been trained for two epochs."""
    states = [experiment.init(jax.random.key(seed + k)) for k in range(3)]
    look = jax.jit(lambda state, key: pictures.record(experiment, state, key))
    found = [look(state, jax.random.key(7)) for state in states]
    return states, {name: np.stack([np.asarray(epoch[name]) for epoch in found]) for name in found[0]}


@pytest.fixture(scope="module")
def identity():
    return recorded(IDENTITY)[1]


@pytest.fixture(scope="module")
def following():
    return recorded(NEXT)


def draw(experiment, name, numbers):
    """The picture and its files, with every warning an error."""
    with style.settings(), warnings.catch_warnings():
        warnings.simplefilter("error")
        caption, figure = pictures.PICTURES[name](experiment, numbers)
        return caption, figure, {} if figure is None else style.files(figure, caption)


def distance(a, b):
    return np.sum((a - b) ** 2)


def test_the_latent_is_the_sampled_one_turned_as_near_to_the_oracle_as_it_goes(following):
    states, numbers = following
    oracle = np.asarray(NEXT.data.oracle(8))[0, :-1]
    np.testing.assert_array_equal(numbers["oracle"][1], oracle)
    batch = NEXT.data.held_out("next step", 8)
    out = NEXT.trained(states[1])(batch.input[:1], jax.random.key(7), 0.0)
    z, turned = np.asarray(out.sampled[0]), numbers["latent"][1]
    np.testing.assert_allclose(turned @ turned.T, z @ z.T, atol=ROUNDING)
    np.testing.assert_allclose(numbers["mean"][1] @ turned.T, np.asarray(out.encoded[0]) @ z.T, atol=ROUNDING)
    best = distance(turned, oracle)
    assert best < distance(z, oracle)
    rng = np.random.default_rng(0)
    for _ in range(20):
        small, _ = np.linalg.qr(np.eye(8) + 0.05 * rng.normal(size=(8, 8)))
        assert distance(turned @ (small * np.sign(np.diag(small))), oracle) >= best - ROUNDING


def test_the_last_quarter_is_filled_from_what_comes_before(following):
    states, numbers = following
    model, batch = NEXT.trained(states[2]), NEXT.data.held_out("next step", 8)
    context = batch.input[:1, :18]
    np.testing.assert_allclose(numbers["context"][2], context[0], atol=ROUNDING)
    np.testing.assert_allclose(numbers["clean"][2], NEXT.data.clean[0], atol=ROUNDING)
    for name, how in (("latent_fill", latent_rollout), ("signal_fill", signal_rollout)):
        np.testing.assert_allclose(numbers[name][2], how(model, context, 6)[0], atol=ROUNDING)


def test_prediction_and_target_are_of_one_sequence(identity):
    np.testing.assert_array_equal(identity["target"][0], IDENTITY.data.clean[0])
    state = IDENTITY.init(jax.random.key(1))
    predicted = IDENTITY.trained(state)(jnp.asarray(IDENTITY.data.clean)[:1]).signal[0]
    np.testing.assert_allclose(identity["prediction"][1], predicted, atol=ROUNDING)


@pytest.mark.parametrize("name", pictures.PICTURES)
def test_every_picture_is_drawn_of_every_task(name, identity, following):
    for experiment, numbers in ((IDENTITY, identity), (NEXT, following[1])):
        caption, figure, files = draw(experiment, name, numbers)
        if name == "imputation" and experiment is IDENTITY:
            assert (figure, "identity" in caption) == (None, True)
            continue
        assert figure is not None
        assert files["svg"].startswith(b"<?xml")
        assert "tones 1+2" in caption
        for ax in figure.axes:
            assert ax.get_ylabel() or ax.get_shared_y_axes().get_siblings(ax) != [ax], "every axis has a name"


def test_numbers_that_are_not_finite_can_be_drawn(following):
    broken = {name: np.full_like(values, np.nan) for name, values in following[1].items()}
    for name in pictures.PICTURES:
        draw(NEXT, name, broken | {"target": following[1]["target"], "clean": following[1]["clean"]})


def test_spectra_are_in_decibels_of_the_targets_largest(identity):
    _, figure, _ = draw(IDENTITY, "spectra", identity | {"prediction": 0.1 * identity["target"]})
    target, prediction, *tones = figure.axes[1].lines
    assert target.get_ydata().max() == pytest.approx(0.0)
    np.testing.assert_allclose(prediction.get_ydata(), target.get_ydata() - 20.0, atol=1e-3)
    expected = [f * 2 * 16 / 15 for f in (1, 2)]  # cycles in 16 samples, of which 15 steps are 4 pi
    np.testing.assert_allclose([line.get_xdata()[0] for line in tones], expected, rtol=1e-6)


def test_the_states_shown_of_a_long_training_are_first_and_last_and_between():
    assert pictures._some(3) == [0, 1, 2]
    assert pictures._some(101) == [0, 20, 40, 60, 80, 100]


def test_pictures_of_the_published_core_are_small():
    rng = np.random.default_rng(0)
    time, dim = CORE.data.length - 1, CORE.model.latent_dim
    sizes = {"target": 16, "prediction": 16, "oracle": dim, "latent": dim, "mean": dim}
    numbers = {name: rng.normal(size=(6, time, size)) / np.sqrt(size) for name, size in sizes.items()}
    gaps = {"clean": time + 1, "context": 192, "latent_fill": 64, "signal_fill": 64}
    numbers |= {name: rng.normal(size=(6, size, 16)) for name, size in gaps.items()}
    for name in pictures.PICTURES:
        _, _, files = draw(CORE, name, numbers)
        assert len(files["svg"]) < 300 * 1024, name
        assert len(files["png"]) < 200 * 1024, name
