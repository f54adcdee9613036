"""sdelib: scores, stochastic differential equations and their solvers, one small module per idea.

`import sdelib` needs torch and numpy only; plotting, training and widgets import what they need
when they are used.
"""

import re
from importlib.metadata import PackageNotFoundError, requires

import torch

__version__ = "0.1.0"


def _check(version: str) -> None:
    """Raise ImportError where this PyTorch is older than pyproject.toml asks for; a copy that was
    never installed asks for nothing."""
    try:
        wanted = next(
            (r[len("torch>=") :] for r in requires("sdelib") or () if r.startswith("torch>=")), "0"
        )
    except PackageNotFoundError:
        return
    if [int(n) for n in re.findall(r"\d+", version)[:2]] < [
        int(n) for n in re.findall(r"\d+", wanted)[:2]
    ]:
        raise ImportError(
            f"PyTorch {version} is too old: sdelib needs {wanted} or later; "
            "run pip install --upgrade torch"
        )


_check(torch.__version__)
