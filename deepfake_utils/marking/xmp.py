"""Plain metadata of pictures and videos: the note that says how a picture was made, in XMP.

The note is IPTC's `Iptc4xmpExt:DigitalSourceType`, which platforms read; Photo Metadata Standard
2023.2. Its places: JPEG APP1, PNG iTXt and the uuid box of MP4 (Adobe, XMP Specification Part 3,
2020), and an application extension of GIF. Files are walked block by block and never read whole.
"""

from __future__ import annotations

import io
import os
import re
import shutil
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

_XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_JPEG_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_PNG_XMP = b"XML:com.adobe.xmp\0"
_GIF_XMP = b"XMP DataXMP"
# So that a reader that knows no XMP, and takes its bytes for lengths, arrives at the end of it.
_GIF_TRAILER = bytes([1, *range(255, -1, -1), 0])
_LONGEST = 1 << 20  # bytes of a packet that are read
_TAGS = ("description", "comment")
_PATTERN = re.compile(rb"DigitalSourceType(?:\s*=\s*[\"']|[^>]*>\s*)([^\"'<\s]+)")


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
    name = (source_type or "").rpartition("/")[2]
    return "AlgorithmicMedia" in name or name in {"algorithmicMedia", "compositeSynthetic"}


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


def add_xmp(path: Path, packet: bytes) -> None:
    """Put an XMP packet into a JPEG, PNG, GIF, MP4 or MOV file.

    Into an MP4 it goes at the end, so that nothing in the file moves; the others are copied.

    Raises:
        ValueError: if the file is of another kind, or its blocks do not end where it ends.
        OSError: if it cannot be written.
    """
    with path.open("rb") as file:
        at, block = _place(file, path, packet)
    if at == path.stat().st_size:
        with path.open("ab") as file:
            file.write(block)
        return
    copy = path.with_name(f"{path.name}.xmp")
    try:
        with path.open("rb") as source, copy.open("wb") as target:
            target.write(source.read(at))
            target.write(block)
            shutil.copyfileobj(source, target, 1 << 20)
        copy.replace(path)
    finally:
        copy.unlink(missing_ok=True)


def _place(file: BinaryIO, path: Path, packet: bytes) -> tuple[int, bytes]:
    """Where a packet goes in a file, and the block to put there."""
    head = file.read(20)
    if head[:2] == b"\xff\xd8":
        data = _JPEG_XMP + packet
        # Before the picture, but after the header that has to be first.
        at = 4 + int.from_bytes(head[4:6], "big") if head[2:4] == b"\xff\xe0" else 2
        return at, b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        data = b"iTXt" + _PNG_XMP + bytes(4) + packet
        return 33, struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))
    if head[:6] == b"GIF89a":
        return 13 + _colours(head[10]), b"\x21\xff\x0b" + _GIF_XMP + packet + _GIF_TRAILER
    if head[4:8] == b"ftyp":
        end = max(start + size for _, start, size in _boxes(file))
        if end != path.stat().st_size:
            raise ValueError(
                f"expected boxes up to the end of {path}, got a file cut off or longer"
            )
        return end, struct.pack(">I", 24 + len(packet)) + b"uuid" + _XMP_UUID + packet
    raise ValueError(f"expected JPEG, PNG, GIF, MP4 or MOV, got something else in {path}")


def read_metadata(path: str | os.PathLike[str]) -> Metadata:
    """What the metadata of a picture or video say; nothing where there are none.

    Raises:
        FileNotFoundError: if there is no file at `path`.
        ValueError: if it is neither picture nor video.
    """
    path = Path(path)
    with path.open("rb") as file:
        head = file.read(12)
        file.seek(0)
        if head[:2] == b"\xff\xd8":
            blocks = _jpeg_blocks(file)
        elif head[:8] == b"\x89PNG\r\n\x1a\n":
            blocks = _png_blocks(file)
        elif head[:4] == b"GIF8":
            blocks = _gif_blocks(file)
        else:
            other = path.suffix.lower() in IMAGE_SUFFIXES
            blocks = iter(()) if other else _video_blocks(file, head, path)
        found = dict(blocks)  # the last one of a kind counts
    match = _PATTERN.search(found.get("xmp", b""))
    source_type = match[1].decode("utf-8", "replace") if match else None
    comment = found.get("comment", b"").decode("utf-8", "replace").strip("\0 ") or None
    return Metadata(source_type, comment)


