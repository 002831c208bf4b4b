"""Files that appear whole or not at all, are checked by their hash, and are read with care.

Whatever the package reads back (JSON, tensors) may come from somebody else: it is never executed,
and what is wrong with it is said with its path.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

CHUNK = 1 << 20  # bytes
Tensors = dict[str, torch.Tensor]


@contextlib.contextmanager
def whole_file(path: Path, durable: bool = False) -> Iterator[Path]:
    """A hidden file beside `path` to write to, which takes its place if all went well.

    Args:
        durable: wait until the file and its new name are on the disk, so that they also outlive
            a power cut.

    Raises:
        OSError: if the folder cannot be made or written; a file at `path` stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        if durable:
            with part.open("rb+") as file:
                os.fsync(file.fileno())
        part.replace(path)
        if durable:
            flush_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)


def flush_folder(folder: Path) -> None:
    """Wait until the names of the files in `folder` are on the disk, where the system can."""
    # Windows and some network drives cannot; a renamed file is whole there all the same.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def set_aside(path: Path) -> Path:
    """Rename a file or folder so that its name is free: run -> run-1, or the next free number.

    Returns:
        Where it is now.

    Raises:
        OSError: if it cannot be renamed.
    """
    number = 1
    while (free := path.with_name(f"{path.stem}-{number}{path.suffix}")).exists():
        number += 1
    return path.rename(free)


def take_lock(path: Path) -> FileLock:
    """Hold a lock file that one program at a time can hold; `release()` it, or end the program.

    Where the system has no such locks (some network drives) nothing is held.

    Raises:
        BlockingIOError: if another one holds it.
        OSError: if the file cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, thread_local=False)  # a worker's thread may release it
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise BlockingIOError(f"{path} is held by another program") from error
    except NotImplementedError:  # how filelock says that the drive has no locks
        pass
    return lock


def sha256_of(what: Path | bytes) -> str:
    """SHA-256 of a file's content, or of bytes, as 64 hexadecimal digits.

    Raises:
        OSError: if the file cannot be read.
    """
    if isinstance(what, bytes):
        return hashlib.sha256(what).hexdigest()
    digest = hashlib.sha256()
    with what.open("rb") as file:
        while part := file.read(CHUNK):
            digest.update(part)
    return digest.hexdigest()


def read_json(path: Path, advice: str) -> dict[str, Any]:
    """The object in a JSON file that anybody may have written.

    Args:
        path: the file.
        advice: what to do if it is damaged; it ends the error's sentence.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it holds no JSON, or no object.
    """
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # also what is no UTF-8
        raise ValueError(
            f"expected JSON in {path}, got something else ({error}); {advice}"
        ) from error
    if not isinstance(read, dict):
        raise ValueError(f"expected an object in {path}, got a {type(read).__name__}; {advice}")
    return read


def write_json(
    path: Path, record: Mapping[str, Any], indent: int | None = None, durable: bool = False
) -> Path:
    """Write an object as JSON, whole or not at all; see `whole_file`.

    Raises:
        OSError: if it cannot be written.
        TypeError, ValueError: if it holds what JSON has no word for.
    """
    text = json.dumps(record, indent=indent, ensure_ascii=False, allow_nan=False)
    with whole_file(path, durable) as part:
        part.write_text(text + "\n", encoding="utf-8")
    return path


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], header: dict[str, str]) -> Path:
    """Write named tensors as a safetensors file, whole or not at all, and wait for the disk.

    Args:
        path: ends in .safetensors; its folder is made if missing.
        tensors: on any device.
        header: plain text that goes with them; "format" names what kind of file it is.

    Raises:
        ValueError: if the name does not end in .safetensors.
        OSError: if it cannot be written; an earlier file at `path` stays as it was.
    """
    _check_suffix(path)
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        with whole_file(path, durable=True) as part:
            save_file(plain, part, metadata=header)
    except SafetensorError as error:  # how safetensors reports a full disk or a missing right
        raise OSError(f"could not write {path}: {error}; free some space there") from error
    return path


def read_tensors(path: Path, kind: str, device: torch.device) -> tuple[Tensors, dict[str, str]]:
    """Read what `write_tensors` wrote: the tensors, on `device`, and the header.

    Args:
        path: ends in .safetensors.
        kind: what the header's "format" must be.
        device: where the tensors go.

    Raises:
        FileNotFoundError: if there is no file at `path`.
        ValueError: if it is no whole safetensors file, or one of another kind.
    """
    _check_suffix(path)
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}; train first, or check the path")
    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            header = file.metadata() or {}
            # Copies, as the tensors may be mapped to the file, and a mounted drive may go away.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}
    except SafetensorError as error:
        raise ValueError(
            f"expected a whole safetensors file, got a damaged or other one at {path} ({error}); "
            "use an earlier one"
        ) from error
    if header.get("format") != kind:
        raise ValueError(
            f"expected a file of format {kind!r}, got {header.get('format')!r} in {path}; it was "
            "written by another program or version"
        )
    return tensors, header


def read_shipped(path: Path, sha256: str, kind: str) -> tuple[Tensors, dict[str, str]]:
    """Read tensors that came with the package, as `read_tensors` does, on the CPU.

    Raises:
        OSError: if the file is missing, or is another than that of this SHA-256.
    """
    if not path.is_file() or sha256_of(path) != sha256:
        raise OSError(
            f"expected the weights that came with the package, SHA-256 {sha256}, got "
            f"{'others' if path.is_file() else 'none'} at {path}; install the package again"
        )
    return read_tensors(path, kind, torch.device("cpu"))


def _check_suffix(path: Path) -> None:
    if path.suffix != ".safetensors":
        raise ValueError(f"expected a name ending in .safetensors, got {path.name!r}")
