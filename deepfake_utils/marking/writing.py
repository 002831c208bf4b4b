"""The one door through which pictures and videos of swapped faces leave: they say what they are.

Four layers, all on by default: a visible label, an invisible watermark, plain metadata and a signed
manifest. A file that cannot be given one of them is not written, but for the watermark of a picture
too plain or small for one that is not seen.

    with MarkedVideoWriter("out.mp4", fps=25, size_wh=(640, 360)) as writer:
        writer.write(frame)
    print(read_provenance("out.mp4"))

Anybody can look at the marks of a file: `python -m deepfake_utils.marking FILE...`. The exit
status is 0 if every file says that it was modified by AI, 1 if one does not, 2 if one cannot be
read, and 3 if a signature is not valid or marks contradict each other.
"""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..consent import ConsentNote
from ..files import (
    check_other_file,
    read_json,
    reading,
    set_aside,
    whole_file,
    write_json,
)
from ..images import Image, check_image
from ..video import VideoWriter, to_seconds
from .c2pa import (
    SIDECAR,
    TOOL,
    Origin,
    describe,
    mime_type,
    need_c2pa,
    package_version,
    sidecar_of,
    sign_file,
    try_signer,
)
from .label import DISCLOSURE, LABEL, draw_label, label_planes
from .reading import read_watermark
from .signer import Signer, local_signer
from .watermark import SMALLEST, Luma, Watermark, new_mark_id
from .xmp import PNG_KEYWORD, append_xmp, read_metadata, xmp_packet

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image as Pillow

logger = logging.getLogger(__name__)

UNSIGNED = ".unsigned"  # before the suffix of a video that only lacks its signature
# A single picture has one frame to be read from. More than this would show on flat ground.
STILL_STRENGTHS = (1.0, 1.2, 1.45)
SURE_PEAK = 10.0  # of the pilot; then it is also read from a screenshot


@dataclass(eq=False, kw_only=True)
class MarkedVideoWriter(VideoWriter):
    """A `VideoWriter` whose videos say that they were modified by AI, in all four layers.

    A watermark of the target is looked for first, and its id kept. Beside an .mkv or .webm the
    signature is a file of its own, whose name ends in .c2pa.

    Whether the signer can sign is tried at the beginning. If signing fails all the same at the end,
    such as on a full disk, the video is kept as NAME.unsigned.mp4 beside its place, and
    `finish_unsigned` signs it later.

    Args: those of `VideoWriter` but for `comment`; frames of at least 64 x 64 pixels; and
        visible_label: False leaves the label out of the picture, and nothing else.
        origin: what is known of how the video comes about; its target is looked at from
            `audio_start_s` on.
        signer: who signs; None takes this installation's own, made at first use.

    Raises:
        ImportError: if c2pa-python is missing.
        FileNotFoundError, IsADirectoryError, ValueError, OSError: as `VideoWriter`, or if a layer
            cannot be made, or the target would be replaced; at its end the `with` block raises
            OSError if signing fails.
    """

    comment: str = field(default=DISCLOSURE, init=False)
    visible_label: bool = True
    origin: Origin | None = None
    signer: Signer | None = None

    def __post_init__(self) -> None:
        """Check the arguments, prepare the marks and begin the file; errors as above."""
        if min(self.size_wh) < SMALLEST:
            raise ValueError(
                f"expected frames of at least {SMALLEST} pixels in height and width, got "
                f"{self.size_wh}, which have no room for the watermark; enlarge them first"
            )
        self._marks = Marks(
            Path(self.path),
            self.visible_label,
            self.origin,
            self.signer,
            to_seconds(self.audio_start_s),
        )
        super().__post_init__()
        with self._undo:
            try_signer(self._marks.signer)
            self._undo = self._undo.pop_all()

    def _draw(self, planes: tuple[Luma, ...]) -> None:
        self._marks.draw_planes(planes, self.full_range)

    def _beside(self) -> Path | None:
        path = Path(self.path)
        return sidecar_of(path) if mime_type(path) == SIDECAR else None

    def _seal(self, part: Path) -> None:
        try:
            self._marks.seal(part)
        except BaseException as error:  # whatever it is: rendering may have taken hours
            kept = self._marks.keep_unsigned(part)
            said = f"the video without its signature is kept as {kept}: finish_unsigned signs it"
            if isinstance(error, OSError | ValueError):
                raise OSError(f"{error}; {said}") from error
            logger.warning("%s", said)
            raise


