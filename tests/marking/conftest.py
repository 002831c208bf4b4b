"""What several of these files use: half a second of person A."""

import pytest

from deepfake_utils.samples import sample_clips
from deepfake_utils.video import read_frames


@pytest.fixture(scope="module")
def frames():
    return list(read_frames(sample_clips().person_a, 0.0, 0.5))
