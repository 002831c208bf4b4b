"""A folder of checkpoints of one run that outlives kills, full disks and damaged files.

A save announces the file in the folder's manifest, writes it, lists it with its SHA-256, and only
then deletes old ones. Whenever the process dies, each file is therefore either listed with its
hash, or announced; such a one counts if it loads, as does a file that is not listed at all.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ..devices import pick_device
from ..files import CHUNK, flush_folder, read_json, sha256_of, whole_file, write_json
from .checkpoint import Checkpoint, load_checkpoint, save_checkpoint

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"
NAME = re.compile(r"step-([0-9]{8,})\.safetensors")
# Files grow in a folder of their own: safetensors writes to temporary names of its own choice,
# which a kill leaves behind, and only there can they be told from other people's files.
STAGING = ".saving"


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

    It deletes only files that its own manifest lists. One process at a time may save.

    Args:
        folder: where they are; made at the first save.
        keep_last: how many of the newest steps to keep; the best-scored one is kept besides.
        mirror: a second folder, such as one on a mounted drive, that gets a verified copy of each
            file. Its parent must exist, or a drive that is not mounted would be taken for one.
            What goes wrong there is logged, never raised, and tried again at the next save.

    Raises:
        NotADirectoryError: if `folder` is a file.
        ValueError: if `keep_last` is below 1.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        keep_last: int = 3,
        mirror: str | os.PathLike[str] | None = None,
    ) -> None:
        if keep_last < 1:
            raise ValueError(f"keep_last: expected 1 or more, got {keep_last}; keep at least one")
        if Path(folder).is_file():
            raise NotADirectoryError(f"expected a folder, got the file {folder}; choose another")
        self.folder = Path(folder)
        self.mirror = None if mirror is None else Path(mirror)
        self._local = _Folder(self.folder, keep_last)
        self._remote = None if self.mirror is None else _Folder(self.mirror, keep_last)

    def save(self, checkpoint: Checkpoint, score: float | None = None) -> Path:
        """Write a checkpoint, then delete those no longer wanted; the same step is replaced.

        Args:
            checkpoint: what to write.
            score: how good it is, higher is better; None if not measured.

        Raises:
            OSError: if it cannot be written, as on a full disk; earlier ones stay as they were.
            ValueError: if the score is not finite.
        """
        if score is not None and not math.isfinite(score):
            raise ValueError(f"expected a finite score, got {score}; pass None if there is none")
        score = None if score is None else float(score)
        entry = Entry(f"step-{checkpoint.step:08d}.safetensors", checkpoint.step, score=score)
        path = self.folder / entry.name
        try:
            self._local.put(entry, lambda staged: sha256_of(save_checkpoint(staged, checkpoint)))
        except OSError as error:
            raise OSError(
                f"could not save {path}: {error.__cause__ or error}; free some space there, "
                "or save where you may write; earlier checkpoints are as they were"
            ) from error
        self._at_mirror(partial(self._copy_missing, newest=entry.name))
        return path

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
            ValueError: if there are files but none is intact.
        """
        return self._first_intact(lambda entry: 0.0, device)

    def best(self, device: str | torch.device | None = "cpu") -> Checkpoint | None:
        """The intact checkpoint with the highest score; the latest if none has one.

        Args:
            device: where the tensors go; None picks the GPU if there is one.

        Raises:
            ValueError: if there are files but none is intact.
        """
        return self._first_intact(_score, device)

    def _first_intact(
        self, rank: Callable[[Entry], float], device: str | torch.device | None
    ) -> Checkpoint | None:
        where = pick_device(device)  # first, or a wrong device would look like damaged files
        found = [(self._local, entry) for entry in self._local.entries()]
        self._at_mirror(lambda mirror: found.extend((mirror, e) for e in mirror.entries()))
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

    def _at_mirror(self, do: Callable[[_Folder], None]) -> None:
        if self._remote is None:
            return
        path = self._remote.path
        try:
            if not path.parent.is_dir():
                raise NotADirectoryError(f"expected a folder {path.parent}, got none")
            do(self._remote)
        except OSError as error:
            logger.warning(
                "cannot use the mirror %s: %s; mount the drive, make the folder or free space "
                "there; training goes on, the next save tries again",
                path,
                error,
            )

    def _copy_missing(self, mirror: _Folder, newest: str) -> None:
        local, there = self._local.listed(), mirror.listed()
        wanted = mirror.kept({**there, **local}) | {newest}
        # The new one first: should an older file turn out to be damaged, it is safe already.
        for entry in sorted(local.values(), key=lambda entry: entry.name == newest, reverse=True):
            held = there.get(entry.name) == entry and (mirror.path / entry.name).is_file()
            if entry.name in wanted and entry.sha256 and not held:
                source = self.folder / entry.name
                mirror.put(entry, partial(copy_verified, source, sha256=entry.sha256))


class _Folder:
    """The files of one folder and their manifest."""

    def __init__(self, path: Path, keep_last: int) -> None:
        self.path = path
        self.keep_last = keep_last

    def put(self, entry: Entry, write: Callable[[Path], str]) -> None:
        """Let `write` make the file and return its hash, list it, and delete what is too old."""
        path, staged = self.path / entry.name, self.path / STAGING / entry.name
        shutil.rmtree(staged.parent, ignore_errors=True)  # what a killed process left
        before = {name: e for name, e in self.listed().items() if (self.path / name).exists()}
        self._list({**before, entry.name: Entry(entry.name, entry.step)})
        try:
            sha256 = write(staged)
            size = staged.stat().st_size
            staged.replace(path)
        except Exception:
            self._list(before)
            raise
        finally:
            shutil.rmtree(staged.parent, ignore_errors=True)
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
            listed = read_json(manifest, "it is made anew")["checkpoints"]
            return {entry.name: entry for entry in map(_parse, listed)}
        except (FileNotFoundError, KeyError, TypeError, ValueError) as error:
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
