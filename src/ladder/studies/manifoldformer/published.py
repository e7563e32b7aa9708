"""The published runs: their configurations, their printed values, and a comparison of these with many seeds.

Each published run has one seed. The values printed per epoch are means over the epoch's steps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float

from ladder.studies.manifoldformer.data import Signals
from ladder.studies.manifoldformer.dynamics import Flow, Residual
from ladder.studies.manifoldformer.encoder import Causal
from ladder.studies.manifoldformer.experiments import Oscillators
from ladder.studies.manifoldformer.model import Model
from ladder.studies.manifoldformer.sampling import Learned
from ladder.train.compiled import CompiledTrainer
from ladder.train.trainer import Seeds

CORE = Oscillators(
    data=Signals(tones=3, length=256, noise=0.1, batches=10),
    task="next step",
    model=Model(
        encoder=Causal(), latent="sphere", latent_dim=21, sampling=Learned(), dynamics=Flow(init="zero"), decoder=128
    ),
    loss="fractional + 0.05 entropy",
    optimiser="adamw",
)
"""The core that was called stuck, with zero-initialised dynamics.

It takes 50 steps of AdamW (status document of the core, section 14).
"""

CORE_RANDOM = replace(CORE, model=replace(CORE.model, dynamics=Flow()))
"""The core with dynamics that are initialised at random (section 12)."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A published run.

    Attributes:
        name: The patch or section of the status document, and the run's title.
        experiment: The experiment that it trained, set to report means during the epoch.
        printed: The printed values, digit by digit: quantity to epoch to value. A quantity is a metric, or the sum of several,
            joined by ``+``.
        differs: How its document, the published code and this configuration differ; empty if they agree.
        seeds: The number of seeds that it is compared with.
        outside: The reason why no seed reaches a printed value, by quantity and epoch; empty where some seed does.
    """

    name: str
    experiment: Oscillators
    printed: Mapping[str, Mapping[int, str]]
    differs: str = ""
    seeds: int = 64
    outside: Mapping[tuple[str, int], str] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """A printed value beside the results of many seeds: their median and range."""

    quantity: str
    epoch: int
    printed: str
    median: float
    low: float
    high: float

    @property
    def inside(self) -> bool:
        """True if the range contains a number that rounds to the printed value."""
        half = 0.5 * 10.0 ** -len(self.printed.partition(".")[2])
        return self.low - half <= float(self.printed) <= self.high + half


def compare(run: Run, curves: Mapping[str, Float[np.ndarray, "seed epoch"]]) -> list[Comparison]:
    """Compare every printed value of a run with the curves of many seeds of its experiment."""
    comparisons = []
    for quantity, by_epoch in run.printed.items():
        values = np.sum([curves[f"during_{metric}"] for metric in quantity.split("+")], axis=0)
        for epoch, printed in by_epoch.items():
            by_seed = values[:, epoch - 1]
            low, median, high = map(float, np.quantile(by_seed, (0.0, 0.5, 1.0)))
            comparisons.append(Comparison(quantity, epoch, printed, median, low, high))
    return comparisons


def reproduce(run: Run, seeds: Seeds | None = None) -> list[Comparison]:
    """Train the run on its seeds and compare."""
    return compare(run, CompiledTrainer(run.experiment, 8)(seeds or Seeds(), range(run.seeds)).curves)


def table(run: Run, comparisons: Sequence[Comparison]) -> str:
    """Return the comparison as a Markdown table."""
    rows = [
        f"| {each.quantity} | {each.epoch} | {each.printed} | {each.median:.4g} [{each.low:.4g}, {each.high:.4g}] "
        f"| {'inside' if each.inside else run.outside.get((each.quantity, each.epoch), 'outside')} |"
        for each in comparisons
    ]
    head = [
        "| quantity | epoch | printed | median and range | |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    note = [f"Note: {run.differs}.", ""] if run.differs else []
    return "\n".join([f"{run.name}, {run.seeds} seeds:", "", *note, *head, *rows])


def _epochs(*printed: str) -> dict[int, str]:
    return dict(enumerate(printed, start=1))


def _bench(dynamics: Flow | Residual | None = None) -> Oscillators:
    model = Model(latent="sphere") if dynamics is None else Model(latent="sphere", dynamics=dynamics)
    return Oscillators(model=model, loss="mse + spectral", during="after")


EUCLIDEAN = (
    "its document says spherical encoder, and the published code used the Euclidean one by mistake; here the latent is on "
    "the sphere"
)
POWER_LAW = (
    "its document describes a power-law memory, and the published code made one and did not use it; memory starts at random, "
    "or at zero, here as there"
)

RUNS = (
    Run(
        name="patch A: MSE identity",
        experiment=Oscillators(during="after"),
        printed={"mse": _epochs("0.5400", "0.2470", "0.0816", "0.0190", "0.0071")},
    ),
    Run(
        name="patch B: spectral identity",
        experiment=Oscillators(loss="spectral", during="after"),
        printed={"spectral": _epochs("1.7536", "1.4256", "1.2084", "1.0417", "0.9560")},
    ),
    Run(
        name="patch C: sphere",
        experiment=_bench(),
        printed={"loss": {1: "2.73", 5: "1.86"}, "mse": {1: "0.59", 5: "0.34"}, "spectral": {1: "2.14", 5: "1.52"}},
    ),
    Run(
        name="patch D: residual cell",
        experiment=_bench(Residual()),
        printed={"loss": {5: "1.93"}, "mse": {5: "0.36"}, "spectral": {5: "1.57"}},
    ),
    Run(
        name="patch E: full dynamics, random",
        experiment=_bench(Flow()),
        differs=EUCLIDEAN,
        printed={"loss": {5: "2.67"}, "mse": {5: "0.63"}, "spectral": {5: "2.03"}},
    ),
    Run(
        name="patch E: full dynamics, zero",
        experiment=_bench(Flow(init="zero")),
        differs=EUCLIDEAN,
        printed={"loss": {5: "1.79"}, "mse": {5: "0.42"}, "spectral": {5: "1.37"}},
    ),
    Run(
        name="section 12: the core, random",
        experiment=replace(CORE_RANDOM, during="before"),
        differs=POWER_LAW,
        printed={
            "fractional": _epochs("2.14", "2.00", "1.89", "1.76", "1.61"),
            "oracle_distance": _epochs("0.242", "0.250", "0.250", "0.251", "0.250"),
            "mse+reconstruction": _epochs("1.31", "1.35", "1.38", "1.43", "1.51"),
        },
    ),
    Run(
        name="section 14: the core, zero",
        experiment=replace(CORE, during="before"),
        differs=POWER_LAW,
        printed={
            "fractional": {1: "1.996", 5: "1.033"},
            "oracle_distance": {1: "0.241", 5: "0.253"},
            "mse+reconstruction": {1: "1.27", 5: "2.07"},
        },
    ),
)
