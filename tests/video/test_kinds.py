"""Films of every kind: what is read, cut out and written, by each frame's number and by ear."""

from __future__ import annotations

import math
import os
from pathlib import Path

import av
import film_kinds
import numpy as np
import pytest
from film_kinds import FPS, KINDS, Film, clock_s, code, known, late_s

from deepfake_utils.autoencoder import AutoencoderConfig, FaceSwapAutoencoder
from deepfake_utils.extraction import extract_clip, read_record
from deepfake_utils.images import Image, Points
from deepfake_utils.marking.c2pa import read_manifest
from deepfake_utils.rendering import swap_video
from deepfake_utils.samples import load_truth, sample_clips
from deepfake_utils.swapping import SwapConfig, Swapper
from deepfake_utils.tracking.steadying import TrackConfig
from deepfake_utils.video import read_frames, read_timed_frames, read_video_info

DATA = Path(__file__).parent / "data"
SHARED = Path(os.environ.get("DEEPFAKE_CASES", Path(__file__).parents[3] / "shared/cases/films"))
AS_FOUND = TrackConfig(smoothing="off", max_gap_s=0.0)
UNCOVERED = SwapConfig(covered=math.inf)  # an untrained network redraws nobody


@pytest.fixture(scope="module")
def images() -> list[Image]:
    return film_kinds.originals()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, images: list[Image]):
    """made(kind): a film, made when it is asked for first."""
    folder, films = tmp_path_factory.mktemp("films"), {}

    def make(kind: str) -> Film:
        if kind not in films:
            films[kind] = KINDS[kind](folder, images)
        return films[kind]

    return make


def still_face(frame: Image) -> list[Points]:
    """Person A hardly moves in the part that is used."""
    height, width = frame.shape[:2]
    return [load_truth().landmarks_a[20] * (width / 384, height / 384)]


def codes_of(path: Path, film: Film) -> list[int]:
    flip = -1 if film.mirrored else 1
    return [code(image[:, ::flip]) for image in read_frames(path)]


def off(image: Image, wanted: Image) -> float:
    return float(np.abs(image.astype(float) - wanted).mean())


