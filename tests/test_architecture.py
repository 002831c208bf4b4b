"""How the package is built: which module knows which, what importing costs, what is documented."""

import ast
import importlib
import io
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

import deepfake_utils

PACKAGE = Path(deepfake_utils.__file__).parent
# Data flows downwards: a unit, which is a module or a folder of them, imports only units above it.
ORDER = (
    "devices files settings images consent umeyama video marking landmarks faces "
    "detectors tracking extraction warping losses compositing autoencoder dataset runs training "
    "swapping rendering samples plotting scoring curation superres lessons panels"
).split()
LEAVES = {"lessons", "panels"}  # for notebooks only: no unit imports them


def name_of(path: Path) -> str:
    """deepfake_utils/video/decoding.py -> "video.decoding", deepfake_utils/__init__.py -> ""."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for path in PACKAGE.rglob("*.py")}
SOURCES = {name: path.read_text(encoding="utf-8") for name, path in FILES.items()}
TREES = {name: ast.parse(source) for name, source in SOURCES.items()}


def unit_of(name: str) -> str:
    return name.split(".")[0]


def imported(name: str) -> set[str]:
    """Modules of the package that a module imports."""
    found = set()
    here = (
        (name.split(".") if name else [])
        if FILES[name].stem == "__init__"
        else name.split(".")[:-1]
    )
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = here[: len(here) - (node.level - 1)] + (node.module or "").split(".") * bool(
                node.module
            )
            each = [".".join([*base, alias.name]) for alias in node.names]
            found |= {one if one in FILES else ".".join(base) for one in each}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("deepfake_utils"):
            pytest.fail(f"{name}: imports the package by its full name")
    return found


def test_every_module_has_its_place():
    assert set(ORDER) | {""} == {unit_of(name) for name in FILES}
    assert len(ORDER) == len(set(ORDER))


@pytest.mark.parametrize("name", [name for name in FILES if name])
def test_units_import_only_what_is_above_them(name):
    above = set(ORDER[: ORDER.index(unit_of(name))]) - LEAVES
    assert {unit_of(each) for each in imported(name)} <= above | {unit_of(name)}


@pytest.mark.parametrize("unit", ORDER)
def test_inside_a_folder_nothing_goes_round_in_circles(unit):
    left = {name: imported(name) - {name} for name in FILES if unit_of(name) == unit}
    while left:
        free = {name for name, needs in left.items() if not needs & set(left)}
        assert free, f"each of these imports another of them: {sorted(left)}"
        left = {name: needs for name, needs in left.items() if name not in free}


def test_video_files_are_used_through_one_door():
    parts = {name for name in FILES if name.startswith("video.")}
    assert {unit_of(name) for name in FILES if imported(name) & parts} == {"video"}


def test_swapped_faces_leave_through_one_door():
    """Only these open an encoder or write a picture: each with what it writes."""
    calls = "VideoWriter MarkedVideoWriter write_image imencode imwrite savefig save add_stream"
    users: dict[str, set[str]] = {}
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func).split(".")[-1]
                if called in calls.split():
                    users.setdefault(name, set()).add(called)
    assert users == {
        "images": {"imencode"},  # write_image, for pictures of real faces
        "extraction": {"write_image"},  # the crops to train on
        "video.sound": {"add_stream"},
        "video.encoding": {"add_stream"},
        "marking.writing": {"save", "savefig"},
        "rendering": {"MarkedVideoWriter", "write_image"},  # the latter for masks
        "lessons.attacks": {"VideoWriter", "add_stream", "imencode"},  # in memory or thrown away
        "plotting": {"savefig"},  # in memory
        "panels.base": {"imencode"},  # in memory
        "panels.form_view": {"save"},  # settings
        "panels.training_loop": {"save"},  # checkpoints
        "training.trainer": users.get("training.trainer", set()),  # checkpoints
    }


def test_importing_the_package_is_cheap():
    heavy = (
        "albumentations c2pa cryptography face_alignment gdown IPython ipywidgets matplotlib scipy"
    )
    program = f"""
