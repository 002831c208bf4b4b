# Needs only Python 3.10+, make and git: the first call of a target builds .venv by itself.
PYTHON ?= python3
ARGS ?=
URL ?=

VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
TORCH := $(shell sed -n 's/^torch==\([^ ;]*\).*/\1/p' constraints.txt)
INSTALL := -m pip --disable-pip-version-check install -qq -c constraints.txt

# albumentations asks the network for news at each import otherwise.
export NO_ALBUMENTATIONS_UPDATE := 1

.DEFAULT_GOAL := help
.PHONY: help setup fan demo wheel address test test-colab-python setup-colab-python test-slow test-real test-gpu test-browser lint format constraints \
        clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z][a-z -]*:.*## / {printf "make %-28s %s\n", $$1, $$2}' Makefile

setup: $(STAMP) ## build .venv (the targets below do so themselves)

# Touched last, so an interrupted set-up is taken up again by the next call.
$(STAMP): setup.py constraints.txt
	@$(PY) -c 'import pip' 2>/dev/null || { \
	  command -v $(PYTHON) >/dev/null \
	    || { echo "setup: no $(PYTHON) found; install Python 3.10 or newer"; exit 1; }; \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	    || { echo "setup: needs Python 3.10 or newer, but $(PYTHON) is" \
	         "$$($(PYTHON) -V 2>&1); try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }; \
	  $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	    || { echo "setup: $(PYTHON) cannot create virtual environments; on Debian or Ubuntu:" \
	         "sudo apt install python3-venv"; exit 1; }; \
	  echo "setup: creating $(VENV) with $$($(PYTHON) -V 2>&1)"; \
	  $(PYTHON) -m venv $(VENV); \
	}
	@# The standard Linux build of torch brings gigabytes of CUDA, so it is for machines with a GPU
	@# only. Where pip knows no +cpu build, uv knows by itself where they are kept.
	@if $(PY) -c 'import sys; from importlib.metadata import version; \
	    sys.exit(version("torch").split("+")[0] != "$(TORCH)")' 2>/dev/null; then :; \
	elif [ "$$(uname)" != Linux ] || nvidia-smi -L 2>/dev/null | grep -q '^GPU'; then \
	  echo "setup: installing torch $(TORCH)"; \
	  $(PY) $(INSTALL) torch==$(TORCH); \
	else \
	  echo "setup: no GPU found: installing the CPU build of torch $(TORCH) (about 200 MB)"; \
	  $(PY) $(INSTALL) torch==$(TORCH)+cpu 2>/dev/null \
	  || { $(PY) $(INSTALL) uv && $(VENV)/bin/uv pip install -q --python $(PY) \
	       -c constraints.txt --torch-backend=cpu torch==$(TORCH); } 2>/dev/null \
	  || { echo "setup: no CPU build within reach: installing the standard one (several GB)"; \
	       $(PY) $(INSTALL) torch==$(TORCH); }; \
	fi
	@echo "setup: installing the package and its tools"
	@$(PY) $(INSTALL) -e '.[dev]'
	@touch $@

# face-alignment's desktop OpenCV overwrites the headless one's files and cannot be imported
# without libGL, so the headless one is written once more, on top.
fan: $(STAMP) ## add face-alignment, the second landmark detector
	@echo "setup: installing face-alignment, then headless OpenCV over its desktop one"
	@$(PY) $(INSTALL) -e '.[fan]'
	@$(PY) $(INSTALL) --force-reinstall --no-deps opencv-python-headless

demo: $(STAMP) ## run the quick-start notebook on the sample clips; results are in output/
	@$(PY) notebooks/run.py 00_quickstart.ipynb

wheel: $(STAMP) ## build the package as one file, dist/*.whl, to upload where there is no network
	@$(PY) -m pip --disable-pip-version-check wheel -q --no-deps -w dist . && ls dist/*.whl

address: $(STAMP) ## change the project's address everywhere; URL=https://github.com/OWNER/NAME
	@$(PY) notebooks/address.py "$(URL)"

# Two files at a time: threads of two processes would only wait for each other, so one each.
test: $(STAMP) ## the fast tests; ARGS="..." goes to pytest
	@OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadfile $(ARGS)

# Colab's Python, in an environment of its own; pyenv's interpreters are not all on the path.
COLAB_PYTHON := 3.13
FIND_COLAB := $(shell for python in python$(COLAB_PYTHON) \
  "$$(pyenv root 2>/dev/null)"/versions/$(COLAB_PYTHON).*/bin/python; do \
  "$$python" -c 'import ensurepip, venv' 2>/dev/null && echo "$$python" && break; done)
setup-colab-python test-colab-python: ## the fast tests on Colab's Python, if this machine has it
	@[ -n "$(FIND_COLAB)" ] || { echo "$@: no Python $(COLAB_PYTHON) here, nothing is done"; exit 0; }; \
	$(MAKE) --no-print-directory VENV=.venv-$(COLAB_PYTHON) PYTHON=$(FIND_COLAB) \
	  $(@:%-colab-python=%)

test-slow: $(STAMP) $(VENV)/ipywidgets7/share ## every notebook, Colab rehearsed, and other slow tests
	@OMP_NUM_THREADS=1 $(PY) -m pytest -m slow -n 2 --dist worksteal $(ARGS)

test-real test-gpu: $(STAMP) ## the tests with that marker
	@$(PY) -m pytest -m $(@:test-%=%) $(ARGS)

# Colab's widgets, beside the newer ones: a test that wants them puts this folder first.
$(VENV)/ipywidgets7/share: | $(STAMP)
	@rm -rf $(@D) $(@D).part
	@$(PY) -m pip --disable-pip-version-check install -qq --no-deps --target $(@D).part \
	  ipywidgets==7.7.1 widgetsnbextension==3.6.10 ipython_genutils==0.2.0 jupyterlab_widgets==1.1.11
	@mv $(@D).part $(@D)

# The notebooks in JupyterLab and Chromium; pictures of them go to output/browser/.
test-browser: $(VENV)/.browser $(VENV)/ipywidgets7/share ## the notebooks as a person uses them, in a real browser
	@$(PY) -m pytest -m browser $(ARGS)

$(VENV)/.browser: $(STAMP)
	@for name in chromium chromium-browser google-chrome; do command -v $$name; done | grep -q . || { \
	  [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	    || { echo "test-browser: no Chromium found; on Debian: sudo apt install chromium"; exit 1; }; \
	  echo "test-browser: installing Chromium"; \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
	}
	@echo "test-browser: installing JupyterLab and Playwright"
	@$(PY) $(INSTALL) -e '.[browser]'
	@touch $@

lint: $(STAMP) ## what CI checks before the tests
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy deepfake_utils
	@$(PY) -m nbstripout --verify notebooks/*.ipynb

format: $(STAMP) ## mend what can be mended by itself
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .
	@$(PY) -m nbstripout notebooks/*.ipynb

# A release may have files for other systems only: nothing newer than what Linux can have.
COMPILE := $(VENV)/bin/uv pip compile -q setup.py --extra dev --extra browser \
  --no-annotate --no-header --no-emit-index-url
constraints: $(STAMP) ## pin the newest versions anew (torch stays: change its pin by hand first)
	@echo 'torch==$(TORCH)' > $(VENV)/torch.txt
	@$(COMPILE) -c $(VENV)/torch.txt --python-version 3.13 \
	  --python-platform x86_64-manylinux_2_28 -o $(VENV)/linux.txt --upgrade
	@sed 's/==/<=/' $(VENV)/linux.txt > $(VENV)/newest.txt
	@$(COMPILE) -c $(VENV)/torch.txt -c $(VENV)/newest.txt --python-version 3.10 --universal \
	  -o $(VENV)/pins.txt --upgrade
	@{ sed '/^[^#]/,$$d' constraints.txt; \
	   sed -E "/^(cuda-|nvidia-|triton)|implementation_name == 'pypy'/d" $(VENV)/pins.txt; \
	 } > $(VENV)/constraints.txt
	@mv $(VENV)/constraints.txt constraints.txt

clean: ## delete caches and build files, never results
	@rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
	@find deepfake_utils notebooks tests -name __pycache__ -prune -exec rm -rf {} +
