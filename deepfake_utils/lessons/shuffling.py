"""Pixel shuffle, taken apart: what the notebook `08_pixel_shuffle` counts, measures and draws.

The network itself has PyTorch's `nn.PixelShuffle`. Here the same is done slowly, to be read, and
beside it stands what it is compared with. Sources: W. Shi et al., arXiv 1609.05158 (pixel shuffle,
eq. 4); W. Shi et al., arXiv 1609.07009 (it equals a transposed convolution); A. Odena et al.,
"Deconvolution and Checkerboard Artifacts", Distill 2016, doi 10.23915/distill.00003; A. Aitken et
al., arXiv 1707.02937 (ICNR).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

Array: TypeAlias = NDArray[Any]
Order = Literal["pytorch", "tensorflow"]


def pixel_shuffle_by_hand(maps: Array, r: int, order: Order = "pytorch") -> Array:
    """Lay the channels of each pixel out as r x r pixels, one number at a time.

    Args:
        maps: (H, W, C r^2).
        r: how many times larger each side becomes.
        order: how the C r^2 channels are counted. "pytorch": the r x r places of the first colour,
            then those of the next. "tensorflow" (`depth_to_space`): the colours of the first place,
            then those of the next; so does eq. 4 of the paper, if its x counts columns.

    Returns:
        (rH, rW, C).

    Raises:
        ValueError: if the channels are no multiple of r^2.
    """
    height, width, colours = _sizes(maps, r)
    large = np.empty((r * height, r * width, colours), maps.dtype)
    for y in range(r * height):
        for x in range(r * width):
            place = r * (y % r) + x % r  # which pixel of its r x r
            for c in range(colours):
                k = c * r * r + place if order == "pytorch" else place * colours + c
                large[y, x, c] = maps[y // r, x // r, k]
    return large


def pixel_shuffle_by_reshape(maps: Array, r: int, order: Order = "pytorch") -> Array:
    """The same as `pixel_shuffle_by_hand` in one line: split the channels, move axes, join.

    As einops writes it: "h w (c i j) -> (h i) (w j) c" for PyTorch, "h w (i j c) -> ..." for
    TensorFlow.
    """
    h, w, c = _sizes(maps, r)
    if order == "pytorch":
        split = maps.reshape(h, w, c, r, r).transpose(0, 3, 1, 4, 2)  # (H, r, W, r, C)
    else:
        split = maps.reshape(h, w, r, r, c).transpose(0, 2, 1, 3, 4)
    return split.reshape(r * h, r * w, c)


def _sizes(maps: Array, r: int) -> tuple[int, int, int]:
    if maps.ndim != 3 or r < 1 or maps.shape[2] % (r * r):
        raise ValueError(
            f"expected maps (H, W, C * {r * r}) to enlarge {r} times, got {maps.shape}"
        )
    return maps.shape[0], maps.shape[1], maps.shape[2] // (r * r)


def to_pytorch_order(channels: int, r: int) -> NDArray[np.intp]:
    """Which of TensorFlow's channels PyTorch has at each place, (C r^2,).

    `maps[..., to_pytorch_order(C, r)]` turns maps; the first axis of a convolution's weights and
    its bias are turned alike.
    """
    return np.arange(channels * r * r).reshape(r * r, channels).T.ravel()


def stuff_zeros(picture: Array, r: int) -> Array:
    """(H, W) -> (rH, rW): each pixel in the corner of r x r, zeros beside it.

    A transposed convolution of stride r is a plain convolution of this, by a mirrored kernel.
    """
    large = np.zeros((picture.shape[0] * r, picture.shape[1] * r), picture.dtype)
    large[::r, ::r] = picture
    return large


class Multiplications(NamedTuple):
    """What a convolution over a picture stuffed with zeros multiplies, for one channel each way."""

    all: int
    with_zero: int

    @property
    def share(self) -> float:
        """Share of the multiplications whose product is sure to be 0."""
        return self.with_zero / self.all


def zeros_in_transposed_convolution(
    size_hw: tuple[int, int], r: int, kernel: int
) -> Multiplications:
    """Count multiplications of a transposed convolution that is done by stuffing zeros.

    Args:
        size_hw: of the small picture.
        r: stride.
        kernel: side of the kernel. The large picture has zeros around it, too; these do not count.
    """
    known = torch.from_numpy(stuff_zeros(np.ones(size_hw, np.float64), r))
    reached = F.pad(torch.stack([torch.ones_like(known), known])[:, None], (kernel,) * 4)
    taps = F.conv2d(reached, torch.ones(1, 1, kernel, kernel, dtype=torch.float64))
    start = kernel - kernel // 2
    inside = taps[..., start : start + known.shape[0], start : start + known.shape[1]]
    all_taps, known_taps = (round(float(each.sum())) for each in inside)
    return Multiplications(all_taps, all_taps - known_taps)


def as_transposed(weight: torch.Tensor, r: int) -> torch.Tensor:
    """The kernel of a transposed convolution that does what convolution and pixel shuffle do.

    With it, `conv_transpose2d(x, as_transposed(weight, r), stride=r, padding=r * (k // 2))` equals
    `pixel_shuffle(conv2d(x, weight, padding=k // 2), r)` (arXiv 1609.07009).

    Args:
        weight: (C r^2, I, k, k), k odd, of a convolution on the small picture.

    Returns:
        (I, C, r k, r k): the same numbers in another order.
    """
    out, inputs, k, _ = weight.shape
    split = weight.reshape(out // (r * r), r, r, inputs, k, k).flip(-2, -1)
    return split.permute(3, 0, 4, 1, 5, 2).reshape(inputs, out // (r * r), k * r, k * r)


def overlap(kernel: int, stride: int, size: int = 8) -> Array:
    """How many of a transposed convolution's small pixels reach each large one, without its rim.

    Returns:
        (S, S) int, the same tile of stride x stride again and again; uneven if the kernel is no
        multiple of the stride (A. Odena et al.).
    """
    ones = torch.ones(1, 1, kernel, kernel, dtype=torch.float64)
    around = -(-kernel // stride)
    small = torch.ones(1, 1, size + 2 * around, size + 2 * around, dtype=torch.float64)
    large = F.conv_transpose2d(small, ones, stride=stride)[0, 0]
    start, length = around * stride, size * stride
    return large[start : start + length, start : start + length].round().long().numpy()


def checkerboard(picture: Array, r: int) -> float:
    """How strong the pattern is that repeats every r pixels: deviation within the mean r x r tile.

    Args:
        picture: (H, W); what does not repeat averages out.
        r: period in pixels.

    Returns:
        In the picture's units; 0 if all places of the tile have the same mean.
    """
    height, width = (side // r * r for side in picture.shape)
    blocks = np.asarray(picture, np.float64)[:height, :width].reshape(height // r, r, width // r, r)
    return float(blocks.mean((0, 2)).std())


@torch.no_grad()
def icnr_(weight: torch.Tensor, r: int) -> torch.Tensor:
    """Give the r^2 channels that become one colour the same first weights, in place (ICNR).

    Pixel shuffle then draws r x r equal pixels, as if a convolution had been enlarged by its
    nearest neighbours, and training begins without a checkerboard.

    Args:
        weight: (C r^2, I, k, k) of the convolution before `nn.PixelShuffle`, already drawn: the
            first of each r^2 is kept, so its spread stays what it was.
    """
    kept = weight[:: r * r].clone()
    return weight.copy_(kept.repeat_interleave(r * r, dim=0))


UPSAMPLERS = ("transposed", "pixel shuffle", "pixel shuffle, ICNR", "resize")


def upsampler(kind: str, channels: int = 16, seed: int = 0) -> nn.Sequential:
    """A network that enlarges luma twice, with one of four ways to do so.

    Args:
        kind: one of `UPSAMPLERS`: a transposed convolution of 3x3 and stride 2; a convolution of
            3x3 with pixel shuffle, first weights as usual or by ICNR; or nearest neighbours, then a
            convolution of 3x3.

    Raises:
        ValueError: if `kind` is another.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        body: list[nn.Module] = [_convolution(1, channels), nn.Tanh()]
        if kind == "transposed":
            body.append(nn.ConvTranspose2d(channels, 1, 3, stride=2, padding=1, output_padding=1))
        elif kind in ("pixel shuffle", "pixel shuffle, ICNR"):
            last = _convolution(channels, 4)
            if kind.endswith("ICNR"):
                icnr_(last.weight, 2)
                nn.init.constant_(last.bias, 0.0)  # type: ignore[arg-type]
            body += [last, nn.PixelShuffle(2)]
        elif kind == "resize":
            body += [nn.Upsample(scale_factor=2), _convolution(channels, 1)]
        else:
            raise ValueError(f"kind: expected one of {UPSAMPLERS}, got {kind!r}")
        return nn.Sequential(*body)


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="replicate")


