# make run starts the app; make test runs the tests; make soak the long ones. Both set up all they need in .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test soak lint pretrained measures classifiers frontier lessons labs bench bench-training clean

run: .venv/installed
	@$(BIN)/python -m explorer run

test: .venv/installed-dev
	@$(BIN)/python scripts/get_browser.py >/dev/null
	@$(BIN)/python scripts/get_nginx.py >/dev/null || echo "The tests that need nginx are left out."
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not soak and not cluster" --ignore tests/browser
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --reruns 1 -rR -m "not soak" tests/browser

# Tries every promise of RELIABILITY.md, the long tests too, and says which held (at most ten minutes).
soak: .venv/installed-dev
	@$(BIN)/python scripts/get_browser.py >/dev/null
	@$(BIN)/python scripts/get_nginx.py >/dev/null || echo "The tests that need nginx are left out."
	$(BIN)/python scripts/soak.py

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Makes pretrained/ again from the full sets: make pretrained ROOT=folder (default: the user's cache folder).
pretrained: .venv/installed
	$(BIN)/python scripts/make_pretrained.py $(if $(ROOT),--root $(ROOT))

# Measures the shipped models again and writes the README's table; make classifiers ROOT=folder makes their judges.
measures: .venv/installed
	$(BIN)/python -m explorer measure --save $(foreach data,mnist fashion-mnist,$(foreach model,ae vae,$(data)-$(model)-2 $(data)-$(model)-16))
	$(BIN)/python scripts/make_tables.py

classifiers: .venv/installed
	$(BIN)/python scripts/make_classifiers.py --root $(ROOT)

# Trains and measures over beta for the Measure page and the dial (half an hour on two cores; goes on where it was broken off).
frontier: .venv/installed
	$(BIN)/python scripts/make_frontier.py --root $(ROOT) --work $(WORK)

# Trains the small models of Learn (two minutes).
lessons: .venv/installed
	$(BIN)/python scripts/make_lessons.py --root $(ROOT)

# Trains and computes what the labs ship with, and writes the tables of docs/labs.md (twenty minutes).
labs: .venv/installed
	$(BIN)/python scripts/make_labs.py $(if $(ROOT),--root $(ROOT))

bench: .venv/installed-dev
	$(BIN)/python bench/start.py
	$(BIN)/python bench/stage.py
	$(BIN)/python bench/live.py
	$(BIN)/python bench/measure.py
	$(BIN)/python bench/learn.py
	$(BIN)/python bench/labs.py
	$(BIN)/python bench/hashing.py
	$(BIN)/python bench/onefile.py
	$(BIN)/python bench/bring.py
	$(BIN)/python bench/site.py
	$(BIN)/python bench/load.py
	$(BIN)/python bench/scale.py

# Seconds an epoch beside Keras, pytorch/examples and pythae, on the full set: make bench-training ROOT=folder
bench-training: .venv/installed-dev
	$(BIN)/python bench/training.py --root $(ROOT) --full

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv .venv

.venv/installed: requirements.txt constraints.txt pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/installed-dev: requirements-dev.txt .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

clean:
	rm -rf .venv
