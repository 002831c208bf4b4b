"""From a film to a folder of aligned crops, and from such a folder to a set of faces in memory."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import os
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .consent import CONSENT_FILE, Consent, Subject, read_consent, write_consent
from .faces import CROP_COVERAGE, align_face, mean_face
from .files import (
    JsonSpool,
    is_plain,
    is_unfinished,
    read_json,
    reading,
    restore_folder,
    sha256_of,
    whole_folder,
)
from .images import Image, Points, check_points, list_images, read_image, write_image
from .landmarks import Landmarker
from .marking.reading import training_refused
from .tracking.cast import NO_CROP, SEVERAL, Cast, CastMember, Settled
from .tracking.people import FaceChoice
from .tracking.steadying import TrackConfig, TrackedFrame
from .tracking.tracks import ProgressCallback, tell_progress, track_faces
from .umeyama import transform_points
from .video import Time, TimedFrame, describe_damage, read_timed_frames, read_video_info, to_seconds

logger = logging.getLogger(__name__)

FACES_FILE = "faces.json"
CROP_NAME = "face_{:06d}.png"  # by the number of its frame
# What may be wrong where crops have no faces.json.
_CUT_SHORT = " without faces.json, as an extraction by an older version leaves if it is cut short"
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
    damaged_s: tuple[float, ...] = ()  # when frames of a film were missing or mended, in seconds
    doubtful_s: tuple[float, ...] = ()  # when others of its frames may show that damage
    breaks_off_s: float | None = None  # when its last frame is shown, if its file is cut short

    def __post_init__(self) -> None:
        """Make tuples, and the cast, of what JSON knows."""
        cast = (one if isinstance(one, CastMember) else CastMember(**one) for one in self.cast)
        object.__setattr__(self, "cast", tuple(cast))
        for name in ("damaged_s", "doubtful_s"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    def __str__(self) -> str:
        text = (
            f"{self.saved} crops from {self.frames} frames in {self.folder}; "
            f"shots: {self.shots}, people: {self.people}"
        )
        damage = describe_damage(self.damaged_s, self.doubtful_s, self.breaks_off_s)
        return "\n".join([text, *filter(None, [damage]), *map(str, self.cast)])


def extract_clip(
    clip: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    landmarker: Landmarker,
    start_s: Time = 0.0,
    end_s: Time | None = None,
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
        start_s: where to begin: seconds, or text such as "0:02" or "00:00:02.500".
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
            What it raises ends the extraction, and the folder stays as it was.

    Raises:
        FileNotFoundError, ValueError: if the clip cannot be read or has no such part.
        FileExistsError, NotADirectoryError, ValueError: as `extract_faces`.
    """
    _check_folder(Path(folder), overwrite)
    start_s, end_s = to_seconds(start_s), None if end_s is None else to_seconds(end_s)
    frames = read_timed_frames(clip, start_s, end_s, stride)
    tracked = track_faces(frames, landmarker, track, choose)
    if progress is not None:
        tracked = tell_progress(tracked, progress, read_video_info(clip), start_s, end_s, stride)
    record = _record(landmarker, size, coverage, training_refused(clip))
    report = _write_crops(tracked, Path(folder), record, consent, Cast(choose))
    if sum(one.crops > 0 for one in report.cast) > 1:
        logger.warning(SEVERAL, clip, folder, "\n".join(map(str, report.cast)))
    damage = {name: getattr(frames, name) for name in ("damaged_s", "doubtful_s", "breaks_off_s")}
    return dataclasses.replace(report, **damage)


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

    For a film `extract_clip` is several times as fast and gives steadier crops. The folder is for
    looking through: delete a bad crop and it is gone from the training set. `faces.json` holds for
    each crop its frame number, its landmarks (68, 2) in frame pixels, the matrix (2, 3) from frame
    to crop, the landmarker's confidence in it (0..1) and the file's SHA-256, and for all of them
    landmarker, crop size and coverage. It all appears in one step at the end: whatever stops the
    extraction, the folder holds what it held before.

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
    record = _record(landmarker, size, coverage, refused=False)
    return _write_crops(tracked, Path(folder), record, consent)


def _check_folder(folder: Path, overwrite: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"expected a folder to write crops to, got the file {folder}")
    restore_folder(folder)
    if folder.exists() and not overwrite:
        if (folder / FACES_FILE).exists() or any(folder.glob("face_*.png")):
            state = "" if (folder / FACES_FILE).exists() else _CUT_SHORT
            raise FileExistsError(
                f"{folder} holds faces already{state}; use them as they are, choose another "
                "folder, or pass overwrite=True to replace them"
            )


