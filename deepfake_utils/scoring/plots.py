"""A scorecard as a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..plotting import blank_figure
from .scorecard import Scorecard

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_scorecard(card: Scorecard) -> Figure:
    """A line for each figure of a card: the swap with its interval between no swap and perfect.

    Args:
        card: what `scorecard.score_swap` or `scorecard.score_sample` found.

    Raises:
        ValueError: if the card has no figures.
    """
    if not card.rows:
        raise ValueError("expected a card with figures, got an empty one")
    figure = blank_figure(8.0, 0.62 * len(card.rows) + 0.4)
    axes = figure.subplots(len(card.rows), 1, squeeze=False)[:, 0]
    for axis, row in zip(axes, card.rows, strict=True):
        for value, mark, colour, size, name in (
            (row.no_swap, "x", "tab:red", 7, "no swap"),
            (row.perfect, "D", "tab:green", 6, "perfect"),
            (row.value, "o", "tab:blue", 7, "swap"),
        ):
            if value is not None:
                axis.plot(value, 0.0, mark, color=colour, markersize=size, label=name)
        if np.isfinite([row.low, row.high]).all():
            axis.plot([row.low, row.high], [0.0, 0.0], color="tab:blue", linewidth=3, alpha=0.5)
        axis.margins(x=0.08)
        axis.set_yticks([0.0], [f"{row.measure.name}\n{row.measure.unit}"], fontsize=8)
        axis.tick_params(axis="x", labelsize=7, length=2)
        axis.tick_params(axis="y", length=0)
        for side in ("left", "right", "top"):
            axis.spines[side].set_visible(False)
        text = f"{row.text(row.value)}  ({row.measure.better} is better)"
        axis.text(1.02, 0.5, text, transform=axis.transAxes, fontsize=8, va="center")
    axes[0].legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=8)
    return figure
