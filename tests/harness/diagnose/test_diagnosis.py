"""Diagnosis: a fault planted in a healthy rung is found, first of all, and a healthy rung has none."""

import json
from dataclasses import asdict, dataclass, field, replace
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from ladder import Floor, Rung, Seeds, SequentialTest, Trained, Verdict, above, below, falls
from ladder.diagnose.diagnosis import Diagnosis, diagnose
from ladder.inspection import Inspectable, Inspection, effective_rank, step_traces, summarise
from ladder.judge.judgement import judge
from ladder.studies.geometry import sphere
from ladder.studies.manifoldformer import ManifoldFormer, Model, Oscillators, Signals, losses
from ladder.studies.manifoldformer.sampling import draw

SOURCE = "made up for the test"
GATE = below("mse", 0.18, by=4, source=SOURCE)
SEEDS = 3


class Fault(NamedTuple):
    """What is wrong, in numbers, so that one compiled program trains every fault; the defaults are healthy."""

    learning_rate: float = 1e-3
    to_encoder: float = 1.0  # factor on the gradient that reaches it
    chaos: float = 0.0  # share of a map iterated until its derivative is past all bounds
    flatten: float = 0.0  # share of a latent left on one short arc
    noise: float = 0.05  # standard deviation of every coordinate of the noise; a little does no harm
    squash: float = 0.0  # share of an output that cannot exceed a tenth
    late: float = 0.0  # share of an output and a training target of one sample before
    magnitude: float = 0.0  # share of a loss that does not look at phases


HEALTHY = Fault()
FAULTS = {
    "": HEALTHY,
    "never-moves": Fault(to_encoder=0.0),
    "never-moves all": Fault(learning_rate=0.0),
    "large-updates": Fault(learning_rate=3.0),
    "small-updates": Fault(learning_rate=1e-7),
    "exploding-gradient": Fault(chaos=1.0),
    "vanishing-gradient": Fault(to_encoder=1e-10),
    "sampling-noise": Fault(noise=1.0),
    "off-by-one": Fault(late=1.0),
    "gamed": Fault(magnitude=1.0, learning_rate=2e-3),
    "collapsed-latent": Fault(flatten=1.0),
    "squashed-amplitude": Fault(squash=1.0),
    "too-few-steps": Fault(learning_rate=3e-5),
}


class Planted(ManifoldFormer):
    """An encoder and a decoder with faults between them; the faults are configured, so that they are not parameters."""

    def __init__(self, fault, *args):
        super().__init__(*args)
        self.fault = fault

    def __call__(self, x, key=None, progress=1.0):
        """With fresh noise at every step."""
        f = self.fault()
        z, _ = self.encode(x)
        axes = jnp.eye(z.shape[-1])
        wild = z
        for _ in range(6):
            wild = jnp.sin(8.0 * wild)
        z = mixed(f.chaos, z, sphere.normalise(wild))
        z = mixed(f.flatten, z, sphere.normalise(axes[0].reshape(1, 1, -1) + 0.3 * z * axes[1].reshape(1, 1, -1)))
        z = jax.lax.stop_gradient(z) + f.to_encoder * (z - jax.lax.stop_gradient(z))
        moved, _ = draw(z, jnp.full_like(z, f.noise), key, "sphere")
        signal = self.decoder(moved)
        signal = mixed(f.squash, signal, 0.1 * jnp.tanh(signal))
        signal = mixed(f.late, signal, jnp.roll(signal, 1, axis=-2))
        return super().__call__(x)._replace(encoded=z, sampled=moved, aligned=moved, moved=moved, signal=signal)


@dataclass(frozen=True, kw_only=True)
class Faulty(Oscillators):
    """Rung 3, trained on MSE and smaller, with a fault."""

    fault: Fault = HEALTHY
    data: Signals = field(default_factory=lambda: Signals(length=16))
    model: Model = field(default_factory=lambda: Model(latent="sphere"))
    epochs: int = 4

    def _rate(self, state):
        """With the fault's own learning rate."""
        return jnp.asarray(self.fault.learning_rate)

    def build(self, key):
        """With the fault planted."""
        return Planted(lambda: self.fault, self.model, self.data.length, self.data.channels, key)

    def measure(self, out, batch, step):
        """What is trained on may be late, or blind to phases."""
        parts = super().measure(out, batch, step)
        late = losses.mse(out.signal, jnp.roll(batch.target, 1, axis=-2))
        trained_on = mixed(self.fault.late, parts["mse"], late)
        blind = losses.log_magnitude(out.signal, batch.target)
        return parts | {"loss": mixed(self.fault.magnitude, trained_on, blind)}

    def inspect(self, state, key):
        """With the length of the noise."""
        found = super().inspect(state, key)
        length = self.fault.noise * jnp.sqrt(found.stages["encoded"].shape[-1])
        return replace(found, noise=jnp.full(found.prediction.shape[:-1], length))


