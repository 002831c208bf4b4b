"""A folder of checkpoints of one run that outlives kills, full disks and damaged files.

A save announces the file in the folder's manifest, writes it, lists it with its SHA-256, and only
then deletes old ones. Whenever the process dies, each file is therefore either listed with its
hash, or announced; such a one counts if it loads, as does a file that is not listed at all.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import math
import os
import re
import shutil
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from ..devices import pick_device
from ..files import (
    CHUNK,
    flush_folder,
    read_json,
    reading,
    sha256_of,
    staging,
    take_lock,
    whole_file,
    write_json,
)
from .checkpoint import Checkpoint, load_checkpoint, save_checkpoint

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"
NAME = re.compile(r"step-([0-9]{8,})\.safetensors")
LAST_WAIT_S = 60.0  # for the mirror, at the program's end


@dataclass(frozen=True)
class Entry:
    """One checkpoint file as the manifest lists it."""

    name: str
    step: int
    sha256: str | None = None  # None: not known, the file counts if it loads
    bytes: int = 0
    score: float | None = None  # higher is better, None if not measured


Listing = dict[str, Entry]  # by file name


def copy_verified(
    source: str | os.PathLike[str], target: str | os.PathLike[str], sha256: str | None = None
) -> str:
    """Copy a file, read the copy back, and put it in its place only if it is the same.

    Args:
        source: the file to copy.
        target: the copy's name; its folder is made if missing.
        sha256: what the copy's SHA-256 must be; None takes that of `source` as it is now.

    Returns:
        The SHA-256 of both.

    Raises:
        OSError: if it cannot be copied, or differs even at the second try; an earlier file at
            `target` stays as it was.
    """
    source, target = Path(source), Path(target)
    wanted = sha256 or sha256_of(source)
    with whole_file(target, durable=True) as part:
        for _ in range(2):
            with source.open("rb") as reader, part.open("wb") as writer:
                shutil.copyfileobj(reader, writer, CHUNK)
                writer.flush()
                os.fsync(writer.fileno())
            got = sha256_of(part)
            if got == wanted:
                return got
        raise OSError(
            f"expected sha256 {wanted} in the copy of {source} to {target}, got {got} twice; "
            "check both disks"
        )


class CheckpointStore:
    """The checkpoints of one run: step-00001234.safetensors and so on, and manifest.json.

    It deletes only files that its own manifest lists. One program at a time may save: while it
    does, or `hold` was called, others are refused. So is one that knows an earlier state of the
    folder than it has, such as a run that another program has gone on with.

    Args:
        folder: where they are; made at the first save.
        keep_last: how many of the newest steps to keep; the best-scored one is kept besides.
        mirror: a second folder, such as one on a mounted drive, that gets a verified copy of each
            file. Its parent must exist, or a drive that is not mounted would be taken for one.
            What goes wrong there is logged, never raised, and tried again at the next save.
        patience_s: how long a save waits for the mirror; what takes longer is done in the
            background, and the program's end waits for it a minute.

    Raises:
        NotADirectoryError: if `folder` is a file.
        ValueError: if `keep_last` is below 1.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        keep_last: int = 3,
        mirror: str | os.PathLike[str] | None = None,
        patience_s: float = 5.0,
    ) -> None:
        if keep_last < 1:
            raise ValueError(f"keep_last: expected 1 or more, got {keep_last}; keep at least one")
        if Path(folder).is_file():
            raise NotADirectoryError(f"expected a folder, got the file {folder}; choose another")
        self.folder = Path(folder)
        self.mirror = None if mirror is None else Path(mirror)
        self._local = _Folder(self.folder, keep_last)
        self._remote = None if self.mirror is None else _Mirror(self.mirror, keep_last, patience_s)
        self._lock: FileLock | None = None  # while it is held
        self._known: Listing | None = None  # what the folder held when it was last looked at

    def __del__(self) -> None:
        self.release()

    def hold(self) -> None:
        """Be the only program that may save here, until `release` or this program's end.

        Whatever ends the program, nothing is held afterwards; where the system has no such locks
        (some network drives) nothing is held at all.

        Raises:
            RuntimeError: if another program holds it.
        """
        if getattr(self, "_lock", None) is not None:
            return
        folder = self.folder.resolve()
        try:
            self._lock = take_lock(folder.with_name(f"{folder.name}.lock"), shared=True)
        except BlockingIOError as error:
            raise RuntimeError(
                f"{folder} is being trained by another notebook or program; stop it there first, "
                "or shut its kernel down, or save into another folder"
            ) from error
        except PermissionError as error:  # beside the folder nothing may be written
            logger.warning("%s: nobody else is kept from saving there (%s)", folder, error)

    def release(self) -> None:
        """Let other programs save here."""
        lock, self._lock = getattr(self, "_lock", None), None
        if lock is not None:
            lock.release()

    def save(self, checkpoint: Checkpoint, score: float | None = None) -> Path:
        """Write a checkpoint, then delete those no longer wanted; the same step is replaced.

        Args:
            checkpoint: what to write.
            score: how good it is, higher is better; None if not measured.

        Raises:
            OSError: if it cannot be written, as on a full disk; earlier ones stay as they were.
            RuntimeError: if another program is saving there, or has since this one looked.
            ValueError: if the score is not finite.
        """
        if score is not None and not math.isfinite(score):
            raise ValueError(f"expected a finite score, got {score}; pass None if there is none")
        score = None if score is None else float(score)
        entry = Entry(f"step-{checkpoint.step:08d}.safetensors", checkpoint.step, score=score)
        path = self.folder / entry.name
        held = self._lock is not None
        self.hold()
        try:
            self._check_known()
            self._local.put(entry, lambda staged: sha256_of(save_checkpoint(staged, checkpoint)))
        except OSError as error:
            raise OSError(
                f"could not save {path}: {error.__cause__ or error}; free some space there, "
                "or save where you may write; earlier checkpoints are as they were"
            ) from error
        finally:
            if not held:
                self.release()
        self._known = self._local.listed()
        if self._remote is not None:
            self._remote.do(partial(self._copy_missing, self._remote.folder, entry.name))
        return path

    def _check_known(self) -> None:
        """Raise if somebody else has saved since this store was last read or saved to."""
        now = self._local.listed() if (self.folder / MANIFEST).is_file() else {}
        known = now if self._known is None else self._known
        if new := [name for name in now if now[name] != known.get(name)]:
            raise RuntimeError(
                f"another run has saved {', '.join(sorted(new))} in {self.folder} since this one "
                "looked; go on with that run by start_or_resume, or save into another folder"
            )

    def entries(self) -> list[Entry]:
        """The checkpoints in the folder (not the mirror) by step; their contents are not checked.

        A file that the manifest lists is among them even if it is gone.
        """
        return sorted(self._local.entries(), key=lambda entry: entry.step)

    def latest(self, device: str | torch.device | None = "cpu") -> Checkpoint | None:
        """The newest intact checkpoint in the folder or its mirror; None if there are no files.

        A warning says which newer file is damaged or missing.

        Args:
            device: where the tensors go; None picks the GPU if there is one.

        Raises:
            TimeoutError: if there are none in the folder, and the mirror does not answer.
            ValueError: if there are files but none is intact.
        """
        return self._first_intact(lambda entry: 0.0, device)

    def best(self, device: str | torch.device | None = "cpu") -> Checkpoint | None:
        """The intact checkpoint with the highest score; the latest if none has one.

        Args:
            device: where the tensors go; None picks the GPU if there is one.

        Raises:
            TimeoutError, ValueError: as `latest`.
        """
        return self._first_intact(_score, device)

    def _first_intact(
        self, rank: Callable[[Entry], float], device: str | torch.device | None
    ) -> Checkpoint | None:
        where = pick_device(device)  # first, or a wrong device would look like damaged files
        self._known = self._local.listed()
        found = [(self._local, entry) for entry in self._local.entries()]
        if self._remote is not None:
            mirror = self._remote.folder
            there: list[tuple[_Folder, Entry]] = []
            patience_s = None if found else LAST_WAIT_S  # the whole run may be there
            look = partial(_look_into, mirror, there)
            if self._remote.do(look, later=False, patience_s=patience_s):
                found += there
            elif not found:
                raise TimeoutError(
                    f"there is no checkpoint in {self.folder}, and the mirror {self.mirror} does "
                    "not answer; mount it anew, or leave it out to begin a new run"
                )
        found.sort(key=lambda it: (rank(it[1]), it[1].step, it[0] is self._local), reverse=True)
        wrong = []
        for folder, entry in found:
            try:
                checkpoint = folder.load(entry, where)
            except (OSError, ValueError) as error:
                wrong.append(f"{folder.path / entry.name}: {error}")
                continue
            if wrong:
                logger.warning("%s; falling back to step %d", "; ".join(wrong), entry.step)
            return checkpoint
        if any((folder.path / entry.name).exists() for folder, entry in found):
            raise ValueError(
                f"expected an intact checkpoint in {self.folder}, got none: {'; '.join(wrong)}; "
                "get a copy from elsewhere, or move them away to start anew"
            )
        if wrong:
            logger.warning("%s; there is none to fall back to", "; ".join(wrong))
        return None

    def _copy_missing(self, mirror: _Folder, newest: str) -> None:
        local, there = self._local.listed(), mirror.listed()
        wanted = mirror.kept({**there, **local}) | {newest}
        # The new one first: should an older file turn out to be damaged, it is safe already.
        for entry in sorted(local.values(), key=lambda entry: entry.name == newest, reverse=True):
            held = there.get(entry.name) == entry and (mirror.path / entry.name).is_file()
            if entry.name in wanted and entry.sha256 and not held:
                source = self.folder / entry.name
                mirror.put(entry, partial(copy_verified, source, sha256=entry.sha256))


