"""pytest tests/panels/test_form.py: forms made from dataclasses, with widgets and without."""

import dataclasses
import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Literal

import ipywidgets as widgets
import pytest

from deepfake_utils.autoencoder import AutoencoderConfig
from deepfake_utils.consent import read_consent
from deepfake_utils.panels.form import config_form, consent_form, form_fields
from deepfake_utils.panels.training import NetworkChoice
from deepfake_utils.samples import sample_consent
from deepfake_utils.settings import Settings, setting
from deepfake_utils.swapping import SwapConfig
from deepfake_utils.training.recipe import TrainConfig, recipe
from deepfake_utils.warping import WarpConfig

CONFIGS = [TrainConfig(), WarpConfig(), AutoencoderConfig(), SwapConfig(), NetworkChoice()]
PRESETS = {"quick": recipe("quick"), "original": recipe("original")}


@dataclass(frozen=True)
class Inner:
    """Not what a form can change."""

    a: int = 1


@dataclass(frozen=True)
class Odd(Settings):
    """All sorts of fields."""

    plain: int = 3
    level: float = setting(1.0, "how loud, as the amplifier counts", slider=(0.0, 11.0, 0.5))
    gear: int = setting(2, 'of "#" gears', useful=(1, 2, 3))
    turns: int = setting(5, "whole ones", least=0, slider=(1, 9, 1))
    share: float = setting(0.5, "of all", least=0.0, below=1.0)
    kind: Literal["x", "y"] = setting("x", "which")
    note: str | None = None
    text: str = "#"
    on: bool = True
    inner: Inner = Inner()  # cannot be changed by a form


@dataclass
class Plain:
    """A dataclass that knows nothing of settings."""

    count: int = 3
    size: float = 0.5


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: type(config).__name__)
def test_each_setting_of_the_package_has_a_help_text(config):
    fields = form_fields(config)
    assert list(fields) == [each.name for each in dataclasses.fields(config)]
    assert all(each.help for each in fields.values())


def test_help_and_ranges_are_those_of_the_setting():
    fields = form_fields(Odd())
    assert fields["level"].help == "how loud, as the amplifier counts"
    assert fields["level"].range == (0.0, 11.0, 0.5) and fields["gear"].choices == (1, 2, 3)
    assert fields["plain"].help == "" and "inner" not in fields


def test_any_dataclass_has_a_form():
    form = config_form(Plain())
    form.fields["count"].value = 4
    assert form.value == Plain(4) and isinstance(form.fields["size"], widgets.FloatText)
    assert form.box.children[1].children[1].value == ""


def test_sliders_and_dropdowns_follow_the_settings():
    fields = config_form(Odd()).fields
    kinds = [(name, type(made).__name__) for name, made in fields.items()]
    assert kinds == [
        ("plain", "IntText"),
        ("level", "FloatSlider"),
        ("gear", "Dropdown"),
        ("turns", "IntSlider"),
        ("share", "FloatText"),
        ("kind", "Dropdown"),
        ("note", "Text"),
        ("text", "Text"),
        ("on", "Checkbox"),
    ]
    assert (fields["level"].min, fields["level"].max, fields["level"].step) == (0.0, 11.0, 0.5)
    assert (fields["turns"].min, fields["turns"].max, fields["turns"].step) == (1, 9, 1)
    assert fields["kind"].options == ("x", "y") and fields["plain"].description == "plain"
    sizes = config_form(NetworkChoice(image_size=96)).fields["image_size"]
    assert sizes.options == (64, 96, 128, 160, 192, 256)


def test_every_range_that_is_offered_is_valid():
    tried = 0
    for config in CONFIGS:
        for name, each in form_fields(config).items():
            ends = each.range[:2] if each.range else each.choices
            for value in ends:
                assert getattr(dataclasses.replace(config, **{name: value}), name) == value
                tried += 1
    assert tried > 40