def mixed(share, healthy, faulty):
    return jnp.where(share > 0.0, faulty, healthy)


def rung(experiment=None, **more):
    return Rung(number=3, name="sphere", experiment=experiment or Faulty(), **({"gates": (GATE,)} | more))


def diagnosed(trained, of=None):
    of = of or rung()
    return diagnose(of, judge(of, trained, {}, SequentialTest(), 1), trained)


@pytest.fixture(scope="module")
def runs() -> dict[str, Trained]:
    """Every fault trained on the same seeds, in one program."""

    def one(key: Array, fault: Fault):
        bench = Faulty(fault=fault)
        assert isinstance(bench, Inspectable)
        fresh = bench.init(key)
        state, report = jax.lax.scan(bench.epoch, fresh, jax.random.split(key, bench.epochs))
        shown = {"start": summarise(bench.inspect(fresh, key)), "end": summarise(bench.inspect(state, key))}
        return report, {f"{when}/{name}": value for when, found in shown.items() for name, value in found.items()}

    keys = jnp.tile(Seeds().keys(range(SEEDS)), len(FAULTS))
    faults = jax.tree.map(lambda *values: jnp.repeat(jnp.array(values), SEEDS), *FAULTS.values())
    report, shown = jax.device_get(jax.jit(lambda *args: jax.lax.map(lambda each: one(*each), args))(keys, faults))
    found = {}
    for i, name in enumerate(FAULTS):
        mine = {n: np.asarray(value[i * SEEDS : (i + 1) * SEEDS], float) for n, value in report.items()}
        curves, traces = ({n: v for n, v in mine.items() if v.ndim == ndim} for ndim in (2, 3))
        inspected = {n: np.asarray(value[i * SEEDS : (i + 1) * SEEDS], float) for n, value in shown.items()}
        found[name] = Trained(curves, traces, 0.0, 0.0, inspected=inspected)
    return found


def test_healthy_rung(runs):
    """A healthy rung meets its gate and has no findings."""
    trained = runs[""]
    assert GATE.holds(trained.curves).all()
    assert diagnosed(trained).findings == ()


@pytest.mark.parametrize("fault", [name for name in FAULTS if name])
def test_planted_faults(fault, runs):
    """A planted fault fails the rung and is the first finding."""
    trained = runs[fault]
    assert not GATE.holds(trained.curves).any()
    found = diagnosed(trained).findings
    assert found[0].name == fault.partition(" ")[0]
    assert all(np.isfinite(list(f.numbers.values())).all() for f in found)


def test_non_finite_stage():
    """A NaN is traced to its seed, its step and the first non-finite stage."""
    trained = jax.device_get(
        jax.jit(jax.vmap(lambda key: (b := Broken()).epoch(b.init(key), key)[1]))(Seeds().keys([0, 1]))
    )
    values = {name: np.asarray(value, float)[:, None] for name, value in trained.items()}
    found = Trained(
        {n: v for n, v in values.items() if v.ndim == 2}, {n: v for n, v in values.items() if v.ndim == 3}, 0.0, 0.0
    )
    step = 1 + int(np.argmax(Broken().data.training_choices[:: Broken().batch_size] == Broken.trigger))
    assert step > 3
    assert [(bad.seed, bad.step, bad.tensor) for bad in found.first_non_finite] == [
        (s, step, "stage/1/encoded") for s in (0, 1)
    ]
    of = rung(Broken(), gates=(below("mse", 0.18, by=1, source=SOURCE),))
    (finding,) = diagnosed(found, of).findings
    assert (finding.name, finding.numbers) == ("non-finite", {"seeds": 2.0, "seed": 0.0, "step": step})
    assert "stage/1/encoded" in finding.text


class Turning(ManifoldFormer):
    """Its latent, and all that follows, turns NaN at the first batch of training that starts with this signal."""

    def __init__(self, trigger, rows, *args):
        super().__init__(*args)
        self.trigger, self.rows = trigger, rows

    def __call__(self, x, key=None, progress=1.0):
        """The latent, and all that follows, turns."""
        out = super().__call__(x, key, progress)
        starts = jnp.all(x[0] == self.trigger()) & (len(x) == self.rows)
        bad = jnp.where(starts, jnp.nan, 0.0)
        return jax.tree.map(lambda stage: stage + bad, out)


