"""The signed note in a file: a C2PA manifest that says what was done, and by which program.

C2PA Technical Specification 2.2. The signature covers every byte of the file, so the manifest comes
last: nothing can be changed afterwards without being noticed. It can be cut away, though, and any
re-encoding does so; the watermark is for that.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import io
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata as packages
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..consent import ConsentNote
from ..files import parse_json, reading, sha256_of
from .label import DISCLOSURE
from .signer import Signer
from .xmp import SWAPPED

if TYPE_CHECKING:
    import c2pa

TOOL = "deepfake_utils"
DISCLOSURE_LABEL = "org.deepfake_utils.disclosure"
WATERMARK_ALGORITHM = "org.deepfake_utils.spread-spectrum.1"
SIDECAR = "application/octet-stream"  # formats that have no room for a manifest
MIME_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".avi": "video/avi",
}

# Thumbnails would add more bytes than all the rest; nothing is asked over the network. An MP4 is
# hashed by the megabyte, as C2PA's BMFF-based hash allows, and copied by way of a file: else all of
# it would be in memory, twice, up to 600 MB. All hashes are in the manifest (no boxes of proofs).
# Of files with more than one mdat box, which FFmpeg does not write, the library mixes them up.
_SETTINGS: dict[str, Any] = {
    "core": {
        "merkle_tree_chunk_size_in_kb": 1024,
        "merkle_tree_max_proofs": 0,
        "backing_store_memory_threshold_in_mb": 1,
    },
    "builder": {"thumbnail": {"enabled": False}},
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
}


@dataclass(frozen=True)
class Origin:
    """What is known of how a file came about; nothing in it tells who the people are."""

    target: Path | None = None  # the clip or picture that was changed
    model_sha256: str | None = None  # of the network's weights
    consent: tuple[ConsentNote, ...] = ()  # of the people it was trained on
    start: str | None = None  # what its training began from, `FaceSwapAutoencoder.start`


@dataclass(frozen=True)
class Manifest:
    """What a signed manifest says, and whether the file still is what was signed."""

    state: str  # "Trusted", "Valid" (intact, signer unknown) or "Invalid"; "" if there is none
    failures: tuple[str, ...] = ()  # C2PA's codes of what is wrong
    signer: str | None = None  # the name in the certificate; anyone can write any name
    source_types: tuple[str, ...] = ()  # URLs of IPTC's Digital Source Type, from the actions
    ingredients: tuple[str, ...] = ()  # titles
    disclosure: Mapping[str, Any] = field(default_factory=dict)  # what this package adds: "bases",
    # "model_sha256", "started_from", and "watermark", its id; None where it says nothing
    training_allowed: bool = True  # False if an assertion training-mining says notAllowed


def mime_type(path: Path) -> str:
    """What C2PA calls a file's format; `SIDECAR` where the manifest goes beside it."""
    return MIME_TYPES.get(path.suffix.lower(), SIDECAR)


def sidecar_of(path: Path) -> Path:
    """Where the manifest of a file lies that has no room for it."""
    return path.with_name(f"{path.name}.c2pa")


def package_version() -> str:
    """Of this package, as installed."""
    try:
        return packages.version("deepfake-utils")
    except packages.PackageNotFoundError:  # used from a checkout
        return "unknown"


def need_c2pa() -> None:
    """Raise unless files can be signed here, before time is spent on making one.

    Raises:
        ImportError: if c2pa-python is missing or cannot be loaded.
    """
    try:
        import c2pa  # noqa: F401
    except (ImportError, OSError) as error:  # OSError: its library does not fit this system
        raise ImportError(
            "expected c2pa-python, without which what is written cannot be signed, got "
            f"{error}; nothing is written: pip install c2pa-python"
        ) from error