def test_a_form_is_set_reset_and_checked_without_widgets():
    form = config_form(TrainConfig())
    form.set({"batch_size": 8, "learning_rate": 1})
    assert form.value == TrainConfig(batch_size=8, learning_rate=1)
    for wrong, said in (
        ({"steps": 5, "beta1": 1.5}, r"beta1: expected at least 0 and less than 1, got 1.5"),
        ({"steps": 5, "batch_size": "8"}, r"batch_size: expected a whole number, got '8'"),
        ({"steps": 5, "batch_size": 8.5}, r"batch_size: expected a whole number, got 8.5"),
        ({"dssim": True}, r"dssim: expected a number, got True"),
        ({"precision": "float8"}, r"precision: expected one of \('auto', .*, got 'float8'"),
        ({"colour": 1}, r"expected a field of \['steps', .*\], got 'colour'"),
    ):
        with pytest.raises(ValueError, match=said):
            form.set(wrong)
        assert form.value == TrainConfig(batch_size=8, learning_rate=1)  # all or nothing
    form.reset()
    assert form.value == TrainConfig()
    assert form._view is None  # no widget was made


def test_presets_take_all_values_and_show_when_they_are_left():
    form = config_form(TrainConfig(), ["batch_size"], PRESETS)
    assert form.preset == "quick"
    form.choose("original")
    assert form.value == recipe("original")  # also what is not shown
    chosen = form.box.children[-2].children[0]
    assert chosen.value == "original" and form.fields["batch_size"].value == 32
    form.fields["batch_size"].value = 31
    assert form.preset is None and chosen.value == "own settings"
    chosen.value = "quick"
    assert form.value == recipe("quick") and form.preset == "quick"
    form.reset()
    assert form.value == TrainConfig()
    with pytest.raises(ValueError, match=r"expected a preset of \['quick', 'original'\]"):
        form.choose("slow")
    with pytest.raises(TypeError, match="presets: expected a TrainConfig as 'x'"):
        config_form(TrainConfig(), presets={"x": WarpConfig()})


def test_settings_are_saved_and_loaded(tmp_path):
    form = config_form(Odd())
    form.set({"level": 3.5, "note": "hm"})
    path = form.save(tmp_path / "new" / "odd.json")
    assert json.loads(path.read_text())["level"] == 3.5
    other = config_form(Odd())
    other.load(path)
    assert other.value == form.value
    path.write_text('{"plain": 7}')  # what is not named stays
    other.load(path)
    assert other.value == dataclasses.replace(form.value, plain=7)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "expected JSON in .*, got something else"),
        ("[1]", r"expected an object in .*, got a list"),
        ('{"plane": 7}', r"expected a field of \['plain', .*\], got 'plane'"),
        ('{"plain": "7"}', "plain: expected a whole number, got '7'"),
        ('{"kind": "z"}', r"kind: expected one of \('x', 'y'\), got 'z'"),
    ],
)
def test_a_wrong_file_says_why_and_changes_nothing(tmp_path, text, said):
    path = tmp_path / "wrong.json"
    path.write_text(text)
    form = config_form(Odd(plain=5))
    with pytest.raises(ValueError, match=said):
        form.load(path)
    with pytest.raises(ValueError, match=r"wrong\.json"):
        form.load(path)
    assert form.value == Odd(plain=5)
    with pytest.raises(FileNotFoundError, match=r"no settings at .*none\.json"):
        form.load(tmp_path / "none.json")


def test_wrong_settings_are_not_saved(tmp_path):
    form = config_form(TrainConfig())
    form.fields["beta1"].value = 2.0
    with pytest.raises(ValueError, match="beta1"):
        form.save(tmp_path / "x.json")
    assert not list(tmp_path.iterdir())


# With widgets -------------------------------------------------------------------------------


def test_a_wrong_value_says_why_at_once_in_the_form():
    form = config_form(TrainConfig())
    said = form.box.children[-1]
    assert said.value == ""
    form.fields["beta1"].value = 1.5
    assert "beta1: expected at least 0 and less than 1, got 1.5" in said.value
    assert form.problem == "beta1: expected at least 0 and less than 1, got 1.5"
    form.fields["beta1"].value = 0.9
    assert said.value == "" and form.problem == ""


