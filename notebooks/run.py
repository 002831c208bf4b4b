"""Execute a notebook top to bottom without a screen, as `make demo` and the tests do.

    python notebooks/run.py 00_quickstart.ipynb [copy-with-outputs.ipynb]

The notebook runs in its own folder. The file itself is not changed; with a second name the
executed copy, pictures and all, is written there.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

HERE = Path(__file__).parent


def run(name: str, copy_to: Path | None = None, timeout_s: float = 3600.0) -> int:
    """Execute `name`; the exit status: 0 if every cell ran, 1 if one failed."""
    path = HERE / name
    if not path.is_file():
        known = ", ".join(sorted(p.name for p in HERE.glob("*.ipynb")))
        print(f"no notebook {name} in {HERE}; there are: {known}", file=sys.stderr)
        return 1
    notebook = nbformat.read(path, as_version=4)
    os.environ["DEEPFAKE_HEADLESS"] = "1"  # the kernel inherits it: nobody will move a slider
    began = time.monotonic()

    def say_heading(cell: nbformat.NotebookNode, cell_index: int) -> None:
        above = notebook.cells[cell_index - 1] if cell_index else cell
        if above.cell_type == "markdown" and above.source.startswith("#"):
            heading = above.source.splitlines()[0].lstrip("# ")
            print(f"[{time.monotonic() - began:5.0f} s] {heading}", flush=True)

    client = NotebookClient(
        notebook,
        timeout=timeout_s,
        kernel_name="python3",
        resources={"metadata": {"path": str(HERE)}},
        on_cell_execute=say_heading,
    )
    try:
        client.execute()
    except CellExecutionError as error:
        print(f"{name} failed:\n{error}", file=sys.stderr)
        return 1
    finally:
        if copy_to is not None:
            copy_to.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(notebook, copy_to)
    last = [cell for cell in notebook.cells if cell.cell_type == "code"][-1]
    for output in last.outputs:
        if output.output_type == "stream" and output.name == "stdout":
            print(output.text, end="")
    print(f"[{time.monotonic() - began:5.0f} s] done")
    return 0


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Execute a notebook without a screen.")
    parser.add_argument("name", help="file name of a notebook in this folder")
    parser.add_argument("copy", nargs="?", type=Path, help="where to write the executed copy")
    arguments = parser.parse_args()
    return run(arguments.name, arguments.copy)


if __name__ == "__main__":
    sys.exit(main())
