"""Train the start that networks begin from: draw one head's moment as many other heads.

    python tests/benchmarks/pretraining_set.py FOLDER      # half an hour on two cores
    python tests/benchmarks/pretrain.py FOLDER [--minutes 70] [--resume]
    python tests/benchmarks/pretrain.py FOLDER --ship      # only the file to ship, of the last save

One decoder serves all people; it is told whom to draw by a learned embedding that scales and shifts
the outcome of each of its convolutions (E. Perez et al., "FiLM", AAAI 2018) and adds to what comes
out of the code. Shown one person, it is asked for another in the same scene, so the code holds
pose, expression and light, and nothing of who it is. Landmarks that were found are off by 2 of 128
pixels, for each person in another way. So the face shown is laid onto the one asked for by where
their features truly are, and the network learns to draw where the features are seen. In the end
the mean person is folded into the decoder's own weights, which leaves a plain
`FaceSwapAutoencoder`. Nobody's real face is in it.
FOLDER gets pretrained.pt (the run), pretrained.png (what it draws of scenes held out) and
pretrained.safetensors: what the package ships as data/pretrained/sharp_128.safetensors.
"""

import argparse
import copy
import dataclasses
import json
import math
import time
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from pretraining_set import COVERAGE
from torch import nn

from deepfake_utils.autoencoder import (
    PRETRAINED_FORMAT,
    FaceSwapAutoencoder,
    preset,
    texture_places,
)
from deepfake_utils.dataset import cut_points, weight_map
from deepfake_utils.faces import face_mask, mean_face
from deepfake_utils.files import sha256_of, write_tensors
from deepfake_utils.landmarks import INNER
from deepfake_utils.losses import face_loss, masked_psnr
from deepfake_utils.umeyama import umeyama
from deepfake_utils.warping import WarpConfig, draw_warps, warp_batch

EMBEDDING = 64  # numbers that tell a person
WARP = WarpConfig(rotation_deg=5.0, zoom=0.06, shift=0.04, jitter=0.008, flip=0.0)
PLACE_WEIGHT = 1.0  # of the error of where the 68 points take their texture from
ALIKE_WEIGHT = 0.2  # of how much the codes of two people in one scene differ


class Conditioned(nn.Module):
    """An encoder, one decoder, and what turns a person's embedding into scales and shifts."""

    def __init__(self, config, people, seed=0):
        super().__init__()
        base = FaceSwapAutoencoder(config, seed)
        self.config = config
        self.encoder, self.decoder = base.encoder, base.decoders["A"]
        self.people = nn.Embedding(people, EMBEDDING)
        nn.init.normal_(self.people.weight, std=0.3)
        self.to_map = nn.Linear(EMBEDDING, self.encoder.from_code.out_features)
        self.textures = nn.Embedding(people, self.decoder.texture.numel(), sparse=True)
        nn.init.zeros_(self.textures.weight)
        widths = [conv.out_channels for conv in self.convolutions()]
        self.to_films = nn.ModuleList(nn.Linear(EMBEDDING, 2 * width) for width in widths)
        for layer in (self.to_map, *self.to_films):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def convolutions(self):
        """Those of the decoder whose outcome a person scales and shifts, in their order."""
        return [*(layer[0] for layer in self.decoder.body), self.decoder.draw, self.decoder.place]

    def encode(self, faces):
        """(B, 3, S, S) -> (B, code_size)."""
        return self.encoder.to_code(self.encoder.down(faces))

    def forward(self, faces, person):
        """Draw faces as other people.

        Args:
            faces: (B, 3, S, S).
            person: (B,) int.

        Returns:
            (B, 3, S, S), `texture_places` (B, H, W, 2), and the codes (B, code_size).
        """
        encoder, decoder, who = self.encoder, self.decoder, self.people(person)
        code = self.encode(faces)
        x = encoder.up(encoder.from_code(code) + self.to_map(who))
        films = [f(who)[:, :, None, None].chunk(2, dim=1) for f in self.to_films]
        for layer, (scale, shift) in zip(decoder.body, films, strict=False):
            x = layer[2](layer[1](layer[0](x) * (1 + scale) + shift))
        drawn, placed = (
            conv(x) * (1 + scale) + shift
            for conv, (scale, shift) in zip((decoder.draw, decoder.place), films[-2:], strict=True)
        )
        side = decoder.texture.shape[2]
        skin = decoder.texture + self.textures(person).view(-1, 3, side, side)
        picture = decoder.compose(decoder.spread(drawn), placed, skin)
        return picture, texture_places(placed[:, :2].float()), code

    @torch.no_grad()
    def fold(self):
        """A plain network, both of whose decoders draw the mean person."""
        whole = copy.deepcopy(self)
        who = whole.people.weight.mean(0, keepdim=True)
        whole.encoder.from_code.bias += whole.to_map(who)[0]
        for conv, to_film in zip(whole.convolutions(), whole.to_films, strict=True):
            scale, shift = to_film(who)[0].chunk(2)
            conv.weight *= (1 + scale)[:, None, None, None]
            conv.bias.copy_(conv.bias * (1 + scale) + shift)
        whole.decoder.texture += whole.textures.weight.mean(0).view_as(whole.decoder.texture)
        plain = FaceSwapAutoencoder(self.config)
        plain.encoder.load_state_dict(whole.encoder.state_dict())
        for decoder in plain.decoders.values():
            decoder.load_state_dict(whole.decoder.state_dict())
        return plain


