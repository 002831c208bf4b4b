"""Whose face it is, from frame to frame: the choice of a person, and staying with them.

Sizes and distances are in shares of a face's size, the square root of the area of the box around
its points 17-67.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..images import Image, Points
from ..landmarks import INNER
from ..settings import Settings, setting

MOST_KNOWN = 16  # people of a shot who are remembered, the last seen
RECHECKS = 3  # a person who fails so many comparisons in a row is let go


@dataclass(frozen=True, eq=False)
class FaceChoice(Settings):
    """Which person is followed where a frame shows several; chosen anew in each shot."""

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


@dataclass(eq=False)
class _Person:
    """Somebody seen in this shot, and where last."""

    centre: NDArray[np.float64]  # (2,) pixels
    size: float  # pixels
    time_s: float
    velocity: NDArray[np.float64]  # (2,) pixels a second

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
    """

    def __init__(self, choice: FaceChoice | None = None) -> None:
        self.choice = choice or FaceChoice()
        self.track = 0  # counts the people chosen one after another
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
        return [
            who.get(i) or _Person(centre, size, time_s, np.zeros(2))
            for i, (centre, size) in enumerate(places)
        ]

    def _look(
        self, image: Image, time_s: float, faces: Sequence[Points], people: list[_Person]
    ) -> None:
        """Choose somebody if nobody is chosen, or the person is away."""
        candidates = list(range(len(faces)))
        chosen = self._chosen
        if chosen is not None and self.choice.by != "reference":
            candidates = [
                i
                for i in candidates
                if people[i] not in self._known and 0.5 < people[i].size / chosen.size < 2.0
            ]
        if not candidates:
            return
        costs = self._costs(image, [faces[i] for i in candidates])
        best = int(np.argmin(costs))
        if self.choice.by == "reference" and costs[best] > self.choice.max_distance:
            return
        self._take(people[candidates[best]], time_s)

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
        lengths = float(np.linalg.norm(found) * np.linalg.norm(reference))
        return 1.0 - float(found @ reference) / max(lengths, 1e-12)
