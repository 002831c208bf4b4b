"""pytest tests/marking/test_writing.py: what is written, read back and tampered with."""

import datetime
import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from test_marks_outlive import stripped

from deepfake_utils.consent import ConsentNote
from deepfake_utils.images import read_image
from deepfake_utils.marking import c2pa as signing
from deepfake_utils.marking import signer as signers
from deepfake_utils.marking import writing
from deepfake_utils.marking.c2pa import Origin, sidecar_of
from deepfake_utils.marking.reading import main, read_provenance, training_refused
from deepfake_utils.marking.signer import (
    Signer,
    config_folder,
    local_root,
    local_signer,
    make_chain,
)
from deepfake_utils.marking.writing import (
    MarkedVideoWriter,
    finish_unsigned,
    save_figure,
    write_gif,
    write_picture,
)
from deepfake_utils.plotting import show_images
from deepfake_utils.samples import sample_clips
from deepfake_utils.video import read_frames, read_video_info

ALL = ("watermark", "metadata", "manifest")


def write_video(path, frames, **options):
    height, width = frames[0].shape[:2]
    with MarkedVideoWriter(path, fps=25, size_wh=(width, height), **options) as writer:
        for frame in frames:
            writer.write(frame)
    return path


WRITERS = {
    "v.mp4": write_video,
    "v.mov": write_video,
    "v.mkv": write_video,
    "v.webm": write_video,
    "p.png": lambda path, frames: write_picture(path, frames[0]),
    "p.jpg": lambda path, frames: write_picture(path, frames[0]),
    "g.gif": lambda path, frames: write_gif(path, frames[:3]),
    "f.png": lambda path, frames: save_figure(path, show_images(frames[:2])),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_writes_all_layers(tmp_path, frames, name):
    path = tmp_path / name
    WRITERS[name](path, frames)
    found = read_provenance(path)
    assert found.disclosed and found.sound and found.layers == ALL
    assert found.state == "intact"
    assert "signer not on a trust list" in found.explanation
    assert "verified" not in str(found)
    assert set(found.source_types) == {"compositeWithTrainedAlgorithmicMedia"}
    assert not found.training_allowed and training_refused(path)
    assert read_provenance(path, local_root()).state == "trusted"
    beside = {path.name, f"{path.name}.c2pa"} if path.suffix in (".mkv", ".webm") else {path.name}
    assert {each.name for each in tmp_path.iterdir()} == beside

    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    flipped = signing.read_manifest(path, local_root())
    assert flipped.state == "Invalid"
    assert any("Hash" in code for code in flipped.failures)


def test_a_changed_file_says_so_in_plain_words(tmp_path, frames):
    path = write_picture(tmp_path / "p.jpg", frames[0])
    path.write_bytes(path.read_bytes() + b"\0")
    found = read_provenance(path, local_root())
    assert found.state == "invalid" and not found.sound
    assert "changed afterwards" in found.explanation
    assert found.disclosed and found.layers == ("watermark", "metadata")


def test_a_foreign_root_makes_nobody_known(tmp_path, frames):
    path = write_picture(tmp_path / "p.png", frames[0])
    assert read_provenance(path, make_chain()[2]).state == "intact"


def test_an_expired_signature_is_not_valid(tmp_path, frames):
    key, chain, root = make_chain(datetime.timedelta(seconds=2))
    path = write_picture(tmp_path / "p.png", frames[0], signer=Signer(chain, key))
    assert read_provenance(path, root).state == "trusted"
    until = signers.valid_until(chain).timestamp()
    while datetime.datetime.now().timestamp() < until + 1.0:
        pass
    found = read_provenance(path, root)
    assert found.state == "invalid"
    assert "run out" in found.explanation


def test_unmarked_files_have_no_marks():
    found = read_provenance(sample_clips().person_a)
    assert not found.disclosed and found.layers == () and found.state == "unsigned"
    assert found.sound and found.training_allowed
    assert "does not mean that it is real" in str(found)


def test_a_mark_on_the_target_keeps_its_id(tmp_path, frames):
    first = write_video(tmp_path / "first.mp4", frames)
    again = list(read_frames(first))
    second = write_video(tmp_path / "second.mp4", again, origin=Origin(first))
    one, two = read_provenance(first), read_provenance(second)
    assert one.watermark_id == two.watermark_id
    assert two.layers == ALL and two.sound
    assert two.ingredients == ("target.mp4",)


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_a_manifest_moved_to_another_file_is_noticed(tmp_path, frames, suffix):
    first = write_video(tmp_path / f"first{suffix}", frames)
    second = write_video(tmp_path / f"second{suffix}", frames)
    sidecar_of(second).write_bytes(sidecar_of(first).read_bytes())
    found = read_provenance(second)
    assert found.state == "invalid" and found.disclosed
    assert any("another file" in each for each in found.contradictions)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.slow
def test_signing_takes_no_memory_for_the_film(tmp_path, suffix):
    film = tmp_path / f"long{suffix}"
    size = 96 << 20
    with film.open("wb") as file:
        file.write((16).to_bytes(4, "big") + b"ftypisom" + bytes(4))
        file.write(size.to_bytes(4, "big") + b"mdat")
        file.truncate(16 + size)
    code = """if True:
        import re, sys
        from pathlib import Path
        from deepfake_utils.marking.c2pa import Origin, describe, mime_type, sign_file, try_signer
        from deepfake_utils.marking.signer import local_signer
        def peak():
            return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
        signer, film = local_signer(), Path(sys.argv[1])
        try_signer(signer)
        before = peak()
        note = describe(film.suffix, 1, False, Origin())
        sign_file(film, mime_type(film), note, signer, Origin())
        print((peak() - before) // 1024)
    """
    run = subprocess.run([sys.executable, "-c", code, str(film)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) < 24  # MiB


def test_metadata_stripped_the_watermark_still_tells(tmp_path, frames):
    path = write_video(tmp_path / "v.mp4", frames)
    (tmp_path / "copy").mkdir()
    copy = stripped(path, tmp_path / "copy")
    found = read_provenance(copy)
    assert found.disclosed and found.layers == ("watermark",)
    assert found.watermark_id == read_provenance(path).watermark_id


def test_nothing_names_a_person_but_bases_and_model_travel(tmp_path, frames):
    target = tmp_path / "anna.mp4"
    target.write_bytes(sample_clips().person_a.read_bytes())
    notes = (ConsentNote("a" * 64, ("consent",)), ConsentNote("b" * 64, ("self", "synthetic")))
    path = tmp_path / "anna_as_berta.png"
    write_picture(path, frames[0], origin=Origin(target, "c" * 64, notes))
    found = read_provenance(path)
    assert found.bases == ("consent", "self", "synthetic")
    assert found.model_sha256 == "c" * 64
    assert found.ingredients == ("target.mp4", "face-swap network")
    assert b"anna" not in path.read_bytes() and b"berta" not in path.read_bytes()


def test_only_the_visible_label_can_be_left_out(tmp_path, frames):
    found = {}
    for visible in (True, False):
        path = write_video(tmp_path / f"{visible}.mp4", frames, visible_label=visible)
        assert read_provenance(path).layers == ALL
        found[visible] = next(iter(read_frames(path)))[:14, -110:].astype(int)
    plain = frames[0][:14, -110:]
    assert np.abs(found[False] - plain).mean() < 6 < 20 < np.abs(found[True] - plain).mean()


def test_marks_are_as_strong_in_full_range(tmp_path, frames):
    found = {}
    for full in (False, True):
        path = write_video(tmp_path / f"{full}.mp4", frames, full_range=full)
        assert read_video_info(path).full_range == full
        assert read_provenance(path).layers == ALL
        found[full] = list(read_frames(path))
    one, two = (np.stack(found[full]).astype(int) for full in (False, True))
    assert np.abs(one - two).mean() < 2.5  # each has a watermark of its own
    corners = one[:, :14, -110:], two[:, :14, -110:]
    for share in (2, 50, 98):  # ground and letters
        levels = [np.percentile(corner, share) for corner in corners]
        assert levels[0] == pytest.approx(levels[1], abs=6.0)
    # A watermark drawn for the other range would be a seventh stronger or weaker.
    off = [np.square(each - np.stack(frames))[:, 30:].mean() ** 0.5 for each in (one, two)]
    assert off[0] == pytest.approx(off[1], rel=0.08)


def test_the_local_signer_is_made_once_and_kept_private(tmp_path):
    assert str(config_folder()).startswith(os.environ[signers.FOLDER_VARIABLE])
    folder = tmp_path / "identity"
    one, two = local_signer(folder), local_signer(folder)
    assert one == two
    assert (folder / "signer.key").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o077 == 0
    years = (signers.valid_until(one.chain) - datetime.datetime.now(datetime.timezone.utc)).days
    assert 3640 < years < 3660
    assert one.key.decode() not in repr(one)
    (folder / "root.pem").unlink()
    with pytest.raises(ValueError, match=r"root\.pem; move the folder away"):
        local_signer(folder)


def test_an_organisation_signs_with_files_or_a_function(tmp_path, frames):
    key, chain, root = make_chain()
    (tmp_path / "key.pem").write_bytes(key)
    (tmp_path / "chain.pem").write_bytes(chain)

    def sign(data):
        private = serialization.load_pem_private_key(key, None)
        r, s = utils.decode_dss_signature(private.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    files = Signer.from_files(tmp_path / "chain.pem", tmp_path / "key.pem")
    for number, signer in enumerate((files, Signer(chain, sign=sign))):
        path = write_picture(tmp_path / f"{number}.png", frames[0], signer=signer)
        assert read_provenance(path, root).state == "trusted"
    with pytest.raises(ValueError, match="either key or sign"):
        Signer(chain)
    with pytest.raises(ValueError, match="certificates as PEM"):
        Signer(b"nonsense", key)
    with pytest.raises(ValueError, match="algorithm: expected one of"):
        Signer(chain, key, algorithm="rsa")


@pytest.mark.parametrize("name", ["v.mp4", "p.png", "g.gif"])
def test_what_cannot_be_signed_is_not_written(tmp_path, frames, name, monkeypatch):
    wrong = Signer(make_chain()[1], make_chain()[0])  # the key of another chain
    monkeypatch.setattr(writing, "local_signer", lambda: wrong)
    path = tmp_path / "out" / name
    with pytest.raises(OSError, match="nothing is written: check the certificate chain"):
        WRITERS[name](path, frames)
    assert list(path.parent.iterdir()) == []


def test_without_c2pa_nothing_is_written(tmp_path, frames, monkeypatch):
    monkeypatch.setitem(sys.modules, "c2pa", None)
    with pytest.raises(ImportError, match="pip install c2pa-python"):
        write_picture(tmp_path / "p.png", frames[0])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_detector_for_everybody(tmp_path, frames):
    marked = write_picture(tmp_path / "p.png", frames[0])
    changed = tmp_path / "changed.png"
    changed.write_bytes(marked.read_bytes() + b"\0")
    plain, none = sample_clips().person_b_as_a, tmp_path / "none.png"

    def detector(*arguments):
        command = [sys.executable, "-m", "deepfake_utils.marking", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True)

    done = detector(marked, "--json", "--trust", config_folder() / "identity" / "root.pem")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["state"] == "trusted"
    assert main([str(marked), str(plain)]) == 1
    assert main([str(none), str(plain)]) == 2
    assert main([str(changed), str(none)]) == 3


def test_wrong_arguments_say_so(tmp_path, frames):
    with pytest.raises(ValueError, match=r"\.jpeg, \.jpg, \.png, got 'p\.webp'"):
        write_picture(tmp_path / "p.webp", frames[0])
    with pytest.raises(ValueError, match=r"at least 64 pixels .* enlarge"):
        MarkedVideoWriter(tmp_path / "v.mp4", fps=25, size_wh=(64, 48))
    with pytest.raises(FileNotFoundError, match="no file at"):
        read_provenance(tmp_path / "none.mp4")
    with pytest.raises(ValueError, match="expected a video"):
        (tmp_path / "t.mp4").write_text("text")
        read_provenance(tmp_path / "t.mp4")
    assert not (tmp_path / "v.mp4").exists()


def test_a_picture_that_repeats_itself_shows_its_watermark_all_the_same(tmp_path, frame):
    face = cv2.resize(frame[60:300, 40:280], (112, 112), interpolation=cv2.INTER_AREA)
    grid = np.tile(face, (4, 6, 1))
    path = write_picture(tmp_path / "grid.png", grid)
    assert "watermark" in read_provenance(path).layers
    off = read_image(path).astype(int)[40:] - grid[40:]
    assert 10 * np.log10(255**2 / np.square(off).mean()) > 30.0


def test_a_video_that_cannot_be_signed_at_the_end_is_kept_and_finished_later(tmp_path, frames):
    key, chain, _ = make_chain()
    private, asked = serialization.load_pem_private_key(key, None), []

    def service(data):
        asked.append(data)
        if len(asked) == 2:  # after the trial at the beginning
            raise ConnectionError("the signing service is away")
        r, s = utils.decode_dss_signature(private.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    target = sample_clips().person_b_as_a
    origin = Origin(target, "0" * 64, (ConsentNote("1" * 64, ("self",)),), "scratch")
    path, signer = tmp_path / "out.mp4", Signer(chain, sign=service)
    with pytest.raises(OSError, match=r"kept as .*out\.unsigned\.mp4: finish_unsigned signs it"):
        with MarkedVideoWriter(path, fps=25, size_wh=(384, 384), origin=origin, signer=signer) as w:
            for frame in frames:
                w.write(frame)
    kept = tmp_path / "out.unsigned.mp4"
    assert sorted(each.name for each in tmp_path.iterdir()) == [kept.name, f"{kept.name}.json"]
    assert read_provenance(kept).state == "unsigned"
    with pytest.raises(ValueError, match=r"expected a name with \.unsigned"):
        finish_unsigned(path)
    assert finish_unsigned(kept) == path
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    found = read_provenance(path)
    assert found.sound and found.state == "intact" and found.layers == ALL
    assert (found.model_sha256, found.bases, found.started_from) == ("0" * 64, ("self",), "scratch")
    assert found.ingredients == ("target.mp4", "face-swap network")


def test_a_signer_that_cannot_sign_is_told_before_the_work(tmp_path, frames):
    wrong = Signer(make_chain()[1], make_chain()[0])
    with pytest.raises(OSError, match="check the certificate chain"):
        MarkedVideoWriter(tmp_path / "x.mp4", fps=25, size_wh=(384, 384), signer=wrong)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_made_from_what_it_replaces(tmp_path, frames):
    path = write_picture(tmp_path / "x.png", frames[0])
    before = path.read_bytes()
    with pytest.raises(ValueError, match="expected another file"):
        write_picture(tmp_path / ".." / tmp_path.name / "x.png", frames[0], origin=Origin(path))
    assert path.read_bytes() == before


def test_a_signer_made_by_a_clock_ahead_holds_or_says_what_to_do(tmp_path, monkeypatch):
    from cryptography import x509

    certificate = x509.load_pem_x509_certificate(make_chain()[1])
    age = datetime.datetime.now(datetime.timezone.utc) - certificate.not_valid_before_utc
    assert age > datetime.timedelta(days=365)
    monkeypatch.setattr(signers, "BACKDATED", -30)
    with pytest.raises(ValueError, match=r"set this machine's clock, .*; if it is right"):
        local_signer(tmp_path / "identity")
