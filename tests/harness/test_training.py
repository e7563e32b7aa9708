"""Training many seeds at once: what a seed yields depends on its number alone, and trouble is found where it began."""

import math

import jax
import numpy as np
import pytest
from toys import Coin, Diverges, Fit, Misreports

from ladder.manifoldformer import Oscillators, Signals
from ladder.trained import NonFinite, Trained
from ladder.training import CALIBRATION_STREAM, GATE_STREAM, Seeds, Trainer

ROUNDING = 1e-6  # a few roundings of float32, carried through a dozen steps of a contraction


@pytest.fixture(scope="module")
def fit():
    """One compiled program for many tests; a block of four."""
    return Trainer(Fit(), 4)


class Log:
    """Everything a watch is told."""

    def __init__(self):
        self.told = []

    def compiling(self, first, last):
        """Note it."""
        self.told.append(("compiling", first, last))

    def epoch(self, first, last, epoch, metrics):
        """Note it, and that every seed of the block is told of."""
        self.told.append((epoch, first, last))
        assert {name: len(value) for name, value in metrics.items()} == {"loss": 4, "step_loss": 4}


def same(one, other, **tolerance):
    for a, b in ((one.curves, other.curves), (one.traces, other.traces)):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_allclose(a[name], b[name], **({"rtol": 0} | tolerance))


def test_shapes_are_seeds_by_epochs_by_steps(fit):
    trained = fit(Seeds(), range(6))
    assert trained.seeds == 6
    assert {name: curve.shape for name, curve in trained.curves.items()} == {"loss": (6, 4)}
    assert {name: trace.shape for name, trace in trained.traces.items()} == {"step_loss": (6, 4, 3)}


def test_seeds_differ_and_each_is_reproducible(fit):
    once, again = fit(Seeds(), range(4)), fit(Seeds(), range(4))
    same(once, again)
    assert len(np.unique(once.curves["loss"][:, 0])) == 4


def test_a_seed_yields_the_same_wherever_it_is_trained(fit):
    whole = fit(Seeds(), range(8))
    picked = fit(Seeds(), [5, 2, 7])
    np.testing.assert_array_equal(picked.traces["step_loss"], whole.traces["step_loss"][[5, 2, 7]])
    same(Trainer(Fit(), 3)(Seeds(), range(8)), whole, rtol=ROUNDING)


def test_a_short_last_block_adds_no_seeds_and_joined_blocks_are_one_run(fit):
    whole = fit(Seeds(), range(6))
    same(fit(Seeds(), range(4)).joined(fit(Seeds(), range(4, 6))), whole)
    same(whole.head(5), fit(Seeds(), range(5)))


def test_no_seeds_are_refused(fit):
    with pytest.raises(ValueError, match="no seeds to train"):
        fit(Seeds(), range(0))


def test_the_watch_hears_of_compiling_once_and_then_of_every_epoch():
    log, trainer = Log(), Trainer(Fit(), 4)
    trainer(Seeds(), range(6), log)
    epochs = [(epoch, *block) for block in ((0, 4), (4, 6)) for epoch in range(1, 5)]
    assert log.told == [("compiling", 0, 4), *epochs]
    trainer(Seeds(), range(4), log)
    assert log.told[9:] == epochs[:4]


def test_no_two_seeds_share_a_key_whatever_their_stream_and_root():
    keys = {
        tuple(key)
        for stream in (GATE_STREAM, CALIBRATION_STREAM)
        for root in (0, 1, 2**31 - 1)
        for key in jax.random.key_data(Seeds(root, stream).keys(range(100))).tolist()
    }
    assert len(keys) == 2 * 3 * 100
    np.testing.assert_array_equal(
        jax.random.key_data(Seeds().keys([7])), jax.random.key_data(Seeds().keys(range(8)))[7:]
    )


def test_fresh_roots_and_calibrations_train_other_seeds(fit):
    losses = [fit(seeds, range(4)).curves["loss"] for seeds in (Seeds(), Seeds(1), Seeds(stream=CALIBRATION_STREAM))]
    assert len(np.unique(losses)) == 3 * losses[0].size


@pytest.fixture(scope="module")
def healthy():
    """The losses of eight seeds of which none diverges, and which of them would."""
    losses = Trainer(Diverges(step=99), 8)(Seeds(), range(8)).curves["loss"]
    doomed = np.isnan(Trainer(Diverges(step=1), 8)(Seeds(), range(8)).curves["loss"]).any(axis=1)
    assert 0 < doomed.sum() < 8
    return losses, doomed


