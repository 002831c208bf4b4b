"""What a picture or video says of itself: read all marks, compare them, tell it in plain words."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ..files import ODD
from ..images import IMAGE_SUFFIXES, MAX_PIXELS, Image, check_pixels, read_image
from ..video import read_timed_frames, read_video_info
from .c2pa import Manifest, read_manifest
from .label import DISCLOSURE
from .watermark import MAX_FRAMES, SMALLEST, Watermark, WatermarkFound
from .xmp import Metadata, is_synthetic, read_metadata

logger = logging.getLogger(__name__)

LONGEST_TEXT = 300  # letters that are shown of a text from elsewhere
SignatureState = Literal["trusted", "intact", "invalid", "unsigned"]
Layer = Literal["watermark", "metadata", "manifest"]

_STATES: dict[str, SignatureState] = {"Trusted": "trusted", "Valid": "intact"}
_UNKNOWN = "nobody vouches for the name {signer} in it, which anyone can choose"
_REASONS = {  # the beginning of a C2PA code -> what it means
    "assertion.bmffHash": "the video is not the one that was signed: it was changed afterwards",
    "assertion.dataHash": "the file is not the one that was signed: it was changed afterwards",
    "assertion.hashedURI": "the signed note itself was changed afterwards",
    "assertion.": "a statement in the signed note is missing or malformed",
    "claimSignature": "the signature does not fit the note: it was changed or forged",
    "signingCredential.expired": "the certificate has run out, and no time stamp of a known server "
    "tells that the signature is older",
    "signingCredential": "the certificate is not one that may sign",
    "timeStamp": "the time stamp is wrong",
    "ingredient": "the note on what it was made from is wrong",
    "unreadable": "the signed note is damaged",
}


@dataclass(frozen=True)
class Provenance:
    """What `read_provenance` found out about a file."""

    path: Path
    disclosed: bool  # whether a mark says that AI drew some of it
    layers: tuple[Layer, ...]  # which marks say so; the visible label is for eyes
    state: SignatureState  # of the signature
    explanation: str  # the state in a sentence
    signer: str | None  # the name in the certificate
    codes: tuple[str, ...]  # C2PA's codes of what is wrong
    source_types: tuple[str, ...]  # IPTC's names, from manifest and metadata
    ingredients: tuple[str, ...]  # what the signature says it was made from
    watermark_id: str | None  # 10 hexadecimal digits
    model_sha256: str | None  # of the network that drew the face
    bases: tuple[str, ...]  # of the consent of the people it was trained on
    started_from: str | None  # what the network's training began from
    comment: str | None  # of the plain metadata
    training_allowed: bool  # False if the signature says that AI must not be trained on it
    contradictions: tuple[str, ...]  # between the marks

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong with the marks that are there."""
        return self.state != "invalid" and not self.contradictions

    def __str__(self) -> str:
        """Some lines for people."""
        marks = ", ".join(self.layers) or "none"
        verdict = "says that it was modified by AI" if self.disclosed else "has no mark of AI"
        lines = [
            f"{_plain(self.path)}: {verdict}",
            f"  marks: {marks}",
            f"  signature: {self.explanation}",
        ]
        for name, values in (
            ("made from", map(_quoted, self.ingredients)),
            ("consent", map(_quoted, self.bases)),
            ("network began from", map(_quoted, filter(None, [self.started_from]))),
            ("watermark", filter(None, [self.watermark_id])),
            ("beware", self.contradictions),
        ):
            if said := "; ".join(values):
                lines.append(f"  {name}: {said}")
        if not self.disclosed:
            lines.append("  (No mark does not mean that it is real: marks can be removed.)")
        return "\n".join(lines)


def _plain(text: object) -> str:
    """Text from elsewhere on one line, without what moves the cursor or hides the rest."""
    whole = str(text)
    shown = (c if c.isprintable() else f"\\x{ord(c):02x}" for c in whole[:LONGEST_TEXT])
    return "".join(shown) + ("..." if len(whole) > LONGEST_TEXT else "")


