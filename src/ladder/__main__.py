"""``python -m ladder``: the ``ladder`` command of this interpreter."""

import sys

from ladder.cli import command

if __name__ == "__main__":
    sys.exit(command())
