"""The one door through which pictures and videos of swapped faces leave: they say what they are.

Four layers, all on by default: a visible label, an invisible watermark, plain metadata and a signed
manifest. A file that cannot be given one of them is not written.

    with MarkedVideoWriter("out.mp4", fps=25, size_wh=(640, 360)) as writer:
        writer.write(frame)
    print(read_provenance("out.mp4"))

Anybody can look at the marks of a file: `python -m deepfake_utils.marking FILE...`. The exit
status is 0 if every file says that it was modified by AI, 1 if one does not, 2 if one cannot be
read, and 3 if a signature is not valid or marks contradict each other.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..files import whole_file
from ..images import Image, check_image
from ..video import VideoWriter
from .c2pa import Origin
from .identity import Identity
from .label import DISCLOSURE, LABEL, LabelTimer, draw_label
from .marks import Marks
from .masking import Luma
from .reading import Provenance, read_provenance
from .watermark import SMALLEST

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "DISCLOSURE",
    "LABEL",
    "Identity",
    "MarkedVideoWriter",
    "Origin",
    "Provenance",
    "draw_label",
    "read_provenance",
    "save_figure",
    "write_gif",
    "write_picture",
]

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})


class MarkedVideoWriter(VideoWriter):
    """A `VideoWriter` whose videos say that they were modified by AI, in all four layers.

    A watermark of the target is looked for first, and its id kept.

    Args:
        path: as in `VideoWriter`; beside an .mkv or .webm the signature is a file of its own, whose
            name ends in .c2pa.
        fps: as there.
        size_wh: as there; at least 64 pixels each.
        audio_from: as there.
        audio_start_s: as there; the target is looked at from here on.
        audio_end_s: as there.
        crf: as there.
        full_range: as there.
        visible_label: False leaves the label out of the picture, and nothing else.
        label_at: "throughout", or "cuts" for the first three seconds and three after each cut.
        origin: what is known of how the video comes about.
        identity: who signs; None takes this installation's own, made at first use.

    Raises:
        ImportError: if c2pa-python is missing.
        FileNotFoundError, IsADirectoryError, ValueError, OSError: as `VideoWriter`, or if a layer
            cannot be made; at its end the `with` block raises OSError if signing fails.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        fps: float | Fraction,
        size_wh: tuple[int, int],
        audio_from: str | os.PathLike[str] | None = None,
        audio_start_s: float = 0.0,
        audio_end_s: float | None = None,
        crf: int = 18,
        full_range: bool = False,
        visible_label: bool = True,
        label_at: Literal["throughout", "cuts"] = "throughout",
        origin: Origin | None = None,
        identity: Identity | None = None,
    ) -> None:
        if label_at not in ("throughout", "cuts"):
            raise ValueError(f"label_at: expected 'throughout' or 'cuts', got {label_at!r}")
        if min(size_wh) < SMALLEST:
            raise ValueError(
                f"expected frames of at least {SMALLEST} pixels in height and width, got "
                f"{size_wh}, which have no room for the watermark; enlarge them first"
            )
        self._marks = Marks(Path(path), visible_label, origin, identity, audio_start_s)
        self._due = visible_label
        self._timer = LabelTimer() if label_at == "cuts" else None
        self._next_s, self._step_s = 0.0, 1.0 / float(fps)
        super().__init__(
            path,
            fps=fps,
            size_wh=size_wh,
            audio_from=audio_from,
            audio_start_s=audio_start_s,
            audio_end_s=audio_end_s,
            crf=crf,
            comment=DISCLOSURE,
            full_range=full_range,
        )

    def write(self, image: Image, time_s: float | None = None) -> None:
        """Label, mark and append one frame, as `VideoWriter.write`."""
        check_image(image, "frame")
        now_s = self._next_s if time_s is None else time_s
        self._next_s = now_s + self._step_s
        due = self._marks.visible_label
        if due and self._timer is not None:
            due = self._timer.due(image, now_s)
        self._due = due
        super().write(image, time_s)

    def _draw(self, planes: tuple[Luma, ...]) -> None:
        self._marks.draw_planes(planes, self._due, self._full_range)

    def _seal(self, part: Path) -> None:
        self._marks.seal(part)