def finish_unsigned(path: str | os.PathLike[str], signer: Signer | None = None) -> Path:
    """Sign a video that `MarkedVideoWriter` had to keep unsigned, and put it in its place.

    Args:
        path: ends in .unsigned.mp4 or the like; its note, which ends in .json, lies beside it.
        signer: who signs; None takes this installation's own.

    Returns:
        Where the finished video is.

    Raises:
        FileNotFoundError: if there is no such file, or no note.
        FileExistsError: if there is a file in its place.
        ValueError: if the name or the note is of another kind.
        OSError: if it cannot be signed; then it stays as it is.
    """
    path = Path(path)
    if Path(path.stem).suffix != UNSIGNED:
        raise ValueError(f"expected a name with {UNSIGNED}, got {path.name!r}")
    note = path.with_name(f"{path.name}.json")
    advice = "make the video again"
    said = read_json(note, advice)
    with reading(note, "what a signature says", advice):
        consent = (ConsentNote(str(c["sha256"]), tuple(c["bases"])) for c in said["consent"])
        target = None if said["target"] is None else Path(said["target"])
        origin = Origin(target, said["model_sha256"], tuple(consent), said["start"])
        mark_id, visible_label = int(said["mark_id"]), said["visible_label"] is True
    place = path.with_name(f"{Path(path.stem).stem}{path.suffix}")
    if place.exists():
        raise FileExistsError(f"{place} is there already; move it away first")
    marks = Marks(place, visible_label, origin, signer, mark_id=mark_id)
    marks.seal(path)
    path.replace(place)
    note.unlink()
    return place


def write_picture(
    path: str | os.PathLike[str],
    image: Image,
    *,
    visible_label: bool = True,
    origin: Origin | None = None,
    signer: Signer | None = None,
) -> Path:
    """Write a picture with a swapped face, in all four layers.

    Args:
        path: ends in .png, .jpg or .jpeg; its folder is made.
        image: (H, W, 3) RGB uint8, at least 64 pixels high and wide.
        visible_label: False leaves the label out of the picture, and nothing else.
        origin: what is known of how it came about.
        signer: who signs; None takes this installation's own.

    Raises:
        ImportError: if c2pa-python is missing.
        ValueError: if the suffix is another or the picture too small.
        OSError: if it cannot be written or signed.
    """
    path = _checked(path, ".jpeg", ".jpg", ".png")
    check_image(image)
    marks = Marks(path, visible_label, origin, signer)
    return _write_still(path, marks.draw_still(image), marks)


def _write_still(path: Path, image: Image, marks: Marks) -> Path:
    from PIL import Image as Pillow
    from PIL.PngImagePlugin import PngInfo

    page = Pillow.fromarray(image)
    note = PngInfo()
    note.add_text("Description", DISCLOSURE)
    note.add_itxt(PNG_KEYWORD, marks.xmp.decode())
    with whole_file(path) as part:
        if path.suffix.lower() == ".png":
            page.save(part, "PNG", pnginfo=note)
        else:
            page.save(part, "JPEG", quality=95, subsampling=0, comment=DISCLOSURE, xmp=marks.xmp)
        marks.seal(part)
    return path


