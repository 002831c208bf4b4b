"""The pretrained start, looked into: what the notebook `10_pretrained_start` measures and draws.

It needs the same moment by two people, which the sample clips have: B does what A does in A's last
seconds. A code is what the encoder makes of a face, `AutoencoderConfig.code_size` numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from ..autoencoder import FaceSwapAutoencoder, Identity, TextureDecoder, texture_places
from ..faces import align_face, inner_face_mask
from ..images import Image, Points, to_image, to_tensor
from ..plotting import blank_figure
from ..samples import TEST_START_S, load_truth, sample_clips
from ..video import read_frames

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array: TypeAlias = NDArray[np.float64]


class Moments(NamedTuple):
    """The same moments by both sample people; N of them, faces of S x S pixels."""

    a: torch.Tensor  # (N, 3, S, S) in 0..1, A as filmed, from no part that A is trained on
    b: torch.Tensor  # the same, B doing what A does
    inside_b: torch.Tensor  # (N, 1, S, S) in 0..1, B's face without its rim
    jaw: Array  # (N,), how far the jaw is open, 0..1
    blink: Array  # (N,), how far the lids are closed, 0..1
    yaw: Array  # (N,), degrees


def same_moments(size: int = 128, stride: int = 4, coverage: float = 0.75) -> Moments:
    """Faces of A's last seconds and of B doing the same, each aligned by its true landmarks.

    Args:
        size: side of the faces in pixels.
        stride: take every stride-th frame.
        coverage: share of the side that the mean face spans.
    """
    known, clips = load_truth(), sample_clips()
    first = len(known.landmarks_a) - len(known.landmarks_b_as_a)
    points_a, points_b = known.landmarks_a[first::stride], known.landmarks_b_as_a[::stride]
    films = ((clips.person_a, TEST_START_S, points_a), (clips.person_b_as_a, 0.0, points_b))
    a, b = (
        [
            align_face(frame, points, size, coverage)
            for frame, points in zip(read_frames(clip, start, stride=stride), each, strict=True)
        ]
        for clip, start, each in films
    )
    inside = np.stack([inner_face_mask(face.landmarks, (size, size)) for face in b])
    return Moments(
        torch.stack([to_tensor(face.image) for face in a]),
        torch.stack([to_tensor(face.image) for face in b]),
        torch.from_numpy(inside.astype(np.float32))[:, None],
        known.jaw_b_as_a[::stride],
        known.blink_b_as_a[::stride],
        known.pose_b_as_a[::stride, 0],
    )


@torch.inference_mode()
def codes_of(model: FaceSwapAutoencoder, faces: torch.Tensor) -> torch.Tensor:
    """What the encoder says of faces, (N, 3, S, S) in 0..1 -> (N, code_size)."""
    return cast(torch.Tensor, model.encoder.to_code(model.encoder.down(faces)))


@torch.inference_mode()
def draw_codes(model: FaceSwapAutoencoder, codes: torch.Tensor, identity: Identity) -> torch.Tensor:
    """What a decoder makes of codes, (N, code_size) -> (N, 3, S, S) in 0..1.

    Args:
        model: a network without `config.landmarks`.
        codes: as `codes_of` gives them, or mixtures of such.
        identity: "A" or "B", whose decoder draws.
    """
    maps = model.encoder.up(model.encoder.from_code(codes))
    return cast(torch.Tensor, model.decoders[identity](maps)[:, :3])


def likeness(one: torch.Tensor, other: torch.Tensor, without: int = 0) -> Array:
    """How alike two people's codes are, moment by moment: the cosine between them.

    Each person's mean code is taken off first: how somebody looks shifts all of their codes alike,
    and what is left is what they do.

    Args:
        one: (N, C), codes of one person.
        other: (M, C), codes of the other.
        without: so many of the directions in which the codes of both vary most are left out; the
            first is usually where the head looks, beside which all else hardly counts.

    Returns:
        (N, M), -1 to 1.
    """
    centred = [(codes - codes.mean(0)).double() for codes in (one, other)]
    axes = torch.linalg.svd(torch.cat(centred), full_matrices=False)[2][:without]
    first, second = (codes - codes @ axes.T @ axes for codes in centred)
    return F.cosine_similarity(first[:, None], second[None], dim=2).numpy()


def read_across(one: torch.Tensor, other: torch.Tensor, values: Array, ridge: float = 0.1) -> float:
    """How well a straight line, fitted to one person's codes, tells a thing of another person.

    Ridge regression; each person's mean code is taken off first, as in `likeness`.

    Args:
        one: (N, C), codes of the person whom the line is fitted to.
        other: (N, C), codes of the other person in the same moments.
        values: (N,), what to tell, e.g. how far the mouth is open in each moment.
        ridge: how much simple lines are preferred, as a share of how much the codes vary.

    Returns:
        The correlation of what the line says of `other` with `values`, -1 to 1.
    """
    fit, asked = ((codes - codes.mean(0)).double().numpy() for codes in (one, other))
    wanted = values - values.mean()
    products = fit @ fit.T  # (N, N); with fewer faces than numbers in a code this is the short way
    products += ridge * np.trace(products) / len(fit) * np.eye(len(fit))
    told = asked @ (fit.T @ np.linalg.solve(products, wanted))
    return float(np.corrcoef(told, wanted)[0, 1])


class Layers(NamedTuple):
    """What a `TextureDecoder` puts together; N faces of S x S pixels."""

    coarse: torch.Tensor  # (N, 3, S, S) in 0..1, the face without its texture
    places: torch.Tensor  # (N, S, S, 2), (x, y) in the texture, -1 to 1 from edge to edge
    share: torch.Tensor  # (N, 1, S, S) in 0..1, how much of the texture is added
    whole: torch.Tensor  # (N, 3, S, S) in 0..1, what the network draws


@torch.inference_mode()
def layers_of(model: FaceSwapAutoencoder, faces: torch.Tensor, identity: Identity) -> Layers:
    """A drawn face taken apart into the coarse face and where its texture comes from.

    Args:
        model: a network with `config.texture` and without `config.landmarks`.
        faces: (N, 3, S, S) in 0..1.
        identity: "A" or "B", whose decoder draws.

    Raises:
        ValueError: if the network has no texture, or the faces do not fit it.
    """
    decoder = _textured(model, identity)
    hidden = decoder.body(model.encode(faces))
    drawn, placed = decoder.spread(decoder.draw(hidden)), decoder.place(hidden)
    finer = F.interpolate(placed, drawn.shape[2:], mode="bilinear", align_corners=False)
    texture = decoder.texture.expand(len(faces), -1, -1, -1)
    whole = decoder.compose(drawn, placed, texture)[:, :3]
    share = finer[:, 2:].sigmoid()
    return Layers(drawn[:, :3].sigmoid(), texture_places(finer[:, :2]), share, whole)


@torch.inference_mode()
def texture_image(model: FaceSwapAutoencoder, identity: Identity, gain: float = 1.0) -> Image:
    """A decoder's texture as a picture, (T, T, 3) RGB uint8: middle grey adds nothing.

    Args:
        model: a network with `config.texture`.
        identity: "A" or "B", whose decoder it is.
        gain: how many times stronger than it is added to the middle of the sigmoid.

    Raises:
        ValueError: if the network has no texture.
    """
    return to_image((gain * _textured(model, identity).texture[0]).sigmoid())


def _textured(model: FaceSwapAutoencoder, identity: Identity) -> TextureDecoder:
    decoder = model.decoders[identity]
    if not isinstance(decoder, TextureDecoder):
        raise ValueError(
            'expected a network with a texture, e.g. preset("sharp"), got '
            f"texture={model.config.texture}"
        )
    return decoder


def grid_in_texture(places: torch.Tensor, texture: int, side: int = 15) -> tuple[Points, Points]:
    """A square grid over a drawn face, and where in the texture its points take their detail.

    Args:
        places: (S, S, 2), one of `Layers.places`.
        texture: side of the texture in pixels.
        side: points along a side of the grid, which spans the middle four fifths of the face.

    Returns:
        Two times (side * side, 2), (x, y) in pixels of the texture, row by row: where the points
        would look if nothing moved, and where they do look.
    """
    ticks = torch.linspace(-0.8, 0.8, side)
    own = torch.stack(torch.meshgrid(ticks, ticks, indexing="xy"), dim=-1)  # (side, side, 2)
    seen = F.grid_sample(places.permute(2, 0, 1)[None], own[None], align_corners=False)
    looks = seen[0].permute(1, 2, 0)
    still, moved = (
        ((at.reshape(-1, 2).double() + 1.0) * texture / 2.0 - 0.5).numpy() for at in (own, looks)
    )
    return still, moved


def with_dark_glasses(faces: torch.Tensor, points: Points) -> torch.Tensor:
    """Faces (N, 3, S, S) with both eyes behind black glass, drawn flat over the picture.

    Args:
        faces: in 0..1, all aligned alike.
        points: (68, 2), where the mean face's points lie in them, in pixels.
    """
    cover = np.zeros(faces.shape[2:], np.float32)
    for eye in (points[36:42], points[42:48]):
        width = 0.85 * float(np.ptp(eye[:, 0]))
        axes = (round(width), round(0.75 * width))
        cv2.ellipse(cover, [round(float(v)) for v in eye.mean(0)], axes, 0, 0, 360, 1.0, -1)
    bridge = [[round(float(v)) for v in eye.mean(0)] for eye in (points[36:42], points[42:48])]
    cv2.line(cover, *bridge, 1.0, max(1, faces.shape[3] // 40))
    glass = torch.from_numpy(cover)
    return faces * (1.0 - glass) + 0.04 * glass


def plot_idea(shown: Image, code: Array, asked: Image) -> Figure:
    """How the start was trained: one person's face in, another's face of that moment wanted.

    Args:
        shown: (H, W, 3) RGB uint8, the face that the encoder sees.
        code: (C,), what the encoder made of it.
        asked: (H, W, 3) RGB uint8, the right answer.
    """
    figure = blank_figure(9.8, 2.6)
    axis = figure.subplots()
    rows = 2 ** int(np.log2(len(code)) // 2)
    stripes: Any = code[: len(code) // rows * rows].reshape(rows, -1)
    axis.imshow(shown, extent=(0.0, 2.0, 0.2, 2.2))
    axis.imshow(stripes, extent=(4.4, 5.6, 0.6, 1.8), cmap="coolwarm")
    axis.imshow(asked, extent=(8.0, 10.0, 0.2, 2.2))
    axis.fill([2.3, 2.3, 4.1, 4.1], [0.2, 2.2, 1.7, 0.7], color="0.85")
    axis.fill([5.9, 5.9, 7.7, 7.7], [0.7, 1.7, 2.2, 0.2], color="navajowhite")
    for x, y, text in (
        (1.0, 2.4, "shown: somebody"),
        (3.2, 1.2, "encoder"),
        (5.0, 2.4, "code"),
        (6.8, 1.2, "one decoder\nfor all"),
        (9.0, 2.4, "asked for: another,\nthe same moment"),
    ):
        axis.text(x, y, text, ha="center", va="center", fontsize=10)
    arrow = {"arrowstyle": "->", "color": "tab:red", "lw": 1.6}
    axis.annotate("", (6.8, 1.75), (6.8, 2.5), arrowprops=arrow)
    axis.text(6.8, 2.65, "whom to draw", ha="center", color="tab:red", fontsize=10)
    axis.set(xlim=(-0.1, 10.1), ylim=(0.1, 3.0), aspect="equal")
    axis.set_axis_off()
    return figure


def plot_likeness(tables: Mapping[str, Array]) -> Figure:
    """Tables of `likeness` side by side, on one scale from -1 to 1.

    Args:
        tables: title -> (moments of A, moments of B).

    Raises:
        ValueError: if there is none.
    """
    if not tables:
        raise ValueError("expected at least one table, got none")
    figure = blank_figure(4.3 * len(tables) + 0.6, 4.3)
    axes = figure.subplots(1, len(tables), squeeze=False)[0]
    for axis, (title, table) in zip(axes, tables.items(), strict=True):
        drawn = axis.imshow(table, cmap="viridis", vmin=-1.0, vmax=1.0)
        axis.set_title(title, fontsize=10)
        axis.set(xlabel="moment, B", ylabel="moment, A")
    figure.colorbar(drawn, ax=list(axes), label="cosine of the two codes", shrink=0.85)
    return figure
