# Every target does its own set-up: a bare checkout and Python 3.10–3.13 are enough.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: demo test test-unit test-all shuffle coverage lint bench clean

demo: $(VENV)/ready
	$(BIN)/python tools/demo.py

# What compiles nothing and starts no processes, to run after every change.
UNIT := $(addprefix tests/,artifact attacks check config data evaluate guards quantize runtime/reference runtime/vdsp safe_io)

test-unit: $(VENV)/ready
	$(BIN)/python -m pytest -n auto -m "not slow" $(UNIT)

# The same in random orders; `pytest --randomly-seed=SEED` repeats the order of a run that failed.
RUNS ?= 50
shuffle: $(VENV)/ready
	for seed in $$(seq $(RUNS)); do echo "seed $$seed"; \
	    $(BIN)/python -m pytest -q -n auto -m "not slow" --randomly-seed=$$seed $(UNIT) || exit 1; done

# Branch coverage of the integer core: the reference and what decides scales and codes.
coverage: $(VENV)/ready
	mkdir -p build
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest -q -p no:randomly tests/runtime/reference \
	    tests/quantize/test_scheme.py tests/quantize/test_qdq.py
	$(BIN)/python -m coverage report

test: $(VENV)/ready
	$(BIN)/python -m pytest -n auto --dist loadgroup -m "not slow"

test-all: $(VENV)/ready
	$(BIN)/python -m pytest -n auto --dist loadgroup

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	# As installed: only there are export/, build_configs/ and vdsp_params/ inside the package.
	rm -rf build/installed build/lib  # setuptools keeps what it once copied there
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
