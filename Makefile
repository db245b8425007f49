.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BENCH_STAMP := $(VENV)/.installed-bench
CRDS := crds charts/drplan/files/crds
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links

ENGINE ?= docker
IMAGE ?= drplan
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
COMMIT = $(shell git describe --always --dirty --abbrev=40 --match=- 2>/dev/null || echo unknown)

.PHONY: help setup lint format test unit check coverage demo crds docs bench plot profile fuzz chaos soak clean lock audit sbom base-image image

help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"drplan needs Python 3.11 or newer, found {v[0]}.{v[1]}; set PYTHON=/path/to/python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

$(BENCH_STAMP): $(STAMP) requirements-bench.lock
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements-bench.lock
	@touch $(BENCH_STAMP)

setup: $(STAMP) ## make .venv with everything pinned by requirements.lock

lint: $(STAMP) ## ruff, mypy --strict, import layers, bandit, known vulnerabilities, generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m generate.crds --check $(CRDS) --chart charts/drplan
	$(BIN)/python -m generate.rules --check docs/rules.md
	$(BIN)/python -m generate.metrics --check docs/metrics.md
	$(BIN)/python -m generate.settings --check docs/configuration.md
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml app controller drplan webhook
	$(BIN)/python -m supply.audit requirements-runtime.lock

format: $(STAMP) ## put imports and layout in order
	$(BIN)/ruff check --quiet --fix-only --select I .
	$(BIN)/ruff format .

# Tests start hundreds of processes of this checkout: each is faster with the bytecode that the first one has left.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest
FAST := tests/unit tests/property -m 'not cluster and not slow'

test: $(STAMP) ## all tests, the real control plane included (built on first use); T='tests/e2e/test_cancel.py -k deletion': just these
ifdef T
	$(PYTEST) $(T)
else
	$(BIN)/python -m devcluster build --profile full helm promtool
	$(PYTEST) -n 2 --dist loadgroup
endif

unit: $(STAMP) ## the fast tests: single modules and decisions, without a control plane
	$(PYTEST) -n 2 --quiet $(FAST)

coverage: $(STAMP) ## which share of the lines of each package the fast tests pass
	$(PYTEST) -n 2 --quiet $(FAST) --cov --cov-report=
	$(BIN)/python -m tests.support.coverage_table

check: lint unit ## what to run before each commit: lint and the fast tests

demo: $(STAMP) ## a failover and its way back, on a real local control plane
	$(BIN)/python -m examples.demo $(if $(KEEP),--keep)

crds: docs ## generate the CRDs (crds/ and the chart) and docs/ from the models and rules
	$(BIN)/python -m generate.crds --write $(CRDS) --chart charts/drplan

docs: $(STAMP) ## generate the pages of docs/ that are made from the code: rules, metrics, configuration
	$(BIN)/python -m generate.rules --write docs/rules.md
	$(BIN)/python -m generate.metrics --write docs/metrics.md
	$(BIN)/python -m generate.settings --write docs/configuration.md

bench: $(STAMP) ## what runs and reviews cost, beside the floor measured in the same run; ONLY=calls,objects: just these
	$(BIN)/python -m bench $(if $(ONLY),--only $(ONLY)) $(if $(ROUNDS),--rounds $(ROUNDS))

plot: $(BENCH_STAMP) ## measure time and memory against size, and draw docs/scaling.svg
	$(BIN)/python -m bench --only scale-actions,scale-runs,scale-history --points docs/scaling.json
	$(BIN)/python -m bench.plot docs

profile: $(BENCH_STAMP) ## where the processes spend their time, as speedscope files in .profiles; CASE=hundred, CASE=reviews: meanwhile
	$(BIN)/python -m bench.profile $(if $(CASE),--case $(CASE))