def _record(landmarker: Landmarker, size: int, coverage: float, refused: bool) -> dict[str, Any]:
    """What faces.json says of all crops; checks the numbers before the long run."""
    mean_face(size, coverage)
    return {
        "version": 1,
        "landmarker": getattr(landmarker, "__name__", type(landmarker).__name__),
        "crop_size": size,
        "coverage": coverage,
        "training_refused": refused,  # a signed wish in the clip that no AI be trained on it
    }


def _write_crops(
    frames: Iterable[TrackedFrame],
    folder: Path,
    record: dict[str, Any],
    consent: Subject | None,
    cast: Cast | None = None,
) -> ExtractionReport:
    """Cut out each frame's face, and put the set in the place of an earlier one."""
    with whole_folder(folder, _not_of(folder)) as new:
        report = _cut_out(frames, new, record, cast, folder / PEOPLE)
        if consent is not None:
            write_consent(new, consent)
    if report.frames_with_several:
        several, total = report.frames_with_several, report.frames
        logger.warning("%d of %d frames show several faces; took one", several, total)
    return dataclasses.replace(report, folder=folder)


def _not_of(folder: Path) -> Callable[[Path], bool]:
    """Tells which files of a folder are not of the set of faces there, and stay for the next."""
    entries = read_record(folder).get("faces", {}) if (folder / FACES_FILE).exists() else None
    # An agreement is for the faces beside which it was written; one alone waits for them.
    gone = set() if entries is None else {*entries, FACES_FILE, CONSENT_FILE, PEOPLE}
    return lambda path: path.name not in gone


def _cut_out(
    frames: Iterable[TrackedFrame],
    folder: Path,
    record: dict[str, Any],
    cast: Cast | None,
    gallery: Path,
) -> ExtractionReport:
    """Write each frame's face, and faces.json; `gallery` is where people's pictures will be."""
    entries = JsonSpool()  # of a long film they are too many to keep
    tracks = array("i")  # which track the crop of each frame is of; NO_CROP where there is none
    found = several = 0
    for number, frame in enumerate(frames):
        tracks.append(NO_CROP)
        several += len(frame.seen) > 1
        if cast is not None:
            cast.see(frame)
            _leave_out(tracks, range(max(0, number - frame.dissolve), number), folder)
        if frame.raw is None or frame.points is None:  # what was only bridged is not seen well
            continue
        found += 1
        face = align_face(frame.image, frame.points, record["crop_size"], record["coverage"])
        path = write_image(folder / CROP_NAME.format(number), face.image, png_compression=1)
        entry = {
            "frame": number,
            "landmarks": np.round(frame.points, 3).tolist(),
            "matrix": face.matrix.tolist(),
            "confidence": round(frame.confidence, 3),
            "sha256": sha256_of(path),
        }
        tracks[number] = 0 if cast is None else cast.track_of(frame)
        entries.append(path.name, entry if cast is None else {**entry, "shot": cast.shots})
    total = len(tracks)
    if not total:
        raise ValueError("expected frames to look for faces in, got none")
    if tracks.count(NO_CROP) == total:
        raise ValueError(
            f"expected a face in at least one frame, got none in {total}; use a clip in which one "
            "face is well lit, turned to the camera, and at least a tenth of the frame high"
        )
    who = Settled() if cast is None else cast.settle(tracks, gallery)
    _leave_out(tracks, (n for n, track in enumerate(tracks) if not who.wants(track)), folder)
    for picture, member in who.members:
        write_image(folder / PEOPLE / Path(member.picture).name, picture)

    def finished(entry: dict[str, Any]) -> dict[str, Any] | None:
        track = tracks[entry["frame"]]
        if cast is not None:
            entry["person"] = who.owner.get(track, 0)
        return None if track == NO_CROP else entry

    entries.write(folder / FACES_FILE, record, "faces", finished)
    counts = total, total - tracks.count(NO_CROP), total - found, several
    members = tuple(member for _, member in who.members)
    shots, people = 1 if cast is None else cast.shots, max(1, len(members))
    return ExtractionReport(folder, *counts, shots, people, members)


def _leave_out(tracks: array[int], numbers: Iterable[int], folder: Path) -> None:
    """Take out the crops of these frames, where they have one."""
    for number in numbers:
        if tracks[number] != NO_CROP:
            (folder / CROP_NAME.format(number)).unlink()
            tracks[number] = NO_CROP


def crop_landmarks(entry: dict[str, Any]) -> Points:
    """The landmarks (68, 2) of an entry of faces.json, moved from frame to crop pixels."""
    points = check_points(entry["landmarks"], 68, "landmarks")
    matrix = np.asarray(entry["matrix"], np.float64)
    if not abs(np.linalg.det(matrix[:, :2])) > 0.0:
        raise ValueError("matrix: expected one that can be turned back")
    return transform_points(points, matrix)


def crop_confidence(entry: dict[str, Any]) -> float:
    """How sure the landmarker was of an entry of faces.json, 0..1; 1 if the entry does not say."""
    return float(entry.get("confidence", 1.0))


