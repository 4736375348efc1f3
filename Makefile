# The two commands: `make demo` and `make test`. Both install first; nothing happens when nothing changed.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
export PYTHONDONTWRITEBYTECODE := # each of a hundred processes would compile everything anew
ARGS ?=
WORKERS ?= 3 # keep two cores busy: a test often waits for another process; each has a broker and an engine

.PHONY: install demo test check torture lint lock bench clean

install: .venv/.installed

.venv/.installed: requirements.lock pyproject.toml embedded/pom.xml scripts/prerequisites.sh
	@bash scripts/prerequisites.sh $(PYTHON)
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/python -m embedded.fetch
	@$(BIN)/python -m embedded.archive
	@touch $@

demo: install
	@$(BIN)/tillstream demo $(ARGS)

test: lint ## The static checks, then every test.
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

check: lint ## The daily loop, two minutes: static checks, unit tests with few examples, some simulated schedules.
	@HYPOTHESIS_PROFILE=quick $(BIN)/python -m pytest --quiet --numprocesses logical --dist worksteal tests/unit $(ARGS)
	@$(BIN)/python -m tests.simulation --count 300

torture: install ## Hours: SEEDS simulated schedules, everything dies for SECONDS, 100,000 examples a property, a year.
	@$(BIN)/python -m tests.simulation --count $(or $(SEEDS),10000)
	@$(BIN)/python -m tests.torture.run --seconds $(or $(SECONDS),1800) --seed $(or $(SEED),1)
	@HYPOTHESIS_PROFILE=torture $(BIN)/python -m pytest --timeout=0 \
		-m hypothesis tests/unit $(ARGS)
	@TILLSTREAM_YEAR_CUSTOMERS=800 $(BIN)/python -m pytest tests/e2e/test_ledger_year.py $(ARGS)

lint: install
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

lock: pyproject.toml ## Refresh the lock file after a change of dependencies.
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --extra dev --python-version 3.11 \
		--no-emit-index-url --no-header pyproject.toml scripts/build-requirements.in -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --constraint requirements.lock \
		--no-emit-index-url --no-header --no-annotate pyproject.toml scripts/build-requirements.in \
		-o deploy/requirements.lock # the same without what only developers need, for the image

bench: install
	@$(BIN)/python -m benchmarks $(ARGS)

clean:
	rm -rf .venv .tillstream build dist *.egg-info
