#!/usr/bin/env python3
"""A night: climb every rung on fresh seeds, file the report, compare it with last night's, and climb again what became worse.

It ends red, 1, where a rung is worse than last night on both sets of seeds, and 2 where a climb could not be ended or there was
nothing to compare it with. A rung that was red last night too is for the report to tell. By hand, from the repository's root::

    .ci/nightly.py                                    # all rungs at core scale
    .ci/nightly.py tests/ladder -m 'rung1 or rung2'   # or whatever pytest is to climb instead

Needs nothing but Python: it makes the environment. With GPUs, each has a worker of its own.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

SEEDS = 64
NIGHT = "%Y-%m-%dT%H%M%SZ"  # sorts as it was
ALL = ("tests/ladder", "-m", "rung", "--ladder-pictures")
# Without it a GPU may add the same numbers in another order, and the same seeds tell another story.
DETERMINISTIC = "--xla_gpu_deterministic_ops=true"


def main() -> int:
    """One night; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nights", type=Path, default=Path("reports/nights"), help="folder of the nights' reports")
    parser.add_argument(
        "--python", type=Path, help="an interpreter that has ladder (default: that of .venv, set up anew)"
    )
    known, asked = parser.parse_known_args()
    gpus = _gpus()
    python = known.python or _set_up(gpus)
    # A worker even where there is no GPU: one that dies costs its rung alone, and not the night.
    arguments = [*(asked or ALL), "-n", str(max(1, gpus))]
    before = max(known.nights.glob("*/ladder.json"), default=None)
    with tempfile.TemporaryDirectory() as scratch:
        night = known.nights / datetime.now(UTC).strftime(NIGHT)
        if not _climb(python, Path(scratch) / "night", known.nights, arguments):
            return 2
        shutil.move(Path(scratch) / "night", night)
        print(f"\nfiled {night}", flush=True)
        if before is None:
            print("the first night: there is nothing to compare it with")
            return 0
        if worse := _worse(python, before, night):
            print(f"\nonce more, on other seeds: {', '.join(worse)}", flush=True)
            again = night / "again"
            chosen = [f"--ladder-only={id}" for id in worse]
            if not _climb(python, again, known.nights, [*arguments, *chosen]):
                return 2
            confirmed = _worse(python, before, again)
            worse = None if confirmed is None else [id for id in worse if id in confirmed]
    subprocess.run([python, "-m", "ladder", "history", known.nights, "--svg", known.nights / "history.svg"])
    if worse is None:
        return 2
    told = f"REGRESSION since {before.parent.name}, on two sets of fresh seeds: {', '.join(worse)}"
    _say(told if worse else f"no regression since {before.parent.name}")
    return 1 if worse else 0


def _gpus() -> int:
    """How many there are."""
    if shutil.which("nvidia-smi") is None:
        return 0
    listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True)
    return len(listed.stdout.splitlines()) if listed.returncode == 0 else 0


def _set_up(gpus: int) -> Path:
    """An environment, as the README makes it, and its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", ".venv"], check=True)
    wanted = ["-e", ".[dev]", *(["jax[cuda13]"] if gpus else [])]
    subprocess.run([".venv/bin/pip", "install", "--quiet", *wanted], check=True)
    return Path(".venv/bin/python")


def _climb(python: Path, folder: Path, nights: Path, arguments: Sequence[str]) -> bool:
    """Climb on fresh seeds, and whether it came to an end. Red rungs are what is looked for, and no trouble."""
    options = [
        "--ladder-fresh-seeds",
        f"--ladder-seeds={SEEDS}",
        f"--ladder-reports={folder.absolute()}",
        f"--ladder-evidence={folder.absolute() / 'evidence'}",
        "-o",
        f"cache_dir={nights.absolute() / 'compiled'}",
    ]
    flags = f"{DETERMINISTIC} {os.environ.get('XLA_FLAGS', '')}".strip()
    ended = subprocess.run([python, "-m", "pytest", *arguments, *options], env={**os.environ, "XLA_FLAGS": flags})
    shutil.rmtree(folder / "evidence", ignore_errors=True)  # of seeds that are never drawn again
    if ended.returncode > 1 or not (folder / "ladder.json").exists():
        _say(f"the climb did not come to its end: pytest's exit code is {ended.returncode}")
        return False
    return True


def _worse(python: Path, before: Path, night: Path) -> list[str] | None:
    """The rungs that have become worse, told and filed; None where there is nothing to compare."""
    command = [str(python), "-m", "ladder", "compare", str(before), str(night / "ladder.json")]
    compared = subprocess.run([*command, "--json"], capture_output=True, text=True)
    if compared.returncode > 1:
        _say(f"not compared with {before.parent.name}: {compared.stderr.strip()}")
        return None
    (night / "comparison.json").write_text(compared.stdout, encoding="utf-8")
    _say(subprocess.run(command, capture_output=True, text=True).stdout)
    found: list[str] = json.loads(compared.stdout)["regressions"]
    return found


def _say(told: str) -> None:
    """On the terminal, and where GitHub Actions runs it in the job's summary."""
    print(f"\n{told}", flush=True)
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(f"\n```text\n{told.rstrip()}\n```\n")


if __name__ == "__main__":
    sys.exit(main())