def write_picture(
    path: str | os.PathLike[str],
    image: Image,
    *,
    visible_label: bool = True,
    origin: Origin | None = None,
    identity: Identity | None = None,
) -> Path:
    """Write a picture with a swapped face, in all four layers.

    Args:
        path: ends in .png, .jpg or .jpeg; its folder is made.
        image: (H, W, 3) RGB uint8, at least 64 pixels high and wide.
        visible_label: False leaves the label out of the picture, and nothing else.
        origin: what is known of how it came about.
        identity: who signs; None takes this installation's own.

    Raises:
        ImportError: if c2pa-python is missing.
        ValueError: if the suffix is another or the picture too small.
        OSError: if it cannot be written or signed.
    """
    path = Path(path)
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        known = ", ".join(sorted(PICTURE_SUFFIXES))
        raise ValueError(f"expected a name ending in {known}, got {path.name!r}")
    check_image(image)
    marks = Marks(path, visible_label, origin, identity)
    return _write_still(path, marks.draw_still(image), marks)


def _write_still(path: Path, image: Image, marks: Marks) -> Path:
    from PIL import Image as Pillow
    from PIL.PngImagePlugin import PngInfo

    page = Pillow.fromarray(image)
    note = PngInfo()
    note.add_text("Description", DISCLOSURE)
    with whole_file(path) as part:
        if path.suffix.lower() == ".png":
            page.save(part, format="PNG", pnginfo=note)
        else:
            page.save(part, format="JPEG", quality=95, subsampling=0, comment=DISCLOSURE)
        marks.seal(part)
    return path


def save_figure(
    path: str | os.PathLike[str],
    figure: Figure,
    *,
    origin: Origin | None = None,
    identity: Identity | None = None,
) -> Path:
    """Write a figure as PNG in all four layers; its label is a line of text above it.

    Raises:
        ImportError: if c2pa-python is missing.
        ValueError: if the name does not end in .png.
        OSError: if it cannot be written or signed.
    """
    from PIL import Image as Pillow

    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"expected a name ending in .png, got {path.name!r}")
    note = figure.text(0.995, 1.005, LABEL, ha="right", va="bottom", fontsize=8, color="0.35")
    drawn = io.BytesIO()
    try:
        # "tight" takes the note in, which lies above the picture. The margin is quiet ground for
        # the watermark, and not quite white, or half of it would be cut off.
        figure.savefig(
            drawn,
            format="png",
            dpi=100,
            bbox_inches="tight",
            pad_inches=0.5,
            facecolor="0.95",
        )
    finally:
        note.remove()
    marks = Marks(path, True, origin, identity)
    # Pure white and black have no room for the watermark: figures are drawn in 5..250.
    levels = np.rint(np.linspace(5.0, 250.0, 256)).astype(np.uint8)
    image = levels[np.asarray(Pillow.open(drawn).convert("RGB"))]
    return _write_still(path, marks.draw_still(image, label=False), marks)


def write_gif(
    path: str | os.PathLike[str],
    images: Sequence[Image],
    fps: float = 10.0,
    *,
    visible_label: bool = True,
    origin: Origin | None = None,
    identity: Identity | None = None,
) -> Path:
    """Write pictures as an endless GIF, in all four layers.

    Args:
        path: ends in .gif.
        images: (H, W, 3) RGB uint8, all of one size, at least 64 pixels high and wide.
        fps: pictures per second, at most 50.
        visible_label: False leaves the label out of the pictures, and nothing else.
        origin: what is known of how they came about.
        identity: who signs; None takes this installation's own.

    Raises:
        ImportError: if c2pa-python is missing.
        ValueError: if the name, the number of pictures or their sizes are wrong.
        OSError: if it cannot be written or signed.
    """
    from PIL import Image as Pillow

    path = Path(path)
    if path.suffix.lower() != ".gif":
        raise ValueError(f"expected a name ending in .gif, got {path.name!r}")
    if not images or len({image.shape for image in images}) != 1:
        raise ValueError(
            "expected at least one picture, all of one size, "
            f"got {sorted({image.shape for image in images})}"
        )
    if not 0.0 < fps <= 50.0:
        raise ValueError(f"fps: expected more than 0 and at most 50, got {fps}")
    marks = Marks(path, visible_label, origin, identity)
    for number in sorted({0, len(images) // 2, len(images) - 1}):  # chooses the strength for all
        marks.draw_still(images[number], shown=_in_256_colours)
    pages = [Pillow.fromarray(marks.draw(image)) for image in images]
    with whole_file(path) as part:
        pages[0].save(
            part,
            format="GIF",
            save_all=True,
            append_images=pages[1:],
            duration=round(1000.0 / fps),
            loop=0,
            comment=DISCLOSURE.encode(),
        )
        marks.seal(part)
    return path


def _in_256_colours(image: Image) -> Image:
    from PIL import Image as Pillow

    return np.asarray(Pillow.fromarray(image).quantize(256).convert("RGB"))
