# Two commands: `make demo` and `make test`.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Node comes with the environment: the machine needs none.
export PATH := $(CURDIR)/$(BIN):$(PATH)
# One torch thread a process: two on two busy cores run slower.
export OMP_NUM_THREADS ?= 1
STAMP := $(VENV)/installed
FRONT := $(shell find labextension -path labextension/node_modules -prune -o -path labextension/lib -prune -o -type f -print 2>/dev/null)

.PHONY: help install demo test lint types front-test unit hub notebooks ui bench clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

install: $(STAMP) ## Build the environment in .venv

$(STAMP): pyproject.toml constraints.txt labextension/package.json
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 install"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

demo: install ## The main job, in JupyterLab (HEADLESS=1: without a browser, writes demo/report.html)
	$(BIN)/jupyter-astroml demo $(if $(HEADLESS),--headless)

test: install lint types front-test unit hub ui ## Everything
	@echo "all tests passed"

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

types: install
	$(BIN)/mypy

front-test: install
	cd labextension && jlpm install --immutable && jlpm lint:check && jlpm test

# Two files of tests at a time: half of what they do is to wait for servers.
# Playwright keeps an event loop running, which tests of asyncio after it cannot bear: browsers last.
unit: install
	$(BIN)/pytest tests -n 2 --dist loadfile --ignore tests/ui --ignore tests/hub --ignore tests/pool/test_pool_page.py

hub: install
	$(BIN)/pytest tests/pool/test_pool_page.py
	$(BIN)/pytest tests/hub

ui: install
	$(BIN)/pytest tests/ui

bench: install ## Print the speed ratios
	@for script in benchmarks/*.py; do $(BIN)/python $$script; done

clean: ## Remove the environment and what was built; your demo/ folder stays
	rm -rf $(VENV) labextension/lib labextension/node_modules jupyter_astroml/labextension
