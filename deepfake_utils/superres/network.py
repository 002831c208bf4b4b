"""Super-resolution by sub-pixel convolution: a small picture in, a sharp one r times larger out.

All convolutions work on the small picture; the last one makes r * r numbers a pixel, which pixel
shuffle lays out as the r x r pixels of the large picture. This is W. Shi et al., "Real-Time Single
Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural Network", CVPR
2016 (arXiv 1609.05158), section 3. As there, only the luma is learned, and the colours beside it
(Cb, Cr) are enlarged by bicubic interpolation.

"Bicubic" is always Pillow's: Keys' kernel with a = -0.5, widened when a picture is made smaller, so
that it averages. PyTorch computes the same with `antialias=True`, on batches and on any device.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from ..devices import pick_device, pick_dtype, place
from ..files import read_tensors, write_tensors
from ..images import Image, to_image, to_tensor
from ..settings import Settings, setting

FORMAT = "deepfake-utils-superres-1"
SCALES = (2, 3, 4)
MARGIN = 4  # how far the paper's convolutions look to each side, in small pixels: 2 + 1 + 1
WEIGHTS_Y = (65.481, 128.553, 24.966)  # ITU-R BT.601: luma of R, G, B in 0..1 ...
BLACK_Y = 16.0  # ... above this level for black; white is 235


@dataclass(frozen=True)
class SuperResolutionConfig(Settings):
    """Shape of the network; its file stores it, so that loading rebuilds the same one."""

    scale: int = setting(3, "how many times larger each side becomes", only=SCALES)
    channels: int = setting(64, "after the first convolution; the second has half of them", least=2)
    residual: bool = setting(False, "learn what to add to the bicubic picture; the paper does not")
    depth: int = setting(0, "more 3x3 convolutions; 2, residual: +0.3 dB on Set5 x3", least=0)

    def __post_init__(self) -> None:
        """Check that the numbers make a network; errors as `Settings`."""
        super().__post_init__()
        if self.channels % 2:
            raise ValueError(f"channels: expected an even number, got {self.channels}")

    @property
    def margin(self) -> int:
        """How far the network looks to each side, in small pixels."""
        return MARGIN + self.depth


class SuperResolver(nn.Module):
    """Small luma -> large luma: convolutions of 5, 3 and 3 px, tanh between, pixel shuffle.

    Eqs. 1-4 of the paper, with its best activation (tanh, section 4). Two things differ in form
    only. Luma is shifted by a half on its way in and out, which the first and the last bias could
    as well do, but training starts better. And the picture is continued by its edge pixels once,
    instead of by zeros before each convolution, so that no dark rim is learned.

    Args:
        config: the network's shape.
        seed: of its first weights.
    """

    def __init__(self, config: SuperResolutionConfig | None = None, seed: int = 0) -> None:
        super().__init__()
        self.config = config or SuperResolutionConfig()
        wide, scale = self.config.channels, self.config.scale
        with torch.random.fork_rng(devices=[]):  # on the CPU, where the weights are drawn
            torch.default_generator.manual_seed(seed)
            layers: list[nn.Module] = [nn.Conv2d(1, wide, 5), nn.Tanh()]
            layers += [nn.Conv2d(wide, wide // 2, 3), nn.Tanh()]
            for _ in range(self.config.depth):
                layers += [nn.Conv2d(wide // 2, wide // 2, 3), nn.Tanh()]
            layers += [nn.Conv2d(wide // 2, scale * scale, 3), nn.PixelShuffle(scale)]
            self.layers = nn.Sequential(*layers)
            self._initialise()

    def forward(self, luma: torch.Tensor) -> torch.Tensor:
        """Draw the large luma.

        Args:
            luma: (B, 1, H, W) float in 0..1, see `luma`.

        Returns:
            (B, 1, rH, rW) float, about 0..1, not clamped.

        Raises:
            ValueError: if the shape is another.
        """
        if luma.ndim != 4 or luma.shape[1] != 1:
            raise ValueError(
                f"expected luma (B, 1, H, W), got {tuple(luma.shape)}; make it with superres.luma"
            )
        return self.inside(F.pad(luma, (self.config.margin,) * 4, mode="replicate"))

    def inside(self, luma: torch.Tensor) -> torch.Tensor:
        """(B, 1, H + 2m, W + 2m) -> (B, 1, rH, rW): the margin of m px is seen, but not drawn."""
        drawn = cast(torch.Tensor, self.layers(luma - 0.5)).float()
        if not self.config.residual:
            return drawn + 0.5
        edge = self.config.margin * self.config.scale
        return drawn + enlarge(luma, self.config.scale)[..., edge:-edge, edge:-edge]

    @torch.no_grad()
    def _initialise(self) -> None:
        """First weights that keep the size of signals, equal for the pixels spread from one.

        As `autoencoder.initialise`, for tanh: K. He et al., ICCV 2015; A. Aitken et al., arXiv
        1707.02937, section 3.3.
        """
        convolutions = [layer for layer in self.layers if isinstance(layer, nn.Conv2d)]
        for layer in convolutions:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="tanh")
            nn.init.zeros_(cast(torch.Tensor, layer.bias))
        convolutions[0].weight.mul_(3.0)  # small contrasts would leave tanh straight for long
        last = convolutions[-1].weight
        last.copy_(last[:1].expand_as(last) * 0.1)


def luma(rgb: torch.Tensor) -> torch.Tensor:
    """Luma of ITU-R BT.601 in its 8-bit range, 16 (black) to 235 (white), as a share of 255.

    What papers on super-resolution learn and measure on.

    Args:
        rgb: (B, 3, H, W) float in 0..1.

    Returns:
        (B, 1, H, W) float in 16/255..235/255.

    Raises:
        ValueError: if the shape is another.
    """
    if rgb.ndim != 4 or rgb.shape[1] != 3:
        raise ValueError(f"expected RGB (B, 3, H, W), got {tuple(rgb.shape)}")
    weights = torch.tensor(WEIGHTS_Y, dtype=rgb.dtype, device=rgb.device)[:, None, None]
    return ((rgb * weights).sum(dim=1, keepdim=True) + BLACK_Y) / 255.0


def bicubic(picture: torch.Tensor, size_hw: tuple[int, int]) -> torch.Tensor:
    """(B, C, H, W) float -> (B, C, *size_hw) as Pillow's BICUBIC does it; overshoots are kept."""
    return F.interpolate(picture, size_hw, mode="bicubic", antialias=True, align_corners=False)


