"""Images, points and matrices: the one place where the package's conventions are written down.

Everything outside the network is RGB uint8 numpy, everything inside it is a float tensor; the two
functions at the end of this file are the border between them.

* A pixel's centre has whole-number coordinates: (0, 0) is the centre of the top left pixel.
* Points are (x, y), x to the right and y down.
* A matrix says in its docstring which way it maps, e.g. "frame -> crop".
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import struct
import typing
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from .files import ODD, whole_file

Image = NDArray[np.uint8]  # (H, W, 3), RGB, 0..255
Points = NDArray[np.float64]  # (N, 2), (x, y) in pixels
Matrix = NDArray[np.float64]  # (2, 3), maps (x, y, 1) to (x', y')
Mask = NDArray[np.float32]  # (H, W), 0 = keep what is there, 1 = take the new face

MAX_PIXELS = 1 << 27  # 134 million: larger than nearly all cameras', 400 MB as RGB
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"})
PHONE_SUFFIXES = frozenset({".heic", ".heif"})  # read, not written: see `read_image`

_ORIENTATION = 0x0112  # EXIF's tag


def check_image(image: Image, name: str = "image") -> None:
    """Raise unless `image` is a non-empty (H, W, 3) uint8 array.

    Raises:
        TypeError: if it is no numpy array or not uint8.
        ValueError: if its shape is not (H, W, 3) or a side is 0.
    """
    if not isinstance(image, np.ndarray):
        raise TypeError(f"{name}: expected a numpy array (H, W, 3), got {type(image).__name__}")
    if image.dtype != np.uint8:
        raise TypeError(
            f"{name}: expected uint8 in 0..255, got {image.dtype}; "
            "scale it and call .astype(np.uint8) first"
        )
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"{name}: expected shape (H, W, 3) in RGB, got {image.shape}")


def check_points(points: Points, count: int | None = None, name: str = "points") -> Points:
    """Return `points` as float64 (N, 2).

    Raises:
        ValueError: if the shape is not (N, 2), N is not `count`, or a value is not finite.
    """
    points = np.asarray(points, dtype=np.float64)
    wanted = f"({count if count is not None else 'N'}, 2)"
    if points.ndim != 2 or points.shape[1] != 2 or (count is not None and len(points) != count):
        raise ValueError(f"{name}: expected shape {wanted} of (x, y), got {points.shape}")
    if not np.isfinite(points).all():
        raise ValueError(f"{name}: expected finite coordinates, got NaN or infinity")
    return points


def scale_points(points: Points, ratio: float) -> Points:
    """Where points of a picture lie once it is resized.

    Not `points * ratio`: a picture's edge, which stays in place, is half a pixel before the centre
    of its first pixel.

    Args:
        points: (N, 2), (x, y) in pixels.
        ratio: new side over old side.

    Returns:
        (N, 2) float64, (x, y) in pixels of the resized picture.
    """
    return (np.asarray(points, np.float64) + 0.5) * ratio - 0.5


def scale_matrix(matrix: Matrix, ratio: float) -> Matrix:
    """A matrix that maps to the pixels of a resized picture, like `scale_points` after it.

    Args:
        matrix: (2, 3), maps anything to pixels of a picture.
        ratio: new side over old side.

    Returns:
        (2, 3), maps the same to pixels of the resized picture.
    """
    scaled = np.asarray(matrix, np.float64) * ratio
    scaled[:, 2] += ratio / 2.0 - 0.5
    return scaled


def check_one_of(value: object, known: object, name: str) -> None:
    """Raise unless `value` is one of a Literal type's values.

    Raises:
        ValueError: naming what it is, what it should be, and what it is now.
    """
    if value not in typing.get_args(known):
        raise ValueError(f"{name}: expected one of {typing.get_args(known)}, got {value!r}")


def _to_rgb8(decoded: NDArray[Any]) -> Image:
    """Whatever OpenCV decoded (grey, BGR, BGRA; 8 or 16 bit or float) as RGB uint8."""
    if decoded.dtype == np.uint16:
        decoded = np.rint(decoded / 257.0).astype(np.uint8)  # 65535 / 255
    elif decoded.dtype != np.uint8:
        decoded = np.rint(np.clip(decoded, 0.0, 1.0) * 255.0).astype(np.uint8)
    if decoded.ndim == 2:
        return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_GRAY2RGB), np.uint8)
    if decoded.shape[2] == 4:
        alpha = decoded[..., 3:].astype(np.float32) / 255.0
        decoded = np.rint(decoded[..., :3] * alpha + 255.0 * (1.0 - alpha)).astype(np.uint8)
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)


def check_pixels(width: int, height: int, path: Path, max_pixels: int = MAX_PIXELS) -> None:
    """Raise ValueError if a picture claims to be too large, before memory is taken for it."""
    if width * height > max_pixels:
        raise ValueError(
            f"expected at most {max_pixels} pixels, got {width}x{height} in {path}; if you trust "
            "the file, pass a larger max_pixels, or make it smaller"
        )


def _header(data: bytes, path: Path) -> tuple[int, int, int] | None:
    """(width, height, EXIF orientation 1 to 8) by a picture's header; None if it is none."""
    from PIL import Image as Pillow
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    size: tuple[int, int] | None = None
    try:
        if data[:8] == b"\x89PNG\r\n\x1a\n":  # whose texts, which Pillow reads, may be damaged
            size = struct.unpack(">II", data[16:24])
        elif data[:4] in (b"II*\0", b"MM\0*"):  # TIFF, some kinds of which Pillow does not open
            directory, stream = ImageFileDirectory_v2(data[:8]), io.BytesIO(data)
            stream.seek(directory.next)
            directory.load(stream)
            return int(directory[256]), int(directory[257]), 1  # OpenCV itself turns them
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is large, but not absurd
            with Pillow.open(io.BytesIO(data)) as page:
                size = size or page.size
                return *size, int(page.getexif().get(_ORIENTATION, 1))
    except Pillow.DecompressionBombError as error:
        if size is None:
            raise ValueError(f"{path}: {error}; make it smaller first") from error
    except (EOFError, OSError, SyntaxError, struct.error, *ODD):  # what Pillow raises
        pass
    return None if size is None else (*size, 1)


