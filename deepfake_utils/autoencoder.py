"""The network: one encoder that both people share, one decoder each, pixel shuffle to grow.

A face goes through `encoder` to a short code, and through `decoders["A"]` or `decoders["B"]` back
to a picture. As the encoder serves both people, the code holds what they have in common (pose,
expression, light), and each decoder adds one person's looks: encoding A and decoding with B's
decoder swaps the face.

Pixel shuffle is W. Shi et al., "Real-Time Single Image and Video Super-Resolution Using an
Efficient Sub-Pixel Convolutional Neural Network", CVPR 2016 (arXiv 1609.05158), eq. 4.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import nn

from .consent import ConsentNote
from .files import read_shipped
from .settings import Settings, setting

PRETRAINED = Path(__file__).parent / "data/pretrained/sharp_128.safetensors"
PRETRAINED_SHA256 = "039d8a26293c21eac5289135bdd048389ee91dcac259fd8f1b10255097a404f7"
PRETRAINED_FORMAT = "deepfake-utils-start-1"

Preset = Literal["sharp", "quick", "original"]
Identity = Literal["A", "B"]
IDENTITIES: tuple[Identity, Identity] = ("A", "B")
POINTS = 68  # landmarks of a face
UNKNOWN = -1.0  # stands for an error that was not measured
LEAK = 0.1  # slope of the leaky ReLU after every convolution but the last


@dataclass(frozen=True)
class AutoencoderConfig(Settings):
    """Shape of the network; a checkpoint stores it, so that loading rebuilds the same one."""

    image_size: int = setting(
        64,
        "side of the face in pixels: 4, 5, 6 or 7 times a power of two",
        useful=(64, 96, 128, 160, 192, 256),
    )
    base_channels: int = setting(
        128, "channels after the first layer; each further layer doubles them", least=1
    )
    max_channels: int = setting(1024, "where the doubling of channels stops", least=1)
    code_size: int = setting(1024, "numbers in the code between encoder and decoders", least=1)
    decoder_channels: int = setting(
        512, "channels before a decoder; each of its layers halves them", least=1
    )
    min_channels: int = setting(64, "where the halving of channels stops", least=1)
    residual_blocks: int = setting(0, "residual blocks after each doubling in a decoder", least=0)
    shuffled_output: bool = setting(
        False, "draw the last doubling by pixel shuffle alone, which is cheaper"
    )
    texture: int = setting(
        0, "side of a picture of the skin that each decoder moves and adds; 0 for none", least=0
    )
    kernel: int = setting(5, "side of the encoder's convolutions; 3 is quicker", only=(3, 5))
    pad_after: bool = setting(False, "pad more to the right and below, as TensorFlow did in 2017")
    mask: bool = setting(False, "draw a mask of the face beside its colours")
    landmarks: bool = setting(False, "add the 68 landmarks to the code")
    coverage: float = setting(
        0.75, "share of the side that the mean face spans", least=0.2, most=1, slider=(0.2, 1, 0.05)
    )

    def __post_init__(self) -> None:
        """Check that the numbers make a network.

        Raises:
            ValueError: naming the field, what it should be, and what it is.
        """
        super().__post_init__()
        smallest_map(self.image_size)
        if self.texture and not self.shuffled_output:
            raise ValueError("texture: expected shuffled_output=True with a texture, got False")


def preset(name: Preset, image_size: int = 64) -> AutoencoderConfig:
    """A named network at a size of your choice.

    Args:
        name: "sharp", the one that `FaceSwapAutoencoder.pretrained` has weights for at 128 px;
            "quick", a smaller one, which learns from nothing in minutes on a CPU; or "original",
            the network of 2017 (82.06 M parameters at 64 px).
        image_size: side of the face in pixels, e.g. 64, 96, 128, 192 or 256.

    Raises:
        ValueError: if the name is unknown or the size does not fit the network.
    """
    presets = {
        "original": AutoencoderConfig(),
        "quick": AutoencoderConfig(
            base_channels=32,
            max_channels=256,
            code_size=256,
            decoder_channels=64,
            min_channels=32,
            shuffled_output=True,
            kernel=3,
        ),
        "sharp": AutoencoderConfig(
            base_channels=48,
            max_channels=256,
            code_size=256,
            decoder_channels=160,
            min_channels=64,
            texture=160,
            shuffled_output=True,
            kernel=3,
        ),
    }
    if name not in presets:
        raise ValueError(f"expected a preset of {sorted(presets)}, got {name!r}")
    return replace(presets[name], image_size=image_size)


def smallest_map(image_size: int) -> tuple[int, int]:
    """How often the encoder halves a picture, and the side that is left (4 to 7).

    Returns:
        (halvings, side) with side * 2**halvings == image_size.

    Raises:
        ValueError: if the size is not 4, 5, 6 or 7 times a power of two, from 32 up.
    """
    side, halvings = image_size, 0
    while side > 7 and side % 2 == 0:
        side, halvings = side // 2, halvings + 1
    if not 4 <= side <= 7 or halvings < 3:
        raise ValueError(
            "image_size: expected 4, 5, 6 or 7 times a power of two, at least 32, "
            f"e.g. 64, 80, 96, 128, 160, 192 or 256; got {image_size}"
        )
    return halvings, side


class PadAfterConv2d(nn.Conv2d):
    """A convolution with stride 2 whose padding has one pixel more to the right and below.

    TensorFlow's "same" padding, which the networks of 2017 were trained with.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in, H, W) -> (B, out, H/2, W/2)."""
        before = self.kernel_size[0] // 2 - 1
        x = F.pad(x, (before, before + 1, before, before + 1))
        return F.conv2d(x, self.weight, self.bias, self.stride)


