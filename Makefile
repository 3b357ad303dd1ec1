# Every check and every task is one command. `make help` lists them.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# A tracking server needs these beside the client that mlflow-skinny is.
MLFLOW := mlflow-skinny==3.17.2 aiohttp alembic flask flask-cors flask-wtf graphene huey pandas sqlalchemy

.PHONY: help demo test lint format bench lock mlflow clean

help:  ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/'

# Two stamps: what runs gnomon and its demonstration, and what develops it. A lock file that changed is installed again.
.venv/.demo: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

.venv/.dev: requirements-dev.lock .venv/.demo
	$(BIN)/pip install --quiet --require-hashes -r requirements-dev.lock
	touch $@

demo: .venv/.demo  ## set up and run the whole story on real servers on loopback
	$(BIN)/gnomon demo

# Tests start gnomon hundreds of times: it compiles itself once.
test: .venv/.dev .venv-mlflow/.done lint  ## set up, lint, check types and import contracts, run the suite
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest -n 2 --dist loadgroup

lint: .venv/.dev  ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.dev  ## rewrite the code as ruff wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.dev  ## every benchmark, gnomon and its peers side by side
	for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || echo "(it ended with $$?)"; done

lock: .venv/.demo  ## write the lock files anew from pyproject.toml
	$(BIN)/pip install --quiet uv
	rm -f requirements-dev.lock requirements.lock
	$(BIN)/uv pip compile pyproject.toml --extra demo --extra dev --python-version 3.11 --generate-hashes --no-header --no-annotate -o requirements-dev.lock
	$(BIN)/uv pip compile pyproject.toml --extra demo --python-version 3.11 --generate-hashes --no-header --no-annotate -c requirements-dev.lock -o requirements.lock
	echo $(MLFLOW) | tr ' ' '\n' | $(BIN)/uv pip compile - --python-version 3.11 --generate-hashes --no-header --no-annotate -o requirements-mlflow.lock

# Beside the development install, whose versions of the same packages differ: only the tests start it.
.venv-mlflow/.done: requirements-mlflow.lock
	test -x .venv-mlflow/bin/python || $(PYTHON) -m venv .venv-mlflow
	.venv-mlflow/bin/pip install --quiet --require-hashes -r requirements-mlflow.lock
	touch $@

mlflow: .venv-mlflow/.done  ## a real MLflow server with its basic-auth plugin, for the tests that start one

clean:  ## remove everything that the other targets made
	rm -rf .venv .venv-mlflow .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
