"""One stage of `make check` or `make test`: say what runs and how long it took last time, run it,
and remember.

    python tools/book/stage.py NAME "what it does" COMMAND …

The seconds of each stage that passed are kept in _build/stages.json, for the next run of the same
machine. They are told and never held against anything.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

TIMES = Path(__file__).resolve().parents[2] / "_build" / "stages.json"


def clock(seconds: float) -> str:
    return f"{round(seconds) // 60}:{round(seconds) % 60:02d}"


def known() -> dict[str, float]:
    """Stage → seconds; empty where nothing legible is kept."""
    try:
        return json.loads(TIMES.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def main(words: list[str]) -> int:
    name, what, *command = words
    last = known().get(name)
    told = "" if last is None else f" ({clock(last)} last time)"
    print(f"\n== {name}: {what}{told}", flush=True)
    start = time.monotonic()
    status = subprocess.run(command).returncode
    seconds = time.monotonic() - start
    print(f"   {name}: {clock(seconds)}" + (", FAILED" if status else ""), flush=True)
    if status == 0:
        TIMES.parent.mkdir(parents=True, exist_ok=True)
        TIMES.write_text(json.dumps(known() | {name: round(seconds, 1)}), encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
