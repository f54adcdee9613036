"""python -m sdelib: see `sdelib.cli`."""

import sys
from typing import Any

from .cli import main

if __name__ == "__main__":
    streams: Any = (sys.stdout, sys.stderr)
    for stream in streams:
        stream.reconfigure(errors="replace")  # a terminal that has no σ shows ? and not a traceback
    sys.exit(main())
