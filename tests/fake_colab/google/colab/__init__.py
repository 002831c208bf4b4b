"""Stands in for Colab's module: `drive` and `files` with the interfaces of the real ones.

Put tests/fake_colab on the path to be "in Colab". There is no `google/__init__.py`, as `google` is
a namespace that other packages share.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import ClassVar


class drive:
    """Google Drive, which is an empty folder here."""

    @staticmethod
    def mount(
        mountpoint: str,
        force_remount: bool = False,
        timeout_ms: int = 120000,
        readonly: bool = False,
    ) -> None:
        """Make `MyDrive` in the mount point; a second time it is only said."""
        folder = Path(mountpoint) / "MyDrive"
        if folder.is_dir() and not force_remount:
            print(
                f"Drive already mounted at {mountpoint}; to attempt to forcibly remount, call "
                f'drive.mount("{mountpoint}", force_remount=True).'
            )
            return
        if " " in mountpoint:
            raise ValueError("Mountpoint must not contain a space.")
        folder.mkdir(parents=True, exist_ok=True)
        print(f"Mounted at {mountpoint}")


class files:
    """Up from the browser and down to it."""

    chosen: ClassVar[list[Path]] = []  # what the person at the browser picks
    downloaded: ClassVar[list[Path]] = []  # what the browser was given

    @classmethod
    def upload(cls, target_dir: str = "") -> dict[str, bytes]:
        """Copy what was picked to a folder ("": the current one); their names and bytes."""
        taken = {}
        for path in cls.chosen:
            place = Path(target_dir) / path.name
            shutil.copyfile(path, place)
            taken[str(place)] = path.read_bytes()
        return taken

    @classmethod
    def download(cls, filename: str) -> None:
        """Hand a file to the browser."""
        if not Path(filename).exists():
            raise FileNotFoundError(f"Cannot find file: {filename}")
        cls.downloaded.append(Path(filename))
