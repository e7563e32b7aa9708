#!/usr/bin/env python3
"""A night: climb every rung on fresh seeds, compare with the nights before, climb again what became worse, file the report.

It ends red, 1, where a rung is worse than on the last night that climbed it, on both sets of seeds, and 2 where a climb could not
be ended or nothing compared. A rung that was red last night too is for the report to tell. From the repository's root::

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
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

SEEDS = 64
UNJUDGED = "unjudged"
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
    try:
        return _night(known.nights, known.python, asked or ALL)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"the night did not come to its end: {error}", file=sys.stderr)
        return 2


def _night(nights: Path, python: Path | None, asked: Sequence[str]) -> int:
    gpus = _gpus()
    python = python or _set_up(gpus)
    # A worker even where there is no GPU: one that dies costs its rung alone, and not the night.
    arguments = [*asked, "-n", str(max(1, gpus))]
    when = datetime.now(UTC).strftime(NIGHT)
    # Until it is judged it lies where no other night is compared with it: else what became worse would be told of only once.
    night = nights / UNJUDGED / when
    if not _climb(python, night, nights, arguments):
        return 2
    first = not any(nights.glob("*/ladder.json"))
    worse = [] if first else _worse(python, nights, night)
    if worse:
        print(f"\nonce more, on other seeds: {', '.join(worse)}", flush=True)
        again = night / "again"
        chosen = [f"--ladder-only={id}" for id in worse]
        if not _climb(python, again, nights, [*arguments, *chosen], quiet=True):
            _say(f"worse, and not confirmed: {', '.join(worse)}; see {night}")
            return 2
        confirmed = _worse(python, nights, again)
        worse = None if confirmed is None else [id for id in worse if id in confirmed]
    shutil.move(night, nights / when)
    print(f"\nfiled {nights / when}", flush=True)
    subprocess.run([python, "-m", "ladder", "history", nights, "--svg", nights / "history.svg"])
    if worse is None:
        return 2
    if first:
        _say("the first night: there is nothing to compare it with")
    elif worse:
        _say(f"REGRESSION, on two sets of fresh seeds: {', '.join(worse)}")
    else:
        _say("no regression")
    return 1 if worse else 0


def _gpus() -> int:
    """How many this run may use."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return len([gpu for gpu in visible.split(",") if gpu])
    if shutil.which("nvidia-smi") is None:
        return 0
    listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True)
    gpus = [line for line in listed.stdout.splitlines() if line.startswith("GPU ")]  # below each, its MIG devices
    return len(gpus) if listed.returncode == 0 else 0


def _set_up(gpus: int) -> Path:
    """An environment, as the README makes it, and its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", ".venv"], check=True)
    wanted = ["-e", ".[dev]", *(["jax[cuda13]"] if gpus else [])]
    subprocess.run([".venv/bin/pip", "install", "--quiet", *wanted], check=True)
    return Path(".venv/bin/python")


def _climb(python: Path, folder: Path, nights: Path, arguments: Sequence[str], *, quiet: bool = False) -> bool:
    """Climb on fresh seeds, and whether it came to an end. Red rungs are what is looked for, and no trouble.

    Where it is to be quiet GitHub hears nothing of it.
    """
    options = [
        "--ladder-fresh-seeds",
        f"--ladder-seeds={SEEDS}",
        f"--ladder-reports={folder.absolute()}",
        f"--ladder-evidence={folder.absolute() / 'evidence'}",
        "-o",
        f"cache_dir={nights.absolute() / 'compiled'}",
    ]
    environment = {**os.environ, "XLA_FLAGS": f"{DETERMINISTIC} {os.environ.get('XLA_FLAGS', '')}".strip()}
    if quiet:
        environment = {name: value for name, value in environment.items() if not name.startswith("GITHUB_")}
    ended = subprocess.run([python, "-m", "pytest", *arguments, *options], env=environment)
    shutil.rmtree(folder / "evidence", ignore_errors=True)  # of seeds that are never drawn again
    if ended.returncode > 1 or not _complete(folder / "ladder.json"):
        _say(f"the climb did not come to its end: pytest's exit code is {ended.returncode}")
        return False
    return True


def _complete(report: Path) -> bool:
    """Return whether it is there and says that it is complete."""
    try:
        return json.loads(report.read_text(encoding="utf-8"))["complete"] is True
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return False


def _worse(python: Path, nights: Path, night: Path) -> list[str] | None:
    """The rungs that have become worse, told and filed; None where there is nothing to compare."""
    command = [str(python), "-m", "ladder", "compare", str(nights), str(night / "ladder.json")]
    compared = subprocess.run([*command, "--json"], capture_output=True, text=True)
    if compared.returncode > 1 or not compared.stdout:
        _say(f"not compared: {compared.stderr.strip()}")
        return None
    (night / "comparison.json").write_text(compared.stdout, encoding="utf-8")
    _say(subprocess.run(command, capture_output=True, text=True).stdout)
    found: list[str] = json.loads(compared.stdout)["regressions"]
    return found


def _say(told: str) -> None:
    """On the terminal, and where GitHub Actions runs it in the job's summary."""
    print(f"\n{told}", flush=True)
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        try:
            with Path(summary).open("a", encoding="utf-8") as file:
                file.write(f"\n```text\n{told.rstrip()}\n```\n")
        except OSError as error:
            print(f"not in the job's summary: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
