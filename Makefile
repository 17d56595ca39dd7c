# Law: every target works in a fresh clone on a bare machine and needs nothing outside it.

VENV_PYTHON := .venv/bin/python
# Where threads share an operation (one member alone, fine-tuning) those that wait spin for a moment
# only: asleep at once costs 2.3 times the time on an idle machine, spinning on far more on a busy one.
run: export GOMP_SPINCOUNT ?= 30000
test: export OMP_WAIT_POLICY ?= PASSIVE

.DEFAULT_GOAL := help
.PHONY: help run test check format bench bench-app campaign lowest setup setup-dev clean

help: ## Say what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-18s%s\n", $$1, $$2}'

run: setup ## Open the window with a sample image (IMAGE=path for another)
	@$(VENV_PYTHON) -m nca_seg_app $(if $(IMAGE),"$(IMAGE)",--sample)

test: setup-dev ## Run all tests, without a display (ARGS='-k word' for some)
	@QT_QPA_PLATFORM=offscreen $(VENV_PYTHON) -m pytest $(ARGS)

check: setup-dev ## Check formatting, lint, types and import contracts
	$(VENV_PYTHON) -m ruff format --check .
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m mypy
	$(VENV_PYTHON) -c 'from importlinter.cli import lint_imports_command as lint; lint()' --no-cache

campaign: setup-dev ## Kill, damage and fill at length, without a display (ARGS='--only kills')
	@$(VENV_PYTHON) -m tests.campaigns $(ARGS)

bench-app: setup-dev ## Measure the window, beside labelme and napari (installed into build/)
	$(VENV_PYTHON) -m tests.bench.window $(ARGS)

bench: setup-dev ## Measure inference and training against their plain forms, both in one run
	$(VENV_PYTHON) -m tests.bench.inference $(ARGS)
	$(VENV_PYTHON) -m tests.bench.training

lowest: setup ## Try the program with every dependency at its lower bound (installed into build/)
	$(VENV_PYTHON) packaging/lowest.py

format: setup-dev ## Put the source into the project's format
	$(VENV_PYTHON) -m ruff format .
	$(VENV_PYTHON) -m ruff check --fix .

setup: ## Set up .venv to run the program
	@bash packaging/setup.sh run

setup-dev: ## Set up .venv to test and change the program
	@bash packaging/setup.sh dev

clean: ## Remove .venv, caches and out/
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis build out *.egg-info
	find engine nca_seg_app resources tests packaging -name __pycache__ -type d -prune -exec rm -rf {} +
