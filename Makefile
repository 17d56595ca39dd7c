# Law: every target works in a fresh clone on a bare machine and needs nothing outside it.

VENV_PYTHON := .venv/bin/python

# The plain sides have threads that wait for each other, which spinning makes faster; the program's
# own sides do without, and tests.bench.busy takes no notice.
bench: export GOMP_SPINCOUNT ?= 300000

.DEFAULT_GOAL := help
.PHONY: help run test check format bench bench-app campaign lowest setup setup-dev clean

help: ## Say what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-18s%s\n", $$1, $$2}'

run: setup ## Open the window with a sample image (IMAGE=path for another)
	@$(VENV_PYTHON) -m nca_seg_app $(if $(IMAGE),"$(IMAGE)",--sample)

test: setup-dev ## Run all tests, without a display (ARGS='-k word' for some)
	@QT_QPA_PLATFORM=offscreen $(VENV_PYTHON) -m pytest $(ARGS)

check: setup-dev ## Check formatting, lint, types and import contracts; list long files
	$(VENV_PYTHON) -m ruff format --check .
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m mypy
	$(VENV_PYTHON) -c 'from importlinter.cli import lint_imports_command as lint; lint()' --no-cache
	@$(VENV_PYTHON) packaging/long_files.py

campaign: setup-dev ## Kill, damage and fill at length, without a display (ARGS='--only kills')
	@$(VENV_PYTHON) -m tests.campaigns $(ARGS)

bench-app: setup-dev ## Measure the window, beside labelme and napari (installed into build/)
	$(VENV_PYTHON) -m tests.bench.window $(ARGS)

bench: setup-dev ## Measure inference and training against their plain forms, and beside busy programs
	$(VENV_PYTHON) -m tests.bench.inference $(ARGS)
	$(VENV_PYTHON) -m tests.bench.training
	$(VENV_PYTHON) -m tests.bench.busy

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
