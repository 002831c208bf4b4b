"""pytest -m slow tests/panels/test_ipywidgets7.py: the panels with the widgets that Colab has."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
WIDGETS = Path(sys.prefix) / "ipywidgets7"  # made by `make test-slow`
TESTS = sorted([*HERE.glob("test_*panel.py"), HERE / "test_form.py"])


@pytest.mark.slow
@pytest.mark.skipif(not WIDGETS.is_dir(), reason=f"no {WIDGETS}: make test-slow installs it")
@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_panels_work_with_ipywidgets_7(path):
    before = [str(WIDGETS), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(before)}
    code = "import ipywidgets; print(ipywidgets.__version__)"
    found = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert found.strip() == "7.7.1"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", path]
    run = subprocess.run(
        command, cwd=HERE.parent, env=environment, capture_output=True, text=True, timeout=900
    )
    assert run.returncode == 0, run.stdout[-4000:]
