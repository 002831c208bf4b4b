"""Pictures to look at: every `plot_` function returns a matplotlib Figure and draws only that."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np
import torch

from .autoencoder import FaceSwapAutoencoder
from .dataset import Batch
from .images import Image, Points, check_image, check_points, to_image, to_tensor
from .marking.label import draw_label
from .training.trainer import StepResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Faces: TypeAlias = Sequence[Image] | Batch
GRID_TITLES = ("A", "A as A", "A as B", "B", "B as B", "B as A")


@functools.cache
def _figure_class() -> type[Figure]:
    from matplotlib.figure import Figure

    class ShownFigure(Figure):
        """A figure that any notebook shows, whichever backend it uses, and pyplot never keeps."""

        def _repr_png_(self) -> bytes:
            buffer = io.BytesIO()
            self.savefig(buffer, format="png", dpi=90)
            return buffer.getvalue()

    return ShownFigure


def blank_figure(width_in: float, height_in: float) -> Figure:
    """An empty figure of that size, laid out so that nothing overlaps."""
    return _figure_class()(figsize=(width_in, height_in), layout="constrained")


def show_images(
    images: Sequence[Image], columns: int = 8, titles: Sequence[str] | None = None
) -> Figure:
    """Pictures side by side.

    Args:
        images: (H, W, 3) RGB uint8 each; sizes may differ.
        columns: how many in a row.
        titles: one for each picture.

    Raises:
        ValueError: if there is no picture or the titles do not match them.
    """
    if not len(images):
        raise ValueError("expected at least one picture, got none")
    if titles is not None and len(titles) != len(images):
        raise ValueError(f"expected {len(images)} titles, got {len(titles)}")
    columns = max(1, min(columns, len(images)))
    rows = -(-len(images) // columns)
    cell = min(3.0, 11.0 / columns)
    lines = max((title.count("\n") + 1 for title in titles or ()), default=0)
    above = 0.1 + 0.17 * lines if lines else 0.0  # inches
    figure = blank_figure(cell * columns, (cell + above) * rows)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
        axis.set_anchor("S")  # room that a picture leaves is for the title above it
    for index, (axis, image) in enumerate(zip(axes, images, strict=False)):
        check_image(image)
        axis.imshow(image)
        if titles is not None:
            axis.set_title(titles[index], fontsize=9)
    return figure


def plot_landmarks(frame: Image, faces: Sequence[Points]) -> Figure:
    """A frame with the 68 points of each face, coloured in their order from jaw to mouth.

    Args:
        frame: (H, W, 3) RGB uint8.
        faces: (68, 2) points (x, y) in pixels each; may be empty.
    """
    check_image(frame, "frame")
    figure = blank_figure(5.5, 5.5 * frame.shape[0] / frame.shape[1] + 0.3)
    axis = figure.subplots()
    axis.imshow(frame)
    axis.set_axis_off()
    for face in faces:
        points = check_points(face, 68)
        axis.scatter(points[:, 0], points[:, 1], c=np.arange(68), cmap="turbo", s=9)
    axis.set_title(f"{len(faces)} face{'' if len(faces) == 1 else 's'}, 68 points each", fontsize=9)
    return figure


def plot_pairs(batch: Batch, count: int = 8) -> Figure:
    """What the network is shown (top), what it should draw (middle), and what matters (bottom).

    Args:
        batch: training pairs of one person.
        count: how many of them.

    Raises:
        ValueError: if `count` is below 1.
    """
    if count < 1:
        raise ValueError(f"count: expected at least 1, got {count}")
    rows = (batch.warped, batch.target, batch.weight.expand_as(batch.target) / batch.weight.max())
    shown = min(count, len(batch.warped))
    figure = blank_figure(11.0, 11.0 / shown * 3 + 0.1)
    axes = figure.subplots(3, shown, squeeze=False)
    for line, tensor, name in zip(axes, rows, ("warped", "target", "weight"), strict=True):
        for axis, picture in zip(line, tensor, strict=False):
            axis.imshow(to_image(picture))
            axis.set_xticks([])
            axis.set_yticks([])
        line[0].set_ylabel(name, fontsize=10)
    return figure


@torch.inference_mode()
def predict_all(model: FaceSwapAutoencoder, faces_a: Faces, faces_b: Faces) -> list[list[Image]]:
    """Every face as both people.

    Args:
        model: the network; its mode (train or eval) is left as it is.
        faces_a: of person A: (S, S, 3) RGB uint8 pictures of the network's size, or what
            `FaceDataset.preview` gives, which a network with landmarks needs.
        faces_b: as many of person B.

    Returns:
        Six lists: A, A as A, A as B, B, B as B, B as A.

    Raises:
        ValueError: if there are no faces, or not equally many.
    """
    device = next(model.parameters()).device
    (a, points_a), (b, points_b) = _inputs(faces_a, device), _inputs(faces_b, device)
    if not len(a) or len(a) != len(b):
        raise ValueError(f"expected equally many faces of A and B, got {len(a)} and {len(b)}")
    if not model.config.landmarks:
        points_a = points_b = None
    columns = (
        *(a, model(a, "A", points_a), model(a, "B", points_a)),
        *(b, model(b, "B", points_b), model(b, "A", points_b)),
    )
    return [[to_image(face[:3]) for face in column] for column in columns]


def _inputs(faces: Faces, device: torch.device) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Pictures (B, 3, S, S) in 0..1 and points (B, 68, 2) in 0..1, if known."""
    if isinstance(faces, Batch):
        points = None if faces.points is None else faces.points.to(device)
        return faces.target.to(device), points
    stack = torch.stack([to_tensor(face) for face in faces]) if len(faces) else torch.empty(0)
    return stack.to(device), None


