# The two commands of README.md are `make serve` and `make test`; each does all set-up itself.
# Set-up is remembered by stamp files, so a second run starts at once when nothing changed.

PYTHON ?= python3
VENV   ?= .venv
# TORCH=cpu takes the small CPU build of torch (needs internet access to download.pytorch.org). An environment that was
# set up so stays so.
TORCH  ?= $(if $(wildcard $(VENV)/lib/python*/site-packages/torch-*+cpu.dist-info),cpu)
ARGS   ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check
CPU_INDEX := https://download.pytorch.org/whl/cpu
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header --generate-hashes
# The lock lists the CUDA packages of the torch on PyPI, since with hashes nothing may be installed that is not listed.
# The CPU build wants none of them; neither do the other two locks, whose torch is installed by then.
NOT_CUDA := awk '/^[a-z]/ { cuda = /^(cuda-|nvidia-|triton)/ } !cuda'

.DEFAULT_GOAL := help
.PHONY: help serve test test-slow schemas check lint bench soak flow lock setup setup-dev clean

help:  ## show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

serve: setup  ## set up if needed, then serve the hub on http://127.0.0.1:7860 (ARGS="--port 8000" to change)
	$(BIN)/python app.py $(ARGS)

test: setup-dev  ## set up if needed, then run the default tests (ARGS="-k pool" to choose)
	$(BIN)/python -m pytest -n 3 --dist loadfile $(ARGS)

test-slow: setup-dev  ## the tests that take long: every value of every input, live pages, each kind of file at each door
	$(BIN)/python -m pytest -n 3 --dist loadfile -m slow $(ARGS)

schemas: setup-dev  ## ask every REST operation many odd things and hold the answers against the OpenAPI document (ARGS="--cases 200")
	$(BIN)/python -W ignore -m tests.schemas $(ARGS)

check: lint test test-slow  ## what CI runs: lint, types, all tests

lint: setup-dev  ## ruff, mypy and bandit
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --quiet --check .
	$(BIN)/mypy
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive hub demos weights bench app.py streamlit_app.py

bench: setup-dev  ## measure the hub against plain baselines, side by side (ARGS="--quick" for a short run)
	$(BIN)/python -m bench $(ARGS)

soak: setup-dev  ## what takes long to show: memory after thousands of requests, and after a burst of large pictures
	$(BIN)/python -m bench --only soak,burst $(ARGS)

flow: $(VENV)/.installed-flow  ## draw a grid of pictures with Metaflow (ARGS="--page stable_diffusion --subjects ... --max-workers 4")
	$(BIN)/python hub/batch/flow.py run $(ARGS)

lock: setup-dev  ## write requirements*.txt from requirements*.in, with hashes (ARGS=--upgrade takes newer versions too)
	$(PIP) --quiet uv
	$(LOCK) $(ARGS) requirements.in --output-file requirements.txt
	for name in requirements-dev requirements-flow; do \
		$(LOCK) $(ARGS) $$name.in --output-file $$name.txt && $(NOT_CUDA) $$name.txt > $$name.new && mv $$name.new $$name.txt || exit 1; \
	done

setup: $(VENV)/.installed
setup-dev: $(VENV)/.installed-dev

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "This project needs Python 3.11 or newer, found: $$($(PYTHON) --version 2>&1). Say which to use: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "python3 could not make a virtual environment. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@touch $@

$(VENV)/.installed: requirements.txt | $(VENV)/.created
ifeq ($(TORCH),cpu)
	$(PIP) --index-url $(CPU_INDEX) $$(grep -oE '^(torch|torchvision)==[^ ;]+' requirements.txt)
	$(NOT_CUDA) requirements.txt | $(PIP) --require-hashes -r /dev/stdin
else
	$(PIP) --require-hashes -r requirements.txt
endif
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(PIP) --require-hashes -r requirements-dev.txt
	@touch $@

$(VENV)/.installed-flow: requirements-flow.txt $(VENV)/.installed
	$(PIP) --require-hashes -r requirements-flow.txt
	@touch $@

clean:  ## remove the environment and what tools left behind (never results or weights)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
