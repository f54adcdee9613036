"""How good are samples? Held against the data that they imitate, by one protocol, beside the data
themselves and beside a Gaussian."""

from .compared import Comparison, compare

__all__ = ["Comparison", "compare"]
