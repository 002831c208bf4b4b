"""From a film to a folder of aligned crops, and from such a folder to a set of faces in memory."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .consent import Consent, Subject, read_consent, write_consent
from .faces import CROP_COVERAGE, align_face, mean_face
from .files import read_json, write_json
from .images import Image, Points, check_points, list_images, read_image, write_image
from .landmarks import Landmarker
from .marking.reading import training_refused
from .tracking.cast import SEVERAL, Cast, CastMember
from .tracking.people import FaceChoice
from .tracking.steadying import TrackConfig, TrackedFrame
from .tracking.tracks import ProgressCallback, tell_progress, track_faces
from .umeyama import transform_points
from .video import TimedFrame, read_timed_frames, read_video_info

logger = logging.getLogger(__name__)

FACES_FILE = "faces.json"
PEOPLE = "people"  # the folder of their pictures, inside the faces folder
NOT_STEADIED = TrackConfig(smoothing="off", max_gap_s=0.0)


@dataclass(frozen=True)
class ExtractionReport:
    """What `extract_faces` found and wrote."""

    folder: Path  # where the crops and faces.json are
    frames: int  # frames looked at
    saved: int  # crops written
    frames_without_face: int
    frames_with_several: int  # of these only one face was taken
    shots: int = 1  # of a film
    people: int = 1  # seen in them, whether their crops were taken or not
    cast: tuple[CastMember, ...] = ()  # those people, where a film shows several

    def __post_init__(self) -> None:
        """Make what JSON knows into the cast again."""
        cast = (one if isinstance(one, CastMember) else CastMember(**one) for one in self.cast)
        object.__setattr__(self, "cast", tuple(cast))

    def __str__(self) -> str:
        text = (
            f"{self.saved} crops from {self.frames} frames in {self.folder}; "
            f"shots: {self.shots}, people: {self.people}"
        )
        return "\n".join([text, *map(str, self.cast)])


def extract_clip(
    clip: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    landmarker: Landmarker,
    start_s: float = 0.0,
    end_s: float | None = None,
    stride: int = 1,
    size: int = 256,
    coverage: float = CROP_COVERAGE,
    overwrite: bool = False,
    track: TrackConfig | None = None,
    choose: FaceChoice | None = None,
    consent: Subject | None = None,
    progress: ProgressCallback | None = None,
) -> ExtractionReport:
    """Write one person's face of each frame of a film as a crop, steadied over time.

    What is written is said at `extract_faces`, how the person is followed at `track_faces`. The
    frames of a dissolve are left out, as they show two faces in one.

    The report says how many shots and people there are. If there are several people, the folder
    `people` inside `folder` has a picture of each, and where crops of more than one were written,
    the log warns. `choose` takes one of them only: by position (in the first shot, later shots show
    them again if somebody looks like them) or by a picture, `FaceChoice.like(picture, landmarker)`.

    Args:
        clip: a video file.
        folder: where to write; made if missing.
        landmarker: frame -> list of (68, 2) points.
        start_s: where to begin, in seconds.
        end_s: where to end; None for the clip's end.
        stride: take every stride-th frame.
        size: side of the crops in pixels.
        coverage: share of that side that the mean face spans.
        overwrite: True replaces the crops that an earlier run wrote into `folder`.
        track: how the face is steadied.
        choose: whose face it is where several are seen; None takes the largest in each shot.
        consent: who the person is (no name) and why the pictures may be used, for training;
            written beside the crops as consent.json.
        progress: called after each frame with how many are done and about how many there will be.
            What it raises ends the extraction; the crops cut out so far stay, without faces.json.

    Raises:
        FileNotFoundError, ValueError: if the clip cannot be read or has no such part.
        FileExistsError, NotADirectoryError, ValueError: as `extract_faces`.
    """
    _check_folder(Path(folder), overwrite)
    frames = read_timed_frames(clip, start_s, end_s, stride)
    tracked = track_faces(frames, landmarker, track, choose)
    if progress is not None:
        tracked = tell_progress(tracked, progress, read_video_info(clip), start_s, end_s, stride)
    cast, refused = Cast(choose), training_refused(clip)
    report = _write_crops(tracked, Path(folder), landmarker, size, coverage, refused, cast)
    if sum(one.crops > 0 for one in report.cast) > 1:
        logger.warning(SEVERAL, clip, folder, "\n".join(map(str, report.cast)))
    if consent is not None:
        write_consent(folder, consent)
    return report


def extract_faces(
    frames: Iterable[Image],
    folder: str | os.PathLike[str],
    landmarker: Landmarker,
    size: int = 256,
    coverage: float = CROP_COVERAGE,
    overwrite: bool = False,
    consent: Subject | None = None,
) -> ExtractionReport:
    """Write the largest face of each picture as a PNG crop, and what is known of it as faces.json.

    For the frames of a film `extract_clip` gives steadier crops. The folder is for looking through:
    delete a bad crop and it is gone from the training set. `faces.json` holds for each crop its
    frame number, its landmarks (68, 2) in frame pixels and the matrix (2, 3) from frame to crop,
    and for all of them landmarker, crop size and coverage.

    Args:
        frames: pictures (H, W, 3) RGB uint8.
        folder: where to write; made if missing.
        landmarker: frame -> list of (68, 2) points.
        size: side of the crops in pixels.
        coverage: share of that side that the mean face spans.
        overwrite: True replaces the crops that an earlier run wrote into `folder`.
        consent: who the person is (no name) and why the pictures may be used, for training;
            written beside the crops as consent.json.

    Raises:
        FileExistsError: if the folder holds crops already and `overwrite` is False.
        NotADirectoryError: if `folder` is a file.
        ValueError: if there is no frame, or no face in any of them.
    """
    _check_folder(Path(folder), overwrite)
    alone = (track_faces([TimedFrame(frame, 0.0)], landmarker, NOT_STEADIED) for frame in frames)
    tracked = itertools.chain.from_iterable(alone)
    report = _write_crops(tracked, Path(folder), landmarker, size, coverage, refused=False)
    if consent is not None:
        write_consent(folder, consent)
    return report


def _check_folder(folder: Path, overwrite: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"expected a folder to write crops to, got the file {folder}")
    if folder.exists() and not overwrite:
        if (folder / FACES_FILE).exists() or any(folder.glob("face_*.png")):
            raise FileExistsError(
                f"{folder} holds faces already; use them as they are, choose another folder, "
                "or pass overwrite=True to replace them"
            )


def _write_crops(
    frames: Iterable[TrackedFrame],
    folder: Path,
    landmarker: Landmarker,
    size: int,
    coverage: float,
    refused: bool,
    cast: Cast | None = None,
) -> ExtractionReport:
    """Cut out and write each frame's face, then faces.json, and last remove what is outdated."""
    mean_face(size, coverage)  # wrong numbers should not surface after a long run
    # Plain names only: a doctored faces.json must not make us delete files elsewhere.
    earlier = [folder / name for name in _entries(folder) if re.fullmatch(r"face_\d+\.png", name)]
    entries: dict[str, dict[str, Any]] = {}
    written: list[str] = []
    total = several = 0
    for number, frame in enumerate(frames):
        total += 1
        several += len(frame.seen) > 1
        if cast is not None:
            cast.see(frame)
            for mixed in range(number - frame.dissolve, number):
                entries.pop(f"face_{mixed:06d}.png", None)
        if frame.raw is None or frame.points is None:  # what was only bridged is not seen well
            continue
        face = align_face(frame.image, frame.points, size, coverage)
        name = f"face_{number:06d}.png"
        write_image(folder / name, face.image, png_compression=1)
        written.append(name)
        entries[name] = {
            "frame": number,
            "landmarks": np.round(frame.points, 3).tolist(),
            "matrix": face.matrix.tolist(),
        }
        if cast is not None:
            entries[name] |= cast.place(frame)
    if not total:
        raise ValueError("expected frames to look for faces in, got none")
    if not entries:
        raise ValueError(
            f"expected a face in at least one frame, got none in {total}; use a clip in which one "
            "face is well lit, turned to the camera, and at least a tenth of the frame high"
        )
    members: list[CastMember] = []
    if cast is not None:
        for path in (folder / PEOPLE).glob("person_*.png"):
            path.unlink()
        for picture, member in cast.settle(entries, folder / PEOPLE):
            write_image(member.picture, picture)
            members.append(member)
    record = {
        "version": 1,
        "landmarker": getattr(landmarker, "__name__", type(landmarker).__name__),
        "crop_size": size,
        "coverage": coverage,
        "training_refused": refused,  # a signed wish in the clip that no AI be trained on it
        "faces": entries,
    }
    write_json(folder / FACES_FILE, record)
    for path in [*earlier, *(folder / name for name in written)]:
        if path.name not in entries:
            path.unlink(missing_ok=True)
    if several:
        logger.warning("%d of %d frames show several faces; took one", several, total)
    counts = total, len(entries), total - len(written), several
    shots = 1 if cast is None else cast.shots
    return ExtractionReport(folder, *counts, shots, max(1, len(members)), tuple(members))


