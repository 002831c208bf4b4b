"""pytest tests/test_hostile.py: files that somebody made to harm, or that were damaged by chance.

Each kind of attack is a property that holds for whatever hypothesis comes up with.
"""

import dataclasses
import json
import random
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks import fuzz, kills
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from deepfake_utils.autoencoder import FaceSwapAutoencoder
from deepfake_utils.files import is_plain, read_json
from deepfake_utils.images import read_image, write_image
from deepfake_utils.marking import reading
from deepfake_utils.marking.c2pa import Origin, describe, mime_type, sign_file
from deepfake_utils.marking.label import DISCLOSURE
from deepfake_utils.marking.reading import main, read_provenance, training_refused
from deepfake_utils.marking.signer import local_signer
from deepfake_utils.marking.xmp import SWAPPED, is_synthetic, read_metadata
from deepfake_utils.panels.downloads import unpack
from deepfake_utils.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from deepfake_utils.runs.seed_weights import load_seed_weights
from deepfake_utils.runs.store import CheckpointStore

few = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


# What files hold --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """(all kinds of files, their folder, what is in it)."""
    root = tmp_path_factory.mktemp("foreign")
    return fuzz.targets(root), root, fuzz.remember(root)


JSON_FILES = (
    "faces.json|faces.json, panel|consent.json|consent.json alone|project.json|journal.json|"
    "measures.json|manifest.json"
).split("|")


@pytest.mark.parametrize("name", JSON_FILES)
def test_odd_json_is_a_value_error_with_its_path(foreign, name):
    files, root, kept = foreign
    target = files[name]

    @few
    @given(ANY_JSON, st.integers(0, 2**32))
    def check(value, seed):
        rng = random.Random(seed)
        record = fuzz.exchange(json.loads(target.whole), rng)
        if isinstance(record, dict) and record:
            record[rng.choice(list(record))] = value
        target.path.write_bytes(json.dumps(record).encode())
        try:
            target.read()
        except ValueError as error:
            assert str(target.path) in str(error)
        except OSError:
            pass  # no consent, no faces
        finally:
            fuzz.put_back(root, kept)

    check()


@pytest.mark.parametrize("name", JSON_FILES)
def test_deep_json_is_a_value_error(foreign, name):
    files, root, kept = foreign
    files[name].path.write_text(fuzz.DEEP)
    try:
        if name in ("measures.json", "manifest.json"):  # are made anew
            files[name].read()
        else:
            with pytest.raises(ValueError, match=rf"in {files[name].path}, got something else"):
                files[name].read()
    finally:
        fuzz.put_back(root, kept)


def test_a_file_of_json_may_not_be_endless(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"a": 1}')
    assert read_json(path, "") == {"a": 1}
    with pytest.raises(ValueError, match=r"at most 3 bytes in .*x\.json, got 8"):
        read_json(path, "", largest=3)


@few
@given(st.text(max_size=12) | st.sampled_from(["..", ".", "", "/x", "a/b", "a\\b", "C:x", "\0"]))
def test_plain_names_never_lead_elsewhere(name):
    if is_plain(name):
        path = Path("folder") / name
        assert path.parent == Path("folder") and path.name == name not in (".", "..")


def test_a_doctored_journal_moves_nothing(foreign):
    files, root, kept = foreign
    target = files["journal.json"]
    victim = root / "project.json"
    names = ["../../../project.json", str(victim), "..", "", "face_000000.png/../../x"]
    for moving in (True, False):
        record = {**json.loads(target.whole), "steps": [{"drop": names}], "moving": moving}
        target.path.write_text(json.dumps(record))
        target.read()
    assert victim.read_bytes() == kept[victim]
    fuzz.put_back(root, kept)


# Checkpoints ------------------------------------------------------------------------------------


def test_no_damage_to_a_checkpoint_goes_unnoticed(tmp_path, tiny):
    whole = save_checkpoint(tmp_path / "c.safetensors", Checkpoint(FaceSwapAutoencoder(tiny), 7))
    data, other = whole.read_bytes(), tmp_path / "other.safetensors"
    known = load_checkpoint(whole).model.state_dict()

    @few
    @given(st.integers(0, len(data) - 1), st.integers(0, 7))
    def check(at, bit):
        changed = bytearray(data)
        changed[at] ^= 1 << bit
        other.write_bytes(changed)
        try:
            found = load_checkpoint(other)
        except ValueError:
            return
        # Only the name under which the sum stands may have been hit: all else is as it was.
        assert found.step == 7
        assert all(torch.equal(found.model.state_dict()[name], known[name]) for name in known)

    check()
    store = CheckpointStore(tmp_path / "run")
    for step in (1, 2):
        newest = store.save(Checkpoint(FaceSwapAutoencoder(tiny), step))
    (tmp_path / "run" / "manifest.json").unlink()
    changed = bytearray(newest.read_bytes())
    changed[-100] ^= 1
    newest.write_bytes(changed)
    assert CheckpointStore(tmp_path / "run").latest().step == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"residual_blocks": 10**6},
        {"image_size": 2**30},
        {"image_size": 2**40},
        {"texture": 40_000, "shuffled_output": True},
        {"code_size": 2**62},
        {"base_channels": 10**9, "max_channels": 10**9},
    ],
    ids=str,
)
def test_a_small_file_cannot_ask_for_a_large_network(tmp_path, tiny, changes):
    model = FaceSwapAutoencoder(tiny)
    model.config = dataclasses.replace(tiny)
    object.__setattr__(model.config, "__dict__", {**vars(tiny), **changes})
    path = save_checkpoint(tmp_path / "c.safetensors", Checkpoint(model, 0))
    with pytest.raises(ValueError, match=r"weights that fit the network described there"):
        load_checkpoint(path)


