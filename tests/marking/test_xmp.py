"""pytest tests/marking/test_xmp.py: where the plain metadata stand, and what damaged ones do."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image as Pillow

from deepfake_utils.marking.writing import write_gif, write_picture
from deepfake_utils.marking.xmp import SWAPPED, Metadata, append_xmp, read_metadata, xmp_packet
from deepfake_utils.video import VideoWriter, read_tags

PACKET = xmp_packet("A & B <c>", 'a "tool"')


def test_xmp_is_put_where_it_is_found_and_broken_files_are_refused(tmp_path, frame):
    with VideoWriter(tmp_path / "v.mp4", fps=25, size_wh=(384, 384), comment="hello") as writer:
        writer.write(frame)
    path = tmp_path / "v.mp4"
    assert read_metadata(path).source_type is None
    assert read_metadata(path).comment == "hello" == read_tags(path)["comment"]
    packet = xmp_packet("A & B <c>", 'a "tool"')
    append_xmp(path, packet)
    assert read_metadata(path).synthetic
    assert path.read_bytes().endswith(packet)
    path.write_bytes(path.read_bytes() + b"rest")
    with pytest.raises(ValueError, match="boxes up to the end"):
        append_xmp(path, packet)
    (tmp_path / "t.txt").write_text("text that is no picture")
    with pytest.raises(ValueError, match="expected MP4 or MOV"):
        append_xmp(tmp_path / "t.txt", packet)


def chunks(path):
    """(kind, data) of a PNG's chunks, walked without Pillow."""
    data, at = path.read_bytes(), 8
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        yield kind, data[at + 8 : at + 8 + length]
        at += 12 + length


def segments(path):
    """(marker, data) of a JPEG's segments before the picture, walked without Pillow."""
    data, at = path.read_bytes(), 2
    while data[at + 1] != 0xDA:
        (length,) = struct.unpack(">H", data[at + 2 : at + 4])
        yield data[at + 1], data[at + 4 : at + 2 + length]
        at += 2 + length


def test_it_stands_where_the_formats_say(tmp_path, frame):
    png = dict(chunks(write_picture(tmp_path / "p.png", frame)))
    assert png[b"iTXt"].startswith(b"XML:com.adobe.xmp\0\0\0\0\0<?xpacket begin=")
    jpeg = [
        data for kind, data in segments(write_picture(tmp_path / "p.jpg", frame)) if kind == 0xE1
    ]
    assert jpeg[0].startswith(b"http://ns.adobe.com/xap/1.0/\0<?xpacket begin=")
    for data in (png[b"iTXt"], jpeg[0]):
        assert f'Iptc4xmpExt:DigitalSourceType="{SWAPPED}"'.encode() in data
        assert data.endswith(b'<?xpacket end="w"?>')


def test_a_gif_has_a_comment(tmp_path, frame):
    found = read_metadata(write_gif(tmp_path / "g.gif", [frame]))
    assert found.source_type is None and found.comment.startswith("AI MODIFIED")


@pytest.mark.parametrize("suffix", ["webp", "tif"])
def test_xmp_of_other_pictures_is_read(tmp_path, picture, suffix):
    path = tmp_path / f"p.{suffix}"
    options = {"tiffinfo": {700: PACKET}} if suffix == "tif" else {"xmp": PACKET}
    Pillow.fromarray(picture).save(path, **options)
    assert read_metadata(path).source_type == SWAPPED


def with_text(path, kind, data):
    """A PNG with a chunk more, behind its pixels."""
    png = path.read_bytes()
    block = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    path.write_bytes(png[:-12] + block + png[-12:])
    return path


def test_foreign_texts_of_a_png(tmp_path, picture):
    plain = tmp_path / "p.png"
    Pillow.fromarray(picture).save(plain)
    assert read_metadata(plain) == Metadata(None, None)
    compressed = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(PACKET)
    assert read_metadata(with_text(plain, b"iTXt", compressed)).source_type == SWAPPED
    assert read_metadata(with_text(plain, b"tEXt", b"Comment\0hello")).comment == "hello"
    assert read_metadata(plain).synthetic


def test_too_long_or_damaged_texts_do_no_harm(tmp_path, picture):
    for number, data in enumerate(
        (
            b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(1 << 28)),
            b"XML:com.adobe.xmp\0\1\0\0\0 no zlib",
            b"XML:com.adobe.xmp",
            b"XML:com.adobe.xmp\0\0\0\0\0\xff\xfe DigitalSourceType=",
        )
    ):
        path = tmp_path / f"{number}.png"
        Pillow.fromarray(picture).save(path)
        assert read_metadata(with_text(path, b"iTXt", data)).source_type is None


def test_damaged_files_do_no_harm(tmp_path, frame, rng):
    paths = [write_picture(tmp_path / f"p.{suffix}", frame) for suffix in ("png", "jpg")]
    paths.append(write_gif(tmp_path / "g.gif", [frame]))
    for path in paths:
        whole = np.frombuffer(path.read_bytes(), np.uint8)
        broken = tmp_path / f"broken{path.suffix}"
        for number in range(60):
            data = whole[: rng.integers(1, 4000)].copy() if number % 2 else whole.copy()
            data[rng.integers(0, min(len(data), 3000), 3)] = rng.integers(0, 256, 3)
            broken.write_bytes(data.tobytes())
            try:
                read_metadata(broken)
            except ValueError as error:  # a GIF may look like no picture, and is then no video
                assert "expected a video" in str(error)