class Scenes:
    """The rendered faces, and batches of (one person's face, another person's in that scene)."""

    def __init__(self, folder, size, held=16, people=None, laid=True, alone=0.1):
        """Read a folder of `pretraining_set.py`.

        Args:
            folder: where it is.
            size: of the pictures that are learned from, pixels.
            held: so many scenes are kept out of training.
            people: so many of them are used; None: all.
            laid: whether a face shown lies where the features of the one asked for truly are.
            alone: share of faces that are asked for as themselves.
        """
        images, points, truth, person, scene = (
            np.load(folder / f"{name}.npy", mmap_mode="r")
            for name in ("images", "points", "truth", "person", "scene")
        )
        self.images, self.person, self.size = images, np.array(person), size
        self.lays, self.alone = laid, alone
        if people is not None:
            self.person[self.person >= people] = -1
        self.truth = np.array(truth)
        self.points = torch.from_numpy((self.truth + 0.5) / images.shape[1] * 2.0 - 1.0)
        self.planes = _planes(folder, points, images.shape[1])
        order = np.argsort(scene, kind="stable")
        there = (self.person >= 0) & points.any(axis=(1, 2))
        order = order[there[order]]
        groups = np.split(order, np.flatnonzero(np.diff(scene[order])) + 1)
        groups = [group for group in groups if len(group) >= 2]
        self.held, self.groups = groups[:held], groups[held:]
        self.config = preset("quick", size)

    def draw(self, rng, count, groups=None, alone=None):
        """Rows (inputs, targets) of the arrays; a share `alone` is asked for itself."""
        groups, alone = groups or self.groups, self.alone if alone is None else alone
        pairs = []
        for _ in range(count):
            group = groups[rng.integers(len(groups))]
            first, second = rng.choice(group, 2, replace=False)
            pairs.append((first, first if rng.random() < alone else second))
        return np.array(pairs).T

    def laid(self, first, second):
        """Face `first` (M, M, 3), its inner features where those of face `second` truly are."""
        matrix = umeyama(self.truth[first][INNER], self.truth[second][INNER])
        image = np.asarray(self.images[first])
        if first == second or not self.lays:
            return image
        size = image.shape[1::-1]
        return cv2.warpAffine(
            image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )

    def batch(self, rows, rng, vary=True):
        """Inputs (B, 3, S, S), targets, weights (B, 1, S, S), masks, people (B,), points."""
        first, second = rows
        shown = torch.from_numpy(np.stack([self.laid(*row) for row in rows.T]))
        shown = shown.permute(0, 3, 1, 2)
        asked = torch.from_numpy(self.images[second]).permute(0, 3, 1, 2)
        planes = torch.cat([shown, asked, torch.from_numpy(self.planes[second])], 1) / 255.0
        view = COVERAGE / self.config.coverage
        warps = draw_warps(len(first), rng, WARP)
        still = WarpConfig(rotation_deg=0, zoom=0, shift=0, jitter=0)
        pair = warp_batch(planes, warps, self.size, view, WARP if vary else still, planes=3)
        _, target, weight, mask = pair.target.split([3, 3, 1, 1], dim=1)
        inputs = spoil(pair.warped, rng) if vary else pair.warped
        who = torch.from_numpy(self.person[second])
        points = cut_points(self.points[second], pair.matrix)
        return inputs, target, weight * (255 / 48), mask, who, points


