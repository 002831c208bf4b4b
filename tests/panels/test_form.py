"""pytest tests/test_form.py: forms made from dataclasses, with widgets and without."""

import dataclasses
import json
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Literal

import ipywidgets as widgets
import pytest

from deepfake_utils.autoencoder import AutoencoderConfig
from deepfake_utils.panels.form import config_form
from deepfake_utils.panels.form_fields import CHOICES, RANGES, comments, form_fields
from deepfake_utils.panels.training_project import NetworkChoice
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
class Odd:
    """All sorts of fields."""

    plain: int = 3
    level: float = field(  # how loud, as the amplifier counts
        default=1.0, metadata={"range": (0.0, 11.0, 0.5)}
    )
    gear: int = field(default=2, metadata={"choices": (1, 2, 3)})  # of "#" gears
    kind: Literal["x", "y"] = "x"  # which
    note: str | None = None
    text: str = "#"  # a mark
    on: bool = True
    inner: Inner = Inner()  # cannot be changed by a form

    def twice(self) -> int:
        """Not a field."""
        both: int = 2 * self.plain  # nor is this
        return both


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: type(config).__name__)
def test_each_setting_of_the_package_has_a_help_text(config):
    fields = form_fields(config)
    assert list(fields) == [each.name for each in dataclasses.fields(config)]
    assert all(each.help for each in fields.values())


def test_the_help_text_is_the_comment_behind_the_field():
    assert comments(Odd) == {
        "level": "how loud, as the amplifier counts",
        "gear": 'of "#" gears',
        "kind": "which",
        "text": "a mark",
        "inner": "cannot be changed by a form",
    }
    assert comments(TrainConfig)["batch_size"] == "faces of each person in a step"
    assert comments(type("Typed", (), {})) == {}  # no source


def test_the_help_text_comes_along_with_an_installed_package(tmp_path):
    target = tmp_path / "site" / "somewhere"
    target.mkdir(parents=True)
    source = "from dataclasses import dataclass\n@dataclass\nclass C:\n    a: int = 1  # help\n"
    (target / "__init__.py").write_text(source)
    program = "import sys; sys.path.insert(0, sys.argv[1]); import somewhere\n"
    program += (
        "from deepfake_utils.panels.form_fields import comments; print(comments(somewhere.C))"
    )
    command = [sys.executable, "-c", program, str(target.parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "{'a': 'help'}"


def test_sliders_and_dropdowns_follow_ranges_and_choices():
    fields = config_form(Odd()).fields
    kinds = [(name, type(made).__name__) for name, made in fields.items()]
    assert kinds == [
        ("plain", "IntText"),
        ("level", "FloatSlider"),
        ("gear", "Dropdown"),
        ("kind", "Dropdown"),
        ("note", "Text"),
        ("text", "Text"),
        ("on", "Checkbox"),
    ]
    assert (fields["level"].min, fields["level"].max, fields["level"].step) == (0.0, 11.0, 0.5)
    batch = config_form(TrainConfig()).fields["batch_size"]
    assert isinstance(batch, widgets.IntSlider)
    assert (batch.min, batch.max, batch.step) == RANGES["batch_size"]
    sizes = config_form(NetworkChoice()).fields["image_size"]
    assert sizes.options == CHOICES["image_size"]


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
        ("{", "expected a JSON object, got"),
        ("[1]", r"expected a JSON object, got \[1\]"),
        ('{"plane": 7}', r"expected a field of \['plain', .*\], got 'plane'"),
        ('{"plain": "7"}', "plain: expected a whole number, got '7'"),
        ('{"kind": "z"}', r"kind: expected one of \('x', 'y'\), got 'z'"),
    ],
)
def test_a_wrong_file_says_why_and_changes_nothing(tmp_path, text, said):
    path = tmp_path / "wrong.json"
    path.write_text(text)
    form = config_form(Odd(plain=5))
    with pytest.raises(ValueError, match=rf"wrong\.json: {said}"):
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
    warp = config_form(WarpConfig())
    form.set({"image_size": 112, "minutes": 0.5})
    warp.set({"zoom": 0.9, "grid": 20})
    assert form.fields["image_size"].value == 112 and form.fields["minutes"].value == 0.5
    form.set({"image_size": 224})
    assert 224 in form.fields["image_size"].options
    warp.set({"grid": 30})
    assert warp.fields["grid"].value == 30 and warp.fields["zoom"].value == 0.9
    assert config_form(AutoencoderConfig(image_size=32)).fields["image_size"].value == 32


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
        for row in config_form(config).box.children[:-2]:
            made, said = row.children
            assert made.description and said.value
            widths = [int(each.layout.width.removesuffix("px")) for each in (made, said)]
            assert sum(widths) <= 960


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