def train_upsampler(
    net: nn.Module, small: torch.Tensor, large: torch.Tensor, steps: int
) -> Iterator[float]:
    """Teach a network one picture by Adam, yielding the mean squared error before each step.

    Args:
        net: trained in place.
        small: (1, 1, H, W) float.
        large: (1, 1, 2H, 2W) float.
        steps: how many.
    """
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(steps):
        loss = F.mse_loss(net(small), large)
        yield loss.item()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


class Layer(NamedTuple):
    """A convolution, as far as its cost goes."""

    kernel: int
    inputs: int
    outputs: int
    size: int = 1  # of the pictures it works on, in times of the small one


def multiply_adds(layers: Sequence[Layer], size_hw: tuple[int, int]) -> int:
    """Multiplications, each with an addition, of convolutions that keep the size of pictures."""
    pixels = size_hw[0] * size_hw[1]
    return sum(pixels * (one.size * one.kernel) ** 2 * one.inputs * one.outputs for one in layers)


def network(layers: Sequence[Layer]) -> nn.Sequential:
    """These convolutions with tanh between, to be timed; sizes are the caller's business."""
    parts: list[nn.Module] = []
    for one in layers:
        parts += [nn.Conv2d(one.inputs, one.outputs, one.kernel, padding="same"), nn.Tanh()]
    return nn.Sequential(*parts[:-1])


def seconds(work: Callable[[], object], times: int = 5) -> float:
    """The least of some runs, after one that does not count: other programs only ever delay."""
    work()
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        spent.append(time.perf_counter() - began)
    return min(spent)
