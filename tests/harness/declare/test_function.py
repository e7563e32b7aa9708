"""Experiments made from a function and its configuration."""

import argparse
from dataclasses import dataclass, field

import pytest
from hosts import Halving, halving

from ladder import Control, Rung, below, experiment
from ladder.declare.experiment import changed, components, differences

GATES = (below("loss", 0.5, by=3, source="made up for the test"),)


@dataclass
class Config:
    """A configuration that can be changed."""

    rate: float = 0.5
    epochs: int = 3
    betas: list = field(default_factory=lambda: [0.9])


@pytest.mark.parametrize(
    "config",
    [{"rate": 0.5, "epochs": 3}, argparse.Namespace(rate=0.5, epochs=3), Config()],
    ids=["dict", "namespace", "dataclass"],
)
def test_training(config):
    """A function trains by its configuration, whatever kind that is."""
    made = experiment(halving, config)
    assert made.epochs == 3
    assert [report["loss"] for report in made.train(7)] == [report["loss"] for report in Halving().train(7)]
    assert components(made)["config.rate"] == 0.5


def test_differences():
    """Entries are components by dotted path, those that only one configuration has included."""
    base = {"rate": 0.5, "epochs": 3, "optimizer": {"name": "adam"}}
    one = experiment(halving, base)
    assert differences(one, experiment(halving, base)) == {}
    assert differences(one, experiment(halving, base | {"rate": 0.9})) == {"config.rate": (0.5, 0.9)}
    nested = differences(one, experiment(halving, base | {"optimizer": {"name": "sgd"}}))
    assert nested == {"config.optimizer.name": ("adam", "sgd")}
    added = differences(one, experiment(halving, base | {"dropout": 0.1}))
    assert {path: str(pair) for path, pair in added.items()} == {"config.dropout": "((absent), 0.1)"}
    assert changed(one, "config.optimizer.name", "sgd").config.optimizer.name == "sgd"


def test_copy():
    """A configuration that is changed afterwards does not change the experiment."""
    config = Config()
    one = experiment(halving, config)
    config.rate = 0.9
    assert differences(one, experiment(halving, config)) == {"config.rate": (0.5, 0.9)}


def test_rung():
    """A rung of such an experiment declares its metrics by naming them."""
    one = Rung(
        number=1, name="one", experiment=experiment(halving, {"rate": 0.5, "epochs": 3}, objective="loss"), gates=GATES
    )
    control = one.as_control(Control("it stays"), **{"config.rate": 1.0})
    assert control.id == "rung1[config.rate=1.0]"
    with pytest.raises(ValueError, match="trains 3 epochs; ask for an earlier one"):
        Rung(number=1, name="one", experiment=one.experiment, gates=(below("loss", 0.5, by=4, source="x"),))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3, {"epochs": 3}), r"train=3: give a function, train\(config, seed\)"),
        ((Halving, {"epochs": 3}), "train=<class .*>: give a function"),
        ((halving, 3), "config=3: give a mapping, an argparse.Namespace or an instance of a dataclass"),
        (
            (halving, {"rate": 0.5}),
            "config=Configuration\\('rate': 0.5\\) has no entry 'epochs'; add the number of epochs",
        ),
        ((halving, {"epochs": 3, 1: 2}), "entry 1 of a configuration: name it by an identifier"),
    ],
)
def test_invalid_arguments(arguments, message):
    """A function or configuration of another kind is refused with one sentence."""
    with pytest.raises((TypeError, ValueError), match=message):
        experiment(*arguments)


@pytest.mark.ill_typed
def test_invalid_epochs():
    """The number of epochs is checked when a rung is declared."""
    with pytest.raises(ValueError, match="rung1: epochs='3': give a whole number"):
        Rung(number=1, name="one", experiment=experiment(halving, {"rate": 0.5, "epochs": "3"}), gates=GATES)
