"""A panel to choose a person's clip with, trim it, see what was found, and say why it may be used.

Its logic is in `data_choice`, its widgets are in `data_widgets`.
"""

from __future__ import annotations

import functools
from typing import Any

from ..consent import Basis, Subject
from ..runs.project import Clip
from .base import has_widgets
from .clip import DataChoice
from .clip_facts import ClipFacts
from .clip_view import DataWidgets
from .clip_words import agreement, describe

PLAIN = (
    "The panel needs ipywidgets. Without it, call use_sample(), use_path(path), use_link(link), "
    'use_upload(name, content), trim(start_s, end_s) and agree("self"), and look at `found` and '
    "`consent`."
)


class DataPanel(DataChoice):
    """Buttons, sliders and pictures around a `DataChoice`, whose methods they call.

    panel = DataPanel(project, "a")
    panel  # shows it
    panel.use_path("me.mp4")  # what its buttons do can be called, too
    """

    @functools.cached_property
    def widgets(self) -> DataWidgets:
        """The widgets; made when first asked for.

        Raises:
            ModuleNotFoundError: if ipywidgets is not installed.
        """
        return DataWidgets(self)

    @property
    def box(self) -> Any:
        """What of them is shown, for ipywidgets."""
        return self.widgets.box

    def __str__(self) -> str:
        return f"{describe(self)}\n{agreement(self).said}"

    def agree(self, subject: Subject | Basis | None) -> None:
        """Say whose face the chosen clip shows and why it may be used, or take it back (None)."""
        super().agree(subject)
        self._refresh()

    def _take(self, clip: Clip) -> ClipFacts:
        found = super()._take(clip)
        self._refresh()
        return found

    def _refresh(self) -> None:
        if "widgets" in vars(self):  # else nobody has looked yet
            self.widgets.refresh()

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if has_widgets():
            display(self.box)
        else:
            display({"text/plain": f"{describe(self)}\n{PLAIN}"}, raw=True)
