"""What may happen to a clip after it was published, to see which marks survive.

Each attack takes the frames of a clip, (H, W, 3) RGB uint8 of one size, and gives back what
somebody else would see of them.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias, cast

import av
import cv2
import numpy as np
from av.video.stream import VideoStream

from ..images import Image
from ..marking.watermark import SMALLEST, Watermark, WatermarkFound
from ..video import VideoWriter, read_frames

Attack: TypeAlias = Callable[[Sequence[Image]], list[Image]]


def encoded(
    frames: Sequence[Image], codec: str = "libx264", options: dict[str, str] | None = None
) -> list[Image]:
    """Encode and decode a clip in memory.

    Args:
        frames: (H, W, 3) RGB uint8 of one size with even sides.
        codec: as FFmpeg calls it.
        options: of the codec, e.g. {"crf": "33"}.
    """
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        stream = cast(VideoStream, output.add_stream(codec, rate=25, options=options or {}))
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        output.mux(stream.encode(None))
    file.seek(0)
    with av.open(file, "r") as clip:
        decoded = (frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0))
        return [np.asarray(frame, np.uint8) for frame in decoded]


def jpeg(frames: Sequence[Image], quality: int = 50) -> list[Image]:
    """Each frame as a JPEG of that quality."""
    return [_decoded(frame, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality]) for frame in frames]


def resized(frames: Sequence[Image], share: float = 0.5) -> list[Image]:
    """Each frame at a share of its size."""
    way = cv2.INTER_AREA if share < 1.0 else cv2.INTER_LINEAR
    return [cv2.resize(frame, None, fx=share, fy=share, interpolation=way) for frame in frames]


def cropped(frames: Sequence[Image], share: float = 0.1) -> list[Image]:
    """That share of height and width cut away, half of it on each side."""
    height, width = frames[0].shape[:2]
    rows, columns = round(height * share / 2), round(width * share / 2)
    return [frame[rows : height - rows, columns : width - columns].copy() for frame in frames]


def mirrored(frames: Sequence[Image]) -> list[Image]:
    """Left and right changed over."""
    return [frame[:, ::-1].copy() for frame in frames]


def gif(frames: Sequence[Image]) -> list[Image]:
    """Every third frame, in 256 colours."""
    from PIL import Image as Pillow

    palettes = [Pillow.fromarray(frame).quantize(256) for frame in frames[::3]]
    return [np.asarray(page.convert("RGB")) for page in palettes]


def av1(frames: Sequence[Image]) -> list[Image]:
    """Written as AV1 of the lowest quality that `VideoWriter` has, and read again."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        wh = frames[0].shape[1], frames[0].shape[0]
        with VideoWriter(path, fps=25, size_wh=wh, codec="av1", quality="small") as writer:
            for frame in frames:
                writer.write(frame)
        return list(read_frames(path))


