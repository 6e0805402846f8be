# The commands of the README: `make repro`, `make test` and `make doctor`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export DVC_NO_ANALYTICS := 1
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: repro test check doctor clean

repro: $(VENV)/installed
	@$(BIN)/dvc repro && $(BIN)/python -m stages.show

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
	@$(BIN)/python -m stages.doctor

check: $(VENV)/installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) work dvc_plots