@pytest.mark.parametrize("kind", KINDS)
def test_reading(made, images, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    film: Film = made(kind)
    info = read_video_info(film.path)
    assert (info.width, info.height) == film.size_wh and info.changed == film.changed
    assert caplog.text == ""
    frames = read_timed_frames(film.path)
    read = list(frames)
    flip = -1 if film.mirrored else 1
    assert [code(image[:, ::flip]) for image, _ in read] == list(film.codes)
    wanted = list(known(film, images))
    times = np.array([time_s for _, time_s in read])
    known_s = np.array([time_s for _, _, time_s in wanted])
    assert times - times[0] == pytest.approx(known_s - known_s[0], abs=film.off_s)
    errors = [off(image, right) for (image, _), (_, right, _) in zip(read, wanted, strict=True)]
    assert np.mean(errors) < film.tolerance
    assert film.damaged[0] <= len(frames.damaged_s) <= film.damaged[1]
    assert film.damaged[1] or not frames.doubtful_s
    assert frames.breaks_off_s is None
    for words in film.changed:  # said once
        assert caplog.text.count(words) == 1
    # A part is what the whole has there, whatever has to be searched for.
    half_s = float(times[len(times) // 2])
    part = list(read_timed_frames(film.path, half_s, quiet=True))
    if kind != "no stamps":  # without any, nothing can be searched
        assert [each.time_s for each in part] == pytest.approx(times[len(times) // 2 :], abs=1e-3)
        assert off(part[0].image, read[len(times) // 2].image) < 1.0


@pytest.mark.parametrize("at", [13, 19, 20])
@pytest.mark.parametrize(
    ("name", "codec", "b_frames"),
    [("x.mp4", "libx264", 0), ("b.mp4", "libx264", 2), ("x.avi", "mpeg4", 0)],
)
def test_what_damage_may_have_reached(
    tmp_path: Path, images: list[Image], name: str, codec: str, b_frames: int, at: int
) -> None:
    options = {"g": "10", "bf": str(b_frames), "sc_threshold": "0"}
    path = film_kinds.write(tmp_path / name, images, codec, sound=None, options=options)
    whole = {round(time_s * FPS): image for image, time_s in read_timed_frames(path)}
    with av.open(str(path)) as container:
        packet = [each for each in container.demux(video=0) if each.size][at]
    data = bytearray(path.read_bytes())
    data[packet.pos + packet.size // 2 : packet.pos + packet.size] = bytes(-(-packet.size // 2))
    path.write_bytes(data)
    frames = read_timed_frames(path)
    wrong = {
        round(time_s * FPS)
        for image, time_s in frames
        if off(image, whole[round(time_s * FPS)]) > 0.3
    }
    damaged, doubtful = (
        {round(time_s * FPS) for time_s in each} for each in (frames.damaged_s, frames.doubtful_s)
    )
    assert len(damaged) >= 1 and not damaged & doubtful
    assert wrong <= damaged | doubtful
    assert max(damaged | doubtful) < at // 10 * 10 + 10  # then a key frame comes
    assert min(damaged | doubtful) >= at - 3


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_swap_and_extraction(made, tmp_path: Path, tiny: AutoencoderConfig, kind: str) -> None:
    film: Film = made(kind)
    report = extract_clip(film.path, tmp_path / "faces", still_face, size=64, track=AS_FOUND)
    assert report.frames == report.saved == len(film.codes)
    assert film.damaged[0] <= len(report.damaged_s) <= film.damaged[1]
    assert len(read_record(tmp_path / "faces")["faces"]) == len(film.codes)
    swapper = Swapper(FaceSwapAutoencoder(tiny), still_face, UNCOVERED, "cpu")
    path = tmp_path / f"swap of {film.path.stem}.mp4"
    done = swap_video(film.path, path, swapper, track=AS_FOUND)
    assert done.outcomes == {"swapped": len(film.codes)}
    assert film.damaged[0] <= len(done.damaged_s) <= film.damaged[1]
    assert codes_of(path, film) == list(film.codes)
    assert read_manifest(path).state == "Valid"
    info, source = read_video_info(path), read_video_info(film.path)
    assert (info.width, info.height) == tuple(side + side % 2 for side in film.size_wh)
    assert info.changed == () and info.has_audio == source.has_audio
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        tags = context.colorspace, context.color_primaries, context.color_trc
        assert tags == (1, 1, 1) and not next(container.decode(video=0)).interlaced_frame
    times = np.array([time_s for _, time_s in read_timed_frames(path)])
    read_s = np.array([time_s for _, time_s in read_timed_frames(film.path, quiet=True)])
    assert times == pytest.approx(read_s - read_s[0], abs=1e-3)
    if info.has_audio:
        first = film.codes[0]
        before, sure = late_s(film.path, first, clock_s(film.path), film.track, film.track)
        after, still_sure = late_s(path, first, clock_s(path), film.track)
        assert min(sure, still_sure) > 0.45
        assert after == pytest.approx(before, abs=0.005)


@pytest.mark.parametrize("name", ["hdr_pq.mp4", "hdr_hlg.mov"])
def test_hdr_is_shown_as_sdr(name: str, caplog: pytest.LogCaptureFixture) -> None:
    wanted = list(read_frames(sample_clips().person_a, 0.0, 4.0, stride=20))
    read = list(read_frames(DATA / name, stride=20))
    # The best that any curve does is 2.4: the rest is what their encoder left out.
    errors = [off(a[:345], b[:345]) for a, b in zip(read, wanted, strict=True)]
    assert np.mean(errors) < 2.7
    assert (
        abs(np.mean([a[:345].mean() - b[:345].mean() for a, b in zip(read, wanted, strict=True)]))
        < 1.5
    )
    assert caplog.text.count("tone-mapped to SDR") == 1
    assert "tone-mapped" in read_video_info(DATA / name).changed[0]


@pytest.mark.real
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/cases/films")
@pytest.mark.parametrize(
    ("name", "count", "changed"),
    [
        ("sar43.mp4", 100, "pixels of 4:3 made square"),
        ("interlaced2.mp4", 75, "deinterlaced"),
        ("mirror.mp4", 100, "mirrored, as its file asks"),
        ("avi_h264_b.avi", 100, None),
        ("avi_mpeg4_b.avi", 100, None),
        ("damaged.mp4", 99, None),
        ("sizechange.ts", 100, None),
    ],
)
def test_given_films(
    tmp_path: Path,
    tiny: AutoencoderConfig,
    caplog: pytest.LogCaptureFixture,
    name: str,
    count: int,
    changed: str | None,
) -> None:
    wanted = list(read_frames(sample_clips().person_a, 0.0, 4.0))
    info = read_video_info(SHARED / name)
    assert info.changed == (() if changed is None else (changed,))
    swapper = Swapper(FaceSwapAutoencoder(tiny), still_face, UNCOVERED, "cpu")
    path = tmp_path / "swap.mp4"
    report = swap_video(SHARED / name, path, swapper, track=AS_FOUND)
    assert changed is None or caplog.text.count(changed) == 1
    frames = list(read_timed_frames(SHARED / name, quiet=True))
    assert report.frames == len(frames) == count
    assert len(report.damaged_s) == (name in ("damaged.mp4", "sizechange.ts"))
    assert {image.shape for image, _ in frames} == {(384, 384, 3)}
    assert np.all(np.diff([time_s for _, time_s in frames]) > 0)
    if name == "interlaced2.mp4":  # it moves from field to field, so nothing else is like it
        combs = [np.abs(f[1:-1].astype(float) * 2 - f[:-2] - f[2:]).mean() for f, _ in frames]
        smooth = [np.abs(f[1:-1].astype(float) * 2 - f[:-2] - f[2:]).mean() for f in wanted]
        assert np.mean(combs) < 1.15 * np.mean(smooth)
    else:
        flip = -1 if name == "mirror.mp4" else 1
        pairs = [(image[:345, ::flip], wanted[round(time_s * FPS)]) for image, time_s in frames]
        assert np.mean([off(image, right[:345]) for image, right in pairs]) < 1.5
    again = [time_s for _, time_s in read_timed_frames(path)]
    assert again == pytest.approx([time_s for _, time_s in frames], abs=1e-3)
    before, after = (clock_s(each) for each in (SHARED / name, path))
    assert after == pytest.approx(0.0, abs=1e-3) and before >= 0.0
