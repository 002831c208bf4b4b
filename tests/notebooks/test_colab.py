"""pytest tests/test_colab.py: what installing does to Google Colab, and the notebooks there.

A Colab of our own: its list of packages, ipywidgets 7, and a stand-in for google.colab.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from test_packaging import SETUP

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FIRST = [path for path in NOTEBOOKS if path.stem < "04"]  # from clips to a swapped video
FAKE = Path(__file__).parents[1] / "fake_colab"
WIDGETS = Path(sys.prefix) / "ipywidgets7"  # made by `make test-slow`
LIST = ROOT.parent / "shared" / "data" / "colab" / "gpu-runtime-packages.txt"
# Of the runtime of June 2026, what the package asks for: googlecolab/backend-info on GitHub,
# pip-freeze.gpu.txt. For checkouts that lie beside no whole list.
KNOWN = {
    "albumentations": "2.0.8",
    "cryptography": "48.0.0",
    "gdown": "5.2.2",
    "ipywidgets": "7.7.1",
    "matplotlib": "3.10.0",
    "numpy": "2.0.2",
    "opencv-python": "4.13.0.92",
    "opencv-python-headless": "4.13.0.92",
    "safetensors": "0.7.0",
    "torch": "2.11.0",
    "tqdm": "4.67.3",
}
# What Colab lacks: of this package, and jedi, which its old IPython asks for.
ADDED = {"": {"av", "c2pa-python", "jedi"}, "fan": {"face-alignment"}}
ADDED["score"] = {"dlib-bin", "face-recognition-models"}
# Its copy of torch has its CUDA libraries; those that PyPI's copy names are others.
UV_SETTINGS = """[[dependency-metadata]]
name = "torch"
version = "{torch}"
requires-dist = []
"""
OFFLINE = re.compile(r"dns error|error sending request|Could not connect|Failed to fetch", re.I)


def colabs_packages() -> dict[str, str]:
    """Name -> version of what Colab has installed."""
    if not LIST.exists():
        return KNOWN
    pairs = re.findall(r"^([\w.-]+)==([\w.!]+)", LIST.read_text(encoding="utf-8"), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in pairs}


def requirements(extras: str) -> list[Requirement]:
    """What the package asks for with these extras, "fan" or "fan,score"."""
    lines = SETUP["install_requires"] + [
        line for extra in extras.split(",") for line in SETUP["extras_require"].get(extra, [])
    ]
    return [Requirement(line) for line in lines]


def added(extras: str) -> set[str]:
    """What installing with these extras may add."""
    return ADDED[""].union(*(ADDED[extra] for extra in extras.split(",")))


def extras_of(path: Path) -> str:
    """The extras in a notebook's install line."""
    source = "\n".join(cell.source for cell in nbformat.read(path, 4).cells)
    return re.search(r"deepfake-utils(?:\[([\w,]+)\])? @ git", source)[1] or ""


EXTRAS = sorted({"", "fan", "score", *map(extras_of, NOTEBOOKS)})


@pytest.mark.parametrize("extras", EXTRAS)
def test_colab_has_what_the_package_asks_for_or_it_is_named(extras):
    has = colabs_packages()
    for requirement in requirements(extras):
        name = canonicalize_name(requirement.name)
        if name in has:
            assert Version(has[name]) in requirement.specifier, f"{requirement}, has {has[name]}"
        else:
            assert name in added(extras)


@pytest.mark.slow
@pytest.mark.parametrize("extras", EXTRAS)
def test_installing_in_colab_adds_only_what_is_named(extras, tmp_path):
    """A resolver that keeps what is there, as pip does, ends with Colab's own versions."""
    has, pins = colabs_packages(), tmp_path / "pins.txt"
    pins.write_text("".join(f"{name}=={version}\n" for name, version in has.items()))
    (tmp_path / "uv.toml").write_text(UV_SETTINGS.format(torch=has["torch"]))
    (tmp_path / "asked.txt").write_text("\n".join(map(str, requirements(extras))))
    command = [sys.executable, "-m", "uv", "pip", "compile", "asked.txt", "-o", "pins.txt", "-q"]
    command += ["--config-file", "uv.toml", "--no-annotate", "--no-header"]
    command += ["--python-version", "3.13", "--python-platform", "x86_64-manylinux_2_35"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    if run.returncode and OFFLINE.search(run.stderr):
        pytest.skip("no package registry within reach")
    assert run.returncode == 0, run.stderr
    found = dict(line.split("==") for line in pins.read_text().split())
    assert {
        name: version for name, version in found.items() if has.get(name, version) != version
    } == {}
    assert added(extras) <= set(found)
    if LIST.exists():
        assert set(found) - set(has) == added(extras)


# The stand-in ---------------------------------------------------------------------------------

USE = """
import json, sys
from google.colab import drive, files
from deepfake_utils.panels.places import find_path, in_colab, mount_drive
folder = sys.argv[1]
assert in_colab()
mine = mount_drive(folder + "/drive")
(mine / "me.mp4").write_bytes(b"film")
assert mount_drive(folder + "/drive") == mine
assert find_path("drive:me.mp4", folder + "/drive") == mine / "me.mp4"
files.chosen = [mine / "me.mp4"]
assert files.upload() == {"me.mp4": b"film"}
files.download("me.mp4")
assert [path.name for path in files.downloaded] == ["me.mp4"]
"""


def colab(folder: Path, *arguments: object) -> subprocess.CompletedProcess:
    """Run Python in `folder` as in Colab: its module, and its ipywidgets if they are at hand."""
    first = [str(path) for path in (WIDGETS, FAKE) if path.is_dir()]
    environment = {
        **{name: value for name, value in os.environ.items() if name != "DEEPFAKE_OUTPUT"},
        "PYTHONPATH": os.pathsep.join([*first, str(ROOT)]),
        "FAST_RUN": "1",
    }
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900
    )


def test_the_stand_in_has_a_drive_and_files(tmp_path):
    run = colab(tmp_path, "-c", USE, tmp_path)
    assert run.returncode == 0, run.stderr
    assert "Mounted at" in run.stdout and "already mounted" in run.stdout
    assert (tmp_path / "me.mp4").read_bytes() == b"film"


@pytest.mark.slow
@pytest.mark.parametrize("path", FIRST, ids=lambda path: path.stem)
def test_notebooks_run_in_colab(path, tmp_path):
    """Away from the project, in a folder of their own, with Colab's modules."""
    content = tmp_path / "content"
    content.mkdir()
    shutil.copy(path, content)
    shutil.copy(ROOT / "notebooks" / "run.py", content / "execute.py")
    run = colab(content, "execute.py", path.name, "executed.ipynb")
    assert run.returncode == 0, run.stderr[-3000:]
    left = {entry.name for entry in content.iterdir()}
    assert left == {path.name, "execute.py", "executed.ipynb", "output"}
