"""From a clip to a clip with another face in it, frame by frame, with the clip's sound.

Frames stream through: a longer film takes no more memory but for the index of an MP4 and the notes
on frames that were not swapped, about 1 MB a minute.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from .files import check_other_file, write_json
from .images import Image, write_image
from .marking.c2pa import Origin
from .marking.label import DISCLOSURE
from .marking.writing import MarkedVideoWriter, write_picture
from .runs.checkpoint import hardly_trained, weights_sha256
from .swapping import Outcome, Swapped, Swapper
from .tracking.people import FaceChoice
from .tracking.steadying import TrackConfig, TrackedFrame
from .tracking.tracks import ProgressCallback, tell_progress, track_faces
from .video import (
    Quality,
    Time,
    TimedFrame,
    VideoCodec,
    describe_damage,
    read_timed_frames,
    read_video_info,
    to_seconds,
)

logger = logging.getLogger(__name__)

LAYERS_FILE = "layers.json"


class FrameNote(NamedTuple):
    """Why a frame was not swapped, or not whole."""

    frame: int  # counted from 0 at the start of the part that was swapped
    time_s: float  # seconds after the target's first frame
    outcome: Outcome
    visible: float  # share of the face that nothing covers, 0..1


@dataclass(frozen=True)
class SwapReport:
    """What `swap_video` did."""

    path: Path  # the video it wrote
    frames: int  # frames written
    outcomes: Mapping[str, int]  # how many frames came out how, see `swapping.Outcome`
    notes: tuple[FrameNote, ...]  # every frame that was not swapped whole
    caution: str | None = None  # why the faces are no good: a network that is hardly trained
    damaged_s: tuple[float, ...] = ()  # when the target's frames were missing or mended
    doubtful_s: tuple[float, ...] = ()  # when others of its frames may show that damage
    breaks_off_s: float | None = None  # when its last frame is shown, if its file is cut short

    @property
    def unchanged(self) -> int:
        """Frames that went through as they were."""
        return sum(count for outcome, count in self.outcomes.items() if outcome not in SWAPPED)

    def __str__(self) -> str:
        parts = ", ".join(f"{count} {outcome}" for outcome, count in self.outcomes.items())
        careful = "" if self.caution is None else f". Careful: {self.caution}"
        damage = describe_damage(self.damaged_s, self.doubtful_s, self.breaks_off_s)
        lost = f"; in the target: {damage}" if damage else ""
        return f"{self.frames} frames in {self.path}: {parts}{lost}{careful}"


SWAPPED = frozenset({"swapped", "partly covered"})


def swap_video(
    target: str | os.PathLike[str],
    path: str | os.PathLike[str],
    swapper: Swapper,
    start_s: Time = 0.0,
    end_s: Time | None = None,
    visible_label: bool = True,
    track: TrackConfig | None = None,
    choose: FaceChoice | None = None,
    progress: ProgressCallback | None = None,
    codec: VideoCodec = "auto",
    quality: Quality = "high",
) -> SwapReport:
    """Swap the face in a clip, or in a part of it, and write it with the clip's sound.

    Shape, frame times, range of the luma and sound are the target's; what it is read as is said at
    `video.read_timed_frames`. A frame in which the face is missing, covered or turned away goes
    through unchanged, and the report says which and why; it also says so if the network is hardly
    trained. The video says that it was modified by AI:
    `marking.MarkedVideoWriter`.

    Args:
        target: the clip whose face is replaced.
        path: the video to write, .mp4, .mov, .mkv or .webm.
        swapper: draws the faces.
        start_s: where to begin: seconds, or text such as "0:02" or "00:00:02.500".
        end_s: where to end; None for the clip's end.
        visible_label: False leaves the label out of the picture, and nothing else.
        track: how the face is followed and steadied over time.
        choose: whose face is swapped where several are seen; None takes the largest.
        progress: called after each frame with how many are written and about how many there will
            be. What it raises ends the swap, and nothing is written.
        codec: of the video, as for `video.VideoWriter`: "prores" and "ffv1" are for editors.
        quality: likewise: "small", "good", "high" or "best".

    Raises:
        FileNotFoundError, ValueError: if the target cannot be read or has no such part, is what
            `path` leads to, or no frame could be swapped; then nothing is written.
        OSError: if `path` cannot be written or signed. What only lacks its signature is kept, see
            `MarkedVideoWriter`.
    """
    check_other_file(path, target)
    info = read_video_info(target)
    start_s, end_s = to_seconds(start_s), None if end_s is None else to_seconds(end_s)
    notes: list[FrameNote] = []
    outcomes: Counter[str] = Counter()
    with MarkedVideoWriter(
        path,
        fps=info.fps,
        size_wh=(info.width, info.height),
        audio_from=target,
        audio_start_s=start_s,
        audio_end_s=end_s,
        full_range=info.full_range,
        visible_label=visible_label,
        origin=_origin(target, swapper),
        codec=codec,
        quality=quality,
    ) as writer:
        frames = read_timed_frames(target, start_s, end_s)
        done = _swap_frames(frames, swapper, track, choose)
        done = tell_progress(done, progress, info, start_s, end_s)
        for number, (frame, swapped) in enumerate(done):
            outcomes[swapped.outcome] += 1
            if swapped.outcome != "swapped":
                notes.append(FrameNote(number, frame.time_s, swapped.outcome, swapped.visible))
            image = frame.image if swapped.image is None else swapped.image
            writer.write(image, frame.time_s)
        _check_some_swapped(target, outcomes)
    caution = hardly_trained(swapper.model)
    damage = frames.damaged_s, frames.doubtful_s, frames.breaks_off_s
    report = SwapReport(
        Path(path), outcomes.total(), dict(outcomes), tuple(notes), caution, *damage
    )
    if report.unchanged:
        logger.warning("%d frames went through unchanged: %s", report.unchanged, report)
    elif caution is not None:
        logger.warning("%s", report)
    return report


def _origin(target: str | os.PathLike[str], swapper: Swapper) -> Origin:
    """What a signature says of where a swap comes from."""
    model = swapper.model
    return Origin(Path(target), weights_sha256(model), model.consent, model.start)


def swap_clip(
    target: str | os.PathLike[str],
    swapper: Swapper,
    start_s: Time = 0.0,
    end_s: Time | None = None,
    track: TrackConfig | None = None,
    choose: FaceChoice | None = None,
) -> Iterator[tuple[TrackedFrame, Swapped]]:
    """Each frame of a clip and what became of it; arguments as for `swap_video`.

    For what no video file can hold. Whoever shows these frames to others has to say that they were
    modified by AI, as `swap_video` does.
    """
    return _swap_frames(read_timed_frames(target, start_s, end_s), swapper, track, choose)


def _swap_frames(
    frames: Iterable[TimedFrame],
    swapper: Swapper,
    track: TrackConfig | None,
    choose: FaceChoice | None,
) -> Iterator[tuple[TrackedFrame, Swapped]]:
    tracked = track_faces(frames, swapper.landmarker, track, choose)
    for batch in _chunks(tracked, swapper.config.batch_size):
        images, points = [each.image for each in batch], [each.points for each in batch]
        for frame, swapped in zip(batch, swapper.swap_points(images, points), strict=True):
            if frame.status == "other person":
                swapped = Swapped(None, "other person")
            yield frame, swapped


def _check_some_swapped(target: str | os.PathLike[str], outcomes: Counter[str]) -> None:
    if not any(outcomes[outcome] for outcome in SWAPPED):
        reasons = ", ".join(f"{count} times {outcome}" for outcome, count in outcomes.items())
        raise ValueError(
            f"expected a face that can be swapped in at least one frame of {target}, got none in "
            f"{outcomes.total()} ({reasons}); choose another clip or part of it"
        )


def _chunks(frames: Iterable[TrackedFrame], size: int) -> Iterator[list[TrackedFrame]]:
    iterator = iter(frames)
    while chunk := list(islice(iterator, size)):
        yield chunk


def side_by_side(
    clips: Mapping[str, str | os.PathLike[str]],
    path: str | os.PathLike[str],
    starts_s: Mapping[str, Time] | None = None,
    height: int = 384,
) -> Path:
    """Write clips beside each other as one video, each with its name, with the first one's sound.

    Args:
        clips: name -> file, e.g. the target, the swap and the truth. Times are the first one's, and
            the shortest one ends the video.
        path: the video to write, .mp4, .mov, .mkv or .webm.
        starts_s: name -> where a clip begins, if not at its beginning.
        height: of the video in pixels.

    Raises:
        FileNotFoundError, ValueError: if there is no clip, one cannot be read, or is what `path`
            leads to.
        OSError: if `path` cannot be written or signed, as `swap_video`.
    """
    if not clips:
        raise ValueError("expected at least one clip, got none")
    check_other_file(path, *clips.values())
    starts = [(starts_s or {}).get(name, 0.0) for name in clips]
    infos = [read_video_info(clip) for clip in clips.values()]
    widths = [max(2, round(height * info.width / info.height)) for info in infos]
    films = [read_timed_frames(*each) for each in zip(clips.values(), starts, strict=True)]
    with MarkedVideoWriter(
        path,
        fps=infos[0].fps,
        size_wh=(sum(widths), height),
        audio_from=infos[0].path,
        audio_start_s=starts[0],
        full_range=infos[0].full_range,
    ) as writer:
        for frames in zip(*films, strict=False):
            row = [
                _named(cv2.resize(frame.image, (width, height), interpolation=cv2.INTER_AREA), name)
                for frame, width, name in zip(frames, widths, clips, strict=True)
            ]
            writer.write(np.hstack(row), frames[0].time_s)
    return Path(path)


def _named(image: Image, name: str) -> Image:
    """A picture with a name at its bottom left, on a dark ground."""
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, image.shape[0] / 700.0
    (width, height), _ = cv2.getTextSize(name, font, scale, 1)
    pad, bottom = round(height * 0.6), len(image)
    box = image[bottom - height - 2 * pad :, : width + 2 * pad]
    box[:] = np.rint(box * 0.35).astype(np.uint8)
    cv2.putText(image, name, (pad, bottom - pad), font, scale, (255,) * 3, 1, cv2.LINE_AA)
    return image


def export_layers(
    target: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    swapper: Swapper,
    start_s: Time = 0.0,
    end_s: Time | None = None,
    track: TrackConfig | None = None,
    choose: FaceChoice | None = None,
) -> Path:
    """Write the drawn faces, their masks and matrices, to be put together in another program.

    For each frame `face_000012.png` (S, S, 3), and `mask_000012.png` over the same square, white
    where the face goes. `layers.json` has for each frame its number, its time in seconds, the
    outcome, and the matrix (2, 3) that maps pixels (x, y, 1) of the frame to pixels of the face.
    For the faces in the network's own colours, set `SwapConfig.colour` to "none". The film's grain,
    which is added after them, is not in them. The faces bear all marks but the visible label, and
    must have 64 pixels at least.

    Args:
        folder: where to write; made if missing.

    Returns:
        The path of layers.json. Other arguments and errors as for `swap_video`.

    Raises:
        FileExistsError: if the folder holds layers already.
    """
    folder = Path(folder)
    origin = _origin(target, swapper)
    if (folder / LAYERS_FILE).exists():
        raise FileExistsError(f"{folder} holds layers already; choose another folder")
    rows = []
    outcomes: Counter[str] = Counter()
    for number, (frame, swapped) in enumerate(
        swap_clip(target, swapper, start_s, end_s, track, choose)
    ):
        outcomes[swapped.outcome] += 1
        row = {"frame": number, "time_s": frame.time_s, "outcome": swapped.outcome}
        if swapped.layers is not None:
            image, matrix, mask = swapped.layers
            grey = np.rint(cv2.resize(mask, image.shape[:2]) * 255.0).astype(np.uint8)
            write_picture(
                folder / f"face_{number:06d}.png", image, visible_label=False, origin=origin
            )
            write_image(folder / f"mask_{number:06d}.png", cv2.merge([grey] * 3))
            row["matrix"] = matrix.tolist()
        rows.append(row)
    _check_some_swapped(target, outcomes)
    info = read_video_info(target)
    record = {
        "version": 1,
        "size_wh": [info.width, info.height],
        "note": DISCLOSURE,
        "frames": rows,
    }
    return write_json(folder / LAYERS_FILE, record, indent=1)