def _entries(folder: Path) -> dict[str, dict[str, Any]]:
    """The `faces` part of faces.json, {} if there is none."""
    return dict(read_record(folder).get("faces", {}))


def crop_landmarks(entry: dict[str, Any]) -> Points:
    """The landmarks (68, 2) of an entry of faces.json, moved from frame to crop pixels."""
    points = check_points(entry["landmarks"], 68, "landmarks")
    return transform_points(points, np.asarray(entry["matrix"], np.float64))


def read_record(folder: Path) -> dict[str, Any]:
    """The faces.json of a folder, {} if there is none.

    Raises:
        ValueError: if it is damaged.
    """
    path = folder / FACES_FILE
    if not path.exists():
        return {}
    record = read_json(
        path, "delete it to use the crops without landmarks, or extract the faces again"
    )
    if not isinstance(record.get("faces", {}), dict):
        raise ValueError(f"expected an object with 'faces' in {path}; extract the faces again")
    return record


@dataclass(frozen=True)
class FaceSet:
    """The crops of one person, in memory."""

    images: NDArray[np.uint8]  # (N, S, S, 3) RGB
    landmarks: NDArray[np.float64] | None  # (N, 68, 2), (x, y) in crop pixels, if known
    coverage: float  # share of the crops' side that the mean face spans
    paths: tuple[Path, ...]  # where each crop came from
    consent: Consent | None = None  # of the person, if the folder has a record of it
    training_refused: bool = False  # whether their clip bears a signed wish against training

    def __len__(self) -> int:
        """Number of crops."""
        return len(self.images)

    def part(self, which: slice) -> FaceSet:
        """Some of the crops."""
        points = None if self.landmarks is None else self.landmarks[which]
        images, paths = self.images[which], self.paths[which]
        return dataclasses.replace(self, images=images, landmarks=points, paths=paths)

    def split(self, share: float = 0.1) -> tuple[FaceSet, FaceSet]:
        """Hold the last crops out of training, to see when it stops helping.

        The last in one piece, not some at random: neighbours in a clip are almost the same
        picture, and a network that knows one knows the other.

        Args:
            share: of the crops to hold out, at least two of them.

        Returns:
            Those to train on, and those to check with.

        Raises:
            ValueError: if one of the two would be empty.
        """
        held = max(2, round(share * len(self))) if 0.0 < share < 1.0 else len(self)
        if held >= len(self):
            raise ValueError(
                f"share: expected between 0 and 1, leaving crops to train on, got {share} of "
                f"{len(self)}"
            )
        return self.part(slice(None, -held)), self.part(slice(-held, None))


