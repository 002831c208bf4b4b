"""Whose faces a training set shows, and why they may be used: `consent.json` beside the crops.

A statement by whoever made the set, in the terms of ISO/IEC TS 27560:2023 (consent record
information structure). It is checked for form and dates, not for truth. It needs no names: "A" or
a number of a signed release will do. What travels on, in checkpoints and in what is written, is its
SHA-256 and the bases (`ConsentNote`).
"""

from __future__ import annotations

import dataclasses
import datetime
import fnmatch
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from .files import parse_json, reading, sha256_of, write_json
from .settings import Settings, setting

CONSENT_FILE = "consent.json"
SCHEMA_FILE = Path(__file__).parent / "data" / "consent.schema.json"

TRAIN, SWAP = "train-face-model", "swap-into-target"  # purposes that are asked for
Role = Literal["target", "source", "both"]
Basis = Literal["consent", "self", "synthetic", "licensed-dataset", "public-domain"]
Audience = Literal["private", "publication", "commercial"]

ASK = (
    "{folder} has no {file}, which says whose faces these are and on what ground they are used: "
    "consent, self, synthetic, licensed-dataset or public-domain. "
    'Write it with write_consent({folder!r}, Subject(id="A", basis="consent")), or with '
    "panels.consent_form, before training; no name is needed."
)


def _today() -> str:
    return datetime.date.today().isoformat()


@dataclass(frozen=True)
class Subject(Settings):
    """One person of a training set; dates are YYYY-MM-DD."""

    id: str = setting("A", "a letter or number that tells people apart; no name is needed")
    basis: Basis = setting("consent", "why the pictures may be used")
    role: Role = setting("both", '"target" is in the video, "source" is whose face is put there')
    purposes: tuple[str, ...] = setting(
        (TRAIN, SWAP), "what the pictures may be used for; training and swapping ask for these two"
    )
    audience: Audience = setting("private", "who may see the result; nothing here checks that")
    given: str = setting(factory=_today, help="the day of the agreement")
    expires: str | None = setting(None, "the last day it holds; empty is without end")
    withdrawn: str | None = setting(
        None, "the day it was taken back; from then on nothing may be trained"
    )
    evidence_sha256: str | None = setting(None, "of the signed release, which stays where it is")
    files: tuple[str, ...] = setting(
        ("*",), "which pictures of the folder show this person: names, * stands for anything"
    )

    def __post_init__(self) -> None:
        """Check form and dates.

        Raises:
            ValueError: naming the field, what it should be, and what it is.
        """
        super().__post_init__()
        if not isinstance(self.id, str) or not self.id.strip():
            raise ValueError(f"id: expected a letter or number, got {self.id!r}")
        for name in ("expires", "withdrawn", "evidence_sha256"):
            if getattr(self, name) == "":  # as a form gives it
                object.__setattr__(self, name, None)
        for name in ("given", "expires", "withdrawn"):
            value = getattr(self, name)
            if value is not None or name == "given":
                _day(name, value)
        for name in ("purposes", "files"):
            texts = getattr(self, name)
            if not texts or isinstance(texts, str) or not all(isinstance(t, str) for t in texts):
                raise ValueError(f"{name}: expected at least one text, got {texts!r}")
            object.__setattr__(self, name, tuple(texts))  # JSON has lists only
        digest = self.evidence_sha256
        if digest is not None and not re.fullmatch(r"[0-9a-f]{64}", str(digest)):
            raise ValueError(f"evidence_sha256: expected 64 hexadecimal digits, got {digest!r}")

    def check(self, today: datetime.date | None = None) -> None:
        """Raise unless it holds on that day.

        A day begins and ends at other moments in other time zones, and the clock here knows
        nothing of the person's: before the first day and after the last one there is one of grace.

        Args:
            today: None takes the clock's.

        Raises:
            PermissionError: if the consent is not given yet, expired or withdrawn.
        """
        today = today or datetime.date.today()
        grace = datetime.timedelta(days=1)
        if _day("given", self.given) > today + grace:
            problem = f"holds only from {self.given} on"
        elif self.withdrawn is not None:
            problem = f"was withdrawn on {self.withdrawn}; delete these pictures"
        elif self.expires is not None and _day("expires", self.expires) < today - grace:
            problem = f"expired on {self.expires}; ask again"
        else:
            return
        raise PermissionError(f"the consent of person {self.id!r} {problem}, or train without them")


class ConsentNote(NamedTuple):
    """What is passed on of a consent: nothing that tells who the people are."""

    sha256: str  # of consent.json
    bases: tuple[str, ...]  # of all people in it, sorted
    swaps: bool = True  # whether they all agreed to a swap, not only to training


