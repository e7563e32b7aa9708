"""The cores and GPUs that this process may use, and the devices that JAX computes on.

JAX is an optional dependency, so functions here import it themselves.
"""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

DRIVER = Path("/proc/driver/nvidia/gpus")
VISIBLE = "CUDA_VISIBLE_DEVICES"


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus() -> list[str]:
    """Return the GPUs that this process may use, as CUDA names them."""
    if (visible := os.environ.get(VISIBLE)) is not None:
        return [gpu for gpu in visible.split(",") if gpu]
    return [str(number) for number in range(len(list(DRIVER.iterdir())))] if DRIVER.is_dir() else []


def gpu_models() -> list[str]:
    """Return the models of the GPUs of this machine, each once, as its driver names them."""
    lines = [
        line for file in sorted(DRIVER.glob("*/information")) for line in file.read_text(encoding="utf-8").splitlines()
    ]
    return sorted({line.partition(":")[2].strip() for line in lines if line.startswith("Model:")})


def check_jax() -> None:
    """Raise an error if JAX is not installed.

    Raises:
        RuntimeError: with the command that installs it.
    """
    if find_spec("jax") is None:
        raise RuntimeError("the experiment is trained by JAX, which is not installed: pip install 'pytest-ladder[jax]'")


def use_all_cores(processes: int = 1) -> None:
    """Make JAX treat every core of a CPU as a device, so that seeds are spread over them; a no-op once JAX has started.

    Args:
        processes: The number of processes that share the machine.
    """
    import jax  # see the docstring of the module

    try:
        if jax.config.jax_num_cpu_devices < 1:  # type: ignore[attr-defined]
            jax.config.update("jax_num_cpu_devices", max(1, cores() // processes))
    except RuntimeError:  # the backend has started with the devices it has
        pass


def devices() -> list[Any]:
    """Return the devices that JAX computes on; the first call starts its backend.

    Raises:
        RuntimeError: if JAX is not installed or none of its backends starts.
    """
    check_jax()
    import jax  # see the docstring of the module

    try:
        return list(jax.devices())
    except Exception as error:  # a broken driver may raise anything, and JAX an AssertionError the next time
        setting = jax.config.jax_platforms  # type: ignore[attr-defined]
        platforms = f"JAX_PLATFORMS={setting}" if setting else "any of its platforms"
        raise RuntimeError(
            f"JAX cannot start with {platforms} ({_first_line(error)}); fix the driver, or choose another platform, such as "
            "JAX_PLATFORMS=cpu"
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