def sign_file(
    path: Path, kind: str, manifest: dict[str, Any], signer: Signer, origin: Origin
) -> bytes:
    """Put a signed manifest into a finished file, stream to stream.

    Args:
        path: the file; one whose format has no room for a manifest (`SIDECAR`) stays as it is.
        kind: its format, as `mime_type` gives it.
        manifest: as `describe` makes it.
        signer: who signs.
        origin: whose target becomes the manifest's parent.

    Returns:
        The manifest alone, which belongs beside the file where it has no room in it.

    Raises:
        OSError: if it cannot be signed or written.
    """
    import c2pa

    signed = path.with_name(f"{path.name}.signed")
    try:
        context = c2pa.Context.from_dict(_SETTINGS, signer=_c2pa_signer(signer))
        if kind == SIDECAR:
            manifest = {**manifest, "assertions": [*manifest["assertions"], _hash_of(path)]}
        builder = c2pa.Builder(manifest, context=context)
        for ingredient, stream, mime in _ingredients(origin):
            with stream:
                try:
                    builder.add_ingredient(ingredient, mime, stream)
                except c2pa.C2paError:  # not of the format that its name says, or an old one
                    stream.seek(0)
                    builder.add_ingredient(ingredient, SIDECAR, stream)
        if kind == SIDECAR:
            builder.set_no_embed()
            return bytes(builder.sign(kind, io.BytesIO(), io.BytesIO()))
        with path.open("rb") as file, signed.open("w+b") as copy:
            made = builder.sign(kind, file, copy)
        signed.replace(path)
    except c2pa.C2paError as error:
        raise OSError(
            f"expected to sign what is written, got {error}; nothing is written: check the "
            "certificate chain, key and time-stamp server of the signer"
        ) from error
    finally:
        signed.unlink(missing_ok=True)
    return bytes(made)


def _hash_of(path: Path) -> dict[str, Any]:
    """The assertion that binds a manifest to all bytes of a file beside it (c2pa.hash.data).

    Made here, as the library would read all of the file into memory for it.
    """
    digest = bytes.fromhex(sha256_of(path))
    data = {"name": "the file", "alg": "sha256", "hash": list(digest), "pad": []}
    return {"label": "c2pa.hash.data", "data": data}


