"""Draw images/how_it_works.png from the network and the faces that `make demo` left in output/.

python notebooks/draw_overview.py
"""

from pathlib import Path

import deepfake_utils as du
from deepfake_utils import marking
from deepfake_utils.lessons import overview
from deepfake_utils.samples import TEST_START_S

HERE = Path(__file__).parent


def main() -> None:
    """Draw the figure."""
    output = HERE.parent / "output"
    best = du.CheckpointStore(output / "run").best()
    if best is None:
        raise SystemExit(f"no checkpoint in {output / 'run'}; run `make demo` first")
    model = best.best_model()
    size, coverage = model.config.image_size, model.config.coverage
    faces = [du.FaceDataset(output / "faces" / who, size, coverage) for who in "ab"]
    pairs = [next(du.endless_batches(each, 4, device="cpu", seed=3)) for each in faces]
    frame = next(iter(du.read_frames(du.sample_clips().person_a, TEST_START_S + 0.4)))
    swapper = du.Swapper(model, du.MeshLandmarker(), device="cpu")
    figure = overview.plot_overview(swapper, *pairs, frame)
    origin = marking.Origin(None, None, model.consent)
    print(marking.save_figure(HERE / "images" / "how_it_works.png", figure, origin=origin))


if __name__ == "__main__":
    main()
