"""Tuning as chapter 12 does it, for any data: one change a row, the same noise for all, at equal
steps and at equal time."""

from .rounds import Tuning
from .tuned import tune

__all__ = ["Tuning", "tune"]
