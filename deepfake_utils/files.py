"""Files that appear whole or not at all, are checked by their hash, and are read with care.

Whatever the package reads back (JSON, tensors) may come from somebody else: it is never executed,
and what is wrong with it is said with its path.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from glob import escape as glob_escape
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

logger = logging.getLogger(__name__)

CHUNK = 1 << 20  # bytes
LARGEST_JSON = 1 << 29  # bytes: the faces.json of a film of two hours has 300 million
CHECKSUM = "sha256"  # in the header of a safetensors file: of all that is in it
STAGING = ".saving"  # the folder of what is not finished yet, beside its place
# What content of the wrong form raises in code that expects the right one.
ODD = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
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
    part = helper_of(path, ".part")
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


@contextlib.contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """A hidden folder of one's own below `folder`, for files that are not finished yet.

    What killed programs left of theirs is removed; what other programs still write stays.

    Raises:
        OSError: if it cannot be made.
    """
    root = folder / STAGING
    for left in root.glob("*"):
        if not left.is_dir():
            left.unlink(missing_ok=True)
            continue
        with contextlib.suppress(OSError):  # held by its writer, or just gone
            take_lock(left / "lock").release()
            shutil.rmtree(left)
    own = root / secrets.token_hex(6)
    own.mkdir(parents=True)
    lock = take_lock(own / "lock")
    try:
        yield own
    finally:
        lock.release()
        shutil.rmtree(own, ignore_errors=True)
        with contextlib.suppress(OSError):  # another program is writing there
            root.rmdir()


@contextlib.contextmanager
def whole_folder(place: Path, keep: Callable[[Path], bool]) -> Iterator[Path]:
    """A hidden folder to write to, which takes the place of the folder at `place` if all went well.

    Whoever calls `restore_folder` before looking finds the earlier folder or the new one, whole,
    whenever this program is killed.

    Args:
        keep: which of the earlier folder's files and folders the new one shall have, too.

    Raises:
        OSError: if it cannot be made; then, and after any error, the earlier folder stays.
        ValueError: if `place` cannot be replaced: a drive, or where this program runs.
    """
    if place.is_mount() or Path.cwd().is_relative_to(place.resolve()):
        raise ValueError(
            f"expected a folder that can be replaced as a whole, got {place}, which is a drive or "
            "the folder that this program runs in; choose a folder inside it"
        )
    restore_folder(place)
    place = place.resolve()
    if is_unfinished(place):
        logger.warning("what was being written to %s was cut short; it begins anew", place)
    with staging(place.parent) as own:
        new = own / place.name
        new.mkdir()
        yield new
        for each in filter(keep, place.glob("*")):
            if each.is_dir() and not each.is_symlink():
                shutil.copytree(each, new / each.name, symlinks=True, copy_function=_link)
            elif not (new / each.name).exists():
                _link(each, new / each.name)
        flush_folder(new)
        _put_in_place(new, place)


def _put_in_place(new: Path, place: Path) -> None:
    earlier = _earlier(place)
    for again in (True, True, False):
        if place.exists():
            place.rename(earlier)
        try:
            new.rename(place)
            break
        except OSError:
            restore_folder(place)  # as a reader may have done just now: then try again
            if not again:
                raise
    flush_folder(place.parent)
    shutil.rmtree(earlier, ignore_errors=True)


def restore_folder(place: Path) -> None:
    """Tidy up after a `whole_folder` that was killed while it put the new folder in place.

    Raises:
        OSError: if the folder cannot be put back.
    """
    earlier = _earlier(place.resolve())
    if earlier.is_dir():
        if place.exists():
            shutil.rmtree(earlier, ignore_errors=True)
        else:
            earlier.rename(place.resolve())


def is_unfinished(place: Path) -> bool:
    """Whether `whole_folder` was begun for a place, and is going on or was cut short."""
    place = place.resolve()
    return any((place.parent / STAGING).glob(f"*/{glob_escape(place.name)}"))


def _earlier(place: Path) -> Path:
    return place.with_name(f".{place.name}.earlier")


def _link(source: str | Path, target: str | Path) -> None:
    """A second name for a file, or a copy where the drive has no such thing."""
    try:
        os.link(source, target, follow_symlinks=False)
    except (NotImplementedError, OSError):
        shutil.copy2(source, target, follow_symlinks=False)


def check_other_file(path: str | os.PathLike[str], *sources: str | os.PathLike[str] | None) -> None:
    """Raise if what is written to `path` would replace what it is made from.

    Raises:
        ValueError: if it is a source, be it by links or another spelling.
    """
    for source in sources:
        with contextlib.suppress(FileNotFoundError):
            if source is not None and Path(path).samefile(source):
                raise ValueError(
                    f"expected another file than {source} to write to, got {path}, which leads "
                    "there; choose another name, or the original would be lost"
                )


def plain_name(name: str) -> str:
    """The last part of a name from elsewhere, without what a file system may not like."""
    return re.sub(r'[\x00-\x1f<>:"|?*]', "_", re.split(r"[/\\]", name)[-1]).strip(" .")


def is_plain(name: object) -> bool:
    """Whether it is a file's name and nothing else: what a file says may not lead elsewhere."""
    return isinstance(name, str) and name != "" and plain_name(name) == name


def helper_of(path: Path, tail: str) -> Path:
    """A hidden name beside `path`, its own and always the same, that is never too long.

    Args:
        path: what the helper is for.
        tail: what its name ends in, e.g. ".part".
    """
    return path.with_name(f".{sha256_of(path.name.encode(errors='surrogateescape'))[:16]}{tail}")


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


