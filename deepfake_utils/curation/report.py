"""The faces of two people compared: do B's show all that A does, and what should be added?

The network draws B as A looks at each moment, so B must have been seen in A's poses, with the mouth
as open and the eyes as closed. What it never saw it has to invent.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ..autoencoder import AutoencoderConfig
from ..plotting import blank_figure
from ..scoring.seam import ciede2000
from .advice import what_to_add
from .inspection import FaceMeasures, share_of_twins
from .selection import Curation, Reach, SetSummary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TWINS = 0.05  # distance of near-duplicates up to which crops are of the same moment ...
SAME_SHARE = 0.3  # ... and which share of the smaller set has twins in the other in one clip
CELL_DEG = 5.0  # of the map of poses; with a landmarker poses are known to about 3 degrees
_YAW = np.arange(-90.0, 90.0 + CELL_DEG, CELL_DEG)  # symmetric, so that it can be mirrored
_PITCH = np.arange(-60.0, 60.0 + CELL_DEG, CELL_DEG)
_NEVER, _MIRRORED, _BOTH, _ONLY_B = "#d1495b", "#edae49", "#66a182", "#d5dde3"
_PEOPLE = {"A": "#30638e", "B": "#8f5aa8"}


class PoseMap(NamedTuple):
    """How many faces of each set lie in each cell of 5 by 5 degrees; rows pitch, columns yaw."""

    a: NDArray[np.intp]  # (P, Y)
    b: NDArray[np.intp]  # (P, Y)

    @property
    def seen(self) -> NDArray[np.bool_]:
        """(P, Y), where B has a face in the cell or in one that touches it."""
        return cv2.dilate((self.b > 0).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0

    @property
    def mirrored(self) -> NDArray[np.bool_]:
        """(P, Y), poses of A that B has only to the other side; training mirrors these."""
        return (self.a > 0) & ~self.seen & self.seen[:, ::-1]

    @property
    def never(self) -> NDArray[np.bool_]:
        """(P, Y), poses of A that B has neither as they are nor mirrored."""
        return (self.a > 0) & ~self.seen & ~self.seen[:, ::-1]

    def share(self, cells: NDArray[np.bool_]) -> float:
        """Which share of A's faces lies in those cells."""
        return float(self.a[cells].sum() / max(1, self.a.sum()))


@dataclass(frozen=True)
class PairReport:
    """What `pair_report` found; shows itself in a notebook, and draws itself with `plot`."""

    a: SetSummary  # who is in the video
    b: SetSummary  # whose face is put there
    poses: PoseMap
    colour_difference: float  # CIEDE2000 between the mean colours of the inner faces
    network_size: int  # side of the network's pictures in pixels
    advice: tuple[str, ...]  # what to add, one sentence each; none if everything needed is there
    same_clip: bool = False  # whether both sets show the same moments, whatever their files

    @property
    def complete(self) -> bool:
        """Whether everything needed is there."""
        return not self.advice

    def markdown(self) -> str:
        """A table of both sets, and below it in words what to add."""
        lines = ["| | A, in the video | B, put there |", "|---|---|---|"]
        for name, one, other in zip(_NAMES, _cells(self.a), _cells(self.b), strict=True):
            lines.append(f"| {name} | {one} | {other} |")
        poses = self.poses
        unseen, mirrored = (100.0 * poses.share(x) for x in (poses.never, poses.mirrored))
        lines += [
            "",
            f"Of A's faces {100.0 - unseen - mirrored:.0f} % are in poses that B has, too, "
            f"{mirrored:.0f} % in poses that B has only mirrored, {unseen:.0f} % in poses that B "
            f"was never seen in. The faces' mean colours are {self.colour_difference:.0f} apart "
            "(CIEDE2000, 1 is just seen).",
            "",
        ]
        if self.complete:
            return "\n".join([*lines, "**Everything needed is there.**"])
        return "\n".join([*lines, "**What to add:**", "", *(f"* {each}" for each in self.advice)])

    def _repr_markdown_(self) -> str:
        return self.markdown()

    def plot(self) -> Figure:
        """The map of poses, and beside it mouth, eyelids, size and colours of both sets."""
        figure = blank_figure(10.5, 4.4)
        grid = figure.add_gridspec(4, 2, width_ratios=[1.9, 1.0])
        _draw_map(figure.add_subplot(grid[:, 0]), self.poses)
        pair = self.a, self.b
        for row, (title, reaches) in enumerate(
            (
                ("mouth opening / eye distance", [each.mouth for each in pair]),
                ("eyelids, 0 as usual, 1 all lid", [each.eyelids for each in pair]),
                ("face in the film / pixels", [each.size for each in pair]),
            )
        ):
            _draw_reaches(figure.add_subplot(grid[row, 1]), title, reaches)
        _draw_colours(figure.add_subplot(grid[3, 1]), pair, self.colour_difference)
        return figure


def pair_report(
    folder_a: str | os.PathLike[str],
    folder_b: str | os.PathLike[str],
    network_size: int = 128,
    identity: bool | None = None,
) -> PairReport:
    """Compare the kept faces of two people before training on them.

    Args:
        folder_a: faces of the person in the video.
        folder_b: faces of the person whose face is put there.
        network_size: side of the network's pictures in pixels, to judge the faces' size by.
        identity: as `Curation`; likeness is not part of the report.

    Raises:
        FileNotFoundError, NotADirectoryError, ValueError: as `Curation`, or if no crop is kept.
    """
    if network_size < 8:
        raise ValueError(f"network_size: expected at least 8 pixels, got {network_size}")
    sets = [Curation(folder, identity) for folder in (folder_a, folder_b)]
    one, other = (each.summary() for each in sets)
    poses = PoseMap(*(_histogram(each.kept_table) for each in sets))
    apart = float(ciede2000(np.array(one.colour), np.array(other.colour)))
    never = poses.share(poses.never)
    pixels = network_size * AutoencoderConfig().coverage
    advice = what_to_add(one, other, never, apart, pixels)
    same = share_of_twins(sets[0].kept_thumbs, sets[1].kept_thumbs, TWINS) > SAME_SHARE
    if same:
        warning = (
            "A and B are faces of the same clip, so there is nobody to swap: choose another clip "
            "for one of them."
        )
        advice = (warning, *advice)
    return PairReport(one, other, poses, apart, network_size, advice, same)


