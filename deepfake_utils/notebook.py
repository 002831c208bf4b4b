"""What only notebooks need: live pictures, forms, a run's log. The package never imports it.

Works with ipywidgets 7 (Colab) and 8, in Colab and in local Jupyter.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import html
import importlib.metadata
import importlib.util
import io
import json
import math
import os
import platform
import time
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import ipywidgets as widgets
import torch
from IPython.display import HTML, display
from IPython.display import Image as InlineImage

from .consent import Basis, Subject, write_consent
from .fetching import download, find_clip, in_colab, mount_drive, unpack
from .samples import TEST_START_S
from .swap_panel import SwapPanel, passages

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "ClipChoice",
    "ConfigForm",
    "Live",
    "NetworkChoice",
    "RunLog",
    "SwapPanel",
    "config_form",
    "consent_form",
    "download",
    "find_clip",
    "in_colab",
    "mount_drive",
    "passages",
    "show_videos",
    "unpack",
]

Config = TypeVar("Config")


@dataclass(frozen=True)
class ClipChoice:
    """Which clips a notebook works on, and which part of them."""

    person_a: str = "sample"  # who is in the video: "sample", a path, "drive:..." or a link
    person_b: str = "sample"  # whose face is put there
    train_until_s: float = TEST_START_S  # A's clip is trained on up to here; 0 takes all of it
    swap_from_s: float = TEST_START_S  # and swapped from here on


def _usual_size() -> int:
    """A size that trains in minutes here."""
    return 128 if torch.cuda.is_available() else 96


@dataclass(frozen=True)
class NetworkChoice:
    """Which network a notebook trains, and for how long."""

    preset: Literal["quick", "original"] = "quick"  # "original" is for a GPU
    image_size: int = field(default_factory=_usual_size)  # of the face: 64, 96, 128, 192 or 256 px
    mask: bool = False  # True has the network draw a mask of the face, which the swap then uses
    minutes: float = 5.0  # the run is made as long as fits
    light: float = 0.0  # strength of random changes of light and colour; 1 for clips that differ


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
            "peak_memory_mb": _peak_memory_mb(),
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


def _peak_memory_mb() -> int | None:
    """The most memory this process ever had, in MB; None where the system does not say."""
    if importlib.util.find_spec("resource") is None:  # Windows
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if platform.system() == "Darwin" else 1e3))


class ConfigForm(Generic[Config]):
    """A form with one widget for each field of a dataclass; `value` is what it holds now."""

    def __init__(self, config: Config, fields: dict[str, Any], box: widgets.VBox) -> None:
        self._config, self.fields, self.box = config, fields, box

    @property
    def value(self) -> Config:
        """A new configuration with what the form holds.

        Raises:
            ValueError: if the configuration refuses a value; its text says why.
        """
        values = {name: field.value for name, field in self.fields.items()}
        return dataclasses.replace(self._config, **values)  # type: ignore[type-var]

    def _ipython_display_(self) -> None:
        display(self.box)


def config_form(config: Config, names: list[str] | None = None) -> ConfigForm[Config]:
    """A form to change a configuration by hand: numbers, choices, yes or no.

    Args:
        config: a dataclass instance; its values are what the form starts with.
        names: the fields to show; None shows all that a form can change.

    Raises:
        TypeError: if `config` is not a dataclass instance.
        ValueError: if a name is not one of its fields.
    """
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        raise TypeError(f"expected a dataclass instance, got {config!r}")
    hints = typing.get_type_hints(type(config))
    known = [field.name for field in dataclasses.fields(config)]
    for name in names or ():
        if name not in known:
            raise ValueError(f"expected a field of {known}, got {name!r}")
    fields: dict[str, Any] = {}
    for name in names if names is not None else known:
        made = _widget(name, getattr(config, name), hints[name])
        if made is not None:
            fields[name] = made
    return ConfigForm(config, fields, widgets.VBox(list(fields.values())))


def consent_form(
    subject: Subject | None = None, folder: str | os.PathLike[str] | None = None
) -> ConfigForm[Subject]:
    """A form for whose face is in a training set and why it may be used; no name is asked for.

    Its `value` is for `extract_faces(..., consent=form.value)`.

    Args:
        subject: what it starts with; None leaves the basis open, and `value` raises ValueError
            until one is chosen.
        folder: adds a button that writes consent.json there.
    """
    names = ["id", "basis", "role", "audience", "given", "expires"]
    form = config_form(subject or Subject(), names)
    if subject is None:
        basis = form.fields["basis"]
        basis.options = ["", *typing.get_args(Basis)]
        basis.value = ""
    if folder is not None:
        button = widgets.Button(description="write consent.json")
        said = widgets.Label()

        def write(_: widgets.Button) -> None:
            try:
                said.value = str(write_consent(folder, form.value))
            except ValueError as error:
                said.value = str(error)

        button.on_click(write)
        form.box.children = [*form.box.children, button, said]
    return form


def _widget(name: str, value: object, hint: object) -> widgets.Widget | None:
    """The widget that fits a field's type; None if there is none."""
    look = {
        "description": name.replace("_", " "),
        "style": {"description_width": "160px"},
        "layout": widgets.Layout(width="420px"),
    }
    if typing.get_origin(hint) is typing.Literal:
        return widgets.Dropdown(options=list(typing.get_args(hint)), value=value, **look)
    if isinstance(value, bool):
        return widgets.Checkbox(value=value, **look)
    if isinstance(value, int) and hint is not float:
        return widgets.IntText(value=value, **look)
    if isinstance(value, int | float):
        return widgets.FloatText(value=value, **look)
    if isinstance(value, str) or (value is None and str in typing.get_args(hint)):
        return widgets.Text(value=value or "", **look)
    return None
