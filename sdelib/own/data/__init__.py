"""Any data set: what it is, a part to train on, a tenth held out; pictures, arrays, tables, series.

data = Data.open("photos/")
"""

from .dataset import Data
from .forms import Column, Form

__all__ = ["Column", "Data", "Form"]
