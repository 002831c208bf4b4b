"""Plain metadata of pictures and videos: the note that says how a picture was made, in XMP.

The note is IPTC's `Iptc4xmpExt:DigitalSourceType`, which platforms read; Photo Metadata Standard
2023.2. In PNG and JPEG Pillow writes and reads it; in MP4 it is a uuid box of its own (Adobe, XMP
Specification Part 3, 2020), which is found without reading the whole file.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from xml.sax.saxutils import escape

from ..images import IMAGE_SUFFIXES
from ..video import read_tags

SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
SWAPPED = f"{SOURCE_TYPES}compositeWithTrainedAlgorithmicMedia"  # a real picture, in part drawn
PNG_KEYWORD = "XML:com.adobe.xmp"  # of the text chunk that holds it

_XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_LONGEST = 1 << 20  # bytes of a box that are read
_PICTURES = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP")  # what Pillow reads here
_TAGS = ("description", "comment")
# The tag or attribute itself, not text that looks like it: inside "<...>", or right after it.
_PATTERN = re.compile(
    rb"<[^<>]*\bIptc4xmpExt:DigitalSourceType"
    rb"(?:\s*=\s*[\"']|\s+rdf:resource\s*=\s*[\"']|\s*>\s*)([^\"'<>\s]+)"
)
_SYNTHETIC = frozenset(
    f"{kind}digitalsourcetype/{name}"
    for kind in ("http://cv.iptc.org/newscodes/", "https://cv.iptc.org/newscodes/")
    for name in (
        "algorithmicMedia",
        "compositeSynthetic",
        "compositeWithTrainedAlgorithmicMedia",
        "trainedAlgorithmicMedia",
    )
)


@dataclass(frozen=True)
class Metadata:
    """What a file's plain metadata say."""

    source_type: str | None  # URL of IPTC's Digital Source Type, if one is there
    comment: str | None  # comment or description

    @property
    def synthetic(self) -> bool:
        """Whether the source type is one of those for pictures that a machine drew, in part."""
        return is_synthetic(self.source_type)


def is_synthetic(source_type: str | None) -> bool:
    """Whether an IPTC source type says that a trained or synthetic part is in the picture."""
    return source_type in _SYNTHETIC


def xmp_packet(note: str, tool: str, source_type: str = SWAPPED) -> bytes:
    """An XMP packet with source type, description and tool, UTF-8."""
    note, tool = escape(note), escape(tool, {'"': "&quot;"})
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about=""'
        ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
        ' xmlns:dc="http://purl.org/dc/elements/1.1/"'
        ' xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
        f' Iptc4xmpExt:DigitalSourceType="{source_type}" xmp:CreatorTool="{tool}">'
        f'<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{note}</rdf:li></rdf:Alt>'
        "</dc:description></rdf:Description></rdf:RDF></x:xmpmeta>"
        '<?xpacket end="w"?>'
    ).encode()


def append_xmp(path: Path, packet: bytes) -> None:
    """Put an XMP packet at the end of an MP4 or MOV file, so that nothing in it moves.

    Raises:
        ValueError: if the file is of another kind, or its boxes do not end where it ends.
        OSError: if it cannot be written.
    """
    with path.open("rb+") as file:
        boxes = list(_boxes(file))
        if not boxes:
            raise ValueError(f"expected MP4 or MOV, got something else in {path}")
        if sum(boxes[-1][1:]) != file.seek(0, io.SEEK_END):
            raise ValueError(
                f"expected boxes up to the end of {path}, got a file cut off or longer"
            )
        end = file.tell()
        try:
            file.write(struct.pack(">I", 24 + len(packet)) + b"uuid" + _XMP_UUID + packet)
            file.flush()
        except OSError:
            file.truncate(end)  # half a box would make the video a damaged one
            raise


def read_metadata(path: str | os.PathLike[str]) -> Metadata:
    """What the metadata of a picture or video say; nothing where there are none.

    XMP is read in JPEG, PNG, WebP, TIFF, MP4 and MOV.

    Raises:
        FileNotFoundError: if there is no file at `path`.
        ValueError: if it is neither picture nor video.
    """
    path = Path(path)
    found = _read_picture(path)
    if found is None:
        found = {} if path.suffix.lower() in IMAGE_SUFFIXES else _read_video(path)
    match = _PATTERN.search(found.get("xmp", b""))
    source_type = match[1].decode("utf-8", "replace") if match else None
    texts = [found[name].decode("utf-8", "replace").strip("\0 ") for name in _TAGS if name in found]
    return Metadata(source_type, next(filter(None, reversed(texts)), None))


def _read_picture(path: Path) -> dict[str, bytes] | None:
    """XMP, description and comment of a picture or GIF; None of other and of damaged files."""
    from PIL import Image as Pillow

    # What Pillow raises on damaged files; where too much would come of a little, a ValueError.
    damaged = (EOFError, OSError, SyntaxError, ValueError, struct.error, zlib.error)
    try:
        with Pillow.open(path, formats=_PICTURES) as image:
            if image.format == "PNG":  # its texts may stand behind the pixels
                with contextlib.suppress(*damaged):
                    image.load()
            return {
                name.lower(): text.encode() if isinstance(text, str) else text
                for name, text in image.info.items()
                if isinstance(text, str | bytes) and isinstance(name, str)
            }
    except FileNotFoundError:
        raise
    except (*damaged, Pillow.DecompressionBombError):
        return None


def _read_video(path: Path) -> dict[str, bytes]:
    """XMP, description and comment of a video."""
    found = {name: text.encode() for name, text in read_tags(path).items()}
    with path.open("rb") as file:
        for kind, start, size in _boxes(file):
            file.seek(start + 8)
            if kind == b"uuid" and size < _LONGEST and file.read(16) == _XMP_UUID:
                found["xmp"] = file.read(size - 24)
    return found


def _boxes(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, size) of the outermost boxes of an MP4; nothing of other files."""
    end = file.seek(0, io.SEEK_END)
    at = 0
    while at + 8 <= end:
        file.seek(at)
        size, kind = struct.unpack(">I4s", file.read(8))
        if at == 0 and kind != b"ftyp":
            return
        if size == 1:
            size = int.from_bytes(file.read(8), "big")
        size = size or end - at
        if size < 8:
            return
        yield kind, at, size
        at += size
