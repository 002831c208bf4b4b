"""What is measured of a swap in each frame, before a scorecard makes one figure of all frames.

Every clip of a card (the swap, the target as filmed, the right answer laid in) is compared with the
same `Moment`s. Only numbers are kept of a frame once the two after it have been measured.
"""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..detectors.pose import angle_between, head_pose
from ..faces import inner_face_mask
from ..images import Image, Points, check_image, check_points
from ..landmarks import INNER, STEADY, Landmarker, outer_eye_distance
from ..tracking.identity import Descriptor
from ..umeyama import transform_points, umeyama
from .bootstrap import Samples
from .expression import MIN_FRAMES, mouth_opening, visible_eyelid_closing, without_slow_part
from .likeness import (
    fine_detail,
    inner_face_psnr,
    inner_face_ssim,
    lay_onto,
    perfect_swap,
    shape_error,
    sharpness,
)
from .seam import Steps, edge_steps, seam_visibility

# A mouth or eyelids that move less than this have not moved: there is nothing to follow.
MOVES = {"mouth": 0.02, "eyelids": 0.1}


def landmark_jitter(before: Points, now: Points, after: Points) -> float:
    """How much the landmarks of a frame tremble against those of the frames before and after it.

    The root mean square of the second difference of points 17-67, divided by sqrt(6): the standard
    deviation of a coordinate if each frame has noise of its own. Heads move smoothly, so most of it
    is noise; compare with that of the film before the swap, found by the same landmarker.

    Args:
        before: (68, 2), (x, y) in pixels, of the frame before.
        now: of the frame itself.
        after: of the next frame.

    Returns:
        The standard deviation of a coordinate, in percent of the distance between the outer
        corners of the eyes.

    Raises:
        ValueError: if points are not (68, 2).
    """
    before, now, after = (check_points(points, 68) for points in (before, now, after))
    off = (before - 2.0 * now + after)[INNER]
    return 100.0 * float(np.sqrt(np.square(off).mean() / 6.0)) / outer_eye_distance(now)


def frame_change(before: Image, now: Image, points_before: Points, points_now: Points) -> float:
    """How much the inner face changes from one frame to the next, its motion taken out.

    The earlier frame is laid onto the later by the similarity between their landmarks. What is left
    is flicker, and what the mouth, the eyes and the light do; subtract the film's own value.

    Args:
        before: (H, W, 3) RGB uint8.
        now: the same shape.
        points_before: (68, 2), (x, y) in pixels, of the face in `before`; for a swap those of the
            film, for the face ought to follow it.
        points_now: of the face in `now`.

    Returns:
        Mean absolute difference inside the hull of points 17-67, in levels of 0..255.

    Raises:
        TypeError, ValueError: if a frame or the points have a wrong type or shape, or no point lies
            inside the picture.
    """
    check_image(before, "before")
    check_image(now, "now")
    points_before = check_points(points_before, 68, "points_before")
    points_now = check_points(points_now, 68, "points_now")
    size_hw = now.shape[:2]
    inside = inner_face_mask(points_now, size_hw, "points_now")
    laid = lay_onto(before, points_before, points_now, size_hw, STEADY)
    return float(np.abs(laid[inside].astype(np.float64) - now[inside]).mean())


@dataclass(frozen=True)
class Expected:
    """What a face should do at one moment: as the truth does if it is known, else the target."""

    points: Points  # (68, 2), as the landmarker finds them, moved to the target's place
    rotation: NDArray[np.float64]  # (3, 3), head -> camera
    sharpness: float
    detail: float
    mouth: float
    eyelids: float
    steps: Steps  # of colour around the face that are there without a swap


@dataclass(frozen=True)
class Moment:
    """All that the frames of one moment are compared with."""

    target: Image  # (H, W, 3) RGB uint8
    place: Points  # (68, 2), where the target person's features are in it
    truth: Image | None  # (H, W, 3) RGB uint8, the source person doing the same
    truth_points: Points | None  # (68, 2), where that person's features are in it
    perfect: Image | None  # the truth laid into the target's place
    filmed: Points  # (68, 2), as the landmarker finds them in the target
    expected: Expected


def nearest_face(faces: list[Points], place: Points) -> Points | None:
    """Of several faces the one at a place; None if all are further off than the eyes are apart."""
    if not faces:
        return None
    away = [float(np.linalg.norm(face.mean(axis=0) - place.mean(axis=0))) for face in faces]
    index = int(np.argmin(away))
    return faces[index] if away[index] < outer_eye_distance(place) else None


def moment(
    target: Image,
    place: Points | None,
    truth: Image | None,
    truth_points: Points | None,
    landmarker: Landmarker,
) -> Moment | None:
    """Look at target and truth once, for all columns of the card.

    Args:
        target: (H, W, 3) RGB uint8.
        place: (68, 2), where the face is; None is where the landmarker finds it.
        truth: (H, W, 3) RGB uint8, or None.
        truth_points: (68, 2), likewise.
        landmarker: frame -> list of (68, 2) points, largest face first.

    Returns:
        None if no face is found in target or truth.
    """
    if place is None:
        place = next(iter(landmarker(target)), None)
    if truth is not None and truth_points is None:
        truth_points = next(iter(landmarker(truth)), None)
    if place is None or (truth is not None and truth_points is None):
        return None
    filmed = _found(landmarker, target, place)
    if truth is None or truth_points is None:
        expected = _expected(target, place, filmed)
        return Moment(target, place, None, None, None, filmed, expected)
    perfect = perfect_swap(truth, truth_points, place)
    there = _found(landmarker, truth, truth_points)
    moved = transform_points(there, umeyama(truth_points[INNER], place[INNER]))
    expected = _expected(perfect, place, moved)
    steps = np.maximum(expected.steps, edge_steps(target, place))
    expected = dataclasses.replace(expected, steps=steps)
    return Moment(target, place, truth, truth_points, perfect, filmed, expected)