def try_signer(signer: Signer) -> None:
    """Raise unless a signer can sign now, before time is spent on what it shall sign.

    Raises:
        OSError: if it cannot, or its time-stamp server does not answer.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "anything")
        path.write_bytes(b"anything")
        sign_file(path, SIDECAR, describe("", 0, False, Origin()), signer, Origin())


def _c2pa_signer(signer: Signer) -> c2pa.Signer:
    import c2pa

    url = signer.time_stamp_url
    if signer.key is not None:
        name = signer.algorithm.encode()
        info = c2pa.C2paSignerInfo(name, signer.chain, signer.key, url and url.encode())
        return c2pa.Signer.from_info(info)
    algorithm = c2pa.C2paSigningAlg[signer.algorithm.upper()]
    return c2pa.Signer.from_callback(signer.sign, algorithm, signer.chain.decode(), url)


def describe(
    suffix: str, mark_id: int | None, visible_label: bool, origin: Origin
) -> dict[str, Any]:
    """The manifest of a swapped picture or video, as `c2pa.Builder` takes it.

    Args:
        suffix: of the file; its name is left out, as names are those of people.
        mark_id: of the watermark in the pixels; None if there is none that can be read.
        visible_label: whether the picture bears the visible label.
        origin: how the file came about.
    """
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    agent = {"name": TOOL, "version": package_version()}
    mark = None if mark_id is None else f"{mark_id:010x}"
    if origin.target is None:
        first: dict[str, Any] = {"action": "c2pa.created", "digitalSourceType": SWAPPED}
    else:
        first = {"action": "c2pa.opened", "parameters": {"ingredientIds": ["target"]}}
    edited = {
        "action": "c2pa.edited",
        "when": now,
        "softwareAgent": agent,
        "digitalSourceType": SWAPPED,
        "description": DISCLOSURE,
    }
    disclosure = {
        "version": 1,
        "deepfake": True,
        "statement": DISCLOSURE,
        "visible_label": visible_label,
        "model_sha256": origin.model_sha256,
        "consent": [{"sha256": each.sha256, "bases": list(each.bases)} for each in origin.consent],
        "started_from": origin.start,
        "watermark": {"alg": WATERMARK_ALGORITHM, "value": mark} if mark else None,
    }
    uses = ("cawg.ai_training", "cawg.ai_generative_training", "cawg.data_mining")
    iptc = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    bound = [{"action": "c2pa.watermarked.bound", "when": now}] if mark else []
    assertions = {
        "c2pa.actions.v2": {"actions": [first, edited, *bound]},
        "c2pa.metadata": {
            "@context": {"Iptc4xmpExt": iptc},
            "Iptc4xmpExt:DigitalSourceType": SWAPPED,
        },
        "cawg.training-mining": {"entries": {use: {"use": "notAllowed"} for use in uses}},
        DISCLOSURE_LABEL: disclosure,
    }
    if mark:
        blocks = [{"scope": {}, "value": mark}]
        binding = {"alg": WATERMARK_ALGORITHM, "blocks": blocks, "pad": ""}
        assertions["c2pa.soft-binding"] = binding
    return {
        "claim_generator_info": [agent],
        "title": f"swap{suffix}",
        "assertions": [{"label": label, "data": data} for label, data in assertions.items()],
    }


def _ingredients(origin: Origin) -> Iterator[tuple[dict[str, Any], Any, str]]:
    """(description, stream, format) of what a file was made from."""
    if origin.target is not None:
        parent = {"relationship": "parentOf", "instance_id": "target", "label": "target"}
        title = {"title": f"target{origin.target.suffix}"}
        yield parent | title, origin.target.open("rb"), mime_type(origin.target)
    if origin.model_sha256 is not None:
        model = {
            "title": "face-swap network",
            "relationship": "inputTo",
            "instance_id": f"sha256:{origin.model_sha256}",
            "data_types": [{"type": "c2pa.types.model.pytorch"}],
        }
        yield model, io.BytesIO(origin.model_sha256.encode()), SIDECAR


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # beside a name that only just is not
            return None
        raise


def read_manifest(
    path: str | os.PathLike[str], trust: str | os.PathLike[str] | bytes | None = None
) -> Manifest | None:
    """The manifest of a file, or the one beside it; None if there is none.

    Args:
        trust: root certificates (PEM) of those whose signature counts as known, or their file.

    Raises:
        ImportError: if c2pa-python is missing.
        OSError: if the file cannot be read.
        ValueError: if the note is signed, but what it says is not of C2PA's form.
    """
    need_c2pa()
    import c2pa

    path = Path(path)
    kind, beside = mime_type(path), sidecar_of(path)
    separate = _content(beside)
    if kind == SIDECAR and separate is None:
        return None
    settings = dict(_SETTINGS)
    if trust is not None:
        anchors = trust if isinstance(trust, bytes) else Path(trust).read_bytes()
        settings["trust"] = {"user_anchors": anchors.decode()}
    try:
        with path.open("rb") as file, contextlib.ExitStack() as stack:
            context = c2pa.Context.from_dict(settings)
            reader = c2pa.Reader.try_create(kind, file, separate, context=context)
            if reader is None:
                return None
            stack.enter_context(reader)
            advice = "do not rely on it"
            stack.enter_context(reading(path, "a signed note in the form of C2PA", advice))
            return _summary(reader)
    except c2pa.C2paError as error:
        problem = f"unreadable: {' '.join(str(error).split())[:200]}"
        return Manifest("Invalid", (problem,))


def _summary(reader: c2pa.Reader) -> Manifest:
    state = str(reader.get_validation_state())
    results = (reader.get_validation_results() or {}).get("activeManifest", {})
    active = reader.get_active_manifest() or {}
    assertions = active.get("assertions", [])
    actions = [
        action
        for assertion in assertions
        if assertion["label"].startswith("c2pa.actions")
        for action in assertion["data"]["actions"]
    ]
    own = [a["data"] for a in assertions if a["label"] == DISCLOSURE_LABEL]
    return Manifest(
        state,
        tuple(failure["code"] for failure in results.get("failure", [])),
        (active.get("signature_info") or {}).get("common_name"),
        tuple(sorted({_text(a["digitalSourceType"]) for a in actions if "digitalSourceType" in a})),
        tuple(_text(each.get("title", "")) for each in active.get("ingredients", [])),
        _disclosure(own[0]) if own else {},
        _training_allowed(parse_json(reader.json())),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a text, got {value!r:.80}")
    return value


def _disclosure(said: Mapping[str, Any]) -> dict[str, Any]:
    """What this package adds to a note, as far as it is read again: each a text."""
    bases = [_text(basis) for each in said.get("consent", []) for basis in each["bases"]]
    found: dict[str, Any] = {"bases": sorted(set(bases))}
    for name in ("model_sha256", "started_from"):
        found[name] = None if said.get(name) is None else _text(said[name])
    found["watermark"] = _text(said["watermark"]["value"]) if said.get("watermark") else None
    return found


def _training_allowed(store: dict[str, Any]) -> bool:
    """Whether no manifest of a file, its ingredients' included, refuses training on it."""
    for manifest in store.get("manifests", {}).values():
        for assertion in manifest.get("assertions", []):
            if not assertion["label"].endswith("training-mining"):
                continue
            for use, rule in assertion["data"].get("entries", {}).items():
                if "training" in use and rule.get("use") == "notAllowed":
                    return False
    return True
