"""How good a swap is, in figures."""

from .plots import plot_scorecard

__all__ = ["plot_scorecard"]