import sys, deepfake_utils
print(*sorted(set({heavy.split()}) & set(sys.modules)))
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == []
    assert run.stderr == ""


def test_what_the_package_offers_is_sorted_complete_and_there():
    assert deepfake_utils.__all__ == sorted(set(deepfake_utils.__all__))
    offered = {
        alias.asname or alias.name
        for node in ast.walk(TREES[""])
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    }
    assert set(deepfake_utils.__all__) - {"__version__"} == offered
    assert all(hasattr(deepfake_utils, name) for name in deepfake_utils.__all__)


@pytest.mark.parametrize("name", [name for name in SOURCES if "__all__" in SOURCES[name]])
def test_all_that_a_module_offers_is_there(name):
    module = importlib.import_module(f"deepfake_utils.{name}" if name else "deepfake_utils")
    assert len(set(module.__all__)) == len(module.__all__)
    assert all(hasattr(module, each) for each in module.__all__)


def definitions(name: str):
    """(name, node) of all public functions, classes and methods of a module."""

    def walk(node, prefix):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.ClassDef) and not child.name.startswith("_"):
                yield f"{prefix}{child.name}", child
                if isinstance(child, ast.ClassDef):
                    yield from walk(child, f"{prefix}{child.name}.")

    return walk(TREES[name], "")


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_everything_public_says_what_it_does(name):
    assert ast.get_docstring(TREES[name])
    silent = [what for what, node in definitions(name) if not ast.get_docstring(node)]
    assert silent == []


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_documented_arguments_exist(name):
    wrong = []
    for what, node in definitions(name):
        text = ast.get_docstring(node) or ""
        if "Args:\n" not in text:
            continue
        signature = node
        if isinstance(node, ast.ClassDef):
            inits = [n for n in node.body if getattr(n, "name", "") == "__init__"]
            if not inits:
                continue
            signature = inits[0]
        arguments = signature.args
        known = {a.arg for a in arguments.posonlyargs + arguments.args + arguments.kwonlyargs}
        section = text.split("Args:\n")[1].split("\n\n")[0]
        for line in section.splitlines():
            if (
                line.startswith("    ")
                and line[4] != " "
                and line.split(":")[0].strip() not in known
            ):
                wrong.append(f"{what}: {line.strip()}")
    assert wrong == []


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_what_the_code_does_without(name):
    for node in ast.walk(TREES[name]):
        where = f"{FILES[name]}:{getattr(node, 'lineno', 0)}"
        assert not isinstance(node, ast.Assert), f"{where}: assert goes away with python -O"
        assert not isinstance(node, ast.Global), f"{where}: global state"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{where}: bare except"
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) != "print", f"{where}: print"
    assert "TODO" not in SOURCES[name] and "FIXME" not in SOURCES[name]


def lines_of_code(name: str) -> int:
    """Lines with code on them: no comments, no docstrings, no blank lines."""
    no_code = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(SOURCES[name]).readline):
        if token.type not in no_code | {tokenize.ENDMARKER}:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            if isinstance(node.value.value, str):
                lines.difference_update(range(node.lineno, node.end_lineno + 1))
    return len(lines)


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_files_are_short_enough_to_read(name):
    assert lines_of_code(name) <= 320


def test_the_core_is_thin_and_the_package_small():
    lines = {name: lines_of_code(name) for name in SOURCES}
    core = [count for name, count in lines.items() if FILES[name].parent == PACKAGE]
    assert sum(core) <= 2745
    assert sum(lines.values()) <= 14290


def test_settings_cannot_be_changed_behind_ones_back():
    du = deepfake_utils
    for kind in (du.autoencoder.AutoencoderConfig, du.SwapConfig, du.TrainConfig, du.WarpConfig):
        config = kind()
        with pytest.raises(AttributeError):
            setattr(config, next(iter(vars(config))), 1)
