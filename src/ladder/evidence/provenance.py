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

NAME = re.compile(r"[\w.\-]+")  # at the start of a requirement


class Commit(TypedDict):
    """A commit, and whether the work tree differed from it."""

    sha: str
    dirty: bool


def versions() -> dict[str, str]:
    """Return the installed versions of Python and of the packages that decide a result."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "none"
    return versions


@cache
def dependency_versions(packages: frozenset[str]) -> Mapping[str, str]:
    """Return the versions of the distributions that provide these packages, and of all that they require, by name."""
    # Support for accelerators comes in plugins, which nothing imports or requires.
    todo = [name for package in packages for name in _distributions_providing(package)] + list(
        _installed("jax*", "nvidia*")
    )
    versions: dict[str, str] = {}
    while todo:
        required = NAME.match(todo.pop())
        name = required[0].lower().replace("_", "-") if required else ""
        if name in versions:
            continue
        try:
            distribution = metadata.distribution(name)
        except (metadata.PackageNotFoundError, ValueError):  # required on another platform
            continue
        versions[name] = distribution.version
        todo += [required for required in distribution.requires or () if "extra ==" not in required]
    return dict(sorted(versions.items()))


def _distributions_providing(package: str) -> list[str]:
    """Return the distributions that provide a package.

    Most have the package's name; only for the others is the slow list of all installed files read.
    """
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
    """Return the names of the importable distributions that match one of the patterns."""
    return {
        path.name.partition("-")[0]
        for folder in map(Path, sys.path)
        for pattern in patterns
        for path in folder.glob(f"{pattern}.dist-info")
    }


def commit(folder: Path, written: Iterable[Path] = ()) -> Commit | None:
    """Return the checked-out commit, and whether the work tree differs from it.

    Args:
        folder: A folder of the work tree.
        written: The files that ladder itself writes, which do not count as a difference.

    Returns:
        The commit; None outside git.
    """

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        completed = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", check=True, timeout=10
        )
        return completed.stdout.strip()

    try:
        root = (folder / git("rev-parse", "--show-cdup")).resolve()
        own = [path.relative_to(root) for path in map(Path.resolve, written) if root in path.parents]
        excluded = [f":(top,exclude,literal){path}" for path in own]
        return {"sha": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--", ":(top)", *excluded))}
    except (OSError, subprocess.SubprocessError):
        return None


def machine() -> dict[str, Any]:
    """Describe the machine: system, processor, cores, and if JAX is loaded its backend and devices.

    A CPU counts as one device, although JAX may treat each core as a device: the number of cores differs between workers.
    """
    info: dict[str, Any] = {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
    }
    if jax := sys.modules.get("jax"):
        with suppress(RuntimeError):  # JAX cannot start: the rungs report that
            names = [
                device.device_kind if device.platform == "cpu" else f"{device.device_kind} {device.id}"
                for device in devices()
            ]
            info |= {"backend": jax.default_backend(), "devices": list(dict.fromkeys(names))}
    return info
