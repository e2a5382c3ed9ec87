# Two commands for everyone: `make demo` and `make test`. Both set up .venv first.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SOURCES := metanas metadata_store tasks

# One thread a process: the tests run in parallel, and a curve depends on its
# thread count in the last bits.
export OMP_NUM_THREADS ?= 1

.PHONY: setup demo test check format lint types layers tests bench-store bench-fused clean

setup: $(INSTALLED)

$(INSTALLED): requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

demo: $(INSTALLED)
	OMP_NUM_THREADS=$$(nproc) $(BIN)/metanas demo --out demo-output

test: check

check: format lint types layers tests

format: $(INSTALLED)
	$(BIN)/ruff format --check .

lint: $(INSTALLED)
	$(BIN)/ruff check .

types: $(INSTALLED)
	$(BIN)/mypy

layers: $(INSTALLED)
	$(BIN)/lint-imports

tests: $(INSTALLED)
	$(BIN)/pytest -n 2 --dist loadfile

bench-store: $(INSTALLED)
	$(BIN)/python -m metadata_store.benchmark

bench-fused: $(INSTALLED)
	$(BIN)/python -m metanas.bench.fused

clean:
	rm -rf $(VENV) demo-output .mypy_cache .ruff_cache .pytest_cache .hypothesis
