"""The sound of a clip, or of part of it, for a new file: copied wherever the file can hold it."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Literal

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Discard
from av.video.stream import VideoStream

from .decoding import find_video, seconds_of, seek, slack_s, tick

_COPIED_CODECS = frozenset({"aac", "mp3", "ac3", "eac3", "alac"})  # MP4 and MOV hold them as is
_WEBM_CODECS = frozenset({"opus", "vorbis"})  # WebM holds no others
_AAC_RATES = frozenset({96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000})
# A packet of sound decodes correctly only after its predecessors, so a cut keeps this much more.
_PREROLL_S = 0.08


def _first_frame_s(container: InputContainer, stream: VideoStream, start_s: float) -> float:
    """When the first frame at or after `start_s` appears, without decoding."""
    if start_s <= 0:
        return 0.0
    first_s = math.inf
    seek(container, stream, max(start_s - 2.0, -1.0))
    for packet in container.demux(stream):
        if packet.pts is not None and seconds_of(stream, packet.pts) >= start_s - slack_s(stream):
            first_s = min(first_s, seconds_of(stream, packet.pts))
        if packet.dts is not None and seconds_of(stream, packet.dts) > first_s:
            break  # packets come in the order of dts, and pts is never before it
    return first_s if first_s < math.inf else start_s


def add_sound(source: InputContainer, output: OutputContainer, start_s: float) -> Iterator[Packet]:
    """Add a sound track to `output`; yield its packets: those of `source`, `start_s` moved to 0.

    Codecs that MP4 can hold are copied bit for bit, the others are encoded anew as AAC; a WebM has
    codecs of its own, and Opus. The cut is exact although packets are not: those before 0 keep
    their negative time, which an MP4 turns into an edit list, so that they are decoded but not
    heard.
    """
    stream = source.streams.audio[0]
    video = find_video(source)
    begin = Fraction(start_s)
    if video is not None:
        begin = Fraction(_first_frame_s(source, video, start_s))
        begin += (video.start_time or 0) * tick(video)
        video.discard = Discard.all  # not even read from the disk
    with contextlib.suppress(av.error.FFmpegError):  # cannot seek: then we are at the beginning
        source.seek(math.floor((begin - 1) / tick(stream)), stream=stream)
    packets: Iterator[Packet]
    webm = output.format.name == "webm"
    if stream.codec_context.codec.canonical_name in (_WEBM_CODECS if webm else _COPIED_CODECS):
        out = output.add_stream_from_template(stream)
        packets = source.demux(stream)
    else:
        rate = stream.rate if stream.rate in _AAC_RATES and not webm else 48000
        layout = "mono" if stream.channels == 1 else "stereo"
        codec: Literal["libopus", "aac"] = "libopus" if webm else "aac"
        bit_rate = 128_000 if webm else 192_000
        out = output.add_stream(codec, rate=rate, layout=layout, bit_rate=bit_rate)
        frames = itertools.chain(source.decode(stream), [None])
        packets = (packet for frame in frames for packet in out.encode(frame))
    # Matroska has no edit list and would delay the picture instead.
    from_s = 0.0 if output.format.name in ("matroska", "webm") else -_PREROLL_S
    for packet in packets:
        if packet.size and packet.pts is not None:
            packet.pts = packet.dts = packet.pts - round(begin / packet.time_base)
            packet.stream = out
            if packet.pts * packet.time_base >= from_s:
                yield packet