class Downscale(nn.Sequential):
    """(B, in, H, W) -> (B, out, H/2, W/2): a convolution with stride 2."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int = 5, pad_after: bool = False
    ) -> None:
        kind = PadAfterConv2d if pad_after else nn.Conv2d
        super().__init__(
            kind(in_channels, out_channels, kernel, stride=2, padding=kernel // 2),
            nn.LeakyReLU(LEAK, inplace=True),
        )


class Upscale(nn.Sequential):
    """(B, in, H, W) -> (B, out, 2H, 2W): a 3x3 convolution to 4 * out channels, then shuffle."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, 4 * out_channels, 3, padding=1),
            nn.LeakyReLU(LEAK, inplace=True),
            nn.PixelShuffle(2),
        )


class Residual(nn.Module):
    """(B, C, H, W) -> same: adds what two 3x3 convolutions make of the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> same."""
        inner = F.leaky_relu(self.first(x), LEAK)
        return F.leaky_relu(x + self.second(inner), LEAK)


class Encoder(nn.Module):
    """(B, 3, S, S) in 0..1 -> (B, decoder_channels, 2s, 2s), s the smallest map's side."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        halvings, side = smallest_map(config.image_size)
        widths = [min(config.base_channels * 2**i, config.max_channels) for i in range(halvings)]
        last = widths[-1]
        self.down = nn.Sequential(
            *(
                Downscale(i, o, config.kernel, config.pad_after)
                for i, o in zip([3, *widths], widths, strict=False)
            ),
            nn.Flatten(),
        )
        self.to_code = nn.Linear(last * side * side, config.code_size)
        joined = config.code_size + (2 * POINTS if config.landmarks else 0)
        self.from_code = nn.Linear(joined, last * side * side)
        self.up = nn.Sequential(
            nn.Unflatten(1, (last, side, side)), Upscale(last, config.decoder_channels)
        )

    def forward(self, faces: torch.Tensor, points: torch.Tensor | None = None) -> torch.Tensor:
        """(B, 3, S, S) in 0..1, and (B, 68, 2) in 0..1 if asked for -> (B, C, 2s, 2s)."""
        code = self.to_code(self.down(faces))  # (B, code_size)
        if points is not None:
            code = torch.cat([code, points.flatten(1).to(code.dtype)], dim=1)
        return cast(torch.Tensor, self.up(self.from_code(code)))


class Decoder(nn.Sequential):
    """(B, decoder_channels, 2s, 2s) -> (B, 3, S, S) in 0..1, with a mask (B, 4, S, S)."""

    def __init__(self, config: AutoencoderConfig) -> None:
        halvings, _ = smallest_map(config.image_size)
        doublings = halvings - 1 - config.shuffled_output
        layers: list[nn.Module] = []
        width, planes = config.decoder_channels, 4 if config.mask else 3
        for _ in range(doublings):
            narrow = max(width // 2, config.min_channels)
            layers.append(Upscale(width, narrow))
            layers.extend(Residual(narrow) for _ in range(config.residual_blocks))
            width = narrow
        if config.shuffled_output:
            layers += [nn.Conv2d(width, 4 * planes, 3, padding=1), nn.PixelShuffle(2)]
        else:
            layers.append(nn.Conv2d(width, planes, 5, padding=2))
        super().__init__(*layers, nn.Sigmoid())


class TextureDecoder(nn.Module):
    """A decoder that also keeps a sharp picture of its person's skin, moves it and adds it.

    What a code says is too little to place every pore anew, so a plain decoder blurs skin. Here
    its last map says, beside the coarse face, from where in a learned picture (`texture`) each
    pixel takes its detail, and how much of it: (B, decoder_channels, 2s, 2s) -> (B, 3, S, S) in
    0..1, with a mask (B, 4, S, S). The idea of keeping looks and movement apart is that of Z. Shu
    et al., "Deforming Autoencoders", ECCV 2018.

    Attributes:
        texture: (1, 3, T, T), added before the last sigmoid; it lies as the mean face does.
    """

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        layers = list(Decoder(config))
        self.body = nn.Sequential(*layers[:-3])  # up to half the picture's side
        self.draw = cast(nn.Conv2d, layers[-3])
        self.spread = nn.PixelShuffle(2)
        self.place = nn.Conv2d(self.draw.in_channels, 3, 3, padding=1)  # along x, along y, how much
        self.texture = nn.Parameter(torch.zeros(1, 3, config.texture, config.texture))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Shapes as above."""
        hidden = self.body(maps)
        drawn, placed = self.spread(self.draw(hidden)), self.place(hidden)
        return self.compose(drawn, placed, self.texture.expand(len(maps), -1, -1, -1))

    @staticmethod
    def compose(drawn: torch.Tensor, placed: torch.Tensor, texture: torch.Tensor) -> torch.Tensor:
        """The coarse face and the moved texture as one picture.

        Args:
            drawn: (B, 3 or 4, S, S), the coarse face before the sigmoid.
            placed: (B, 3, S/2, S/2), see `texture_places`, and the logit of how much is added.
            texture: (B, 3, T, T).

        Returns:
            (B, 3 or 4, S, S) in 0..1.
        """
        drawn, placed = drawn.float(), placed.float()
        finer = F.interpolate(placed, drawn.shape[2:], mode="bilinear", align_corners=False)
        at = texture_places(finer[:, :2])
        detail = F.grid_sample(texture, at, padding_mode="border", align_corners=False)
        detail = detail * finer[:, 2:].sigmoid()
        colours = drawn[:, :3] + detail
        return torch.cat([colours, drawn[:, 3:]], dim=1).sigmoid()