def turned(frames: Sequence[Image], degrees: float) -> list[Image]:
    """Turned counter-clockwise; right angles turn the sides, others leave the corners out."""
    if degrees % 90 == 0:
        return [np.rot90(frame, int(degrees) // 90).copy() for frame in frames]
    height, width = frames[0].shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    drawn = (cv2.warpAffine(frame, matrix, (width, height)) for frame in frames)
    return [np.asarray(frame, np.uint8) for frame in drawn]


def upright(frames: Sequence[Image]) -> list[Image]:
    """The middle at 9:16, as telephones show it."""
    height, width = frames[0].shape[:2]
    left = (width - height * 9 // 16) // 2
    return [frame[:, left : width - left].copy() for frame in frames]


def inset(frames: Sequence[Image], share: float = 0.6) -> list[Image]:
    """Small in the corner of another film."""
    height, width = frames[0].shape[:2]
    other = np.random.default_rng(0).integers(0, 256, (9, 16, 3), np.uint8)
    ground = cv2.resize(other, (width, height), interpolation=cv2.INTER_CUBIC)
    shown = []
    for small in resized(frames, share):
        screen = ground.copy()
        screen[-len(small) - 8 : -8, 8 : 8 + small.shape[1]] = small
        shown.append(screen)
    return shown


def screenshot(frames: Sequence[Image], share: float = 1.25) -> list[Image]:
    """The middle frame in a player's window, enlarged, on a screen that shows other things."""
    (shown,) = resized([frames[len(frames) // 2]], share)
    height, width = shown.shape[:2]
    screen = np.full((height + height // 2, width + width // 2, 3), 236, np.uint8)
    screen[height // 8 : height // 8 + 24] = (70, 74, 80)
    top, left = height // 4, width // 5
    screen[top : top + height, left : left + width] = shown
    return [screen]


def _film(codec: str = "libx264", **options: str) -> Attack:
    return partial(encoded, codec=codec, options=options)


def _one(frames: Sequence[Image]) -> list[Image]:
    return [frames[len(frames) // 2]]


ATTACKS: dict[str, Attack] = {
    "none": list,
    **{f"H.264, CRF {crf}": _film(crf=crf) for crf in ("23", "28", "33", "38")},
    "H.265, CRF 33": _film("libx265", crf="33", **{"x265-params": "log-level=none"}),
    "VP9, 300 kbit/s": _film("libvpx-vp9", b="300k", **{"cpu-used": "8"}),
    "AV1, small": av1,
    "GIF": gif,
    "half size": resized,
    "a third of the size": partial(resized, share=1 / 3),
    **{f"{n} % cropped": partial(cropped, share=n / 100) for n in (10, 20, 30)},
    "10 % cropped, CRF 28": lambda frames: _film(crf="28")(_even(cropped(frames))),
    "cut to 9:16": upright,
    "picture in picture": inset,
    "mirrored": mirrored,
    **{f"turned by {degrees}": partial(turned, degrees=degrees) for degrees in (90, 180, 270)},
    "turned by 90, CRF 28": lambda frames: _film(crf="28")(turned(frames, 90)),
    **{f"turned by {degrees}": partial(turned, degrees=degrees) for degrees in (1, 3, 5)},
    "twice as fast, CRF 28": lambda frames: _film(crf="28")(frames[::2]),
    "JPEG, quality 50": jpeg,
    "JPEG, quality 30": partial(jpeg, quality=30),
    "one frame": _one,
    "one frame, JPEG 50": lambda frames: jpeg(_one(frames)),
    **{f"screenshot, {share:g}": partial(screenshot, share=share) for share in (0.75, 1.0, 1.25)},
}


def survival(
    frames: Sequence[Image],
    mark_id: int,
    watermark: Watermark | None = None,
    attacks: Iterable[str] = ATTACKS,
) -> dict[str, WatermarkFound | None]:
    """Mark a clip, attack it in all ways, and read each result.

    Args:
        frames: (H, W, 3) RGB uint8 of one size with even sides, which the reader adds up.
        mark_id: 40 bits.
        watermark: None takes the public key.
        attacks: their names.

    Returns:
        For each of the attacks what was read; None if that was nothing or another id.
    """
    watermark = watermark or Watermark()
    marked = [watermark.write(frame, mark_id) for frame in frames]
    results: dict[str, WatermarkFound | None] = {}
    for name in attacks:
        seen = ATTACKS[name](marked)
        found = None
        if min(seen[0].shape[:2]) >= SMALLEST:
            found = watermark.read(seen, thorough=True)
        results[name] = found if found and found.mark_id == mark_id else None
    return results


def _even(frames: Sequence[Image]) -> list[Image]:
    return [frame[: len(frame) // 2 * 2, : frame.shape[1] // 2 * 2].copy() for frame in frames]


def _decoded(frame: Image, suffix: str, options: list[int]) -> Image:
    data = cv2.imencode(suffix, cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), options)[1]
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)