def _quoted(text: str) -> str:
    """The same in quotation marks, where it stands among our own words."""
    return "'" + _plain(text).replace("'", "\\'") + "'"


def read_provenance(
    path: str | os.PathLike[str],
    trust: str | os.PathLike[str] | bytes | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Provenance:
    """Read the marks of a picture, GIF or video: signature, metadata and watermark.

    Args:
        path: any picture or video, marked or not.
        trust: root certificates (PEM) of signers and time-stamp servers you know, or their file.
        max_pixels: how large a picture may be.

    Raises:
        FileNotFoundError: if there is no file at `path`.
        ValueError: if it is neither a picture nor a video, is too large, or its signed note is not
            of C2PA's form.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file at {path}; check the path (now in {Path.cwd()})")
    mark = read_watermark(path, max_pixels=max_pixels)
    metadata, manifest = read_metadata(path), read_manifest(path, trust)
    signed = manifest or Manifest("")
    says: dict[Layer, bool] = {
        "watermark": mark is not None and mark.face_swap,
        "metadata": metadata.synthetic or metadata.comment == DISCLOSURE,
        "manifest": signed.state != "Invalid" and any(map(is_synthetic, signed.source_types)),
    }
    types = {*signed.source_types, *([metadata.source_type] if metadata.source_type else [])}
    state, explanation = _explain(manifest)
    return Provenance(
        path=path,
        disclosed=any(says.values()),
        layers=tuple(layer for layer, there in says.items() if there),
        state=state,
        explanation=explanation,
        signer=signed.signer,
        codes=signed.failures,
        source_types=tuple(sorted(each.rpartition("/")[2] for each in types)),
        ingredients=signed.ingredients,
        watermark_id=f"{mark.mark_id:010x}" if mark else None,
        model_sha256=signed.disclosure.get("model_sha256"),
        bases=tuple(signed.disclosure.get("bases", ())),
        started_from=signed.disclosure.get("started_from"),
        comment=metadata.comment,
        training_allowed=signed.training_allowed,
        contradictions=tuple(_contradictions(mark, metadata, signed)),
    )


def _explain(manifest: Manifest | None) -> tuple[SignatureState, str]:
    """The state of a signature, and a sentence on it."""
    if manifest is None:
        return "unsigned", "none"
    signer = _quoted(manifest.signer or "")
    name = _UNKNOWN.format(signer=signer)
    state = _STATES.get(manifest.state, "invalid")
    if state == "trusted":
        return state, f"intact, signed by {signer}, whom your trust list knows"
    if state == "intact":
        return state, f"intact, signer not on a trust list: nothing was changed since, but {name}"
    wrong = [code for code in manifest.failures if code != "signingCredential.untrusted"]
    reasons = dict.fromkeys(_reason(code) for code in wrong)
    return state, f"not valid: {'; '.join(reasons) or 'no reason was given'}"


def _reason(code: str) -> str:
    for beginning, meaning in _REASONS.items():
        if code.startswith(beginning):
            return meaning
    return _plain(code)


def _contradictions(
    mark: WatermarkFound | None, metadata: Metadata, signed: Manifest
) -> Iterator[str]:
    """Where two marks do not tell the same."""
    named = signed.disclosure.get("watermark")
    read = f"{mark.mark_id:010x}" if mark else None
    if named and read and named != read:
        yield (
            f"the signed note belongs to watermark {_quoted(named)}, but the picture bears {read}: "
            "the note may come from another file"
        )
    # In a file that was not changed since, the mark may be too faint, as in a film of plain walls.
    if named and not read and signed.state == "Invalid":
        yield f"the signed note belongs to watermark {_quoted(named)}, but the picture bears none"
    if mark and mark.face_swap and metadata.source_type and not metadata.synthetic:
        yield "the watermark says that a face was swapped, the metadata say otherwise"
    if signed.source_types and metadata.source_type:
        if metadata.source_type not in signed.source_types:
            yield "signed note and metadata name different kinds of source"


def read_watermark(
    path: str | os.PathLike[str],
    start_s: float = 0.0,
    watermark: Watermark | None = None,
    max_pixels: int = MAX_PIXELS,
) -> WatermarkFound | None:
    """Look for the invisible mark in a picture, GIF or video.

    It is looked for mirrored, turned, and at other scales, as of a screenshot or a crop, too.

    Args:
        start_s: where to begin in a video, in seconds.
        watermark: None takes the public key.
        max_pixels: how large a picture may be.

    Raises:
        FileNotFoundError, ValueError: if the file cannot be read.
    """
    path, watermark = Path(path), watermark or Watermark()
    still = path.suffix.lower() in IMAGE_SUFFIXES
    frames = (
        iter([read_image(path, max_pixels)]) if still else _some_frames(path, start_s, max_pixels)
    )
    first = next(frames, None)
    if first is None or min(first.shape[:2]) < SMALLEST:
        return None
    return watermark.read(itertools.chain([first], frames), thorough=True)


def _some_frames(path: Path, start_s: float, max_pixels: int) -> Iterator[Image]:
    """Frames a little apart, so that the scene changes between them, but not to a clip's end."""
    if path.suffix.lower() == ".gif":
        yield from _gif_frames(path, max_pixels)
        return
    stride = min(4, max(1, -(-read_video_info(path).frame_count // MAX_FRAMES)))
    frames = read_timed_frames(path, start_s, None, stride, quiet=True)
    yield from (frame.image for frame in frames)


def _gif_frames(path: Path, max_pixels: int) -> Iterator[Image]:
    from PIL import Image as Pillow
    from PIL import ImageSequence

    damaged = (EOFError, OSError, SyntaxError, Pillow.DecompressionBombError, *ODD)
    try:
        with Pillow.open(path, formats=("GIF",)) as gif:
            check_pixels(*gif.size, path, max_pixels)
            for frame in ImageSequence.Iterator(gif):
                yield np.asarray(frame.convert("RGB"))
    except damaged as error:
        raise ValueError(f"expected a whole GIF, got another file in {path} ({error})") from error


def training_refused(path: str | os.PathLike[str]) -> bool:
    """Whether a picture or video bears a signed wish that no AI be trained on it.

    That is a C2PA assertion `training-mining` with "notAllowed", its own or an ingredient's. A
    signed note that cannot be read is taken for such a wish.
    """
    try:
        manifest = read_manifest(path)
    except ValueError as error:
        logger.warning("taken for a wish that no AI be trained on it: %s", error)
        return True
    return manifest is not None and not manifest.training_allowed


def main(arguments: Sequence[str] | None = None) -> int:
    """The detector: say of each file which marks it bears.

    Args:
        arguments: of the command line; None takes those of the program.

    Returns:
        The exit status, as the text of `writing` says.
    """
    parser = argparse.ArgumentParser(
        prog="python -m deepfake_utils.marking",
        description="Say of each picture or video whether it is marked as modified by AI.",
        epilog="Exit status: 0 all are, 1 one is not, 2 one cannot be read, 3 marks are wrong.",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", type=Path)
    parser.add_argument("--trust", type=Path, help="PEM file with the roots of signers you know")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each file")
    parser.add_argument("--max-pixels", type=int, default=MAX_PIXELS, help="limit for pictures")
    options = parser.parse_args(arguments)
    status = 0
    for path in options.files:
        try:
            found = read_provenance(path, options.trust, options.max_pixels)
        except Exception as error:  # whatever: the other files are to be looked at, too
            sys.stderr.write(f"{_plain(path)}: {_plain(error)}\n")
            status = max(status, 2)
            continue
        record = json.dumps(dataclasses.asdict(found), default=str)
        sys.stdout.write(f"{record if options.json else found}\n")
        status = max(status, 3 if not found.sound else 0 if found.disclosed else 1)
    return status
