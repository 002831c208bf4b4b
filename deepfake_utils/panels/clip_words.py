"""What is known of a person's clip, and why their face may be used, in words."""

from __future__ import annotations

from typing import NamedTuple

from ..consent import Basis
from .clip import DataChoice

PROBLEMS = (ValueError, OSError)  # of them are FileNotFoundError, ConnectionError, PermissionError

# What a form offers; some of it may be chosen for clips of one's own only.
GROUNDS: dict[str, Basis] = {
    "they agreed to exactly this": "consent",
    "it is my own face": "self",
    "it is no real person": "synthetic",
    "the data set's licence allows it": "licensed-dataset",
    "the pictures are in the public domain": "public-domain",
}


class Agreement(NamedTuple):
    """Whether a face may be used."""

    holds: bool
    said: str  # why, or what is missing


def agreement(choice: DataChoice) -> Agreement:
    """Whether the face in a clip may be used, and why, or what is to be done first."""
    if choice.is_sample:
        return Agreement(True, "It may be used: synthetic, nothing is to be done.")
    try:
        subject = choice.consent
    except ValueError:
        missing = "It may not be used yet: choose why it may; nothing is trained without it."
        return Agreement(False, missing)
    try:
        subject.check()
    except PermissionError as error:
        return Agreement(False, f"It may not be used: {error}.")
    return Agreement(True, f"It may be used: {subject.basis}, remembered for this clip.")


def describe(choice: DataChoice) -> str:
    """What was found in a clip, with advice, or what is wrong with it, in sentences."""
    try:
        said = [f"{choice.found}.", *choice.found.advice]
    except PROBLEMS as error:
        return str(error)
    if choice.training_clip != choice.clip:
        said.append(f"Trained on to {choice.training_clip.end_s} s, the rest is kept for the test.")
    return "\n".join(said)
