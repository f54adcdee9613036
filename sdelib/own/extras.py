"""Packages that only some of the work needs: imported where they are used, and named where they are
missing."""

from __future__ import annotations

import importlib
from typing import Any


def package(name: str, extra: str = "data") -> Any:
    """The module of this name.  Raises ImportError with the command that installs it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        first = name.partition(".")[0]
        raise ImportError(f'{first} is not installed: pip install "sdelib[{extra}]"') from error
