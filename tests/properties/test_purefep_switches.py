"""Every choice of the original PureFEP can be turned on alone, and what makes no sense is refused."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from ladder import Rung, below
from ladder.declare.experiment import differences
from ladder.studies.purefep import Backprop, FreeEnergy, Model, Overfit, Stream, original

TINY = Overfit(model=Model(vocabulary=6, length=3, dim=4, steps=2), batch_size=2, epochs=1, steps_per_epoch=2)
SWITCHES = {
    **{f"issue {n}": switch for n, switch in original.ISSUES.items()},
    **{f"fix {n}": switch for n, switch in original.FIXES.items()},
    **original.DEFAULTS,
}


@pytest.mark.parametrize("name", SWITCHES)
def test_each_choice_of_the_original_is_one_component_and_trains(name):
    path, value = SWITCHES[name]
    root = Rung(
        number=1, name="root", experiment=TINY, gates=(below("cross_entropy", 9.0, by=1, source="above log 6"),)
    )
    control = root.as_control(why="the original", label="switched", **{path: value})
    assert list(differences(TINY, control.experiment)) == [path]
    _, told = jax.jit(control.experiment.epoch)(control.experiment.init(jax.random.key(0)), jax.random.key(1))
    assert all(np.isfinite(value).all() for value in told.values())


@pytest.mark.parametrize("whole", [original.ORIGINAL, original.FIXED], ids=["original", "fixed"])
def test_the_whole_original_has_every_default(whole):
    found = differences(Overfit(), whole)
    assert {path: found[path][1] for path, _ in original.DEFAULTS.values()} == dict(original.DEFAULTS.values())


@pytest.mark.ill_typed
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Model(prior="word"), "prior='word'"),
        (lambda: Model(observation="max"), "observation='max'"),
        (lambda: Model(dim=0), "dim=0"),
        (lambda: Model(kappa=0.0), "kappa=0.0"),
        (lambda: Model(alpha=-1.0), "alpha=-1.0"),
        (lambda: Model(alpha=float("nan")), "alpha=nan"),
        (lambda: FreeEnergy(phases="all"), "phases='all'"),
        (lambda: FreeEnergy(prior_rate=-0.1), "prior_rate=-0.1"),
        (lambda: FreeEnergy(row_clip=0.0), "row_clip=0.0"),
        (lambda: Backprop(rate=-1.0), "rate=-1.0"),
        (lambda: Overfit(first="same"), "first='same'"),
        (lambda: Overfit(batch_size=17), "batch_size=17"),
        (lambda: Overfit(evaluation_steps=0), "evaluation_steps=0"),
        (lambda: Stream(task="sort"), "task='sort'"),
        (lambda: Stream(task="markov", learning=FreeEnergy(lag=1)), "lag=1"),
        (lambda: Stream(task="recall", model=Model(length=1)), "length=1"),
        (lambda: Stream(task="markov", model=Model(vocabulary=2)), "vocabulary=2"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused_with_its_value(make, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        make()


def test_priors_learn_from_stale_beliefs_only_where_they_are_told_to():
    """With a lag of one the first step of the decode bank is made from the beliefs inference starts with."""
    now, before = (
        jax.jit(e.epoch)(e.init(jax.random.key(0)), jax.random.key(1))[0].priors["decode"][...]
        for e in (replace(TINY, steps_per_epoch=1, learning=FreeEnergy(lag=lag)) for lag in (0, 1))
    )
    assert not np.allclose(now, before)


@pytest.mark.parametrize("task", ["markov", "recall"])
@pytest.mark.parametrize(
    "learning", [FreeEnergy(frame_rate=0.1), Backprop(frames=True)], ids=["free-energy", "backprop"]
)
def test_streams_train_and_the_source_is_no_better_than_it_is(task, learning):
    stream = Stream(task=task, model=TINY.model, learning=learning, batch_size=4, epochs=1, steps_per_epoch=2)
    state = jax.jit(stream.init)(jax.random.key(0))
    after, told = jax.jit(stream.epoch)(state, jax.random.key(1))
    assert all(np.isfinite(value).all() for value in told.values())
    assert not np.allclose(state.priors["phi"][...], after.priors["phi"][...])
    asked = np.sum(state.held_out.targets, axis=-1)
    if task == "recall":
        np.testing.assert_array_equal(asked, np.broadcast_to([0, 0, 1], asked.shape))
        first = np.asarray(state.held_out.inputs)[:, 0]
        np.testing.assert_array_equal(np.argmax(state.held_out.targets[:, -1], axis=-1), first)
        assert told["excess"] == told["cross_entropy"]
    else:
        assert asked.all()
        # Of 768 tokens the mean surprise is within four standard errors of the entropy; a token's deviation is 0.81.
        assert abs(told["cross_entropy"] - told["excess"] - 0.613) < 4 * 0.81 / 768**0.5
