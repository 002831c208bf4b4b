"""Films of many kinds, made with PyAV, whose every frame bears its number and whose sound is noise.

`KINDS` names what is made; each maker returns what has to come out when it is read.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.filter import Graph
from PIL import Image as Pillow

from deepfake_utils.images import Image
from deepfake_utils.samples import sample_clips
from deepfake_utils.video import read_frames

FPS, COUNT, SIDE = 25, 40, 128
RATE = 48_000
BITS = 8
STRIP = SIDE // 8  # height of the strip with the number, at the bottom


@dataclass(frozen=True)
class Film:
    """A film, and what is right about it."""

    path: Path
    codes: Sequence[int] = tuple(range(COUNT))  # of its frames, in their order
    size_wh: tuple[int, int] = (SIDE, SIDE)  # as displayed
    changed: tuple[str, ...] = ()
    times: Sequence[float] | None = None  # None: code / 25
    off_s: float = 0.001  # how far its times may be off
    tolerance: float = 3.0  # levels off the original, on average
    track: int = 0  # whose noise the default track is
    damaged: tuple[int, int] = (0, 0)  # least and most frames that are reported
    picture: Callable[[Image], Image] = field(default=lambda image: image)  # original -> displayed
    mirrored: bool = False  # whether the number has to be read from right to left


def originals() -> list[Image]:
    """Frames of person A, (128, 128, 3), each with its number at its bottom."""
    frames = read_frames(sample_clips().person_a, 0.0, COUNT / FPS)
    return [numbered(cv2.resize(f, (SIDE, SIDE), interpolation=cv2.INTER_AREA), i)
            for i, f in enumerate(frames)]  # fmt: skip


def numbered(image: Image, number: int) -> Image:
    """A copy whose lowest rows are eight black or white squares, the bits of the number."""
    bits = np.array([number >> bit & 1 for bit in range(BITS)], np.uint8) * 200 + 25
    image = image.copy()
    image[-STRIP:] = np.repeat(bits, SIDE // BITS)[None, :, None]
    return image


def code(image: Image) -> int:
    """The number of a frame of any size."""
    height, width = image.shape[:2]
    row = image[round((1 - 0.5 / 8) * height)].mean(axis=1)
    at = ((np.arange(BITS) + 0.5) * width / BITS).astype(int)
    return int(((row[at] > 125) << np.arange(BITS)).sum())


def noise(track: int = 0) -> np.ndarray:
    """Sound of a track, (samples,) float32: no part of it is like another."""
    rough = np.random.default_rng(track).normal(size=round(COUNT / FPS * RATE)).astype(np.float32)
    return 0.25 * cv2.GaussianBlur(rough[None], (9, 1), 2.0)[0] / 0.4


def heard(path: Path, stream: int = 0) -> tuple[float, np.ndarray]:
    """(when it begins on the file's clock, samples at 48 kHz) of a sound stream."""
    parts, start_s = [], None
    with av.open(str(path)) as container:
        mono = av.AudioResampler(format="fltp", layout="mono", rate=RATE)
        for packet in container.demux(container.streams.audio[stream]):
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                continue
            for frame in frames:
                start_s = frame.time if start_s is None else start_s
                parts += [each.to_ndarray()[0] for each in mono.resample(frame)]
    return start_s or 0.0, np.concatenate(parts)


def late_s(
    path: Path, first_code: int, first_s: float, track: int = 0, stream: int = 0
) -> tuple[float, float]:
    """How much later sound is heard than its picture is seen, and how sure that is, 0..1.

    Args:
        path: the film.
        first_code: number of its first frame.
        first_s: when that appears on the file's own clock.
        track: whose noise it is.
        stream: which of its sound streams is meant.
    """
    start_s, sound = heard(path, stream)
    wanted = noise(track)
    length = 1 << (len(sound) + len(wanted)).bit_length()
    both = np.fft.rfft(sound, length) * np.conj(np.fft.rfft(wanted, length))
    likeness = np.fft.irfft(both, length)
    at = int(np.argmax(likeness))
    sure = likeness[at] / (np.linalg.norm(sound) * np.linalg.norm(wanted))
    shift = (at - length if at > length // 2 else at) / RATE
    return shift + start_s - (first_s - first_code / FPS), float(sure)


def clock_s(path: Path) -> float:
    """When the first picture that can be decoded appears on the file's own clock, by PyAV alone."""
    with av.open(str(path)) as container:
        return next(container.decode(video=0)).time


def write(
    path: Path,
    images: Sequence[Image],
    codec: str = "libx264",
    pixels: str = "yuv420p",
    *,
    options: dict[str, str] | None = None,
    sound: str | None = "aac",
    tracks: int = 1,
    default_track: int = 0,
    rate: int = RATE,
    aspect: Fraction | None = None,
    stamps: Sequence[int] | None = None,  # in 1/1000 s
    matrix: int = 2,
    full: bool = False,
    tags: tuple[int, int] = (2, 2),  # primaries, transfer
    delay_s: float = 0.0,
    form: str | None = None,
    change: Callable[[int, av.Packet], None] | None = None,
    before: Callable[[av.container.OutputContainer], list[av.Packet]] | None = None,
) -> Path:
    """Encode pictures and noise; `before` adds other streams before them, with their packets."""
    with av.open(str(path), "w", format=form) as container:
        first = [] if before is None else before(container)
        video = container.add_stream(codec, rate=FPS, options=options or {})
        video.width, video.height = images[0].shape[1::-1]
        video.pix_fmt = pixels
        context = video.codec_context
        context.colorspace, context.color_range = matrix, 2 if full else 1
        context.color_primaries, context.color_trc = tags
        if stamps is not None:
            context.time_base = Fraction(1, 1000)
        if aspect is not None:
            context.sample_aspect_ratio = aspect
        heard = [container.add_stream(sound, rate=rate, layout="mono")
                 for _ in range(tracks if sound else 0)]  # fmt: skip
        for number, stream in enumerate(heard):
            if tracks > 1:
                stream.disposition = av.stream.Disposition(int(number == default_track))
        count = 0
        packets = [(0.0, packet) for packet in first]  # when each goes into the file
        for i, image in enumerate([*images, None]):
            frame = None
            if image is not None:
                depth = "rgb24" if image.dtype == np.uint8 else "rgb48le"
                frame = av.VideoFrame.from_ndarray(image, depth).reformat(
                    format=pixels, dst_colorspace={1: 1, 7: 1, 9: 9}.get(matrix, 5),
                    dst_color_range=2 if full else 1, interpolation=0x42002,
                )  # fmt: skip
                frame.pts = i + round(delay_s * FPS) if stamps is None else stamps[i]
                frame.time_base = Fraction(1, FPS if stamps is None else 1000)
            for packet in video.encode(frame):
                packets.append((float((packet.dts or 0) * packet.time_base), packet))
                if change is not None:
                    change(count, packet)
                count += 1
        for number, stream in enumerate(heard):
            samples = noise(number)
            size = stream.codec_context.frame_size or (1024 if rate == RATE else len(samples))
            for i in range(0, len(samples), size):
                chunk = av.AudioFrame.from_ndarray(
                    samples[None, i : i + size], "fltp", layout="mono"
                )
                chunk.sample_rate, chunk.time_base, chunk.pts = RATE, Fraction(1, RATE), i
                for packet in stream.encode(_fitted(chunk, stream)):
                    packets.append((i / RATE, packet))
            packets += [(COUNT / FPS, packet) for packet in stream.encode(None)]
        for _, packet in sorted(packets, key=lambda each: each[0]):
            container.mux(packet)
    return path


def _fitted(chunk: av.AudioFrame, stream: av.AudioStream) -> av.AudioFrame:
    if stream.codec_context.format.name == "fltp":
        return chunk
    context = stream.codec_context
    resampler = av.AudioResampler(context.format.name, "mono", context.rate)
    return next(iter(resampler.resample(chunk)))


def fields(images: Sequence[Image], top_first: bool) -> list[Image]:
    """Frames of 50 fields a second: of each two pictures every second row."""
    made = []
    for first, second in zip(images[0::2], images[1::2], strict=True):
        both = first.copy()
        later = slice(1, None, 2) if top_first else slice(0, None, 2)
        both[later] = second[later]
        made.append(both)
    return made


def set_display_matrix(path: Path, abcd: Sequence[int]) -> Path:
    """Change the 2 x 2 matrix in the tkhd box of an MP4: x' = a x + c y, y' = b x + d y."""
    data = bytearray(path.read_bytes())
    a, b, c, d = (value * 65_536 for value in abcd)
    at = data.index(b"tkhd") + 44
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def _mirror(folder: Path, images: list[Image]) -> Film:
    path = set_display_matrix(write(folder / "mirror.mp4", images), (-1, 0, 0, 1))
    return Film(
        path, changed=("mirrored, as its file asks",), picture=lambda i: i[:, ::-1], mirrored=True
    )


def _turned_and_mirrored(folder: Path, images: list[Image]) -> Film:
    wide = [cv2.resize(image, (160, 96)) for image in images]
    # Stored so that the display matrix, which swaps x and y, makes it upright.
    stored = [np.ascontiguousarray(image.transpose(1, 0, 2)) for image in wide]
    path = set_display_matrix(write(folder / "turned.mp4", stored), (0, 1, 1, 0))
    changed = ("mirrored, as its file asks",)
    return Film(
        path, size_wh=(160, 96), changed=changed, picture=lambda i: cv2.resize(i, (160, 96))
    )


def _wide_pixels(folder: Path, images: list[Image]) -> Film:
    squeezed = [cv2.resize(image, (96, SIDE), interpolation=cv2.INTER_AREA) for image in images]
    path = write(folder / "sar43.mp4", squeezed, aspect=Fraction(4, 3))
    return Film(path, changed=("pixels of 4:3 made square",), tolerance=4.0)


def _display_ratio(folder: Path, images: list[Image]) -> Film:
    squeezed = [cv2.resize(image, (SIDE, 96), interpolation=cv2.INTER_AREA) for image in images]
    path = write(folder / "ratio.mkv", squeezed, aspect=Fraction(3, 4))
    return Film(path, changed=("pixels of 3:4 made square",), tolerance=4.0)


def _dv(folder: Path, images: list[Image]) -> Film:
    """PAL DV, 16:9, bottom field first: the format itself says all of it."""
    stored = [cv2.resize(image, (720, 576)) for image in images[:10]]
    # In an MOV the shape is stated; bare DV states it in a way that encoders leave out.
    path = write(folder / "dv.mov", stored, "dvvideo", sound="pcm_s16le", aspect=Fraction(64, 45))
    changed = ("deinterlaced", "pixels of 64:45 made square")
    return Film(path, range(10), (1024, 576), changed, picture=lambda i: cv2.resize(i, (1024, 576)))


def _interlaced(top_first: bool) -> Callable[[Path, list[Image]], Film]:
    def make(folder: Path, images: list[Image]) -> Film:
        # Two fields of one number, so that it can be read: what moves is the face.
        pairs = [numbered(images[i], i // 2) for i in range(COUNT)]
        name = "tff" if top_first else "bff"
        options = {"x264-params": f"{name}=1", "crf": "16"}
        path = write(folder / f"{name}.mp4", fields(pairs, top_first), options=options)
        return Film(path, range(COUNT // 2), changed=("deinterlaced",), tolerance=4.0)

    return make


def _full_range(folder: Path, images: list[Image]) -> Film:
    path, options = folder / "yuvj.mov", {"qmin": "2", "qmax": "3"}
    write(path, images, "mjpeg", "yuvj420p", full=True, sound="pcm_s16le", options=options)
    return Film(path, tolerance=4.0)


def _sd(folder: Path, images: list[Image]) -> Film:
    """BT.601 in all: FFmpeg itself converts the primaries on the way in."""
    graph = Graph()
    source = graph.add_buffer(width=SIDE, height=SIDE, format="yuv444p", time_base=Fraction(1, FPS))
    names = ("setparams", "colorspace", "format", "buffersink")
    texts = (
        "range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709",
        "all=bt601-6-625",
        "pix_fmts=yuv444p",
        "",
    )
    chain = [source, *(graph.add(*each) for each in zip(names, texts, strict=True))]
    for one, other in itertools.pairwise(chain):
        one.link_to(other)
    graph.configure()
    path = folder / "sd.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS, options={"crf": "12"})
        video.width = video.height = SIDE
        video.pix_fmt = "yuv444p"
        context = video.codec_context
        context.colorspace = 5
        context.color_primaries, context.color_trc, context.color_range = 5, 6, 1
        for i, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image).reformat(
                format="yuv444p", dst_colorspace=1, dst_color_range=1, interpolation=0x42002
            )
            frame.pts, frame.time_base = i, Fraction(1, FPS)
            source.push(frame)
            made = chain[-1].pull()
            made.pts, made.time_base, made.pict_type = i, Fraction(1, FPS), 0
            container.mux(video.encode(made))
        container.mux(video.encode(None))
    return Film(path, changed=("colours converted from BT.601 to BT.709",), tolerance=2.0)


def _deep(folder: Path, images: list[Image]) -> Film:
    return Film(write(folder / "deep.mov", images, "prores_ks", "yuv422p10le", matrix=1,
                      tags=(1, 1), sound="pcm_s24le"), tolerance=2.0)  # fmt: skip


def _phone(folder: Path, images: list[Image]) -> Film:
    """What a phone in the dark writes: now and then it waits for light."""
    return _waiting(folder / "phone.mp4", images)


def _waiting(path: Path, images: list[Image]) -> Film:
    gaps = np.random.default_rng(1).choice([33, 34, 50, 67], COUNT)
    stamps = np.concatenate([[0], np.cumsum(gaps)[:-1]])
    return Film(write(path, images, stamps=stamps.tolist()), times=stamps / 1000)


def _two_tracks(folder: Path, images: list[Image]) -> Film:
    return Film(write(folder / "tracks.mkv", images, tracks=2, default_track=1), track=1)


def _equal(folder: Path, images: list[Image]) -> Film:
    options = {"bf": "0", "qmin": "2", "qmax": "4"}
    path = folder / "equal.mkv"
    write(path, images, "mpeg4", change=_twice, sound="pcm_s16le", options=options)
    return Film(path, tolerance=4.0)


def _twice(number: int, packet: av.Packet) -> None:
    if number in (11, 24):
        packet.pts = packet.dts = packet.pts - _frame(packet)


def _frame(packet: av.Packet) -> int:
    return round(1 / (FPS * packet.time_base))


def _back(folder: Path, images: list[Image]) -> Film:
    """Matroska whose frame 20 is stamped 720 ms instead of 800 ms; no program writes that."""
    path = write(folder / "back.mkv", images, options={"bf": "0"}, sound=None)
    data = bytearray(path.read_bytes())
    at = data.index(b"\x81" + (800).to_bytes(2, "big"))  # track 1, milliseconds
    data[at + 1 : at + 3] = (720).to_bytes(2, "big")
    path.write_bytes(data)
    return Film(path, off_s=0.045)


def _bare(folder: Path, images: list[Image]) -> Film:
    """H.264 without any container: there are no stamps at all."""
    return Film(write(folder / "bare.h264", images, sound=None))


def _avi(codec: str, name: str) -> Callable[[Path, list[Image]], Film]:
    def make(folder: Path, images: list[Image]) -> Film:
        options = {"bf": "2", "qmin": "2", "qmax": "3"} if codec == "mpeg4" else {"bf": "3"}
        path = write(folder / name, images, codec, options=options, sound="libmp3lame")
        return Film(path)

    return make


def _edit_list(folder: Path, images: list[Image]) -> Film:
    """An MOV that was trimmed: all frames are there, ten are hidden before those that show."""
    path = write(folder / "trimmed.mov", images, sound="pcm_s16le")
    data = bytearray(path.read_bytes())
    scale = int.from_bytes(data[data.index(b"mdhd") + 16 :][:4], "big")
    at = data.index(b"elst") + 12
    length, begin = struct.unpack(">Ii", data[at : at + 8])
    data[at : at + 8] = struct.pack(">Ii", length, begin + 10 * scale // FPS)
    path.write_bytes(data)
    codes = range(10, COUNT)
    return Film(path, codes, times=[i / FPS for i in range(30)])


def _late_start(folder: Path, images: list[Image]) -> Film:
    path = write(folder / "late.mp4", images, delay_s=0.4)
    return Film(path)


def _damaged(folder: Path, images: list[Image]) -> Film:
    """Zero bytes in the middle of an MP4."""
    path = write(folder / "damaged.mp4", images, options={"g": "10", "bf": "0", "crf": "12"})
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
    at = packets[19].pos  # the last one before a key frame
    data[at : at + packets[19].size] = bytes(packets[19].size)
    path.write_bytes(data)
    return Film(path, [i for i in range(COUNT) if i != 19], damaged=(1, 1))


def _broken_transport(folder: Path, images: list[Image]) -> Film:
    """A recording that begins and ends in rubbish, and with two packets lost near its end."""
    path = write(folder / "broken.ts", images, options={"g": "10", "bf": "0"})
    data = bytearray(path.read_bytes())
    count = len(data) // 188
    data[188 * 3 : 188 * 12] = np.random.default_rng(0).bytes(188 * 9)
    at = 188 * (count * 9 // 10)
    data[at : at + 2 * 188] = bytes(2 * 188)
    path.write_bytes(bytes(data[:-100]))
    # The first key frame is gone, and with it what builds on it.
    return Film(path, range(10, COUNT), damaged=(9, 14), tolerance=5.0)


def _sizes(folder: Path, images: list[Image]) -> Film:
    """Recordings of three sizes in one transport stream; the last has another shape."""
    parts = []
    for number, wh in enumerate([(SIDE, SIDE), (192, 192), (96, 96)]):
        part = [cv2.resize(i, wh) for i in images[number * 12 : number * 12 + 12]]
        stamps = [(number * 12 + i) * 40 for i in range(12)]
        options = {"g": "12", "bf": "0"}
        name = folder / f"part{number}.ts"
        parts.append(write(name, part, stamps=stamps, sound=None, options=options).read_bytes())
    (folder / "sizes.ts").write_bytes(b"".join(parts))
    return Film(folder / "sizes.ts", range(36), damaged=(0, 3), tolerance=5.0)


def _odd(folder: Path, images: list[Image]) -> Film:
    odd = [cv2.resize(image, (101, 75)) for image in images]
    path = write(folder / "odd.mkv", odd, "ffv1", "yuv444p", sound="flac")
    return Film(path, size_wh=(101, 75), picture=lambda i: cv2.resize(i, (101, 75)))


# ITU-R BT.2087: linear BT.709 to BT.2020. BT.2100: what a light of 0..1, 1 being 10,000 cd/m2 for
# PQ and 1,000 for HLG, is as a signal.
TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])


def _pq(light: np.ndarray) -> np.ndarray:
    power = light**0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def _hlg(light: np.ndarray) -> np.ndarray:
    luminance = np.maximum(light @ [0.2627, 0.6780, 0.0593], 1e-6)[..., None]
    scene = light * luminance ** (1 / 1.2 - 1)
    logarithm = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-6)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), logarithm)


def _as_hdr(image: Image, signal: Callable[[np.ndarray], np.ndarray], peak: float) -> np.ndarray:
    """(H, W, 3) uint16 of BT.2020; white is 203 cd/m2 (BT.2408), or 1 if that is the peak."""
    light = (image / 255) ** 2.4 @ TO_2020.T * (203 / peak)
    return np.rint(np.clip(signal(light), 0, 1) * 65535).astype(np.uint16)


# Of the 1.6 to 1.9 levels that they are off, making room for highlights takes most: the squares of
# the number are brighter than what is left as it is.
_HEVC = {"x265-params": "log-level=error", "crf": "10"}


def _hdr(folder: Path, images: list[Image]) -> Film:
    coded = [_as_hdr(image, _pq, 10_000) for image in images]
    path = folder / "pq.mp4"
    write(path, coded, "libx265", "yuv420p10le", options=_HEVC, matrix=9, tags=(9, 16))
    return Film(path, changed=("HDR (PQ) tone-mapped to SDR",), tolerance=2.0)


def _hdr_phone(folder: Path, images: list[Image]) -> Film:
    """HLG, held upright: turned by its display matrix."""
    coded = [np.ascontiguousarray(np.rot90(_as_hdr(image, _hlg, 1000))) for image in images]
    path = folder / "hlg.mov"
    write(path, coded, "libx265", "yuv420p10le", options=_HEVC, matrix=9, tags=(9, 18))
    set_display_matrix(path, (0, 1, -1, 0))
    return Film(path, changed=("HDR (HLG) tone-mapped to SDR",), tolerance=2.0)


def _wide_colours(folder: Path, images: list[Image]) -> Film:
    """SDR of BT.2020, full range."""
    coded = [_as_hdr(image, lambda light: light ** (1 / 2.4), 203) for image in images]
    path, options = folder / "bt2020.mkv", {"x265-params": "log-level=error:range=full"}
    options["crf"] = "10"
    write(path, coded, "libx265", "yuv420p10le", options=options, matrix=9, full=True, tags=(9, 14))
    return Film(path, changed=("colours converted from BT.2020 to BT.709",), tolerance=1.5)


def _phone_upright(folder: Path, images: list[Image]) -> Film:
    stored = [np.ascontiguousarray(np.rot90(image)) for image in images]
    film = _waiting(folder / "upright.mp4", stored)
    set_display_matrix(film.path, (0, 1, -1, 0))
    return film


def _telephone(folder: Path, images: list[Image]) -> Film:
    return Film(write(folder / "8kHz.mov", images, sound="pcm_mulaw", rate=8000))


def _three_tracks(folder: Path, images: list[Image]) -> Film:
    return Film(write(folder / "three.mp4", images, tracks=3, default_track=1), track=1)


def _covered(folder: Path, images: list[Image]) -> Film:
    """As songs and films of shops have it."""

    def before(container: av.container.OutputContainer) -> list[av.Packet]:
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = SIDE, SIDE, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        frame = av.VideoFrame.from_ndarray(255 - images[0]).reformat(format="yuvj420p")
        frame.pts = 0
        return cover.encode(frame) + cover.encode(None)

    return Film(write(folder / "cover.mp4", images, before=before))


def _sensors(folder: Path, images: list[Image]) -> Film:
    """Data such as cameras write of their sensors, before the picture."""

    def before(container: av.container.OutputContainer) -> list[av.Packet]:
        container.add_data_stream("klv")
        return []

    return Film(write(folder / "sensors.ts", images, before=before))


def _pages(suffix: str) -> Callable[[Path, list[Image]], Film]:
    """Moving pictures of the web."""

    def make(folder: Path, images: list[Image]) -> Film:
        pages = [Pillow.fromarray(image) for image in images]
        path = folder / f"pages{suffix}"
        pages[0].save(path, save_all=True, append_images=pages[1:], duration=1000 // FPS, loop=0)
        return Film(path)

    return make


def _without_suffix(folder: Path, images: list[Image]) -> Film:
    return Film(write(folder / "x.mkv", images).rename(folder / "no suffix"))


def _wrong_suffix(folder: Path, images: list[Image]) -> Film:
    return Film(write(folder / "y.mkv", images).rename(folder / "wrong.mp4"))


def _one_frame(folder: Path, images: list[Image]) -> Film:
    return Film(write(folder / "one.mp4", images[:1], sound=None), [0])


def _named(folder: Path, images: list[Image]) -> Film:
    name = "Ferien 100% #1 %03d Ä 日本 😀 a:b"
    return Film(write(folder / f"{name}.mp4", images))


KINDS: dict[str, Callable[[Path, list[Image]], Film]] = {
    "mirrored": _mirror,
    "turned and mirrored": _turned_and_mirrored,
    "4:3 pixels in MP4": _wide_pixels,
    "display ratio in MKV": _display_ratio,
    "PAL DV 16:9": _dv,
    "top field first": _interlaced(top_first=True),
    "bottom field first": _interlaced(top_first=False),
    "full range yuvj": _full_range,
    "BT.601": _sd,
    "10 bits 4:2:2": _deep,
    "varying rate": _phone,
    "two tracks": _two_tracks,
    "equal stamps": _equal,
    "a stamp that steps back": _back,
    "no stamps": _bare,
    "AVI, H.264 with B-frames": _avi("libx264", "h264.avi"),
    "AVI, MPEG-4 with B-frames": _avi("mpeg4", "mpeg4.avi"),
    "edit list in MOV": _edit_list,
    "picture begins late": _late_start,
    "damaged packet": _damaged,
    "damaged transport stream": _broken_transport,
    "sizes change": _sizes,
    "odd sides": _odd,
    "name": _named,
    "HDR, PQ": _hdr,
    "HDR, HLG of a phone held upright": _hdr_phone,
    "BT.2020, SDR, full range": _wide_colours,
    "varying rate of a phone held upright": _phone_upright,
    "sound of a telephone": _telephone,
    "three tracks": _three_tracks,
    "cover picture first": _covered,
    "data stream first": _sensors,
    "GIF": _pages(".gif"),
    "animated PNG": _pages(".png"),
    "no suffix": _without_suffix,
    "wrong suffix": _wrong_suffix,
    "one frame": _one_frame,
}


def make(kind: str, folder: Path, images: list[Image]) -> Film:
    """One film of a kind."""
    return KINDS[kind](folder, images)


def known(film: Film, images: list[Image]) -> Iterator[tuple[int, Image, float]]:
    """(code, picture, time) that reading should give."""
    times = [each / FPS for each in film.codes] if film.times is None else film.times
    for number, time_s in zip(film.codes, times, strict=True):
        yield number, film.picture(images[number]), time_s


__all__ = ["KINDS", "Film", "clock_s", "code", "known", "late_s", "make", "originals", "replace"]
