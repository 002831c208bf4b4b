"""Draw images/how_it_works.png from the network and the faces that `make demo` left in output/.

python notebooks/draw_overview.py
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import torch
from torch import nn

import deepfake_utils as du
from deepfake_utils import marking
from deepfake_utils.autoencoder import Decoder, FaceSwapAutoencoder, Identity
from deepfake_utils.dataset import Batch
from deepfake_utils.images import Image, to_image
from deepfake_utils.plotting import blank_figure
from deepfake_utils.samples import TEST_START_S
from deepfake_utils.swapping import Swapper

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HERE = Path(__file__).parent
SHOWN_MAPS = 16  # of each layer
GROUNDS = {"encoder": "0.6", "A": "tab:blue", "B": "tab:orange"}  # edges of each part's layers


class Stage(NamedTuple):
    """What one layer makes of one face."""

    part: str  # "encoder", "A" or "B": whose layer it is
    name: str  # its shape, in words
    tensor: torch.Tensor  # (C, H, W), or (N,) for the code


@torch.inference_mode()
def trace(
    model: FaceSwapAutoencoder,
    face: torch.Tensor,
    identity: Identity,
    points: torch.Tensor | None = None,
) -> list[Stage]:
    """What every layer that changes the size makes of a face, from the picture to the drawing.

    Args:
        model: the network.
        face: (3, S, S) float in 0..1.
        identity: whose decoder draws.
        points: (68, 2) in 0..1, for a network with landmarks.

    Returns:
        The encoder's halvings, the code, what both decoders draw from, the decoder's doublings, and
        last (3 or 4, S, S), what was drawn.
    """
    stages: list[Stage] = []

    def keep(part: str) -> Any:
        def hook(_: nn.Module, __: object, out: torch.Tensor) -> None:
            made = out[0].detach().float().cpu().clone()
            name = "x".join(map(str, made.shape)) if made.ndim == 3 else f"code of {len(made)}"
            stages.append(Stage(part, name, made))

        return hook

    encoder, decoder = model.encoder, cast(Decoder, model.decoders[identity])
    layers = [layer for layer in encoder.down if not isinstance(layer, nn.Flatten)]
    hooks = [layer.register_forward_hook(keep("encoder")) for layer in layers]
    hooks += [part.register_forward_hook(keep("encoder")) for part in (encoder.to_code, encoder.up)]
    grows = [layer for layer in decoder if isinstance(layer, nn.Sequential)]
    hooks += [layer.register_forward_hook(keep(identity)) for layer in (*grows, decoder[-1])]
    try:
        model(face[None], identity, None if points is None else points[None])
    finally:
        for hook in hooks:
            hook.remove()
    return stages


def maps_image(tensor: torch.Tensor, count: int = SHOWN_MAPS) -> np.ndarray:
    """Some planes of a layer in a square, or a code as a square of numbers.

    Args:
        tensor: (C, H, W), or (N,).
        count: how many planes; those that vary most are shown.

    Returns:
        Float in 0..1, (H', W'); NaN between the planes and where a square has no number.
    """
    if tensor.ndim == 1:
        side = math.ceil(math.sqrt(len(tensor)))
        filled = np.full(side * side, np.nan)
        filled[: len(tensor)] = tensor.numpy()
        return _stretched(filled).reshape(side, side)
    busiest = tensor.flatten(1).std(dim=1).argsort(descending=True)[:count]
    planes = [_stretched(plane.numpy()) for plane in tensor[busiest.sort().values]]
    columns = math.ceil(math.sqrt(len(planes)))
    gap = max(1, planes[0].shape[0] // 12)
    planes += [np.full_like(planes[0], np.nan)] * (-len(planes) % columns)
    padded = [np.pad(plane, (0, gap), constant_values=np.nan) for plane in planes]
    rows = [np.hstack(padded[i : i + columns]) for i in range(0, len(padded), columns)]
    return np.vstack(rows)[:-gap, :-gap]


def _stretched(values: np.ndarray) -> np.ndarray:
    low, high = np.nanquantile(values, (0.02, 0.98))
    return np.asarray(np.clip((values - low) / max(float(high - low), 1e-9), 0.0, 1.0))


def plot_overview(
    swapper: Swapper, batch_a: Batch, batch_b: Batch, frame: Image, width_in: float = 14.0
) -> Figure:
    """How training and swapping work, with what every layer makes of a face.

    The first two rows train: a warped face of A, and one of B, go through the one encoder and each
    through their own decoder. The third row swaps: a frame of A goes through B's decoder.

    Args:
        swapper: the trained network.
        batch_a: training pairs of A, of which the first is shown.
        batch_b: of B.
        frame: (H, W, 3) RGB uint8, a frame of A with a face.
        width_in: of the figure in inches.

    Raises:
        ValueError: if there is no face in the frame.
    """
    face = swapper.align(frame)
    if face is None:
        raise ValueError("expected a frame with a face, got one without; choose another frame")
    (done,) = swapper.swap_frames([frame])
    aligned = torch.from_numpy(face.image).permute(2, 0, 1).float() / 255.0
    points = torch.from_numpy((face.landmarks + 0.5) / len(face.image)).float()
    swapped = frame if done is None else done
    rows = [
        _training_row(batch_a, "A"),
        _training_row(batch_b, "B"),
        _Row("a frame of A", frame, "aligned", aligned, "B", points, "put back", swapped),
    ]
    return _draw(swapper.model, rows, width_in)


class _Row(NamedTuple):
    first_title: str
    first: Image  # (H, W, 3)
    shown_title: str
    shown: torch.Tensor  # (3, S, S), what the network is shown
    identity: Identity  # whose decoder draws
    points: torch.Tensor | None  # (68, 2)
    last_title: str
    last: Image  # (H, W, 3)


def _training_row(batch: Batch, who: Identity) -> _Row:
    target = to_image(batch.target[0])
    points = None if batch.points is None else batch.points[0].cpu()
    warped = batch.warped[0].cpu()
    return _Row(
        f"a face of {who}", target, "warped", warped, who, points, "what it should be", target
    )


def _draw(model: FaceSwapAutoencoder, rows: list[_Row], width_in: float) -> Figure:
    """The figure: pictures at both ends of each row, layers between them."""
    device = next(model.parameters()).device
    traced = []
    for row in rows:
        points = row.points if model.config.landmarks else None
        points = None if points is None else points.to(device)
        traced.append(trace(model, row.shown.to(device), row.identity, points))
    columns = len(traced[0]) + 3
    figure = blank_figure(width_in, 3.6 * width_in / columns)
    for line, row, stages in zip(figure.subplots(3, columns), rows, traced, strict=True):
        _show(line[0], row.first, row.first_title)
        _show(line[1], to_image(row.shown), row.shown_title)
        for axis, stage in zip(line[2:-2], stages[:-1], strict=True):
            _show(axis, maps_image(stage.tensor), stage.name, GROUNDS[stage.part])
        drawn = to_image(stages[-1].tensor[:3])
        _show(line[-2], drawn, f"drawn as {row.identity}", GROUNDS[row.identity])
        _show(line[-1], row.last, row.last_title)
    return figure


def _show(axis: Any, picture: np.ndarray, title: str, colour: str | None = None) -> None:
    """One cell; a coloured edge says whose layer it is."""
    axis.imshow(picture, cmap="magma", interpolation="nearest" if picture.ndim == 2 else "bicubic")
    axis.set_title(title, fontsize=7.5)
    axis.set_xticks([])
    axis.set_yticks([])
    for side in axis.spines.values():
        side.set_visible(colour is not None)
        side.set_color(colour or "white")
        side.set_linewidth(4.0)


def main() -> None:
    """Draw the figure."""
    output = HERE.parent / "output"
    best = du.CheckpointStore(output / "run").best()
    if best is None:
        raise SystemExit(f"no checkpoint in {output / 'run'}; run `make demo` first")
    model = best.best_model()
    size, coverage = model.config.image_size, model.config.coverage
    faces = [du.FaceDataset(output / "faces" / who, size, coverage) for who in "ab"]
    pairs = [next(du.endless_batches(each, 4, device="cpu", seed=3)) for each in faces]
    frame = next(iter(du.read_frames(du.sample_clips().person_a, TEST_START_S + 0.4)))
    swapper = du.Swapper(model, du.MeshLandmarker(), device="cpu")
    figure = plot_overview(swapper, *pairs, frame)
    origin = marking.Origin(None, None, model.consent, model.start)
    print(marking.save_figure(HERE / "images" / "how_it_works.png", figure, origin=origin))


if __name__ == "__main__":
    main()
