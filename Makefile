# Every target does its own set-up: a bare checkout and Python 3.10–3.13 are enough.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: demo test test-all lint bench clean

demo: $(VENV)/ready
	$(BIN)/python tools/demo.py

test: $(VENV)/ready
	$(BIN)/python -m pytest -n auto -m "not slow"

test-all: $(VENV)/ready
	$(BIN)/python -m pytest -n auto

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	# As installed: only there are export/, build_configs/ and vdsp_params/ inside the package.
	rm -rf build/installed
	$(BIN)/python -m pip install --quiet --no-deps --target build/installed .
	cd build/installed && ../../$(BIN)/mypy --config-file ../../pyproject.toml

bench: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --editable '.[peers]'
	$(BIN)/python benchmarks/peers.py

clean:
	rm -rf $(VENV) build *.egg-info demo_output

$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@