def _look_into(folder: _Folder, found: list[tuple[_Folder, Entry]]) -> None:
    found.extend((folder, entry) for entry in folder.entries())


class _Mirror:
    """The second folder, and a thread that works there, as a drive may be slow, or hang.

    Args:
        path: the folder.
        keep_last: as of the store.
        patience_s: how long `do` waits.
    """

    def __init__(self, path: Path, keep_last: int, patience_s: float) -> None:
        self.path, self.folder, self.patience_s = path, _Folder(path, keep_last), patience_s
        self._next: Callable[[], None] | None = None
        self._free = threading.Lock()  # guards `_next` and `_thread`
        self._thread: threading.Thread | None = None

    def do(
        self, work: Callable[[], None], later: bool = True, patience_s: float | None = None
    ) -> bool:
        """Have something done there after what is still going on; of several, the last.

        Args:
            work: what to do.
            later: whether it may be done later; otherwise it is left out if that takes too long.
            patience_s: how long to wait for it; None is as long as for a save.

        Returns:
            Whether it came to its end in time, be it with an error, which is logged.
        """
        with self._free:
            busy = self._thread is not None
            if later or not busy:
                self._next = work
            if self._thread is None:
                # A daemon: a drive that hangs may not keep the program from ending.
                self._thread = threading.Thread(target=self._work, daemon=True)
                self._thread.start()
            thread = self._thread
        if not busy:
            thread.join(self.patience_s if patience_s is None else patience_s)
        if not thread.is_alive():
            return True
        advice = "the mirror %s is slow or hangs: it is used in the background, all else goes on"
        logger.warning(advice, self.path)
        if not busy:
            atexit.register(thread.join, LAST_WAIT_S)
        return False

    def _work(self) -> None:
        while True:
            with self._free:
                work, self._next = self._next, None
                if work is None:
                    self._thread = None
                    return
            try:
                if not self.path.parent.is_dir():
                    raise NotADirectoryError(f"expected a folder {self.path.parent}, got none")
                work()
            except OSError as error:
                logger.warning(
                    "cannot use the mirror %s: %s; mount the drive, make the folder or free space "
                    "there; training goes on, the next save tries again",
                    self.path,
                    error,
                )


