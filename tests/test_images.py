"""pytest tests/test_images.py"""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from deepfake_utils.detectors import MeshLandmarker
from deepfake_utils.images import (
    check_image,
    check_points,
    list_images,
    read_image,
    scale_matrix,
    scale_points,
    to_image,
    to_tensor,
    write_image,
)
from deepfake_utils.umeyama import transform_points


def test_png_round_trip_keeps_every_pixel_and_the_order_of_colours(tmp_path, picture):
    path = write_image(tmp_path / "new" / "x.png", picture)
    assert np.array_equal(read_image(path), picture)
    assert np.array_equal(cv2.imread(str(path))[..., ::-1], picture)


def test_tensor_round_trip(picture):
    tensor = to_tensor(picture)
    assert tensor.shape == (3, 64, 64)
    assert tensor.dtype == torch.float32
    assert 0.0 <= float(tensor.min()) and float(tensor.max()) <= 1.0
    assert np.array_equal(to_image(tensor), picture)


def test_to_image_clamps():
    assert to_image(torch.full((3, 2, 2), 7.0)).max() == 255
    assert to_image(torch.full((3, 2, 2), -7.0)).max() == 0


def test_grey_becomes_three_equal_channels(tmp_path, picture):
    cv2.imwrite(str(tmp_path / "g.png"), picture[..., 0])
    image = read_image(tmp_path / "g.png")
    assert image.shape == picture.shape
    assert np.array_equal(image[..., 0], picture[..., 0])
    assert np.array_equal(image[..., 0], image[..., 2])


def test_sixteen_bits_become_eight(tmp_path, picture):
    cv2.imwrite(str(tmp_path / "deep.png"), picture[..., ::-1].astype(np.uint16) * 257)
    assert np.array_equal(read_image(tmp_path / "deep.png"), picture)


def test_transparency_is_laid_over_white(tmp_path, picture):
    alpha = np.full((64, 64, 1), 255, np.uint8)
    alpha[:32] = 0
    cv2.imwrite(str(tmp_path / "a.png"), np.dstack([picture[..., ::-1], alpha]))
    image = read_image(tmp_path / "a.png")
    assert (image[:32] == 255).all()
    assert np.array_equal(image[32:], picture[32:])


def test_photographs_are_turned_as_exif_says(tmp_path, picture):
    exif = Pillow.Exif()
    exif[0x0112] = 6  # turn right by 90 degrees to see it upright
    Pillow.fromarray(picture[:32]).save(tmp_path / "t.jpg", exif=exif, quality=95)
    image = read_image(tmp_path / "t.jpg")
    assert image.shape == (64, 32, 3)
    assert np.abs(image.astype(int) - np.rot90(picture[:32], -1)).mean() < 6


@pytest.mark.parametrize(
    ("suffix", "modes"),
    [
        (".jpg", "RGB L CMYK"),
        (".png", "RGB L RGBA LA P I;16"),
        (".webp", "RGB RGBA"),
        (".tif", "RGB L RGBA CMYK I;16"),
    ],
)
def test_every_kind_and_mode_is_turned_as_exif_says(tmp_path, picture, suffix, modes):
    picture = picture[:48]
    for mode in modes.split():
        page = Pillow.fromarray(picture)
        if mode == "I;16":
            page = Pillow.fromarray(picture[..., 0].astype(np.uint16) * 257)
        elif mode != "RGB":
            page = page.convert(mode)
        exif = Pillow.Exif()
        plain = None
        for number in range(1, 9):
            exif[0x0112] = number
            options = {"lossless": True} if suffix == ".webp" else {}
            page.save(tmp_path / f"x{suffix}", exif=exif, **options)
            read = read_image(tmp_path / f"x{suffix}")
            plain = read if number == 1 else plain
            # EXIF 2.32, tag 0x0112: which side of what is seen the first row and column are.
            seen = plain.transpose(1, 0, 2) if number > 4 else plain
            seen = seen[::-1] if number in (3, 4, 7, 8) else seen
            seen = seen[:, ::-1] if number in (2, 3, 6, 7) else seen
            assert read.shape == seen.shape, (mode, number)
            assert np.abs(read.astype(int) - seen).mean() < 3.0, (mode, number)


def test_a_turned_picture_with_alpha_shows_its_face_upright():
    image = read_image(Path(__file__).parent / "video/data/exif6_rgba.png")
    assert image.shape == (384, 300, 3)
    assert len(MeshLandmarker()(image)) == 1


