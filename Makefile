# Everything starts from a machine that has python3 (3.11 or newer) and make; each target installs what it needs, once.

PYTHON  ?= python3
WORKERS ?= 2
VENV    := .venv
BIN     := $(VENV)/bin
LATEST  := .venv-latest
PIP     := -m pip --disable-pip-version-check --no-input
RUN     := runs/campaigns

# torch has a small CPU build for Python 3.11 only; elsewhere pip would bring several GB of CUDA, so it is left to `pip install '.[torch]'`
EXTRAS   = pymc,baselines,examples,macro$(shell $(PYTHON) -c 'import sys; print(",torch" if sys.version_info[:2] == (3, 11) else "")')
# a Python 3.13 that really starts: on the path, or kept by pyenv
PY313    = $(shell python3.13 -c 'import sys; print(sys.executable)' 2>/dev/null || ls -d $$(pyenv root 2>/dev/null)/versions/3.13*/bin/python 2>/dev/null | tail -1)

# one core a worker: the suite runs $(WORKERS) of them; programs compiled once are kept in .cache; a missing extra is a failure, not
# a skip, as every extra is installed (but torch, away from Python 3.11)
export OMP_NUM_THREADS ?= 1
TEST_ENV = XLA_FLAGS="--xla_cpu_multi_thread_eigen=false $(QUICK) $$XLA_FLAGS" MPLBACKEND=Agg TF_CPP_MIN_LOG_LEVEL=3 \
            JAX_COMPILATION_CACHE_DIR=$(CURDIR)/.cache/jax JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 BAYES_CAUSAL_FULL=1
PYTEST   := -m pytest -n $(WORKERS) --dist loadscope

.PHONY: help example test test-fast test-latest reference notebooks lint format types contracts bench clean

help:
	@echo "make example      the shipped campaigns study, data to report, in $(RUN)"
	@echo "make test         the whole suite, with every extra"
	@echo "make test-fast    the same without the tests marked slow"
	@echo "make test-latest  the suite on Python 3.13 with PyMC 6, ArviZ 1 and the newest JAX"
	@echo "make reference    published numbers only          make notebooks   run every notebook"
	@echo "make lint | format | types | contracts | bench | clean"

example: $(VENV)/.installed-example
	$(BIN)/bayes-causal example campaigns --out $(RUN) --force

# much of the suite's time is compilation: everything is compiled here as the package compiles its own programs, with less polish and
# without the MLIR emitters (an option until jaxlib 0.10), and as XLA does by itself in test-latest
EMITTERS = $(shell $(BIN)/python -c 'import jaxlib.version as v; print("--xla_cpu_use_fusion_emitters=false" * (v.__version_info__ < (0, 10)))')
test test-fast reference: QUICK = --xla_backend_optimization_level=1 $(EMITTERS)

test: $(VENV)/.installed-dev
	$(TEST_ENV) $(BIN)/python $(PYTEST)

test-fast: $(VENV)/.installed-dev
	$(TEST_ENV) $(BIN)/python $(PYTEST) -m "not slow"

reference: $(VENV)/.installed-dev
	$(TEST_ENV) $(BIN)/python $(PYTEST) tests/reference

test-latest:
	@if [ -n "$(PY313)" ]; then \
	  $(MAKE) --no-print-directory $(LATEST)/.installed-dev && $(TEST_ENV) $(LATEST)/bin/python $(PYTEST); \
	else \
	  echo "test-latest was not run: no Python 3.13 here (neither python3.13 on the path nor a pyenv version 3.13)."; \
	  [ -n "$$CI" ] || exit 2; \
	fi

notebooks: $(VENV)/.installed-dev
	@for f in $(wildcard notebooks/*.ipynb); do \
	  echo "running $$f" && (cd notebooks && MPLBACKEND=Agg ../$(BIN)/jupyter-execute --timeout=900 $$(basename $$f)) || exit 1; \
	done

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

contracts: $(VENV)/.installed-dev
	$(BIN)/lint-imports --no-cache

bench: $(VENV)/.installed-dev
	@for f in benchmarks/*.py; do echo "== $$f" && $(BIN)/python $$f || exit 1; done

clean:
	rm -rf $(VENV) $(LATEST) build dist .cache .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# pip is brought up to date first (old ones backtrack for minutes and know no groups), then everything is resolved in one pass
$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP) install --quiet --upgrade pip

$(VENV)/.installed-example: pyproject.toml | $(VENV)/bin/python
	@echo "Installing bayes-causal into $(VENV): a few minutes the first time."
	$(BIN)/python $(PIP) install --quiet --editable '.[baselines,examples]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/python
	@echo "Installing bayes-causal with every extra into $(VENV): some minutes the first time."
	$(BIN)/python $(PIP) install --quiet --editable '.[$(EXTRAS)]' --group dev
	@touch $@ $(VENV)/.installed-example

$(LATEST)/.installed-dev: pyproject.toml
	@echo "Installing bayes-causal on Python 3.13 into $(LATEST): some minutes the first time."
	$(PY313) -m venv $(LATEST)
	$(LATEST)/bin/python $(PIP) install --quiet --upgrade pip
	$(LATEST)/bin/python $(PIP) install --quiet --editable '.[pymc,baselines,examples,macro]' --group dev
	@touch $@
