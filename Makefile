# Targets for operators trying ccbridge and for developers. Nothing but Python 3.11+ is needed.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
DEMO_STAMP := $(VENV)/.installed-demo
# what is locked, byte for byte: the locks are whole, so nothing is resolved again, and product and sandbox are built
# by the locked setuptools, from the checkout
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps
DECLARED := setup.cfg standin/pyproject.toml
# a worker more than cores, as tests wait for servers; each begins with a run of neighbours, which share servers,
# and takes from another when done. `make test PARALLEL=` is serial
WORKERS  ?= $(shell $(PYTHON) -c 'import os; print(min(4, 1 + (os.cpu_count() or 1)))')
PARALLEL ?= --numprocesses $(WORKERS) --dist worksteal

# the tests start many processes: where this is set, each compiles every module again
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help

.PHONY: help demo unit test test-all mutants dev format lint types imports check bench coverage lock sbom docs clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): requirements/dev.txt $(DECLARED)
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --require-hashes -r requirements/dev.txt
	$(INSTALL) --no-build-isolation -e . -e standin
	touch $@ $(DEMO_STAMP)

$(DEMO_STAMP): requirements/demo.txt $(DECLARED)
	@echo "installing what the demo needs into $(VENV)"
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --require-hashes -r requirements/demo.txt
	$(INSTALL) --no-build-isolation -e . -e standin
	touch $@

dev: $(STAMP) ## make .venv with everything developers need

demo: $(DEMO_STAMP) ## run the main job on a sandbox; DEMO_SECONDS=20 ends it, DEMO_KEEP=DIR leaves it up
	$(BIN)/ccbridge demo $(if $(DEMO_SECONDS),--seconds $(DEMO_SECONDS))

test: $(STAMP) ## what CI runs: checks and all tests but the slow ones
	$(MAKE) --no-print-directory --jobs 3 lint types imports
	$(BIN)/python -m pytest -m "not slow" $(PARALLEL)

unit: $(STAMP) ## the tests that need no server
	$(BIN)/python -m pytest -m "not slow" $(PARALLEL) tests/unit standin/sandbox_tests/unit

test-all: $(STAMP) ## every test, the slow ones too
	$(BIN)/python -m pytest $(PARALLEL)

mutants: $(STAMP) ## break each guard of the product and see that a test notices
	$(BIN)/python -m tests.mutants --jobs 2

format: $(STAMP) ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(STAMP) ## ruff, format included
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP) ## mypy strict
	$(BIN)/mypy

imports: $(STAMP) ## the layers of the rooms
	PYTHONPATH=.:standin $(BIN)/lint-imports
	PYTHONPATH=.:standin $(BIN)/lint-imports --config standin/pyproject.toml

check: lint types imports ## all static checks

bench: $(STAMP) ## measure; one JSON line a figure
	$(BIN)/python -m benchmarks

# digests come from the index, of the files of every platform; no file is downloaded
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	--override requirements/local.in --no-emit-package ccbridge-sandbox

lock: $(STAMP) ## renew the locks in requirements/ from setup.cfg and standin/pyproject.toml
	$(LOCK) $(LOCK_OPTIONS) --extra dev --output-file requirements/dev.txt setup.cfg
	$(LOCK) --constraint requirements/dev.txt --extra build --extra sandbox --output-file requirements/demo.txt setup.cfg
	$(LOCK) --constraint requirements/dev.txt --extra build --extra debezium --output-file requirements/debezium.txt setup.cfg
	$(LOCK) --constraint requirements/dev.txt --extra build --output-file requirements/run.txt setup.cfg
	$(LOCK) --constraint requirements/dev.txt --extra build --extra docs --output-file requirements/docs.txt setup.cfg

DOCS_STAMP := $(VENV)/.installed-docs
$(DOCS_STAMP): $(STAMP) requirements/docs.txt
	$(INSTALL) --require-hashes -r requirements/docs.txt
	touch $@

docs: $(DOCS_STAMP) ## build the docs site into build/docs; warnings are errors
	$(BIN)/python -m sphinx -b html -c docs/site -W --keep-going --quiet -d build/doctrees . build/docs
	@echo "build/docs/docs/site/contents.html"

coverage: $(STAMP) ## what `make test` tests, with the branch coverage of the product and its floor
	$(BIN)/python -m pytest -m "not slow" $(PARALLEL) --cov --cov-report=term:skip-covered --cov-report=html:build/coverage

sbom: $(STAMP) ## write ccbridge.cdx.json: all that is installed in production, CycloneDX
	$(BIN)/python requirements/sbom.py requirements/run.txt \
		$$($(BIN)/python -c "import cdc; print(cdc.__version__)") >ccbridge.cdx.json

clean: ## remove what the targets made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info ccbridge.cdx.json