def test_pictures_of_absurd_size_are_refused_by_their_header(tmp_path):
    head = struct.pack(">II5B", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + head
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk
    data += struct.pack(">I", zlib.crc32(chunk)) + struct.pack(">I", 0) + b"IDAT"
    (tmp_path / "x.png").write_bytes(data)
    with pytest.raises(ValueError, match="60000x60000"):
        read_image(tmp_path / "x.png")


def test_photographs_of_phones_are_read(tmp_path, picture):
    heif = pytest.importorskip("pillow_heif")
    exif = Pillow.Exif()
    exif[0x0112] = 6
    page = heif.from_pillow(Pillow.fromarray(picture[:32]))
    page.save(tmp_path / "x.heic", quality=95, exif=exif.tobytes())
    image = read_image(tmp_path / "x.heic")
    assert image.shape == (64, 32, 3)
    assert np.abs(image.astype(int) - np.rot90(picture[:32], -1)).mean() < 8
    assert [path.name for path in list_images(tmp_path)] == ["x.heic"]


def test_writing_leaves_no_half_file_behind(tmp_path, picture):
    write_image(tmp_path / "x.png", picture)
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


def test_list_is_in_natural_order(tmp_path, picture):
    for number in (10, 9, 1):
        write_image(tmp_path / f"f_{number}.png", picture)
    (tmp_path / "notes.txt").write_text("no picture")
    assert [path.name for path in list_images(tmp_path)] == ["f_1.png", "f_9.png", "f_10.png"]


def test_missing_folder_and_wrong_files_say_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="no image at"):
        read_image(tmp_path / "none.png")
    with pytest.raises(IsADirectoryError, match="got the folder"):
        read_image(tmp_path)
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(ValueError, match="expected an image"):
        read_image(tmp_path / "text.png")
    (tmp_path / "empty.png").touch()
    with pytest.raises(ValueError, match="0 bytes"):
        read_image(tmp_path / "empty.png")
    with pytest.raises(FileNotFoundError, match="no folder at"):
        list_images(tmp_path / "none")
    with pytest.raises(NotADirectoryError, match="expected a folder"):
        list_images(tmp_path / "text.png")
    with pytest.raises(ValueError, match="got none"):
        list_images(Path(tmp_path / "sub").mkdir() or tmp_path / "sub")


def test_wrong_arrays_say_so(tmp_path):
    with pytest.raises(TypeError, match="got list"):
        check_image([1, 2])
    with pytest.raises(TypeError, match="expected uint8"):
        check_image(np.zeros((4, 4, 3)))
    with pytest.raises(ValueError, match=r"\(4, 4\)"):
        check_image(np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match="ends in"):
        write_image(tmp_path / "x.gif", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ValueError, match=r"\(68, 2\)"):
        check_points(np.zeros((5, 2)), 68)
    with pytest.raises(ValueError, match="finite"):
        check_points(np.full((68, 2), np.nan), 68)
    with pytest.raises(ValueError, match=r"\(3, H, W\)"):
        to_image(torch.zeros(1, 3, 4, 4))


def test_unwritable_output_says_so(tmp_path, picture):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        write_image(tmp_path / "file" / "x.png", picture)


@pytest.mark.parametrize("ratio", [0.25, 0.5, 3.0])
def test_points_lie_where_resizing_puts_their_pixels(ratio):
    place = np.zeros((64, 96), np.float32)
    place[20:28, 40:44] = 1.0  # the centre of this block is (41.5, 23.5)
    resized = cv2.resize(place, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA)
    ys, xs = np.indices(resized.shape)
    centre = [(resized * at).sum() / resized.sum() for at in (xs, ys)]
    assert scale_points(np.array([[41.5, 23.5]]), ratio)[0] == pytest.approx(centre, abs=1e-5)
    edges = np.array([[-0.5, -0.5], [95.5, 63.5]])
    assert scale_points(edges, ratio).tolist() == [
        [-0.5, -0.5],
        [96 * ratio - 0.5, 64 * ratio - 0.5],
    ]


def test_a_scaled_matrix_is_the_matrix_and_then_the_scaling(rng):
    matrix, points = rng.normal(0.0, 5.0, (2, 3)), rng.normal(0.0, 9.0, (7, 2))
    kept = matrix.copy()
    mapped = scale_points(transform_points(points, matrix), 0.3)
    assert transform_points(points, scale_matrix(matrix, 0.3)) == pytest.approx(mapped)
    assert np.array_equal(matrix, kept)
