"""python -m sdelib, and the command `sdelib`, which is the same: see `sdelib.cli`."""

import sys
from typing import Any

from .cli import main


def run() -> int:
    """The command of this process; its exit status."""
    streams: Any = (sys.stdout, sys.stderr)
    for stream in streams:
        stream.reconfigure(errors="replace")  # a terminal that has no σ shows ? and not a traceback
    return main()


if __name__ == "__main__":
    sys.exit(run())
