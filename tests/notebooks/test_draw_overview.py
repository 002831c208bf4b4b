"""pytest tests/notebooks/test_draw_overview.py: the figure shows the network's own tensors."""

import numpy as np
import pytest
import torch
from draw_overview import maps_image, plot_overview, trace

from deepfake_utils.autoencoder import FaceSwapAutoencoder, preset
from deepfake_utils.swapping import Swapper


@pytest.fixture(scope="module")
def model():
    return FaceSwapAutoencoder(preset("quick", 64)).eval()


def test_a_trace_ends_with_what_the_network_draws(model):
    face = torch.rand(3, 64, 64)
    stages = trace(model, face, "B")
    with torch.inference_mode():
        torch.testing.assert_close(stages[-1].tensor, model(face[None], "B")[0])
    sizes = [stage.tensor.shape[-1] for stage in stages if stage.tensor.ndim == 3]
    assert sizes == [32, 16, 8, 4, 8, 16, 32, 64]
    assert [stage.part for stage in stages].count("B") == 3
    assert [stage.name for stage in stages if stage.tensor.ndim == 1] == ["code of 256"]


def test_a_trace_leaves_no_hooks(model):
    trace(model, torch.rand(3, 64, 64), "A")
    assert not any(module._forward_hooks for module in model.modules())


def test_both_people_share_the_encoders_stages_and_not_the_decoders(model):
    face = torch.rand(3, 64, 64)
    as_a, as_b = trace(model, face, "A"), trace(model, face, "B")
    for one, other in zip(as_a, as_b, strict=True):
        assert torch.equal(one.tensor, other.tensor) == (one.part == "encoder")


def test_maps_are_laid_out_in_a_square():
    picture = maps_image(torch.rand(5, 12, 12), count=4)
    assert picture.shape == (25, 25) and np.isnan(picture[12]).all()
    assert np.nanmin(picture) == 0.0 and np.nanmax(picture) == 1.0
    assert maps_image(torch.arange(10.0)).shape == (4, 4)


def test_the_busiest_maps_are_shown():
    maps = torch.zeros(20, 4, 4)
    maps[7] = torch.linspace(0, 1, 16).reshape(4, 4)
    assert np.nanmax(maps_image(maps, count=1)) == 1.0


def test_a_frame_without_a_face_says_so(model):
    swapper = Swapper(model, lambda frame: [], device="cpu")
    with pytest.raises(ValueError, match="choose another frame"):
        plot_overview(swapper, None, None, np.zeros((64, 64, 3), np.uint8))