class _Folder:
    """The files of one folder and their manifest."""

    def __init__(self, path: Path, keep_last: int) -> None:
        self.path = path
        self.keep_last = keep_last

    def put(self, entry: Entry, write: Callable[[Path], str]) -> None:
        """Let `write` make the file and return its hash, list it, and delete what is too old."""
        path = self.path / entry.name
        before = {name: e for name, e in self.listed().items() if (self.path / name).exists()}
        self._list({**before, entry.name: Entry(entry.name, entry.step)})
        try:
            with staging(self.path) as own:
                sha256 = write(own / entry.name)
                size = (own / entry.name).stat().st_size
                (own / entry.name).replace(path)
        except Exception:
            self._list(before)
            raise
        flush_folder(self.path)
        listed = {**before, entry.name: replace(entry, sha256=sha256, bytes=size)}
        self._list(listed)
        # After falling back, the newest step is not the highest: it may not be taken for old.
        kept = self.kept(listed) | {entry.name}
        if kept != listed.keys():
            for name in listed.keys() - kept:
                (self.path / name).unlink(missing_ok=True)
            self._list({name: listed[name] for name in kept})

    def kept(self, listing: Listing) -> set[str]:
        """Names of the last few by step and the best-scored one."""
        by_step = sorted(listing.values(), key=lambda entry: entry.step)
        best = max(by_step, key=lambda entry: (_score(entry), entry.step))
        return {entry.name for entry in [*by_step[-self.keep_last :], best]}

    def entries(self) -> list[Entry]:
        """What is listed, and files with a checkpoint's name that are not."""
        listing = {**self._files(), **self.listed()}
        return [e for e in listing.values() if e.sha256 or (self.path / e.name).exists()]

    def listed(self) -> Listing:
        """What the manifest lists; if it is damaged, the files that load."""
        manifest = self.path / MANIFEST
        try:
            record = read_json(manifest, "it is made anew")
            with reading(manifest, "a list of checkpoints", "it is made anew"):
                return {entry.name: entry for entry in map(_parse, record["checkpoints"])}
        except (FileNotFoundError, ValueError) as error:
            if files := self._files():
                advice = "%s: expected a list of checkpoints, got %r; taking the files that load"
                logger.warning(advice, manifest, error)
            # The manifest comes before the first file, so without one they are somebody's copies:
            # good to go on with, but not ours to delete.
            return {} if isinstance(error, FileNotFoundError) else self._rebuilt(files)

    def load(self, entry: Entry, device: torch.device) -> Checkpoint:
        """Read a checkpoint if it is the file that was listed."""
        path = self.path / entry.name
        if not path.is_file():
            raise FileNotFoundError(f"expected a file of {entry.bytes} bytes, got none")
        got = sha256_of(path)
        if entry.sha256 not in (None, got):
            raise ValueError(
                f"expected {entry.bytes} bytes with sha256 {entry.sha256}, "
                f"got {path.stat().st_size} bytes with sha256 {got}"
            )
        return load_checkpoint(path, device)

    def _files(self) -> Listing:
        if not self.path.exists():
            return {}
        found = ((NAME.fullmatch(path.name), path) for path in self.path.iterdir())
        return {p.name: Entry(p.name, int(match[1])) for match, p in found if match}

    def _rebuilt(self, files: Listing) -> Listing:
        found = {}
        for name, entry in files.items():
            path = self.path / name
            with contextlib.suppress(OSError, ValueError):
                load_checkpoint(path)
                found[name] = replace(entry, sha256=sha256_of(path), bytes=path.stat().st_size)
        return found

    def _list(self, listing: Listing) -> None:
        entries = sorted(listing.values(), key=lambda entry: entry.step)
        listed = {"checkpoints": [asdict(entry) for entry in entries]}
        write_json(self.path / MANIFEST, listed, indent=1, durable=True)


def _parse(raw: Any) -> Entry:
    entry = Entry(**{field.name: raw[field.name] for field in fields(Entry)})
    match = NAME.fullmatch(entry.name)  # a name such as ../x must never be deleted
    if not match or int(match[1]) != entry.step or not isinstance(entry.score, int | float | None):
        raise ValueError(f"an entry {raw}")
    return entry


def _score(entry: Entry) -> float:
    return -math.inf if entry.score is None else entry.score
