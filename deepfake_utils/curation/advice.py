"""What a pair of sets lacks, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ..scoring.measures import MOVES
from .inspection import Lab

FEW = 100  # distinct faces; the sample people have 200 each, and train well
TURN_DEG = 5.0  # so much further than B may A turn; poses are known to about 3 degrees
OPEN = 0.75  # share of A's mouth opening that B should reach
CLOSED = 0.6  # share of the closing of A's lids that B should reach, which is known less well
BLINK = 0.2  # lids that close less than this have not closed
BLURRED_SHARE = 0.25  # of the faces that is worth a word
ALIKE_SHARE = 0.6  # of near-duplicates that is worth a word; every frame of a film has 0.4
UNSEEN = 0.05  # share of A's faces in poses that B never showed that is worth a word
COLOUR_GAP = 15.0  # CIEDE2000 between the faces; the sample people's are nearer
HARDER = 1.6  # times the spread of lightness: another kind of light


class Reach(NamedTuple):
    """How far a measure goes in a set."""

    low: float  # all but one face in 200 have more
    middle: float  # median
    high: float  # all but one face in 200 have less


@dataclass(frozen=True)
class SetSummary:
    """What the kept faces of one person show."""

    faces: int
    dropped: int  # faces that were dropped before
    duplicates: int  # faces of which a sharper near-duplicate is there
    blurred: int
    sharpness: Reach
    size: Reach  # in the film, pixels
    yaw: Reach  # degrees, positive to the picture's right
    pitch: Reach  # degrees, positive looking down
    mouth: Reach  # `expression.mouth_opening`
    eyelids: Reach  # 0 as usual, 1 if only lid is seen: by `expression.visible_eyelid_closing`
    colour: Lab  # mean L*, a*, b* of the inner faces
    contrast: Lab  # mean over the faces of the standard deviation in each


def what_to_add(
    a: SetSummary, b: SetSummary, never: float, apart: float, pixels: float
) -> tuple[str, ...]:
    """What to film, drop or set before training, a sentence each; none if nothing is missing.

    Args:
        a: the person in the video.
        b: the person whose face is put there.
        never: share of A's faces in poses that B was never seen in, not even mirrored.
        apart: CIEDE2000 between the two mean colours.
        pixels: how large the network draws a face, as `SetSummary.size`.
    """
    poses = _poses(a, b)
    if not poses and never > UNSEEN:
        poses = [
            f"{_percent(never)} of A's faces are in poses near which B was never seen (marked in "
            "the map): film B in those."
        ]
    return tuple([*poses, *_expressions(a, b), *_faces(a, b), *_pictures(a, b, apart, pixels)])


def _poses(a: SetSummary, b: SetSummary) -> list[str]:
    """Where A turns further than B; to the sides, B's other side mirrored helps."""
    found = []
    for sign, side, other in ((-1.0, "left", "right"), (1.0, "right", "left")):
        reach_a, reach_b = (_furthest(each.yaw, sign) for each in (a, b))
        mirrored = _furthest(b.yaw, -sign)
        if reach_a - max(reach_b, mirrored) <= TURN_DEG:
            continue
        if reach_a > 0.0:
            found.append(
                f"A turns up to {reach_a:.0f} degrees to the picture's {side}, B "
                f"{_only(reach_b)}: film B turned further to the {side}"
                f" (or to the {other}, as training mirrors faces)."
            )
    for sign, way, other in ((-1.0, "upwards", "downwards"), (1.0, "downwards", "upwards")):
        reach_a, reach_b = (_furthest(each.pitch, sign) for each in (a, b))
        if reach_a - reach_b <= TURN_DEG:
            continue
        if reach_a > 0.0:
            found.append(
                f"A looks {way} to {reach_a:.0f} degrees, B {_only(reach_b)}: film B looking "
                f"further {way}."
            )
        else:
            found.append(
                f"A looks {other} by as little as {-reach_a:.0f} degrees, B by {-reach_b:.0f} or "
                f"more: film B looking less far {other}."
            )
    return found


def _expressions(a: SetSummary, b: SetSummary) -> list[str]:
    found = []
    mouths = a.mouth.high, b.mouth.high
    if mouths[1] < OPEN * mouths[0] and mouths[0] - mouths[1] > MOVES["mouth"]:
        found.append(
            f"B's mouth is never as open as A's ({mouths[1]:.2f} of the eye distance against "
            f"{mouths[0]:.2f}): film B speaking, and opening the mouth wide."
        )
    lids = a.eyelids.high, b.eyelids.high
    if lids[0] > BLINK and lids[1] < CLOSED * lids[0]:
        found.append(
            "B's eyes never close as far as A's: film B blinking, and with the eyes closed for a "
            "moment."
        )
    return found


def _faces(a: SetSummary, b: SetSummary) -> list[str]:
    found = []
    for name, each in (("A", a), ("B", b)):
        distinct = each.faces - each.duplicates
        if distinct < FEW:
            found.append(
                f"{name} has {distinct} distinct faces, and a few hundred train well: film "
                f"{name} for longer, or take more frames of the clip."
            )
        if each.blurred > BLURRED_SHARE * each.faces:
            found.append(
                f"{_percent(each.blurred / each.faces)} of {name}'s faces are blurred: drop them, "
                f"and film {name} again with more light and a steady camera."
            )
        if each.duplicates > ALIKE_SHARE * each.faces:
            found.append(
                f"{_percent(each.duplicates / each.faces)} of {name}'s faces are near-duplicates: "
                f"drop them, and film {name} moving more."
            )
    return found


def _pictures(a: SetSummary, b: SetSummary, apart: float, pixels: float) -> list[str]:
    found = []
    if apart > COLOUR_GAP:
        lighter = "lighter" if b.colour[0] > a.colour[0] else "darker"
        found.append(
            f"B's face is {lighter} or of another colour than A's by {apart:.0f} (CIEDE2000): film "
            "both in like light, or train with random light."
        )
    hard = b.contrast[0] / max(a.contrast[0], 1e-6)
    if not 1.0 / HARDER <= hard <= HARDER:
        word = "harder" if hard > 1.0 else "softer"
        found.append(
            f"The light on B's face is {word} than on A's (its lightness spreads "
            f"{hard:.1f} times as much): film both in like light."
        )
    for name, each in (("A", a), ("B", b)):
        if each.size.middle < 0.9 * pixels:
            found.append(
                f"{name}'s face is {each.size.middle:.0f} pixels in the film, and the network "
                f"draws {pixels:.0f}: film {name} from nearer, or take a smaller network."
            )
    return found


def _furthest(reach: Reach, sign: float) -> float:
    """How far a set goes to one side; negative if it is always on the other."""
    return reach.high if sign > 0.0 else -reach.low


def _only(reach: float) -> str:
    return f"only to {reach:.0f}" if reach >= 0.5 else "never"


def _percent(share: float) -> str:
    return "half" if 0.45 <= share <= 0.55 else f"{100.0 * share:.0f} %"