@pytest.mark.parametrize(("step", "found"), [(6, 6), (12, 12), (13, 0)])
def test_the_first_bad_step_is_exact_and_other_seeds_are_unharmed(step, found, healthy):
    losses, doomed = healthy
    trained = Trainer(Diverges(step=step), 8)(Seeds(), range(8))
    np.testing.assert_array_equal(trained.first_bad_step, np.where(doomed, found, 0))
    np.testing.assert_array_equal(trained.curves["loss"][~doomed], losses[~doomed])


def test_without_a_trace_the_first_bad_step_counts_epochs():
    trained = Trainer(Diverges(share=1.0, step=6, traced=False), 2)(Seeds(), range(2))
    assert trained.first_bad_step.tolist() == [2, 2]


@pytest.mark.parametrize(
    ("curve", "trace", "step"),
    [
        ([1, 1], [[1, 1, 1], [1, 1, 1]], 0),
        ([1, math.inf], [[1, 1, 1], [1, 1, 1]], 6),
        ([math.nan, 1], [[1, 1, 1], [1, 1, 1]], 3),
        ([1, 1], [[1, -math.inf, 1], [1, math.nan, 1]], 2),
        ([math.nan, 1], [[1, math.nan, 1], [1, 1, 1]], 2),
        ([1, math.nan], [[1, 1, 1], [1, 1, math.nan]], 6),
    ],
)
def test_the_first_bad_step_of_a_metric_is_the_last_of_its_epoch(curve, trace, step):
    trained = Trained({"loss": np.array([curve], float)}, {"step_loss": np.array([trace], float)}, 0, 0)
    assert trained.first_bad_step.tolist() == [step]


@pytest.mark.parametrize(
    ("experiment", "message"),
    [
        (Misreports(), r"declares the metrics loss but epoch\(\) reports the scalars (loss, extra|extra, loss)"),
        (Misreports(declared=("loss", "mse"), shape=(2,)), r"metrics loss, mse but epoch\(\) reports the scalars loss"),
        (Misreports(shape=(2, 3)), r"'extra' has shape \(2, 3\); report a scalar"),
    ],
)
def test_a_report_other_than_declared_is_refused(experiment, message):
    with pytest.raises(ValueError, match=message):
        Trainer(experiment, 2)(Seeds(), range(2))


def test_at_learning_rate_0_nothing_changes():
    trained = Trainer(Oscillators(data=Signals(length=8), epochs=3, learning_rate=0.0), 2)(Seeds(), range(2))
    for curve in trained.curves.values():
        np.testing.assert_array_equal(curve, np.broadcast_to(curve[:, :1], curve.shape))
    assert len(np.unique(trained.curves["loss"])) == 2
    np.testing.assert_array_equal(trained.traces["step_loss"][:, 0], trained.traces["step_loss"][:, 2])


def test_a_coin_that_always_falls_is_learned_by_every_seed():
    assert (Trainer(Coin(), 2)(Seeds(), range(2)).curves["loss"][:, -1] < 0.25).all()


def test_of_the_numbers_that_turn_in_one_step_the_first_is_the_one_computed_first():
    order = [
        "stage/0/input",
        "stage/1/latent",
        "accuracy",
        "step_loss",
        "gradient/a",
        "gradient/b",
        "update/a",
        "weight/a",
    ]
    for i, name in enumerate(order):
        traces = {other: np.array([[[1.0, np.nan if other in order[i:] else 1.0]]]) for other in reversed(order)}
        trained = Trained({"metric": np.array([[np.nan]])}, traces, 0, 0)
        assert trained.first_bad == (NonFinite(0, 2, name),)


def test_an_earlier_step_comes_before_an_earlier_tensor_and_a_trace_before_a_metric():
    stage, weight = np.ones((3, 2, 2)), np.ones((3, 2, 2))
    weight[0, 0, 1], stage[0, 1, 0], stage[1, 0, 1] = np.inf, np.nan, np.nan
    trained = Trained(
        {"loss": np.array([[1.0, 1.0], [np.nan, 1.0], [1.0, np.nan]])}, {"stage/0/x": stage, "weight/a": weight}, 0, 0
    )
    assert trained.first_bad == (
        NonFinite(0, 2, "weight/a"),
        NonFinite(1, 2, "stage/0/x"),
        NonFinite(2, 4, "loss"),
    )
    assert trained.first_bad_step.tolist() == [2, 2, 4]
    assert trained.of([2, 0]).first_bad_step.tolist() == [4, 2]