def enlarge(picture: torch.Tensor, scale: int) -> torch.Tensor:
    """(B, C, H, W) float -> (B, C, scale * H, scale * W), bicubic; overshoots are kept."""
    height, width = picture.shape[-2:]
    return bicubic(picture, (scale * height, scale * width))


def shrink(picture: torch.Tensor, scale: int) -> torch.Tensor:
    """(B, C, scale * H, scale * W) float in 0..1 -> (B, C, H, W), bicubic, rounded to 8 bits.

    Raises:
        ValueError: if a side is no multiple of `scale`.
    """
    height, width = picture.shape[-2:]
    if height % scale or width % scale:
        raise ValueError(f"expected sides that are multiples of {scale}, got {height}x{width}")
    small = bicubic(picture, (height // scale, width // scale))
    return small.clamp(0.0, 1.0).mul(255.0).round() / 255.0


@torch.inference_mode()
def upscale_rgb(rgb: torch.Tensor, model: SuperResolver) -> torch.Tensor:
    """Enlarge a batch of pictures; see `upscale`.

    Args:
        rgb: (B, 3, H, W) float in 0..1, on the device of `model`.
        model: a trained network.

    Returns:
        (B, 3, rH, rW) float32 in 0..1.

    Raises:
        ValueError: if the shape is another.
    """
    dtype = pick_dtype(rgb.device)
    rgb = rgb.float()
    with torch.autocast(rgb.device.type, dtype, enabled=dtype != torch.float32):
        drawn = model(luma(rgb))
    grown = enlarge(rgb, model.config.scale)
    # With the chroma (Cb, Cr) kept, a change of luma moves red, green and blue by the same amount:
    # BT.601 back to RGB is 255 / 219 * Y plus terms of Cb and Cr alone.
    change = (drawn - luma(grown)) * (255.0 / sum(WEIGHTS_Y))
    return (grown + change).clamp(0.0, 1.0)


def enlarger(
    model: SuperResolver, device: str | torch.device | None = None
) -> Callable[[torch.Tensor], torch.Tensor]:
    """What `Swapper(enlarge=...)` takes: `upscale_rgb` with this network, on the swapper's device.

    Args:
        model: a trained network; it is moved to the device.
        device: None picks the GPU if there is one, as `Swapper` does.
    """
    placed = place(model, pick_device(device)).eval()
    return functools.partial(upscale_rgb, model=placed)


def upscale(image: Image, model: SuperResolver) -> Image:
    """Enlarge a picture: its luma by the network, its colours (Cb, Cr) by bicubic interpolation.

    Args:
        image: (H, W, 3) RGB uint8.
        model: a trained network, e.g. from `load_superres`.

    Returns:
        (rH, rW, 3) RGB uint8, r = `model.config.scale`.

    Raises:
        TypeError, ValueError: if it is no such picture.
    """
    device = next(model.parameters()).device
    return to_image(upscale_rgb(to_tensor(image)[None].to(device), model)[0])


def save_superres(path: str | os.PathLike[str], model: SuperResolver) -> Path:
    """Write a network's shape and weights; an older file is replaced once the new one is complete.

    Args:
        path: ends in .safetensors; its folder is made if missing.
        model: what to write.

    Raises:
        ValueError, OSError: as `files.write_tensors`.
    """
    header = {"format": FORMAT, "config": json.dumps(dataclasses.asdict(model.config))}
    return write_tensors(Path(path), model.state_dict(), header)


def load_superres(
    path: str | os.PathLike[str], device: str | torch.device | None = "cpu"
) -> SuperResolver:
    """Read a network that `save_superres` wrote.

    Args:
        path: the file, .safetensors.
        device: where it goes; None picks the GPU if there is one.

    Raises:
        FileNotFoundError: if there is no file at `path`.
        ValueError: if the file holds no such network, or is damaged.
    """
    where = pick_device(device)
    tensors, header = read_tensors(Path(path), FORMAT, where)
    try:
        model = SuperResolver(SuperResolutionConfig(**json.loads(header["config"])))
        model.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"expected weights that fit the network described in {path}, got others: {error}"
        ) from error
    return place(model, where).eval()
