"""The sound of a clip, or of part of it, for a new file: copied wherever the file can hold it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Discard

from .decoding import BREAK_S, read_timed_frames
from .stream import default_first, find_video, tick

_MP4_CODECS = frozenset({"aac", "mp3", "ac3", "eac3", "alac"})
_PCM = frozenset({"pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_f32le"})
_FREE_CODECS = frozenset({"opus", "vorbis"})
_COPIED_CODECS = {  # what each container holds as it is
    "mp4": _MP4_CODECS,
    "mov": _MP4_CODECS | _PCM,
    "matroska": _MP4_CODECS | _PCM | _FREE_CODECS | {"flac", "dts", "truehd", "mp2"},
    "webm": _FREE_CODECS,
}
_AAC_RATES = frozenset({96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000})
# A packet of sound decodes correctly only after its predecessors, so a cut keeps this much more.
_PREROLL_S = 0.08
_FINE = Fraction(1, 7_056_000)  # of a second: whole samples of all usual rates

_Maker = Callable[[Packet], list[Packet]]


def _first_moment(source: InputContainer, start_s: float) -> Fraction:
    """When the first frame at or after `start_s` appears, on the source's own clock."""
    video = find_video(source)
    if video is None:
        return Fraction(start_s)
    # As the pictures are read: the frame that should come first may be damaged.
    first_s, zero_s = read_timed_frames(Path(source.name), start_s, quiet=True).first_s()
    video.discard = Discard.all  # not even read from the disk
    return Fraction(first_s) + zero_s


def add_sound(source: InputContainer, output: OutputContainer, start_s: float) -> Iterator[Packet]:
    """Add sound tracks to `output`; yield their packets: those of `source`, `start_s` moved to 0.

    All tracks are taken, the default one first. Codecs that the container can hold are copied bit
    for bit, the others are encoded anew as AAC; for a WebM, as Opus. The cut is exact although
    packets are not: those before 0 keep their negative time, which an MP4 turns into an edit list,
    so that they are decoded but not heard.
    """
    begin = _first_moment(source, start_s)
    tracks = default_first(list(source.streams.audio))
    start = math.floor((begin - 1) / tick(tracks[0]))
    if start > (tracks[0].start_time or 0):  # AVI is lost if it seeks further back
        with contextlib.suppress(av.error.FFmpegError):  # cannot: then we are at the beginning
            source.seek(start, stream=tracks[0])
    makers = {track.index: _add_track(track, output) for track in tracks}
    # Matroska has no edit list and would delay the picture instead.
    from_s = 0.0 if output.format.name in ("matroska", "webm") else -_PREROLL_S
    ends = dict.fromkeys(makers, -math.inf)  # of what came so far, in seconds
    moved = dict.fromkeys(makers, Fraction(0))
    with contextlib.suppress(av.error.FFmpegError):  # what is damaged so much ends here
        for given in source.demux(tracks):
            track = given.stream.index
            for packet in makers[track](given):
                if not packet.size or packet.pts is None:
                    continue
                time = packet.pts * packet.time_base - begin + moved[track]
                if time < ends[track] - BREAK_S:  # films joined without care
                    moved[track] += Fraction(ends[track]) - time
                    time = Fraction(ends[track])
                # AVI counts in packets, which is too coarse to move them.
                lasts = (packet.duration or 0) * packet.time_base
                packet.time_base = _FINE
                packet.pts = packet.dts = round(time / _FINE)
                packet.duration = round(lasts / _FINE)
                # What overlaps with what came before is left out.
                if time >= max(from_s, ends[track] - lasts / 2):
                    ends[track] = float(time + lasts)
                    yield packet


def _add_track(track: AudioStream, output: OutputContainer) -> _Maker:
    """A track of `output` for one of a source, and what makes its packets of the source's."""
    webm = output.format.name == "webm"
    if track.codec_context.codec.canonical_name in _COPIED_CODECS[output.format.name]:
        out = output.add_stream_from_template(track)

        def make(packet: Packet) -> list[Packet]:
            packet.stream = out
            return [packet]

    else:
        rate = track.rate if track.rate in _AAC_RATES and not webm else 48000
        layout = "mono" if track.channels == 1 else "stereo"
        codec: Literal["libopus", "aac"] = "libopus" if webm else "aac"
        bit_rate = 128_000 if webm else 192_000
        out = output.add_stream(codec, rate=rate, layout=layout, bit_rate=bit_rate)

        def make(packet: Packet) -> list[Packet]:
            with contextlib.suppress(av.error.FFmpegError):  # a damaged packet is silent
                made = [p for frame in track.decode(packet) for p in out.encode(frame)]
                return made if packet.size else made + out.encode(None)
            return []

    out.disposition = track.disposition
    if "language" in track.metadata:
        out.metadata["language"] = track.metadata["language"]
    return make
