# `make demo` shows the first real answer, `make test` checks everything; both install what they need into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
EXAMPLE := examples/perfkit_example_plugin
PROJECTS := pyproject.toml $(wildcard plugins/*/pyproject.toml)
SOURCES := src $(wildcard plugins/*/src) $(EXAMPLE)/src
TYPED := $(SOURCES) $(wildcard benchmarks)
PYTEST_ARGS ?= -n auto --maxprocesses 4 --dist loadfile

.PHONY: demo test install lint docs bench clean
.DELETE_ON_ERROR:

demo: install
	$(BIN)/perfkit run --model wan2_1

test: lint
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(TYPED)
	PYTHONPATH=$(EXAMPLE)/src $(BIN)/lint-imports --no-logo

docs: install
	$(BIN)/python docs/generate.py

bench: install
	cd benchmarks && for script in estimate cold help; do ../$(BIN)/python $$script.py || exit 1; done

install: $(STAMP)

# The build backend goes in first: building the four distributions without isolation saves four downloads of it.
$(STAMP): constraints.txt $(PROJECTS)
	$(PYTHON) -c 'import sys; sys.exit("perfkit needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt pip hatchling editables
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation \
		--group dev -e '.[frame,parquet]' $(foreach plugin,$(PLUGINS),-e '$(plugin)$(if $(findstring wan2_1,$(plugin)),[torch])')
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
