"""What to film, drop or set before training, from what two sets of faces show.

Both ends of each range are compared: a mouth that never opens and one that never closes, eyes that
never close and ones that never open wide.
"""

from __future__ import annotations

from ..scoring.measures import MOVES
from .selection import Reach, SetSummary

# From where on the report gives an advice.
FEW = 100  # distinct faces; the sample people have 200 each, and train well
TURN_DEG = 5.0  # that A turns further than B; poses are known to about 3 degrees
OPEN = 0.75  # share of A's mouth opening that B should reach
CLOSED = 0.6  # share of the closing of A's lids that B should reach, which is known less well
BLINK = 0.2  # lids that close less than this have not closed
BLURRED_SHARE = 0.25  # of the faces
ALIKE_SHARE = 0.6  # of near-duplicates; where every frame of a film was taken it is 0.4
UNSEEN = 0.05  # share of A's faces in poses that B never showed
COLOUR_GAP = 15.0  # CIEDE2000 between the faces; the sample people's are nearer
HARDER = 1.6  # times the spread of lightness: another kind of light
LOOK = 0.25  # that A's irises are seen further aside than B's; 1 is at the corner
LOPSIDED = 12.0  # in L*, that A is lit more from one side than B
SHUT = 0.06  # of the eye distance: how much further B's mouth stays open than A's at its least
WIDE = 0.2  # that A's lids open further beyond the usual than B's
COVERED_SHARE = 0.02  # of the faces


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
    ends = a.mouth.low, b.mouth.low
    if ends[1] - ends[0] > max(SHUT, 0.25 * (a.mouth.high - a.mouth.low)):
        found.append(
            f"B's mouth never closes as far as A's ({ends[1]:.2f} of the eye distance against "
            f"{ends[0]:.2f}): film B with the mouth closed, and without a smile."
        )
    lids = a.eyelids.high, b.eyelids.high
    if lids[0] > BLINK and lids[1] < CLOSED * lids[0]:
        found.append(
            "B's eyes never close as far as A's: film B blinking, and with the eyes closed for a "
            "moment."
        )
    if b.eyelids.low - a.eyelids.low > WIDE:
        found.append("B's eyes never open as wide as A's: film B looking surprised, and upwards.")
    for sign, side in ((-1.0, "left"), (1.0, "right")):
        # Training mirrors faces, so B may have looked to either side.
        furthest = max(b.gaze.high, -b.gaze.low)
        if _furthest(a.gaze, sign) - furthest > LOOK:
            found.append(
                f"A looks further to the picture's {side} than B ever does: film B looking aside "
                "without turning the head."
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
        if each.covered > COVERED_SHARE * each.faces:
            found.append(
                f"{_percent(each.covered / each.faces)} of {name}'s faces are covered by something "
                "(a hand, hair, a cup): look at them, sorted by covered, and drop them."
            )
        if each.duplicates > ALIKE_SHARE * each.faces:
            found.append(
                f"{_percent(each.duplicates / each.faces)} of {name}'s faces are near-duplicates: "
                f"drop them, and film {name} moving more."
            )
    return found


def _pictures(a: SetSummary, b: SetSummary, apart: float, pixels: float) -> list[str]:
    found = []
    most = max(a.light.high, -a.light.low)
    if most - max(b.light.high, -b.light.low) > LOPSIDED:
        found.append(
            f"A's face is lit from one side (by up to {most:.0f} in L*), B's more evenly: film B "
            "with light from the side, too."
        )
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
