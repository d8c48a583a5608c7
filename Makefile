# `make help` lists what there is. Everything runs inside .venv, which the first command makes.
PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

.PHONY: help app test test-slow bench lint clean

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

app: .venv/app  ## open the inspector on http://127.0.0.1:7860
	$(BIN)/python app.py $(ARGS)

test: .venv/dev browser  ## run the tests (about ten minutes on two cores)
	$(PYTEST) $(ARGS)

test-slow: .venv/dev browser  ## run the long tests too
	$(PYTEST) -m "slow or not slow" $(ARGS)

bench: .venv/dev  ## measure the speed claims of benchmarks/README.md
	$(BIN)/python -m benchmarks.training_step
	$(BIN)/python -m benchmarks.beam_search
	$(BIN)/python -m benchmarks.speech
	$(BIN)/python -m benchmarks.transcription
	$(BIN)/python -m benchmarks.attention

lint: .venv/dev  ## check style
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

clean:  ## remove the environment and what tools left behind
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache

.venv/app: pyproject.toml
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12")'
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.3' 'setuptools>=78.1.1'
	$(BIN)/pip install --quiet --editable .
	touch $@

.venv/dev: .venv/app
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

# The browser tests use the system's chromium and are skipped, with the reason, where there is none to be had.
.PHONY: browser
browser:
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	  && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; } \
	  || echo "no chromium: browser tests will be skipped (apt install chromium)"