def prediction_image(
    model: FaceSwapAutoencoder,
    faces_a: Faces,
    faces_b: Faces,
    cell: int = 96,
) -> Image:
    """The prediction grid as one picture: a row for each face pair, columns as `GRID_TITLES`.

    Args:
        model: the network.
        faces_a: of person A, as in `predict_all`.
        faces_b: as many of person B.
        cell: side of each face in pixels.

    Returns:
        (rows * cell, 6 * cell, 3) RGB uint8.
    """
    columns = predict_all(model, faces_a, faces_b)
    wh = (cell, cell)
    tall = [
        np.vstack([cv2.resize(face, wh, interpolation=cv2.INTER_CUBIC) for face in column])
        for column in columns
    ]
    return np.asarray(np.hstack(tall), np.uint8)


def plot_prediction_grid(
    model: FaceSwapAutoencoder,
    faces_a: Faces,
    faces_b: Faces,
    title: str = "",
) -> Figure:
    """A, A as A, A as B | B, B as B, B as A: one row for each pair of faces.

    Args:
        model: the network.
        faces_a: of person A, as in `predict_all`.
        faces_b: as many of person B.
        title: a line above the grid, which also says that it was modified, as does each swapped
            face in its own pixels.
    """
    columns = predict_all(model, faces_a, faces_b)
    rows = len(columns[0])
    figure = blank_figure(9.0, 1.5 * rows + 0.5)
    axes = figure.subplots(rows, 6, squeeze=False)
    for column, (name, faces) in enumerate(zip(GRID_TITLES, columns, strict=True)):
        axes[0][column].set_title(name, fontsize=11)
        for row, face in enumerate(faces):
            shown = face
            if name in ("A as B", "B as A"):  # letters need some pixels
                wh = (max(192, len(face)),) * 2
                shown = draw_label(cv2.resize(face, wh, interpolation=cv2.INTER_CUBIC))
            axes[row][column].imshow(shown, interpolation="bicubic")
            axes[row][column].set_axis_off()
    figure.suptitle(f"{title}, AI modified" if title else "AI modified", fontsize=10)
    return figure


def plot_losses(history: Sequence[StepResult], scores: Sequence[tuple[int, float]] = ()) -> Figure:
    """Both people's losses over the steps: each step pale, a running median strong.

    Args:
        history: `Trainer.history`.
        scores: `Trainer.scores`, of faces held out of training, drawn against an axis of their own.

    Raises:
        ValueError: if it is empty.
    """
    if not history:
        raise ValueError("expected at least one training step, got none; train first")
    from matplotlib.ticker import LogLocator, MaxNLocator, StrMethodFormatter

    figure = blank_figure(7.0, 3.2)
    axis = figure.subplots()
    steps = np.array([result.step for result in history])
    blocks = np.array_split(np.arange(len(steps)), min(50, len(steps)))
    for name, losses, colour in (
        ("A", np.array([result.loss_a for result in history]), "tab:blue"),
        ("B", np.array([result.loss_b for result in history]), "tab:orange"),
    ):
        axis.plot(steps, losses, color=colour, alpha=0.2, linewidth=0.8)
        middle = [float(np.median(losses[block])) for block in blocks]
        at = [float(steps[block].mean()) for block in blocks]
        axis.plot(at, middle, color=colour, label=f"person {name}")
    axis.set_xlabel("training step")
    axis.set_ylabel("loss (0 is perfect)")
    axis.set_yscale("log")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.yaxis.set_minor_locator(LogLocator(subs=(2.0, 3.0, 5.0)))
    for which in (axis.yaxis.set_major_formatter, axis.yaxis.set_minor_formatter):
        which(StrMethodFormatter("{x:g}"))  # 0.5, not 5 x 10^-1
    axis.grid(alpha=0.3, which="both")
    if scores:
        right = axis.twinx()
        right.plot(*zip(*scores, strict=True), "o-", color="tab:green", markersize=3)
        right.set_ylabel("PSNR of held-out faces / dB", color="tab:green")
    axis.legend(loc="lower left")
    return figure
