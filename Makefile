# Two commands for a fresh Debian 12 machine, as root: `make lab` and `make test`.
PYTHON ?= /usr/bin/python3
VENV := .venv
BIN := $(VENV)/bin
export DEBIAN_FRONTEND := noninteractive

.PHONY: lab test walks bench check suites setup clean

setup: $(VENV)/.done

$(VENV)/.done: pyproject.toml lab/packages.txt
	sh lab/install-packages
	test -x $(BIN)/python3 || $(PYTHON) -m venv $(VENV)
	$(BIN)/python3 -m pip install --quiet --disable-pip-version-check --editable '.[dev]' --config-settings editable_mode=compat
	touch $@

lab: setup
	$(BIN)/python3 -m lab $(if $(REGISTRY),--registry $(REGISTRY))

test: setup
	$(BIN)/python3 -m pytest -q

# Every point at which a process can be killed or a call can fail; `make test` walks a sample.
walks: setup
	PODLING_WALK=all $(BIN)/python3 -m pytest -q tests/walks

bench: setup
	$(BIN)/python3 -m bench $(if $(RUNS),--runs $(RUNS))

check: setup
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/python3 -m pytest -q -p no:cacheprovider tests/unit/test_architecture.py

# Third-party suites, where SUITES names a directory with their runners and OCI_SUITES one with their sources.
suites: setup
	$(BIN)/python3 -m tests.suites $(SUITES)

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .lab .bench
