"""How this project trained when it began, to measure against; written anew from its description.

    from baseline import BaselineTrainer, describe_machine, sample_faces

Kept on purpose, faults included: the 82 M network in float32 with PyTorch's own first weights and
memory layout, mean absolute error, two Adams that both own (and both move) the encoder, a new
shuffled `DataLoader` for every batch, and pairs cut in numpy, one picture at a time.

Used by training_speed.py and time_to_quality.py, which also share the two functions here.
"""

import os
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset

from deepfake_utils import (
    FaceSwapAutoencoder,
    MeshLandmarker,
    extract_faces,
    load_faces,
    preset,
    read_frames,
    sample_clips,
)
from deepfake_utils.samples import TEST_START_S, sample_consent
from deepfake_utils.umeyama import umeyama

SIZE, CROP, GRID = 64, 256, 5
COVERAGE_PX = 160  # what the grid spanned in 2017, in pixels of a crop; the jitter is for that
JITTER_PX = 5.0


def sample_faces(folder, stride=1):
    """Crops of the sample people's first 14 s in folder/a and folder/b."""
    clips, landmarker = sample_clips(), MeshLandmarker()
    for name, clip in (("a", clips.person_a), ("b", clips.person_b)):
        frames = read_frames(clip, 0.0, TEST_START_S, stride)
        consent = sample_consent(name.upper())
        extract_faces(frames, folder / name, landmarker, size=CROP, consent=consent)


def describe_machine(device):
    """Processor, cores and PyTorch in one line, for a processor known to Linux."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    name = next((line.split(":")[1].strip() for line in lines if "model name" in line), "unknown")
    where = f"{name}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    if device == "cuda":
        where += f"; {torch.cuda.get_device_name()}"
    return f"{where}; torch {torch.__version__}"


def random_pair(face, span, rng):
    """One (warped, target) pair, both (64, 64, 3) uint8, from the central `span` px of a crop."""
    ticks = np.linspace((CROP - span) / 2, (CROP + span) / 2, GRID)
    noise = rng.normal(0.0, JITTER_PX * span / COVERAGE_PX, (2, GRID, GRID))
    shaken = np.stack(np.meshgrid(ticks, ticks)) + noise  # (2, 5, 5): x and y
    # Five points enlarged to 80 px: the outermost lie 8 px from the edge, where 64 px are cut.
    maps = [cv2.resize(at, (80, 80))[8:72, 8:72].astype(np.float32) for at in shaken]
    warped = cv2.remap(face, maps[0], maps[1], cv2.INTER_LINEAR)  # black outside, as it was
    square = np.stack(np.meshgrid(*[np.linspace(0, SIZE, GRID)] * 2)).reshape(2, -1).T
    matrix = umeyama(shaken.reshape(2, -1).T, square)
    return warped, cv2.warpAffine(face, matrix, (SIZE, SIZE))


class WarpedPairs(Dataset):
    """One person's crops; each item is a new random pair of (3, 64, 64) float32 in 0..1.

    Args:
        faces: what `load_faces` read.
        span: side of the square that the network sees, in pixels of a crop.
        fix_flip: mirror the target with the input; as it was, only the input is mirrored.
        seed: of the random numbers.
    """

    def __init__(self, faces, span, fix_flip=False, seed=0):
        self.images, self.span, self.fix_flip = faces.images, span, fix_flip
        self.rng = np.random.default_rng(seed)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        warped, target = random_pair(self.images[index], self.span, self.rng)
        if self.rng.random() < 0.5:
            warped = warped[:, ::-1]
            if self.fix_flip:
                target = target[:, ::-1]
        return tuple(
            torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1), np.float32) / 255.0)
            for image in (warped, target)
        )


class BaselineTrainer:
    """Training as it was.

    Args:
        folder: holds the crops of the two people in a/ and b/, see `sample_faces`.
        batch_size: pairs of each person in a step.
        learning_rate: of both optimisers.
        fix_flip: see `WarpedPairs`.
        device: where the network is trained.

    Attributes:
        model: the network; `Swapper` takes a copy of it (it changes the memory layout).
        optimizers: one for each person.
    """

    def __init__(
        self, folder, batch_size=32, learning_rate=1e-5, fix_flip=False, device="cpu", seed=0
    ):
        torch.manual_seed(seed)
        self.batch_size, self.device = batch_size, torch.device(device)
        self.model = FaceSwapAutoencoder(preset("original", SIZE))
        for module in self.model.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.reset_parameters()  # PyTorch's own, as then
        self.model.to(self.device).train()
        self.pairs, self.optimizers = {}, {}
        for number, name in enumerate("AB"):
            faces = load_faces(folder / name.lower())
            # So much of the crop is what our networks see too: 171 px of the default crops.
            span = CROP * faces.coverage / self.model.config.coverage
            self.pairs[name] = WarpedPairs(faces, span, fix_flip, seed + number)
            self.optimizers[name] = torch.optim.Adam(
                [*self.model.encoder.parameters(), *self.model.decoders[name].parameters()],
                lr=learning_rate,
                betas=(0.5, 0.999),
            )

    def next_batch(self, name):
        """Warped and target of person `name`: a new loader and a new shuffle each time."""
        loader = DataLoader(self.pairs[name], self.batch_size, shuffle=True)
        warped, target = next(iter(loader))
        return warped.to(self.device), target.to(self.device)

    def step(self):
        """One batch of each person, one after the other; returns the sum of their losses."""
        total = 0.0
        for name in "AB":
            warped, target = self.next_batch(name)
            self.optimizers[name].zero_grad()
            loss = F.l1_loss(self.model(warped, name), target)
            loss.backward()
            self.optimizers[name].step()
            total += loss.item()
        return total
