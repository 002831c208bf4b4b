# Needs only Python 3.10+, make and git: the first call of a target builds .venv by itself.
PYTHON ?= python3
ARGS ?=

VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
TORCH := $(shell sed -n 's/^torch==\([^ ;]*\).*/\1/p' constraints.txt)
INSTALL := -m pip --disable-pip-version-check install -qq -c constraints.txt

# albumentations asks the network for news at each import otherwise.
export NO_ALBUMENTATIONS_UPDATE := 1

.DEFAULT_GOAL := help
.PHONY: help setup fan demo test test-slow test-real test-gpu lint format constraints clean

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

# Two files at a time: threads of two processes would only wait for each other, so one each.
test: $(STAMP) ## the fast tests; ARGS="..." goes to pytest
	@OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadfile $(ARGS)

test-slow test-real test-gpu: $(STAMP) ## the tests with that marker
	@$(PY) -m pytest -m $(@:test-%=%) $(ARGS)

lint: $(STAMP) ## what CI checks before the tests
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy deepfake_utils
	@$(PY) -m nbstripout --verify notebooks/*.ipynb

format: $(STAMP) ## mend what can be mended by itself
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .
	@$(PY) -m nbstripout notebooks/*.ipynb

constraints: $(STAMP) ## pin the newest versions anew (torch stays: change its pin by hand first)
	@$(PY) $(INSTALL) uv
	@echo 'torch==$(TORCH)' > $(VENV)/torch.txt
	@echo uv | $(VENV)/bin/uv pip compile -q setup.py - --extra dev -c $(VENV)/torch.txt \
	  --universal --python-version 3.10 --no-annotate --no-header --no-emit-index-url \
	  -o $(VENV)/pins.txt
	@{ sed '/^[^#]/,$$d' constraints.txt; \
	   sed -E "/^(cuda-|nvidia-|triton)|implementation_name == 'pypy'/d" $(VENV)/pins.txt; \
	 } > $(VENV)/constraints.txt
	@mv $(VENV)/constraints.txt constraints.txt

clean: ## delete caches and build files, never results
	@rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
	@find deepfake_utils notebooks tests -name __pycache__ -prune -exec rm -rf {} +
