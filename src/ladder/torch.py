"""PyTorch in a ladder: traces and inspections of a training loop, and seeding. Needs PyTorch.

:func:`watch` records a loop through hooks, without a change to it. ``docs/torch.md`` has a complete experiment.
"""

import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple
from weakref import ref

import numpy as np
import torch
from torch import Tensor, nn

from ladder.declare.arrays import Float
from ladder.declare.values import shortened
from ladder.inspection import Inspection, numbered

INPUT, OUTPUT = "input", "output"  # stages: of the model itself, not of a module in it
MODES: Mapping[str, type[nn.Module]] = {
    "batchnorm": nn.modules.batchnorm._BatchNorm,
    "dropout": nn.modules.dropout._DropoutNd,
}
"""The modules that compute something else in evaluation mode than in training mode, by kind."""

SMALL, LARGE = (
    1e-15,
    1e15,
)  # norms between them are exact in single precision: no square overflows, none that counts underflows
_SINGLE = {torch.float32, torch.float16, torch.bfloat16}
_WITHOUT_DOUBLE = {"mps"}  # types of devices that do not compute in double precision


def seed_everything(seed: int, deterministic: bool = False) -> None:
    """Seed the global generators of PyTorch (of all devices), NumPy and Python.

    Args:
        seed: A whole number from 0 to 2**32 - 1, as ``train(seed)`` receives it.
        deterministic: Also have PyTorch use deterministic algorithms for the rest of the process, and raise an error where it has
            none. This sets ``torch.use_deterministic_algorithms(True)``, ``torch.backends.cudnn.deterministic = True`` and
            ``torch.backends.cudnn.benchmark = False``; in a build with CUDA also the environment variable
            ``CUBLAS_WORKSPACE_CONFIG`` to ``:4096:8``, unless it is set. cuBLAS reads the variable when it starts: call this
            before the first computation on a GPU.
    """
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  # the global generator is what a library uses that takes none
    torch.manual_seed(seed)
    if deterministic:
        if torch.version.cuda:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False


@contextmanager
def watch(
    model: nn.Module,
    *optimisers: torch.optim.Optimizer,
    probe: tuple[Any, Tensor] | None = None,
    latent: str | None = None,
) -> Iterator["Watcher"]:
    """Watch a model and its optimisers while they train; wraps the whole loop.

    After every epoch, :meth:`Watcher.report` returns the traces that the findings of a failing rung are computed from. The
    weights after training are the same to the last bit with and without a watch.

    >>> model = nn.Sequential(nn.Linear(3, 2), nn.Tanh())
    >>> optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> with watch(model, optimiser) as watcher:
    ...     for _ in range(5):
    ...         optimiser.zero_grad()
    ...         (model(torch.ones(4, 3)) ** 2).mean().backward()
    ...         optimiser.step()
    ...     report = watcher.report()
    >>> {name: trace.shape for name, trace in report.items()}
    {'stage/0/input': (5,), 'stage/1/0': (5,), 'stage/2/1': (5,), 'step_loss': (5,),
     'gradient/0': (5,), 'update/0': (5,), 'weight/0': (5,)}

    Modules and optimisers are watched through their hooks. PyTorch has none for ``backward()``, so ``torch.autograd.backward``
    is replaced by a function that calls it. Leaving the context undoes both, also after an exception.

    Args:
        model: The model.
        optimisers: Its optimisers. A training step ends when each of them has stepped at least once.
        probe: A batch of inputs (a tensor, or a tuple of the model's arguments) and its target, on the model's device. The model
            runs on it when the watch begins and at each report, in evaluation mode and without gradients; then the modes and
            PyTorch's random state are restored. The target has the shape of the output, (batch, time, channel) or
            (batch, channel).
        latent: The path of the module whose output is the latent, such as ``encoder``; its last axis is that of the features.

    Raises:
        TypeError: for a model or an optimiser that is not one, and for a model that hooks do not reach, because it was compiled
            or is a ``DataParallel``.
        ValueError: if there is no optimiser, or one that has none of the model's parameters; for lazy parameters that are not
            initialised; if the latent is not a module of the model, or the target has another shape than the output.
    """
    _check(model, optimisers, probe, latent)
    watcher = Watcher(model, optimisers, probe, latent)
    with ExitStack() as hooks:
        watcher._register(hooks)
        yield watcher


