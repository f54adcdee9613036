"""sdelib: scores, stochastic differential equations and their solvers, one small module per idea.

`import sdelib` needs torch and numpy only; plotting, training and widgets import what they need
when they are used.
"""

__version__ = "0.1.0"
