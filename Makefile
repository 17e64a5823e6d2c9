# The project's commands; `make` alone lists them. They need Python 3.11 to 3.13 and a package index.
# Another Python than the first suitable one on the PATH: make PYTHON=/path/to/python3.12 …

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast test-jax check format bench constraints FORCE

VENV := .venv
RUN := $(VENV)/bin/python -m
export PYTHON

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.ready ## make .venv with everything below in it (the others do this by themselves)

demo: $(VENV)/.ready ## make a small corpus, train, transcribe and evaluate, in about five minutes
	$(VENV)/bin/asr demo --overwrite

# The report's page is tested in a real browser where there is one.
CHROMIUM := $(firstword $(foreach name,chromium chromium-browser google-chrome chrome,$(shell command -v $(name) 2>/dev/null)))

# Neighbouring tests stay together, since they share what their file sets up; who is done takes from others.
SIDE_BY_SIDE := -n auto --maxprocesses 4 --dist worksteal

test: $(VENV)/.ready ## run every test, those that train a network included
	@$(if $(CHROMIUM),,echo "no Chromium here: the tests that open the report in a browser are left out")
	$(RUN) pytest $(SIDE_BY_SIDE) -m $(if $(CHROMIUM),"","not browser")

test-fast: $(VENV)/.ready ## run the tests that take no training
	$(RUN) pytest

test-jax: .venv-jax/.ready ## run the networks' tests on JAX, in an environment without TensorFlow
	KERAS_BACKEND=jax .venv-jax/bin/python -m pytest -m "" tests/test_models_*.py

check: $(VENV)/.ready ## lint, formatting and types
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy

format: $(VENV)/.ready ## repair what ruff can repair
	$(RUN) ruff check --fix
	$(RUN) ruff format

# For some of them: make bench BENCH="train_step --quick"
bench: .venv-bench/.ready ## measure against peers, side by side in one run, in an environment with them
	.venv-bench/bin/python -m benchmarks $(BENCH)

# Universal: one file for all platforms and Pythons, by markers. --no-config: each pin is to be a release
# of the public index, whatever other index this machine may have configured.
constraints: ## choose the newest versions of everything again (needs uv)
	@grep '^#' constraints.txt >constraints.txt.new
	uv --no-config pip compile --quiet --universal --python-version 3.11 --upgrade \
	  --no-emit-index-url --no-header --no-annotate \
	  --extra transcribe --extra train --extra jax --extra subwords --extra kenlm --extra demo --extra serve --extra ray --extra remote --group dev \
	  pyproject.toml >>constraints.txt.new
	@mv constraints.txt.new constraints.txt

# The stamp holds the path it was made under: a checkout that has moved is linked again.
in_place = $(shell test "$$(cat $(1)/.ready 2>/dev/null)" = "$$(pwd)" && test -x $(1)/bin/python && echo yes)

$(VENV)/.ready: pyproject.toml constraints.txt $(if $(call in_place,$(VENV)),,FORCE)
	@tools/set-up.sh $(VENV) train,subwords,demo,serve,ray,remote dev

.venv-jax/.ready: pyproject.toml constraints.txt $(if $(call in_place,.venv-jax),,FORCE)
	@tools/set-up.sh .venv-jax jax test

# PyTorch for CPUs: the one on PyPI brings gigabytes for GPUs along. pip is told by an index, uv by name.
TORCH_INDEX := https://download.pytorch.org/whl/cpu
.venv-bench/.ready: pyproject.toml constraints.txt $(if $(call in_place,.venv-bench),,FORCE)
	@PIP_EXTRA_INDEX_URL="$$PIP_EXTRA_INDEX_URL $(TORCH_INDEX)" UV_TORCH_BACKEND=cpu \
	  tools/set-up.sh .venv-bench train peers
