"""Reading and writing of video files; all clips are real files, made here or shipped."""

from __future__ import annotations

import itertools
import logging
import os
import struct
from fractions import Fraction
from pathlib import Path
from typing import get_args

import av
import numpy as np
import pytest

import deepfake_utils
from deepfake_utils.images import Image
from deepfake_utils.video import (
    Quality,
    TimedFrame,
    VideoCodec,
    VideoWriter,
    read_frames,
    read_timed_frames,
    read_video_info,
)

SAMPLE = Path(deepfake_utils.__file__).parent / "data" / "samples" / "person_a.mp4"
RATE = 44_100  # of the sound in the clips made here


def flat(level: int, size_wh: tuple[int, int] = (64, 64)) -> Image:
    return np.full((size_wh[1], size_wh[0], 3), level, np.uint8)


def smooth(size_wh: tuple[int, int]) -> Image:
    """A colourful picture without sharp edges, which subsampled colours can hold."""
    x, y = np.meshgrid(np.linspace(0, 1, size_wh[0]), np.linspace(0, 1, size_wh[1]))
    channels = [40 + 180 * x, 220 - 170 * y, 60 + 130 * (x + y) / 2]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def numbered(i: int) -> Image:
    """(64, 64, 3): eight black or white columns, the bits of `i`, which coding cannot blur."""
    bits = np.array([i >> bit & 1 for bit in range(8)], np.uint8) * 255
    return np.broadcast_to(np.repeat(bits, 8)[None, :, None], (64, 64, 3)).copy()


def number(image: Image) -> int:
    bits = image.reshape(64, 8, 8, 3).mean(axis=(0, 2, 3)) > 128
    return int((bits << np.arange(8)).sum())


def write_numbers(path: Path, count: int, fps: float | Fraction = 25) -> Path:
    with VideoWriter(path, fps=fps, size_wh=(64, 64)) as writer:
        for i in range(count):
            writer.write(numbered(i))
    return path


def mean_error(a: Image, b: Image) -> float:
    return float(np.abs(a.astype(int) - b).mean())


def streams(path: Path) -> list[str]:
    with av.open(str(path)) as container:
        return [s.type for s in container.streams]


def make_clip(
    path: Path,
    codec: str,
    *,
    flash_s: float = 2.0,
    duration_s: float = 4.0,
    delay_s: float = 0.0,
    rate: int = RATE,
    key_every: int = 250,
) -> Path:
    """25 fps, black but for one white frame at `flash_s`, when a beep begins too."""
    fps = 25
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=fps, options={"g": str(key_every)})
        video.width = video.height = 64
        sound = container.add_stream(codec, rate=rate, layout="mono")
        for i in range(round(duration_s * fps)):
            frame = av.VideoFrame.from_ndarray(flat(255 if i == round(flash_s * fps) else 16))
            frame.pts, frame.time_base = i + round(delay_s * fps), Fraction(1, fps)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        samples = np.zeros(round(duration_s * rate), np.float32)
        beep = slice(round(flash_s * rate), round((flash_s + 0.05) * rate))
        samples[beep] = 0.8 * np.sin(np.arange(beep.stop - beep.start) * 2 * np.pi * 2000 / rate)
        for i in range(0, len(samples), 1024):
            chunk = av.AudioFrame.from_ndarray(samples[None, i : i + 1024], "fltp", layout="mono")
            chunk.sample_rate, chunk.time_base = rate, Fraction(1, rate)
            chunk.pts = i + round(delay_s * rate)
            container.mux(sound.encode(chunk))
        container.mux(sound.encode())
    return path


