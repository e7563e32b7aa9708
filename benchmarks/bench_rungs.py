"""The speed of the ladder's training against a plain loop and a plain vmap: Markdown tables of ratios measured in one run.

Competitors are timed in turn (A B A B) and compared round by round; what is quoted is the median of the rounds and,
in brackets, their range. The plain ones run in a process of their own: in this one ``Trainer`` shows JAX every core as a
device, and a loop on one of those might not get all cores. There they have JAX's defaults: one device, all threads.
"""

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import jax
import numpy as np
from plain_loop import Plain, flops, peak_bytes, peak_flops

from ladder import Seeds, Trainer
from ladder.studies.manifoldformer import Causal, Flow, Gap, Model, Oscillators, Residual, Signals
from ladder.studies.manifoldformer.summit import SMALL, SUMMIT_SMALL
from ladder.studies.purefep import Overfit
from ladder.train.devices import use_all_cores

SPHERE = Model(latent="sphere")
RUNGS = {
    1: Oscillators(),
    2: Oscillators(loss="spectral"),
    3: Oscillators(loss="mse+spectral", model=SPHERE),
    4: Oscillators(loss="mse+spectral", model=replace(SPHERE, dynamics=Residual())),
    5: Oscillators(loss="mse+spectral", model=replace(SPHERE, dynamics=Flow())),
    6: Oscillators(loss="mse+spectral", model=replace(SPHERE, dynamics=Flow(init="zero"))),
}
IDS = {1: "rung1", 2: "rung2[spectral]"} | {n: f"rung{n}[mse+spectral]" for n in (3, 4, 5, 6)}
STARTS: dict[int, Any] = RUNGS | {
    7: Overfit(),
    8: Oscillators(data=SMALL, optimiser="adamw", model=Model(encoder=Causal(features=32))),
    9: SUMMIT_SMALL,
    10: replace(SUMMIT_SMALL, gap=Gap(samples=SUMMIT_SMALL.data.length // 4)),
}
START_IDS = IDS | {7: "rung7", 8: "rung8@small", 9: "rung9@small", 10: "rung10@small"}
SPEEDUP = 10.0  # target: at least this many times the plain loop's seeds per second; and at most these seconds
FIRST_EPOCH, CLIMB = 3.0, {"cold": 30.0, "warm": 18.0}
BLOCK = 16  # seeds of a climb's first look
# Relative, of the first losses: means of terms of order 1 whose spectra are sums of 64, taken in another order.
LOSS_TOLERANCE = 64 * 2.0**-24
UPDATE_TOLERANCE = 0.01  # of the second losses' difference, relative to what the first update changed


def worker() -> None:
    """Answer requests, one JSON object a line; the first of a rung and variant compiles, and is not to be counted."""
    ready: dict[Any, Callable[[int], list[dict[str, Any]]]] = {}
    for line in sys.stdin:
        ask = json.loads(line)
        what, rung = ask["what"], ask.get("rung", 1)
        answer: Any
        if what == "first":
            answer = first_epoch(STARTS[rung])
        elif what in ("compile", "compile distinct"):
            answer = Plain(RUNGS[rung], distinct=what == "compile distinct").compile()
        elif what == "peaks":
            answer = peak_flops(), peak_bytes()
        else:
            key = what, rung
            if key not in ready:
                ready[key] = VARIANTS[what](RUNGS[rung])
            answer = ready[key](ask["seeds"])
        print(json.dumps(answer), flush=True)


def looped(experiment: Oscillators, distinct: bool) -> Callable[[int], list[dict[str, Any]]]:
    """Run the plain loop over the first seeds, each from the half of its key that Trainer initialises with."""
    plain = Plain(experiment, distinct)
    return lambda seeds: [plain.train(jax.random.split(key)[0]) for key in Seeds().keys(range(seeds))]


def vmapped(experiment: Oscillators, distinct: bool) -> Callable[[int], list[dict[str, Any]]]:
    """Run the plain loop over a block of seeds together, for a part of the epochs; its times are of all, for one seed.

    However many seeds are asked for, a block of them is trained.
    """
    plain, keys = Plain(experiment, distinct, together=True), jax.vmap(jax.random.split)(Seeds().keys(range(BLOCK)))

    def run(seeds: int) -> list[dict[str, Any]]:
        done = plain.train(keys[:, 0], epochs=1, batches=None if distinct else 5)
        times = {name: done[name] / BLOCK for name in ("seconds", "cpu", "evaluating")}
        return [times | {"steps": [step[seed] for step in done["steps"]]} for seed in range(BLOCK)]

    return run


def alone(experiment: Oscillators) -> Callable[[int], list[dict[str, Any]]]:
    """Run the Trainer's program one seed at a time, on the one device of a process that has already started JAX."""
    jax.devices()
    trainer = Trainer(experiment, 1)
    return lambda seeds: [timed(trainer, [n]) for n in range(seeds)]


def timed(trainer: Trainer, numbers: Sequence[int]) -> dict[str, Any]:
    """Return the run time and the processor time of a trainer that has been compiled, for each of some seeds."""
    busy = time.process_time()
    seconds = trainer(Seeds(), numbers).run_seconds
    return {"seconds": seconds / len(numbers), "cpu": (time.process_time() - busy) / len(numbers)}


VARIANTS: dict[str, Callable[[Oscillators], Callable[[int], list[dict[str, Any]]]]] = {
    "loop": partial(looped, distinct=False),
    "vmap": partial(vmapped, distinct=False),
    "loop of 20": partial(looped, distinct=True),
    "vmap of 20": partial(vmapped, distinct=True),
    "alone": alone,
}


def first_epoch(experiment: Any) -> dict[str, float]:
    """Return when the first epoch of a block of seeds was reported: on the clock, and since the Trainer was made."""
    reports: list[tuple[float, float]] = []

    class Watch:
        def compiling(self, first: int, last: int) -> None: ...

        def epoch(self, first: int, last: int, epoch: int, metrics: dict[str, np.ndarray]) -> None:
            reports.append((time.time(), time.process_time()))

    began, busy = time.time(), time.process_time()
    trained = Trainer(replace(experiment, epochs=1), BLOCK)(Seeds(), range(BLOCK), Watch())
    at, cpu = reports[0]
    return {"at": at, "since": at - began, "cpu": cpu - busy, "compile": trained.compile_seconds}


class Worker:
    """This script in another process, with JAX's own defaults; ``born`` is the time at which it was started."""

    def __init__(self) -> None:
        self.born, pipe = time.time(), subprocess.PIPE
        command = [sys.executable, __file__, "--worker"]
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=no_cache())

    def __call__(self, what: str, **more: int) -> Any:
        """Send a request and wait for the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({"what": what} | more), file=self._process.stdin, flush=True)
        if line := self._process.stdout.readline():
            return json.loads(line)
        sys.exit(f"the process that timed {what} {more} ended early; its error is printed above")

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def no_cache() -> dict[str, str]:
    """Return the environment without JAX's compilation cache, for cold starts."""
    return {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}


def table(title: str, columns: str, rows: Sequence[Sequence[str]], reading: str) -> None:
    """Print a table and the sentence on how to read it."""
    head = columns.split(" | ")
    cells = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    lines = "\n".join("| " + " | ".join(row) + " |" for row in cells)
    print(f"\n### {title}\n\n{lines}\n\n{reading}", flush=True)


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Return median and range as text."""
    return f"{median(values):.{digits}f} [{min(values):.{digits}f}–{max(values):.{digits}f}]"


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Return the ratio of each round."""
    return [a / b for a, b in zip(above, below, strict=True)]


def met(value: float, limit: float) -> str:
    """Return whether a value is within its limit, as text."""
    return "yes" if value <= limit else "**no**"


def check_same_work(rung: int, plain: Sequence[float], ladder: np.ndarray) -> tuple[float, float, float]:
    """Raise an error unless the first loss agrees to rounding, and the second, after an update, to a part of the change.

    Returns the two differences, and the largest relative one of all steps of the plain run. Adam divides gradients by their size,
    those that are but rounding, too, and the spectral loss is not smooth: from the first update on differences grow.
    """
    mine, theirs = np.asarray(plain), ladder.ravel()[: len(plain)]
    off = np.abs(mine - theirs)
    first, second = float(off[0] / theirs[0]), float(off[1] / abs(theirs[1] - theirs[0]))
    if not (first <= LOSS_TOLERANCE and second <= UPDATE_TOLERANCE):
        sys.exit(
            f"{IDS[rung]}: the first two losses are {mine[:2]} in the plain loop and {theirs[:2]} in Oscillators; relative "
            f"differences {first:.1e} (at most {LOSS_TOLERANCE:.1e}) and, of the step's change, {second:.1e} (at most "
            f"{UPDATE_TOLERANCE:g}): the two do not do the same work, so their times are not compared"
        )
    return first, second, float(np.max(off / theirs))


def section_rungs(quick: bool) -> None:
    """Time each published rung: plain loop and vmap against Trainer, the factors of the ratio, and the fractions of the peaks."""
    rounds, loops, block = (2, 1, 4) if quick else (3, 1, BLOCK)
    order, other = ("loop", "loop of 20", "alone", "ladder"), Worker()
    peaks, speed, without, parts, shares, work = [], [], [], [], [], []
    for rung, experiment in RUNGS.items():
        seconds, cpu = ({name: list[float]() for name in (*VARIANTS, "ladder")} for _ in range(2))
        evaluating = []
        trainer = Trainer(experiment, block)
        trained = trainer(Seeds(), range(block))  # compiles and warms up, as the first request does
        warm = {name: other(name, rung=rung, seeds=1)[0] for name in VARIANTS}
        agreed = np.max(
            [
                check_same_work(rung, done["steps"], trained.traces["step_loss"][0])
                for done in warm.values()
                if "steps" in done
            ],
            axis=0,
        )
        for _ in range(rounds):
            peaks.append(other("peaks"))
            for name in VARIANTS:
                done = other(name, rung=rung, seeds=loops)
                seconds[name].append(np.mean([seed["seconds"] for seed in done]))
                cpu[name].append(np.mean([seed["cpu"] for seed in done]))
                if name == "loop":
                    evaluating.append(np.mean([seed["evaluating"] for seed in done]))
            done = timed(trainer, range(block))
            seconds["ladder"].append(done["seconds"])
            cpu["ladder"].append(done["cpu"])
        against = {name: ratios(seconds[name], seconds["ladder"]) for name in VARIANTS}
        cpu_ratio = ratios(cpu["loop"], cpu["ladder"])
        free = median(against["loop"]) - median(ratios(evaluating, seconds["ladder"]))
        speed.append([
            IDS[rung], *(spread(seconds[name], 3) for name in ("loop", "vmap", "ladder")), spread(against["loop"]),
            f"{SPEEDUP:g}", met(SPEEDUP, median(against["loop"])), spread(against["vmap"]), spread(cpu_ratio), f"{free:.2f}",
        ])  # fmt: skip
        without.append([
            IDS[rung], *(spread(seconds[name], 3) for name in ("loop of 20", "vmap of 20")),
            *(spread(against[name]) for name in ("loop of 20", "vmap of 20")),
            spread(ratios(cpu["loop of 20"], cpu["ladder"])), *(f"{off:.0e}" for off in agreed),
        ])  # fmt: skip
        factors = [ratios(seconds[a], seconds[b]) for a, b in pairwise(order)]
        parts.append([IDS[rung], spread(against["loop"]), *(spread(factor) for factor in factors)])
        shares.append([100 * math.log(median(factor)) / math.log(median(against["loop"])) for factor in factors])
        work.append((rung, experiment, min(seconds["loop"]), min(seconds["ladder"])))  # best against the best peak
    table(
        f"Ladder against a plain loop and a plain vmap ({rounds} rounds: {loops} seed by the loop, {BLOCK} by vmap, {block} by "
        "the ladder)",
        "rung | loop s/seed | vmap s/seed | ladder s/seed | loop / ladder | target | met | vmap / ladder | "
        "loop / ladder, processor time | without loop's evaluation",
        speed,
        "Compilation apart. All initialise, train 75 steps and evaluate five times; the vmap's times are those of its "
        "first 5 batches, trained and evaluated, in proportion. The plain ones train and evaluate on batches of 64 sequences, "
        'as published. "Without loop\'s evaluation" charges that to the ladder alone, the least the ratio could be.',
    )
    table(
        "Without the credit for identical signals (the plain loop and vmap, too, compute 20 rows, not 64)",
        "rung | loop s/seed | vmap s/seed | loop / ladder | vmap / ladder | loop / ladder, processor time | "
        "first loss differs by | second, of the step | any loss by",
        without,
        "A batch of 64 has at most 20 distinct signals; here every competitor computes each once and weights it. The losses' "
        "differences are the largest of the four plain variants: the first is rounding, and the second, after an update, a "
        "small part of what the update changed, so all do the same work. How far any later loss differs, relative to itself, "
        "is rounding amplified by training.",
    )
    table(
        "Where the ratio comes from (time of one variant over that of the next)",
        "rung | loop / ladder | 20 rows, not 64 | ladder's program | seeds over cores",
        parts,
        "Rows: the plain loop with each distinct signal computed once and weighted. Ladder's program: Trainer on one seed "
        "and one device (an epoch in one program, polynomial sine, more metrics) against that loop; below 1: slower. "
        f"Cores: {block} seeds spread over {len(jax.devices())} cores, against one by one with XLA's threads inside each. "
        "Medians, so factors multiply only nearly. Shares of the ratio's logarithm, median over rungs: "
        + ", ".join(f"{name} {median(share):.0f} %" for name, share in zip(
            ("rows", "program", "cores"), zip(*shares, strict=True), strict=True)) + ".",
    )  # fmt: skip
    (peak, bandwidth), rows = np.max(peaks, axis=0), []
    for rung, experiment, plain, ladder in work:
        (step, forward), (step20, forward20) = flops(experiment, 64), flops(experiment, 20)
        # An epoch is 15 steps, and evaluates all 15 batches or the 20 signals.
        useful, done = 5 * 15 * (step + forward), 5 * (15 * step20 + forward20)
        _, xla, moved = other("compile distinct", rung=rung)
        counts = (step, step20, xla, moved)
        percents = (
            useful / plain / peak,
            useful / ladder / peak,
            done / ladder / peak,
            75 * moved / ladder / bandwidth,
        )
        rows.append([IDS[rung], *(f"{n / 1e6:.0f}" for n in counts), *(f"{100 * p:.1f} %" for p in percents)])
    other.close()
    table(
        f"What bounds each rung: fractions of the matmul peak ({peak / 1e9:.0f} GFLOP/s: float32, 2048 x 2048, all cores) and of "
        f"the memory's rate ({bandwidth / 1e9:.1f} GB/s, read and written, all cores), each the best of the run",
        "rung | MFLOP a step, 64 rows | 20 rows | XLA's count of that | MB a step, 20 rows | matmul peak: loop | "
        "ladder, loop's work | ladder, work done | memory's rate: ladder",
        rows,
        "MFLOP are of matrix products and FFTs alone (see `flops`); XLA counts pointwise operations too. Fractions are "
        'of a whole seed of the best round, evaluation included. "Loop\'s work" credits the ladder with rows it did not '
        'compute and may exceed 100 %; "work done" does not. MB are what the operations of the plain step on 20 rows read and '
        "write, as XLA counts it, after fusion; much of it stays in caches, so that their rate may exceed the memory's. A "
        "rung with a low share of the peak and a high rate is bound by moving arrays and by pointwise work, not by products.",
    )


def section_start(quick: bool) -> None:
    """Time compilation and the first epoch, each in a fresh process."""
    rounds, rows = 1 if quick else 2, []
    for rung in STARTS:
        starts = []
        for _ in range(rounds if rung in RUNGS else 1):
            compiling = math.nan
            if rung in RUNGS:
                plain = Worker()
                compiling = plain("compile", rung=rung)[0]
                plain.close()
            ladder = Worker()
            first = ladder("first", rung=rung)
            ladder.close()
            starts.append((compiling, first["compile"], first["since"], first["cpu"], first["at"] - ladder.born))
        plain_, *columns = list(zip(*starts, strict=True))
        compiled = spread(plain_) if rung in RUNGS else ""
        rows.append([START_IDS[rung], compiled, *map(spread, columns), met(median(columns[1]), FIRST_EPOCH)])
    table(
        f"Compilation and the first epoch of {BLOCK} seeds, in seconds ({rounds} fresh processes each, from rung 7 on one, "
        "nothing cached)",
        "rung | plain compiles | ladder compiles | Trainer to first epoch | processor time of it | process to first epoch | "
        f"at most {FIRST_EPOCH:g} s",
        rows,
        "From making the Trainer, and from starting Python, to the first epoch's report; the target is for the former. "
        'Its excess over "ladder compiles" is initialising and one epoch; process less Trainer is Python and imports. '
        "Ladder compiles initialisation and the seeds' keys, too, on top of step and evaluation.",
    )


def interleaved(trainers: dict[Any, tuple[Trainer, int]], rounds: int) -> dict[Any, list[float]]:
    """Return the run seconds of each trainer on its number of seeds, in turn, after a first run that compiles."""
    seconds_of: dict[Any, list[float]] = {key: [] for key in trainers}
    for done in range(rounds + 1):
        for key, (trainer, seeds) in trainers.items():
            seconds = trainer(Seeds(), range(seeds)).run_seconds
            if done:
                seconds_of[key].append(seconds)
    return seconds_of


def exponents(x: Sequence[int], y: Sequence[Sequence[float]]) -> list[str]:
    """Return the power of x by which y grows between neighbours, from the median of ratios round by round."""
    steps = zip(pairwise(x), pairwise(y), strict=True)
    return ["", *(f"{math.log(median(ratios(d, c))) / math.log(b / a):.2f}" for (a, b), (c, d) in steps)]


def section_seeds(quick: bool) -> None:
    """Time training for growing numbers of seeds, all in one block."""
    counts, rounds = ((1, 2, 4, 8), 2) if quick else ((1, 2, 4, 8, 16, 32, 64), 5)
    for rung in (3, 6):
        times = interleaved({n: (Trainer(RUNGS[rung], n), n) for n in counts}, rounds)
        each = {n: [seconds / n for seconds in times[n]] for n in counts}
        growth = exponents(counts, [times[n] for n in counts])
        table(
            f"{IDS[rung]}: run time by seeds ({rounds} rounds)",
            "seeds | seconds | seconds a seed | exponent",
            [[str(n), spread(times[n], 3), spread(each[n], 4), e] for n, e in zip(counts, growth, strict=True)],
            f"One seed alone takes {spread(ratios(each[1], each[counts[-1]]))} times as long as one of {counts[-1]}, "
            f"on {len(jax.devices())} cores. Exponent 1 from one row to the next means that seeds queue for the cores; "
            "less, that a core was idle or a fixed cost was shared.",
        )


def section_length(quick: bool) -> None:
    """Time one epoch of a few seeds for sequences of growing length."""
    lengths, rounds, seeds = ((64, 128, 256), 2, 2) if quick else ((64, 128, 256, 512), 5, 4)
    cases = {(rung, t): replace(RUNGS[rung], data=Signals(length=t), epochs=1) for rung in (3, 6) for t in lengths}
    times = interleaved({key: (Trainer(case, seeds), seeds) for key, case in cases.items()}, rounds)
    growth = [exponents(lengths, [times[rung, t] for t in lengths]) for rung in (3, 6)]
    rows = []
    for t, *exponent in zip(lengths, *growth, strict=True):
        each = [spread([s / seeds for s in times[rung, t]], 4) for rung in (3, 6)]
        dynamics = 1 - median(ratios(times[3, t], times[6, t]))
        coupling = 3 * 4 * 2 * 2 * t * t * SPHERE.latent_dim / flops(cases[6, t], 1)[0]
        rows.append([
            str(t), each[0], exponent[0], each[1], exponent[1], f"{100 * dynamics:.0f} %", f"{100 * coupling:.0f} %",
        ])  # fmt: skip
    table(
        f"Run time by length (one epoch, {seeds} seeds, {rounds} rounds)",
        "length | rung 3 s/seed | exponent | rung 6 s/seed | exponent | dynamics' part of rung 6's time | "
        "coupling's of its FLOPs",
        rows,
        "Rung 3 is pointwise in time, O(T), but for the loss's FFTs, O(T log T): an exponent near 1 says that samples "
        "bound it, less that fixed costs do. Rung 6 adds the memory, O(T log T), and the coupling, O(T²), four times a "
        "step: an exponent near 2 says that the coupling bounds it; more, that T x T arrays have outgrown a cache.",
    )


def section_climb(quick: bool) -> None:
    """Time pytest climbing the published variants, with an empty compilation cache and with a full one."""
    root, said = Path(__file__).resolve().parents[1], set[str]()
    wall, cpu = ({name: list[float]() for name in CLIMB} for _ in range(2))
    for _ in range(1 if quick else 2):
        with tempfile.TemporaryDirectory() as folder:
            # A looser test, which 16 seeds decide: what is timed is 16 seeds of every rung, not how many it takes.
            looks = [f"--ladder-seeds={BLOCK}", "-o", "ladder_p0=0.5", "-o", f"cache_dir={folder}/cache"]
            only = [f"--ladder-only={id}" for id in IDS.values()]
            for name in CLIMB:
                reports = f"{folder}/{name}"
                # Evidence of its own, or the second run would train nothing; it has only the first one's compiled programs.
                folders = [f"--ladder-reports={reports}", f"--ladder-evidence={reports}/evidence"]
                command = [sys.executable, "-m", "pytest", "tests/ladder", "-q", *looks, *folders, *only]
                began, busy = time.perf_counter(), children_time()
                done = subprocess.run(command, cwd=root, env=no_cache(), capture_output=True, text=True)
                wall[name].append(time.perf_counter() - began)
                cpu[name].append(children_time() - busy)
                counts = (done.stdout.strip().splitlines() or ["nothing"])[-1].rpartition(" in ")
                trained = {
                    rung["seeds"]["of"] for rung in json.loads(Path(reports, "ladder.json").read_text())["rungs"]
                }
                if trained != {BLOCK}:
                    sys.exit(f"pytest trained {trained} seeds of a rung, not {BLOCK}:\n{done.stdout}{done.stderr}")
                said.add(f"{counts[0] or counts[2]} (exit {int(done.returncode)})")
    table(
        f"pytest, {BLOCK} seeds of {', '.join(IDS.values())}, and all they require",
        "compilation cache | wall seconds | target | met | processor seconds",
        [
            [
                name,
                spread(wall[name], 1),
                f"{CLIMB[name]:g}",
                met(median(wall[name]), CLIMB[name]),
                spread(cpu[name], 1),
            ]
            for name in CLIMB
        ],
        f"Cold / warm is {spread(ratios(wall['cold'], wall['warm']))}: what compiling costs. Warm is imports, tracing "
        f"and training. pytest said: {'; '.join(sorted(said))}.",
    )


def children_time() -> float:
    """Return the processor time of all processes that this one has started and waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


SECTIONS = {"rungs": section_rungs, "start": section_start, "seeds": section_seeds, "length": section_length}


def main() -> None:
    """Read the command line and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--section", action="append", choices=SECTIONS, help="print only this one (repeatable)")
    parser.add_argument("--climb", action="store_true", help="time pytest climbing the ladder, after those sections")
    parser.add_argument(
        "--quick", action="store_true", help="few seeds and repeats: to see that it works, not to quote"
    )
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        worker()
        return
    use_all_cores()  # before JAX starts, which asking for its devices does
    print(f"JAX {jax.__version__} on {jax.default_backend()}, {len(jax.devices())} devices")
    chosen = [SECTIONS[name] for name in args.section or ([] if args.climb else SECTIONS)]
    for section in [*chosen, *([section_climb] if args.climb else [])]:
        section(args.quick)
        print(
            f"\nLoad average of the last minute: {os.getloadavg()[0]:.1f}, up to {len(jax.devices())} of it this run's."
        )


if __name__ == "__main__":
    main()