def _found(landmarker: Landmarker, image: Image, place: Points) -> Points:
    """Where the landmarker finds the face that is at a place; that place if it does not."""
    found = nearest_face(landmarker(image), place)
    return place if found is None else found


def _expected(image: Image, place: Points, points: Points) -> Expected:
    return Expected(
        points,
        head_pose(points, image.shape[:2]).rotation,
        sharpness(image, place),
        fine_detail(image, place),
        float(mouth_opening(points)),
        visible_eyelid_closing(image, points),
        edge_steps(image, place),
    )


class Column:
    """The measures of one clip.

    Args:
        landmarker: frame -> list of (68, 2) points, largest face first.
        describe: tells whose face it is, or None.
    """

    def __init__(
        self, landmarker: Landmarker, describe: Callable[[Image, Points], Descriptor] | None
    ) -> None:
        self._landmarker = landmarker
        self._describe = describe
        self._rows: dict[str, list[tuple[float, ...]]] = defaultdict(list)
        self._descriptors: list[Descriptor] = []
        self._frames: list[tuple[Image, Moment]] = []  # of up to two moments before
        self._points: list[Points | None] = []

    def add(self, frame: Image, at: Moment, describe: bool) -> None:
        """Measure the next frame.

        Args:
            frame: (H, W, 3) RGB uint8, of the target's size.
            at: what it is compared with.
            describe: whether to look whose face it is, too, which takes longest.
        """
        put, expected = self._rows, at.expected
        if at.truth is not None and at.truth_points is not None:
            pair = frame, at.place, at.truth, at.truth_points
            put["psnr"].append((inner_face_psnr(*pair),))
            put["ssim"].append((inner_face_ssim(*pair),))
        put["sharpness"].append((sharpness(frame, at.place), expected.sharpness))
        put["detail"].append((fine_detail(frame, at.place), expected.detail))
        put["seam"].append((seam_visibility(edge_steps(frame, at.place), expected.steps),))
        points = nearest_face(self._landmarker(frame), at.place)
        put["found"].append((100.0 * (points is not None),))
        mouth = lids = math.nan
        if points is not None:
            pose = head_pose(points, frame.shape[:2])
            put["pose"].append((angle_between(pose.rotation, expected.rotation),))
            put["shape"].append((shape_error(points, expected.points),))
            mouth, lids = float(mouth_opening(points)), visible_eyelid_closing(frame, points)
        put["mouth"].append((mouth, expected.mouth))
        put["eyelids"].append((lids, expected.eyelids))
        if self._describe is not None and describe:
            self._descriptors.append(self._describe(frame, at.place))
        self._compare_with_before(frame, at, points)

    def _compare_with_before(self, frame: Image, at: Moment, points: Points | None) -> None:
        if self._frames:
            before, then = self._frames[-1]
            place = then.place, at.place
            own = frame_change(then.target, at.target, *place)
            self._rows["flicker"].append((frame_change(before, frame, *place), own))
        self._points.append(points)
        self._frames.append((frame, at))
        if len(self._frames) < 3:
            return
        found = [each for each in self._points if each is not None]
        if len(found) == 3:
            films = [each.filmed for _, each in self._frames]
            self._rows["jitter"].append((landmark_jitter(*found), landmark_jitter(*films)))
        del self._frames[0], self._points[0]

    def gap(self) -> None:
        """Note that a frame was left out: the next one is not compared with earlier ones."""
        self._frames.clear()
        self._points.clear()

    @property
    def descriptors(self) -> list[Descriptor]:
        """Of the frames that were described."""
        return self._descriptors

    def samples(self, reach: int) -> dict[str, Samples]:
        """(N, K) numbers of each measure, K as its statistic wants it; without whose face it is.

        Args:
            reach: frames before and after, over which eyelids are compared with their usual.
        """
        found = {key: np.array(rows, np.float64) for key, rows in self._rows.items()}
        for key in ("mouth", "eyelids"):
            both = found.pop(key)
            if key == "eyelids":
                both = np.stack([without_slow_part(curve, reach) for curve in both.T], axis=1)
            both = both[np.isfinite(both).all(axis=1)]
            if len(both) >= MIN_FRAMES and np.ptp(both[:, 1]) > MOVES[key]:
                found[key] = both
        return found


def identity_samples(
    seen: list[Descriptor], source: Descriptor, target: Descriptor
) -> dict[str, Samples]:
    """Whose face a clip shows: distances to two people, and who is nearer.

    Args:
        seen: descriptors (128,) of the clip's frames.
        source: mean descriptor of the person whose face should be seen.
        target: mean descriptor of the person who was filmed.
    """
    faces = np.stack(seen)
    to_source, to_target = (np.linalg.norm(faces - each, axis=1) for each in (source, target))
    return {
        "to_source": to_source[:, None],
        "to_target": to_target[:, None],
        "nearer_source": 100.0 * (to_source < to_target)[:, None],
    }