class Watcher:
    """A record of the training steps of a watched model; :func:`watch` returns it."""

    def __init__(
        self,
        model: nn.Module,
        optimisers: Sequence[torch.optim.Optimizer],
        probe: tuple[Any, Tensor] | None,
        latent: str | None,
    ):
        self._model, self._optimisers, self._probe = model, tuple(dict.fromkeys(optimisers)), probe
        self._names = _stage_names(model, latent)
        self._latent = None if latent is None else self._names[model.get_submodule(latent)]
        self._groups, self._parameters = _groups(model)
        self._before = [parameter.detach().clone() for parameter in self._parameters]
        owned = [{id(p) for group in each.param_groups for p in group["params"]} for each in self._optimisers]
        self._owned = {
            optimiser: [i for i, p in enumerate(self._parameters) if id(p) in ids]
            for optimiser, ids in zip(self._optimisers, owned, strict=True)
        }
        self._unowned = [i for i, p in enumerate(self._parameters) if not any(id(p) in ids for ids in owned)]
        self._device = self._parameters[0].device
        self._zero = torch.zeros((), dtype=_widest(self._device), device=self._device)
        self._is_single = all(p.dtype is torch.float32 and p.device == self._device for p in self._parameters)
        kinds = [kind for kind, of in MODES.items() if any(isinstance(module, of) for module in model.modules())]
        # The state of the step that is under way.
        self._stages: dict[str, tuple[float | Tensor, int]] = {}  # the norm and the number of entries of each output
        self._last: Callable[[], Tensor | None] = lambda: None
        self._evaluating: set[str] = set()  # kinds of modules that ran in evaluation mode
        self._loss: Tensor | None = None
        self._stepped: set[torch.optim.Optimizer] = set()
        self._inside_step = False
        # What is to be reported.
        self._steps: list[_Step] = []
        self._wrong_mode: dict[str, set[int]] = {f"mode/{when}/{k}": set() for when in ("train", "eval") for k in kinds}
        self._order: list[str] | None = None  # of the stages; that of the first report
        self._start = None if probe is None else self._inspect()

    def report(self) -> dict[str, Float[np.ndarray, " step"] | Inspection]:
        """Return the traces of the training steps since the last report, for the mapping that ``train`` yields after an epoch.

        Those named as in :func:`ladder.inspection.step_traces` have the same meaning:

        - ``stage/<i>/<path>``: the RMS of the output of each module that has parameters of its own or no modules in it, in the
          order of the forward pass; before them that of the model's ``input``, and last that of its ``output``, unless it is the
          output of the last module. They belong to the last call of the model before the step, and in it to the first call of
          each module; calls without gradients do not count. A module that did not run has 0.
        - ``gradient/<path>``, ``update/<path>``, ``weight/<path>``: for each module, norms over the parameters that are its own:
          of the gradient that the optimiser used, of all that the step changed, and of the weights after it. A parameter
          without a gradient has a gradient of 0. Parameters that no optimiser has are included. Those that did not require a
          gradient when the watch began are not.
        - ``step_loss``: the sum of the values on which ``backward()`` was called before the step, if it reached a parameter of
          the model. When gradients accumulate, it is the loss that they belong to. For a step with a closure, it is the value of
          the closure's first call. It is left out if some step had none.
        - ``mode/train/batchnorm`` and ``mode/train/dropout``: 1 for a step in whose forward pass such a module ran in evaluation
          mode, else 0. ``mode/eval/batchnorm`` and ``mode/eval/dropout``: 1 if one ran without gradients in training mode,
          between this step and the next.

        With a probe, ``start`` and ``end`` are the inspections of the model before training and now; ``start`` is in the first
        report only.

        Raises:
            RuntimeError: if there was no step since the last report.
        """
        if not self._steps:
            names = ", ".join(type(optimiser).__qualname__ for optimiser in self._optimisers)
            raise RuntimeError(
                "there was no training step since the last report; call report() after the steps of an epoch, once each of the "
                f"optimisers ({names}) has stepped"
            )
        report: dict[str, Any] = self._traces()
        self._steps.clear()
        for steps in self._wrong_mode.values():
            steps.clear()
        if self._probe is not None:
            if self._start is not None:
                report["start"], self._start = self._start, None
            report["end"] = self._inspect()
        return report

    def _traces(self) -> dict[str, Float[np.ndarray, " step"]]:
        values = torch.cat([step.values for step in self._steps]).cpu().numpy().astype(np.float64)
        rows = np.split(values, np.cumsum([len(step.values) for step in self._steps])[:-1])
        # Behind the stages, of which not every step need have all, each row has the loss and the norms of the parameters.
        if self._order is None:
            self._order = list(dict.fromkeys(name for step in self._steps for name in step.sizes))
        stages = {name: np.zeros(len(rows)) for name in self._order}
        for number, (step, row) in enumerate(zip(self._steps, rows, strict=True)):
            for (name, size), norm in zip(step.sizes.items(), row, strict=False):
                if name in stages:
                    stages[name][number] = norm / np.sqrt(max(size, 1))
        ends = np.stack([row[len(step.sizes) :] for step, row in zip(self._steps, rows, strict=True)])
        traces = numbered(stages)
        if all(step.has_loss for step in self._steps):
            traces["step_loss"] = ends[:, 0]
        for name, wrong in self._wrong_mode.items():
            traces[name] = np.isin(np.arange(len(rows)), list(wrong)).astype(np.float64)
        norms = ends[:, 1:].reshape(len(rows), 3, len(self._parameters))
        for i, kind in enumerate(("gradient", "update", "weight")):
            traces |= {f"{kind}/{g}": np.hypot.reduce(norms[:, i, which], axis=1) for g, which in self._groups.items()}
        return traces

    def _register(self, hooks: ExitStack) -> None:
        """Register all hooks, each with its removal."""
        handles: list[Any] = [
            self._model.register_forward_pre_hook(_Hook(self._before_model), with_kwargs=True),
        ]
        for module, name in self._names.items():
            kind = next((kind for kind, of in MODES.items() if isinstance(module, of)), None)
            handles.append(module.register_forward_hook(_Hook(self._after_module, name, kind)))
        for optimiser in self._optimisers:
            handles.append(optimiser.register_step_pre_hook(self._before_step))
            handles.append(optimiser.register_step_post_hook(self._after_step))
        for handle in handles:
            hooks.callback(handle.remove)
        hooks.enter_context(_backward_calls(self))

    def _before_model(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if torch.is_grad_enabled():
            self._stages.clear()
            self._evaluating.clear()
            self._record(INPUT, (*args, *kwargs.values()))

    def _after_module(self, name: str, kind: str | None, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if not torch.is_grad_enabled():
            if kind and module.training:
                self._wrong_mode[f"mode/eval/{kind}"].add(max(len(self._steps) - 1, 0))
            return
        if kind and not module.training:
            self._evaluating.add(kind)
        self._record(name, output)

    def _record(self, name: str, value: Any) -> None:
        if name in self._stages or (tensor := _tensor(value)) is None or (name == OUTPUT and tensor is self._last()):
            return
        self._last = ref(tensor)
        self._stages[name] = _norm(tensor.detach()), tensor.numel()

    def _grads(self) -> list[tuple[Tensor, int] | None]:
        """Return the gradients with their versions, which show what backward() accumulates into."""
        return [None if (g := p.grad) is None else (g, g._version) for p in self._parameters]

    def _after_backward(self, value: Tensor, before: list[tuple[Tensor, int] | None]) -> None:
        for parameter, old in zip(self._parameters, before, strict=True):
            grad = parameter.grad
            if grad is not None and (old is None or grad is not old[0] or grad._version != old[1]):
                break
        else:
            return  # the loss of another model
        if self._loss is None:
            self._loss = value.reshape(())
        elif not self._inside_step:
            self._loss = self._loss + value.to(self._loss)

    def _before_step(self, optimiser: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        if optimiser not in self._stepped:
            self._copy(self._owned[optimiser])
        self._inside_step = True

    def _after_step(self, optimiser: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        self._inside_step = False
        self._stepped.add(optimiser)
        if len(self._stepped) == len(self._optimisers):
            self._end_step()

    def _norms(self, tensors: list[Tensor]) -> Sequence[float | Tensor]:
        if not self._is_single or self._device.type in _WITHOUT_DOUBLE or any(tensor.is_sparse for tensor in tensors):
            return [_norm(tensor) for tensor in tensors]
        if self._device.type != "cpu":
            return list(torch._foreach_norm(tensors, 2, dtype=torch.float64))
        norms = zip(map(float, torch._foreach_norm(tensors)), tensors, strict=True)
        return [norm if SMALL < norm < LARGE else float(_exact_norm(tensor)) for norm, tensor in norms]

    def _copy(self, which: Sequence[int]) -> None:
        if which:
            torch._foreach_copy_([self._before[i] for i in which], [self._parameters[i].detach() for i in which])

    def _end_step(self) -> None:
        weights = [parameter.detach() for parameter in self._parameters]
        updates = torch._foreach_sub(weights, self._before)
        found = [None if (grad := parameter.grad) is None else grad.detach() for parameter in self._parameters]
        norms = iter(self._norms([*(grad for grad in found if grad is not None), *updates, *weights]))
        gradients = [self._zero if grad is None else next(norms) for grad in found]
        loss = self._zero if self._loss is None else self._loss
        row = _row([*(norm for norm, _ in self._stages.values()), loss, *gradients, *norms], self._zero)
        sizes = {name: size for name, (_, size) in self._stages.items()}
        for kind in self._evaluating:
            self._wrong_mode[f"mode/train/{kind}"].add(len(self._steps))
        self._steps.append(_Step(row, sizes, self._loss is not None))
        self._copy(self._unowned)
        self._loss = None
        self._stepped.clear()
        self._stages.clear()
        self._evaluating.clear()

    def _inspect(self) -> Inspection:
        """Run the model on the probe.

        Raises:
            ValueError: if the target has not the shape of the output.
        """
        assert self._probe is not None
        inputs, target = self._probe
        args = inputs if isinstance(inputs, tuple) else (inputs,)
        stages: dict[str, Tensor] = {}
        recorded: list[Tensor] = []

        def record(name: str, value: Any) -> None:
            if name not in stages and (tensor := _tensor(value)) is not None:
                recorded.append(tensor)
                stages[name] = tensor.clone()  # a later module may change it in place

        def after(name: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            record(name, output)

        modes = {module: module.training for module in self._model.modules()}
        devices = {p.device for p in self._parameters if p.device.type == "cuda"}
        with ExitStack() as restore:
            restore.enter_context(torch.random.fork_rng([device.index for device in devices]))
            restore.enter_context(torch.no_grad())
            for module, was_training in modes.items():
                restore.callback(setattr, module, "training", was_training)
                module.training = False  # train() and eval() may be overridden
            for module, name in self._names.items():
                if module is not self._model:
                    restore.callback(module.register_forward_hook(partial(after, name)).remove)
            record(INPUT, args)
            output = _tensor(self._model(*args))
        if output is None or output.shape != target.shape or output.ndim < 2:
            shape = "has no real tensor" if output is None else f"has the shape {tuple(output.shape)}"
            raise ValueError(
                f"the model's output on the probe {shape} and the target {tuple(target.shape)}; give a target of the output's "
                "shape, (batch, time, channel) or (batch, channel), for classes one-hot"
            )
        if not recorded or output is not recorded[-1]:
            stages.setdefault(OUTPUT, output)
        if output.ndim == 2:
            output, target = output[:, None], target[:, None]  # one time; the batch has no order to be shifted along
        arrays = {name: _array(stage) for name, stage in stages.items()}
        return Inspection(stages=arrays, prediction=_array(output), target=_array(target), latent=self._latent)


class _Step(NamedTuple):
    """The numbers of one training step.

    Attributes:
        values: The norms of the stages, the loss, and the norms of gradients, updates and weights of all parameters.
        sizes: The number of entries of each stage.
        has_loss: Whether ``backward()`` was called.
    """

    values: Tensor
    sizes: dict[str, int]
    has_loss: bool


class _Hook(partial[None]):
    """A hook of a module. In copies of the module, and where it is loaded from a file, it does nothing."""

    def __reduce__(self) -> Any:
        return _Hook, (_do_nothing,)


def _do_nothing(*args: Any) -> None:
    pass


class _Backward:
    """``torch.autograd.backward``, with its calls shown to watchers.

    A ``TorchFunctionMode`` sees them, too. But it slows down every other function of PyTorch, the loop of a small MLP by half,
    and two generators that enter one each and take turns would leave them in the wrong order.
    """

    def __init__(self, original: Callable[..., None]):
        self.original = original
        self.watchers: list[Watcher] = []

    def __call__(self, tensors: Any, grad_tensors: Any = None, *args: Any, **kwargs: Any) -> None:
        before = [(watcher, watcher._grads()) for watcher in self.watchers]
        self.original(tensors, grad_tensors, *args, **kwargs)
        value = _value(tensors, grad_tensors)
        for watcher, grads in before:
            watcher._after_backward(value, grads)


@contextmanager
def _backward_calls(watcher: Watcher) -> Iterator[None]:
    """Show the calls of ``backward()`` to a watcher."""
    present: Any = torch.autograd.backward
    shown = present if isinstance(present, _Backward) else _Backward(present)
    torch.autograd.backward = shown
    shown.watchers.append(watcher)
    try:
        yield
    finally:
        shown.watchers.remove(watcher)
        if not shown.watchers and torch.autograd.backward is shown:
            torch.autograd.backward = shown.original


def _value(tensors: Any, weights: Any) -> Tensor:
    """Return the number whose gradient ``backward()`` computes."""
    if isinstance(tensors, Tensor) and weights is None:
        return tensors.detach()
    tensors = tensors if isinstance(tensors, Sequence) else (tensors,)
    weights = weights if isinstance(weights, Sequence) else (weights,) * len(tensors)
    pairs = zip(tensors, weights, strict=True)
    values = [(t.detach() if weight is None else t.detach() * weight.detach()).sum() for t, weight in pairs]
    return torch.stack(values).sum()


def _check(model: object, optimisers: Sequence[object], probe: object, latent: str | None) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"watch() got {shortened(model)} as its model; give a torch.nn.Module")
    if not optimisers:
        raise ValueError("watch() got no optimiser; give those that train the model, watch(model, optimiser)")
    for module in model.modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise TypeError(
                f"watch() cannot see into {module.original_name}, which was compiled by torch.jit; watch and train the model "
                "as it was before"
            )
        if isinstance(module, nn.DataParallel):
            raise TypeError(
                "watch() cannot follow DataParallel, which runs copies of the model; train on one device or with "
                "DistributedDataParallel"
            )
        # A compiled module has been wrapped, or compiled in place; both ignore hooks that are registered later.
        if hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None:
            raise TypeError(
                f"watch() cannot see into {type(module).__qualname__}, which was compiled by torch.compile; watch and train the "
                "model as it was before"
            )
    if lazy := [
        name
        for name, parameter in model.named_parameters()
        if isinstance(parameter, nn.parameter.UninitializedParameter)
    ]:
        raise ValueError(f"the parameter {lazy[0]} is not initialised; run the model on one batch before watch()")
    own = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
    for optimiser in optimisers:
        if not isinstance(optimiser, torch.optim.Optimizer):
            raise TypeError(
                f"watch() got {shortened(optimiser)} as an optimiser; give a torch.optim.Optimizer, watch(model, optimiser)"
            )
        if not any(id(parameter) in own for group in optimiser.param_groups for parameter in group["params"]):
            raise ValueError(
                f"{type(optimiser).__qualname__} has no parameter of {type(model).__qualname__} that requires a gradient; create "
                "it from the parameters() of this model"
            )
    if latent is not None:
        if probe is None:
            raise ValueError(f"latent={latent!r} is looked at on a probe; give probe=(inputs, target)")
        if latent not in (paths := [path for path, _ in model.named_modules() if path]):
            raise ValueError(f"latent={latent!r} is not a module of {type(model).__qualname__}: {', '.join(paths)}")
    if probe is not None:
        pair = tuple(probe) if isinstance(probe, tuple | list) else ()
        inputs = pair[0] if pair and isinstance(pair[0], tuple) else pair[:1]
        if len(pair) != 2 or not isinstance(pair[1], Tensor) or any(isinstance(each, np.ndarray) for each in inputs):
            raise TypeError(
                f"probe={shortened(probe)}: give a pair of inputs and target, tensors of the model's device"
            )


def _stage_names(model: nn.Module, latent: str | None) -> dict[nn.Module, str]:
    """Return the modules whose outputs are stages: those with parameters or without children, the latent, and the model."""
    names = {
        module: path
        for path, module in model.named_modules()
        if path and (path == latent or module._parameters or not module._modules)
    }
    return names | {model: OUTPUT}


def _groups(model: nn.Module) -> tuple[dict[str, list[int]], list[nn.Parameter]]:
    """Return the parameters that require a gradient, and for each module the indices of its own.

    As in ``step_traces``, parameters of the model itself, outside any module in it, are groups of their own.
    """
    groups: dict[str, list[int]] = {}
    parameters: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault(name.rpartition(".")[0] or name, []).append(len(parameters))
            parameters.append(parameter)
    return groups, parameters


def _tensor(value: Any) -> Tensor | None:
    """Return the first tensor of real or complex numbers in a module's arguments or output; None if there is none."""
    if isinstance(value, Tensor):
        return value if value.is_floating_point() or value.is_complex() else None
    entries = value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple | list) else ()
    return next((tensor for entry in entries if (tensor := _tensor(entry)) is not None), None)


def _norm(tensor: Tensor) -> float | Tensor:
    """Return the Euclidean norm of all entries: finite if they are; on an accelerator, which nobody waits for, as a tensor."""
    if tensor.device.type != "cpu":
        return _exact_norm(tensor)
    if tensor.dtype is torch.float32 and tensor.layout is torch.strided:
        norm = float(torch.linalg.vector_norm(tensor))
        if SMALL < norm < LARGE:
            return norm
    return float(_exact_norm(tensor))


def _exact_norm(tensor: Tensor) -> Tensor:
    """Return the norm in double precision, in which the squares of single precision neither overflow nor underflow."""
    tensor = tensor.coalesce().values() if tensor.is_sparse else tensor
    norm: Tensor
    if tensor.dtype in _SINGLE and tensor.device.type not in _WITHOUT_DOUBLE:
        norm = torch.linalg.vector_norm(tensor, dtype=torch.float64)
        return norm
    if not tensor.numel():
        return torch.zeros((), device=tensor.device)
    largest = tensor.abs().max()
    norm = torch.linalg.vector_norm(tensor / torch.where(largest > 0.0, largest, 1.0))
    return largest * norm


def _row(values: Sequence[float | Tensor], like: Tensor) -> Tensor:
    """Return a vector of numbers, which may be on several devices, without waiting for an accelerator."""
    if like.device.type == "cpu":
        return torch.tensor([float(value) for value in values], dtype=like.dtype)
    return torch.stack([torch.as_tensor(value, dtype=like.dtype, device=like.device) for value in values])


def _widest(device: torch.device) -> torch.dtype:
    return torch.float32 if device.type in _WITHOUT_DOUBLE else torch.float64


def _array(tensor: Tensor) -> np.ndarray:
    tensor = tensor.detach()
    wide = tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()
    array: np.ndarray = wide.cpu().numpy()
    return array
