# The commands of the README: `make install`, `make repro`, `make test` and `make doctor`.
# `make clean-models` forgets every finished training.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export DVC_NO_ANALYTICS := 1
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: install repro test check doctor clean clean-models

install: $(VENV)/installed

repro: $(VENV)/installed
	@$(BIN)/dvc repro --quiet split && $(BIN)/nonmember show --origin
	@$(BIN)/dvc repro && $(BIN)/nonmember show

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "nonmember needs Python 3.11 or newer; name one: make PYTHON=python3.12 …" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet -e .
	@touch $@

$(VENV)/installed-test: pyproject.toml | $(VENV)/installed
	$(BIN)/python -m pip install --quiet -e '.[test]'
	@touch $@

test: $(VENV)/installed-test check
	$(BIN)/python -m pytest -n 2 --dist loadscope

doctor: $(VENV)/installed
	@$(BIN)/nonmember doctor

check: $(VENV)/installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) dvc_plots

clean-models:
	rm -rf work
