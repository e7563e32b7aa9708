"""``python -m ladder``: the ``ladder`` command of this interpreter."""

import sys

from ladder.cli import main

if __name__ == "__main__":
    sys.exit(main())
