"""Runs go to a tracker that accelerate knows, such as TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...checks import require
from ..extras import package
from .bench import Log
from .ledger import name_of


def logging_to(name: str, folder: Path) -> Log:
    """log(run, settings, losses, results): one run of the tracker for each run of a tuning: its
    settings, the loss of each step, and the results.

    name: of a tracker that is installed.  folder: where it writes, if it writes files.
    Raises ValueError, with those that are installed, for another.
    """
    tracking = package("accelerate.tracking", "train")
    there = sorted(str(getattr(t, "value", t)) for t in tracking.get_available_trackers())
    known = {str(getattr(t, "value", t)): t for t in tracking.LOGGER_TYPE_TO_CLASS}
    installed = ", ".join(there) or f"none of {', '.join(sorted(known))}"
    require(name in there, "log", name, f"installed here is {installed}")
    kind = tracking.LOGGER_TYPE_TO_CLASS[known[name]]

    def log(run: str, settings: dict[str, Any], losses: Any, results: dict[str, float]) -> None:
        package("accelerate").PartialState()
        more = {"logging_dir": str(folder)} if kind.requires_logging_directory else {}
        tracker = kind(f"{name_of(run)}", **more)
        if hasattr(tracker, "start"):
            tracker.start()
        plain = {k: v if isinstance(v, (int, float)) else str(v) for k, v in settings.items()}
        tracker.store_init_configuration({"run": run, **plain})
        for k, loss in enumerate(losses):
            tracker.log({"training loss": float(loss)}, step=k)
        tracker.log(dict(results), step=len(losses))
        tracker.finish()

    return log