@dataclass(frozen=True)
class Consent:
    """A whole consent.json."""

    subjects: tuple[Subject, ...]
    sha256: str  # of the file

    @property
    def note(self) -> ConsentNote:
        """What travels on."""
        bases = tuple(sorted({each.basis for each in self.subjects}))
        return ConsentNote(self.sha256, bases, all(SWAP in s.purposes for s in self.subjects))

    def check(self, today: datetime.date | None = None) -> None:
        """Raise unless it holds on that day for everybody, as `Subject.check`."""
        for subject in self.subjects:
            subject.check(today)

    def check_training(self, names: Iterable[str]) -> None:
        """Raise unless everybody agreed to training, and each picture shows one of them.

        Args:
            names: of the pictures' files.

        Raises:
            PermissionError: naming who did not, or which picture is nobody's.
        """
        self.check()
        for subject in self.subjects:
            if TRAIN not in subject.purposes:
                raise PermissionError(
                    f"person {subject.id!r} agreed to {', '.join(subject.purposes)}, not to "
                    f"{TRAIN}; ask them, or train without them"
                )
        patterns = [pattern for subject in self.subjects for pattern in subject.files]
        for name in names:
            if not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
                raise PermissionError(
                    f"{name} shows none of the people of {CONSENT_FILE}, whose pictures are "
                    f"{', '.join(patterns)}; write it again, or remove that picture"
                )

    def check_role(self, role: Role) -> None:
        """Raise unless everybody agreed to stand there.

        Args:
            role: "target" if their film is changed, "source" if their face is put there.

        Raises:
            PermissionError: naming who did not.
        """
        for subject in self.subjects:
            if subject.role not in (role, "both"):
                raise PermissionError(
                    f"person {subject.id!r} agreed to be the {subject.role}, not the {role}; "
                    "exchange the two people, or ask again"
                )


def write_consent(folder: str | os.PathLike[str], *subjects: Subject) -> Path:
    """Write consent.json into a folder of faces, for everybody in it, over an earlier one.

    Raises:
        ValueError: if there is nobody, or two have one id.
        OSError: if it cannot be written.
    """
    ids = [subject.id for subject in subjects]
    if not ids or len(set(ids)) != len(ids):
        raise ValueError(f"expected at least one person, each with an id of their own, got {ids}")
    record = {"version": 1, "subjects": [dataclasses.asdict(subject) for subject in subjects]}
    return write_json(Path(folder) / CONSENT_FILE, record, indent=2)


def read_consent(folder: str | os.PathLike[str]) -> Consent | None:
    """The consent.json of a folder of faces; None if there is none.

    Raises:
        ValueError: if the file is not as `data/consent.schema.json` says.
    """
    path = Path(folder) / CONSENT_FILE
    if not path.is_file():
        return None
    data = path.read_bytes()  # once, so that the hash is that of what is read
    with reading(path, "a record of consent", "write it again with write_consent"):
        record: Any = parse_json(data)
        if record["version"] != 1:
            raise ValueError(f"version: expected 1, got {record['version']!r}")
        subjects = tuple(_subject(each) for each in record["subjects"])
        if not subjects:
            raise ValueError("subjects: expected at least one, got none")
    return Consent(subjects, sha256_of(data))


def _subject(record: dict[str, Any]) -> Subject:
    missing = [name for name in ("id", "basis", "role", "given") if name not in record]
    if missing:
        raise ValueError(f"expected {missing[0]!r} of each person, got none")
    return Subject(**record)


def require_consent(
    folder: str | os.PathLike[str],
    names: Iterable[str],
    consent: Consent | None,
    refused: bool = False,
    ignore_refusal: bool = False,
) -> None:
    """Raise unless the people in a folder of faces agreed to training, and still do.

    Args:
        folder: of the faces.
        names: of the pictures in it that are trained on.
        consent: of the people, None if there is no record.
        refused: whether the pictures bear a signed wish that no AI be trained on them.
        ignore_refusal: True takes no notice of that wish.

    Raises:
        PermissionError: if there is no consent, it expired or was withdrawn, is not for training or
            not for all pictures, or the wish stands.
    """
    if consent is None:
        raise PermissionError(ASK.format(folder=str(folder), file=CONSENT_FILE))
    consent.check_training(names)
    if refused and not ignore_refusal:
        raise PermissionError(
            f"the pictures in {folder} bear a signed wish that no AI be trained on them (C2PA "
            "training-mining: notAllowed); use others, or pass ignore_training_refusal=True if "
            "whoever signed them agreed"
        )


def _day(name: str, value: object) -> datetime.date:
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
        try:
            return datetime.date.fromisoformat(value)
        except ValueError:
            pass
    raise ValueError(f"{name}: expected a day as YYYY-MM-DD, got {value!r}")
