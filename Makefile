# Two commands do everything on a fresh machine: `make run` and `make test`. Both set up what they need first.
.DEFAULT_GOAL := help
.PHONY: help setup run peers lint types pytest check test soak

# Images that never write bytecode would have each of hundreds of processes compile what it imports.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PREPARED := $(VENV)/.prepared

help: ## List the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /	/' | expand -t 8

setup: $(PREPARED) ## Make .venv from exact pins, and find or install Java

# Once for every home: Spark's classes in an archive (five seconds of processor time a night), and empty databases.
$(PREPARED): $(STAMP)
	@sh deployments/find-java.sh
	@$(BIN)/python -m flows.prepare >/dev/null
	@touch $@

# Again only when the pins or the declared dependencies change.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null \
	  || { echo "error: Python 3.11 or 3.12 is needed; install one, or: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@echo "Setting up $(VENV): about 1.5 GB and two minutes, once"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
	  || { echo "error: no venv module; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

run: setup ## One whole night on made data
	@$(BIN)/nightjar run deployments/demo.yaml

# RecTools wants older libraries than Nightjar's, hence an environment of its own.
peers: .peers/.installed ## What tests and benchmarks measure beside
.peers/.installed: benchmarks/peers.txt
	@$(PYTHON) -m venv .peers
	@.peers/bin/python -m pip install -qq --disable-pip-version-check -r benchmarks/peers.txt
	@touch $@

lint: setup ## ruff, and imports that go the wrong way
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports --no-logo --no-cache

types: setup ## mypy
	@$(BIN)/mypy

# Two processes. A file's tests stay together: they share a home or a service that is dear to make.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
# mypy has one thread and tests wait now and then: side by side they leave no core idle.
SIDE_BY_SIDE := $(MAKE) --no-print-directory -j 2 types pytest

pytest: setup peers
	@$(PYTEST) $(TESTS)

check: lint peers ## For every save: lint, types, and all tests that need no JVM, server, browser or whole night
	@$(SIDE_BY_SIDE) TESTS='-m "not slow and not soak"'

test: lint peers ## What CI runs: lint, types and every test but those of `make soak`
	@$(SIDE_BY_SIDE) TESTS='-m "not soak" --durations 20'

# An hour at most. `make soak NIGHTJAR_TEST_SEED=...` repeats the random moments of an earlier one.
soak: setup peers ## At length: a kill inside every stage, kills at random, the demo's night, 200 examples of every law
	@HYPOTHESIS_PROFILE=soak timeout --signal INT 3600 $(PYTEST) -m "soak or hypothesis" --durations 20
