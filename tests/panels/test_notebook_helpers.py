"""pytest tests/test_notebook_helpers.py"""

import dataclasses
import gzip
import hashlib
import io
import json
import stat
import tarfile
import time
import zipfile

import ipywidgets as widgets
import pytest
from IPython.display import HTML

from deepfake_utils.autoencoder import AutoencoderConfig
from deepfake_utils.consent import read_consent
from deepfake_utils.panels import (
    Live,
    RunLog,
    config_form,
    consent_form,
    show_videos,
    unpack,
)
from deepfake_utils.panels.archives import ARCHIVES
from deepfake_utils.plotting import show_images
from deepfake_utils.samples import sample_clips, sample_consent
from deepfake_utils.swapping import SwapConfig
from deepfake_utils.training.trainer import TrainConfig
from deepfake_utils.warping import WarpConfig

# Forms --------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [TrainConfig(), WarpConfig(), AutoencoderConfig(), SwapConfig()])
def test_an_untouched_form_gives_the_same_settings(config):
    form = config_form(config)
    assert form.value == config
    assert list(form.fields) == [field.name for field in dataclasses.fields(config)]
    assert [row.children[0] for row in form.box.children[:-2]] == list(form.fields.values())


def test_editing_gives_new_settings_and_leaves_the_old():
    config = TrainConfig()
    form = config_form(config)
    form.fields["steps"].value = 123
    form.fields["learning_rate"].value = 1e-3
    assert form.value == dataclasses.replace(TrainConfig(), steps=123, learning_rate=1e-3)
    assert config == TrainConfig()


def test_each_type_has_its_widget():
    form = config_form(TrainConfig())
    assert isinstance(form.fields["precision"], widgets.Dropdown)
    assert form.fields["precision"].options == ("auto", "float32", "bfloat16", "float16")
    assert isinstance(form.fields["steps"], widgets.IntText)
    assert isinstance(form.fields["learning_rate"], widgets.FloatText)
    assert isinstance(config_form(AutoencoderConfig()).fields["shuffled_output"], widgets.Checkbox)
    assert form.fields["learning_rate"].description == "learning rate"


def test_a_number_with_a_fraction_stays_one_when_it_starts_whole():
    form = config_form(WarpConfig(rotation_deg=10))
    form.fields["rotation_deg"].value = 7.5
    assert form.value.rotation_deg == 7.5


def test_a_wrong_value_says_why():
    form = config_form(TrainConfig())
    form.fields["beta1"].value = 1.5
    with pytest.raises(ValueError, match=r"beta1: expected at least 0 and less than 1, got 1.5"):
        _ = form.value
    form.fields["beta1"].value = 0.9
    assert form.value == TrainConfig()


def test_only_the_fields_that_are_named_are_shown():
    form = config_form(WarpConfig(), ["flip", "zoom"])
    assert list(form.fields) == ["flip", "zoom"]
    form.fields["flip"].value = 0.0
    assert form.value == WarpConfig(flip=0.0)
    with pytest.raises(ValueError, match=r"expected a field of \[.*\], got 'colour'"):
        config_form(WarpConfig(), ["colour"])
    for wrong in (WarpConfig, {"flip": 0.5}):
        with pytest.raises(TypeError, match="expected a dataclass instance"):
            config_form(wrong)


# Showing ------------------------------------------------------------------------------------


def test_videos_are_inside_the_page():
    player = show_videos({"A & <B>": sample_clips().person_b_as_a}, width=123)
    assert isinstance(player, HTML)
    assert player.data.count("<video") == 1
    assert 'width="123"' in player.data and "A &amp; &lt;B&gt;" in player.data
    assert "base64," in player.data and "person_b_as_a" not in player.data
    assert len(player.data) > sample_clips().person_b_as_a.stat().st_size * 4 / 3


def test_a_missing_video_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no video at .*none\.mp4; write it first"):
        show_videos({"x": tmp_path / "none.mp4"})


def test_a_live_picture_is_drawn_anew_in_its_place(monkeypatch, picture):
    # What IPython sends to the browser, without a browser.
    sent = []
    from IPython.core.displaypub import DisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell

    class Recorder(DisplayPublisher):
        def publish(self, data, *args, transient=None, update=False, **kwargs):
            sent.append((data["image/png"], transient["display_id"], update))

    shell = InteractiveShell.instance()
    try:
        monkeypatch.setattr(shell, "display_pub", Recorder())
        live = Live()
        for image in (picture, 255 - picture):
            live.show(show_images([image]))
    finally:
        InteractiveShell.clear_instance()
    assert [update for _, _, update in sent] == [False, True]
    assert sent[0][1] == sent[1][1]
    assert sent[0][0] != sent[1][0]


def test_run_log_adds_up_and_is_written(tmp_path):
    log = RunLog()
    for _ in range(2):
        with log("a"):
            time.sleep(0.06)
    with pytest.raises(RuntimeError), log("b"):
        raise RuntimeError
    summary = log.write(tmp_path / "new" / "s.json", {"score_db": 24.1})
    assert summary == json.loads((tmp_path / "new" / "s.json").read_text(encoding="utf-8"))
    assert summary["score_db"] == 24.1
    assert summary["seconds"]["a"] == pytest.approx(0.1, abs=0.06)
    assert set(summary["seconds"]) == {"a", "b"}
    assert {"python", "torch", "numpy", "av"} <= set(summary["versions"])
    assert summary["peak_memory_mb"] > 100
    assert summary["device"]


