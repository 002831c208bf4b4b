"""Train on the sample clips with a few settings changed, and print the whole scorecard.

    python tests/benchmarks/sample_card.py [--minutes 8 | --steps N] [--size 64]
        [--net residual_blocks=1 ...] [--train dssim=0 ...] [--json PATH]

With --minutes the run is as long as fits on this machine when it is idle; --steps makes it the same
on every machine. The clip of person A is trained on up to its last 4 s, which are swapped.
"""

import argparse
import ast
import dataclasses
import json
import tempfile
import time
from pathlib import Path

import deepfake_utils as du
from deepfake_utils.samples import TEST_START_S


def options(texts):
    """["a=1", "b=None"] -> {"a": 1, "b": None}."""
    return {name: ast.literal_eval(value) for name, value in (t.split("=", 1) for t in texts)}


def main():
    """Read the command line, train, swap, score."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--steps", type=int, help="instead of minutes")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--net", nargs="*", default=[], help="fields of AutoencoderConfig")
    parser.add_argument("--train", nargs="*", default=[], help="fields of TrainConfig")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    clips, find = du.sample_clips(), du.MeshLandmarker()
    config = dataclasses.replace(du.preset("quick", arguments.size), **options(arguments.net))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for who, clip, end in (("a", clips.person_a, TEST_START_S), ("b", clips.person_b, None)):
            agreed = du.samples.sample_consent(who.upper())
            du.extract_clip(clip, folder / who, find, 0.0, end, consent=agreed)
        recipe = dataclasses.replace(du.recipe("quick"), **options(arguments.train))
        if arguments.steps:
            recipe = dataclasses.replace(recipe, steps=arguments.steps)
        batches = []
        for seed, who in enumerate("ab"):
            faces = du.FaceDataset(folder / who, config.image_size, config.coverage)
            batches.append(du.endless_batches(faces, recipe.batch_size, seed=seed))
        trainer = du.Trainer(du.FaceSwapAutoencoder(config), *batches, recipe)
        began = time.monotonic()
        for _ in trainer.run(minutes=None if arguments.steps else arguments.minutes):
            pass
        print(f"{trainer.step} steps in {(time.monotonic() - began) / 60:.1f} minutes")
        swapper = du.Swapper(trainer.average, find)
        print(du.swap_video(clips.person_a, folder / "swap.mp4", swapper, TEST_START_S))
        card = du.scoring.score_sample(folder / "swap.mp4")
    print(card.markdown())
    if arguments.json:
        rows = {row.measure.key: [row.value, row.low, row.high] for row in card.rows}
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
