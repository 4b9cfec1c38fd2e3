# `make demo` and `make test` need nothing but python3.11+ with venv; everything else is set up by `.venv`.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install demo test lint lock schemas clean

install: .venv/installed

# uv is itself installed from the lock, with its hashes checked; where it cannot be used, pip does the same work slower.
.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	@awk '/^[a-z0-9]/ {keep = /^uv==/} keep' requirements.lock > .venv/bootstrap.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r .venv/bootstrap.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock \
		|| $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable . 
	@touch $@

lock:
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-emit-find-links \
		--group dev pyproject.toml -o requirements.lock