def texture_places(moves: torch.Tensor) -> torch.Tensor:
    """Where each pixel takes its texture from, (B, 2, H, W) -> (B, H, W, 2).

    Args:
        moves: how far from the pixel's own place along x and y, in quarters of the picture's side.

    Returns:
        (x, y) in the texture, -1 to 1 from edge to edge.
    """
    height, width = moves.shape[2:]
    xs, ys = (
        (torch.arange(n, device=moves.device, dtype=moves.dtype) * 2 + 1) / n - 1.0
        for n in (width, height)
    )
    own = torch.stack(torch.meshgrid(xs, ys, indexing="xy"))  # (2, H, W)
    return (own + 0.5 * moves).permute(0, 2, 3, 1)


class FaceSwapAutoencoder(nn.Module):
    """One shared encoder and the decoders of persons A and B.

    Args:
        config: the network's shape, e.g. `preset("quick", 64)`.
        seed: of its first weights.

    Attributes:
        usual_error: (2,) float32 buffer, how unlike an uncovered face of A and of B usually comes
            back from a swap there and back, see `usual_error_of`.
        consent: what is passed on of the consent of the people it was trained on; checkpoints
            keep it.
        start: what its training began from, "scratch" or the name of the pretrained weights;
            checkpoints and the signed note keep it.
        held_out_db: PSNR of faces held out of its training, as `Trainer.evaluate` measures it; None
            if it was not measured.
    """

    def __init__(self, config: AutoencoderConfig | None = None, seed: int = 0) -> None:
        super().__init__()
        self.config = config or AutoencoderConfig()
        self.usual_error: torch.Tensor
        self.register_buffer("usual_error", torch.full((len(IDENTITIES),), UNKNOWN))
        self.consent: tuple[ConsentNote, ...] = ()
        self.start = "scratch"
        self.held_out_db: float | None = None
        with torch.random.fork_rng(devices=[]):  # on the CPU, where the weights are drawn
            torch.default_generator.manual_seed(seed)
            self.encoder = Encoder(self.config)
            kind = TextureDecoder if self.config.texture else Decoder
            self.decoders = nn.ModuleDict({name: kind(self.config) for name in IDENTITIES})
            initialise(self)

    @classmethod
    def pretrained(cls, mask: bool = False, seed: int = 0) -> FaceSwapAutoencoder:
        """A network that knows faces, and nobody: where a training of minutes best begins.

        It has drawn the same moments as hundreds of rendered people who do not exist (see
        `notebooks/10_pretrained_start.ipynb`), so its code holds pose, expression and light, and
        little of who it is. Both decoders begin as the mean of those people. Nobody's real face
        was in it.

        Args:
            mask: also draw a mask of the face; that plane begins from nothing.
            seed: of the first weights of that plane.

        Returns:
            `preset("sharp", 128)` with weights.

        Raises:
            OSError: if the file of weights is missing or damaged.
        """
        state, header = read_shipped(PRETRAINED, PRETRAINED_SHA256, PRETRAINED_FORMAT)
        config = replace(AutoencoderConfig(**json.loads(header["config"])), mask=mask)
        model = cls(config, seed)
        model.start = f"{PRETRAINED.stem} {PRETRAINED_SHA256[:16]}"
        for name, part in (("encoder", model.encoder), *model.decoders.items()):
            own, group = part.state_dict(), "encoder" if name == "encoder" else "decoder"
            for key, value in own.items():  # a plane for the mask comes after those for colours
                given = state[f"{group}.{key}"].float()
                value[: len(given)] = given
            part.load_state_dict(own)
        return model

    def forward(
        self, faces: torch.Tensor, identity: Identity, points: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Draw `faces` as person `identity`.

        Args:
            faces: (B, 3, S, S) float in 0..1, S = `config.image_size`.
            identity: "A" or "B", whose decoder draws.
            points: (B, 68, 2) float, the faces' landmarks (x, y) as shares of their side, 0..1;
                for a network with `config.landmarks` only.

        Returns:
            (B, 3, S, S) in 0..1; with `config.mask` (B, 4, S, S), whose fourth plane is the mask.

        Raises:
            ValueError: if the shape does not fit the network or the identity is another.
        """
        if identity not in IDENTITIES:
            raise ValueError(f"expected identity 'A' or 'B', got {identity!r}")
        return cast(torch.Tensor, self.decoders[identity](self.encode(faces, points)))

    def encode(self, faces: torch.Tensor, points: torch.Tensor | None = None) -> torch.Tensor:
        """What both decoders draw from, (B, C, 2s, 2s); arguments and errors as for `forward`."""
        self._check(faces, points)
        return cast(torch.Tensor, self.encoder(faces, points))

    def forward_pair(
        self,
        faces_a: torch.Tensor,
        faces_b: torch.Tensor,
        points_a: torch.Tensor | None = None,
        points_b: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Each person through their own decoder, the encoder run once for both: quicker.

        Args:
            faces_a: (B, 3, S, S) float in 0..1.
            faces_b: (B', 3, S, S) float in 0..1.
            points_a: (B, 68, 2), as in `forward`.
            points_b: (B', 68, 2).

        Returns:
            A as A, (B, 3, S, S), and B as B, (B', 3, S, S); four planes with `config.mask`.

        Raises:
            ValueError: if a shape does not fit the network.
        """
        self._check(faces_a, points_a)
        self._check(faces_b, points_b)
        points = None
        if points_a is not None and points_b is not None:
            points = torch.cat([points_a, points_b])
        maps = self.encoder(torch.cat([faces_a, faces_b]), points)  # (B + B', C, 2s, 2s)
        map_a, map_b = maps.split([len(faces_a), len(faces_b)])
        return self.decoders["A"](map_a), self.decoders["B"](map_b)

    def usual_error_of(self, identity: Identity) -> float | None:
        """How unlike an uncovered face usually comes back from a swap there and back.

        Args:
            identity: "A" or "B", whose face it is.

        Returns:
            As `compositing.occlusion.usual_error`; None until `Trainer.evaluate` measured it.
        """
        error = float(self.usual_error[IDENTITIES.index(identity)])
        return error if error >= 0.0 else None  # neither UNKNOWN nor NaN

    def _check(self, faces: torch.Tensor, points: torch.Tensor | None) -> None:
        size = self.config.image_size
        if faces.ndim != 4 or tuple(faces.shape[1:]) != (3, size, size):
            raise ValueError(
                f"expected faces (B, 3, {size}, {size}), got {tuple(faces.shape)}; resize them or "
                f"build the network with image_size={faces.shape[-1]}"
            )
        wanted = (len(faces), POINTS, 2) if self.config.landmarks else None
        got = None if points is None else tuple(points.shape)
        if got != wanted:
            raise ValueError(
                f"expected points {wanted} for a network with landmarks={self.config.landmarks}, "
                f"got {got}"
            )


@torch.no_grad()
def initialise(model: nn.Module) -> None:
    """Draw first weights that keep the size of signals the same through all layers.

    K. He et al., "Delving Deep into Rectifiers", ICCV 2015, eq. 15. PyTorch's own default shrinks
    them at each layer, which costs a short training much of its time. Convolutions before a pixel
    shuffle start with the same weights for each of the four pixels that they spread, so that no
    checkerboard has to be unlearned (A. Aitken et al., arXiv 1707.02937, section 3.3).
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            slope = LEAK if isinstance(module, nn.Conv2d) else 1.0  # nothing follows a linear layer
            nn.init.kaiming_normal_(module.weight, a=slope)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in model.modules():
        if isinstance(module, Residual):
            module.second.weight.mul_(0.1)  # starts out close to passing its input through
        if isinstance(module, Upscale | Decoder):
            for before, after in zip(module, list(module)[1:], strict=False):
                shuffled = isinstance(module, Upscale) or isinstance(after, nn.PixelShuffle)
                if isinstance(before, nn.Conv2d) and shuffled:
                    before.weight.copy_(before.weight[::4].repeat_interleave(4, dim=0))
        if isinstance(module, TextureDecoder):
            repeated = module.draw.weight[::4].repeat_interleave(4, dim=0)
            module.draw.weight.copy_(0.3 * repeated)
            module.place.weight.mul_(0.01)  # starts out with the texture where it lies
        if isinstance(module, Decoder):
            last = [layer for layer in module if isinstance(layer, nn.Conv2d)][-1]
            last.weight.mul_(0.3)  # keeps the sigmoid in its middle
