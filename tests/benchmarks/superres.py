"""How well super-resolution by sub-pixel convolution does on the pictures that papers report on.

    python tests/benchmarks/superres.py [FOLDER] [--scales 2 3 4] [--steps 3000]
        [--channels 64] [--depth 0] [--residual] [--weights FOLDER] [--json PATH]

FOLDER holds T91, Set5 and Set14, sets that the project may not ship. Each network is trained on the
91 pictures of T91 for so many steps and never sees the other two. Rows are the luma PSNR in dB
(BT.601, 8 bits, a border of `scale` pixels cropped), means over the pictures of a set; small
pictures are made by bicubic interpolation as Pillow does it. "turned eight ways" is the mean of
what the same network draws of a picture turned and mirrored in each way, at eight times the work.
The bicubic rows should be 33.67, 30.40, 28.43 on Set5 and 30.32, 27.63, 26.09 on Set14.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from baseline import describe_machine
from luma_psnr import luma_psnr

from deepfake_utils.images import list_images, read_image, to_tensor
from deepfake_utils.superres.network import (
    SuperResolutionConfig,
    SuperResolver,
    enlarge,
    luma,
    save_superres,
    shrink,
)
from deepfake_utils.superres.training import SuperResolutionTrainConfig, train_superres

FOLDER = Path(__file__).parents[2].parent / "shared/data/super_resolution"
SETS = ("Set5", "Set14")
# What W. Shi et al. state for training on 91 images (x3, tanh), and github.com/yjn870/ESPCN-pytorch
# for its own x3 network.
STATED = {3: {"W. Shi et al., 91 images": 32.55, "yjn870/ESPCN-pytorch": 32.88}}


def turned_eight_ways(model, small):
    """The mean over the eight ways to turn and mirror a picture, (1, 1, H, W) -> (1, 1, rH, rW)."""
    drawn = []
    for turns in range(4):
        for mirror in (False, True):
            seen = small.rot90(turns, (2, 3))
            seen = model(seen.flip(-1) if mirror else seen)
            drawn.append((seen.flip(-1) if mirror else seen).rot90(-turns, (2, 3)))
    return torch.stack(drawn).mean(0)


@torch.inference_mode()
def evaluate(model, images):
    """Mean luma PSNR in dB of bicubic interpolation, the network, and the network eight ways."""
    scale, rows = model.config.scale, []
    for image in images:
        height, width = (side // scale * scale for side in image.shape[:2])
        large = to_tensor(image)[None, :, :height, :width]
        small = shrink(large, scale)
        drawn = {
            "bicubic": luma(enlarge(small, scale)),
            "network": model(luma(small)),
            "turned eight ways": turned_eight_ways(model, luma(small)),
        }
        rows.append([luma_psnr(each, luma(large), scale) for each in drawn.values()])
    return dict(zip(drawn, np.mean(rows, axis=0).tolist(), strict=True))


def train(images, config, steps):
    """A trained network, its steps, and the minutes that it took."""
    model, settings = SuperResolver(config), SuperResolutionTrainConfig(steps=steps)
    began, busy = time.perf_counter(), time.process_time()
    for result in train_superres(model, images, settings, "cpu"):
        if result.step % max(1, steps // 10) == 0:
            print(f"x{config.scale}: step {result.step} of {steps}", flush=True)
    spent = {"minutes": (time.perf_counter() - began) / 60.0}
    spent["cpu_minutes"] = (time.process_time() - busy) / 60.0
    return model, {"steps": steps, **spent}


def table(results):
    """The rows in Markdown."""
    print("\n| scale | picture | " + " | ".join(f"{name}, dB" for name in SETS) + " | training |")
    print("|---|---|" + "---|" * (len(SETS) + 1))
    for scale, result in results.items():
        training = "{steps} steps, {minutes:.1f} min, {cpu_minutes:.1f} CPU min".format(**result)
        for kind in result["Set5"]:
            cells = " | ".join(f"{result[name][kind]:.2f}" for name in SETS)
            print(f"| x{scale} | {kind} | {cells} | {training if kind == 'network' else ''} |")
        for source, stated in STATED.get(scale, {}).items():
            print(f"| x{scale} | as stated by {source} | {stated:.2f} | | |")


def main():
    """Read the command line, train, evaluate, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    parser.add_argument("--scales", nargs="+", type=int, default=[2, 3, 4], choices=[2, 3, 4])
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--channels", type=int, default=64, help="the paper has 64")
    parser.add_argument("--depth", type=int, default=0, help="more layers than the paper's")
    parser.add_argument("--residual", action="store_true", help="learn what bicubic lacks")
    parser.add_argument("--weights", type=Path, default=None, help="where to write the networks")
    parser.add_argument("--json", type=Path, default=None)
    arguments = parser.parse_args()
    missing = [name for name in ("T91", *SETS) if not (arguments.folder / name).is_dir()]
    if missing:
        parser.error(
            f"expected the folders T91, Set5 and Set14 in {arguments.folder}, found no "
            f"{', '.join(missing)}; give the folder that holds these sets of pictures"
        )
    pictures = {
        name: [read_image(path) for path in list_images(arguments.folder / name)]
        for name in ("T91", *SETS)
    }
    print(describe_machine("cpu"))
    results = {}
    for scale in arguments.scales:
        shape = (arguments.channels, arguments.residual, arguments.depth)
        config = SuperResolutionConfig(scale, *shape)
        model, training = train(pictures["T91"], config, arguments.steps)
        scores = {name: evaluate(model, pictures[name]) for name in SETS}
        results[scale] = {**training, **scores}
        print(f"x{scale}:", results[scale], flush=True)
        if arguments.weights:
            save_superres(arguments.weights / f"x{scale}.safetensors", model)
        if arguments.json:
            arguments.json.write_text(json.dumps(results, indent=1))
    table(results)


if __name__ == "__main__":
    main()
