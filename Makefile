# The two commands of README.md are `make serve` and `make test`; each does all set-up itself.
# Set-up is remembered by stamp files, so a second run starts at once when nothing changed.

PYTHON ?= python3
VENV   ?= .venv
# TORCH=cpu takes the small CPU build of torch (needs internet access to download.pytorch.org). An environment that was
# set up so stays so.
TORCH  ?= $(if $(wildcard $(VENV)/lib/python*/site-packages/torch-*+cpu.dist-info),cpu)
ARGS   ?=

# Where this is set, every process compiles again all that it imports, and a hub starts several times as slowly.
unexport PYTHONDONTWRITEBYTECODE

BIN := $(VENV)/bin
# Python compiles what it imports when it does; to compile every file of every package takes a minute.
PIP := $(BIN)/python -m pip install --disable-pip-version-check --no-compile
CPU_INDEX := https://download.pytorch.org/whl/cpu
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header --generate-hashes
# The lock lists the CUDA packages of the torch on PyPI, since with hashes nothing may be installed that is not listed.
# The CPU build wants none of them; neither do the other locks, whose torch is installed by then.
NOT_CUDA := awk '/^[a-z]/ { cuda = /^(cuda-|nvidia-|triton)/ } !cuda'

.DEFAULT_GOAL := help
.PHONY: help serve test test-slow test-release test-ray test-bench schemas check lint bench bench-full soak flow docs lock setup setup-dev setup-ray setup-bench clean

help:  ## show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

serve: setup  ## set up if needed, then serve the hub on http://127.0.0.1:7860 (ARGS="--port 8000" to change)
	$(BIN)/python app.py $(ARGS)

test: setup-dev  ## set up if needed, then run the default tests (ARGS="-k pool" to choose)
	$(BIN)/python -m pytest -n 3 --dist loadfile $(ARGS)

test-ray: setup-dev setup-ray  ## set up Ray if needed, then the tests of the executor on it, in about four minutes
	$(BIN)/python -m pytest -m ray tests/cluster $(ARGS)

test-slow: setup-dev  ## the tests that take long, in about fifteen minutes: more pages, each kind of file at each door
	$(BIN)/python -m pytest -n 3 --dist loadfile -m "slow and not release" $(ARGS)

test-release: setup-dev  ## what CI has no time for: every value, shape and example of every page, every page in the browser
	$(BIN)/python -m pytest -n 2 --dist loadfile -m release $(ARGS)

test-bench: setup-bench  ## the whole bench in its quickest form, in about ten minutes: do all of its parts work?
	$(BIN)/python -m pytest -m bench $(ARGS)

schemas: setup-dev  ## ask every REST operation many odd things and hold the answers against the OpenAPI document (ARGS="--cases 200")
	$(BIN)/python -W ignore -m tests.schemas $(ARGS)

check: lint test test-slow  ## what CI runs: lint, types, all tests

lint: setup-dev  ## ruff, mypy and bandit
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --quiet --check .
	$(BIN)/mypy --num-workers 2
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive hub demos weights bench app.py streamlit_app.py

bench: setup-bench  ## measure the hub beside what else one would use, in about three minutes (ARGS="--only rest" to choose)
	$(BIN)/python -m bench --plan quick $(ARGS)

bench-full: setup-bench  ## all of it, at length, on a quiet machine; writes bench/RESULTS.md
	$(BIN)/python -m bench --results bench/RESULTS.md $(ARGS)

soak: setup-dev  ## what takes long to show: memory after thousands of requests, a burst of large pictures, a crowd for ten minutes, a batch of 10,000
	$(BIN)/python -m pytest -m soak -s
	$(BIN)/python -m bench --only soak,burst,crowd $(ARGS)

flow: $(VENV)/.installed-flow  ## draw a grid of pictures with Metaflow (ARGS="--page stable_diffusion --subjects ... --max-workers 4")
	$(BIN)/python hub/batch/flow.py run $(ARGS)

docs: $(VENV)-docs/.installed  ## make the documentation in site/; a dead link is an error
	NO_MKDOCS_2_WARNING=1 $(VENV)-docs/bin/mkdocs build --quiet

lock: setup-dev  ## write requirements*.txt from requirements*.in, with hashes (ARGS=--upgrade takes newer versions too)
	$(PIP) --quiet uv
	$(LOCK) $(ARGS) requirements.in --output-file requirements.txt
	for name in requirements-dev requirements-flow requirements-ray requirements-text requirements-lora requirements-segment requirements-otel requirements-bench requirements-docs; do \
		$(LOCK) $(ARGS) $$name.in --output-file $$name.txt && $(NOT_CUDA) $$name.txt > $$name.new && mv $$name.new $$name.txt || exit 1; \
	done

setup: $(VENV)/.installed
setup-dev: $(VENV)/.installed-dev
setup-ray: $(VENV)/.installed-ray  ## install Ray beside the hub, for: make serve ARGS="--executor ray"

# Where the other servers cannot be had, for want of internet access say, their rows say so, and the next run tries again.
setup-bench: setup-dev
	@$(MAKE) --no-print-directory $(VENV)-bench/.installed || echo "The bench goes on without the other servers."

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

$(VENV)/.installed-ray: requirements-ray.txt $(VENV)/.installed
	$(PIP) --require-hashes -r requirements-ray.txt
	@touch $@

# An environment of its own, so that it changes nothing in the hub's; it sees the hub's packages, too.
$(VENV)-bench/.installed: requirements-bench.txt $(VENV)/.installed
	$(BIN)/python -m venv $(VENV)-bench
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > $(VENV)-bench/hub.pth
	echo 'import sys; sys.modules["mcp"] = None' >> $(VENV)-bench/hub.pth  # LitServe does not start beside the hub's version
	mv $(VENV)-bench/hub.pth $(VENV)-bench/lib/python*/site-packages/
	$(VENV)-bench/bin/python -m pip install --disable-pip-version-check --no-compile --require-hashes -r requirements-bench.txt
	@touch $@

# An environment of its own, which needs nothing of the hub's and is there in seconds.
$(VENV)-docs/.installed: requirements-docs.txt | $(VENV)/.created
	$(PYTHON) -m venv $(VENV)-docs
	$(VENV)-docs/bin/python -m pip install --disable-pip-version-check --no-compile --require-hashes -r requirements-docs.txt
	@touch $@

clean:  ## remove the environment and what tools left behind (never results or weights)
	rm -rf $(VENV) $(VENV)-bench $(VENV)-docs site .pytest_cache .mypy_cache .ruff_cache