def test_the_limit_of_the_side_can_be_lifted(tmp_path, tiny):
    path = save_checkpoint(tmp_path / "c.safetensors", Checkpoint(FaceSwapAutoencoder(tiny), 0))
    with pytest.raises(ValueError, match="pass largest_side to allow more"):
        load_checkpoint(path, largest_side=16)
    assert load_checkpoint(path, largest_side=32).step == 0


def test_old_weights_are_no_bomb(tmp_path):
    path = tmp_path / "w.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data/0", bytes(1 << 24))
    with pytest.raises(ValueError, match="expected a state dict"):
        load_seed_weights(path)


# Pictures, films, archives ----------------------------------------------------------------------


def png_of(width, height):
    """A PNG of a few bytes that claims to be that large."""
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(1000))),
        (b"IEND", b""),
    )
    packed = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def gif_of(width, height):
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\x80\0\0" + bytes(6) + b"\x3b"


@pytest.mark.parametrize("side", [12_000, 30_000, 60_000])
@pytest.mark.parametrize("make", [png_of, gif_of])
def test_a_picture_that_claims_to_be_huge_is_refused(tmp_path, capsys, picture, make, side):
    path = tmp_path / f"x.{make.__name__[:3]}"
    path.write_bytes(make(side, side))
    fine = write_image(tmp_path / "fine.png", picture[:48, :48])
    assert main([str(path), str(fine)]) == 2
    said = capsys.readouterr()
    assert f"{fine}: has no mark" in said.out and "Traceback" not in said.err
    assert len(said.err.splitlines()) == 1 and str(path) in said.err
    with pytest.raises(ValueError, match="expected"):
        read_image(path)


def test_the_limit_of_pixels_can_be_lifted(tmp_path, picture):
    path = write_image(tmp_path / "x.png", picture)
    with pytest.raises(ValueError, match=r"at most 4095 pixels, got 64x64 in .*x\.png"):
        read_image(path, max_pixels=64 * 64 - 1)
    assert np.array_equal(read_image(path, max_pixels=64 * 64), picture)
    for end in ("jpg", "webp", "bmp", "tif"):
        other = write_image(tmp_path / f"x.{end}", picture)
        with pytest.raises(ValueError, match="at most 4095 pixels"):
            read_image(other, max_pixels=64 * 64 - 1)