lock: $(STAMP) ## pin what pyproject.toml asks for, with hashes; UPGRADE=1 takes newer versions
	$(LOCK) pyproject.toml --extra dev $(if $(UPGRADE),--upgrade) --output-file requirements.lock
	$(LOCK) pyproject.toml --extra otel --constraint requirements.lock --output-file requirements-runtime.lock
	$(LOCK) pyproject.toml --extra bench --constraint requirements.lock --output-file requirements-bench.lock
	$(LOCK) --group build --constraint requirements.lock --output-file requirements-build.lock

audit: $(STAMP) ## known vulnerabilities of the image's packages; unlike lint it fails when they cannot be looked up
	$(BIN)/python -m supply.audit --strict requirements-runtime.lock

SBOM := dist/drplan-$(VERSION).cdx.json
sbom: $(STAMP) ## write the bill of materials of the image's Python packages (CycloneDX) to dist/
	@mkdir -p dist
	$(BIN)/cyclonedx-py requirements requirements-runtime.lock --pyproject pyproject.toml --output-reproducible \
	    --output-file $(SBOM)

base-image: $(STAMP) ## ask ENGINE for the digest of the base image, or of PYTHON_IMAGE=..., and record it in the file base-image
	$(BIN)/python -m supply.base_image --record --engine $(ENGINE) $(if $(PYTHON_IMAGE),--image $(PYTHON_IMAGE))

image: ## build the image $(IMAGE):VERSION with ENGINE=docker, podman or buildah; with its SBOM; PYTHON_IMAGE=...@sha256:... names another base
	@$(ENGINE) info >/dev/null 2>&1 || { \
	    echo "make image needs a running container engine, and '$(ENGINE) info' fails: start it, or name another with ENGINE=podman or ENGINE=buildah" >&2; exit 1; }
	@$(MAKE) --no-print-directory sbom
	@base=$$($(BIN)/python -m supply.base_image $(if $(PYTHON_IMAGE),--image $(PYTHON_IMAGE)) $(if $(ALLOW_TAG),--allow-tag)) \
	    && echo "base image: $$base" \
	    && $(ENGINE) build --build-arg VERSION=$(VERSION) --build-arg COMMIT=$(COMMIT) --build-arg PYTHON_IMAGE=$$base \
	        --tag $(IMAGE):$(VERSION) .

FUZZ_SECONDS ?= 600
fuzz: $(STAMP) ## spoiled and hostile reviews, new ones in every run, for FUZZ_SECONDS; half by atheris if that is installed
	HYPOTHESIS_PROFILE=long FUZZ_SECONDS=$$(( $(FUZZ_SECONDS) / 8 )) $(BIN)/python -m pytest --timeout=0 -rP \
		tests/unit/webhook/test_malformed.py tests/unit/webhook/test_hostile_sizes.py tests/unit/webhook/test_amplification.py tests/security/test_author_loops.py -m 'not cluster'
	@if $(BIN)/python -c 'import atheris' 2>/dev/null; \
	then $(BIN)/python -m tests.fuzz.reviews -max_total_time=$$(( $(FUZZ_SECONDS) / 2 )) -print_final_stats=1; \
	else echo "no coverage guidance: $(BIN)/python -m pip install 'atheris>=3' (Linux) adds it"; fi

CHAOS_MINUTES ?= 60
chaos: $(STAMP) ## every write of representative runs and every fault, for at most CHAOS_MINUTES; ONLY=sequential/Execute,tests/journal: just these
	$(BIN)/python -m devcluster build --profile full helm
	$(BIN)/python -m tests.chaos --minutes $(CHAOS_MINUTES) $(if $(ONLY),--only '$(ONLY)')

SOAK_MINUTES ?= 30
soak: $(STAMP) ## a hundred runs at once under faults, stops and kills by chance, for SOAK_MINUTES; prints what memory does
	$(BIN)/python -m devcluster build --profile minimal
	$(BIN)/python -m tests.chaos.soak --minutes $(SOAK_MINUTES)

clean: ## remove .venv and caches of this checkout (not the binaries in the user cache folder)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .drplan build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
