"""pytest tests/notebooks/test_address.py: the project's address, and notebooks without it.

`make address URL=...` changes it everywhere.
"""

import re
import shutil
import zipfile
from pathlib import Path

import address
import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# Of a path on GitHub, in whatever kind of link: badge, install line, page.
REPOSITORY = re.compile(r"(?:github\.com|colab\.research\.google\.com/github)/([\w.-]+/[\w.-]+)")
OURS = re.compile(r"deepfake[-_]utils", re.IGNORECASE)


def addresses(root):
    """File -> repositories of this project that it names."""
    found = {}
    for path in address.holders(root):
        named = set(REPOSITORY.findall(path.read_text(encoding="utf-8")))
        found[path.relative_to(root).as_posix()] = {n for n in named if OURS.search(n)}
    return found


def test_all_that_name_the_project_agree_with_setup_py():
    ours = address.current()
    found = addresses(ROOT)
    assert {name for names in found.values() for name in names} == {ours}
    for path in NOTEBOOKS:
        text = path.read_text(encoding="utf-8")
        assert f"colab.research.google.com/github/{ours}/blob/main/notebooks/{path.name})" in text
        assert f"@ git+https://github.com/{ours}" in text
    assert {"README.md", "setup.py"} <= {name for name, names in found.items() if names}


def test_it_is_changed_everywhere_at_once(tmp_path):
    for path in address.holders():
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    (tmp_path / "README.md").open("a").write("\nhttps://github.com/deepfake-utils/deepfake_utils2")
    before = address.current(tmp_path)
    assert len(address.change("https://github.com/some-body/a.copy.git", tmp_path)) >= 13
    assert address.current(tmp_path) == "some-body/a.copy"
    left = {path: names for path, names in addresses(tmp_path).items() if before in names}
    assert left == {}
    assert "deepfake_utils2" in (tmp_path / "README.md").read_text()  # somebody else's
    address.change(f"https://github.com/{before}", tmp_path)
    for path in NOTEBOOKS:
        assert (tmp_path / "notebooks" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    "url", ["", "github.com/a/b", "https://gitlab.com/a/b", "https://github.com/a"]
)
def test_what_colab_could_not_open_is_refused(url, tmp_path):
    with pytest.raises(ValueError, match=r"expected https://github\.com/OWNER/NAME"):
        address.change(url, tmp_path)


# The first cell -------------------------------------------------------------------------------

AWAY = "git+http://127.0.0.1:9/nobody"  # where nothing answers
# The package counts as there if pip has put it into its target folder.
HIDE = """
import importlib.util, os, pathlib
def there(name, found=importlib.util.find_spec):
    folder = pathlib.Path(os.environ["PIP_TARGET"]) / name
    return (folder.is_dir() or None) if name == "deepfake_utils" else found(name)
importlib.util.find_spec = there
"""


def first_cell(path, folder, monkeypatch):
    """Run a notebook's first code cell where its package is missing; what it shows, and if it ran.

    In the folder, with pip, but with an address that is out of reach.
    """
    monkeypatch.setenv("PIP_TARGET", str(folder / "installed"))
    monkeypatch.setenv("PIP_NO_DEPS", "1")
    cells = [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
    cell = nbformat.v4.new_code_cell(re.sub(r"git\+https://[\w./-]+", AWAY, cells[0].source))
    assert AWAY in cell.source
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(HIDE), cell])
    client = NotebookClient(notebook, resources={"metadata": {"path": str(folder)}}, timeout=120)
    try:
        client.execute()
    except CellExecutionError:
        ran = False
    else:
        ran = True
    texts = [o.get("text", "\n".join(o.get("traceback", []))) for o in cell.outputs]
    return "\n".join(texts), ran


@pytest.mark.slow
def test_an_address_out_of_reach_is_one_sentence_and_stops(tmp_path, monkeypatch):
    said, ran = first_cell(NOTEBOOKS[0], tmp_path, monkeypatch)
    assert not ran  # so no later cell is run
    (sentence,) = (line for line in said.splitlines() if AWAY in line)
    assert "upload a wheel" in sentence and "use a clone" in sentence
    assert "Traceback" not in said and len(said.splitlines()) < 12


@pytest.mark.slow
@pytest.mark.parametrize("name", ["00_quickstart", "04_score"])  # without and with an extra
def test_a_wheel_beside_the_notebook_is_taken_instead(name, tmp_path, monkeypatch):
    wheel, about = (
        tmp_path / "deepfake_utils-0.0.0-py3-none-any.whl",
        "deepfake_utils-0.0.0.dist-info",
    )
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("deepfake_utils/__init__.py", "")
        metadata = "Metadata-Version: 2.1\nName: deepfake-utils\nVersion: 0.0.0\n"
        file.writestr(f"{about}/METADATA", metadata + "Provides-Extra: score\n")
        file.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{about}/RECORD", "")
    said, ran = first_cell(ROOT / "notebooks" / f"{name}.ipynb", tmp_path, monkeypatch)
    assert ran, said
    assert (tmp_path / "installed" / "deepfake_utils").is_dir()
