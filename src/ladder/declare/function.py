"""Experiments made from a function and its configuration."""

import argparse
import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ladder.declare.experiment import HostExperiment
from ladder.declare.values import Configuration, has_fields, shortened


def experiment(
    train: object,
    config: object,
    *,
    objective: str | None = None,
    reference: str | None = None,
) -> HostExperiment:
    """Return a host experiment that trains by ``train(config, seed)``; its components are the entries of the configuration.

    A rung that adds an entry, or changes one, declares ``adds="config.rate"``; of a mapping in a mapping
    ``"config.optimizer.rate"``.

    >>> def train(config, seed):
    ...     loss = 1.0 + seed % 7
    ...     for _ in range(config.epochs):
    ...         loss *= config.rate
    ...         yield {"loss": loss}
    >>> halves = experiment(train, {"rate": 0.5, "epochs": 3})
    >>> [report["loss"] for report in halves.train(0)]
    [0.5, 0.25, 0.125]

    Args:
        train: A function at the top level of a module, which yields a mapping after every epoch as
            :meth:`HostExperiment.train <ladder.HostExperiment>` does.
        config: A mapping, an ``argparse.Namespace`` or an instance of a dataclass, with an entry ``epochs``. The function
            receives a copy: of an instance of a dataclass another one, else a read-only mapping whose entries are attributes too.
        objective: The metric that is trained on, the better the lower; used in the diagnosis.
        reference: The metric that shows whether the task is solved, the better the lower; used in the diagnosis.

    Raises:
        TypeError: for a function or configuration of another type.
        ValueError: for a configuration without the number of epochs.
    """
    if not callable(train) or isinstance(train, type):
        raise TypeError(f"train={shortened(train)}: give a function, train(config, seed)")
    if isinstance(config, argparse.Namespace):
        config = vars(config)
    if isinstance(config, Mapping):
        config = Configuration(config)
    elif has_fields(config):
        config = copy.deepcopy(config)  # the caller may change it for the next rung
    else:
        raise TypeError(
            f"config={shortened(config)}: give a mapping, an argparse.Namespace or an instance of a dataclass"
        )
    if not hasattr(config, "epochs"):
        raise ValueError(f"config={shortened(config)} has no entry 'epochs'; add the number of epochs")
    return FunctionExperiment(train, config, objective, reference)


@dataclass(frozen=True)
class FunctionExperiment:
    """A host experiment made from a function and its configuration."""

    function: Callable[[Any, int], Iterator[Mapping[str, Any]]]
    config: Any
    objective: str | None = None
    reference: str | None = None

    @property
    def epochs(self) -> int:
        """The number of epochs to train."""
        return self.config.epochs  # type: ignore[no-any-return]  # the entry is checked when a rung is declared

    def train(self, seed: int) -> Iterator[Mapping[str, Any]]:
        """Train one seed, and yield its metrics and traces after every epoch."""
        return self.function(self.config, seed)
