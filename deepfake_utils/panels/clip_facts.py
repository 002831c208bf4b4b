"""What to know of a clip before it is used: size, length, sound, whether a face is seen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..images import Image, Points
from ..landmarks import Landmarker
from ..runs.project import Clip
from ..video import VideoInfo, read_timed_frames, read_video_info

PLACES = ("first", "middle", "last")
SHORT_S = 5.0  # from a shorter part a network learns few expressions
LOW_PX = 80.0  # a lower face has little to learn from


@dataclass(frozen=True)
class ClipFacts:
    """What was found in the part of a clip that is used."""

    info: VideoInfo  # of the whole file
    start_s: float  # the part that is used
    end_s: float
    faces: tuple[int, int, int]  # how many in its first, middle and last frame
    face_px: float  # height of the largest face's 68 points, the highest of the three; 0: no face

    @property
    def frames(self) -> int:
        """About how many frames the part has."""
        return max(1, round((self.end_s - self.start_s) * self.info.fps))

    @property
    def advice(self) -> tuple[str, ...]:
        """What may spoil the result, in sentences."""
        said = []
        missing = [place for place, count in zip(PLACES, self.faces, strict=True) if not count]
        if len(missing) == 3:
            said.append(
                "No face was found in its first, middle and last frame: choose another part, or "
                "a clip in which one face is well lit and turned to the camera."
            )
        elif missing:
            said.append(
                f"No face was found in the {_listed(missing)} frame: a part of the clip may "
                "show nobody, which is skipped; trim it if it is much."
            )
        if max(self.faces) > 1:
            said.append(
                "Several people are seen: the largest face is taken; if that is the wrong one, "
                "trim it to a part that shows one person, or say where the right one is, in shares "
                "of width and height: panel.extract(where=(0.8, 0.4))."
            )
        if 0.0 < self.face_px < LOW_PX:
            said.append(f"The face is only {self.face_px:.0f} pixels high: come nearer.")
        if self.end_s - self.start_s < SHORT_S:
            said.append(
                f"It is only {self.end_s - self.start_s:.1f} s long: 15 to 60 seconds train better."
            )
        return tuple(said)

    def __str__(self) -> str:
        info = self.info
        sound = "with sound" if info.has_audio else "without sound"
        found = [place for place, count in zip(PLACES, self.faces, strict=True) if count]
        seen = f"a face in the {_listed(found)} frame" if found else "no face"
        return (
            f"{info.path.name}: {info.width}x{info.height}, {info.fps:.4g} frames a second, "
            f"{info.duration_s:.1f} s, {sound}; used from {self.start_s:.1f} to {self.end_s:.1f} "
            f"s, {seen}"
        )

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What a notebook shows of it."""
        printer.text("\n".join([f"{self}.", *self.advice]))


def _listed(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def look_at(clip: Clip, landmarker: Landmarker) -> tuple[ClipFacts, list[Image], list[Points]]:
    """Read a clip's facts, and look for faces in three frames of the part that is used.

    Args:
        clip: the file, and which part of it.
        landmarker: frame -> list of (68, 2) points, the largest face first.

    Returns:
        The facts; the part's first, middle and last frame, (H, W, 3) RGB uint8; and the points
        (68, 2) of the largest face in each, (0, 2) where there is none.

    Raises:
        FileNotFoundError, IsADirectoryError: if there is no such file.
        ValueError: if it is no video, is damaged there, or the part is not inside it.
    """
    path = Path(clip.path)
    info = read_video_info(path)
    if clip.start_s >= info.duration_s:
        raise ValueError(
            f"start_s: expected less than the clip's length ({info.duration_s:.2f} s), got "
            f"{clip.start_s}"
        )
    end_s = min(info.duration_s, clip.end_s or info.duration_s)
    last_s = max(clip.start_s, end_s - 0.5 / info.fps)  # the end itself is not included
    moments = (clip.start_s, (clip.start_s + end_s) / 2, last_s)
    frames = [frame_at(info, time_s) for time_s in moments]
    found = [landmarker(frame) for frame in frames]
    points = [faces[0] if faces else np.empty((0, 2)) for faces in found]
    high = max((float(np.ptp(each[:, 1])) for each in points if len(each)), default=0.0)
    first, middle, last = (len(faces) for faces in found)
    return ClipFacts(info, clip.start_s, end_s, (first, middle, last), high), frames, points


def frame_at(info: VideoInfo, time_s: float) -> Image:
    """The frame that is seen at a time, or the last one before it, (H, W, 3) RGB uint8.

    Raises:
        ValueError: if there is none, or the data is damaged there.
    """
    frame_s = 1.0 / info.fps
    problem: ValueError | None = None
    for back_s in (frame_s, 1.0, 10.0):  # uneven rates, and lengths that a container only guesses
        begin_s, seen = max(0.0, time_s - back_s), None
        try:
            for frame in read_timed_frames(info.path, begin_s):
                if seen is not None and frame.time_s > time_s + 1e-3:  # containers round to 1 ms
                    break
                seen = frame.image
        except ValueError as error:
            problem = error
        else:
            if seen is not None:
                return seen
    raise ValueError(str(problem)) from problem