def _histogram(rows: Sequence[FaceMeasures]) -> NDArray[np.intp]:
    pitch = np.clip([row.pitch for row in rows], _PITCH[0], _PITCH[-1])
    yaw = np.clip([row.yaw for row in rows], _YAW[0], _YAW[-1])
    return np.histogram2d(pitch, yaw, (_PITCH, _YAW))[0].astype(np.intp)


_NAMES = (
    "faces",
    "dropped before",
    "near-duplicates",
    "blurred",
    "sharpness, median",
    "size in the film, px",
    "yaw, degrees (right is positive)",
    "pitch, degrees (down is positive)",
    "mouth opening, share of the eye distance",
    "eyelids, 0 as usual, 1 all lid",
    "L\\*, a\\*, b\\* of the inner face",
    "spread of L\\*",
    "gaze, -1 left to 1 right",
    "L\\* of the right half less the left",
    "covered",
)


def _cells(which: SetSummary) -> list[str]:
    def span(reach: Reach, digits: int) -> str:
        return f"{reach.low:.{digits}f} to {reach.high:.{digits}f}".replace("-0 ", "0 ")

    return [
        str(which.faces),
        str(which.dropped),
        str(which.duplicates),
        str(which.blurred),
        f"{which.sharpness.middle:.2f}",
        f"{which.size.middle:.0f} ({span(which.size, 0)})",
        span(which.yaw, 0),
        span(which.pitch, 0),
        span(which.mouth, 2),
        span(which.eyelids, 2),
        ", ".join(f"{value:.0f}" for value in which.colour),
        f"{which.contrast[0]:.0f}",
        span(which.gaze, 2),
        span(which.light, 0),
        str(which.covered),
    ]


def _draw_map(axis: Axes, poses: PoseMap) -> None:
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Patch

    known = {"B alone": ((poses.b > 0) & (poses.a == 0), _ONLY_B)}
    known["A and B"] = ((poses.a > 0) & poses.seen, _BOTH)
    known["A; B only mirrored"] = (poses.mirrored, _MIRRORED)
    known["A alone"] = (poses.never, _NEVER)
    picture = np.ones((*poses.a.shape, 3))
    for cells, colour in known.values():
        picture[cells] = to_rgb(colour)
    extent = (_YAW[0], _YAW[-1], _PITCH[-1], _PITCH[0])  # looking down is drawn below
    axis.imshow(picture, extent=extent, aspect="auto", interpolation="nearest")
    for row, column in zip(*np.nonzero(poses.a), strict=True):
        at = _YAW[column] + CELL_DEG / 2.0, _PITCH[row] + CELL_DEG / 2.0
        axis.text(*at, str(poses.a[row, column]), ha="center", va="center", fontsize=7)
    rows, columns = np.nonzero(poses.a + poses.b)
    side = max(abs(_YAW[columns.min()]), abs(_YAW[columns.max() + 1])) + CELL_DEG
    axis.set_xlim(-side, side)
    axis.set_ylim(_PITCH[rows.max() + 1] + CELL_DEG, _PITCH[rows.min()] - CELL_DEG)
    axis.set_xlabel("yaw / degrees, to the picture's right →")
    axis.set_ylabel("← looking down     pitch / degrees     up →")
    axis.set_title("Which poses A shows (number of faces), and whether B does", fontsize=10)
    axis.grid(alpha=0.25)
    marks = [Patch(color=colour, label=name) for name, (_, colour) in known.items()]
    axis.legend(handles=marks, fontsize=8, ncols=4, loc="lower center", bbox_to_anchor=(0.5, -0.27))


def _draw_reaches(axis: Axes, title: str, reaches: Sequence[Reach]) -> None:
    """A bar from the least to the most of each set, with a line at the median."""
    for height, (name, reach) in enumerate(zip(_PEOPLE, reaches, strict=True)):
        width = reach.high - reach.low
        axis.barh(height, width, left=reach.low, height=0.6, color=_PEOPLE[name])
        axis.plot([reach.middle] * 2, [height - 0.3, height + 0.3], color="white", linewidth=2)
    axis.use_sticky_edges = False
    axis.margins(x=0.06)
    _name_people(axis, title)


def _draw_colours(axis: Axes, pair: tuple[SetSummary, SetSummary], apart: float) -> None:
    for height, each in enumerate(pair):
        lab = np.array([[each.colour]], np.float32)
        rgb = np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB).ravel(), 0.0, 1.0)
        axis.barh(height, 1.0, height=0.9, color=rgb.tolist())
    axis.set_xticks([])
    axis.set_xlim(0.0, 1.0)
    _name_people(axis, f"mean colour of the face: {apart:.0f} apart (CIEDE2000)")


def _name_people(axis: Axes, title: str) -> None:
    axis.set_yticks(range(len(_PEOPLE)), list(_PEOPLE))
    axis.set_ylim(len(_PEOPLE) - 0.4, -0.6)
    axis.set_title(title, fontsize=9)
    axis.tick_params(labelsize=8, length=2)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
