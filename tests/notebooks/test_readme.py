"""pytest tests/notebooks/test_readme.py: it is short, its links lead to files, its code runs."""

import ast
import operator
import re
import shutil
from pathlib import Path

import pytest

import deepfake_utils as du
from deepfake_utils.marking.reading import read_provenance

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = ["README.md", "notebooks/glossary.md", "tests/benchmarks/README.md"]
CODE = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_it_is_read_to_its_end():
    assert len(README.split()) < 2200


@pytest.mark.parametrize("page", PAGES)
def test_links_to_files_lead_to_files(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    places = re.findall(r"\]\((?!https?://|#)([^)#]+)", text)
    assert places
    for place in places:
        assert ((ROOT / page).parent / place).exists(), place


def test_the_tree_shows_every_folder_and_core_module():
    tree = re.search(r"```\n(deepfake_utils/\n.*?)```", README, re.DOTALL)[1]
    shown = set(re.findall(r"^  ([a-z0-9_]+(?:\.py|/)) ", tree, re.MULTILINE))
    package = ROOT / "deepfake_utils"
    assert all((package / name).exists() for name in shown)
    folders = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    assert folders <= shown


@pytest.mark.parametrize("place", re.findall(r"\| .* \| .*\|", README))
def test_files_named_where_to_contribute_exist(place):
    names = re.findall(r"`([a-z0-9]+/(?:[a-z0-9_]+\.py)?)`", place)
    assert all((ROOT / "deepfake_utils" / name).exists() for name in names)


def test_the_names_in_its_code_exist():
    assert len(CODE) >= 3
    nodes = [node for text in CODE for node in ast.walk(ast.parse(text))]
    used = {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)}
    for name in (name for name in used if re.fullmatch(r"du(\.\w+)+", name)):
        operator.attrgetter(name.removeprefix("du."))(du)


@pytest.mark.slow
def test_its_first_code_turns_two_clips_into_a_swap(tmp_path, monkeypatch):
    clips = du.sample_clips()
    shutil.copy(clips.person_a, tmp_path / "a.mp4")
    shutil.copy(clips.person_b, tmp_path / "b.mp4")
    monkeypatch.chdir(tmp_path)
    assert "run(minutes=5)" in CODE[0] and 'basis="consent"' in CODE[0]
    text = (
        CODE[0].replace("run(minutes=5)", "run(2)").replace('basis="consent"', 'basis="synthetic"')
    )
    exec(compile(text, "README.md", "exec"), {})
    assert read_provenance("swap.mp4").sound