def beep_s(path: Path) -> float:
    """When the beep begins, in seconds after the first video frame."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        zero_s = float((video.start_time or 0) * video.time_base)
        to_float = av.AudioResampler(format="fltp", layout="mono")
        for frame in container.decode(audio=0):
            start_s = frame.time
            for part in to_float.resample(frame):
                loud = np.flatnonzero(np.abs(part.to_ndarray()[0]) > 0.2)
                if len(loud):
                    return start_s - zero_s + loud[0] / part.sample_rate
    raise AssertionError(f"no beep in {path}")


def flash_s(path: Path) -> float:
    return next(time_s for image, time_s in read_timed_frames(path) if image.mean() > 128)


def packets(path: Path, kind: str) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(p) for p in container.demux(**{kind: 0}) if p.size]


def ticks_per_second(mp4: bytes, box: bytes) -> int:
    """Of the movie (mvhd) or its first stream (mdhd); what FFmpeg writes differs by version."""
    at = mp4.index(box) + 4
    assert mp4[at] == 0  # the version whose fields are 32 bits wide
    return int.from_bytes(mp4[at + 12 : at + 16], "big")


@pytest.fixture(scope="module")
def sample_frames() -> list[TimedFrame]:
    return list(read_timed_frames(SAMPLE))


class TestInfo:
    def test_sample(self) -> None:
        info = read_video_info(SAMPLE)
        assert (info.width, info.height, info.fps) == (384, 384, 25.0)
        assert (info.frame_count, info.duration_s) == (450, pytest.approx(18.0))
        assert (info.has_audio, info.rotation, info.variable_rate) == (True, 0, False)
        assert info.path == SAMPLE and not info.full_range

    @pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
    def test_containers(self, tmp_path: Path, suffix: str) -> None:
        info = read_video_info(write_numbers(tmp_path / f"a{suffix}", 50, 29.97))
        assert info.frame_count == 50  # Matroska does not say: the packets are counted
        assert info.fps == pytest.approx(30_000 / 1001, abs=1e-9)
        assert info.duration_s == pytest.approx(50 * 1001 / 30_000, abs=2e-3)
        assert not info.has_audio and not info.variable_rate

    def test_frames_hidden_by_an_edit_list(self, tmp_path: Path) -> None:
        # What a phone does when it trims a clip: all frames stay, the edit list shows some.
        data = bytearray(write_numbers(tmp_path / "a.mp4", 100).read_bytes())
        movie, media = (ticks_per_second(data, box) for box in (b"mvhd", b"mdhd"))
        at = data.index(b"elst") + 12
        _, begin = struct.unpack(">Ii", data[at : at + 8])
        data[at : at + 8] = struct.pack(">Ii", 2 * movie, begin + 30 * media // 25)  # 2 s from 30
        (tmp_path / "b.mp4").write_bytes(data)
        info = read_video_info(tmp_path / "b.mp4")
        frames = list(read_timed_frames(tmp_path / "b.mp4"))
        assert (info.frame_count, info.fps, info.variable_rate) == (50, 25.0, False)
        assert (len(frames), frames[0].time_s, number(frames[0].image)) == (50, 0.0, 30)
        assert number(next(read_frames(tmp_path / "b.mp4", 1.0))) == 55


class TestRead:
    def test_whole_clip(self, sample_frames: list[TimedFrame]) -> None:
        assert [f.time_s for f in sample_frames] == pytest.approx([i / 25 for i in range(450)])
        image = sample_frames[0].image
        assert (image.shape, image.dtype) == ((384, 384, 3), np.uint8)
        assert image.flags.c_contiguous

    def test_segment_is_exact(self, sample_frames: list[TimedFrame]) -> None:
        segment = list(read_timed_frames(SAMPLE, start_s=14.0))
        assert [f.time_s for f in segment] == [f.time_s for f in sample_frames[350:]]
        for got, wanted in zip(segment, sample_frames[350:], strict=True):
            assert np.array_equal(got.image, wanted.image)

    def test_damage_costs_its_own_frames(self, tmp_path: Path) -> None:
        # Rubbish in place of the first key frame takes the frames that build on it as well.
        data = bytearray(make_clip(tmp_path / "a.mp4", "aac", key_every=25).read_bytes())
        with av.open(str(tmp_path / "a.mp4")) as container:
            first = next(container.demux(video=0))
            data[first.pos : first.pos + first.size] = b"\xff" * first.size
        (tmp_path / "b.mp4").write_bytes(data)
        frames = read_timed_frames(tmp_path / "b.mp4")
        assert [time_s for _, time_s in frames] == pytest.approx([i / 25 for i in range(25, 100)])
        assert frames.damaged_s == pytest.approx([i / 25 for i in range(25)])
        inside = read_timed_frames(tmp_path / "b.mp4", 0.6)  # where there is nothing yet
        assert next(inside).time_s == pytest.approx(1.0)
        assert not frames.doubtful_s
        after = read_timed_frames(tmp_path / "b.mp4", 2.0)
        assert len(list(after)) == 50 and not after.damaged_s

    @pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
    @pytest.mark.parametrize("fps", [25, 29.97, 23.976, 59.94])
    def test_segments_tile_the_clip(self, tmp_path: Path, suffix: str, fps: float) -> None:
        path = write_numbers(tmp_path / f"a{suffix}", 120, fps)
        rate = read_video_info(path).fps
        for i in range(0, 120, 17):  # a Matroska time is rounded to 1 ms, i / rate is not
            segment = read_frames(path, i / rate, (i + 3) / rate)
            assert [number(image) for image in segment] == list(range(i, min(i + 3, 120)))

    def test_transport_stream(self, tmp_path: Path) -> None:
        # It starts at some time other than 0 and seeks to frames that are no key frames.
        path = make_clip(tmp_path / "a.ts", "aac", delay_s=3.0)
        assert flash_s(path) == pytest.approx(2.0)
        assert len(list(read_frames(path, 1.02, 2.02))) == 25
        assert read_video_info(path).frame_count == 100

    def test_end_beyond_the_clip_and_between_frames(self) -> None:
        assert len(list(read_frames(SAMPLE, 17.9, 99.0))) == 2
        assert [f.time_s for f in read_timed_frames(SAMPLE, 17.79, 17.85)] == [17.8, 17.84]

    def test_stride(self, sample_frames: list[TimedFrame]) -> None:
        frames = list(read_frames(SAMPLE, 4.0, 6.0, stride=7))
        assert len(frames) == 8
        for got, wanted in zip(frames, sample_frames[100:150:7], strict=True):
            assert np.array_equal(got, wanted.image)

    # Of the 2 x 2 matrix in a tkhd box (QuickTime File Format): x' = a x + c y, y' = b x + d y.
    @pytest.mark.parametrize(
        ("abcd", "rotation", "turns"),
        [((0, 1, -1, 0), -90, 3), ((-1, 0, 0, -1), 180, 2), ((0, -1, 1, 0), 90, 1)],
    )
    def test_rotation(
        self, tmp_path: Path, abcd: tuple[int, ...], rotation: int, turns: int
    ) -> None:
        stored = flat(20, (96, 64))
        stored[:16, :16] = 250  # top left
        with VideoWriter(tmp_path / "a.mp4", fps=25, size_wh=(96, 64)) as writer:
            writer.write(stored)
        data = bytearray((tmp_path / "a.mp4").read_bytes())
        a, b, c, d = (value * 65_536 for value in abcd)
        at = data.index(b"tkhd") + 44
        data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
        (tmp_path / "b.mp4").write_bytes(data)
        info = read_video_info(tmp_path / "b.mp4")
        image = next(read_frames(tmp_path / "b.mp4"))
        # The corner goes where the matrix says: the sign of x' and y' for (x, y) = (-1, -1).
        right, bottom = -abcd[0] - abcd[2] > 0, -abcd[1] - abcd[3] > 0
        corner = image[-8 if bottom else 8, -8 if right else 8]
        assert (info.rotation - rotation) % 360 == 0
        assert (info.width, info.height) == ((96, 64) if turns == 2 else (64, 96))
        assert image.shape == (info.height, info.width, 3)
        assert corner.mean() > 200 and (image.mean(axis=2) > 200).sum() < 400
        assert mean_error(image, np.rot90(stored, turns)) < 3

    @pytest.mark.parametrize(
        ("kr", "kb", "height", "matrix", "full", "codec"),
        [
            (0.299, 0.114, 64, 5, False, "libx264"),  # BT.601
            (0.299, 0.114, 64, 5, True, "libx264"),
            (0.2126, 0.0722, 64, 1, False, "libx264"),  # BT.709
            (0.2126, 0.0722, 64, 1, True, "libx264"),
            (0.2126, 0.0722, 64, 1, True, "libvpx-vp9"),  # its pixel format does not say "full"
            (0.299, 0.114, 64, 2, False, "libx264"),  # not stated: BT.601 below 720 lines,
            (0.2126, 0.0722, 720, 2, False, "libx264"),  # BT.709 from there on
        ],
    )
    def test_colour_of_other_files(
        self,
        tmp_path: Path,
        kr: float,
        kb: float,
        height: int,
        matrix: int,
        full: bool,
        codec: str,
    ) -> None:
        r, g, b = 200 / 255, 60 / 255, 90 / 255
        luma = kr * r + (1 - kr - kb) * g + kb * b
        chroma = (b - luma) / (2 - 2 * kb), (r - luma) / (2 - 2 * kr)
        gains, offset = ((255, 255), 0) if full else ((219, 224), 16)
        yuv = [offset + gains[0] * luma, *(128 + gains[1] * c for c in chroma)]
        with av.open(str(tmp_path / "a.mp4"), "w") as container:
            stream = container.add_stream(codec, rate=25, options={"crf": "1"})
            stream.width, stream.height = 64, height
            stream.codec_context.colorspace = matrix
            stream.codec_context.color_range = 2 if full else 1
            frame = av.VideoFrame(64, height, "yuv420p")
            for plane, value in zip(frame.planes, yuv, strict=True):
                plane.update(bytes([round(value)]) * plane.buffer_size)
            container.mux(stream.encode(frame))
            container.mux(stream.encode())
        assert read_video_info(tmp_path / "a.mp4").full_range == full
        colour = next(read_frames(tmp_path / "a.mp4")).mean(axis=(0, 1))
        assert colour == pytest.approx([200, 60, 90], abs=2.5)


class TestWrite:
    @pytest.mark.parametrize("full", [False, True])
    def test_colour_round_trip(self, tmp_path: Path, full: bool) -> None:
        image = smooth((320, 192))
        for _ in range(3):  # a bias would add up
            with VideoWriter(
                tmp_path / "a.mp4", fps=25, size_wh=(320, 192), quality="best", full_range=full
            ) as writer:
                for _ in range(5):
                    writer.write(image)
            image = list(read_frames(tmp_path / "a.mp4"))[-1]
        wanted = smooth((320, 192))
        assert mean_error(image, wanted) < 2.0
        bias = (image.astype(float) - wanted).mean(axis=(0, 1))
        assert np.abs(bias).max() < 1.0

    @pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
    def test_full_range(self, tmp_path: Path, suffix: str) -> None:
        path, image = tmp_path / f"a{suffix}", smooth((320, 192))
        image[:48, :48], image[:48, 48:96] = 0, 255
        with VideoWriter(path, fps=25, size_wh=(320, 192), full_range=True) as writer:
            for _ in range(5):
                writer.write(image)
        assert read_video_info(path).full_range
        got = list(read_frames(path))[-1]
        assert mean_error(got, image) < 2.0
        assert np.abs((got.astype(float) - image).mean(axis=(0, 1))).max() < 1.0
        with av.open(str(path)) as container:
            luma = next(container.decode(video=0)).to_ndarray(format="gray")  # as stored
            assert container.streams.video[0].codec_context.color_range == 2
        assert luma[8:40, 8:40].mean() < 3 and luma[8:40, 56:88].mean() > 252

    def test_browsers_play_it(self, tmp_path: Path) -> None:
        path = write_numbers(tmp_path / "a.mp4", 10)
        with av.open(str(path)) as container:
            context = container.streams.video[0].codec_context
            assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
            tags = (context.colorspace, context.color_primaries, context.color_trc)
            assert (*tags, context.color_range) == (1, 1, 1, 1)
        data = path.read_bytes()
        assert 0 < data.index(b"moov") < data.index(b"mdat")

    @pytest.mark.parametrize(
        ("fps", "wanted"),
        [
            (25, Fraction(25)),
            (29.97, Fraction(30_000, 1001)),
            (23.976, Fraction(24_000, 1001)),
            (59.94, Fraction(60_000, 1001)),
            (30.0, Fraction(30)),
            (12.5, Fraction(25, 2)),
            (Fraction(24_000, 1001), Fraction(24_000, 1001)),
        ],
    )
    def test_constant_rate(self, tmp_path: Path, fps: float | Fraction, wanted: Fraction) -> None:
        path = write_numbers(tmp_path / "a.mp4", 100, fps)
        with av.open(str(path)) as container:
            assert container.streams.video[0].average_rate == wanted
        times = [f.time_s for f in read_timed_frames(path)]
        assert times == pytest.approx([float(i / wanted) for i in range(100)], abs=1e-9)

    def test_variable_rate(self, tmp_path: Path) -> None:
        gaps = np.random.default_rng(0).uniform(0.01, 0.12, 60)
        times = 7.0 + np.cumsum(gaps)  # not from 0: a segment of a longer clip
        with VideoWriter(tmp_path / "a.mp4", fps=25, size_wh=(64, 64)) as writer:
            for i, time_s in enumerate(times):
                writer.write(numbered(i), time_s)
        frames = list(read_timed_frames(tmp_path / "a.mp4"))
        assert [f.time_s for f in frames] == pytest.approx(times - times[0], abs=1 / 90_000)
        assert [number(f.image) for f in frames] == list(range(60))
        info = read_video_info(tmp_path / "a.mp4")
        assert info.variable_rate
        assert info.fps == pytest.approx(1 / gaps[1:].mean(), rel=0.02)

    def test_times_and_no_times_mix(self, tmp_path: Path) -> None:
        with VideoWriter(tmp_path / "a.mp4", fps=10, size_wh=(64, 64)) as writer:
            for time_s in (None, 3.0, 3.25, None):
                writer.write(flat(0), time_s)
        times = [f.time_s for f in read_timed_frames(tmp_path / "a.mp4")]
        assert times == pytest.approx([0.0, 0.1, 0.35, 0.45])

    def test_last_frame_lasts_as_long_as_any(self, tmp_path: Path) -> None:
        with VideoWriter(tmp_path / "a.mp4", fps=10, size_wh=(64, 64)) as writer:
            for time_s in (0.0, 3.0):
                writer.write(flat(0), time_s)
        assert read_video_info(tmp_path / "a.mp4").duration_s == pytest.approx(3.1)

    def test_odd_size(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        image = smooth((101, 75))
        with (
            caplog.at_level(logging.WARNING),
            VideoWriter(tmp_path / "a.mp4", fps=25, size_wh=(101, 75)) as writer,
        ):
            writer.write(image)
        got = next(read_frames(tmp_path / "a.mp4"))
        assert got.shape == (76, 102, 3)
        assert mean_error(got, np.pad(image, ((0, 1), (0, 1), (0, 0)), mode="edge")) < 2.5
        assert "(101, 75) -> (102, 76)" in caplog.text

    def test_comment(self, tmp_path: Path) -> None:
        with VideoWriter(
            tmp_path / "a.mp4", fps=25, size_wh=(64, 64), comment="AI modified"
        ) as writer:
            writer.write(flat(0))
        with av.open(str(tmp_path / "a.mp4")) as container:
            assert container.metadata["comment"] == "AI modified"
            assert container.metadata["description"] == "AI modified"

    def test_makes_the_folder(self, tmp_path: Path) -> None:
        assert write_numbers(tmp_path / "new" / "folder" / "a.mp4", 2).is_file()


class TestSound:
    def test_copy_of_a_whole_clip_is_bit_identical(self, tmp_path: Path) -> None:
        with VideoWriter(tmp_path / "a.mp4", fps=25, size_wh=(64, 64), audio_from=SAMPLE) as writer:
            for _ in range(450):
                writer.write(flat(0))
        assert packets(tmp_path / "a.mp4", "audio") == packets(SAMPLE, "audio")
        with av.open(str(tmp_path / "a.mp4")) as container:
            for stream in container.streams:
                assert float(stream.duration * stream.time_base) == pytest.approx(18.0, abs=1e-3)
            # Sound lies beside its picture in the file, so that playing it over a network works.
            times: dict[str, list[float]] = {"video": [0.0], "audio": [0.0]}
            for packet in sorted(container.demux(), key=lambda p: p.pos or 0):
                if packet.size:
                    times[packet.stream.type].append(float(packet.dts * packet.time_base))
                    assert abs(times["video"][-1] - times["audio"][-1]) < 2.0

    @pytest.mark.parametrize(
        ("name", "codec", "rate", "delay_s", "copied"),
        [
            ("a.mp4", "aac", RATE, 0.0, ".mp4 .mkv"),
            ("a.mp4", "aac", 48_000, 3.0, ".mp4 .mkv"),
            ("a.mkv", "aac", RATE, 0.0, ".mp4 .mkv"),
            ("a.ts", "aac", RATE, 3.0, ".mp4 .mkv"),
            ("a.mp4", "libmp3lame", RATE, 0.0, ".mp4 .mkv"),
            ("a.mov", "pcm_s16le", 11_025, 0.0, ".mkv"),
            ("a.mkv", "libopus", 48_000, 0.0, ".mkv .webm"),
        ],
    )
    def test_in_sync(
        self, tmp_path: Path, name: str, codec: str, rate: int, delay_s: float, copied: str
    ) -> None:
        source = make_clip(tmp_path / name, codec, rate=rate, delay_s=delay_s)
        assert beep_s(source) == pytest.approx(2.0, abs=0.005)  # of the test itself
        for start_s, suffix in itertools.product((0.0, 0.813, 1.5), (".mp4", ".mkv", ".webm")):
            path = tmp_path / f"cut{suffix}"
            with VideoWriter(
                path, fps=25, size_wh=(64, 64), audio_from=source, audio_start_s=start_s
            ) as writer:
                for image, time_s in read_timed_frames(source, start_s):
                    writer.write(image, time_s)
            # 0.813 s is between two frames: the sound begins with the next frame, at 0.84 s.
            assert flash_s(path) == pytest.approx(2.0 - np.ceil(start_s * 25) / 25, abs=1e-3)
            assert beep_s(path) == pytest.approx(flash_s(path), abs=0.003)
            if suffix in copied:
                assert set(packets(path, "audio")) <= set(packets(source, "audio")) or ".ts" in name
            else:
                with av.open(str(path)) as container:
                    wanted = "opus" if suffix == ".webm" else "aac"
                    assert container.streams.audio[0].codec_context.codec.canonical_name == wanted

    def test_sound_ends_with_the_video(self, tmp_path: Path) -> None:
        path = tmp_path / "a.mp4"
        for end_s, wanted_s in ((None, 1.4), (11.0, 1.0)):
            with VideoWriter(
                path,
                fps=25,
                size_wh=(64, 64),
                audio_from=SAMPLE,
                audio_start_s=10.0,
                audio_end_s=end_s,
            ) as writer:
                for _ in range(35):
                    writer.write(flat(0))
            with av.open(str(path)) as container:
                sound = container.streams.audio[0]
                assert float(sound.duration * sound.time_base) == pytest.approx(wanted_s, abs=1e-3)
                decoded_s = sum(f.samples / f.sample_rate for f in container.decode(sound))
                assert decoded_s == pytest.approx(wanted_s, abs=0.025)

    def test_no_sound_in_no_sound_out(self, tmp_path: Path) -> None:
        silent = write_numbers(tmp_path / "a.mp4", 5)
        with VideoWriter(tmp_path / "b.mp4", fps=25, size_wh=(64, 64), audio_from=silent) as writer:
            writer.write(flat(0))
        assert streams(tmp_path / "b.mp4") == ["video"]

    def test_of_the_file_that_is_replaced(self, tmp_path: Path) -> None:
        path = make_clip(tmp_path / "a.mp4", "aac")
        before = packets(path, "audio")
        with VideoWriter(path, fps=25, size_wh=(64, 64), audio_from=path) as writer:
            for image, time_s in read_timed_frames(path):
                writer.write(255 - image, time_s)
        assert set(packets(path, "audio")) <= set(before)
        assert next(read_frames(path)).mean() > 200


class TestAtomic:
    @pytest.mark.parametrize("count", [0, 3, 80])
    def test_exception_leaves_the_old_file(self, tmp_path: Path, count: int) -> None:
        path = tmp_path / "a.mp4"
        path.write_bytes(b"old")
        with (
            pytest.raises(RuntimeError, match="stop"),
            VideoWriter(path, fps=25, size_wh=(64, 64), audio_from=SAMPLE) as writer,
        ):
            for _ in range(count):
                writer.write(flat(0))
            raise RuntimeError("stop")
        assert path.read_bytes() == b"old"
        assert list(tmp_path.iterdir()) == [path]

    def test_appears_at_the_end(self, tmp_path: Path) -> None:
        path = tmp_path / "a.mp4"
        with VideoWriter(path, fps=25, size_wh=(64, 64)) as writer:
            writer.write(flat(0))
            assert not path.exists()
            assert all(p.name.startswith(".") for p in tmp_path.iterdir())
        assert list(tmp_path.iterdir()) == [path]

    def test_no_frame(self, tmp_path: Path) -> None:
        with (
            pytest.raises(ValueError, match="expected at least one frame"),
            VideoWriter(tmp_path / "a.mp4", fps=25, size_wh=(64, 64)),
        ):
            pass
        assert list(tmp_path.iterdir()) == []

    def test_failing_constructor_leaves_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "sound.mp3").write_text("no sound")
        with pytest.raises(ValueError, match="cannot be opened"):
            VideoWriter(
                tmp_path / "a.mp4", fps=25, size_wh=(64, 64), audio_from=tmp_path / "sound.mp3"
            )
        assert [p.name for p in tmp_path.iterdir()] == ["sound.mp3"]


class TestWriteErrors:
    def test_path(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"\.mkv, \.mov, \.mp4, \.webm, got 'a\.avi'"):
            VideoWriter(tmp_path / "a.avi", fps=25, size_wh=(64, 64))
        (tmp_path / "b.mp4").mkdir()
        with pytest.raises(IsADirectoryError, match="got the folder"):
            VideoWriter(tmp_path / "b.mp4", fps=25, size_wh=(64, 64))
        (tmp_path / "file").write_text("")
        with pytest.raises(OSError, match="choose a folder that you may write to"):
            VideoWriter(tmp_path / "file" / "a.mp4", fps=25, size_wh=(64, 64))

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
    def test_folder_without_permission(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o500)
        with pytest.raises(PermissionError, match="choose a folder that you may write to"):
            VideoWriter(tmp_path / "a.mp4", fps=25, size_wh=(64, 64))

    @pytest.mark.parametrize(
        ("change", "text"),
        [
            ({"fps": 0}, "frames per second, got 0"),
            ({"fps": float("nan")}, "frames per second, got nan"),
            ({"size_wh": (0, 64)}, r"sides >= 1, got \(0, 64\)"),
            ({"quality": "fine"}, "quality: expected one of"),
            ({"audio_start_s": -1.0}, "start of 0 s or later, got -1"),
            ({"audio_start_s": 2.0, "audio_end_s": 2.0}, "end after the start"),
        ],
    )
    def test_arguments(self, tmp_path: Path, change: dict[str, object], text: str) -> None:
        arguments: dict[str, object] = {"fps": 25, "size_wh": (64, 64)}
        with pytest.raises(ValueError, match=text):
            VideoWriter(tmp_path / "a.mp4", **(arguments | change))  # type: ignore[arg-type]
        assert list(tmp_path.iterdir()) == []

    def test_frames(self, tmp_path: Path) -> None:
        with VideoWriter(tmp_path / "a.mp4", fps=25, size_wh=(64, 48)) as writer:
            with pytest.raises(ValueError, match=r"expected frames of \(64, 48\).*got \(48, 64\)"):
                writer.write(flat(0, (48, 64)))
            with pytest.raises(TypeError, match="expected uint8"):
                writer.write(np.zeros((48, 64, 3), np.float32))  # type: ignore[arg-type]
            writer.write(flat(0, (64, 48)), 1.0)
            for time_s in (1.0, 0.5):
                with pytest.raises(
                    ValueError, match=f"after the last frame's 1.0+ s, got {time_s}"
                ):
                    writer.write(flat(0, (64, 48)), time_s)
            with pytest.raises(ValueError, match="expected a time in seconds, got nan"):
                writer.write(flat(0, (64, 48)), float("nan"))
        with pytest.raises(ValueError, match="got a closed one"):
            writer.write(flat(0, (64, 48)))
        assert read_video_info(tmp_path / "a.mp4").frame_count == 1


class TestNames:
    """What a file system takes, 255 bytes as a rule, is enough for the video itself."""

    @pytest.mark.parametrize("name", ["a" * 251, "\u00e4" * 125, "\U0001f600" * 62])
    def test_long_names(self, tmp_path: Path, name: str) -> None:
        path = write_numbers(tmp_path / f"{name}.mp4", 3)
        assert [each.name for each in tmp_path.iterdir()] == [path.name]
        assert [number(image) for image in read_frames(path)] == [0, 1, 2]

    @pytest.mark.parametrize(
        "name", ["a b", "100%", "#1", "%03d", "x?", "a:b", "\u65e5 \U0001f600"]
    )
    def test_odd_names(self, tmp_path: Path, name: str) -> None:
        path = write_numbers(tmp_path / name / f"{name}.mp4", 3)
        assert [number(image) for image in read_frames(path)] == [0, 1, 2]

    def test_too_long_is_known_at_once(self, tmp_path: Path) -> None:
        with pytest.raises(OSError, match="choose a shorter name"):
            VideoWriter(tmp_path / f"{'a' * 252}.mp4", fps=25, size_wh=(64, 64))
        assert list(tmp_path.iterdir()) == []


class TestCodecs:
    @pytest.mark.parametrize(
        ("codec", "name", "suffix", "worst"),
        [
            ("hevc", "hevc", ".mp4", 2.5),
            ("hevc", "hevc", ".mkv", 2.5),
            ("av1", "libdav1d", ".mp4", 2.5),
            ("av1", "libdav1d", ".webm", 2.5),
            ("vp9", "libvpx-vp9", ".mkv", 2.5),
            ("prores", "prores", ".mov", 1.2),
            ("ffv1", "ffv1", ".mkv", 0.6),
        ],
    )
    def test_round_trip(
        self, tmp_path: Path, codec: VideoCodec, name: str, suffix: str, worst: float
    ) -> None:
        path, image = tmp_path / f"a{suffix}", smooth((160, 96))
        with VideoWriter(path, fps=25, size_wh=(160, 96), audio_from=SAMPLE, codec=codec) as writer:
            for _ in range(6):
                writer.write(image)
        with av.open(str(path)) as container:
            context = container.streams.video[0].codec_context
            assert context.codec.canonical_name == codec or context.name == name
            tags = context.colorspace, context.color_primaries, context.color_trc
            assert tags == (1, 1, 1) and len(container.streams.audio) == 1
        frames = list(read_frames(path))
        assert len(frames) == 6 and mean_error(frames[-1], image) < worst

    @pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "vp9", "prores"])
    def test_quality_costs_bytes(self, tmp_path: Path, codec: VideoCodec) -> None:
        frames = list(read_frames(SAMPLE, 0.0, 0.16))
        sizes = []
        for quality in get_args(Quality):
            path = tmp_path / ("a.mov" if codec == "prores" else "a.mp4")
            with VideoWriter(
                path, fps=25, size_wh=(384, 384), codec=codec, quality=quality
            ) as writer:
                for image in frames:
                    writer.write(image)
            sizes.append(path.stat().st_size)
        assert sizes == sorted(sizes) and sizes[-1] > 1.5 * sizes[0]

    def test_what_does_not_fit_says_so(self, tmp_path: Path) -> None:
        for codec, suffix in (("prores", ".mp4"), ("ffv1", ".mov"), ("h264", ".webm")):
            with pytest.raises(ValueError, match=f"codec: {codec} goes into .*, got {suffix}"):
                VideoWriter(tmp_path / f"a{suffix}", fps=25, size_wh=(64, 64), codec=codec)
        with pytest.raises(ValueError, match="codec: expected one of"):
            VideoWriter(tmp_path / "a.mp4", fps=25, size_wh=(64, 64), codec="divx")  # type: ignore[arg-type]
        assert list(tmp_path.iterdir()) == []


class TestReadErrors:
    def test_path(self, tmp_path: Path) -> None:
        for read in (read_video_info, read_frames, read_timed_frames):
            with pytest.raises(FileNotFoundError, match="no video at"):
                read(tmp_path / "missing.mp4")
            with pytest.raises(IsADirectoryError, match="got the folder"):
                read(tmp_path)

    def test_text_and_empty_file(self, tmp_path: Path) -> None:
        path = tmp_path / "a.mp4"
        for text in ("hello\n" * 100, ""):
            path.write_text(text)
            for read in (read_video_info, read_frames):
                with pytest.raises(ValueError, match=r"cannot be opened.*download it again"):
                    read(path)

    def test_no_video_stream(self, tmp_path: Path) -> None:
        with av.open(str(tmp_path / "a.m4a"), "w", format="mp4") as container:
            stream = container.add_stream("aac", rate=RATE, layout="mono")
            frame = av.AudioFrame.from_ndarray(
                np.zeros((1, 4096), np.float32), "fltp", layout="mono"
            )
            frame.sample_rate = RATE
            container.mux(stream.encode(frame))
            container.mux(stream.encode())
        for read in (read_video_info, read_frames):
            with pytest.raises(ValueError, match=r"expected a video stream .* got audio"):
                read(tmp_path / "a.m4a")

    def test_index_missing(self, tmp_path: Path) -> None:
        data = SAMPLE.read_bytes()
        at = data.index(b"moov")
        (tmp_path / "a.mp4").write_bytes(data[: at - 4] + data[data.index(b"mdat") - 4 :])
        with pytest.raises(ValueError, match=r"cannot be opened|that can be decoded"):
            read_video_info(tmp_path / "a.mp4")

    @pytest.mark.parametrize(("missing", "wanted"), [(627_000, 224), (1_500, 447)])
    def test_data_breaks_off(
        self, tmp_path: Path, missing: int, wanted: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = tmp_path / "a.mp4"
        path.write_bytes(SAMPLE.read_bytes()[:-missing])
        frames = read_timed_frames(path)
        times = [time_s for _, time_s in frames]
        assert len(times) == pytest.approx(wanted, abs=2)
        assert frames.breaks_off_s == times[-1]
        assert f"the film breaks off at {times[-1]:.2f} s" in caplog.text
        with pytest.raises(ValueError, match="; it is incomplete, download it again"):
            list(read_frames(path, 17.95))
        whole = read_timed_frames(path, 1.0, 2.0)
        assert len(list(whole)) == 25 and whole.breaks_off_s is None  # all there

    def test_damaged_data(self, tmp_path: Path) -> None:
        data = bytearray(SAMPLE.read_bytes())
        data[300_000:500_000] = np.random.default_rng(0).bytes(200_000)
        (tmp_path / "a.mp4").write_bytes(data)
        frames = read_timed_frames(tmp_path / "a.mp4")
        times = [time_s for _, time_s in frames]
        assert times[-1] == pytest.approx(449 / 25)  # it goes on behind the damage
        assert len(times) + len(frames.damaged_s) == pytest.approx(450, abs=2) and len(times) > 350

    def test_segment_and_stride(self) -> None:
        for start_s, end_s, stride, text in (
            (-1.0, None, 1, "start of 0 s or later, got -1"),
            (float("nan"), None, 1, "start of 0 s or later, got nan"),
            (3.0, 3.0, 1, r"end after the start \(3.0 s\), got 3.0"),
            (3.0, 1.0, 1, r"end after the start \(3.0 s\), got 1.0"),
            (0.0, None, 0, "stride of 1 or more, got 0"),
        ):
            with pytest.raises(ValueError, match=text):
                read_frames(SAMPLE, start_s, end_s, stride)

    @pytest.mark.parametrize("start_s", [18.0, 99.0])
    def test_start_beyond_the_end(self, start_s: float) -> None:
        with pytest.raises(ValueError, match=rf"between {start_s} s and the end .* 17\.96 s"):
            list(read_frames(SAMPLE, start_s))


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="Linux only")
def test_writing_av1_leaves_the_priority_of_the_thread(tmp_path):
    before = os.sched_getscheduler(0)
    with VideoWriter(tmp_path / "x.mp4", fps=25, size_wh=(64, 64), codec="av1") as writer:
        for _ in range(3):
            writer.write(np.full((64, 64, 3), 99, np.uint8))
            assert os.sched_getscheduler(0) == before
    assert os.sched_getscheduler(0) == before
