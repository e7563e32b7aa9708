"""The cost of ``ladder.torch.watch``: the loop of an MLP with and without it, on one thread: ``python bench_torch_watch.py``.

Processor time of both, measured in turn, and the median of their ratios. Needs PyTorch.
"""

import argparse
import statistics
import time
from contextlib import nullcontext

import torch
from torch import nn

from ladder.torch import watch

STEPS = 300
TARGET = 1.5


def seconds(width: int, batch: int, watched: bool) -> float:
    """Return the processor time of a step, the report included."""
    torch.manual_seed(0)
    hidden = nn.Sequential(nn.Linear(16, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
    model = nn.Sequential(hidden, nn.Linear(width, 2))
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    x, y = torch.randn(batch, 16), torch.randint(2, (batch,))
    with watch(model, optimiser) if watched else nullcontext() as watcher:
        start = time.process_time()
        for _ in range(STEPS):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimiser.step()
        if watcher is not None:
            watcher.report()
        return (time.process_time() - start) / STEPS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few repeats: to see that it works, not to quote")
    rounds = 2 if parser.parse_args().quick else 15
    torch.set_num_threads(1)
    print(
        f"| width | batch | microseconds a step | watched / not (target: at most {TARGET}) |\n| ---: | ---: | ---: | ---: |"
    )
    for width, batch in ((64, 64), (128, 64), (256, 256), (512, 256)):
        seconds(width, batch, True)
        pairs = [(seconds(width, batch, False), seconds(width, batch, True)) for _ in range(rounds)]
        ratios = [watched / plain for plain, watched in pairs]
        plain = statistics.median(plain for plain, _ in pairs)
        spread = f"{statistics.median(ratios):.2f} [{min(ratios):.2f}–{max(ratios):.2f}]"
        print(f"| {width} | {batch} | {1e6 * plain:.0f} | {spread} |", flush=True)


if __name__ == "__main__":
    main()
