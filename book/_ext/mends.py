"""What the extensions share: a mend that no longer finds its place says so, and the build goes
on."""

from __future__ import annotations

import sys


def missed(what: str) -> None:
    """Say that a mend had nothing to mend; `make book` repeats these lines at its end."""
    print(f"mend: {what}", file=sys.stderr)
