# `make demo` and `make test` need Python 3.11 or newer with venv; everything else is set up in `.venv`.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install demo test lint format lock schemas bench clean

demo: install
	@$(BIN)/tocsin demo

test: lint
	$(BIN)/python -m pytest

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install
	$(BIN)/python -m tests.benchmarks

schemas: install
	$(BIN)/tocsin schemas export schemas/jsonschema
	$(BIN)/tocsin schemas editor deploy/examples/tocsin.schema.json

install: .venv/installed

# uv comes from the lock like everything else, with its hashes checked; where it cannot be used, pip does the same slower.
.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Tocsin needs Python 3.11 or newer; give it by PYTHON=…" if sys.version_info < (3, 11) else 0)'
	@echo "Setting up .venv …"
	@$(PYTHON) -m venv .venv
	@awk '/^[a-z0-9]/ {keep = /^uv==/} keep' requirements.lock > .venv/bootstrap.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r .venv/bootstrap.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock \
		|| $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable . \
		|| $(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

lock:
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-emit-find-links \
		--group dev pyproject.toml -o requirements.lock

clean:
	rm -rf .venv .cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