def read_record(folder: Path) -> dict[str, Any]:
    """The faces.json of a folder, {} if there is none.

    Its `faces` are objects by plain file names; its `coverage`, if it has one, is a share.

    Raises:
        FileNotFoundError: if an extraction into the folder is going on, or was cut short.
        ValueError: if it is damaged.
    """
    restore_folder(folder)
    if not folder.exists() and is_unfinished(folder):
        raise FileNotFoundError(
            f"no faces in {folder} yet: their extraction is going on, or was cut short; then "
            "extract them again"
        )
    path = folder / FACES_FILE
    if not path.exists():
        return {}
    record = read_json(
        path, "delete it to use the crops without landmarks, or extract the faces again"
    )
    with reading(path, "a record of faces", "extract the faces again"):
        # A doctored file must not have us read, move or delete files elsewhere.
        faces = {name: entry for name, entry in record.get("faces", {}).items() if is_plain(name)}
        for entry in faces.values():
            if not isinstance(entry, dict) or not isinstance(entry.get("frame", 0), int):
                raise ValueError(f"faces: expected an object with 'frame', got {entry!r:.80}")
        if not 0.0 < float(record.get("coverage", CROP_COVERAGE)) <= 1.0:
            raise ValueError(f"coverage: expected a share, got {record['coverage']!r:.80}")
    return {**record, "faces": faces}


def check_crop(path: Path, entry: dict[str, Any]) -> Path:
    """The path of a crop, if the file is the one that its entry in faces.json is of.

    Raises:
        ValueError: if it is another picture.
    """
    if entry.get("sha256") not in (None, sha256_of(path)):  # none: of an earlier version
        raise ValueError(
            f"expected the picture that {FACES_FILE} describes, got another one in {path}; delete "
            "it, or extract the faces again"
        )
    return path


@dataclass(frozen=True)
class FaceSet:
    """The crops of one person, in memory."""

    images: NDArray[np.uint8]  # (N, S, S, 3) RGB
    landmarks: NDArray[np.float64] | None  # (N, 68, 2), (x, y) in crop pixels, if known
    coverage: float  # share of the crops' side that the mean face spans
    paths: tuple[Path, ...]  # where each crop came from
    consent: Consent | None = None  # of the person, if the folder has a record of it
    training_refused: bool = False  # whether their clip bears a signed wish against training
    confidence: NDArray[np.float64] | None = None  # (N,) of the landmarks, 0..1, if known

    def __len__(self) -> int:
        """Number of crops."""
        return len(self.images)

    def part(self, which: slice) -> FaceSet:
        """Some of the crops."""
        points = None if self.landmarks is None else self.landmarks[which]
        sure = None if self.confidence is None else self.confidence[which]
        images, paths = self.images[which], self.paths[which]
        return dataclasses.replace(
            self, images=images, landmarks=points, paths=paths, confidence=sure
        )

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
        ValueError: if it holds no crop, a crop is not square or not the picture that was cut out,
            or the sizes differ.
    """
    folder = Path(folder)
    record = read_record(folder)
    paths = list_images(folder)
    entries = record.get("faces", {})
    if record:
        strangers = [path.name for path in paths if path.name not in entries]
        if strangers:
            logger.warning("%s: left out %d pictures not in faces.json", folder, len(strangers))
        paths = [check_crop(p, entries[p.name]) for p in paths if p.name in entries]
        if not paths:
            raise ValueError(
                f"expected crops that {folder / FACES_FILE} lists, got none; extract them again"
            )
    elif any(folder.glob("face_*.png")):
        logger.warning("%s: took pictures%s; else extract them again", folder, _CUT_SHORT)
    images = [read_image(path) for path in paths]
    for path, image in zip(paths, images, strict=True):
        if image.shape != (len(images[0]), len(images[0]), 3):
            raise ValueError(
                f"expected square crops of one size ({len(images[0])} px), got "
                f"{image.shape[1]}x{image.shape[0]} in {path}; extract the faces with one size"
            )
    landmarks = confidence = None
    if record:
        wanted = "'landmarks' (68, 2) and 'matrix' (2, 3) of each crop"
        with reading(folder / FACES_FILE, wanted, "extract the faces again"):
            landmarks = np.stack([crop_landmarks(entries[path.name]) for path in paths])
            confidence = np.array([crop_confidence(entries[path.name]) for path in paths])
    coverage = float(record.get("coverage", CROP_COVERAGE))
    refused = record.get("training_refused") is True
    if not record:  # pictures from elsewhere, which may bear the wish themselves
        refused = any(map(training_refused, paths))
    consent = read_consent(folder)
    read = np.stack(images)
    return FaceSet(read, landmarks, coverage, tuple(paths), consent, refused, confidence)
