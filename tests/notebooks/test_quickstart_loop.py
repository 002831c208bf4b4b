"""pytest -m slow tests/notebooks/test_quickstart_loop.py: the loop in 00 can be interrupted."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

PATH = Path(__file__).parents[2] / "notebooks" / "00_quickstart.ipynb"
LOOP = "    for _ in trainer.run(minutes=minutes):\n"
STOP = "        if trainer.step == stop_at:\n            raise KeyboardInterrupt\n"


def code(source, **metadata):
    return nbformat.v4.new_code_cell(source, metadata=metadata)


def numbers(cell):
    return [int(n) for n in "".join(output.get("text", "") for output in cell.outputs).split()]


def run(cells):
    notebook = nbformat.v4.new_notebook(cells=cells)
    resources = {"metadata": {"path": str(PATH.parent)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    return notebook.cells


@pytest.mark.slow
def test_an_interrupted_loop_goes_on_and_a_lost_kernel_takes_up_the_last_save(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("FAST_RUN", "1")
    monkeypatch.setenv("DEEPFAKE_OUTPUT", str(tmp_path))
    cells = [c.source for c in nbformat.read(PATH, as_version=4).cells if c.cell_type == "code"]
    at = next(i for i, source in enumerate(cells) if LOOP in source)
    small = 'NetworkChoice("quick", 64, minutes=5.0'  # so that its steps are quick on any machine
    before = [code(source.replace("NetworkChoice(minutes=0.1", small)) for source in cells[:at]]
    loop = cells[at].replace(LOOP, LOOP + STOP)
    tell = "print(trainer.step, len(snapshots), store.entries()[-1].step)"
    cut = {"tags": ["raises-exception"]}
    first = [code("every, stop_at = 0.0, 18"), code(loop, **cut), code(tell)]
    second = [code("stop_at = 29"), code(loop, **cut), code(tell)]
    executed = run([*before, *first, *second])
    pictures, done = executed[len(before) - 1], executed[len(before) :]
    assert [done[i].outputs[-1].ename for i in (1, 4)] == ["KeyboardInterrupt"] * 2
    assert numbers(done[2]) == [18, 18, 17]  # the picture before the first step is one, too
    assert numbers(done[5]) == [29, 28, 28]  # nothing was begun anew
    # The grid and the curve, drawn over and over again.
    assert sum("image/png" in output.get("data", {}) for output in pictures.outputs) == 2

    told = code("print(begun_at, round(trainer.clock.spent_s), round(trainer.clock.left_s))")
    begun_at, spent_s, left_s = numbers(run([*before, told])[-1])
    assert begun_at == 28 and 0 < spent_s < 300 and abs(spent_s + left_s - 300) <= 1