def test_what_is_set_is_shown_even_beyond_a_sliders_end():
    form = config_form(NetworkChoice(image_size=96))
    odd = config_form(Odd())
    form.set({"image_size": 112, "minutes": 0.5})
    odd.set({"level": 12.5, "turns": 20})
    assert form.fields["image_size"].value == 112 and form.fields["minutes"].value == 0.5
    form.set({"image_size": 224})
    assert 224 in form.fields["image_size"].options
    odd.set({"turns": 30})
    assert odd.fields["turns"].value == 30 and odd.fields["level"].value == 12.5
    assert config_form(NetworkChoice(image_size=320)).fields["image_size"].value == 320
    assert config_form(Odd(level=99.0)).fields["level"].value == 99.0


def test_buttons_save_load_and_reset(tmp_path):
    form = config_form(TrainConfig(), file=tmp_path / "s.json")
    reset, save, load, path = form.box.children[-2].children
    said = form.box.children[-1]
    load.click()
    assert "no settings at" in said.value
    form.fields["batch_size"].value = 9
    save.click()
    assert "saved to" in said.value and (tmp_path / "s.json").is_file()
    reset.click()
    assert form.value == TrainConfig() and form.fields["batch_size"].value == 16
    load.click()
    assert form.value.batch_size == 9 and "loaded" in said.value
    (tmp_path / "t.json").write_text('{"x": "<b>"}')
    path.value = str(tmp_path / "t.json")
    load.click()
    assert "expected a field of" in said.value


def test_an_empty_text_is_none_where_none_is_allowed():
    form = config_form(Odd(note="hm"))
    form.fields["note"].value = ""
    form.fields["text"].value = ""
    assert form.value.note is None and form.value.text == ""


def test_everything_has_a_label_and_fits_the_column():
    for config in CONFIGS:
        for row in config_form(config).box.children[1:-2]:
            made, said = row.children
            assert made.description and said.value
            assert int(made.layout.width.removesuffix("px")) <= 600  # test_browser sees the rest


def test_without_ipywidgets_the_plain_methods_are_named():
    program = """
import sys
sys.modules["ipywidgets"] = None
from deepfake_utils import TrainConfig
from deepfake_utils import panels
form = panels.config_form(TrainConfig())
form._ipython_display_()
form.set({"batch_size": 3})
print(form.value.batch_size)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "form.set({...})" in done.stdout and "batch_size" in done.stdout
    assert done.stdout.rstrip().endswith("3")


@pytest.mark.parametrize("config", CONFIGS)
def test_an_untouched_form_gives_the_same_settings(config):
    form = config_form(config)
    assert form.value == config
    assert list(form.fields) == [field.name for field in dataclasses.fields(config)]
    assert [row.children[0] for row in form.box.children[1:-2]] == list(form.fields.values())


def test_editing_gives_new_settings_and_leaves_the_old():
    config = TrainConfig()
    form = config_form(config)
    form.fields["steps"].value = 123
    form.fields["learning_rate"].value = 1e-3
    assert form.value == dataclasses.replace(TrainConfig(), steps=123, learning_rate=1e-3)
    assert config == TrainConfig()


def test_a_number_with_a_fraction_stays_one_when_it_starts_whole():
    form = config_form(WarpConfig(rotation_deg=10))
    form.fields["rotation_deg"].value = 7.5
    assert form.value.rotation_deg == 7.5


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


def test_the_consent_form_starts_open_and_writes(tmp_path):
    form = consent_form(folder=tmp_path)
    with pytest.raises(ValueError, match="basis: expected one of"):
        _ = form.value
    row, said = form.box.children[-2:]
    (button,) = row.children
    button.click()
    assert "basis: expected one of" in said.value and not list(tmp_path.iterdir())
    form.fields["basis"].value = "self"
    form.fields["expires"].value = "2099-12-31"
    button.click()
    assert read_consent(tmp_path).subjects == (form.value,)
    assert form.value.basis == "self" and form.value.expires == "2099-12-31"
    assert consent_form(sample_consent("B")).value == sample_consent("B")
