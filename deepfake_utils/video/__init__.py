"""Video files in and out: `decoding` reads them, `encoding` writes them; use either through here.

Everywhere time 0 of a clip is its first video frame, and times are in seconds.
"""

from .decoding import (
    TimedFrame,
    VideoInfo,
    read_frames,
    read_tags,
    read_timed_frames,
    read_video_info,
)
from .encoding import VIDEO_SUFFIXES, VideoWriter

__all__ = [
    "VIDEO_SUFFIXES",
    "TimedFrame",
    "VideoInfo",
    "VideoWriter",
    "read_frames",
    "read_tags",
    "read_timed_frames",
    "read_video_info",
]
