"""What is installed, and what it brings: requirements, pins, package data, both OpenCV builds."""

import ast
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
DATA = ROOT / "deepfake_utils" / "data"

TOP_LEVEL = set(
    "CHANGELOG.md LICENSE Makefile README.md SECURITY.md constraints.txt deepfake_utils notebooks "
    "output pyproject.toml setup.py tests "
    ".ci .gitattributes .github .gitignore .pre-commit-config.yaml".split()
)


def setup_arguments() -> dict:
    """The literal arguments of the call of setup(), read without running it."""
    tree = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    call = next(node for node in calls if ast.unparse(node.func) == "setup")
    wanted = {"install_requires", "extras_require", "python_requires"}
    return {k.arg: ast.literal_eval(k.value) for k in call.keywords if k.arg in wanted}


SETUP = setup_arguments()
REQUIRED = [
    Requirement(line) for line in SETUP["install_requires"] + SETUP["extras_require"]["fan"]
]


def pins() -> list[Requirement]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if not line.startswith("#")]


def data_files() -> set[str]:
    return {path.relative_to(ROOT).as_posix() for path in DATA.rglob("*") if path.is_file()}


@pytest.mark.parametrize("requirement", REQUIRED, ids=str)
def test_requirements_are_lower_bounds(requirement):
    assert [bound.operator for bound in requirement.specifier] == [">="]


def test_pins_are_exact_and_name_no_place():
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert "//" not in text
    assert "@" not in text
    for pin in pins():
        (version,) = pin.specifier
        assert version.operator == "=="
        assert "*" not in version.version
        assert "+" not in version.version, "a build of one machine"
        assert pin.url is None


def test_every_requirement_is_pinned_within_its_bounds():
    pinned: dict[str, list[Requirement]] = {}
    for pin in pins():
        pinned.setdefault(canonicalize_name(pin.name), []).append(pin)
    extras = SETUP["extras_require"]
    lines = SETUP["install_requires"] + extras["dev"] + extras["browser"]
    for requirement in map(Requirement, lines):
        for python in ("3.10", "3.11", "3.12", "3.13"):
            here = {"python_version": python, "python_full_version": f"{python}.9"}
            fits = [
                pin
                for pin in pinned.get(canonicalize_name(requirement.name), [])
                if pin.marker is None or pin.marker.evaluate(here)
            ]
            assert len(fits) == 1, f"{requirement.name} on Python {python}: {fits}"
            (version,) = fits[0].specifier
            assert version.version in requirement.specifier


def test_no_cuda_library_is_pinned():
    assert not [pin.name for pin in pins() if pin.name.startswith(("cuda", "nvidia", "triton"))]


def test_pyproject_holds_only_the_build_and_the_tools():
    assert set(tomllib.loads((ROOT / "pyproject.toml").read_text())) == {"build-system", "tool"}


def test_top_level_has_only_the_agreed_names():
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    present = {line.split("/")[0] for line in listed.splitlines() if (ROOT / line).exists()}
    assert present <= TOP_LEVEL


def test_package_data_comes_with_its_licences():
    models = {"face_detection_short_range.tflite", "face_landmark.tflite", "LICENSE", "NOTICE"}
    samples = {"person_a.mp4", "person_b.mp4", "person_b_as_a.mp4", "truth.npz", "LICENSE"}
    wanted = {f"models/{name}" for name in models} | {f"samples/{name}" for name in samples}
    wanted |= {f"face_code/face_{name}.safetensors" for name in ("code", "cells")}
    wanted |= {"face_code/NOTICE"}
    assert {f"deepfake_utils/data/{path}" for path in wanted} <= data_files()


@pytest.mark.slow
def test_wheel_contains_the_package_data(tmp_path):
    source = tmp_path / "source"
    shutil.copytree(
        ROOT / "deepfake_utils",
        source / "deepfake_utils",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    for name in ("setup.py", "pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "-qq", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "-w", tmp_path, source], check=True)
    (wheel,) = tmp_path.glob("deepfake_utils-*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    assert data_files() | {"deepfake_utils/py.typed"} <= packed
    assert any(name.endswith("dist-info/licenses/LICENSE") for name in packed)


HEADLESS = ["--ignore-installed", "--no-deps", "opencv-python-headless"]
USE_CV2 = """
import sys
import cv2, face_alignment, numpy
assert cv2.__file__.startswith(sys.prefix), cv2.__file__
grey = cv2.cvtColor(numpy.zeros((8, 8, 3), numpy.uint8), cv2.COLOR_BGR2GRAY)
assert cv2.imencode(".png", grey)[0]
"""


class Venv:
    """A fresh virtual environment that finds this one's packages (torch is large) after its own."""

    def __init__(self, folder: Path):
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        self.python = folder / "bin" / "python"
        (site_packages,) = folder.glob("lib/python*/site-packages")
        (site_packages / "outer.pth").write_text(sysconfig.get_path("platlib"))
        # An empty libGL.so.1 found first stands for a server that has none.
        self.without_gl = folder / "without_gl"
        self.without_gl.mkdir()
        (self.without_gl / "libGL.so.1").touch()

    def install(self, *arguments: str) -> None:
        pip = [self.python, "-m", "pip", "install", "-qq", "-c", ROOT / "constraints.txt"]
        subprocess.run([*pip, *arguments], check=True)

    def install_fan(self) -> None:
        self.install(*SETUP["extras_require"]["fan"])
        # Once more by name, in case the outer environment has it and pip was content with that.
        code = "import importlib.metadata as m; print(*m.requires('face-alignment'), sep='\\n')"
        output = subprocess.run(
            [self.python, "-c", code], check=True, capture_output=True, text=True
        )
        (desktop,) = (line for line in output.stdout.splitlines() if line.startswith("opencv"))
        assert desktop == "opencv-python"
        self.install("--ignore-installed", "--no-deps", desktop)

    def error(self, *, gl: bool) -> str:
        """What importing and using cv2 prints on stderr; "" where it works."""
        env = os.environ if gl else {**os.environ, "LD_LIBRARY_PATH": str(self.without_gl)}
        run = subprocess.run(
            [self.python, "-c", USE_CV2], env=env, capture_output=True, text=True, check=False
        )
        return run.stderr if run.returncode else ""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere OpenCV brings all that it needs")
def test_headless_opencv_works_over_the_desktop_one(tmp_path):
    venv = Venv(tmp_path / "venv")
    venv.install_fan()
    venv.install(*HEADLESS)
    assert venv.error(gl=True) == ""
    assert venv.error(gl=False) == ""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere OpenCV brings all that it needs")
def test_desktop_opencv_over_the_headless_one_needs_libgl(tmp_path):
    venv = Venv(tmp_path / "venv")
    venv.install(*HEADLESS)
    venv.install_fan()
    assert venv.error(gl=True) == "" or "libGL.so.1" in venv.error(gl=True)
    assert "libGL.so.1" in venv.error(gl=False)
    # The remedy, as in `make fan`.
    venv.install("--force-reinstall", "--no-deps", "opencv-python-headless")
    assert venv.error(gl=True) == ""
    assert venv.error(gl=False) == ""
