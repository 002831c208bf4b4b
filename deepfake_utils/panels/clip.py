"""Whose clip it is, which part of it, and on what ground: chosen, checked and remembered."""

from __future__ import annotations

import dataclasses
import logging
import os
import re
from pathlib import Path
from typing import BinaryIO, get_args

from ..consent import Basis, Subject, write_consent
from ..extraction import FACES_FILE, ExtractionReport, extract_clip
from ..images import Image, Points
from ..landmarks import Landmarker, MeshLandmarker
from ..runs.project import Clip, Person, Project
from ..samples import TEST_START_S, sample_clips, sample_consent
from ..tracking.people import FaceChoice
from .clip_facts import ClipFacts, look_at
from .downloads import Progress, download
from .places import find_path, list_videos, no_clip, no_video, save_upload

logger = logging.getLogger(__name__)

DRIVE_ID = r"[\w-]{20,}"  # what Google calls a file


class DataChoice:
    """The clip of one person of a project, chosen by plain methods; `DataPanel` adds the buttons.

    It starts with the clip that the project remembers, else with the sample clip. Each choice is
    looked at first: what is no video, or a damaged one, is refused and the earlier choice stays.

    Args:
        project: where the choice is remembered, and where uploads and downloads go.
        person: "a" is in the video, "b" is whose face is put there.
        landmarker: finds the faces; None is MeshLandmarker().
    """

    def __init__(
        self, project: Project, person: Person, landmarker: Landmarker | None = None
    ) -> None:
        project.faces(person)  # raises for anybody else
        self.project, self.person = project, person
        self._landmarker = landmarker
        self._seen: tuple[Clip, ClipFacts, list[Image], list[Points]] | None = None
        if person not in project.clips:
            self.use_sample()

    # Choosing ---------------------------------------------------------------------------------

    def use_sample(self) -> ClipFacts:
        """Take the synthetic sample person.

        Raises:
            FileNotFoundError: if the package was installed without its data.
        """
        return self._take(Clip(str(self.sample)))

    def use_path(self, path: str | os.PathLike[str]) -> ClipFacts:
        """Take a file; of a folder, the first video.

        Args:
            path: on this machine, or "drive:clips/me.mp4" in your Google Drive.

        Raises:
            FileNotFoundError: if there is none.
            ValueError: if it is no video, a damaged one, or a link.
        """
        return self._take(Clip(str(self.videos(path)[0])))

    def use_link(
        self, link: str, sha256: str | None = None, progress: Progress | None = None
    ) -> ClipFacts:
        """Take what a link leads to; it is downloaded into the project, once.

        Args:
            link: to a video or an archive with one, in Google Drive or elsewhere; or the id of a
                file in Google Drive.
            sha256: what the file's SHA-256 must be; None does not check.
            progress: as of `downloading.download`, which see for more errors, too.

        Raises:
            ConnectionError: if it could not be fetched, or broke off; then it goes on from there
                when this is called again.
            ValueError: if it is no link, no video, or not what `sha256` says.
        """
        link = link.strip()
        if "://" not in link and not re.fullmatch(DRIVE_ID, link):
            raise ValueError(
                f"expected a link that begins with https://, or the id of a file in Google Drive, "
                f"got {link!r}; give files on this machine as a path"
            )
        path = download(link, self.project.clips_folder, sha256 or None, progress)
        return self.use_path(str(path))

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

    def trim(self, start_s: float = 0.0, end_s: float | None = None) -> ClipFacts:
        """Use only a part of the clip.

        Args:
            start_s: from here, in seconds after its first frame.
            end_s: to here; None or beyond its end: to its end.

        Raises:
            ValueError: if there is no such part.
        """
        length_s = self.found.info.duration_s
        whole = end_s is None or end_s >= length_s
        end_s = None if whole else end_s
        return self._take(dataclasses.replace(self.clip, start_s=start_s, end_s=end_s))

    # Seeing -----------------------------------------------------------------------------------

    @property
    def sample(self) -> Path:
        """The sample clip of this person."""
        clips = sample_clips()
        return clips.person_a if self.person == "a" else clips.person_b

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
        return Path(self.clip.path) == self.sample.absolute()

    @property
    def training_clip(self) -> Clip:
        """The part to train on: the clip, but of A's sample only what comes before the test."""
        clip = self.clip
        if self.is_sample and self.person == "a" and clip.start_s < TEST_START_S:
            end_s = min(TEST_START_S, clip.end_s or TEST_START_S)
            return dataclasses.replace(clip, end_s=end_s)
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
        found = find_path(path).absolute()
        if not found.is_dir():
            if not found.is_file():
                raise no_clip(found)
            return [found]
        clips = list_videos(found)
        if not clips:
            raise no_video(found)
        return clips

    # Agreeing, and cutting out the faces ------------------------------------------------------

    @property
    def consent(self) -> Subject:
        """Whose face it is and why it may be used; for the sample clip it is known.

        Raises:
            ValueError: until `agree` was called for this clip.
        """
        if self.is_sample:
            return sample_consent("A" if self.person == "a" else "B")
        said = self.project.read("consents", {}).get(self.person, {})
        if said.get("clip") != self.clip.path:
            raise ValueError(
                f"person {self.person}: expected a basis on which this face may be used, got none; "
                f'choose it in the panel, or call panel_{self.person}.agree("self"), with one of '
                f"{get_args(Basis)}"
            )
        return Subject(**said["subject"])

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

    def extract(
        self,
        stride: int = 1,
        size: int = 256,
        again: bool = False,
        where: tuple[float, float] | None = None,
    ) -> ExtractionReport:
        """Cut the face out of each frame of `training_clip`, into the project, with a bar.

        Faces that were cut out of the same part before are left as they are, so that a set that
        was looked through stays so; those of another clip are replaced.

        Args:
            stride: take every stride-th frame.
            size: side of the crops in pixels.
            again: True cuts them out anew in any case.
            where: (x, y) in shares of width and height, 0..1: of several people the one nearest to
                it; None takes the largest face.

        Raises:
            ValueError: as `consent` and `extract_clip`.
            PermissionError: if the consent expired or was withdrawn.
        """
        clip, consent, folder = self.training_clip, self.consent, self.project.faces(self.person)
        consent.check()
        asked = {**dataclasses.asdict(clip), "stride": stride, "size": size}
        asked["where"] = None if where is None else list(where)
        asked["bytes"] = Path(clip.path).stat().st_size
        earlier = (everybody := self.project.read("extracted", {})).get(self.person, {})
        if not again and earlier.get("asked") == asked and (folder / FACES_FILE).is_file():
            logger.info("%s holds the faces of this clip already", folder)
            write_consent(folder, consent)
            return ExtractionReport(folder, **earlier["report"])
        choose = None if where is None else FaceChoice("position", where, "shares")
        report = self._extract(clip, folder, stride, size, consent, choose)
        counts = dataclasses.asdict(report)
        del counts["folder"]
        made = {"asked": asked, "report": counts}
        self.project.write("extracted", {**everybody, self.person: made})
        return report

    # ------------------------------------------------------------------------------------------

    def _extract(
        self,
        clip: Clip,
        folder: Path,
        stride: int,
        size: int,
        consent: Subject,
        choose: FaceChoice | None,
    ) -> ExtractionReport:
        from tqdm.auto import tqdm

        with tqdm(desc=f"person {self.person}", unit="frame") as bar:

            def show(done: int, about: int) -> None:
                bar.total = about
                bar.update(done - bar.n)

            return extract_clip(
                clip.path,
                folder,
                self.landmarker,
                clip.start_s,
                clip.end_s,
                stride,
                size,
                overwrite=True,
                choose=choose,
                consent=consent,
                progress=show,
            )

    def _take(self, clip: Clip) -> ClipFacts:
        """Look at a clip, and if it is one, remember it."""
        clip = dataclasses.replace(clip, path=str(Path(clip.path).absolute()))
        seen = look_at(clip, self.landmarker)
        self.project.choose_clip(self.person, clip)
        self._seen = (clip, *seen)
        return self.found

    def _look(self) -> tuple[ClipFacts, list[Image], list[Points]]:
        clip = self.clip
        if self._seen is None or self._seen[0] != clip:
            self._seen = (clip, *look_at(clip, self.landmarker))
        return self._seen[1:]