Blocks = Iterator[tuple[str, bytes]]  # ("xmp" or "comment", what it says)


def _jpeg_blocks(file: BinaryIO) -> Blocks:
    file.seek(2)
    while (marker := file.read(2)) and marker[:1] == b"\xff" and marker != b"\xff\xda":
        data = file.read(max(0, int.from_bytes(file.read(2), "big") - 2))
        if marker == b"\xff\xe1" and data.startswith(_JPEG_XMP):
            yield "xmp", data
        elif marker == b"\xff\xfe":
            yield "comment", data


def _png_blocks(file: BinaryIO) -> Blocks:
    file.seek(8)
    while len(head := file.read(8)) == 8:
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if kind == b"IEND":
            return
        if kind not in (b"iTXt", b"tEXt") or length > _LONGEST:
            file.seek(length + 4, io.SEEK_CUR)
            continue
        data = file.read(length + 4)[:-4]
        name, _, text = data.partition(b"\0")
        if data.startswith(_PNG_XMP):
            yield "xmp", _inflated(text)
        elif kind == b"tEXt" and name.lower().decode("latin-1") in _TAGS:
            yield "comment", text


def _inflated(text: bytes) -> bytes:
    """The text of an iTXt chunk from its compression flag on; that of XMP may be compressed."""
    compressed, rest = text[:1] == b"\1", text[2:].split(b"\0", 2)[-1]
    return zlib.decompressobj().decompress(rest, _LONGEST) if compressed else rest


def _gif_blocks(file: BinaryIO) -> Blocks:
    head = file.read(13)
    file.seek(_colours(head[10]), io.SEEK_CUR)
    while (kind := file.read(1)) in (b"\x21", b"\x2c"):
        if kind == b"\x2c":
            file.seek(_colours(file.read(9)[8]) + 1, io.SEEK_CUR)
            _gif_data(file)
            continue
        label, data = file.read(1), _gif_data(file)
        if label == b"\xff" and data[1:12] == _GIF_XMP:
            yield "xmp", data[12:]
        elif label == b"\xfe":
            yield "comment", _joined(data)


def _gif_data(file: BinaryIO) -> bytes:
    """A chain of sub-blocks, each with the byte that gives its length."""
    parts = bytearray()
    while (length := file.read(1)) not in (b"", b"\0"):
        part = file.read(length[0])
        if len(parts) < _LONGEST:
            parts += length + part
    return bytes(parts)


def _joined(data: bytes) -> bytes:
    """The content of sub-blocks without their lengths."""
    parts = []
    while data:
        parts.append(data[1 : data[0] + 1])
        data = data[data[0] + 1 :]
    return b"".join(parts)


def _colours(flags: int) -> int:
    """Bytes of a GIF's table of colours."""
    return 3 << (flags & 7) + 1 if flags & 128 else 0


def _boxes(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, size) of the outermost boxes of an MP4."""
    end = file.seek(0, io.SEEK_END)
    at = 0
    while at + 8 <= end:
        file.seek(at)
        size, kind = struct.unpack(">I4s", file.read(8))
        if size == 1:
            size = int.from_bytes(file.read(8), "big")
        size = size or end - at
        if size < 8:
            return
        yield kind, at, size
        at += size


def _video_blocks(file: BinaryIO, head: bytes, path: Path) -> Blocks:
    tags = read_tags(path)
    for name in _TAGS:
        if tags.get(name):
            yield "comment", tags[name].encode()
    if head[4:8] == b"ftyp":
        for kind, start, size in _boxes(file):
            file.seek(start + 8)
            if kind == b"uuid" and size < _LONGEST and file.read(16) == _XMP_UUID:
                yield "xmp", file.read(size - 24)
