"""What each part of the pretraining brings: leave it out, train pairs from there, and score them.

    python tests/benchmarks/pretraining_set.py FOLDER --people 96       # a quarter of an hour
    python tests/benchmarks/pretraining_ablation.py FOLDER PAIRS [--only "all of it" scratch]

Small, so that all of it takes an hour of one core: the network of the start at 64 px, `--steps` of
pretraining in each way, then each of `--pairs` (of `pairs.py`) trained for `--pair-steps` by the
recipe of the start and scored. None of the people of the pairs is in the pretraining.
"""

import argparse
import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from pairs import score_pair
from pretrain import Conditioned, Plan, Scenes, train

import deepfake_utils as du
from deepfake_utils.autoencoder import FaceSwapAutoencoder, preset
from deepfake_utils.training.recipe import recipe

WAYS = {  # name: what of the scenes and of the plan is changed
    "all of it": ({}, {}),
    "a quarter of the people": ({"people": 24}, {}),
    "each drawn as oneself": ({"alone": 1.0}, {}),
    "laid by landmarks found": ({"laid": False}, {}),
    "codes not made alike": ({}, {"alike": 0.0}),
    "colours as rendered, nothing in front": ({}, {"vary": False}),
}
SHOWN = ("psnr", "ssim", "to_source", "mouth", "eyelids")


def main():
    """Read the command line, pretrain in each way, train and score the pairs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("films", type=Path, help="folder of pairs.py")
    parser.add_argument("--pairs", nargs="*", default=["pair_3", "pair_6", "sample"])
    parser.add_argument("--only", nargs="*", choices=["scratch", *WAYS])
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--pair-steps", type=int, default=200)
    arguments = parser.parse_args()
    for way in arguments.only or ["scratch", *WAYS]:
        if way == "scratch":
            begun = FaceSwapAutoencoder(preset("sharp", arguments.size))
        else:
            begun = pretrained(arguments, way)
        start = "scratch" if way == "scratch" else "pretrained"
        settings = dataclasses.replace(recipe("sharp", start), steps=arguments.pair_steps)
        rows = []
        for name in arguments.pairs:
            network = SimpleNamespace(build=lambda model=begun: copied(model))
            out = arguments.folder / "swaps" / f"{way} {name}"
            card, more = score_pair(
                arguments.films / name, network, settings, None, out, du.SwapConfig()
            )
            rows.append([card[key].value for key in SHOWN if key in card] + [more["own"]])
            print(way, name, np.round(rows[-1], 3), flush=True)
        print(f"| {way} |", " | ".join(f"{v:.3f}" for v in np.mean(rows, axis=0)), "|", flush=True)


def pretrained(arguments, way):
    """The mean person's network after pretraining in one way."""
    of_scenes, of_plan = WAYS[way]
    scenes = Scenes(arguments.folder, arguments.size, **of_scenes)
    scenes.config = preset("sharp", arguments.size)
    model = Conditioned(scenes.config, int(scenes.person.max()) + 1)
    plan = dataclasses.replace(Plan(steps=arguments.steps), **of_plan)
    return train(scenes, model, plan, arguments.folder / way.replace(" ", "_")).fold()


def copied(model):
    """A network with the same weights, to be trained on a pair."""
    fresh = FaceSwapAutoencoder(model.config)
    fresh.load_state_dict(model.state_dict())
    return fresh


if __name__ == "__main__":
    main()
