"""The choices of the original PureFEP, each alone, and invalid configurations."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from ladder import Control, Rung, below
from ladder.declare.experiment import differences
from ladder.studies.purefep import Backprop, FreeEnergy, Model, Overfit, Stream, original

TINY = Overfit(model=Model(vocabulary=6, length=3, dim=4, steps=2), batch_size=2, epochs=1, steps_per_epoch=2)
SWITCHES = {
    **{f"issue {n}": switch for n, switch in original.ISSUES.items()},
    **{f"fix {n}": switch for n, switch in original.FIXES.items()},
    **original.DEFAULTS,
}


@pytest.mark.parametrize("name", SWITCHES)
def test_switches(name):
    """Each choice of the original is a change of one component, and trains with finite metrics."""
    path, value = SWITCHES[name]
    root = Rung(
        number=1, name="root", experiment=TINY, gates=(below("cross_entropy", 9.0, by=1, source="above log 6"),)
    )
    control = root.as_control(Control("the original"), label="switched", **{path: value})
    assert list(differences(TINY, control.experiment)) == [path]
    _, metrics = jax.jit(control.experiment.epoch)(control.experiment.init(jax.random.key(0)), jax.random.key(1))
    assert all(np.isfinite(value).all() for value in metrics.values())


@pytest.mark.parametrize("whole", [original.ORIGINAL, original.FIXED], ids=["original", "fixed"])
def test_original(whole):
    """The original configurations have every default of the original."""
    actual = differences(Overfit(), whole)
    assert {path: actual[path][1] for path, _ in original.DEFAULTS.values()} == dict(original.DEFAULTS.values())


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
def test_invalid_choices(make, message):
    """A choice without a meaning raises an error that shows its value."""
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        make()


def test_lag():
    """With a lag of 1, the first step of the decode bank learns from the beliefs that inference starts with, and so differs."""
    now, before = (
        jax.jit(e.epoch)(e.init(jax.random.key(0)), jax.random.key(1))[0].priors["decode"][...]
        for e in (replace(TINY, steps_per_epoch=1, learning=FreeEnergy(lag=lag)) for lag in (0, 1))
    )
    assert not np.allclose(now, before)


@pytest.mark.parametrize("task", ["markov", "recall"])
@pytest.mark.parametrize(
    "learning", [FreeEnergy(frame_rate=0.1), Backprop(frames=True)], ids=["free-energy", "backprop"]
)
def test_streams(task, learning):
    """A stream trains, frames included, has the documented targets, and subtracts the entropy of its source."""
    stream = Stream(task=task, model=TINY.model, learning=learning, batch_size=4, epochs=1, steps_per_epoch=2)
    state = jax.jit(stream.init)(jax.random.key(0))
    after, metrics = jax.jit(stream.epoch)(state, jax.random.key(1))
    assert all(np.isfinite(value).all() for value in metrics.values())
    assert not np.allclose(state.priors["phi"][...], after.priors["phi"][...])
    targets = np.sum(state.held_out.targets, axis=-1)
    if task == "recall":
        np.testing.assert_array_equal(targets, np.broadcast_to([0, 0, 1], targets.shape))
        first = np.asarray(state.held_out.inputs)[:, 0]
        np.testing.assert_array_equal(np.argmax(state.held_out.targets[:, -1], axis=-1), first)
        assert metrics["excess"] == metrics["cross_entropy"]
    else:
        assert targets.all()
        # Of 768 tokens the mean surprise is within four standard errors of the entropy; a token's deviation is 0.81.
        assert abs(metrics["cross_entropy"] - metrics["excess"] - 0.613) < 4 * 0.81 / 768**0.5
