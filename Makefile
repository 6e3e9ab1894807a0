# Everything a newcomer needs: `make demo`, `make serve`, `make test`. Needs Python 3.11; the rest is installed in .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8000

# BentoML reads this when it is imported, and takes only the word "true" for a no.
export BENTOML_DO_NOT_TRACK := True

.PHONY: help demo serve test bench-service lint weights requirements clean

help:
	@echo "make demo          set up, start the service, turn a sample photo into a GLB, check it, stop"
	@echo "make serve         set up, start the service on port $(PORT) and leave it running"
	@echo "make test          set up, lint, type-check and test"
	@echo "make bench-service measure the service; writes benchmarks/results/service.json"
	@echo "make requirements  compile requirements/*.txt from pyproject.toml anew"

demo: weights
	$(BIN)/python tools/demo.py

serve: weights
	$(BIN)/sam3d-bento serve --port $(PORT)

test: weights lint
	$(BIN)/python -m pytest

bench-service: weights
	$(BIN)/python benchmarks/service.py

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

requirements: $(VENV)/.uv
	$(BIN)/uv pip compile -q pyproject.toml -o requirements/core.txt $(COMPILE)
	$(BIN)/uv pip compile -q pyproject.toml --extra dev -c requirements/core.txt -o requirements/dev.txt $(COMPILE)
COMPILE := --universal --python-version 3.11 --no-emit-index-url --upgrade --custom-compile-command "make requirements"

clean:
	rm -rf $(VENV) demo-output tools/gltf-validator/node_modules

# uv installs in a fifth of pip's time; pip is the fallback where only pip is set up to reach the package registry.
# Bytecode is compiled at once, as pip does: where PYTHONDONTWRITEBYTECODE is set, every start would compile it anew.
INSTALL = $(BIN)/uv pip install -q --compile-bytecode --python $(BIN)/python $(1) || $(BIN)/pip install -q $(1)

$(VENV)/.uv:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "Python 3.11 is needed: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q "uv==0.13.9"
	touch $@

$(VENV)/.core: requirements/core.txt pyproject.toml $(VENV)/.uv
	$(call INSTALL,--only-binary :all: -r requirements/core.txt)
	$(call INSTALL,--no-deps -e .)
	touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.core
	$(call INSTALL,--only-binary :all: -r requirements/dev.txt)
	touch $@

weights: $(VENV)/.core
	$(BIN)/sam3d-bento weights fetch --set mask
