import numpy as np
import pytest
import torch
import torch.nn.functional as F

from deepfake_utils.lessons import shuffling
from deepfake_utils.lessons.shuffling import Layer, Multiplications


def by_pytorch(maps, r):
    moved = torch.from_numpy(maps).permute(2, 0, 1)[None]
    return torch.nn.PixelShuffle(r)(moved)[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("r", [1, 2, 3])
@pytest.mark.parametrize("colours", [1, 3])
def test_three_ways_to_shuffle_agree(r, colours, rng):
    maps = rng.random((4, 5, colours * r * r))
    by_hand = shuffling.pixel_shuffle_by_hand(maps, r)
    assert by_hand.shape == (4 * r, 5 * r, colours)
    assert np.array_equal(by_hand, shuffling.pixel_shuffle_by_reshape(maps, r))
    assert np.array_equal(by_hand, by_pytorch(maps, r))
    assert np.array_equal(np.sort(by_hand, axis=None), np.sort(maps, axis=None))


@pytest.mark.parametrize("r", [2, 3])
def test_tensorflows_order_and_back(r, rng):
    maps = rng.random((3, 4, 3 * r * r))
    theirs = shuffling.pixel_shuffle_by_hand(maps, r, "tensorflow")
    assert np.array_equal(theirs, shuffling.pixel_shuffle_by_reshape(maps, r, "tensorflow"))
    assert not np.array_equal(theirs, shuffling.pixel_shuffle_by_hand(maps, r))
    turned = maps[..., shuffling.to_pytorch_order(3, r)]
    assert np.array_equal(theirs, shuffling.pixel_shuffle_by_hand(turned, r))
    # What `depth_to_space` states for H = W = 1: the channels of a place lie together.
    assert np.array_equal(
        shuffling.pixel_shuffle_by_hand(np.arange(12).reshape(1, 1, 12), 2, "tensorflow"),
        np.arange(12).reshape(2, 2, 3),
    )


@pytest.mark.parametrize("shuffle", ["pixel_shuffle_by_hand", "pixel_shuffle_by_reshape"])
def test_maps_that_do_not_fit_say_so(shuffle):
    with pytest.raises(ValueError, match=r"expected maps \(H, W, C \* 4\) to enlarge 2 times"):
        getattr(shuffling, shuffle)(np.zeros((2, 2, 6)), 2)


@pytest.mark.parametrize(("r", "kernel"), [(2, 3), (2, 4), (3, 5), (4, 1)])
def test_zeros_are_counted_as_by_hand(r, kernel):
    found = shuffling.zeros_in_transposed_convolution((5, 6), r, kernel)
    stuffed, every, zero = shuffling.stuff_zeros(np.ones((5, 6)), r), 0, 0
    for y in range(stuffed.shape[0]):
        for x in range(stuffed.shape[1]):
            for v in range(y - kernel // 2, y - kernel // 2 + kernel):
                for u in range(x - kernel // 2, x - kernel // 2 + kernel):
                    if 0 <= v < stuffed.shape[0] and 0 <= u < stuffed.shape[1]:
                        every, zero = every + 1, zero + int(stuffed[v, u] == 0.0)
    assert found == Multiplications(every, zero)
    assert found.share == pytest.approx(1.0 - 1.0 / r**2, abs=0.05)


def test_a_transposed_convolution_is_a_convolution_of_stuffed_zeros():
    picture, kernel = torch.randn(4, 5, dtype=torch.float64), torch.randn(3, 3, dtype=torch.float64)
    stuffed = torch.from_numpy(shuffling.stuff_zeros(picture.numpy(), 2))
    plain = F.conv2d(stuffed[None, None], kernel.flip(0, 1)[None, None], padding=1)
    transposed = F.conv_transpose2d(
        picture[None, None], kernel[None, None], stride=2, padding=1, output_padding=1
    )
    assert torch.allclose(plain, transposed)


@pytest.mark.parametrize(("r", "k"), [(2, 3), (3, 1), (3, 5)])
def test_pixel_shuffle_is_a_transposed_convolution_with_other_weights(r, k):
    weight, x = torch.randn(2 * r * r, 3, k, k).double(), torch.randn(2, 3, 7, 6).double()
    shuffled = F.pixel_shuffle(F.conv2d(x, weight, padding=k // 2), r)
    kernel = shuffling.as_transposed(weight, r)
    assert kernel.shape == (3, 2, r * k, r * k)
    transposed = F.conv_transpose2d(x, kernel, stride=r, padding=r * (k // 2))
    assert torch.allclose(shuffled, transposed)


@pytest.mark.parametrize("stride", [2, 3])
@pytest.mark.parametrize("kernel", range(1, 8))
def test_overlap_is_even_if_the_kernel_is_a_multiple_of_the_stride(kernel, stride):
    counts = shuffling.overlap(kernel, stride, 4)
    assert counts.shape == (4 * stride, 4 * stride)
    assert counts.mean() == pytest.approx(kernel**2 / stride**2)
    assert (counts.min() == counts.max()) == (kernel % stride == 0)
    assert (shuffling.checkerboard(counts, stride) == 0.0) == (kernel % stride == 0)


def test_checkerboard_finds_its_period_and_nothing_in_noise(rng):
    board = np.indices((24, 24)).sum(0) % 2 * 10.0
    assert shuffling.checkerboard(board, 2) == pytest.approx(5.0)
    assert shuffling.checkerboard(board, 3) == pytest.approx(0.0)  # odd tiles average it out
    noise = rng.normal(0.0, 5.0, (240, 240))
    assert shuffling.checkerboard(noise, 2) < 0.2
    assert shuffling.checkerboard(np.pad(board, ((0, 1), (0, 1))), 2) == pytest.approx(5.0)


def test_icnr_draws_equal_pixels_as_enlarged_by_nearest_neighbours():
    weight, x = torch.randn(2 * 9, 3, 3, 3), torch.randn(1, 3, 6, 5)
    kept = weight[::9].clone()
    assert shuffling.icnr_(weight, 3) is weight
    drawn = F.pixel_shuffle(F.conv2d(x, weight, padding=1), 3)
    nearest = F.interpolate(F.conv2d(x, kept, padding=1), scale_factor=3.0)
    assert torch.allclose(drawn, nearest, atol=1e-5)


@pytest.mark.parametrize("kind", shuffling.UPSAMPLERS)
def test_upsamplers_enlarge_twice_learn_and_start_equally(kind):
    large = torch.rand(1, 1, 16, 16)
    small = F.avg_pool2d(large, 2)
    losses = list(
        shuffling.train_upsampler(shuffling.upsampler(kind, seed=1), small, large - 0.5, 60)
    )
    assert losses[-1] < losses[0] and len(losses) == 60
    assert shuffling.upsampler(kind, seed=1)(small).shape == large.shape
    assert torch.equal(*(shuffling.upsampler(kind, seed=1)(small) for _ in range(2)))


def test_only_shared_weights_start_without_a_checkerboard():
    plain = torch.full((1, 1, 12, 12), 0.1)
    drawn = {
        k: shuffling.upsampler(k)(plain).detach()[0, 0, 4:-4, 4:-4] for k in shuffling.UPSAMPLERS
    }
    boards = [shuffling.checkerboard(picture, 2) for picture in drawn.values()]
    assert min(boards[:2]) > 0.01 and max(boards[2:]) < 1e-6
    with pytest.raises(ValueError, match="kind: expected one of"):
        shuffling.upsampler("bicubic")


def test_multiply_adds_are_what_the_convolutions_do():
    layers = [Layer(5, 1, 6), Layer(3, 6, 4, size=2)]
    assert shuffling.multiply_adds(layers, (7, 8)) == 56 * (25 * 6 + 4 * 9 * 6 * 4)
    net = shuffling.network([Layer(5, 1, 6), Layer(3, 6, 4)])
    weights = sum(p.numel() for p in net.parameters() if p.ndim == 4)
    assert shuffling.multiply_adds([Layer(5, 1, 6), Layer(3, 6, 4)], (1, 1)) == weights
    assert net(torch.rand(1, 1, 7, 8)).shape == (1, 4, 7, 8)


def test_seconds_leaves_out_the_first_run():
    runs = []
    assert shuffling.seconds(lambda: runs.append(0), 3) >= 0.0
    assert len(runs) == 4
