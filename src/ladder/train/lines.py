"""Experiments that are programs: reports that a command prints as lines of JSON."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ladder.declare.values import shortened


def json_lines(command: Sequence[object], **options: Any) -> Iterator[Mapping[str, Any]]:
    r"""Run a command and yield each line of its output that is a JSON object; other lines are printed.

    The command is ended when the iterator is closed. Python programs among it do not buffer their output.

    >>> list(json_lines([sys.executable, "-c", "print('{\"loss\": 0.5}')"]))
    [{'loss': 0.5}]

    Args:
        command: The program and its arguments, such as ``["python", "train.py", "--seed", seed]``; they are converted to strings.
        options: Further arguments of :class:`subprocess.Popen`, such as ``cwd`` and ``env``.

    Raises:
        TypeError: for a command that is not a list, and for options that say how its output is read.
        subprocess.CalledProcessError: if the command ends with an exit code other than 0.
    """
    given: object = command
    if not isinstance(given, list | tuple) or not given:
        raise TypeError(
            f"json_lines({shortened(given)}): give a list, such as ['python', 'train.py'] or shlex.split(...)"
        )
    if taken := options.keys() & {"stdout", "encoding", "errors", "text", "universal_newlines", "bufsize"}:
        raise TypeError(f"json_lines(..., {min(taken)}=...): it reads the output as text itself; leave this option out")
    arguments = [str(argument) for argument in command]
    options["env"] = {"PYTHONUNBUFFERED": "1"} | (os.environ if options.get("env") is None else options["env"])
    output: dict[str, Any] = {"stdout": subprocess.PIPE, "encoding": "utf-8", "errors": "replace"}
    with subprocess.Popen(arguments, **output, **options) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if (report := _parsed(line)) is None:
                    sys.stdout.write(line)
                else:
                    yield report
        except GeneratorExit:
            process.kill()
            raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, arguments)


def _parsed(line: str) -> Mapping[str, Any] | None:
    with suppress(ValueError, RecursionError):
        if isinstance(report := json.loads(line), dict):
            return report
    return None
