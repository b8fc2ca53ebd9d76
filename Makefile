# RouteIQ Appliance. `make` lists the verbs; every verb creates .venv on first use.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := signing vendor images router appliance
# One cache for pip beside the pool: what the environments fetched is not fetched again for the bundle.
export PIP_CACHE_DIR := $(CURDIR)/build/cache/pip
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# The wheels of .venv are downloaded once, into a folder that the pool adopts; a second .venv needs no network.
WHEELS := build/cache/wheels
LOCKED := --no-deps --require-hashes --only-binary :all: -r vendor/locks/build.txt
DOWNLOAD := $(BIN)/pip download --dest $(WHEELS) $(LOCKED)
INSTALL := $(BIN)/pip install --quiet --no-index --find-links $(WHEELS) $(LOCKED)

.PHONY: help venv lock fetch bundle demo test lint bench bench-router bench-gateway clean

help: $(VENV)/.ready ## List the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

venv: $(VENV)/.ready ## Create .venv with the pinned build tools (every verb does this first)

$(VENV)/.ready: vendor/locks/build.txt $(PACKAGES:%=%/pyproject.toml)
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) not found; install Python 3.11 or set PYTHON=" >&2; exit 1; }
	@echo "installing the pinned build tools into $(VENV) (vendor/locks/build.txt)" >&2
	@mkdir -p $(WHEELS)
	@$(PYTHON) -m venv $(VENV)
	@$(INSTALL) 2>/dev/null || { $(DOWNLOAD) >&2 && $(INSTALL) >&2; }
	@$(BIN)/pip install --quiet --no-deps --no-index --no-build-isolation $(PACKAGES:%=-e ./%) >&2
	@touch $@

lock: $(VENV)/.ready ## Renew the locks and show what moved
	@$(BIN)/routeiq vendor lock

fetch: $(VENV)/.ready ## Fill the pool with everything that the locks name
	@$(BIN)/routeiq vendor fetch

bundle: $(VENV)/.ready ## Build the signed bundle into dist/ (KEY=FILE, TRUST=DIR, STRICT=1, OFFLINE=1)
	@$(BIN)/routeiq vendor fetch
	@$(BIN)/routeiq bundle create

demo: $(VENV)/.ready ## A real LLM behind the gateway in a sealed namespace (CHECK=1: exit after the check)
	@$(BIN)/routeiq demo

test: $(VENV)/.ready ## Lint, types, unit and end-to-end tests on real components
	@$(BIN)/routeiq vendor fetch >&2
	@$(BIN)/routeiq vendor layout-models build/dev/models >&2
	@$(BIN)/nox -s lint unit e2e

lint: $(VENV)/.ready ## ruff, mypy, import-linter
	@$(BIN)/nox -s lint

bench: $(VENV)/.ready ## Side-by-side measurements (benchmarks/README.md)
	@$(BIN)/nox -s bench

bench-router: $(VENV)/.ready ## Routing quality and speed, beside the usual way (ONLY=quality,latency,rivals)
	@$(BIN)/nox -s bench-router -- $(if $(ONLY),--only $(ONLY))

bench-gateway: $(VENV)/.ready ## The gateway beside LiteLLM's proxy (ONLY=PART,…, SECONDS=N a step, MINUTES=N for ONLY=soak)
	@$(BIN)/nox -s bench-gateway -- $(if $(ONLY),--only $(ONLY)) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(MINUTES),--minutes $(MINUTES))

clean: ## Remove dist/ and build/ but for the pool
	@rm -rf dist $(filter-out build/pool build/cache,$(wildcard build/*))
