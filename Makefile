# The commands of the README: `make install`, `make repro`, `make test` and `make doctor`.
# `make clean-models` forgets every finished training. For those who work on the project:
# `make test-oldest` runs quick tests with the oldest versions that pyproject.toml allows, and
# `make constraints` rewrites constraints.txt from the newest ones.
PYTHON ?= python3
VENV := .venv
CONSTRAINTS ?= constraints.txt
BIN := $(VENV)/bin
OLDEST_TESTS := tests/test_packaging.py tests/test_statistics.py tests/metrics \
	tests/test_files.py tests/test_params.py tests/test_config.py tests/plots \
	tests/datasets tests/attacks tests/pipeline/test_pipeline_split.py \
	tests/defenses/test_defenses_dp_sgd.py \
	tests/test_pipeline.py::test_everything_is_there_after_one_repro
export DVC_NO_ANALYTICS := 1
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: install install-test repro test test-oldest run-oldest check constraints doctor clean clean-models

install: $(VENV)/installed

install-test: $(VENV)/installed-test

repro: $(VENV)/installed
	@said=$$($(BIN)/dvc repro --quiet split) && $(BIN)/nonmember show --origin && echo "$$said"
	@$(BIN)/dvc repro && $(BIN)/nonmember show

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "nonmember needs Python 3.11 or newer; name one: make PYTHON=python3.12 …" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c $(CONSTRAINTS) -e .
	@touch $@

$(VENV)/installed-test: pyproject.toml $(CONSTRAINTS) | $(VENV)/installed
	$(BIN)/python -m pip install --quiet -c $(CONSTRAINTS) -e '.[test,check]'
	@touch $@

test: $(VENV)/installed-test check
	$(BIN)/python -m pytest -n 2 --dist loadscope

test-oldest:
	$(MAKE) VENV=.venv-oldest CONSTRAINTS=constraints-oldest.txt run-oldest

run-oldest: $(VENV)/installed
	$(BIN)/python -m pip install --quiet -c $(CONSTRAINTS) -e '.[test]'
	$(BIN)/python -m pytest -n 2 --dist loadscope $(OLDEST_TESTS)

doctor: $(VENV)/installed
	@$(BIN)/nonmember doctor

check: $(VENV)/installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

constraints:
	rm -rf .venv-newest
	$(MAKE) VENV=.venv-newest CONSTRAINTS=/dev/null install-test
	.venv-newest/bin/python -m tools.pins newest
	rm -rf .venv-newest

clean:
	rm -rf $(VENV) .venv-oldest .venv-newest dvc_plots

clean-models:
	rm -rf work