@dataclass(frozen=True, kw_only=True)
class Broken(Oscillators):
    """Its latent turns NaN at the first batch that starts with one of the 20 signals; batches keep their own rows."""

    data: Signals = field(default_factory=lambda: Signals(length=8))
    model: Model = field(default_factory=lambda: Model(latent="sphere"))
    batch_size: int = 16
    epochs: int = 1

    trigger: ClassVar[int] = 3

    def build(self, key):
        """With the latent that turns."""
        data = self.data
        return Turning(lambda: data.clean[self.trigger], self.batch_size, self.model, data.length, data.channels, key)


def curves(loss, mse=None, seeds=3, **traces):
    """Made-up curves, the same of every seed, and traces of one value a step."""
    mse = loss if mse is None else mse
    values = {name: np.tile(np.array(v, float), (seeds, 1)) for name, v in (("loss", loss), ("mse", mse))}
    return Trained(values, {n: np.tile(np.array(v, float), (seeds, len(loss), 1)) for n, v in traces.items()}, 0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class Plain:
    """An experiment that declares nothing it need not."""

    epochs: int = 4
    metrics: tuple[str, ...] = ("loss", "mse")

    def init(self, key):
        """Never called."""

    def epoch(self, state, key):
        """Never called."""


LOUD = {"loss": [1.0, 0.9, 0.8, 0.7], "mse": [1.0, 1.1, 1.2, 1.3]}


def test_curves_only():
    """A rung with only curves is diagnosed by the detectors that need no inspection."""
    assert [f.name for f in diagnosed(curves(**LOUD)).findings] == ["gamed"]
    assert diagnosed(curves(**LOUD), of=rung(Plain())).findings == ()


def test_passed_rung():
    """A rung that passed has an empty diagnosis."""
    trained = curves(**LOUD)
    passed = replace(judge(rung(), trained, {}, SequentialTest(), 1), verdict=Verdict.PASS)
    assert diagnose(rung(), passed, trained) == Diagnosis()


def test_failing_seeds():
    """Only failing seeds are part of a diagnosis."""
    trained = curves(**LOUD)
    trained.curves["mse"][:2] = 0.1
    trained.curves["loss"][:2, -1] = 2.0
    (found,) = diagnosed(trained).findings
    assert (found.name, round(found.numbers["rise"], 6)) == ("gamed", 0.3)


def test_non_finite_seeds():
    """A diagnosis has no further finding if every seed became non-finite."""
    trained = curves(**LOUD, step_loss=[1.0, np.nan, 1.0])
    assert [f.name for f in diagnosed(trained).findings] == ["non-finite"]
    trained = curves(**LOUD, step_loss=[1.0, 1.0, 1.0])
    trained.traces["step_loss"][1, 2, 0] = np.inf
    first, second = diagnosed(trained).findings
    assert (first.numbers, second.name) == ({"seeds": 1.0, "seed": 1.0, "step": 7.0}, "gamed")


@pytest.mark.parametrize(
    ("condition", "beyond"),
    [
        (below("mse", 0.001, by=4, source=SOURCE, floor=Floor(0.01, "theorem 1")), True),
        (below("mse", 0.02, by=4, source=SOURCE, floor=Floor(0.01, "theorem 1")), False),
        (falls("mse", 0.1, by=4, source=SOURCE, floor=Floor(0.5, "theorem 1")), True),
        (above("mse", 0.9, by=1, source=SOURCE, floor=Floor(0.8, "theorem 1")), True),
        (above("mse", 0.9, by=1, source=SOURCE, floor=Floor(1.0, "theorem 1")), False),
    ],
)
def test_goal_beyond_its_floor(condition, beyond):
    """A goal beyond its floor is the last finding."""
    found = diagnosed(curves(**LOUD), of=rung(goals=(condition,))).findings
    assert [f.name for f in found] == (["gamed", "below-floor"] if beyond else ["gamed"])


def test_tables(runs):
    """The tables of a diagnosis equal values that are computed by hand."""
    trained = runs["off-by-one"]
    found = diagnosed(trained)
    signal = Faulty().data.clean
    assert [(s.name, s.shape) for s in found.stages] == [
        ("input", signal.shape), ("encoded", signal.shape), ("moved", signal.shape), ("output", signal.shape)
    ]  # fmt: skip
    scale = found.stages[0].end
    expected = [signal.mean(), np.sqrt(np.mean(signal**2)), signal.min(), signal.max()]
    np.testing.assert_allclose([scale.mean, scale.rms, scale.min, scale.max], expected, rtol=1e-5, atol=1e-7)
    assert [g.name for g in found.groups] == ["decoder.hidden", "decoder.out", "encoder.hidden", "mean"]
    for group in found.groups:
        gradient = np.median(trained.traces[f"gradient/{group.name}"].reshape(SEEDS, -1), axis=0)
        assert group.smallest_gradient == (gradient.min(), gradient.argmin() + 1)
        assert group.largest_gradient == (gradient.max(), gradient.argmax() + 1)
        weight = np.median(trained.traces[f"weight/{group.name}"].reshape(SEEDS, -1), axis=0)
        assert group.weight == (weight[0], weight[30], weight[-1])
    assert found.latent is not None
    assert len(found.latent.end_spectrum) == 16
    json.dumps(asdict(found), allow_nan=False)


def shown(prediction, target, z, **more):
    found = summarise(Inspection(stages={"z": z}, latent="z", prediction=prediction, target=target, **more))
    return {name: np.asarray(value) for name, value in found.items()}


def test_summarise():
    """The summary of an inspection equals values that are computed by hand."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=(3, 20, 2)).astype(np.float32)
    z = jnp.asarray(rng.normal(size=(3, 20, 4)), jnp.float32) * jnp.array([2.0, 1.0, 0.0, 0.0]).reshape(1, 1, -1)
    found = shown(0.5 * jnp.roll(y, 2, axis=1), jnp.asarray(y), z, noise=jnp.full((3, 20), 0.3), radius=2.0)
    eigenvalues = np.linalg.eigvalsh(np.cov(np.asarray(z, float).reshape(-1, 4).T, bias=True))[::-1]
    np.testing.assert_allclose(found["latent/spectrum"], eigenvalues, atol=1e-5)
    assert found["prediction/shifted"].argmin() == 1
    np.testing.assert_allclose(found["prediction/amplitude"], 0.5, rtol=1e-5)
    np.testing.assert_allclose([found["noise/length"], found["noise/radius"]], [0.3, 2.0], rtol=1e-6)
    assert found["stage/0/z/shape"].tolist() == [3, 20, 4]


def test_constant_latent():
    """A constant latent has rank 0, and a target of zeros has no amplitude."""
    one = jnp.ones((2, 4, 3))
    found = shown(one, jnp.zeros_like(one), one)
    assert (found["latent/rank"], found["latent/variance"], found["target/rank"]) == (0.0, 0.0, 0.0)
    assert np.isnan(found["prediction/amplitude"])
    assert np.isnan(found["prediction/correlation"])
    assert found["prediction/shifted"].shape == (3,)
    trained = curves([1.0, 0.9, 0.8, 0.7])
    inspected = {
        f"{when}/{name}": np.stack([np.asarray(value, float)] * trained.seeds)
        for when in ("start", "end")
        for name, value in found.items()
    }
    trained = replace(trained, inspected=inspected)
    assert [f.name for f in diagnosed(trained).findings] == ["collapsed-latent"]


@pytest.mark.parametrize(("spectrum", "rank"), [([1, 0, 0], 1), ([2, 2, 0], 2), ([1, 1, 1], 3), ([0, 0, 0], 0)])
def test_effective_rank(spectrum, rank):
    """The effective rank of equal eigenvalues is their number."""
    np.testing.assert_allclose(effective_rank(jnp.array(spectrum, float)), rank, rtol=1e-6)


@pytest.mark.ill_typed
def test_invalid_inspection():
    """An inspection with inconsistent shapes or an unknown stage raises an error."""
    x = jnp.ones((2, 4, 3))
    with pytest.raises(ValueError, match="must have the same shape"):
        summarise(Inspection(stages={}, prediction=x, target=x[:, 1:]))
    with pytest.raises(ValueError, match="not one of the stages x"):
        summarise(Inspection(stages={"x": x}, latent="z", prediction=x, target=x))


@pytest.mark.parametrize("scale", [1e-25, 1.0, 1e25])
def test_group_norms(scale):
    """The norms of a group include all its entries and are accurate at any scale."""
    tree = {"layer": {"kernel": jnp.array([[3.0, 0.0]]), "bias": jnp.array([4.0])}, "gain": jnp.array(2.0)}
    scaled = jax.tree.map(lambda leaf: leaf * jnp.asarray(scale, jnp.float32), tree)
    found = step_traces(stages={"x": scaled["gain"]}, params=tree, gradient=scaled, update=tree)
    np.testing.assert_allclose(found["gradient/layer"], 5.0 * scale, rtol=1e-6)
    np.testing.assert_allclose(found["stage/0/x"], 2.0 * scale, rtol=1e-6)
    assert list(found) == [
        "stage/0/x",
        *(f"{k}/{g}" for k in ("gradient", "update", "weight") for g in ("gain", "layer")),
    ]


def test_order_of_stages():
    """Stage names sort in forward order for more than ten stages, too."""
    found = step_traces(stages={chr(ord("z") - i): jnp.ones(2) for i in range(12)}, params={}, gradient={}, update={})
    assert sorted(found) == list(found)