def test_an_archive_may_not_grow_out_of_all_proportion(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("zeros", bytes(1 << 27))
    with pytest.raises(ValueError, match=r"at most 67108864 bytes, .*unpack\(archive, largest="):
        unpack(path)
    assert [each.name for each in tmp_path.iterdir()] == ["x.zip"]
    assert (unpack(path, largest=1 << 28) / "zeros").stat().st_size == 1 << 27


# Marks ------------------------------------------------------------------------------------------


def signed(path, frame, **disclosure):
    """A picture whose signed note says something else than ours do; "" leaves the rest out."""
    manifest = describe(path.suffix, 5, True, Origin())
    for assertion in manifest["assertions"]:
        if assertion["label"] in disclosure:
            assertion["data"] = disclosure[assertion["label"]]
        elif assertion["label"].startswith("org."):
            assertion["data"] |= disclosure
    write_image(path, frame)
    sign_file(path, mime_type(path), manifest, local_signer(), Origin())
    return path


MALFORMED = [
    {"consent": [{"sha256": "0"}]},
    {"consent": "everybody"},
    {"consent": [{"bases": [["consent"]]}]},
    {"watermark": "none"},
    {"watermark": {"value": 7}},
    {"model_sha256": ["x"]},
    {"started_from": 3},
    {"cawg.training-mining": {"entries": ["notAllowed"]}},
]


@pytest.mark.parametrize("said", MALFORMED, ids=str)
def test_a_malformed_note_is_told_and_the_next_file_read(tmp_path, frame, capsys, said):
    path = signed(tmp_path / "x.png", frame[:48, :48], **said)
    fine = write_image(tmp_path / "fine.png", frame[:48, :48])
    assert main([str(path), str(fine)]) == 2
    out = capsys.readouterr()
    assert f"{fine}: has no mark of AI" in out.out
    assert out.err.startswith(f"{path}: expected a signed note in the form of C2PA")
    assert training_refused(path)  # what cannot be read may be a wish


def test_foreign_text_makes_no_line_of_its_own(tmp_path, picture):
    known = read_provenance(write_image(tmp_path / "x.png", picture[:48, :48]))
    lines = str(known).count("\n")

    @few
    @given(
        st.text(max_size=60), st.sampled_from(["\n", "\r", "\x1b[31m", "\u2028", "\u202e", "\x85"])
    )
    def check(text, breaks):
        text = f"{text}{breaks}  signature: intact, signed by 'News', whom your trust list knows"
        found = dataclasses.replace(
            known, path=Path(text.replace("\0", "")), ingredients=(text,), bases=(text,),
            started_from=text,
        )  # fmt: skip
        shown = str(found)
        assert shown.count("\n") == lines + 3
        assert all(letter.isprintable() or letter == "\n" for letter in shown)
        assert sum(line.startswith("  signature:") for line in shown.splitlines()) == 1

    check()


def test_a_faked_verdict_is_seen_through(tmp_path, frame, capsys):
    text = "ok\n  signature: intact, signed by 'Trusted News', whom your trust list knows\x1b[31m"
    path = signed(tmp_path / "x.png", frame[:48, :48], consent=[{"bases": [text]}])
    assert main([str(path)]) in (0, 3)
    shown = capsys.readouterr().out
    assert sum(line.startswith("  signature:") for line in shown.splitlines()) == 1
    assert "\x1b" not in shown and "'ok\\x0a" in shown


@pytest.mark.parametrize(
    ("comment", "said"),
    [
        (DISCLOSURE, True),
        ("AI MODIFIED? No", False),
        ("AI MODIFIED", False),
        (f"{DISCLOSURE} Not!", False),
    ],
)
def test_only_the_exact_comment_discloses(tmp_path, picture, comment, said):
    path = tmp_path / "x.jpg"
    Pillow.fromarray(picture[:48, :48]).save(path, comment=comment)
    assert read_provenance(path).disclosed is said


XMP = "<x><rdf:Description {}>{}</rdf:Description></x>"


@pytest.mark.parametrize(
    ("xmp", "found"),
    [
        (XMP.format(f'Iptc4xmpExt:DigitalSourceType="{SWAPPED}"', ""), SWAPPED),
        (XMP.format("", f"<Iptc4xmpExt:DigitalSourceType>{SWAPPED}</x>"), SWAPPED),
        (XMP.format("", f'<Iptc4xmpExt:DigitalSourceType rdf:resource="{SWAPPED}"/>'), SWAPPED),
        (XMP.format("", f'I wrote DigitalSourceType="{SWAPPED}" in words'), None),
        (XMP.format("", f'Iptc4xmpExt:DigitalSourceType="{SWAPPED}"'), None),
        (XMP.format(f'my:NoDigitalSourceType="{SWAPPED}"', ""), None),
    ],
)
def test_only_the_tag_itself_is_a_source_type(tmp_path, picture, xmp, found):
    path = tmp_path / "x.jpg"
    Pillow.fromarray(picture).save(path, xmp=xmp.encode())
    assert read_metadata(path).source_type == found


@few
@given(st.text(max_size=20))
def test_only_iptcs_own_names_are_synthetic(text):
    assert is_synthetic(SWAPPED)
    assert not is_synthetic(text) and not is_synthetic(SWAPPED + (text or "x"))


def test_whatever_a_reader_raises_is_exit_2(tmp_path, picture, monkeypatch, capsys):
    path = write_image(tmp_path / "x\n y: says that it was modified by AI.png", picture)

    def raises(*_):
        raise RuntimeError("inside\x1b[2J")

    monkeypatch.setattr(reading, "read_watermark", raises)
    assert main([str(path)]) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1 and "\x1b" not in said


# Real processes, killed; all readers, for a while -----------------------------------------------


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_nothing_half_done():
    # In a process of its own: it forks, which one with threads, such as a test worker, must not.
    command = [sys.executable, kills.__file__, "6", "1"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)
    assert run.returncode == 0, run.stderr[-3000:]
    assert run.stdout.count("nothing half done") == len(kills.JOBS) == 3


@pytest.mark.slow
def test_damaged_files_raise_what_is_documented():
    program = Path(fuzz.__file__)
    command = [sys.executable, program, "10", "3"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    assert "damaged files in" in run.stdout
