# The commands of daily work. PYTHON is the interpreter of an environment made by requirements.txt.
PYTHON ?= python
RUFF ?= ruff==0.17.6
MYPY ?= mypy==2.4.1
IMPORT_LINTER ?= import-linter==2.17

.PHONY: test test-xla lint format notebook docs absolute-links wheel

test:
	$(PYTHON) -m pytest -n 2 --dist loadfile
	$(MAKE) test-xla

# At the optimisation level of XLA that users get, where the rest of the suite saves the time.
test-xla:
	XLA_FLAGS= $(PYTHON) -m pytest tests/kvae/models/test_golden_model.py tests/kvae/models/test_fit.py

lint:
	$(PYTHON) -m pip install --quiet $(RUFF) $(MYPY) $(IMPORT_LINTER)
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	lint-imports --no-logo

format:
	$(PYTHON) -m pip install --quiet $(RUFF)
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

# The outputs of the tour, which GitHub shows; needs pip install -e ".[notebook]".
notebook:
	$(PYTHON) -m nbconvert --to notebook --execute --inplace --ExecutePreprocessor.record_timing=False \
		notebooks/tour.ipynb

# The site, of docs/, results/ and the docstrings, in site/; needs pip install -e ".[docs]". `python -m mkdocs serve`
# shows it while it is written.
docs:
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --strict

# What PyPI shows needs whole addresses: URL is the repository's, such as https://github.com/NAME/REPOSITORY.
absolute-links:
	$(PYTHON) docs/hooks/absolute_links.py README.md $(URL)

# What is published: built, checked, installed into an environment and a folder of its own, and used.
wheel:
	PYTHON=$(PYTHON) .ci/wheel
