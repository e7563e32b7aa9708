"""The time that each form of a report takes to write, and its size, as a Markdown table. Nothing is trained.

The curves are drawn at random, judged and written up as those of a climb are; what is timed is from the report as data to the
text of a file. What is quoted is the median of the rounds and, in brackets, their range.
"""

import argparse
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
from bench_rungs import met, spread, table
from jax import Array

from ladder import Floor, Ladder, Rung, SequentialTest, above, below, falls
from ladder.climb import Outcome
from ladder.judge.judgement import judge
from ladder.report import as_json
from ladder.report.document import document, entry
from ladder.report.html import html
from ladder.report.markdown import markdown
from ladder.report.schema import Document, Environment
from ladder.train.result import Trained

RUNGS, SEEDS, EPOCHS, ROUNDS = 10, 64, 200, 7
JUDGED, OTHERS = ("loss", "mse", "accuracy"), tuple(f"other_{n}" for n in range(6))
TARGET, LARGEST = 2.0, 3 * 2**20  # seconds of all forms together, bytes of each
SOURCE = "made up for the benchmark"
FORMS: dict[str, Callable[[Document], str]] = {
    "ladder.json": as_json,
    "ladder.md": markdown,
    "ladder.html": lambda report: html(report, Path()),
}


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """An experiment whose curves nobody trains."""

    depth: int = 0
    epochs: int = EPOCHS

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the metrics."""
        return (*JUDGED, *OTHERS)

    def init(self, key: Array) -> Array:
        """Return the key as the state."""
        return key

    def epoch(self, state: Array, key: Array) -> tuple[Array, Mapping[str, Array]]:
        """Raise an error: nothing is trained."""
        raise NotImplementedError


def large() -> Document:
    """Return a report with as many rungs, seeds and epochs as the target names."""
    gates = (
        below("loss", 0.2, by=150, source=SOURCE, floor=Floor(0.001, SOURCE)),
        falls("mse", 0.5, by=100, source=SOURCE),
    )
    goals = (above("accuracy", 0.99, by=180, source=SOURCE),)
    root = Rung(number=1, name="depth 1", experiment=Drawn(), gates=gates, goals=goals)
    compare = dict.fromkeys(JUDGED, "not published")
    rungs = [root]
    for n in range(2, RUNGS + 1):
        on_it = replace(root, number=n, name=f"depth {n}", experiment=Drawn(depth=n))
        rungs.append(replace(on_it, parent=rungs[-1].id, adds="depth", compare=compare))
    test, ladder = SequentialTest(), Ladder(rungs)
    trained = {rung.id: drawn(rung.number) for rung in rungs}
    entries = []
    for rung in rungs:
        judged = judge(rung, trained[rung.id], trained, test, RUNGS)
        entries.append(entry(Outcome(rung, judged.verdict, judgement=judged, trained=trained[rung.id]), ladder, test))
    environment: Environment = {"command": "pytest", "machine": {}, "versions": {}, "commit": None}
    return document(entries, test, {"root": 0, "fresh": False, "repeat": ""}, environment)


def drawn(number: int) -> Trained:
    """Draw falling curves with some noise, independent for each seed."""
    random = np.random.default_rng(number)
    fall = np.exp(-np.arange(EPOCHS) / random.uniform(20.0, 60.0, (SEEDS, 1)))
    return Trained(
        {
            name: fall * np.exp(random.normal(0.0, 0.1, (SEEDS, EPOCHS))) if name != "accuracy" else 1.0 - fall
            for name in (*JUDGED, *OTHERS)
        },
        {},
        0.0,
        0.0,
    )


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two rounds: to see that it works, not to quote")
    rounds = 2 if parser.parse_args().quick else ROUNDS
    report = large()
    seconds: dict[str, list[float]] = {name: [] for name in FORMS}
    sizes: dict[str, int] = {}
    for _ in range(rounds):
        for name, form in FORMS.items():
            began = time.perf_counter()
            sizes[name] = len(form(report).encode())
            seconds[name].append(time.perf_counter() - began)
    everything = [sum(each) for each in zip(*seconds.values(), strict=True)]
    rows = [[name, spread(seconds[name], 3), f"{sizes[name] / 2**20:.2f}", met(sizes[name], LARGEST)] for name in FORMS]
    table(
        f"A report of {RUNGS} rungs, {SEEDS} seeds and {EPOCHS} epochs ({rounds} rounds)",
        f"form | seconds | MiB | at most {LARGEST / 2**20:g} MiB",
        rows,
        f"All together {spread(everything, 3)} s, at most {TARGET:g} s: {met(median(everything), TARGET)}. The first page of a "
        f"process reads its template besides. Load average of the last minute: {os.getloadavg()[0]:.1f}.",
    )


if __name__ == "__main__":
    main()
