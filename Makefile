# Everything sets itself up: `make test` and `make book` work on a fresh clone. They need Python
# 3.10 or later; `make book` also needs npm, for the formula renderer that the pages carry.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
MATHJAX := book/_static/vendor/mathjax.js
CACHE := _build/.jupyter_cache
# The execution cache of Jupyter Book knows only the cells. What they import and read counts too.
CELLS_DEPEND_ON := $(shell find csae experiments results weights -type f -not -name '*.pyc' 2>/dev/null) constraints.txt

.PHONY: help test book bench lint format clean

help:
	@echo 'make test    install what is missing; run unit tests, property tests and every notebook'
	@echo 'make book    build the book strictly into _build/html and check the built pages'
	@echo 'make bench   time the package side by side with its alternatives; write results/benchmarks'
	@echo 'make lint    check formatting, style and types'
	@echo 'make format  rewrite files to the house style'
	@echo 'make clean   remove what was built (the environment in .venv stays)'

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	@# Python compiles what is imported when it is imported; of all that is installed, that is little.
	$(BIN)/python -m pip install --no-compile --constraint constraints.txt --editable '.[book,dev,export,tensorboard,test]'
	touch $@

# Notebooks that have run stay in the cache, whatever fails beside them.
test: $(READY) _build/.fresh
	$(BIN)/python -m tools.notebooks tests

$(MATHJAX): book/_assets/package.json book/_assets/package-lock.json
	@command -v npm >/dev/null || { echo 'make book needs npm (Node.js 18 or later)' >&2; exit 1; }
	mkdir -p _build/assets $(@D)
	cp $^ _build/assets
	cd _build/assets && npm ci --ignore-scripts --no-audit --no-fund
	cp _build/assets/node_modules/mathjax/es5/tex-svg-full.js $@

# Older than what the cells depend on: forget every execution and every page made from it.
_build/.fresh: $(CELLS_DEPEND_ON)
	rm -rf $(CACHE) _build/.doctrees _build/jupyter_execute _build/html
	mkdir -p _build
	touch $@

book: $(READY) $(MATHJAX) _build/.fresh
	$(BIN)/python -m tools.notebooks
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/jupyter-book build . -n -W --keep-going
	CSAE_SITE=_build/html $(BIN)/python -m pytest tests/test_site.py

bench: $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python -m benchmarks.centroids
	$(BIN)/python -m benchmarks.wavelets
	$(BIN)/python -m benchmarks.training

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/nbstripout --keep-id book/*.ipynb

clean:
	rm -rf _build .executed book/_static/vendor .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
