"""The first departure of a rung from its parent: a fault planted at one place of a small network departs there first."""

import re
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from toys import SOURCE

from ladder import Rung, Seeds, SequentialTest, Trained, Trainer, below
from ladder.diagnose.departure import Place, departures
from ladder.diagnose.diagnosis import diagnose
from ladder.inspection import Inspection, step_traces
from ladder.judge.judgement import judge

SEEDS = 8


@dataclass(frozen=True)
class Net:
    """A regression by two layers, with a switch for a fault at each place of a step."""

    shift: float = 0.0  # of the target
    permuted: bool = False  # targets of other samples
    scale: float = 1.0  # of the input
    initial: float = 1.0  # scale of the first layer's initial weights
    dead: bool = False  # half of the hidden units
    total: bool = False  # the loss is a sum
    detached: bool = False  # the first layer
    rate: float = 1e-2
    dies: int = 0  # the step at which the hidden layer's bias jumps
    evaluated: str = "trained"  # which parameters
    epochs: int = 3
    metrics = ("loss",)
    objective = "loss"

    def data(self):
        """Return inputs and targets."""
        x = jax.random.normal(jax.random.key(0), (64, 4))
        y = jnp.sin(x[:, :1]) + x[:, 1:2]
        return self.scale * x, (jnp.roll(y, 7, axis=0) if self.permuted else y) + self.shift

    def init_params(self, key):
        """Return random weights."""
        one, other = jax.random.split(key)
        return {
            "hidden": {"kernel": self.initial * jax.random.normal(one, (4, 32)) / 2, "bias": jnp.zeros((1, 32))},
            "out": {"kernel": jax.random.normal(other, (32, 1)) / 6, "bias": jnp.zeros((1, 1))},
        }

    def forward(self, params, x):
        """Return all stages."""
        hidden = jax.nn.relu(x @ params["hidden"]["kernel"] + params["hidden"]["bias"])
        hidden = hidden * (jnp.arange(32)[None] >= 16) if self.dead else hidden
        hidden = jax.lax.stop_gradient(hidden) if self.detached else hidden
        return {"0 input": x, "1 hidden": hidden, "2 output": hidden @ params["out"]["kernel"] + params["out"]["bias"]}

    def loss(self, params):
        """Return the loss and all stages."""
        x, y = self.data()
        stages = self.forward(params, x)
        errors = (stages["2 output"] - y) ** 2
        return jnp.sum(errors) if self.total else jnp.mean(errors), stages

    def train(self, state, _):
        """Take one step."""
        params, memory, number = state
        (value, stages), gradient = jax.value_and_grad(self.loss, has_aux=True)(params)
        update, memory = optax.adam(self.rate).update(gradient, memory)
        if self.dies:
            jump = jnp.where(number + 1 == self.dies, -30.0, update["hidden"]["bias"])
            update["hidden"] = update["hidden"] | {"bias": jump}
        params = optax.apply_updates(params, update)
        traces = step_traces(stages=stages, params=params, gradient=gradient, update=update)
        return (params, memory, number + 1), {"step_loss": value} | traces

    def init(self, key):
        """Return the fresh parameters, and the state of training."""
        params = self.init_params(key)
        return params, (params, optax.adam(self.rate).init(params), jnp.int32(0))

    def epoch(self, state, key):
        """Take twenty steps, and evaluate."""
        fresh, trained = state
        trained, traces = jax.lax.scan(self.train, trained, length=20)
        params = trained[0] if self.evaluated == "trained" else fresh
        x, y = self.data()
        loss = jnp.mean((self.forward(params, x)["2 output"] - y) ** 2)
        return (fresh, trained), {"loss": loss} | traces

    def inspect(self, state, key):
        """Show the whole batch."""
        x, y = self.data()
        stages = self.forward(state[1][0], x)
        return Inspection(stages=stages, prediction=stages["2 output"], target=y)


def trained(net, root=0):
    return Trainer(net, SEEDS)(Seeds(root), range(SEEDS))


@pytest.fixture(scope="module")
def healthy():
    return trained(Net())