def load_faces(folder: str | os.PathLike[str]) -> FaceSet:
    """Read the crops that are (still) in a folder.

    With a `faces.json` only the crops it lists are read; without one every picture is taken for a
    crop of the default coverage, and no landmarks are known.

    Raises:
        FileNotFoundError, NotADirectoryError: if there is no such folder.
        ValueError: if it holds no crop, a crop is not square, or the sizes differ.
    """
    folder = Path(folder)
    paths = list_images(folder)
    record = read_record(folder)
    entries = record.get("faces", {})
    if record:
        strangers = [path.name for path in paths if path.name not in entries]
        if strangers:
            logger.warning("%s: left out %d pictures not in faces.json", folder, len(strangers))
        paths = [path for path in paths if path.name in entries]
        if not paths:
            raise ValueError(
                f"expected crops that {folder / FACES_FILE} lists, got none; extract them again"
            )
    images = [read_image(path) for path in paths]
    for path, image in zip(paths, images, strict=True):
        if image.shape != (len(images[0]), len(images[0]), 3):
            raise ValueError(
                f"expected square crops of one size ({len(images[0])} px), got "
                f"{image.shape[1]}x{image.shape[0]} in {path}; extract the faces with one size"
            )
    landmarks = None
    if record:
        try:
            landmarks = np.stack([crop_landmarks(entries[path.name]) for path in paths])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"expected 'landmarks' (68, 2) and 'matrix' (2, 3) of each crop in "
                f"{folder / FACES_FILE}, got something else ({error!r}); extract the faces again"
            ) from error
    coverage = float(record.get("coverage", CROP_COVERAGE))
    refused = record.get("training_refused") is True
    if not record:  # pictures from elsewhere, which may bear the wish themselves
        refused = any(map(training_refused, paths))
    consent = read_consent(folder)
    return FaceSet(np.stack(images), landmarks, coverage, tuple(paths), consent, refused)
