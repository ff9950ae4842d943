# Everything a newcomer needs: `make up` and `make test`. Each target sets up what is missing and is quick otherwise.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
NAME ?= default
RECORDINGS ?= ../shared/oracle
export RECORDINGS

.PHONY: up down status test fast check bench soak recordings machine clean

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "sampan needs Python 3.11 or newer; give one with PYTHON=")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing Python packages into $(VENV)"
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@$(BIN)/python -m compileall -q src  # the first start is as quick as every other
	@touch $@

machine: $(STAMP)
	@$(BIN)/python tools/setup_machine.py

# a cluster with the hello example, in the background
up: machine
	@$(BIN)/sampan up --name $(NAME)
	@$(BIN)/python examples/hello/run.py --name $(NAME)

down: $(STAMP)
	@$(BIN)/sampan down --name $(NAME)

status: $(STAMP)
	@$(BIN)/sampan status --name $(NAME)

# every test; what it needs and can install, it installs
test: $(STAMP)
	@$(BIN)/python tools/setup_machine.py --tests
	@$(MAKE) --no-print-directory check
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not kernel and not e2e"
	$(BIN)/python -m pytest -q -m "kernel or e2e"
	@$(MAKE) --no-print-directory recordings

# the tests that need no root, no kernel and no containers
fast: $(STAMP)
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not kernel and not e2e"

check: $(STAMP)
	@mkdir -p build
	$(BIN)/ruff check --quiet
	$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache > build/imports.txt 2>&1 || { cat build/imports.txt; exit 1; }
	$(BIN)/python tools/generate_api.py --check
	$(BIN)/python tools/check_project.py

# replay what a real API server answered, where the recordings are
recordings: $(STAMP)
	@$(BIN)/python tools/recordings.py

soak: $(STAMP)
	SAMPAN_SOAK=1 $(BIN)/python -m pytest -q -m soak

bench: $(STAMP)
	@$(BIN)/python tools/setup_machine.py --bench
	$(BIN)/python bench/run.py

clean:
	rm -rf $(VENV) build dist