FAULTS = {
    "target": (Net(shift=3.0), Place.DATA, "the RMS of the target", 0),
    "permuted": (Net(permuted=True), Place.DATA, "the distance correlation of the first stage and the target", 0),
    "input": (Net(scale=100.0), Place.DATA, "the RMS of the first stage, 0 input", 0),
    "weights": (Net(initial=0.4), Place.WEIGHTS, "the norm of the weights of hidden", 0),
    "stage": (Net(dead=True), Place.STAGES, "the RMS of stage 1 hidden", 0),
    "loss": (Net(total=True), Place.LOSS, "the loss loss", 1),
    "gradient": (Net(detached=True), Place.GRADIENT, "the gradient's norm of hidden", 1),
    "update": (Net(rate=1e-4), Place.UPDATE, "update over weight of hidden", 1),
    "midway": (Net(dies=25), Place.UPDATE, "update over weight of hidden", 25),
    "evaluation": (Net(evaluated="fresh"), Place.EVALUATION, "loss", 20),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_first_departure(fault, healthy):
    """A fault departs first where a step first computes what it changes, at the step from which on it acts."""
    net, place, name, step = FAULTS[fault]
    first = departures(trained(net), healthy, "loss")[0]
    assert (first.place, first.name, first.step) == (place, name, step)


def test_no_departure(healthy):
    """The same experiment on other seeds, in another batch order or of hardly another rate, departs nowhere."""
    assert departures(trained(Net(), root=1), healthy, "loss") == ()
    assert departures(trained(Net(rate=1.05e-2)), healthy, "loss") == ()


def diagnosis(net, of, parent):
    gate = below("loss", 1e-9, by=3, source=SOURCE)  # met by none, so that there is a diagnosis
    rung = Rung(number=2, name="faulty", experiment=net, gates=(gate,), parent="rung1", adds="fault", compare=("loss",))
    judgement = judge(replace(rung, parent="", adds="", compare=()), of, {}, SequentialTest(), 1)
    return diagnose(rung, judgement, of, parent)


def test_order_of_findings(healthy):
    """A finding on what comes after the first departure follows it; one on the same place makes it superfluous."""
    faint, detached = Net(scale=1e-9), Net(detached=True)
    names = [finding.name for finding in diagnosis(faint, trained(faint), healthy).findings]
    assert names[:2] == ["first-departure", "squashed-amplitude"]
    names = [finding.name for finding in diagnosis(detached, trained(detached), healthy).findings]
    assert names[0] == "never-moves"
    assert "first-departure" not in names


def test_sentence(healthy):
    """The sentence names the quantity, both values, the parent's spread, and how much before it is alike."""
    net = Net(evaluated="fresh")
    (finding,) = diagnosis(net, trained(net), healthy).findings
    assert re.fullmatch(
        r"unlike rung1 from epoch 1 on: loss is \S+, there \S+ \[\S+, \S+\]; "
        r"what is computed before it is alike \(\d+ compared\)",
        finding.text,
    )


def test_missing(healthy):
    """A diagnosis names what would tell more: a parent, traces, an inspection, the objective."""
    bare = Trained({"loss": healthy.curves["loss"]}, {}, 0.0, 0.0)
    found = diagnosis(Net(), bare, None)
    assert found.findings == ()
    assert [each.partition(":")[0] for each in found.missing] == [
        "a parent to compare with", "traces of gradients, updates and weights", "an inspection of a batch",
    ]  # fmt: skip
    assert diagnosis(Net(), trained(Net()), healthy).missing == ()


def test_finding_of_the_parent(healthy):
    """A finding that the healthy parent has, too, comes last and says so."""
    slow, slower = trained(Net(rate=1e-7)), trained(Net(rate=1e-8))
    first = diagnosis(Net(), slow, healthy).findings[0]
    assert (first.name, "has it, too" in first.text) == ("small-updates", False)
    found = diagnosis(Net(), slower, slow).findings
    assert found[0].name == "first-departure"
    assert [finding.name for finding in found if finding.text.endswith("; rung1 has it, too")] == [
        "small-updates",
        "too-few-steps",
    ]


def test_values_that_are_not_finite(healthy):
    """A value that is not finite departs from one that is, and two of them do not."""
    broken = np.where(np.arange(20) < 5, healthy.traces["step_loss"], np.nan)
    nan = replace(healthy, traces=healthy.traces | {"step_loss": broken})
    assert [(each.name, each.step) for each in departures(nan, healthy, "loss")] == [("the loss loss", 6)]
    assert departures(nan, nan, "loss") == ()
