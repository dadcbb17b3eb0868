# `make demo` and `make test` do all their own set-up in .venv

# the newest supported Python at hand; `make PYTHON=/path/to/python test` takes another
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
# two test processes with one thread each are faster on small machines than one process with many
JOBS ?= 2

# of `make fuzz`: the seed, and how many each campaign tries, by default as many as a few minutes allow
SEED ?= 0
COUNT ?=

.PHONY: demo test test-slow test-gpu test-slurm docs release bench bench-short fuzz faults lint format tensorboard clean

# fine-tunes on a simulated hospital, then reads patients of it that came later
demo: .venv/installed
	@set -e; run=outputs/$$(date +%Y-%m-%d/%H-%M-%S); new=outputs/demo_new_patients; \
	$(BIN)/python train.py experiment=demo hydra.run.dir=$$run; \
	$(BIN)/ecgfounder-ft simulate $$new --recordings 2 --seed 7 --hospital shifted > /dev/null; \
	echo; echo "ecgfounder-ft predict $$run $$new --show 20"; \
	$(BIN)/ecgfounder-ft predict $$run $$new --show 20 --output $$run/new_patients.csv; \
	echo; echo "Your own recordings, with ECGFounder's published weights (docs/start.md):"; \
	echo '  python train.py data.mimic_path="/data/MIMIC IV Selected" data.physionet_path="/data/Physionet 2021 Selected"'

# in the order of tests/conftest.py, long files first; what has become long shows at the end
test: .venv/installed lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --durations 10

test-slow: .venv/installed
	$(BIN)/python -m pytest -m slow --timeout 1800

test-gpu: .venv/installed
	$(BIN)/python -m pytest -m gpu

# builds the documentation site and opens it
docs: .venv/installed
	$(BIN)/python -m sphinx -q --fail-on-warning --keep-going docs docs/_build/html
	$(BIN)/python -m webbrowser "file://$(CURDIR)/docs/_build/html/index.html"

# builds the wheel and the sdist into dist/ and says whether they can be published; publishes nothing
release: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt twine
	$(BIN)/python scripts/check_release.py
# starts a SLURM of two nodes on this machine, or says why it cannot
test-slurm: .venv/installed
	$(BIN)/python -m tests.slurm_cluster
	$(BIN)/python -m pytest -m slurm --timeout 900 -v

# on an otherwise idle machine
bench: .venv/installed
	$(BIN)/python benchmarks/speed.py --write

bench-short: .venv/installed
	$(BIN)/python benchmarks/speed.py --short

# damaged input of every kind: each campaign says what it tried and found, and all are run whatever one finds
fuzz: .venv/installed
	@failed=0; for file in campaigns/fuzz_*.py; do echo "== $$file"; \
	$(BIN)/python -m campaigns.$$(basename $$file .py) --seed $(SEED) $(if $(COUNT),--count $(COUNT)) || failed=1; \
	done; exit $$failed

# more or fewer with FAULTS="--count 20 --seed 1"
faults: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m campaigns.faults $(FAULTS)

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

tensorboard: .venv/installed
	$(BIN)/tensorboard --logdir outputs

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache docs/_build docs/reference dist

# compiling all the modules of 150 packages takes a minute. What a run imports is compiled here, once: where
# PYTHONDONTWRITEBYTECODE is set, as in containers, every command would compile it anew
.venv/installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11, 3.12 or 3.13 found: install one, or set PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-compile --upgrade pip
	PIP_BUILD_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt \
		--editable ".[dev]"
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -c "import ecgfounder_ft.training.experiment, ecgfounder_ft.sweeps.answer, \
	ecgfounder_ft.inference.predict_command, pytorch_lightning.loggers.tensorboard, captum.attr"
	touch $@