def read_image(path: str | os.PathLike[str], max_pixels: int = MAX_PIXELS) -> Image:
    """Read an image file as (H, W, 3) RGB uint8.

    Grey becomes three equal channels, 16 bits become 8, transparency is laid over white, and the
    EXIF orientation of a photograph is applied. HEIC, as phones write it, needs pillow-heif.

    Args:
        max_pixels: how large it may be; a file of a few kB can claim gigabytes.

    Raises:
        FileNotFoundError: if there is no file at `path`.
        IsADirectoryError: if `path` is a folder.
        ImportError: if it is HEIC and pillow-heif is missing.
        ValueError: if the file is not an image that OpenCV can read, or too large.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"expected an image file, got the folder {path}")
    if not path.is_file():
        raise FileNotFoundError(f"no image at {path}; check the path (now in {Path.cwd()})")
    if path.suffix.lower() in PHONE_SUFFIXES:
        return _read_phone(path, max_pixels)
    content = path.read_bytes()
    data, decoded, orientation = np.frombuffer(content, np.uint8), None, 1
    header = _header(content, path)
    if header is not None:
        width, height, orientation = header
        check_pixels(width, height, path, max_pixels)
        with contextlib.suppress(cv2.error):  # how it refuses what its own limits forbid
            decoded = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.size == 0:
        raise ValueError(
            f"expected an image ({', '.join(sorted(IMAGE_SUFFIXES))}), got something else "
            f"in {path} ({data.size} bytes); open it in a viewer or export it again"
        )
    return _turned(_to_rgb8(decoded), orientation)


def _read_phone(path: Path, max_pixels: int) -> Image:
    """A HEIC picture, (H, W, 3) RGB uint8, which its own reader turns."""
    from PIL import Image as Pillow

    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        advice = "is needed to read it: pip install pillow-heif"
        raise ImportError(f"{path}: pillow-heif {advice}") from error
    register_heif_opener()
    try:
        with Pillow.open(path) as page:
            check_pixels(*page.size, path, max_pixels)
            return _to_rgb8(np.asarray(page.convert("RGBA"))[..., [2, 1, 0, 3]])
    except Pillow.DecompressionBombError as error:
        raise ValueError(f"{path}: {error}; make it smaller first") from error
    except (EOFError, OSError, SyntaxError, TypeError, struct.error) as error:
        raise ValueError(f"expected a HEIC picture, got something else in {path}") from error


def _turned(image: Image, orientation: int) -> Image:
    """A picture as its EXIF orientation says that it is to be seen."""
    if orientation in (5, 6, 7, 8):
        image = image.transpose(1, 0, 2)
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return np.ascontiguousarray(image[::rows, ::columns])


def write_image(path: str | os.PathLike[str], image: Image, *, png_compression: int = 3) -> Path:
    """Write (H, W, 3) RGB uint8 to `path`, making its folder; the suffix chooses the format.

    The file appears whole or not at all: it is written beside its place and then renamed.

    Args:
        png_compression: 0 (fast, large) to 9 (slow, small); other formats ignore it.

    Raises:
        ValueError: if the suffix is not one of `IMAGE_SUFFIXES`.
        OSError: if the folder cannot be written.
    """
    path = Path(path)
    check_image(image)
    suffix = path.suffix.lower()
    if suffix not in IMAGE_SUFFIXES:
        raise ValueError(
            f"expected a name that ends in {', '.join(sorted(IMAGE_SUFFIXES))}, got {path.name!r}"
        )
    options = [cv2.IMWRITE_PNG_COMPRESSION, png_compression] if suffix == ".png" else []
    ok, data = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    if not ok:
        raise ValueError(f"OpenCV could not encode a {image.shape} image as {suffix}")
    with whole_file(path) as part:
        part.write_bytes(data.tobytes())
    return path


def list_images(folder: str | os.PathLike[str]) -> list[Path]:
    """Image files directly in `folder`, in natural order (face_2 before face_10).

    Raises:
        FileNotFoundError: if there is no such folder.
        NotADirectoryError: if `folder` is a file.
        ValueError: if it holds no image.
    """
    folder = Path(folder)
    if not folder.exists():
        raise FileNotFoundError(f"no folder at {folder}; check the path (now in {Path.cwd()})")
    if not folder.is_dir():
        raise NotADirectoryError(f"expected a folder of images, got the file {folder}")
    paths = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES | PHONE_SUFFIXES
        and path.is_file()
        and not path.name.startswith(".")
    ]
    if not paths:
        raise ValueError(
            f"expected images ({', '.join(sorted(IMAGE_SUFFIXES))}) in {folder}, got none; "
            "extract faces into it first"
        )
    return sorted(paths, key=_natural)


def _natural(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", path.name.lower())
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def to_tensor(image: Image) -> torch.Tensor:
    """(H, W, 3) RGB uint8 -> (3, H, W) float32 in 0..1."""
    check_image(image)
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).float().div_(255.0)


def to_image(tensor: torch.Tensor) -> Image:
    """(3, H, W) float in 0..1 on any device -> (H, W, 3) RGB uint8; values outside are clamped.

    Raises:
        ValueError: if the shape is not (3, H, W).
    """
    if tensor.ndim != 3 or tensor.shape[0] != 3:
        raise ValueError(f"expected a tensor (3, H, W), got {tuple(tensor.shape)}")
    scaled = tensor.detach().float().clamp(0.0, 1.0).mul(255.0).round()
    return np.asarray(scaled.to(torch.uint8).permute(1, 2, 0).cpu().numpy())
