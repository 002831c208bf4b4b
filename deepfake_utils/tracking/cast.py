"""Who is seen in a film: the people followed within shots, known again across cuts."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..faces import align_face
from ..images import Image
from .identity import FaceCode, IdentityModel, cosine_distance, face_embedder
from .people import FaceChoice
from .steadying import TrackedFrame

SAMPLES = 12  # most pictures of a track that are looked at closely
NO_CROP = -1  # in place of a track
FEWEST = 3  # frames; what was seen in fewer is no person by itself, but a false or a fleeting face
PICTURE = 256  # side of a person's picture in pixels
SEVERAL = (  # the film, the folder, and who is in it
    "%s: the crops in %s are of several people. Look at their pictures, then drop the others in "
    "the faces panel, or extract one person only: with choose=FaceChoice.like(picture, find), or "
    "in the clip's panel with like=picture or where=(x, y).\n%s"
)


@dataclass(eq=False)
class Track:
    """Somebody followed through a shot."""

    shot: int  # from 0
    first_s: float  # when they were first seen, in seconds
    frames: int = 0
    looks: int = 0  # how often it was looked at closely
    codes: NDArray[np.float64] = field(default_factory=lambda: np.zeros(()))  # their sum, (D,)
    size: float = 0.0  # of the largest of those faces, whose picture is kept; pixels
    beside: set[int] = field(default_factory=set)  # tracks seen in the same frame


@dataclass(frozen=True)
class CastMember:
    """Somebody seen in a film that shows several people."""

    number: int  # from 1, in the order in which they are first seen
    first_s: float  # when that is, in seconds
    shots: tuple[int, ...]  # in which they are seen, from 1
    frames: int  # in which they are seen
    crops: int  # in the folder
    picture: str  # path of a picture of them, (256, 256)

    def __str__(self) -> str:
        return (
            f"person {self.number}: from {self.first_s:.1f} s on, in {self.frames} frames, "
            f"{self.crops} crops; {self.picture}"
        )


@dataclass(frozen=True)
class Person:
    """Somebody seen in a film."""

    number: int  # from 1, in the order in which they are first seen
    tracks: tuple[int, ...]  # by their numbers in `TrackedFrame.seen`
    shots: tuple[int, ...]  # in which they are seen, from 0
    first_s: float  # when they are first seen, in seconds
    frames: int  # in which they are seen
    picture: Image  # (256, 256, 3) RGB uint8, their largest face


@dataclass(frozen=True)
class Settled:
    """Who the faces of a film are."""

    # By track, the number of the person; of fleeting faces there is none.
    owner: dict[int, int] = field(default_factory=dict)
    wanted: int | None = None  # the person asked for; None is anybody
    members: tuple[tuple[Image, CastMember], ...] = ()  # people and pictures, if there are several

    def wants(self, track: int) -> bool:
        """Whether a crop of that track was asked for."""
        return self.wanted in (None, self.owner.get(track, 0))


class _Pictures:
    """Pictures (256, 256, 3) by number, in a nameless file, as a film may have many shots."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()

    def __setitem__(self, number: int, picture: Image) -> None:
        self._file.seek(number * 3 * PICTURE**2)
        self._file.write(picture.tobytes())

    def __getitem__(self, number: int) -> Image:
        self._file.seek(number * 3 * PICTURE**2)
        data = np.frombuffer(self._file.read(3 * PICTURE**2), np.uint8)
        return data.reshape(PICTURE, PICTURE, 3)


