"""The sample clips: two synthetic people, and the right answer to swapping one onto the other.

Rendered from ICT-FaceKit geometry (MIT, University of Southern California); no real person. See
data/samples/LICENSE and NOTICE.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .consent import Subject, read_consent

_FOLDER = Path(__file__).parent / "data" / "samples"

FPS = 25.0  # frames per second of all three clips
TEST_START_S = 14.0  # person A's first 14 s are for training, the last 4 s for testing


class SampleClips(NamedTuple):
    """Paths of the three clips, 384x384 at 25 frames a second, with sound."""

    person_a: Path  # 450 frames, 18 s; train on the first 14 s, swap the last 4 s
    person_b: Path  # 350 frames, 14 s: other words, pose, light and room
    person_b_as_a: Path  # 100 frames, 4 s: person B doing what A does in the last 4 s


class Truth(NamedTuple):
    """What the renderer knows; a, b and b_as_a are the three clips, n their frames."""

    landmarks_a: NDArray[np.float64]  # (450, 68, 2), (x, y) in pixels
    landmarks_b: NDArray[np.float64]  # (350, 68, 2)
    landmarks_b_as_a: NDArray[np.float64]  # (100, 68, 2)
    pose_a: NDArray[np.float64]  # (450, 3): yaw, pitch, roll in degrees
    pose_b: NDArray[np.float64]  # (350, 3)
    pose_b_as_a: NDArray[np.float64]  # (100, 3)
    jaw_a: NDArray[np.float64]  # (450,): how far the jaw is open, 0..1
    jaw_b: NDArray[np.float64]  # (350,)
    jaw_b_as_a: NDArray[np.float64]  # (100,)
    blink_a: NDArray[np.float64]  # (450,): how far the eyelids are closed, 0..1
    blink_b: NDArray[np.float64]  # (350,)
    blink_b_as_a: NDArray[np.float64]  # (100,)


def sample_clips() -> SampleClips:
    """Paths of the sample clips inside the installed package.

    Raises:
        FileNotFoundError: if the package was installed without its data.
    """
    clips = SampleClips(
        _FOLDER / "person_a.mp4", _FOLDER / "person_b.mp4", _FOLDER / "person_b_as_a.mp4"
    )
    for path in clips:
        if not path.is_file():
            raise FileNotFoundError(f"no sample clip at {path}; install the package again")
    return clips


def sample_consent(person: Literal["A", "B"]) -> Subject:
    """The record of consent of a sample person, who is synthetic, for `extract_faces`.

    Raises:
        FileNotFoundError: if the package was installed without its data.
        ValueError: if there is no such person.
    """
    consent = read_consent(_FOLDER)
    if consent is None:
        raise FileNotFoundError(f"no consent.json in {_FOLDER}; install the package again")
    for subject in consent.subjects:
        if subject.id == person:
            # There the files are the films; every crop that is cut out of them shows that person.
            return dataclasses.replace(subject, files=("*",))
    raise ValueError(f"expected 'A' or 'B', got {person!r}")


def load_truth() -> Truth:
    """What is known of each frame of the sample clips.

    Raises:
        FileNotFoundError: if the package was installed without its data.
    """
    path = _FOLDER / "truth.npz"
    if not path.is_file():
        raise FileNotFoundError(f"no {path}; install the package again")
    with np.load(path, allow_pickle=False) as data:
        return Truth(**{name: data[name].astype(np.float64) for name in Truth._fields})