# Archives -----------------------------------------------------------------------------------


def make_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def make_tar(path, members, mode="w"):
    with tarfile.open(path, mode) as file:
        for name, data in members.items():
            member = data if isinstance(data, tarfile.TarInfo) else tarfile.TarInfo(name)
            if isinstance(data, bytes):
                member.size = len(data)
            file.addfile(member, io.BytesIO(data) if isinstance(data, bytes) else None)
    return path


GOOD = {"a.txt": b"one", "sub/b.txt": b"two" * 1000}


@pytest.mark.parametrize("name", [f"faces{suffix}" for suffix in ARCHIVES] + ["FACES.ZIP"])
def test_archives_are_unpacked_beside_themselves(tmp_path, name):
    if name.lower().endswith(".zip"):
        archive = make_zip(tmp_path / name, GOOD)
    else:
        archive = make_tar(tmp_path / name, GOOD, "w" if name.endswith(".tar") else "w:gz")
    folder = unpack(archive)
    assert folder == tmp_path / name.split(".")[0]
    found = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert found == GOOD
    with pytest.raises(FileExistsError, match="exists already; move it away"):
        unpack(archive)


@pytest.mark.parametrize(
    "name", ["../evil.txt", "sub/../../evil.txt", "/tmp/evil.txt", "..\\evil.txt", "C:\\evil.txt"]
)
@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_members_that_would_leave_the_folder_are_refused(tmp_path, make, name):
    (tmp_path / "in").mkdir()
    archive = tmp_path / "in" / ("x.zip" if make is make_zip else "x.tar")
    make(archive, {"good.txt": b"good", name: b"evil"})
    with pytest.raises(ValueError, match="would leave it; do not use this archive"):
        unpack(archive)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [archive.name]
    assert not (tmp_path / "in" / "x").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind):
    link = tarfile.TarInfo("link")
    link.type, link.linkname = kind, "/etc/passwd"
    archive = make_tar(tmp_path / "x.tar", {"good.txt": b"good", "link": link})
    with pytest.raises(ValueError, match="'link', which is a link"):
        unpack(archive)
    assert [path.name for path in tmp_path.iterdir()] == ["x.tar"]


def test_links_in_a_zip_are_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive = tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(link, "/etc/passwd")
    with pytest.raises(ValueError, match="'link', which is a link"):
        unpack(archive)
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]


def damaged(tmp_path, kind):
    noise = hashlib.shake_256(b"seed").hexdigest(200_000).encode()  # compresses by half
    if kind.startswith("zip"):
        path = make_zip(tmp_path / "x.zip", {"a.bin": noise, "b.txt": b"text" * 5000})
        data = path.read_bytes()
        if kind == "zip cut off":
            path.write_bytes(data[:-30])
        else:  # "zip with wrong bytes": inside the compressed text
            at = data.index(b"b.txt") + 5
            path.write_bytes(data[:at] + b"\xff" * 20 + data[at + 20 :])
        return path
    path = make_tar(tmp_path / f"x.{kind.split()[0]}", {"a.bin": noise, "b.bin": noise}, "w")
    data = path.read_bytes()
    if kind.startswith("tar.gz"):
        data = gzip.compress(data)
    path.write_bytes(data[: len(data) * 2 // 3])
    return path


@pytest.mark.parametrize(
    "kind",
    [
        "zip cut off",
        "zip with wrong bytes",
        "tar cut off",
        "tar.gz cut off",
    ],
)
def test_damaged_archives_say_so_and_leave_nothing(tmp_path, kind):
    archive = damaged(tmp_path, kind)
    with pytest.raises(ValueError, match="damaged"):
        unpack(archive)
    assert [path.name for path in tmp_path.iterdir()] == [archive.name]


def test_an_archive_with_a_password_says_so(tmp_path):
    archive = make_zip(tmp_path / "x.zip", {"a.txt": b"one"})
    data = bytearray(archive.read_bytes())
    data[6] |= 1  # the flag "encrypted", in the file's own header ...
    data[data.index(b"PK\x01\x02") + 8] |= 1  # ... and in the directory
    archive.write_bytes(data)
    with pytest.raises(ValueError, match=r"x\.zip"):
        unpack(archive)
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]


def test_what_is_no_archive_says_so(tmp_path):
    with pytest.raises(ValueError, match=r"expected an archive .*got 'x\.rar'"):
        unpack(tmp_path / "x.rar")
    for name in ("x.zip", "x.tar", "x.tgz"):
        (tmp_path / name).write_bytes(b"hello" * 1000)
        with pytest.raises(ValueError, match="expected a whole archive"):
            unpack(tmp_path / name)
        (tmp_path / name).unlink()
        with pytest.raises(FileNotFoundError, match=name):
            unpack(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_the_consent_form_starts_open_and_writes(tmp_path):
    form = consent_form(folder=tmp_path)
    with pytest.raises(ValueError, match="basis: expected one of"):
        _ = form.value
    button, said = form.box.children[-2:]
    button.click()
    assert "basis: expected one of" in said.value and not list(tmp_path.iterdir())
    form.fields["basis"].value = "self"
    form.fields["expires"].value = "2099-12-31"
    button.click()
    assert read_consent(tmp_path).subjects == (form.value,)
    assert form.value.basis == "self" and form.value.expires == "2099-12-31"
    assert consent_form(sample_consent("B")).value == sample_consent("B")
