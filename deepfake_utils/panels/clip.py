"""A person's clip: chosen, looked at, trimmed, agreed on and cut out, by calls or by widgets."""

from __future__ import annotations

import dataclasses
import logging
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, get_args

import numpy as np

from ..consent import Basis, Subject, write_consent
from ..detectors import MeshLandmarker
from ..extraction import FACES_FILE, ExtractionReport, extract_clip
from ..files import reading, restore_folder, sha256_of
from ..images import Image, Points
from ..landmarks import Landmarker
from ..runs.project import ADVICE, Clip, Person, Project
from ..samples import TEST_START_S
from ..tracking.people import FaceChoice
from ..video import Time, VideoInfo, read_timed_frames, read_video_info, to_seconds
from .base import Panel
from .clip_view import PLACES, ClipView
from .downloads import download
from .form import GROUNDS
from .notebook import in_a_sentence
from .places import check_clip, find_path, sample_of, save_upload, videos_at

logger = logging.getLogger(__name__)

DRIVE_ID = r"[\w-]{20,}"  # what Google calls a file
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
        missing = self._places(seen=False)
        if len(missing) == 3:
            said.append(
                "No face was found in its first, middle and last frame: choose another part, or "
                "a clip in which one face is well lit and turned to the camera."
            )
        elif missing:
            said.append(
                f"No face was found in the {_listed(missing)} frame: frames that show "
                "nobody are skipped; trim the clip if there are many."
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

    @property
    def described(self) -> str:
        """All of it, with advice, one sentence on each line."""
        return "\n".join([f"{self}.", *self.advice])

    def __str__(self) -> str:
        info = self.info
        sound = "with sound" if info.has_audio else "without sound"
        kind = ", ".join([f"{info.duration_s:.1f} s", sound, *info.changed])
        found = self._places(seen=True)
        seen = f"a face in the {_listed(found)} frame" if found else "no face"
        return (
            f"{info.path.name}: {info.width}x{info.height}, {info.fps:.4g} frames a second, "
            f"{kind}; used from {self.start_s:.1f} to {self.end_s:.1f} s, {seen}"
        )

    def _places(self, seen: bool) -> list[str]:
        return [name for name, n in zip(PLACES, self.faces, strict=True) if seen == (n > 0)]

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What a notebook shows of it."""
        printer.text(self.described)


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
            for frame in read_timed_frames(info.path, begin_s, quiet=True):
                if seen is not None and frame.time_s > time_s + 1e-3:  # containers round to 1 ms
                    break
                seen = frame.image
        except ValueError as error:
            problem = error
        else:
            if seen is not None:
                return seen
    raise ValueError(str(problem)) from problem


class Agreement(NamedTuple):
    """Whether a face may be used."""

    holds: bool
    said: str  # why, or what is missing


class ClipPanel(Panel):
    """The clip of one person of a project, chosen by plain methods or by widgets that call them.

        panel = ClipPanel(project, "a")
        panel  # shows the widgets
        panel.use_path("me.mp4")  # what they do can be called, too

    It starts with the clip that the project remembers, else with the sample clip. Each choice is
    looked at first: what is no video, or a damaged one, is refused and the earlier choice stays.

    Args:
        project: where the choice is remembered, and where uploads and downloads go.
        person: "a" is in the video, "b" is whose face is put there.
        landmarker: finds the faces; None is MeshLandmarker().
    """

    methods = (
        "Without ipywidgets, call use_sample(), use_path(path), use_link(link), use_upload(name, "
        'content), trim(start_s, end_s) and agree("self"), and look at `found` and `consent`.'
    )

    def __init__(
        self, project: Project, person: Person, landmarker: Landmarker | None = None
    ) -> None:
        project.faces(person)  # raises for anybody else
        self.project, self.person = project, person
        self._landmarker = landmarker
        self.asked = False  # whether somebody needed an agreement that was not there
        self._seen: tuple[Clip, ClipFacts, list[Image], list[Points]] | None = None
        if person not in project.clips:
            self.use_sample()

    # Choosing ---------------------------------------------------------------------------------

    def use_sample(self) -> ClipFacts:
        """Take the synthetic sample person.

        Raises:
            FileNotFoundError: if the package was installed without its data.
        """
        return self._take(Clip(str(sample_of(self.person)[0])))

    def use_path(self, path: str | os.PathLike[str]) -> ClipFacts:
        """Take a file; of a folder, the first video.

        Args:
            path: on this machine, or "drive:clips/me.mp4" in your Google Drive.

        Raises:
            FileNotFoundError: if there is none.
            ValueError: if it is no video, a damaged one, or a link.
        """
        return self._take(Clip(str(self.videos(path)[0])))

    def use_link(self, link: str, sha256: str | None = None) -> ClipFacts:
        """Take what a link leads to; it is downloaded into the project, once, with a bar.

        Args:
            link: to a video or an archive with one, in Google Drive or elsewhere; or the id of a
                file in Google Drive.
            sha256: what the file's SHA-256 must be; None does not check.

        Raises:
            ConnectionError: if it could not be fetched, or broke off; when this is called again,
                one from Google Drive goes on from there, others begin anew.
            OSError: if the disk has no room for it.
            ValueError: if it is no link, no video, or not what `sha256` says.
        """
        link = link.strip()
        if "://" not in link and not re.fullmatch(DRIVE_ID, link):
            raise ValueError(
                f"expected a link that begins with https://, or the id of a file in Google Drive, "
                f"got {link!r}; give files on this machine as a path"
            )
        came = download(link, self.project.clips_folder, sha256 or None, check_clip)
        return self.use_path(came)

    def use_upload(self, name: str, content: bytes | memoryview | BinaryIO) -> ClipFacts:
        """Take a file that came from the browser; it is written into the project, piece by piece.

        Args:
            name: of the file; another of that name in the project stays as it is.
            content: the file's bytes, or an open file.

        Raises:
            ValueError: if it is no video; then it is not kept.
            OSError: if it cannot be written.
        """
        path = save_upload(self.project.clips_folder, name, content)
        try:
            return self._take(Clip(str(path)))
        except ValueError:
            path.unlink()  # the copy; whoever sent it has the file
            raise

    def trim(self, start_s: Time = 0.0, end_s: Time | None = None) -> ClipFacts:
        """Use only a part of the clip.

        Args:
            start_s: from here, after its first frame: seconds, or text such as "0:02".
            end_s: to here; None or beyond its end: to its end.

        Raises:
            ValueError: if there is no such part.
        """
        start_s, end_s = to_seconds(start_s), None if end_s is None else to_seconds(end_s)
        if end_s is not None and end_s >= self.found.info.duration_s:
            end_s = None
        return self._take(dataclasses.replace(self.clip, start_s=start_s, end_s=end_s))

    # Seeing -----------------------------------------------------------------------------------

    @property
    def landmarker(self) -> Landmarker:
        """What finds the faces."""
        if self._landmarker is None:
            self._landmarker = MeshLandmarker()
        return self._landmarker

    @property
    def clip(self) -> Clip:
        """The clip, as the project remembers it."""
        return self.project.clip(self.person)

    @property
    def is_sample(self) -> bool:
        """Whether it is the sample clip."""
        return Path(self.clip.path) == sample_of(self.person)[0].absolute()

    @property
    def training_clip(self) -> Clip:
        """The part to train on: the clip, but of A's sample only what comes before the test."""
        clip = self.clip
        if self.is_sample and self.person == "a" and clip.start_s < TEST_START_S:
            end_s = min(TEST_START_S, clip.end_s or TEST_START_S)
            return dataclasses.replace(clip, end_s=end_s)
        return clip

    @property
    def target_clip(self) -> Clip:
        """The part to swap: the clip, but of A's sample only the test, if it is not trimmed off."""
        clip = self.clip
        if self.is_sample and self.person == "a" and (clip.end_s or math.inf) > TEST_START_S:
            return dataclasses.replace(clip, start_s=max(clip.start_s, TEST_START_S))
        return clip

    @property
    def found(self) -> ClipFacts:
        """What was found in the clip.

        Raises:
            FileNotFoundError: if the file is not there any more.
            ValueError: if it is damaged now.
        """
        return self._look()[0]

    @property
    def frames(self) -> list[Image]:
        """The first, middle and last frame of the part that is used, (H, W, 3) RGB uint8."""
        return self._look()[1]

    @property
    def points(self) -> list[Points]:
        """The 68 points (x, y) of the largest face in each of `frames`; (0, 2) without a face."""
        return self._look()[2]

    def videos(self, path: str | os.PathLike[str]) -> list[Path]:
        """The file that a path names, or the videos of a folder.

        Raises:
            FileNotFoundError: if there is none.
            ValueError: if it is empty, or a link.
        """
        return videos_at(find_path(path).absolute())

    @property
    def described(self) -> str:
        """What was found in the clip, with advice, or what is wrong with it, in sentences."""
        try:
            said = self.found.described
        except (OSError, ValueError) as error:
            return str(error)
        if self.training_clip != self.clip:
            end_s = self.training_clip.end_s
            said += f"\nTrained on up to {end_s} s; the rest is kept for the test."
        return said

    def __str__(self) -> str:
        return f"{self.described}\n{self.agreement.said}"

    # Agreeing, and cutting out the faces ------------------------------------------------------

    @property
    def consent(self) -> Subject:
        """Whose face it is and why it may be used; for the sample clip it is known.

        Raises:
            ValueError: until `agree` was called for this clip.
        """
        if self.is_sample:
            return sample_of(self.person)[1]
        with reading(self.project.root / "project.json", "who agreed", ADVICE):
            said = dict(self.project.read("consents", {}).get(self.person, {}))
        if said.get("clip") != self.clip.path:
            raise ValueError(
                f"person {self.person.upper()}: expected a choice of whose face it is, got none; "
                f"make it in the panel, below the pictures, or call panel_{self.person}"
                f'.agree("self"), with one of {get_args(Basis)}'
            )
        with reading(self.project.root / "project.json", "who agreed", ADVICE):
            return Subject(**said["subject"])

    def check(self) -> Subject:
        """As `consent`, if it holds today; else the panel shows in red what is missing.

        Raises:
            ValueError: until `agree` was called for this clip.
            PermissionError: if it expired or was withdrawn.
        """
        self.asked = True
        self.refresh()
        consent = self.consent
        consent.check()
        return consent

    @property
    def agreement(self) -> Agreement:
        """Whether the face in the clip may be used, and why, or what is to be done first."""
        if self.is_sample:
            return Agreement(True, "It may be used: synthetic, nothing is to be done.")
        try:
            subject = self.consent
        except ValueError:
            missing = "It may not be used yet: choose whose face it is."
            return Agreement(False, missing)
        try:
            subject.check()
        except PermissionError as error:
            return Agreement(False, f"It may not be used: {error}.")
        return Agreement(True, f"It may be used: {GROUNDS[subject.basis].lower()}.")

    def agree(self, subject: Subject | Basis | None) -> None:
        """Say whose face the chosen clip shows and why it may be used; for this clip only.

        Args:
            subject: the person, or only the basis; None takes back what was said.

        Raises:
            ValueError: if there is no such basis.
        """
        if isinstance(subject, str):
            subject = Subject(self.person.upper(), subject)
        said = {}
        if subject is not None:
            said = {"clip": self.clip.path, "subject": dataclasses.asdict(subject)}
        everybody = self.project.read("consents", {})
        self.project.write("consents", {**everybody, self.person: said})
        self.refresh()

    @in_a_sentence()
    def extract(
        self,
        stride: int = 1,
        size: int = 256,
        again: bool = False,
        where: tuple[float, float] | None = None,
        like: str | os.PathLike[str] | None = None,
    ) -> ExtractionReport:
        """Cut the face out of each frame of `training_clip`, into the project, with a bar.

        Faces that were cut out of the same part before are left as they are, so that a set that
        was looked through stays so; those of another clip are replaced, and a training run that was
        not finished on them is moved aside.

        Args:
            stride: take every stride-th frame.
            size: side of the crops in pixels.
            again: True cuts them out anew in any case.
            where: (x, y) in shares of width and height, 0..1: of several people the one nearest to
                it in the first shot; None takes the largest face of each shot.
            like: a picture of the person, such as one of those in the folder `people` inside the
                faces folder, where a clip shows several.

        Raises:
            ValueError: as `consent` and `extract_clip`.
            PermissionError: if the consent expired or was withdrawn.
            RuntimeError: if another program is training on the faces that are to be replaced.
        """
        clip, consent, folder = self.training_clip, self.check(), self.project.faces(self.person)
        asked = {**dataclasses.asdict(clip), "stride": stride, "size": size}
        asked["where"] = None if where is None else list(where)
        if like is not None:
            asked["like"] = sha256_of(Path(like))
        asked["bytes"] = Path(clip.path).stat().st_size
        restore_folder(folder)
        with reading(self.project.root / "project.json", "what was extracted", ADVICE):
            everybody = dict(self.project.read("extracted", {}))
            earlier = dict(everybody.get(self.person, {}))
        there = sha256_of(folder / FACES_FILE) if (folder / FACES_FILE).is_file() else None
        same = there is not None and earlier.get("faces_sha256", there) == there
        if not again and same and earlier.get("asked") == asked:
            logger.info("%s holds the faces of this clip already", folder)
            write_consent(folder, consent)
            with reading(self.project.root / "project.json", "what was extracted", ADVICE):
                return ExtractionReport(folder, **earlier["report"])
        if earlier.get("asked", asked)["path"] != clip.path:
            self.project.leave_run()
        choose = None if where is None else FaceChoice("position", where, "shares")
        if like is not None:
            choose = FaceChoice.like(like, self.landmarker)
        from tqdm.auto import tqdm

        with tqdm(desc=f"person {self.person}", unit="frame") as bar:

            def show(done: int, about: int) -> None:
                bar.total = about
                bar.update(done - bar.n)

            part = clip.start_s, clip.end_s, stride, size
            report = extract_clip(
                clip.path,
                folder,
                self.landmarker,
                *part,
                overwrite=True,
                choose=choose,
                consent=consent,
                progress=show,
            )
        counts = dataclasses.asdict(report)
        del counts["folder"]
        # By its hash it is known again: a set may be replaced before this is remembered.
        made = {"asked": asked, "report": counts, "faces_sha256": sha256_of(folder / FACES_FILE)}
        self.project.write("extracted", {**everybody, self.person: made})
        return report

    def _take(self, clip: Clip) -> ClipFacts:
        """Look at a clip, and if it is one, remember it."""
        clip = dataclasses.replace(clip, path=str(Path(clip.path).absolute()))
        seen = look_at(clip, self.landmarker)
        check_clip(Path(clip.path))
        self.project.choose_clip(self.person, clip)
        self._seen = (clip, *seen)
        self.refresh()
        return self.found

    def _look(self) -> tuple[ClipFacts, list[Image], list[Points]]:
        clip = self.clip
        if self._seen is None or self._seen[0] != clip:
            self._seen = (clip, *look_at(clip, self.landmarker))
        return self._seen[1:]

    # The panel --------------------------------------------------------------------------------

    def make_view(self) -> ClipView:
        """Widgets to choose the clip, trim it, see what was found, and say why it may be used."""
        return ClipView(self)