def _planes(folder, points, size):
    """(N, 2, M, M) uint8: loss weight times 48, and mask times 255; made once."""
    path = folder / "planes.npy"
    if not path.is_file():
        planes = np.lib.format.open_memmap(
            folder / "planes.part.npy", "w+", np.uint8, (len(points), 2, size, size)
        )
        for index, place in enumerate(points):
            if place.any():
                weight = weight_map(place, size, 0.25, 4.0)
                planes[index, 0] = np.rint(np.clip(weight * 48, 0, 255))
                planes[index, 1] = np.rint(face_mask(place, (size, size)) * 255)
        planes.flush()
        (folder / "planes.part.npy").rename(path)
    return np.load(path, mmap_mode="r")


def spoil(faces, rng):
    """Inputs as cameras and rooms make them: other colours, soft, noisy, something in front."""
    count, _, size, _ = faces.shape

    def some(low, high, *shape):
        return torch.from_numpy(rng.uniform(low, high, (count, *shape, 1, 1)).astype(np.float32))

    faces = faces.clamp(1e-3, 1) ** some(0.7, 1.4, 1) * some(0.6, 1.4, 3)
    grey = faces.mean(1, keepdim=True)
    faces = grey + (faces - grey) * some(0.5, 1.3, 1)
    soft = torch.from_numpy(rng.random(count) < 0.4)
    small = int(size * rng.uniform(0.25, 0.8))
    shrunk = F.interpolate(faces[soft], (small, small), mode="bilinear", antialias=True)
    faces[soft] = F.interpolate(shrunk, (size, size), mode="bilinear")
    for index in np.flatnonzero(rng.random(count) < 0.2):  # a hand, a cup, a strand of hair
        cover = np.zeros((size, size), np.float32)
        at = [int(v) for v in rng.uniform(0, size, 2)]
        axes = [int(v) for v in size * rng.uniform([0.04, 0.1], [0.2, 0.5])]
        cv2.ellipse(cover, at, axes, rng.uniform(0, 180), 0, 360, 1.0, -1, cv2.LINE_AA)
        cover = torch.from_numpy(cv2.GaussianBlur(cover, (0, 0), 1 + 2 * rng.random()))
        thing = faces[rng.integers(count)].flip(1) if rng.random() < 0.5 else 1.0
        thing = thing * torch.from_numpy(rng.uniform(0.1, 1.0, (3, 1, 1)).astype(np.float32))
        faces[index] = faces[index] * (1 - cover) + thing * cover
    noise = torch.from_numpy(rng.standard_normal(faces.shape, np.float32))
    return (faces + noise * some(0, 0.05, 1)).clamp(0, 1)


