"""pytest tests/test_consent.py"""

import datetime
import hashlib
import json
import shutil

import jsonschema
import pytest

from deepfake_utils.autoencoder import FaceSwapAutoencoder
from deepfake_utils.consent import (
    CONSENT_FILE,
    SCHEMA_FILE,
    Subject,
    read_consent,
    write_consent,
)
from deepfake_utils.dataset import FaceDataset, endless_batches
from deepfake_utils.extraction import extract_clip, extract_faces, load_faces
from deepfake_utils.images import write_image
from deepfake_utils.marking.writing import MarkedVideoWriter, write_picture
from deepfake_utils.runs.checkpoint import load_checkpoint, save_checkpoint, weights_sha256
from deepfake_utils.samples import sample_clips, sample_consent
from deepfake_utils.swapping import Swapper
from deepfake_utils.training.trainer import Trainer

SCHEMA = jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text()))
DAY = datetime.timedelta(days=1)


@pytest.fixture
def folder(tmp_path, picture):
    for number in range(2):
        write_image(tmp_path / f"face_{number}.png", picture)
    return tmp_path


def test_what_is_written_is_read_and_fits_the_schema(tmp_path):
    subjects = (Subject("A", "self"), Subject("B", "consent", expires="2099-12-31"))
    path = write_consent(tmp_path, *subjects)
    SCHEMA.validate(json.loads(path.read_text()))
    consent = read_consent(tmp_path)
    assert consent.subjects == subjects
    assert consent.note.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert consent.note.bases == ("consent", "self")
    assert read_consent(tmp_path / "none") is None


def test_the_samples_are_synthetic():
    record = json.loads((sample_clips().person_a.parent / CONSENT_FILE).read_text())
    SCHEMA.validate(record)
    for person in ("A", "B"):
        assert sample_consent(person).basis == "synthetic"
        sample_consent(person).check()
    with pytest.raises(ValueError, match="'A' or 'B', got 'C'"):
        sample_consent("C")


GOOD = {"id": "A", "basis": "self", "role": "both", "given": "2026-01-31"}
BAD = [
    {**GOOD, "basis": "stolen"},
    {**GOOD, "role": "bystander"},
    {**GOOD, "basis": None},
    {**GOOD, "role": ["both"]},
    {**GOOD, "audience": None},
    {**GOOD, "given": "31.1.2026"},
    {**GOOD, "expires": 2026},
    {**GOOD, "evidence_sha256": "abc"},
    {**GOOD, "files": []},
    {**GOOD, "id": " "},
    {**GOOD, "name": "no field of ours"},
    {key: value for key, value in GOOD.items() if key != "basis"},
]


@pytest.mark.parametrize("subject", BAD, ids=range(len(BAD)))
def test_schema_and_reader_refuse_the_same(tmp_path, subject):
    record = {"version": 1, "subjects": [subject]}
    assert not SCHEMA.is_valid(record)
    (tmp_path / CONSENT_FILE).write_text(json.dumps(record))
    with pytest.raises(ValueError, match="expected a record of consent in"):
        read_consent(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 2, "subjects": []}'])
def test_other_files_are_refused(tmp_path, text):
    (tmp_path / CONSENT_FILE).write_text(text)
    with pytest.raises(ValueError, match="write it again with write_consent"):
        read_consent(tmp_path)


def test_training_without_a_record_asks_for_it(folder):
    with pytest.raises(PermissionError) as caught:
        FaceDataset(folder, 32)
    text = str(caught.value)
    assert "whose faces these are" in text and "write_consent(" in text
    assert text.count(". ") == 1  # two sentences
    write_consent(folder, Subject("A", "self"))
    assert len(FaceDataset(folder, 32)) == 2


def test_an_expired_or_withdrawn_consent_is_refused(folder):
    today = datetime.date.today()
    for changes, match in (
        ({"expires": str(today - 2 * DAY)}, "expired on"),
        ({"withdrawn": str(today)}, "withdrawn on .* delete"),
        ({"given": str(today + 2 * DAY)}, "holds only from"),
    ):
        write_consent(folder, Subject("B", "self"), Subject("A", "consent", **changes))
        with pytest.raises(PermissionError, match=f"person 'A' .*{match}"):
            FaceDataset(folder, 32)
    # The last day counts, and it may be another day there than here.
    for changes in ({"expires": str(today - DAY)}, {"given": str(today + DAY)}):
        write_consent(folder, Subject("A", "consent", **changes))
        FaceDataset(folder, 32)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"purposes": ("archive-only",)}, "'A' agreed to archive-only, not to train-face-model"),
        ({"files": ("other_*.png",)}, "face_0.png shows none of the people"),
        ({"files": ("face_0.png",)}, "face_1.png shows none of the people"),
    ],
)
def test_purposes_and_files_mean_what_the_schema_says(folder, changes, match):
    write_consent(folder, Subject("A", "self", **changes))
    with pytest.raises(PermissionError, match=match):
        FaceDataset(folder, 32)
    write_consent(
        folder, Subject("A", files=("face_0.*",)), Subject("B", files=("face_[1-9].png",))
    )
    assert len(FaceDataset(folder, 32)) == 2


