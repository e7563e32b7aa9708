"""The provenance of a measurement: versions, commit and machine."""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, TypedDict

from ladder.train.devices import devices

PACKAGES = ("pytest-ladder", "jax", "jaxlib", "flax", "optax", "numpy")

NAME = re.compile(r"[\w.\-]+")  # that a requirement begins with


class Commit(TypedDict):
    """A commit, and whether the work tree differed from it."""

    sha: str
    dirty: bool


def versions() -> dict[str, str]:
    """Return the installed versions of Python and of the packages that decide a result."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "none"
    return found


@cache
def dependency_versions(packages: frozenset[str]) -> Mapping[str, str]:
    """Return the versions of the distributions that provide these packages, and of all that those require, by name."""
    # Accelerators come as plugins that nothing imports or requires.
    todo = [name for package in packages for name in _distributions_providing(package)] + list(
        _installed("jax*", "nvidia*")
    )
    found: dict[str, str] = {}
    while todo:
        required = NAME.match(todo.pop())
        name = required[0].lower().replace("_", "-") if required else ""
        if name in found:
            continue
        try:
            distribution = metadata.distribution(name)
        except (metadata.PackageNotFoundError, ValueError):  # required elsewhere: on another platform
            continue
        found[name] = distribution.version
        todo += [required for required in distribution.requires or () if "extra ==" not in required]
    return dict(sorted(found.items()))


def _distributions_providing(package: str) -> list[str]:
    """Return the distributions that provide a package. Most have its name, and to read the list of all files takes a while."""
    try:
        if Path(str(metadata.distribution(package).locate_file(package))).exists():
            return [package]
    except metadata.PackageNotFoundError:
        pass
    return _distributions().get(package, [])


@cache
def _distributions() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()


def _installed(*patterns: str) -> set[str]:
    """Return the names of the distributions that this process can import, by pattern."""
    return {
        path.name.partition("-")[0]
        for folder in map(Path, sys.path)
        for pattern in patterns
        for path in folder.glob(f"{pattern}.dist-info")
    }


def commit(folder: Path, written: Iterable[Path] = ()) -> Commit | None:
    """Return the checked-out commit and whether the work tree differs from it beside ladder's own files; None outside git."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        ran = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=True, timeout=10)
        return ran.stdout.strip()

    try:
        root = (folder / git("rev-parse", "--show-cdup")).resolve()
        inside = [path.relative_to(root) for path in map(Path.resolve, written) if root in path.parents]
        but = [f":(top,exclude,literal){path}" for path in inside]
        return {"sha": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--", ":(top)", *but))}
    except (OSError, subprocess.SubprocessError):
        return None


def machine() -> dict[str, Any]:
    """Return the machine: system, processor, cores, and the devices that JAX finds in it if it has been loaded.

    A CPU is one device, whatever number of its cores this process shows to JAX as devices of their own: workers show fewer each.
    """
    info: dict[str, Any] = {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
    }
    if jax := sys.modules.get("jax"):
        with suppress(RuntimeError):  # where JAX does not start there is none, and the rungs say so
            found = [
                device.device_kind if device.platform == "cpu" else f"{device.device_kind} {device.id}"
                for device in devices()
            ]
            info |= {"backend": jax.default_backend(), "devices": list(dict.fromkeys(found))}
    return info
