"""Eight seeds of a small PyTorch MLP as a host experiment, in worker processes, against one seed: ``python bench_hosts.py``.

With perfect use of the cores, n seeds take n / cores as long as one. The workers run already, as they do from the second rung on;
the time to start them is printed besides. Needs PyTorch.
"""

import argparse
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ladder import HostTrainer, Seeds
from ladder.train.devices import cores
from ladder.train.pool import share_machine, worker_count, worker_pool

SEEDS = 8
TARGET = 1.3  # of the ideal time


@dataclass(frozen=True)
class Digits:
    """A classifier of random points by the sign of their product, in batches, on one thread."""

    width: int = 128
    steps: int = 400
    epochs: int = 5

    def train(self, seed: int) -> Iterator[Mapping[str, float]]:
        """Train one seed."""
        import torch  # here, so that only workers load it

        torch.manual_seed(seed)
        x = torch.randn(2048, 16)
        y = (x[:, :2].prod(dim=1) > 0).long()
        model = torch.nn.Sequential(
            torch.nn.Linear(16, self.width), torch.nn.ReLU(), torch.nn.Linear(self.width, self.width), torch.nn.ReLU(),
            torch.nn.Linear(self.width, 2),
        )  # fmt: skip
        optimiser = torch.optim.Adam(model.parameters(), 1e-3)
        loss = torch.tensor(0.0)
        for _ in range(self.epochs):
            for batch in torch.randint(len(x), (self.steps, 64)):
                loss = torch.nn.functional.cross_entropy(model(x[batch]), y[batch])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            yield {"loss": loss.item()}


def seconds(trainer: HostTrainer, seeds: range) -> float:
    """Return the time that training these seeds takes."""
    start = time.perf_counter()
    trainer(Seeds(), seeds)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="interleaved measurements of one seed and of eight")
    rounds = parser.parse_args().rounds
    share_machine(None)
    ideal = SEEDS / min(worker_count(), cores())
    trainer = HostTrainer(Digits(), 16)
    start = seconds(trainer, range(worker_count()))
    one, eight = [], []
    for number in range(rounds):
        one.append(seconds(trainer, range(1)))
        eight.append(seconds(trainer, range(SEEDS)))
        print(f"round {number + 1}: one seed {one[-1]:.2f} s, {SEEDS} seeds {eight[-1]:.2f} s", flush=True)
    ratios = [b / a / ideal for a, b in zip(one, eight, strict=True)]
    print(
        f"{worker_count()} workers, {cores()} cores; first seeds, with the start of workers and import of torch: {start:.2f} s"
    )
    print(
        f"{SEEDS} seeds take {statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}] of {ideal:g} times one "
        f"(target: at most {TARGET})"
    )
    worker_pool().close()


if __name__ == "__main__":
    main()
