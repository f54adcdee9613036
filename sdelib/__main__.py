"""python -m sdelib: see `sdelib.cli`."""

import sys

from .cli import main

if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # a terminal that has no σ shows ? and not a traceback
    sys.exit(main())
