"""What only notebooks need: live pictures, forms, a run's log. The package never imports it.

Works with ipywidgets 7 (Colab) and 8, in Colab and in local Jupyter.
"""

from __future__ import annotations

import base64
import contextlib
import html
import importlib.metadata
import io
import json
import math
import os
import platform
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from IPython import get_ipython
from IPython.display import HTML, display
from IPython.display import Image as InlineImage

from ..curation.report import PairReport, pair_report
from ..curation.selection import Curation
from ..samples import TEST_START_S
from .archives import unpack
from .clip_panel import DataPanel
from .downloads import download
from .faces import FacesPanel
from .form import ConfigForm, config_form, consent_form
from .places import find_clip, in_colab, mount_drive, open_project
from .swap import SwapPanel, passages
from .training import TrainingPanel
from .training_loop import TrainingStatus, peak_memory_mb
from .training_project import NetworkChoice, need_faces, train

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "ClipChoice",
    "ConfigForm",
    "Curation",
    "DataPanel",
    "FacesPanel",
    "Live",
    "NetworkChoice",
    "PairReport",
    "RunLog",
    "SwapPanel",
    "TrainingPanel",
    "TrainingStatus",
    "attended",
    "config_form",
    "consent_form",
    "download",
    "find_clip",
    "in_colab",
    "mount_drive",
    "need_faces",
    "open_project",
    "pair_report",
    "passages",
    "show_videos",
    "train",
    "unpack",
]


@dataclass(frozen=True)
class ClipChoice:
    """Which clips a notebook works on, and which part of them."""

    person_a: str = "sample"  # who is in the video: "sample", a path, "drive:..." or a link
    person_b: str = "sample"  # whose face is put there
    train_until_s: float = TEST_START_S  # A's clip is trained on up to here; 0 takes all of it
    swap_from_s: float = TEST_START_S  # and swapped from here on


class Live:
    """A place in a notebook's output that is drawn over and over again.

    live = Live()
    live.show(figure)  # as often as you like
    """

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, figure: Figure) -> None:
        """Draw the figure where the last one was."""
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=90)
        picture = InlineImage(data=buffer.getvalue())
        if self._handle is None:
            self._handle = display(picture, display_id=True)
        else:
            self._handle.update(picture)


def attended() -> bool:
    """True if somebody sits at the notebook and can press buttons; False if a program executes it.

    Programs such as nbclient say that nobody can answer questions; outside IPython it is False.
    """
    shell = get_ipython()
    return bool(getattr(getattr(shell, "kernel", None), "_allow_stdin", False))


def show_videos(videos: Mapping[str, str | os.PathLike[str]], width: int = 300) -> HTML:
    """Video players side by side, with the files inside the notebook's output.

    Args:
        videos: title -> path of an .mp4.
        width: of each player in pixels.

    Raises:
        FileNotFoundError: if there is no file at a path.
    """
    cells = []
    for title, name in videos.items():
        path = Path(name)
        if not path.is_file():
            raise FileNotFoundError(f"no video at {path}; write it first")
        data = base64.b64encode(path.read_bytes()).decode("ascii")
        cells.append(
            f'<figure style="margin:0"><figcaption>{html.escape(title)}</figcaption>'
            f'<video controls loop width="{width}" src="data:video/mp4;base64,{data}"></video>'
            "</figure>"
        )
    return HTML(f'<div style="display:flex;gap:8px;flex-wrap:wrap">{"".join(cells)}</div>')


class RunLog:
    """Times the stages of a run and writes them, with what else is worth knowing, as JSON.

    with log("extract"):
        ...
    log.write("summary.json", score_db=24.1)
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Add the time inside the `with` block to a stage."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.monotonic() - began

    def write(self, path: str | os.PathLike[str], facts: Mapping[str, object]) -> dict[str, Any]:
        """Write `facts`, seconds a stage, device, peak memory and versions; returns the same.

        Raises:
            OSError: if the file cannot be written.
        """
        versions = {"python": platform.python_version()}
        for name in ("deepfake-utils", "torch", "numpy", "opencv-python-headless", "av"):
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                versions[name] = importlib.metadata.version(name)
        gpu = torch.cuda.is_available()
        summary = {
            **facts,
            "seconds": {stage: round(seconds, 1) for stage, seconds in self.seconds.items()},
            "device": torch.cuda.get_device_name() if gpu else f"cpu, {os.cpu_count()} cores",
            "peak_memory_mb": peak_memory_mb(),
            "versions": versions,
        }
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(_plain(summary), indent=2) + "\n", encoding="utf-8")
        return summary


def _plain(value: Any) -> Any:
    """The same for JSON, which has no word for a number that is not finite: null."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
