"""What the one page (00) asks before its long work, so that what cannot work is said first."""

from __future__ import annotations

from pathlib import Path

from ..curation.inspection import read_thumbs, share_of_twins
from ..curation.report import SAME_SHARE, TWINS
from ..extraction import FACES_FILE
from ..files import read_json, sha256_of
from ..images import list_images
from ..samples import TEST_START_S
from .base import GREY, RED, has_widgets
from .clip import ClipPanel
from .notebook import attended, in_a_sentence

COMPARED = 1000  # faces of each person at most; more of a film show the same moments
CHOOSE = (
    "Your turn: choose your two clips in these panels, or leave the sample people. Then run "
    "all cells once more (menu Run, in Colab the menu Runtime)."
)
AGAIN = "Then run all cells once more."
SAME = "A and B show the same moments of one film, so there is nobody to swap: choose another clip "


@in_a_sentence()
def begin(panel_a: ClipPanel, panel_b: ClipPanel, first: bool = False) -> str:
    """Stop with what is missing in the two panels, or say what will be done with their clips.

    Args:
        panel_a: of who is in the video.
        panel_b: of whose face is put there.
        first: whether they were shown only now; then it stops, so that somebody can choose, unless
            a program runs the notebook.

    Raises:
        ValueError: with a sentence for each thing that is missing.
    """
    if first and attended():
        _lead_to(panel_a, CHOOSE, GREY)
        raise ValueError(CHOOSE)
    problems = {}
    for panel in (panel_a, panel_b):
        who = f"Person {panel.person.upper()}"
        try:
            _ = panel.found
            panel.check()
        except (OSError, ValueError) as error:
            said = error if panel.agreement.holds else panel.agreement.said
            problems[panel] = f"{who}: {said}"
    if not problems and same_film(panel_a, panel_b):
        problems[panel_b] = f"{SAME}for one of them, or trim each to where its person is seen."
    if problems:
        text = "\n".join([*problems.values(), AGAIN])
        _lead_to(next(iter(problems)), text)
        raise ValueError(text)
    return "\n".join(_plan(panel) for panel in (panel_a, panel_b))


def _lead_to(panel: ClipPanel, text: str, colour: str = RED) -> None:
    """Scroll the page to a panel that says what is to be done."""
    if attended() and has_widgets():
        panel.view.say(f"{text}\n{panel.described}", colour)
        panel.view.focus()


def _plan(panel: ClipPanel) -> str:
    learned = panel.training_clip
    end_s = learned.end_s or panel.found.info.duration_s
    said = f"{panel.person.upper()}: {Path(learned.path).name}, trained on from "
    said += f"{learned.start_s:.1f} to {end_s:.1f} s"
    if panel.person == "b":
        return said
    target = panel.target_clip
    end_s = target.end_s or panel.found.info.duration_s
    return f"{said}, swapped from {target.start_s:.1f} to {end_s:.1f} s"


def same_film(panel_a: ClipPanel, panel_b: ClipPanel) -> bool:
    """Whether both panels have the same file, be it under two names, and parts that overlap.

    Raises:
        OSError: if a file cannot be read.
    """
    clips = panel_a.clip, panel_b.clip
    one, other = (Path(clip.path) for clip in clips)
    if one.stat().st_size != other.stat().st_size or sha256_of(one) != sha256_of(other):
        return False
    (start_a, end_a), (start_b, end_b) = ((c.start_s, c.end_s or float("inf")) for c in clips)
    return max(start_a, start_b) < min(end_a, end_b)


@in_a_sentence()
def check_faces(panel_a: ClipPanel, panel_b: ClipPanel) -> None:
    """Stop if what was cut out of both clips is of one film, be it re-encoded or trimmed.

    Raises:
        FileNotFoundError: if they are not extracted yet.
        ValueError: if A and B are of one film.
    """
    thumbs = []
    for panel in (panel_a, panel_b):
        folder = panel.project.faces(panel.person)
        record = read_json(folder / FACES_FILE, "extract the faces again")
        paths = list_images(folder)
        thumbs.append(read_thumbs(paths[:: len(paths) // COMPARED + 1], record))
    if share_of_twins(thumbs[0], thumbs[1], TWINS) > SAME_SHARE:
        text = f"{SAME}for one of them.\n{AGAIN}"
        _lead_to(panel_b, text)
        raise ValueError(text)


def has_answer(panel_a: ClipPanel, panel_b: ClipPanel) -> bool:
    """Whether the right answer to the swap is known: of the sample clips, outside the training."""
    learned, target = panel_a.training_clip, panel_a.target_clip
    apart = (learned.end_s or float("inf")) <= TEST_START_S <= target.start_s
    return panel_a.is_sample and panel_b.is_sample and apart
