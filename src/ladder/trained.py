"""What training some seeds yielded. Nothing here loads JAX: curves are kept, judged and drawn without it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class Trained:
    """What training one experiment on some seeds yielded.

    Attributes:
        curves: Metric to values of shape (seed, epoch).
        traces: Trace to values of shape (seed, epoch, step).
        compile_seconds: Time to trace and compile, spent once.
        run_seconds: Time to initialise and train.
    """

    curves: dict[str, Float[np.ndarray, "seed epoch"]]
    traces: dict[str, Float[np.ndarray, "seed epoch step"]]
    compile_seconds: float
    run_seconds: float

    @property
    def seeds(self) -> int:
        """How many seeds were trained."""
        return len(next(iter(self.curves.values())))

    @cached_property
    def first_bad_step(self) -> Int[np.ndarray, " seed"]:
        """For each seed the step (from 1) at which a number first was not finite, or 0.

        Traces tell the step; where only a metric turned, it is the last step of that epoch. An experiment without
        traces counts epochs for steps.
        """
        epochs = next(iter(self.curves.values())).shape[1]
        steps = max([1, *(trace.shape[2] for trace in self.traces.values())])
        bad = np.zeros((self.seeds, epochs, steps), bool)
        for curve in self.curves.values():
            bad[:, :, -1] |= ~np.isfinite(curve)
        for trace in self.traces.values():
            bad[:, :, : trace.shape[2]] |= ~np.isfinite(trace)
        flat = bad.reshape(self.seeds, -1)
        return np.where(flat.any(axis=1), flat.argmax(axis=1) + 1, 0)

    def head(self, seeds: int) -> "Trained":
        """The first seeds alone."""
        return Trained(
            {name: curve[:seeds] for name, curve in self.curves.items()},
            {name: trace[:seeds] for name, trace in self.traces.items()},
            self.compile_seconds,
            self.run_seconds,
        )

    def joined(self, more: "Trained") -> "Trained":
        """These seeds and then those."""
        return Trained(
            {name: np.concatenate([curve, more.curves[name]]) for name, curve in self.curves.items()},
            {name: np.concatenate([trace, more.traces[name]]) for name, trace in self.traces.items()},
            self.compile_seconds + more.compile_seconds,
            self.run_seconds + more.run_seconds,
        )