def save_figure(
    path: str | os.PathLike[str],
    figure: Figure,
    *,
    origin: Origin | None = None,
    signer: Signer | None = None,
) -> Path:
    """Write a figure as PNG in all four layers; its label is a line of text above it.

    Only the pictures in the figure bear a watermark, so the paper around them stays as it was; a
    figure without pictures, such as one of curves, bears the other three layers.

    Args:
        path: ends in .png; its folder is made.
        figure: drawn at 100 dots per inch.
        origin: what is known of how it came about.
        signer: who signs; None takes this installation's own.

    Raises:
        ImportError: if c2pa-python is missing.
        ValueError: if the name does not end in .png.
        OSError: if it cannot be written or signed.
    """
    path = _checked(path, ".png")
    pictures = [picture for axis in figure.axes for picture in axis.images if picture.get_visible()]
    note = figure.text(0.995, 1.005, LABEL, ha="right", va="bottom", fontsize=8, color="0.35")
    try:
        page = _page(figure)
        for picture in pictures:
            picture.set_visible(False)
        inside = (_page(figure) != page).any(axis=2)  # where the pictures are seen
    finally:
        note.remove()
        for picture in pictures:
            picture.set_visible(True)
    marks = Marks(path, True, origin, signer)
    return _write_still(path, marks.draw_still(page, label=False, where=inside), marks)


def _page(figure: Figure) -> Image:
    from PIL import Image as Pillow

    drawn = io.BytesIO()
    # "tight" takes the note in, which lies above the figure.
    figure.savefig(drawn, format="png", dpi=100, bbox_inches="tight", facecolor="white")
    return np.asarray(Pillow.open(drawn).convert("RGB"))