def take_lock(path: Path, shared: bool = False) -> FileLock:
    """Hold a lock file that one program at a time can hold; `release()` it, or end the program.

    Where the system has no such locks (some network drives) nothing is held.

    Args:
        path: of the lock file, which is made.
        shared: whether this program may hold it several times, and releases it as often.

    Raises:
        BlockingIOError: if another one holds it.
        OSError: if the file cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # A worker's thread may release it.
    lock = FileLock(path.absolute(), thread_local=False, is_singleton=shared)
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


@contextlib.contextmanager
def reading(path: Path, what: str, advice: str) -> Iterator[None]:
    """Have content of another form than expected raise a ValueError that names the file.

    Args:
        path: the file.
        what: what is expected in it.
        advice: what to do; it ends the error's sentence.
    """
    try:
        yield
    except ODD as error:
        got = str(error) if isinstance(error, ValueError) else repr(error)
        raise ValueError(
            f"expected {what} in {path}, got something else ({got}); {advice}"
        ) from error


def read_json(path: Path, advice: str, largest: int = LARGEST_JSON) -> dict[str, Any]:
    """The object in a JSON file that anybody may have written.

    Args:
        path: the file.
        advice: what to do if it is damaged; it ends the error's sentence.
        largest: how many bytes it may have.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it holds no JSON, or no object, or is too large.
    """
    if (size := path.stat().st_size) > largest:
        raise ValueError(f"expected at most {largest} bytes in {path}, got {size}; {advice}")
    data = path.read_bytes()
    with reading(path, "JSON", advice):
        read = parse_json(data)
    if not isinstance(read, dict):
        raise ValueError(f"expected an object in {path}, got a {type(read).__name__}; {advice}")
    return read


def parse_json(text: str | bytes) -> Any:
    """What JSON holds; NaN and infinity, which JSON does not have, are refused.

    Raises:
        ValueError, RecursionError: if it is none, or too deep.
    """

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no number")

    return json.loads(text, parse_constant=refuse)


def write_json(
    path: Path, record: Mapping[str, Any], indent: int | None = None, durable: bool = False
) -> Path:
    """Write an object as JSON, whole or not at all; see `whole_file`.

    Raises:
        OSError: if it cannot be written.
        TypeError, ValueError: if it holds what JSON has no word for.
    """
    try:
        text = json.dumps(record, indent=indent, ensure_ascii=False, allow_nan=False)
    except RecursionError as error:
        raise ValueError(f"expected a record for {path}, got one too deep for JSON") from error
    with whole_file(path, durable) as part:
        part.write_text(text + "\n", encoding="utf-8")
    return path


class JsonSpool:
    """Objects with names, one after the other, kept as JSON in a nameless file: for many of them.

    spool = JsonSpool()
    spool.append("face_000000.png", {"frame": 0})
    spool.write(path, {"version": 1}, "faces", lambda entry: {**entry, "person": 1})
    """

    def __init__(self) -> None:
        # Open as long as this lives, and gone with it, also if the program is killed.
        self._file = tempfile.TemporaryFile("w+", encoding="utf-8")

    def append(self, name: str, entry: Mapping[str, Any]) -> None:
        """Keep one more."""
        json.dump([name, entry], self._file, ensure_ascii=False, allow_nan=False)
        self._file.write("\n")

    def write(
        self,
        path: Path,
        record: Mapping[str, Any],
        name: str,
        settle: Callable[[dict[str, Any]], Mapping[str, Any] | None],
    ) -> Path:
        """Write `record` as `write_json` does, with the objects in it as its last value.

        Args:
            path: the file.
            record: what comes before them; not empty.
            name: of that value.
            settle: makes of each what is written; None leaves it out.
        """
        head = json.dumps(record, ensure_ascii=False, allow_nan=False)[:-1]
        with whole_file(path, durable=True) as part, part.open("w", encoding="utf-8") as file:
            file.write(f"{head}, {json.dumps(name)}: {{")
            comma = ""
            self._file.seek(0)
            for each, entry in map(json.loads, self._file):
                done = settle(entry)
                if done is not None:
                    file.write(f"{comma}{json.dumps(each)}: {json.dumps(done, ensure_ascii=False)}")
                    comma = ", "
            file.write("}}\n")
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
    header = {**header, CHECKSUM: _checksum(plain, header)}
    try:
        # safetensors writes to a name of its own choice first, which a kill leaves behind.
        with staging(path.parent) as own, whole_file(path, durable=True) as part:
            save_file(plain, own / path.name, metadata=header)
            (own / path.name).replace(part)
    except SafetensorError as error:  # how safetensors reports a full disk or a missing right
        raise OSError(f"could not write {path}: {error}; free some space there") from error
    return path


def tensors_sha256(tensors: Iterable[tuple[str, torch.Tensor]]) -> str:
    """SHA-256 of tensors on whatever device: their names, shapes, types and bytes, by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors, key=lambda each: each[0]):
        array = tensor.detach().cpu().contiguous()
        data = array.reshape(-1).view(torch.uint8)
        digest.update(f"{name} {tuple(array.shape)} {array.dtype}".encode())
        digest.update(data.numpy().data)
    return digest.hexdigest()


def _checksum(tensors: Tensors, header: Mapping[str, str]) -> str:
    said = json.dumps(sorted(header.items())) + tensors_sha256(tensors.items())
    return sha256_of(said.encode())


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
    said = header.pop(CHECKSUM, None)  # files written before have none
    if said is not None and said != _checksum(tensors, header):
        raise ValueError(
            f"expected what was written to {path}, got other numbers or text: it is damaged; use "
            "an earlier one"
        )
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
