"""A table of how often measured limits keep their promise, by the worst of n seeds and by an extreme-value fit, in Markdown.

A calibrated limit promises to bound 95 % of seeds, with 95 % confidence. Here every calibrated limit of rungs 1 to 3 is measured
again and again from few seeds, drawn from many fresh ones, and held against the others.
"""

import argparse
from collections.abc import Callable

import numpy as np
from bench_rungs import table
from scipy.stats import genpareto  # type: ignore[import-untyped]

from ladder import Seeds, Trainer
from ladder.declare.criteria import Criterion
from ladder.judge.calibration import CONFIDENCE, COVERAGE, sample_size
from ladder.studies.manifoldformer import Model, Oscillators
from ladder.studies.manifoldformer.gates import learns
from ladder.train.devices import use_all_cores
from ladder.train.trainer import CALIBRATION_STREAM

LOSSES = ("mse", "spectral", "mse+spectral")
TAIL = 0.25  # of the sample lies above the threshold of the fit
RESAMPLES = 200  # of the bootstrap
FRESH = Seeds(root=1, stream=CALIBRATION_STREAM)  # no gate is judged on them, and no stored limit was measured on them

Limit = Callable[[np.ndarray, np.random.Generator], float]


def worst(sample: np.ndarray, rng: np.random.Generator) -> float:
    """Return the largest value, as calibrations do."""
    return float(sample.max())


def quantile_of_fit(samples: np.ndarray) -> np.ndarray:
    """Return the quantile at ``COVERAGE`` of a generalised Pareto distribution, fitted to the excesses of each sample.

    The fit is by probability-weighted moments. Source: Pickands (1975) for peaks over a threshold; Hosking and Wallis, *Parameter
    and quantile estimation for the generalized Pareto distribution* (1987), for the moments.

    Args:
        samples: Values of shape (sample, seed).
    """
    ordered = np.sort(samples, axis=1)
    m = max(4, round(TAIL * samples.shape[1]))
    threshold = ordered[:, -m - 1]
    excess = ordered[:, -m:] - threshold[:, None]
    weight = 1.0 - (np.arange(1, m + 1) - 0.35) / m
    a0, a1 = excess.mean(axis=1), (weight * excess).mean(axis=1)
    with np.errstate(invalid="ignore"):  # no excess at all, where a resample repeats its largest value
        shape = 2.0 - a0 / (a0 - 2.0 * a1)
        scale = 2.0 * a0 * a1 / (a0 - 2.0 * a1)
    beyond = (1.0 - COVERAGE) * samples.shape[1] / m
    return np.asarray(threshold + genpareto.isf(beyond, shape, scale=scale))


def fitted(sample: np.ndarray, rng: np.random.Generator) -> float:
    """Return the upper confidence limit of the fit's quantile, by the bootstrap's percentile."""
    resampled = sample[rng.integers(len(sample), size=(RESAMPLES, len(sample)))]
    return float(np.nanquantile(quantile_of_fit(resampled), CONFIDENCE))


def experiments() -> dict[str, tuple[Oscillators, tuple[Criterion, ...]]]:
    """Return the experiments of rungs 1 to 3 with their calibrated gates."""
    found = {}
    for number, model in ((2, Model()), (3, Model(latent="sphere"))):
        for loss in LOSSES:
            name = "rung1" if (number, loss) == (2, "mse") else f"rung{number}[{loss}]"
            found[name] = Oscillators(loss=loss, model=model), learns(loss)
    return found


def main() -> None:
    """Train the seeds and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=1000, help="the number of fresh seeds of every rung")
    parser.add_argument("--trials", type=int, default=1000, help="how often each limit is measured")
    args = parser.parse_args()
    use_all_cores()
    rng, rows = np.random.default_rng(0), []
    methods: dict[str, tuple[Limit, int]] = {f"worst of {(n := sample_size(1))}": (worst, n)}
    methods |= {f"fit to {n}": (fitted, n) for n in (20, 30, 40, n)}
    for name, (experiment, gates) in experiments().items():
        curves = Trainer(experiment, 16)(FRESH, range(args.seeds)).curves
        for gate in gates:
            values = gate.statistic(curves)
            true = np.quantile(values, COVERAGE)
            spread = true - np.median(values)
            cells = []
            for limit, n in methods.values():
                limits, kept = [], 0
                for _ in range(args.trials):
                    chosen = rng.permutation(len(values))
                    limits.append(limit(values[chosen[:n]], rng))
                    kept += int(np.mean(values[chosen[n:]] <= limits[-1]) >= COVERAGE)
                cells.append(f"{kept / args.trials:.3f}, {(np.median(limits) - true) / spread:+.2f}")
            rows.append([f"{name}: {gate.key}", f"{true:.4g}", *cells])
    table(
        f"Limits that bound {COVERAGE:.0%} of {args.seeds} seeds, measured {args.trials} times",
        " | ".join(["limit", f"quantile at {COVERAGE:g}", *methods]),
        rows,
        f"Each cell: how often the limit bounds {COVERAGE:.0%} of the seeds that it was not measured on, promised in "
        f"{CONFIDENCE:.0%} of measurements; and how far the median limit lies above that quantile, in distances of the quantile "
        "from the median.",
    )


if __name__ == "__main__":
    main()