def write_gif(
    path: str | os.PathLike[str],
    images: Sequence[Image],
    fps: float = 10.0,
    *,
    visible_label: bool = True,
    origin: Origin | None = None,
    signer: Signer | None = None,
) -> Path:
    """Write pictures as an endless GIF, in all four layers.

    Args:
        path: ends in .gif.
        images: (H, W, 3) RGB uint8, all of one size, at least 64 pixels high and wide.
        fps: pictures per second, at most 50.
        visible_label: False leaves the label out of the pictures, and nothing else.
        origin: what is known of how they came about.
        signer: who signs; None takes this installation's own.

    Raises:
        ImportError: if c2pa-python is missing.
        ValueError: if the name, the number of pictures or their sizes are wrong.
        OSError: if it cannot be written or signed.
    """
    path = _checked(path, ".gif")
    if not images or len({image.shape for image in images}) != 1:
        raise ValueError(
            "expected at least one picture, all of one size, "
            f"got {sorted({image.shape for image in images})}"
        )
    if not 0.0 < fps <= 50.0:
        raise ValueError(f"fps: expected more than 0 and at most 50, got {fps}")
    marks = Marks(path, visible_label, origin, signer)
    plain = [draw_label(image) if visible_label else image for image in images]
    for number in sorted({0, len(images) // 2, len(images) - 1}):  # chooses the strength for all
        marks.draw_still(plain[number], label=False, colours=_palette(plain[number]))
    marked = (marks.watermark.write(image, marks.mark_id, marks.share) for image in plain)
    pages = [_in_colours(*each) for each in zip(marked, map(_palette, plain), strict=True)]
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


def _checked(path: str | os.PathLike[str], *suffixes: str) -> Path:
    """The path, if its name ends as it should."""
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"expected a name ending in {', '.join(suffixes)}, got {path.name!r}")
    return path


def _in_colours(image: Image, colours: Pillow.Image) -> Pillow.Image:
    from PIL import Image as Pillow

    return Pillow.fromarray(image).quantize(palette=colours, dither=Pillow.Dither.NONE)


def _palette(image: Image) -> Pillow.Image:
    """256 colours, chosen without the mark: with others, all of the picture would change.

    Few pixels have the colour of an eye; k-means keeps it, and every third pixel is enough for it.
    """
    from PIL import Image as Pillow

    return Pillow.fromarray(image[::3, ::3]).quantize(256, kmeans=1)


class Marks:
    """The layers of one file; what signing needs is looked for at once, not at the end."""

    def __init__(
        self,
        path: Path,
        visible_label: bool,
        origin: Origin | None,
        signer: Signer | None,
        start_s: float = 0.0,
        mark_id: int | None = None,
    ) -> None:
        need_c2pa()
        self.path, self.visible_label = path, visible_label
        self.origin = origin or Origin()
        check_other_file(path, self.origin.target)
        self.signer = signer or local_signer()
        self.watermark = Watermark()
        self.xmp = xmp_packet(DISCLOSURE, f"{TOOL} {package_version()}")
        # Two marks on top of each other would both be lost: an old one is kept and refreshed.
        old = None
        if self.origin.target is not None and mark_id is None:
            old = read_watermark(self.origin.target, start_s)
        self.mark_id = mark_id or (old.mark_id if old else new_mark_id())
        self._usual = self.share = 0.5 if old else 1.0
        self.readable = True  # whether the watermark of a still picture was read again

    def draw_planes(self, planes: tuple[Luma, ...], full_range: bool) -> None:
        """Label and watermark of a video frame, in place: luma and chromas, as `planes_of`."""
        if self.visible_label:
            label_planes(planes, full_range)
        self.watermark.write_luma(planes[0], self.mark_id, self.share, full_range)

    def draw_still(
        self,
        image: Image,
        label: bool | None = None,
        colours: Pillow.Image | None = None,
        where: NDArray[np.bool_] | None = None,
    ) -> Image:
        """A copy of a picture that is alone, with label and watermark, (H, W, 3) RGB uint8.

        It is tried whether the watermark can be read. Where it cannot, it is made stronger, as far
        as it is not seen; if that does not help, the signed note does not speak of a watermark.
        Later calls use at least the same strength, `share`.

        Args:
            image: (H, W, 3) RGB uint8.
            label: whether to draw the label; None draws it unless `visible_label` is False.
            colours: a picture whose palette is all that the file can show.
            where: (H, W), the pixels that may change; None for all.
        """
        if self.visible_label if label is None else label:
            image = draw_label(image)
        best = (0.0, image, self.share)
        for share in (self._usual * strength for strength in STILL_STRENGTHS):
            if share < self.share:
                continue
            marked = self.watermark.write(image, self.mark_id, share)
            if where is not None:
                marked[~where] = image[~where]
            shown = marked
            if colours is not None:
                shown = np.asarray(_in_colours(marked, colours).convert("RGB"))
            found = self.watermark.read([shown])
            peak = found.peak if found and found.mark_id == self.mark_id else 0.0
            best = max(best, (peak, marked, share), key=lambda each: each[::2])
            if peak >= SURE_PEAK:
                break
        if not best[0]:
            logger.info("%s: too plain or small for a watermark that can be read", self.path)
        self.readable = best[0] > 0.0
        self.share = best[2]
        return best[1]

    def seal(self, part: Path) -> None:
        """Add metadata and signature to the finished file `part`, before it takes its place."""
        kind = mime_type(self.path)
        if kind.startswith("video/") and read_metadata(part).source_type is None:
            append_xmp(part, self.xmp)
        mark_id = self.mark_id if self.readable else None
        manifest = describe(self.path.suffix, mark_id, self.visible_label, self.origin)
        made = sign_file(part, kind, manifest, self.signer, self.origin)
        if kind == SIDECAR:
            with whole_file(sidecar_of(self.path)) as beside:
                beside.write_bytes(made)

    def keep_unsigned(self, part: Path) -> Path:
        """Move a video that could not be sealed beside its place, with what signing it needs."""
        kept = self.path.with_name(f"{self.path.stem}{UNSIGNED}{self.path.suffix}")
        note = kept.with_name(f"{kept.name}.json")
        for earlier in (kept, note):
            if earlier.exists():
                set_aside(earlier)
        part.replace(kept)
        origin = self.origin
        record = {
            "mark_id": self.mark_id,
            "visible_label": self.visible_label,
            "target": None if origin.target is None else str(origin.target.absolute()),
            "model_sha256": origin.model_sha256,
            "consent": [each._asdict() for each in origin.consent],
            "start": origin.start,
        }
        write_json(note, record, indent=1)
        return kept
