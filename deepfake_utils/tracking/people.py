"""Whose face it is, from frame to frame: the choice of a person, and staying with them.

Sizes and distances are in shares of a face's size, the square root of the area of the box around
its points 17-67.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..images import Image, Points, read_image
from ..landmarks import INNER, Landmarker
from ..settings import Settings, setting
from .identity import cosine_distance, face_embedder

MOST_KNOWN = 16  # people of a shot who are remembered, the last seen
ONE_PICTURE = 1.25  # times what means of several pictures may differ, single ones may
RECHECKS = 3  # a person who fails so many comparisons in a row is let go


@dataclass(frozen=True, eq=False)
class FaceChoice(Settings):
    """Which person is followed where several are seen.

    By size somebody is chosen anew in each shot. By position that is so in the first shot; in later
    ones it is whoever looks like them, if anybody does.
    """

    by: Literal["size", "position", "reference"] = setting(
        "size", "the largest face, the nearest one, or the one most like a reference"
    )
    position: tuple[float, float] | None = setting(None, "(x, y) that the face is nearest to")
    unit: Literal["pixels", "shares"] = setting(
        "pixels", "of the position; shares are of width and height, 0..1"
    )
    reference: NDArray[Any] | None = setting(None, "(D,) embedding of the person")
    embed: Callable[[Image, Points], NDArray[Any]] | None = setting(
        None, "frame, (68, 2) -> (D,) embedding"
    )
    max_distance: float = setting(
        0.1, "cosine distance up to which it is them; for IdentityModel", above=0.0, most=2.0
    )
    recheck_s: float | None = setting(
        1.0, "how often, in seconds, the reference is compared again; None is never", least=0.0
    )

    def __post_init__(self) -> None:
        """Check the ranges, and that all that is needed is there.

        Raises:
            ValueError: naming the field, what it should be, and what it is.
        """
        super().__post_init__()
        if self.by == "position" and (self.position is None or len(self.position) != 2):
            raise ValueError(
                f"position: expected (x, y), got {self.position}; pass position=(x, y)"
            )
        if self.by == "reference" and (self.reference is None or self.embed is None):
            raise ValueError(
                "by 'reference': expected a reference and a function embed, got at least one None; "
                "pass both, e.g. reference=embed(frame, points)"
            )

    @classmethod
    def like(cls, picture: str | os.PathLike[str] | Image, landmarker: Landmarker) -> FaceChoice:
        """The person whom a picture shows, by the largest face in it.

        Told by `IdentityModel` if the extra `score` is installed, else by `FaceCode`.

        Args:
            picture: a file, e.g. one of those that `extract_clip` wrote of each person, or
                (H, W, 3) RGB uint8.
            landmarker: frame -> list of (68, 2) points.

        Raises:
            ValueError: if no face is found in it.
        """
        image = picture if isinstance(picture, np.ndarray) else read_image(picture)
        faces = landmarker(image)
        if not faces:
            raise ValueError(
                "picture: expected a face, got none; take one that shows it from the front, larger"
            )
        embed = face_embedder()
        reference = embed(image, faces[0])
        return cls("reference", None, "pixels", reference, embed, ONE_PICTURE * embed.alike)


@dataclass(eq=False)
class _Person:
    """Somebody seen in this shot, and where last."""

    number: int  # of all that were seen in the film
    centre: NDArray[np.float64]  # (2,) pixels
    size: float  # pixels
    time_s: float
    velocity: NDArray[np.float64]  # (2,) pixels a second
    code: NDArray[np.float64] | None = None  # sum of what was embedded of their face

    def update(self, centre: NDArray[np.float64], size: float, time_s: float) -> None:
        """Note where the person is now."""
        moved = (centre - self.centre) / max(time_s - self.time_s, 1e-3)
        self.velocity = (self.velocity + moved) / 2.0
        self.centre, self.size, self.time_s = centre, size, time_s

    def distance(self, centre: NDArray[np.float64], size: float, time_s: float) -> float:
        """How unlike a face is to be the person, where 1 is too far.

        That is how far it is from where the motion so far leads, in shares of a face, and by which
        factor the size changed; somebody who was away for longer may turn up farther off.
        """
        away_s = min(time_s - self.time_s, 1.0)
        ahead = self.centre + self.velocity * min(away_s, 0.2)
        off = float(np.linalg.norm(centre - ahead)) / min(size, self.size)
        return (off + abs(math.log(size / self.size))) / (0.5 + away_s)


def _place(points: Points) -> tuple[NDArray[np.float64], float]:
    """Centre (2,) and size of a face, in pixels."""
    low, high = points[INNER].min(axis=0), points[INNER].max(axis=0)
    return (low + high) / 2.0, max(math.sqrt(float(np.prod(high - low))), 1e-3)


class FaceFollower:
    """Picks one person at the start of a shot and stays with them.

    All faces of a shot are followed, each to the face that is nearest in place and size to where
    its motion leads, so that the choice does not go over to somebody else who becomes larger or
    comes nearer. While the person is away, a face of about their size that no other is known by is
    taken for them; with a reference, only one that is like it.

    Args:
        choice: which person; None is the largest face.

    Attributes:
        track: counts the people chosen one after another.
        seen: everybody in the last frame: a number that stays theirs within a shot, and (68, 2).
    """

    def __init__(self, choice: FaceChoice | None = None) -> None:
        self.choice = choice or FaceChoice()
        self.track = 0
        self.seen: tuple[tuple[int, Points], ...] = ()
        self._people = 0  # seen so far
        self._wanted: NDArray[np.float64] | None = None  # code of who was chosen by position
        self.reset()

    def reset(self) -> None:
        """Forget everybody, as at a cut."""
        self._known: list[_Person] = []
        self._chosen: _Person | None = None
        self._checked_s = -math.inf
        self._failed = 0

    def jumped(self, faces: Sequence[Points], time_s: float) -> bool:
        """Whether there are faces, but none that can be the person followed in the last frame.

        Args:
            faces: (68, 2) each, (x, y) in pixels.
            time_s: when this frame is shown.
        """
        if self._chosen is None or not faces:
            return False
        return all(self._chosen.distance(*_place(face), time_s) > 1.0 for face in faces)

    def __call__(self, image: Image, time_s: float, faces: Sequence[Points]) -> Points | None:
        """The face of the person followed in the next frame; None if they are not among them.

        Args:
            image: (H, W, 3) RGB uint8.
            time_s: later than the frame before.
            faces: (68, 2) each, in frame pixels.

        Raises:
            ValueError: if an embedding has another shape than the reference.
        """
        people = self._recognise(faces, time_s)
        here = self._chosen in people
        if self._chosen is None or not here:
            self._look(image, time_s, faces, people)
        elif self._due(time_s):
            self._recheck(image, time_s, faces, people)
        for person, face in zip(people, faces, strict=True):
            if person not in self._known:
                self._known.append(person)
            person.update(*_place(face), time_s)
        self.seen = tuple((p.number, face) for p, face in zip(people, faces, strict=True))
        self._known.sort(key=lambda person: -person.time_s)
        del self._known[MOST_KNOWN:]
        return next((f for p, f in zip(people, faces, strict=True) if p is self._chosen), None)

    def _recognise(self, faces: Sequence[Points], time_s: float) -> list[_Person]:
        """Who each face is: somebody known, the nearest pair first, or somebody new."""
        places = [_place(face) for face in faces]
        pairs = sorted(
            (person.distance(*place, time_s), i, k)
            for i, place in enumerate(places)
            for k, person in enumerate(self._known)
        )
        who: dict[int, _Person] = {}
        for distance, i, k in pairs:
            if distance <= 1.0 and i not in who and self._known[k] not in who.values():
                who[i] = self._known[k]
        for i, (centre, size) in enumerate(places):
            if i not in who:
                self._people += 1
                who[i] = _Person(self._people, centre, size, time_s, np.zeros(2))
        return [who[i] for i in range(len(places))]

    def _look(
        self, image: Image, time_s: float, faces: Sequence[Points], people: list[_Person]
    ) -> None:
        """Choose somebody if nobody is chosen, or the person is away."""
        candidates = list(range(len(faces)))
        chosen, limit = self._chosen, math.inf
        if self.choice.by == "reference":
            limit = self.choice.max_distance
        elif chosen is not None:
            candidates = [
                i
                for i in candidates
                if people[i] not in self._known and 0.5 < people[i].size / chosen.size < 2.0
            ]
        if not candidates:
            return
        costs = self._costs(image, [faces[i] for i in candidates])
        if self.choice.by == "position" and chosen is None and self._wanted is not None:
            wanted, limit = self._wanted, ONE_PICTURE * face_embedder().alike
            costs = [
                cosine_distance(self._code(image, faces[i], people[i]), wanted) for i in candidates
            ]
        best = int(np.argmin(costs))
        if costs[best] <= limit:
            person = people[candidates[best]]
            self._take(person, time_s)
            if self.choice.by == "position":
                self._wanted = self._code(image, faces[candidates[best]], person)

    def _code(self, image: Image, face: Points, person: _Person) -> NDArray[np.float64]:
        """The sum of somebody's codes so far, with that of this frame."""
        code = np.asarray(face_embedder()(image, face), np.float64)
        person.code = code if person.code is None else person.code + code
        return person.code

    def _take(self, person: _Person, time_s: float) -> None:
        self._chosen, self._checked_s, self._failed = person, time_s, 0
        self.track += 1

    def _due(self, time_s: float) -> bool:
        pause_s = self.choice.recheck_s
        by_reference = self.choice.by == "reference" and pause_s is not None
        return by_reference and time_s - self._checked_s >= (pause_s or 0.0)

    def _recheck(
        self, image: Image, time_s: float, faces: Sequence[Points], people: list[_Person]
    ) -> None:
        """Compare with the reference again; go over to somebody else who fits, or let go."""
        self._checked_s = time_s
        costs = self._costs(image, faces)
        if costs[people.index(self._chosen)] <= self.choice.max_distance:  # type: ignore[arg-type]
            self._failed = 0
            return
        self._failed += 1
        best = int(np.argmin(costs))
        if costs[best] <= self.choice.max_distance:
            self._take(people[best], time_s)
        elif self._failed >= RECHECKS:  # one failure may be a blurred or turned face
            self._chosen = None

    def _costs(self, image: Image, faces: Sequence[Points]) -> list[float]:
        """How little each face is the one wanted."""
        choice = self.choice
        if choice.by == "reference":
            return [self._identity_distance(image, face) for face in faces]
        places = [_place(face) for face in faces]
        if choice.by == "size" or choice.position is None:
            return [-size for _, size in places]
        aim = np.asarray(choice.position, np.float64)
        if choice.unit == "shares":
            aim = aim * image.shape[1::-1] - 0.5  # shares run over pixels' outer edges
        return [float(np.linalg.norm(centre - aim)) for centre, _ in places]

    def _identity_distance(self, image: Image, face: Points) -> float:
        """Cosine distance of a face to the reference, 0..2."""
        if self.choice.embed is None or self.choice.reference is None:
            return 2.0
        reference = np.asarray(self.choice.reference, np.float64)
        found = np.asarray(self.choice.embed(image, face), np.float64)
        if found.shape != reference.shape:
            raise ValueError(
                f"embed: expected the reference's shape {reference.shape}, got {found.shape}; "
                "make the reference by the same function"
            )
        return cosine_distance(found, reference)
