"""Video files in and out: `decoding` reads them, `encoding` writes them; use either through here.

`stream` is what a file says of itself, `picture` and `colour` make of any kind of frame what the
package works on, and `times` are moments as people write them.

Everywhere time 0 of a clip is its first video frame, and times are in seconds.
"""

from .decoding import (
    FilmFrames,
    TimedFrame,
    VideoInfo,
    describe_damage,
    read_frames,
    read_tags,
    read_timed_frames,
    read_video_info,
)
from .encoding import VIDEO_SUFFIXES, Quality, VideoCodec, VideoWriter
from .times import Time, to_seconds

__all__ = [
    "VIDEO_SUFFIXES",
    "FilmFrames",
    "Quality",
    "Time",
    "TimedFrame",
    "VideoCodec",
    "VideoInfo",
    "VideoWriter",
    "describe_damage",
    "read_frames",
    "read_tags",
    "read_timed_frames",
    "read_video_info",
    "to_seconds",
]
