# Each target works alone, on a machine that has only Python >= 3.11 and make.
PYTHON ?= python3
BIN := .venv/bin
SOURCES := symbolic potentials flows popflow tests benchmarks notebooks docs

.DEFAULT_GOAL := help
.PHONY: help report test fuzz mutants lint types bench docs notebooks release clean

help:
	@echo "make report   derive, integrate, check, draw: ./report/*.html"
	@echo "make test     the tests        make lint    ruff"
	@echo "make fuzz     500 random runs: no verdict turns round with end, tolerance, times or order;"
	@echo "              500 random losses of one's own with a known flow: nothing said is false"
	@echo "              (FROM=500: the next 500 of these losses);"
	@echo "              claims and constants of 500 random flows in closed form: none is false;"
	@echo "              500 random runs beside ridges, and of mixtures: errors are as stated;"
	@echo "              500 random averages of one, two and three forms: errors are as stated;"
	@echo "              500 random runs with kinks in the data: errors are as stated;"
	@echo "              500 random leading forms, integrated by hand: no run is told another law;"
	@echo "              10000 false bounds of all times: none is proved;"
	@echo "              every leaf of a certificate's file is changed, 500 where proofs are slow:"
	@echo "              nothing false is said;"
	@echo "              every mutant of every step of a derivation is refuted, not one a step"
	@echo "make mutants  break the files that decide a little: do their tests notice? (SAMPLE=0: all)"
	@echo "make bench    the benchmarks   make types   mypy"
	@echo "make docs     the documentation: docs/_build/html/index.html (EVIDENCE=1: prove each step)"
	@echo "make notebooks   execute the notebooks anew and store what comes out"
	@echo "make release  sdist and wheel in ./dist; the wheel is installed and tried in a clean environment"
	@echo "make clean    remove .venv, ./report and caches"

report: .venv/installed
	$(BIN)/popflow report --out report --force

# A room's tests share one process with its kernels and derivations (tests/conftest.py); the last
# rooms are quick. The dearest tests are listed at the end.
# Compiled test files are kept, whatever the environment says: each process would compile them anew.
test: .venv/installed
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q -n auto --dist loadfile --no-loadscope-reorder \
	  --durations=20 --durations-min=5

fuzz: .venv/installed
	POPFLOW_FUZZ=500 POPFLOW_FUZZ_FROM=$(or $(FROM),0) \
	  $(BIN)/python -m pytest -q -n auto tests/flows/runs/test_metamorphic.py \
	  tests/flows/runs/test_law_fuzz.py tests/flows/runs/test_known_flows.py \
	  tests/flows/systems/own/test_fuzz.py tests/flows/systems/field/test_digits.py \
	  tests/symbolic/evidence/test_mutation.py \
	  tests/flows/systems/own/test_planes.py tests/flows/systems/own/test_ridges.py \
	  tests/flows/systems/own/test_passing_kinks.py \
	  tests/flows/systems/mixture/test_digits.py tests/flows/expectations/test_posteriors.py \
	  tests/flows/expectations/test_joint_rules.py \
	  tests/flows/certificates/verifier/test_leaves.py \
	  tests/flows/certificates/verifier/test_potential.py \
	  tests/flows/certificates/minimum/test_near.py
	POPFLOW_PLANTED=10000 $(BIN)/python -m pytest -q -n auto -k planted \
	  tests/flows/certificates/test_forever.py tests/flows/certificates/test_later.py

# In a copy of the tree, one mutant at a time; about half an hour for the sample.
mutants: .venv/installed
	nice $(BIN)/python tests/mutants/run.py $(if $(SAMPLE),--sample $(SAMPLE))

lint: .venv/installed
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

types: .venv/installed
	$(BIN)/mypy

docs: .venv/installed
	$(BIN)/python -m sphinx -q -W --keep-going docs docs/_build/html

notebooks: .venv/installed
	$(BIN)/python notebooks/refresh.py

bench: .venv/installed
	@set -e; for script in derivation_cost evidence solvers speed figure1 first_picture report; do \
	  echo "== $$script"; $(BIN)/python benchmarks/$$script.py; done
	@set -e; for script in ensemble others growth systems own_ensemble own_tails certificates; do \
	  echo "== $$script --quick"; $(BIN)/python benchmarks/$$script.py --quick; done
	@echo "== accuracy"; $(BIN)/python benchmarks/accuracy.py

# The wheel is built from the sdist, so that both are complete; nothing is uploaded.
release:
	rm -rf dist build/release
	$(PYTHON) -m venv build/release
	build/release/bin/python -m pip install --quiet --disable-pip-version-check build
	build/release/bin/python -m build --quiet --outdir dist .
	build/release/bin/python -m pip install --quiet --disable-pip-version-check "$$(ls dist/*.whl)[find]"
	cd build/release && ../../build/release/bin/python -I ../../benchmarks/release.py ../../README.md

# The stamp is newer than pyproject.toml: installed once, and again only when that file changes.
.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "popflow needs Python >= 3.11; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

clean:
	rm -rf .venv report build dist docs/_build docs/generated *.egg-info .pytest_cache .ruff_cache .mypy_cache
	find $(SOURCES) -name __pycache__ -prune -exec rm -rf {} +
