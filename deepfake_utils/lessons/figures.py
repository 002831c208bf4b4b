"""Figures of the teaching notebooks: point patterns, grids over faces, curves, bars.

Like those of `plotting`, each function returns a matplotlib Figure and draws only that. They are
at most 900 pixels wide in a notebook.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..images import Image, Points
from ..plotting import blank_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array: TypeAlias = NDArray[np.float64]

COLOURS = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple")
MARKS = ("o", "s", "^", "D", "v")
WIDTH_IN = 9.8  # 880 pixels at the 90 a notebook shows


def plot_patterns(
    panels: Mapping[str, Mapping[str, Points]],
    linked: tuple[str, str] | None = None,
    view: tuple[float, float, float, float] | None = None,
    images: Sequence[Image] | None = None,
    size: float | None = None,
) -> Figure:
    """Patterns of points side by side, with equal axes and the same view in all panels.

    Args:
        panels: title -> name -> (N, 2) points. Without pictures a pattern's points are joined in
            their order and y points up; over pictures they are dots, in pixels, and y points down.
        linked: two names; a dotted line joins each point of the one to the same of the other.
        view: least and most x, least and most y; None fits all points. Not used over pictures.
        images: one picture (H, W, 3) RGB uint8 for each panel, drawn under its points.
        size: of the markers, in points.

    Raises:
        ValueError: if there is no panel, or not one picture for each.
    """
    if not panels:
        raise ValueError("expected at least one panel, got none")
    if images is not None and len(images) != len(panels):
        raise ValueError(f"expected {len(panels)} pictures, got {len(images)}")
    figure = blank_figure(*_panel_size(len(panels), max(title.count("\n") for title in panels)))
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    every = np.concatenate([points for panel in panels.values() for points in panel.values()])
    low, high = every.min(axis=0), every.max(axis=0)
    margin = 0.06 * float((high - low).max()) + 1e-6
    if view is None:
        view = (low[0] - margin, high[0] + margin, low[1] - margin, high[1] + margin)
    for index, (axis, (title, patterns)) in enumerate(zip(axes, panels.items(), strict=True)):
        axis.set_title(title, fontsize=9, family="monospace" if "[" in title else None)
        _draw_patterns(axis, patterns, linked, images is None, size)
        if images is None:
            axis.set_aspect("equal")
            axis.set_xlim(view[:2])
            axis.set_ylim(view[2:])
            axis.grid(alpha=0.3)
        else:
            axis.imshow(images[index])
            axis.set_axis_off()
    named: dict[str, Any] = {}  # of all panels, once each
    for axis in axes:
        named |= dict(zip(*axis.get_legend_handles_labels()[::-1], strict=True))
    figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=5, fontsize=9)
    return figure


def _panel_size(count: int, lines: int = 0) -> tuple[float, float]:
    """Width and height in inches of a figure with that many square panels in a row."""
    side = min(4.6, WIDTH_IN / count)
    return max(side * count, 5.0), side + 0.55 + 0.15 * lines


def _draw_patterns(
    axis: Any,
    patterns: Mapping[str, Points],
    linked: tuple[str, str] | None,
    joined: bool,
    size: float | None,
) -> None:
    for index, (name, points) in enumerate(patterns.items()):
        closed = np.vstack([points, points[:1]]) if joined else points
        axis.plot(
            closed[:, 0],
            closed[:, 1],
            MARKS[index % len(MARKS)] + ("-" if joined else ""),
            color=COLOURS[index % len(COLOURS)],
            markersize=size if size is not None else (4.0 if joined else 2.0),
            linewidth=1.3,
            alpha=0.85,
            label=name,
        )
    if linked is not None and set(linked) <= set(patterns):
        for one, other in zip(patterns[linked[0]], patterns[linked[1]], strict=True):
            axis.plot(*zip(one, other, strict=True), ":", color="0.4", linewidth=1.0)


def plot_turn(u: Array, d: Array, vt: Array) -> Figure:
    """What a matrix U D V^T does to the unit circle: the axes V become the axes U, D times as long.

    Args:
        u: (2, 2), its columns are the axes afterwards.
        d: (2,), how long they are.
        vt: (2, 2), its rows are the axes before.
    """
    turns = np.linspace(0.0, 2.0 * np.pi, 181)
    circle = np.stack([np.cos(turns), np.sin(turns)])  # (2, 181)
    figure = blank_figure(WIDTH_IN, 4.6)
    for axis, curve, arrows, name, title in (
        (figure.add_subplot(1, 2, 1), circle, vt.T, "v", "the unit circle and the axes V"),
        (figure.add_subplot(1, 2, 2), (u * d) @ vt @ circle, u * d, "u", "the ellipse U D Vᵀ"),
    ):
        axis.plot(*curve, color="0.5")
        for index, (x, y) in enumerate(arrows.T):
            colour = COLOURS[index]
            arrow = {"arrowstyle": "->", "color": colour, "lw": 2.0}
            axis.annotate("", (x, y), (0.0, 0.0), arrowprops=arrow)
            length = "" if name == "v" else f"d{index + 1} "
            text = f"{length}{name}{index + 1}"
            axis.annotate(text, (x, y), (6, 6), textcoords="offset points", color=colour)
        axis.set_aspect("equal")
        axis.margins(0.15)
        axis.grid(alpha=0.3)
        axis.set_title(title, fontsize=10)
    return figure


def plot_curves(
    curves: Mapping[str, tuple[Array, Array]],
    x_label: str,
    y_label: str,
    marks: Mapping[str, tuple[float, float]] | None = None,
    log_y: bool = False,
) -> Figure:
    """Curves in one pair of axes.

    Args:
        curves: name -> x and y.
        x_label: under the axis, with the unit.
        y_label: beside the axis, with the unit.
        marks: name -> (x, y) of a single point that matters.
        log_y: True for a logarithmic y axis.

    Raises:
        ValueError: if there is no curve.
    """
    if not curves:
        raise ValueError("expected at least one curve, got none")
    figure = blank_figure(7.5, 3.6)
    axis = figure.subplots()
    for index, (name, (x, y)) in enumerate(curves.items()):
        many = len(x) > 20
        style = ("-", "--", ":")[index % 3] + ("" if many else "o")  # seen where curves coincide
        axis.plot(x, y, style, color=COLOURS[index % 5], markersize=4, label=name)
    for index, (name, (at_x, at_y)) in enumerate((marks or {}).items()):
        axis.plot([at_x], [at_y], "*", color=COLOURS[3 - index % 2], markersize=12, label=name)
    axis.set_xlabel(x_label)
    axis.set_ylabel(y_label)
    if log_y:
        axis.set_yscale("log")
    axis.grid(alpha=0.3, which="both")
    beside: dict[str, Any] = {}  # where it hides nothing
    if len(curves) > 3:
        beside = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
    axis.legend(fontsize=9, **beside)
    return figure


def plot_histogram(groups: Mapping[str, Array], x_label: str) -> Figure:
    """How often values occur, on a logarithmic axis, one colour a group.

    Args:
        groups: name -> values above 0.
        x_label: under the axis.

    Raises:
        ValueError: if a value is not above 0.
    """
    values = np.concatenate(list(groups.values()))
    if not len(values) or not values.min() > 0.0:
        raise ValueError("expected values above 0 for a logarithmic axis")
    bins = np.geomspace(values.min(), values.max(), 61).tolist()
    figure = blank_figure(7.5, 3.6)
    axis = figure.subplots()
    for index, (name, group) in enumerate(groups.items()):
        axis.hist(group, bins, alpha=0.6, color=COLOURS[index % 5], label=name)
    axis.set_xscale("log")
    axis.set_xlabel(x_label)
    axis.set_ylabel("how many")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=9)
    return figure


def plot_bars(groups: Mapping[str, Mapping[str, float]], label: str, form: str = ".2f") -> Figure:
    """Bars in groups, each with its value on top.

    Args:
        groups: name of the group -> name of the bar -> value; the same bars in each group, NaN
            for one that is missing.
        label: what is measured, with the unit.
        form: how the values are written.

    Raises:
        ValueError: if there is no group or one has other bars.
    """
    if not groups or len({tuple(bars) for bars in groups.values()}) != 1:
        raise ValueError(
            f"expected groups with the same bars, got {'others' if groups else 'none'}"
        )
    names = list(next(iter(groups.values())))
    width = 0.8 / len(names)
    figure = blank_figure(7.5, 3.6)
    axis = figure.subplots()
    for index, name in enumerate(names):
        at = np.arange(len(groups)) + (index - (len(names) - 1) / 2.0) * width
        values = [bars[name] for bars in groups.values()]
        bars = axis.bar(at, values, width * 0.92, color=COLOURS[index % 5], label=name)
        texts = [f"{value:{form}}" if np.isfinite(value) else "" for value in values]
        axis.bar_label(bars, texts, fontsize=8, padding=2)
    axis.set_xticks(np.arange(len(groups)), list(groups))
    axis.set_ylabel(label)
    axis.margins(y=0.12)
    axis.axhline(0.0, color="black", linewidth=0.8)
    if len(names) > 1:
        axis.legend(fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def plot_space(panels: Mapping[str, Mapping[str, Points]]) -> Figure:
    """Patterns of points (N, 3) in space side by side, joined in their order, with equal axes."""
    if not panels:
        raise ValueError("expected at least one panel, got none")
    figure = blank_figure(WIDTH_IN, WIDTH_IN / max(2, len(panels)) + 0.3)
    for index, (title, patterns) in enumerate(panels.items()):
        axis: Any = figure.add_subplot(1, len(panels), index + 1, projection="3d")
        axis.set_title(title, fontsize=10)
        for row, (name, points) in enumerate(patterns.items()):
            style = {"color": COLOURS[row % 5], "marker": MARKS[row % 5], "markersize": 3}
            axis.plot(*points.T, linewidth=1.2, label=name, **style)
        axis.set_aspect("equal")
        axis.tick_params(labelsize=7)
        axis.legend(fontsize=8, loc="upper left")
    return figure


def plot_grids(face: Image, panels: Mapping[str, Sequence[Points]], arrows: bool = False) -> Figure:
    """Square grids of points over a picture, one panel for each title.

    Args:
        face: (H, W, 3) RGB uint8.
        panels: title -> grids of (g * g, 2) points (x, y) in pixels, row by row.
        arrows: True joins the points of a panel's first grid to those of its second.
    """
    figure = blank_figure(*_panel_size(len(panels)))
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (title, grids) in zip(axes, panels.items(), strict=True):
        axis.imshow(face)
        axis.set_title(title, fontsize=10)
        axis.set_axis_off()
        for index, points in enumerate(grids):
            side = round(len(points) ** 0.5)
            lines = np.asarray(points).reshape(side, side, 2)
            style = {"color": ("white", "gold")[index % 2], "linewidth": 1.0 if side < 20 else 0.6}
            for line in (*lines, *lines.transpose(1, 0, 2)):
                axis.plot(line[:, 0], line[:, 1], **style)
            if side < 20:
                axis.plot(*np.asarray(points).T, "o", color=style["color"], markersize=3)
        if arrows:
            for begin, end in zip(*grids[:2], strict=True):
                arrow = {"arrowstyle": "->", "color": "tab:red", "lw": 1.6}
                axis.annotate("", end, begin, arrowprops=arrow)
    return figure


def plot_maps(maps: Mapping[str, Array], label: str = "") -> Figure:
    """Matrices as pictures with a scale each.

    Args:
        maps: title -> (rows, columns).
        label: what the values are, with the unit.
    """
    figure = blank_figure(*_panel_size(len(maps)))
    for index, (title, values) in enumerate(maps.items()):
        axis = figure.add_subplot(1, len(maps), index + 1)
        drawn = axis.imshow(values, cmap="viridis", aspect="auto")
        axis.set_title(title, fontsize=10)
        figure.colorbar(drawn, ax=axis, label=label, shrink=0.85)
    return figure


def plot_numbers(panels: Mapping[str, Array], kinds: Mapping[str, Array] | None = None) -> Figure:
    """Small matrices side by side, with the number in each cell.

    Args:
        panels: title -> (rows, columns).
        kinds: title -> (rows, columns) int, the colour of each cell; without it equal numbers have
            equal colours.

    Raises:
        ValueError: if there is nothing to draw.
    """
    if not panels:
        raise ValueError("expected at least one matrix, got none")
    columns = [values.shape[1] for values in panels.values()]
    cell = min(0.55, (WIDTH_IN - 0.3 * len(panels)) / sum(columns))
    rows = max(values.shape[0] for values in panels.values())
    figure = blank_figure(max(cell * sum(columns) + 0.3 * len(panels), 4.0), cell * rows + 0.9)
    axes = figure.subplots(1, len(panels), squeeze=False, width_ratios=columns)[0]
    for axis, (title, values) in zip(axes, panels.items(), strict=True):
        colours = kinds[title] if kinds else np.unique(values, return_inverse=True)[1]
        axis.imshow(colours.reshape(values.shape), cmap="Pastel1", vmin=0, vmax=8)
        for (y, x), value in np.ndenumerate(values):
            axis.text(x, y, f"{value:g}", ha="center", va="center", fontsize=9)
        axis.set_title(title, fontsize=10)
        axis.set_xticks([])
        axis.set_yticks([])
    return figure