def test_nobody_stands_where_they_did_not_agree_to(crops, tiny, tmp_path):
    a, b = (endless_batches(FaceDataset(each, 32), 2, device="cpu") for each in crops)
    with pytest.raises(PermissionError, match="'B' agreed to be the source, not the target"):
        Trainer(FaceSwapAutoencoder(tiny), b, a, device="cpu")
    Trainer(FaceSwapAutoencoder(tiny), a, b, device="cpu")


def test_who_agreed_to_training_only_is_not_swapped(tmp_path, crops, tiny):
    folder = shutil.copytree(crops[1], tmp_path / "b")
    write_consent(folder, Subject("B", "self", purposes=("train-face-model",)))
    a, b = (endless_batches(FaceDataset(f, 32), 2, device="cpu") for f in (crops[0], folder))
    trainer = Trainer(FaceSwapAutoencoder(tiny), a, b, device="cpu")
    saved = load_checkpoint(save_checkpoint(tmp_path / "c.safetensors", trainer.checkpoint()))
    for model in (trainer.average, saved.best_model()):
        with pytest.raises(PermissionError, match="did not agree to a swap"):
            Swapper(model, lambda frame: [])


def test_it_travels_into_the_checkpoint_and_on(tmp_path, crops, tiny):
    sets = [FaceDataset(each, 32) for each in crops]
    batches = [endless_batches(each, 2, device="cpu") for each in sets]
    trainer = Trainer(FaceSwapAutoencoder(tiny), *batches, device="cpu")
    trainer.train_step()
    saved = load_checkpoint(save_checkpoint(tmp_path / "run.safetensors", trainer.checkpoint()))
    notes = tuple(read_consent(each).note for each in crops)
    assert saved.best_model().consent == notes == trainer.average.consent
    assert {basis for note in notes for basis in note.bases} == {"synthetic"}
    resumed = Trainer.resume(saved, *batches, device="cpu")
    assert resumed.model.consent == notes  # each once
    assert weights_sha256(saved.best_model()) == weights_sha256(trainer.average)
    other = FaceSwapAutoencoder(tiny, seed=1)
    assert weights_sha256(other) != weights_sha256(saved.model)


def test_extraction_writes_it(tmp_path, frame, points):
    extract_faces([frame], tmp_path, lambda _: [points], size=64, consent=sample_consent("A"))
    assert load_faces(tmp_path).consent.subjects == (sample_consent("A"),)
    part = load_faces(tmp_path).part(slice(0, 1))
    assert part.consent is not None


def test_a_signed_wish_against_training_stops_it(tmp_path, frame, points):
    clip, folder = tmp_path / "clip.mp4", tmp_path / "faces"
    with MarkedVideoWriter(clip, fps=25, size_wh=(384, 384)) as writer:
        for _ in range(2):
            writer.write(frame)  # all that we write bears the wish
    extract_clip(clip, folder, lambda _: [points], size=64, consent=sample_consent("A"))
    with pytest.raises(PermissionError, match=r"no AI be trained .*ignore_training_refusal=True"):
        FaceDataset(folder, 32)
    assert len(FaceDataset(folder, 32, ignore_training_refusal=True)) == 2


def test_pictures_from_elsewhere_may_bear_the_wish_themselves(tmp_path, frame):
    for number in range(2):
        write_picture(tmp_path / f"{number}.png", frame)
    write_consent(tmp_path, Subject("A", "self"))
    assert load_faces(tmp_path).training_refused
    with pytest.raises(PermissionError, match="ignore_training_refusal"):
        FaceDataset(tmp_path, 32)


def test_faces_in_memory_are_the_callers_own(face_set):
    assert len(FaceDataset(face_set, 32)) == 4


def test_wrong_arguments_say_so(tmp_path):
    with pytest.raises(ValueError, match="at least one person"):
        write_consent(tmp_path)
    with pytest.raises(ValueError, match="an id of their own"):
        write_consent(tmp_path, Subject("A"), Subject("A"))
    with pytest.raises(ValueError, match="basis: expected one of"):
        Subject(basis="")
