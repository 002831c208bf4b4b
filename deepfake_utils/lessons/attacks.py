"""What may happen to a clip after it was published, to see which marks survive.

Each attack takes the frames of a clip, (H, W, 3) RGB uint8 of one size, and gives back what
somebody else would see of them.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias, cast

import av
import cv2
import numpy as np
from av.video.stream import VideoStream

from ..images import Image
from ..marking.watermark import SMALLEST, Watermark, WatermarkFound

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


def screenshot(frames: Sequence[Image], share: float = 1.25) -> list[Image]:
    """The middle frame in a player's window, enlarged, on a screen that shows other things."""
    (shown,) = resized([frames[len(frames) // 2]], share)
    height, width = shown.shape[:2]
    screen = np.full((height + height // 2, width + width // 2, 3), 236, np.uint8)
    screen[height // 8 : height // 8 + 24] = (70, 74, 80)
    top, left = height // 4, width // 5
    screen[top : top + height, left : left + width] = shown
    return [screen]


ATTACKS: dict[str, Attack] = {
    "none": list,
    "H.264, CRF 23": partial(encoded, options={"crf": "23"}),
    "H.264, CRF 28": partial(encoded, options={"crf": "28"}),
    "H.264, CRF 33": partial(encoded, options={"crf": "33"}),
    "VP9, 300 kbit/s": partial(encoded, codec="libvpx-vp9", options={"b": "300k", "cpu-used": "8"}),
    "JPEG, quality 50": jpeg,
    "half size": resized,
    "10 % cropped": cropped,
    "10 % cropped, CRF 28": lambda frames: encoded(_even(cropped(frames)), options={"crf": "28"}),
    "mirrored": mirrored,
    "GIF": gif,
    "one frame": lambda frames: [frames[len(frames) // 2]],
    "one frame, JPEG 50": lambda frames: jpeg([frames[len(frames) // 2]]),
    "screenshot": screenshot,
}


def survival(
    frames: Sequence[Image], mark_id: int, watermark: Watermark | None = None
) -> dict[str, WatermarkFound | None]:
    """Mark a clip, attack it in all ways, and read each result.

    Args:
        frames: (H, W, 3) RGB uint8 of one size with even sides; the reader adds up to 96.
        mark_id: 40 bits.
        watermark: None takes the public key.

    Returns:
        For each of `ATTACKS` what was read; None if that was nothing or another id.
    """
    watermark = watermark or Watermark()
    marked = [watermark.write(frame, mark_id) for frame in frames]
    results: dict[str, WatermarkFound | None] = {}
    for name, attack in ATTACKS.items():
        seen = attack(marked)
        found = None
        if min(seen[0].shape[:2]) >= SMALLEST:
            found = watermark.read(seen, thorough=len(seen) == 1)
        results[name] = found if found and found.mark_id == mark_id else None
    return results


def _even(frames: Sequence[Image]) -> list[Image]:
    return [frame[: len(frame) // 2 * 2, : frame.shape[1] // 2 * 2].copy() for frame in frames]


def _decoded(frame: Image, suffix: str, options: list[int]) -> Image:
    data = cv2.imencode(suffix, cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), options)[1]
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)