def place_error(places, points, wanted):
    """How far the texture of the 68 points is from where the mean face has them, halves of a side.

    Args:
        places: (B, H, W, 2), of `texture_places`.
        points: (B, 68, 2), where the points are, as shares of the side.
        wanted: (68, 2), where they lie in the texture, -1 to 1.
    """
    found = F.grid_sample(places.permute(0, 3, 1, 2), points[:, :, None] * 2.0 - 1.0,
                          padding_mode="border", align_corners=False)  # fmt: skip
    return (found[..., 0].transpose(1, 2) - wanted).abs().mean()


def unlike(codes, others):
    """How much the codes of the same scenes differ, of how much those of different scenes do.

    0 says nothing of who it is; what a decoder ignores today, two people could teach it tomorrow.
    """
    apart = (codes - others).float().square().sum(1).mean()
    return apart / (2.0 * codes.float().var(0).sum()).clamp_min(1e-6)


def with_newcomers(state, people):
    """Weights for so many people; those that a run has not met begin as the mean of the others."""
    state = dict(state)
    for name in ("people.weight", "textures.weight"):
        known = state[name]
        state[name] = torch.cat([known, known.mean(0).repeat(people - len(known), 1)])
    return state


def ship(folder, name):
    """Write the mean person's network in half precision, and tell its SHA-256."""
    saved = torch.load(folder / f"{name}.pt", weights_only=False)
    people = len(saved["average"]["people.weight"])
    model = Conditioned(saved["config"], people)
    model.load_state_dict(saved["average"])
    plain = model.fold()
    parts = {"encoder": plain.encoder, "decoder": plain.decoders["A"]}
    tensors = {
        f"{part}.{key}": value.half().contiguous()
        for part, module in parts.items()
        for key, value in module.state_dict().items()
    }
    header = {"format": PRETRAINED_FORMAT, "config": json.dumps(dataclasses.asdict(plain.config)),
              "steps": str(saved["before"] + saved["step"]), "people": str(people)}  # fmt: skip
    path = write_tensors(folder / f"{name}.safetensors", tensors, header)
    print(path, path.stat().st_size, sha256_of(path))


@torch.inference_mode()
def look(average, held, path):
    """Draw faces of scenes held out; a picture of some, and PSNR inside the faces in dB."""
    with torch.autocast("cpu", torch.bfloat16):
        drawn = torch.cat([average(held[0][i : i + 16], held[4][i : i + 16])[0]
                           for i in range(0, len(held[0]), 16)]).float()  # fmt: skip
    grid = torch.cat([held[0][:8], held[1][:8], drawn[:8]])
    grid = (grid * 255).byte().unflatten(0, (3, 8)).permute(0, 3, 1, 4, 2).flatten(0, 1)
    cv2.imwrite(path, grid.flatten(1, 2).numpy()[..., ::-1])
    return masked_psnr(drawn, held[1], held[3])


@dataclasses.dataclass(frozen=True)
class Plan:
    """How to pretrain; the command line has most of it."""

    minutes: float = 70.0
    steps: int | None = None  # instead of the minutes
    batch_size: int = 32
    rate: float = 1.2e-3
    edges: float = 1.0
    alike: float = ALIKE_WEIGHT
    vary: bool = True  # colours, blur, noise and covers of what is shown


