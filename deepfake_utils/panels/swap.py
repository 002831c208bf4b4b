"""The swap panel: settings tried on single frames, then the whole clip, then a download."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..images import Image
from ..rendering import SwapReport, swap_video
from ..runs.checkpoint import hardly_trained
from ..runs.project import Clip, Project
from ..swapping import SwapConfig, Swapper
from ..tracking.people import FaceChoice
from ..tracking.steadying import TrackConfig
from ..video import read_video_info
from .base import Panel
from .jobs import Job
from .preview import InTurn, Pair, Preview
from .swap_view import SwapView


class SwapPanel(Panel):
    """Settings of a swap, tried on a frame, then rendered: by hand in a notebook, or by calls.

        panel = SwapPanel("film.mp4", swapper, "swap.mp4")
        panel  # shows the widgets, which call the methods below
        panel.set({"erode": -0.04, "colour": "covariance"})
        panel.show_frame(15.0)  # a picture: as filmed and as swapped
        report = panel.render()

    Args:
        clip: whose face is replaced: a file, or a part of one.
        swapper: draws the faces; its settings are what the panel starts with.
        output: the video to write, .mp4, .mov, .mkv or .webm.
        track: how the face is followed and steadied over time.
        choose: whose face is swapped where several are seen; None takes the largest.
        project: where it is remembered which film the video was made of.

    Raises:
        FileNotFoundError, ValueError: if the clip cannot be read, has no such part, or would be
            replaced by its own swap.
    """

    methods = (
        'Without ipywidgets, panel.set({"erode": -0.04}) changes settings, panel.show_frame(15.0) '
        "gives the picture of a frame, and panel.render() writes the video."
    )

    def __init__(
        self,
        clip: Clip | str | os.PathLike[str],
        swapper: Swapper,
        output: str | os.PathLike[str],
        track: TrackConfig | None = None,
        choose: FaceChoice | None = None,
        project: Project | None = None,
    ) -> None:
        self.clip = clip if isinstance(clip, Clip) else Clip(os.fspath(clip))
        self.path = Path(output)
        self.info = read_video_info(self.clip.path)
        if self.path.resolve() == Path(self.clip.path).resolve():
            raise ValueError(f"output: expected another file than the clip, got {self.path}")
        if not self.clip.start_s < self.end_s:
            raise ValueError(
                f"expected a clip that begins before its end at {self.info.duration_s:.2f} s, "
                f"got a start of {self.clip.start_s} s"
            )
        self._track, self._choose, self._project = track, choose, project
        in_turn = InTurn(swapper.landmarker)  # a frame may be looked at while the clip is rendered
        self._swapper = Swapper(
            swapper.model, in_turn, swapper.config, swapper.device, swapper.enlarge
        )
        self._preview = Preview(self.clip.path, self._swapper, choose)
        self.job = Job("rendering", self._work, self._job_moved)
        self.time_s = self.clip.start_s  # of the frame that is looked at
        self.outline = False  # whether the mask is drawn over the filmed picture
        self.close = False  # whether only the face is shown

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.clip.path!r} -> {str(self.path)!r}, {self.config})"

    @property
    def end_s(self) -> float:
        """Where the part of the clip ends, in seconds."""
        end_s = self.info.duration_s if self.clip.end_s is None else self.clip.end_s
        return min(end_s, self.info.duration_s)

    @property
    def config(self) -> SwapConfig:
        """The settings as they are now."""
        return self._swapper.config

    @property
    def draws_mask(self) -> bool:
        """Whether the network draws a mask, so that `SwapConfig.learned_mask` matters."""
        return self._swapper.model.config.mask

    @property
    def caution(self) -> str | None:
        """What is said beside each picture if the network is hardly trained."""
        return hardly_trained(self._swapper.model)

    @property
    def report(self) -> SwapReport | None:
        """What the last swap did; None if there was none or it was stopped."""
        return self.job.result

    def set(self, settings: Mapping[str, object]) -> None:
        """Change settings by their names in `SwapConfig`, such as {"erode": -0.04}.

        Raises:
            ValueError: if there is no such setting, or a value is out of range; then none changes.
        """
        known = [field.name for field in dataclasses.fields(SwapConfig)]
        for name in settings:
            if name not in known:
                raise ValueError(f"expected a setting of {known}, got {name!r}")
        config = dataclasses.replace(self.config, **settings)  # type: ignore[arg-type]
        self._swapper = self._swapper.with_config(config)
        self.refresh()

    def look(self, time_s: float | None = None) -> Pair:
        """The chosen frame as filmed and as swapped, and what became of it.

        Args:
            time_s: chooses another frame, the first one at or after so many seconds of the clip.

        Raises:
            FileNotFoundError, ValueError: if the clip cannot be read or has no such frame.
        """
        wanted_s = self.time_s if time_s is None else time_s
        pair = self._preview.pair(round(wanted_s, 4), self.config, self.outline, self.close)
        self.time_s = wanted_s
        return pair

    def show_frame(self, time_s: float | None = None) -> Image:
        """As `look`, but the picture only, (h, w, 3) RGB uint8, on the panel as well.

        Raises:
            FileNotFoundError, ValueError: as `look`.
        """
        image = self.look(time_s).image
        self.refresh()
        return image

    def render(self) -> SwapReport:
        """Swap the clip with these settings, write it, and wait for it.

        Raises:
            RuntimeError: if a swap is under way already.
            FileNotFoundError, ValueError, OSError: as `rendering.swap_video`; then nothing is
                written, and an earlier video stays as it was. So it does when interrupted.
        """
        return self.job.run()

    def start(self) -> None:
        """As `render`, but in a thread: the panel shows how far it is, `wait` waits for it.

        Raises:
            RuntimeError: if a swap is under way already.
        """
        self.job.start()

    def cancel(self) -> None:
        """Stop the swap that is under way; nothing of it stays."""
        self.job.stop()

    def wait(self) -> SwapReport:
        """Wait for what `start` began.

        Raises:
            RuntimeError: if nothing was started.
            CancelledError: if it was stopped; any other error that ended it is raised, too.
        """
        self.job.wait()
        return self.job.outcome()

    def _work(self, job: Job[SwapReport]) -> SwapReport:
        part = self.clip.start_s, self.clip.end_s
        following: dict[str, Any] = {"track": self._track, "choose": self._choose}
        report = swap_video(
            self.clip.path, self.path, self._swapper, *part, **following, progress=job.tell
        )
        if self._project is not None:
            self._project.note_swap(self.path, self.clip, report.caution)
        return report

    def _job_moved(self) -> None:
        """Show how far the swap is; called from its thread."""
        if self._view is not None:
            self._view.tell()

    # The panel --------------------------------------------------------------------------------

    def make_view(self) -> SwapView:
        """Settings beside the picture they give, then the whole clip, then a download."""
        return SwapView(self)
