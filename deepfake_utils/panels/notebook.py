"""What notebooks need around the panels: video players, and the times and versions of a run."""

from __future__ import annotations

import base64
import contextlib
import html
import importlib.metadata
import math
import os
import platform
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from IPython import get_ipython
from IPython.display import HTML

from ..devices import pick_device
from ..files import write_json
from .base import EXPECTED
from .training_loop import peak_memory_mb

SHOWN_MB = 30  # a larger video is not sent to the browser


def attended() -> bool:
    """True if somebody sits at the notebook and can press buttons; False if a program executes it.

    Programs such as nbclient say that nobody can answer questions; outside IPython it is False.
    """
    shell = get_ipython()
    return bool(getattr(getattr(shell, "kernel", None), "_allow_stdin", False))


@contextlib.contextmanager
def in_a_sentence() -> Iterator[None]:
    """Inside, of an error that is to be expected a notebook shows the sentence and no traceback.

    The cell still fails, which stops those below it, and programs see the error as it was raised.
    """
    try:
        yield
    except EXPECTED as error:
        sentence = str(error)
        # What IPython asks an exception for, instead of drawing its traceback.
        vars(error)["_render_traceback_"] = lambda: [sentence]
        raise


def show_videos(videos: Mapping[str, str | os.PathLike[str]], width: int = 300) -> HTML:
    """Video players side by side, each with a link that downloads its file.

    The files are inside the notebook's output, but for those above 30 MB, of which only the path
    is told.

    Args:
        videos: title -> path of an .mp4.
        width: of each player in pixels, where the page is wide enough.

    Raises:
        FileNotFoundError: if there is no file at a path.
    """
    cells = []
    for title, name in videos.items():
        path = Path(name)
        if not path.is_file():
            raise FileNotFoundError(f"no video at {path}; write it first")
        size_mb, shown = path.stat().st_size / 1e6, html.escape(path.name)
        film, link = "", f"{size_mb:.0f} MB: {html.escape(str(path.resolve()))}"
        if size_mb <= SHOWN_MB:
            # A path would be looked for below the folder that Jupyter serves, and not in Colab.
            data = f"data:video/mp4;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
            film = (
                f'<video controls loop style="width:{width}px;max-width:100%" src="{data}"></video>'
            )
            link = f'<a href="{data}" download="{shown}">Download {shown}</a> ({size_mb:.1f} MB)'
        cells.append(
            f'<figure style="margin:0;max-width:100%"><figcaption>{html.escape(title)}</figcaption>'
            f"{film}<div>{link}</div></figure>"
        )
    return HTML(f'<div style="display:flex;gap:8px;flex-wrap:wrap">{"".join(cells)}</div>')


def runtime() -> str:
    """What this machine has to train on, and what that means in minutes, in two sentences."""
    device = pick_device(None)
    if device.type == "cpu":
        return (
            f"No GPU here, {os.cpu_count()} processor cores.\nOn two cores five minutes of "
            "training are enough for the sample clips, and all of it takes six (measured)."
        )
    name = torch.cuda.get_device_name() if device.type == "cuda" else device.type
    return f"A GPU: {name}.\nIn the minutes that you choose it makes more steps than a processor."


class RunLog:
    """Times the stages of a run and writes them, with what else is worth knowing, as JSON.

    with log("extract"):
        ...
    log.write("summary.json", {"score_db": 24.1})
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
        write_json(Path(path), _plain(summary), indent=2)
        return summary


def _plain(value: Any) -> Any:
    """The same for JSON, which has no word for a number that is not finite: null."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