def train(scenes, model, plan, out, before=0):
    """Train, tell how it goes, and write `out`.pt and `out`.png; gives the averaged network."""
    model = model.to(memory_format=torch.channels_last).train()
    average = copy.deepcopy(model).eval().requires_grad_(False)
    own = {"people.weight": 4.0, "decoder.texture": 5.0}  # times the learning rate
    dense = [(name, p) for name, p in model.named_parameters() if name != "textures.weight"]
    groups = [{"params": [p], "share": own.get(name, 1.0)} for name, p in dense]
    optimizer = torch.optim.Adam(groups, lr=0, betas=(0.9, 0.99), fused=True)
    painter = torch.optim.SparseAdam(model.textures.parameters(), betas=(0.9, 0.99))
    face = mean_face(scenes.size, scenes.config.coverage)
    lie = torch.from_numpy((face + 0.5) / scenes.size * 2.0 - 1.0).float()
    kept = [p for name, p in average.named_parameters() if name != "textures.weight"]
    average.textures = model.textures  # too large to copy, and each row changes seldom
    held_rng = np.random.default_rng(1)
    held = scenes.batch(scenes.draw(held_rng, 64, scenes.held, 0.0), held_rng, vary=False)
    began, step, losses, told = time.monotonic(), 0, [], 0.0

    def save():
        state = {"config": scenes.config, "average": average.state_dict(), "step": step,
                 "before": before}  # fmt: skip
        torch.save(state, f"{out}.pt")

    def share():
        spent = (time.monotonic() - began) / (60 * plan.minutes)
        return spent if plan.steps is None else step / plan.steps

    while (passed := share()) < 1.0:
        rng = np.random.default_rng([7, step])
        rows = scenes.draw(rng, plan.batch_size)
        inputs, target, weight, _, who, points = scenes.batch(rows, rng, plan.vary)
        with torch.autocast("cpu", torch.bfloat16):
            drawn, places, codes = model(inputs.contiguous(memory_format=torch.channels_last), who)
            some = slice(0, len(codes) // 2)
            seen = target[some].clone()
            seen = spoil(seen, rng) if plan.vary else seen
            same = unlike(
                codes[some], model.encode(seen.contiguous(memory_format=torch.channels_last))
            )
        loss = face_loss(drawn, target, weight, 0.5, plan.edges)
        off = place_error(places, points, lie)
        optimizer.zero_grad(set_to_none=True)
        painter.zero_grad(set_to_none=True)
        (loss + PLACE_WEIGHT * off + plan.alike * same).backward()
        nn.utils.clip_grad_norm_([p for _, p in dense], 1.0)
        rate = plan.rate * min(1.0, (step + 1) / 300)
        rate *= 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * passed))
        for group in optimizer.param_groups:
            group["lr"] = rate * group["share"]
        painter.param_groups[0]["lr"] = rate * 10.0
        optimizer.step()
        painter.step()
        step += 1
        with torch.no_grad():
            keep = min(0.999, step / (step + 10))
            for mean, (_, now) in zip(kept, dense, strict=True):
                mean.lerp_(now, 1 - keep)
        losses.append((loss.item(), off.item(), same.item()))
        if time.monotonic() - told > 120:
            told = time.monotonic()
            score = look(average, held, f"{out}.png")
            loss, off, same = np.mean(losses[-300:], axis=0)
            print(f"{passed:.3f} step {step} loss {loss:.4f} places {off:.4f} codes {same:.4f} "
                  f"held {score:.2f} dB", flush=True)  # fmt: skip
            save()
    save()
    return average


def main():
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=70.0)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rate", type=float, default=1.2e-3)
    parser.add_argument("--edges", type=float, default=1.0)
    parser.add_argument("--name", default="pretrained")
    parser.add_argument("--resume", action="store_true", help="go on with the weights saved")
    parser.add_argument("--ship", action="store_true", help="only write the file to ship")
    arguments = parser.parse_args()
    if arguments.ship:
        ship(arguments.folder, arguments.name)
        return
    scenes = Scenes(arguments.folder, arguments.size)
    scenes.config = preset("sharp", arguments.size)
    model, before = Conditioned(scenes.config, int(scenes.person.max()) + 1), 0
    if arguments.resume:
        saved = torch.load(arguments.folder / f"{arguments.name}.pt", weights_only=False)
        model.load_state_dict(with_newcomers(saved["average"], len(model.people.weight)))
        before = saved["before"] + saved["step"]
    plan = Plan(arguments.minutes, None, arguments.batch_size, arguments.rate, arguments.edges)
    train(scenes, model, plan, arguments.folder / arguments.name, before)
    ship(arguments.folder, arguments.name)


if __name__ == "__main__":
    main()
