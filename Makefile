# The whole set-up in two commands: `make run` (the main job) and `make test` (the suite).
# Everything is installed into backend/.venv from backend/constraints.txt; nothing else is touched.

PYTHON ?= python3
UV_VERSION := 0.13.9
BIN := .venv/bin
PACKAGES := models utils ports black_scholes engine strategies pipeline clients schwab_integration \
	polygon_integration simulator app scripts sys_testing main.py trading_main.py etl_pipeline.py
MAKEFLAGS += --no-print-directory
RUN_STAMP := backend/.venv/.installed-run
DEV_STAMP := backend/.venv/.installed-dev
LISTS := backend/pyproject.toml backend/constraints.txt backend/requirements.txt

.PHONY: run test check format bench prove lock clean

run: $(RUN_STAMP) ## download five sessions of QQQ and its chain, price it, store it, show it
	@cd backend && $(BIN)/python main.py --ticker QQQ --days 5

test: $(DEV_STAMP) ## the whole test suite
	@cd backend && $(BIN)/python -m pytest tests -n auto --dist loadfile --no-loadscope-reorder -q

check: $(DEV_STAMP) ## style, types, import floors
	@cd backend && $(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy $(PACKAGES) \
		&& $(BIN)/lint-imports

format: $(DEV_STAMP) ## put the source into its one form
	@cd backend && $(BIN)/ruff format . && $(BIN)/ruff check --fix .

bench: $(DEV_STAMP) ## every benchmark, each beside its peer; writes docs/benchmarks.md
	@cd backend && $(BIN)/python benchmarks/report.py

prove: $(DEV_STAMP) ## the large-count tests at full size; writes docs/proof.md
	@cd backend && $(BIN)/python scripts/prove.py

lock: $(DEV_STAMP) ## renew constraints.txt and the hashed lock from pyproject.toml
	@cd backend && $(BIN)/uv pip compile -q --upgrade --python-version 3.11 \
		--extra dev --extra dagster --no-annotate --no-header pyproject.toml -o constraints.txt \
		&& $(BIN)/uv pip compile -q --python-version 3.11 --extra dev --extra dagster \
		--generate-hashes --no-annotate --no-header -c constraints.txt pyproject.toml \
		-o requirements-hashed.lock

clean: ## remove the virtual environment
	rm -rf backend/.venv

backend/.venv/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed: name one with 'make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)'" >&2; exit 2; }
	@$(PYTHON) -m venv backend/.venv || { \
		echo "The venv module is missing: on Debian and Ubuntu 'apt install python3-venv' brings it" >&2; exit 2; }
	@backend/$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(RUN_STAMP): backend/.venv/bin/uv $(LISTS)
	@echo "Installing what the program needs (once) ..."
	@cd backend && VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet -c constraints.txt -e . \
		|| $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@cd backend && $(BIN)/python -m black_scholes.warm
	@touch $@

$(DEV_STAMP): $(RUN_STAMP)
	@echo "Installing what the tests need (once) ..."
	@cd backend && VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet -r requirements.txt \
		|| $(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@