class Cast:
    """Notes who is seen, frame by frame.

    Args:
        choose: whom the crops are to show; None is anybody.
    """

    def __init__(self, choose: FaceChoice | None = None) -> None:
        self.shots = 0
        self.tracks: dict[int, Track] = {}
        self._choose = choose or FaceChoice()
        self._pictures = _Pictures()

    def see(self, frame: TrackedFrame) -> None:
        """Note a frame; to be called for each, in order."""
        self.shots += frame.cut or not self.shots
        numbers = {number for number, _ in frame.seen}
        for number, points in frame.seen:
            track = self.tracks.setdefault(number, Track(self.shots - 1, frame.time_s))
            track.beside |= numbers - {number}
            track.frames += 1
            # More closely at first, then less and less often: short and long tracks get their due.
            due = round(1.6**track.looks) + 1
            if track.frames < due or track.looks == SAMPLES:
                continue
            track.codes = track.codes + face_embedder()(frame.image, points)
            track.looks += 1
            size = float(np.ptp(points[:, 1]))
            if size > track.size:
                track.size = size
                self._pictures[number] = align_face(frame.image, points, PICTURE).image

    def track_of(self, frame: TrackedFrame) -> int:
        """The number of the track of the face that is followed in a frame."""
        return next(number for number, found in frame.seen if found is frame.raw)

    def settle(self, tracks: Sequence[int], folder: Path) -> Settled:
        """Say who is who, and whose crops were asked for.

        By position the person of the first crop was asked for, by reference the one most like it.

        Args:
            tracks: of each frame's crop, as `track_of` gave it; NO_CROP where there is none.
            folder: where the people's pictures will be.
        """
        people = self.people()
        owner = {track: one.number for one in people for track in one.tracks}
        crops = Counter(owner[track] for track in tracks if track in owner)
        wanted = self._wanted(people, crops)
        members = []
        for one in people if len(people) > 1 else ():
            shots, path = tuple(shot + 1 for shot in one.shots), folder / f"person_{one.number}.png"
            taken = crops[one.number] if wanted in (None, one.number) else 0
            member = CastMember(one.number, one.first_s, shots, one.frames, taken, str(path))
            members.append((one.picture, member))
        return Settled(owner, wanted, tuple(members))

    def _wanted(self, people: Sequence[Person], crops: Counter[int]) -> int | None:
        """The number of the person asked for, None for anybody.

        Args:
            people: all there are.
            crops: how many each has, by their numbers, whoever has the first crop first.
        """
        choose = self._choose
        if choose.by == "size" or not crops:
            return None
        if choose.by == "position":
            return next(iter(crops))
        if isinstance(choose.embed, FaceCode | IdentityModel) and choose.reference is not None:
            reference = np.asarray(choose.reference, np.float64)
            known = {one.number: self._mean(one.tracks) for one in people}
            return min(crops, key=lambda number: cosine_distance(known[number], reference))
        return crops.most_common(1)[0][0]

    def people(self) -> tuple[Person, ...]:
        """Who was seen so far, in the order of their first appearance.

        The two groups of tracks that are most alike are joined again and again, as long as their
        mean codes are near enough and nobody of one was seen beside somebody of the other.
        """
        groups = [[number] for number, track in self.tracks.items() if track.looks]
        apart = self._apart(groups)
        while len(groups) > 1:
            one, other = sorted(divmod(int(apart.argmin()), len(groups)))
            if apart[one, other] > face_embedder().alike:
                break
            groups[one] += groups.pop(other)
            apart = np.delete(np.delete(apart, other, 0), other, 1)
            apart[one] = apart[:, one] = self._apart(groups, one)
        long = [group for group in groups if self._frames(group) >= FEWEST] or groups[:1]
        long.sort(key=lambda group: min(self.tracks[number].first_s for number in group))
        return tuple(self._person(i, group) for i, group in enumerate(long, start=1))

    def _frames(self, group: Sequence[int]) -> int:
        return sum(self.tracks[number].frames for number in group)

    def _mean(self, group: Sequence[int]) -> NDArray[np.float64]:
        """Mean code of tracks, each by how often it was looked at."""
        total = np.sum([self.tracks[number].codes for number in group], axis=0)
        return np.asarray(total / sum(self.tracks[number].looks for number in group))

    def _apart(self, groups: Sequence[Sequence[int]], one: int | None = None) -> NDArray[Any]:
        """How far the codes of groups are apart, (G, G), or of group `one` from all, (G,).

        Infinitely far where somebody of one was seen beside somebody of the other.
        """
        codes = np.stack([self._mean(group) for group in groups]) if groups else np.empty((0, 1))
        codes = codes / np.maximum(np.linalg.norm(codes, axis=1, keepdims=True), 1e-12)
        beside = [set().union(*(self.tracks[n].beside for n in group)) for group in groups]
        rows = range(len(groups)) if one is None else [one]
        apart = 1.0 - codes[rows] @ codes.T
        for row, i in zip(apart, rows, strict=True):
            row[[k == i or not beside[i].isdisjoint(g) for k, g in enumerate(groups)]] = np.inf
        return apart if one is None else apart[0]

    def _person(self, number: int, group: Sequence[int]) -> Person:
        tracks = [self.tracks[each] for each in group]
        largest = max(group, key=lambda each: self.tracks[each].size)
        return Person(
            number,
            tuple(group),
            tuple(sorted({track.shot for track in tracks})),
            min(track.first_s for track in tracks),
            self._frames(group),
            self._pictures[largest],
        )
