"""How the package is built: which module knows which, what importing costs, what is documented."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import deepfake_utils

PACKAGE = Path(deepfake_utils.__file__).parent
# Data flows downwards: a module imports only modules above it.
ORDER = (
    "devices",
    "images",
    "consent",
    "umeyama",
    "decoding",
    "sound",
    "encoding",
    "video",
    "codes",
    "masking",
    "watermark",
    "label",
    "metadata",
    "signer",
    "signing",
    "verification",
    "marks",
    "provenance",
    "attacks",
    "models",
    "detector",
    "mesh",
    "landmarks",
    "faces",
    "identity",
    "pose",
    "alignment",
    "smoothing",
    "steadying",
    "following",
    "tracking",
    "extraction",
    "warping",
    "losses",
    "occlusion",
    "augmentation",
    "autoencoder",
    "checkpoint",
    "storage",
    "dataset",
    "recipe",
    "gradients",
    "redrawing",
    "training",
    "resuming",
    "colour",
    "blending",
    "superres",
    "muon",
    "superres_training",
    "swapping",
    "rendering",
    "samples",
    "likeness",
    "expression",
    "colour_difference",
    "seam",
    "steadiness",
    "bootstrap",
    "measures",
    "card",
    "scorecard",
    "plotting",
    "overview",
    "detecting",
    "pictures",
    "project",
    "panels",
    "lessons",
    "archives",
    "downloading",
    "fidelity",
    "shuffling",
    "fetching",
    "clip_facts",
    "data_choice",
    "data_words",
    "data_widgets",
    "data_panel",
    "inspection",
    "dropping",
    "curation",
    "faces_pages",
    "faces_panel",
    "advice",
    "report_card",
    "form_fields",
    "form_view",
    "form",
    "worker",
    "training_loop",
    "training_view",
    "training_panel",
    "training_project",
    "preview",
    "render_job",
    "swap_trial",
    "swap_panel",
    "notebook",
)
SOURCES = {path.stem: path.read_text(encoding="utf-8") for path in PACKAGE.glob("*.py")}
TREES = {name: ast.parse(source) for name, source in SOURCES.items()}
LONG = {"training": 410}  # files that may have more than 350 lines


def imported(name: str) -> set[str]:
    """Modules of the package that a module imports."""
    found = set()
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            found |= {node.module} if node.module else {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("deepfake_utils"):
            pytest.fail(f"{name}: imports the package by its full name")
    return found


def test_every_module_has_its_place():
    assert set(ORDER) | {"__init__"} == set(SOURCES)
    assert len(ORDER) == len(set(ORDER))


@pytest.mark.parametrize("name", ORDER)
def test_modules_import_only_what_is_above_them(name):
    assert imported(name) <= set(ORDER[: ORDER.index(name)])


def test_nobody_imports_the_notebooks_helpers():
    helpers = set(ORDER[ORDER.index("project") :])
    assert {name for name in SOURCES if imported(name) & helpers} <= helpers


def test_video_files_are_used_through_one_door():
    users = {name for name in SOURCES if imported(name) & {"decoding", "sound", "encoding"}}
    assert users <= {"video", "sound", "encoding"}


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
        "sound": {"add_stream"},
        "encoding": {"add_stream"},
        "provenance": {"save", "savefig"},
        "rendering": {"MarkedVideoWriter", "write_image"},  # the latter for masks
        "attacks": {"add_stream", "imencode"},  # in memory
        "plotting": {"savefig"},  # in memory
        "panels": {"imencode"},  # in memory
        "notebook": {"savefig"},  # in memory
        "form_view": {"save"},  # settings
        "training_loop": {"save"},  # checkpoints
        "training": users.get("training", set()),  # checkpoints
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
        for node in ast.walk(TREES["__init__"])
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(deepfake_utils.__all__) - {"__version__"} == offered
    assert all(hasattr(deepfake_utils, name) for name in deepfake_utils.__all__)


@pytest.mark.parametrize("name", [name for name in SOURCES if "__all__" in SOURCES[name]])
def test_all_that_a_module_offers_is_there(name):
    module = importlib.import_module(
        f"deepfake_utils.{name}" if name != "__init__" else "deepfake_utils"
    )
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
        where = f"{name}.py:{getattr(node, 'lineno', 0)}"
        assert not isinstance(node, ast.Assert), f"{where}: assert goes away with python -O"
        assert not isinstance(node, ast.Global), f"{where}: global state"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{where}: bare except"
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) != "print", f"{where}: print"
    assert "TODO" not in SOURCES[name] and "FIXME" not in SOURCES[name]


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_files_are_short_enough_to_read(name):
    assert len(SOURCES[name].splitlines()) <= LONG.get(name, 350)


def test_settings_cannot_be_changed_behind_ones_back():
    for name in ("AutoencoderConfig", "SwapConfig", "TrainConfig", "WarpConfig"):
        config = getattr(deepfake_utils, name)()
        with pytest.raises(AttributeError):
            setattr(config, next(iter(vars(config))), 1)
