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

PAGES    := $(wildcard book/*.md book/*.ipynb book/*.bib chapters/*.ipynb sdelib/bundled/*.onnx results/quality.csv)
WHOLE    := _config.yml _toc.yml $(MATHJAX) $(wildcard book/_static/*.* book/_extra/*.* book/_ext/*.py sdelib/widgets/*.js)

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
.PHONY: help book test lab students refresh clean
.DELETE_ON_ERROR:

help:
	@echo 'make book                  build the site into _build/html (the first run installs into .venv)'
	@echo 'make test                  unit tests, every chapter, the stored outputs, the site in Chromium'
	@echo 'make lab [PORT=N]          JupyterLab on the chapters (LAB="...": more options for it)'
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
	@echo 'scripts   MathJax and ONNX Runtime, from package-lock.json'
	@$(PY) tools/setup/javascript.py
	@touch $@

# ---------------------------------------------------------------- the site

# Sphinx repeats a page's warnings only when it reads the page again. So after a build that failed or
# was cut off, and after a change that touches every page, the next one starts from nothing.
$(SITE): $(PAGES) $(WHOLE) $(SDELIB)
	@test -f $@ -a -z '$(filter $(WHOLE),$?)' || rm -rf _build
	@rm -f $@
	@echo 'site      _build/html'
	@mkdir -p _build
	@jupyter-book build . -W -n --keep-going --quiet > _build/log.txt 2>&1 || { cat _build/log.txt; \
	  echo 'The site was not built: see the warnings above (also in _build/log.txt).'; exit 1; }
	@touch $@

book: $(SITE)
	@echo
	@echo 'The book is built. Open it in a browser:'
	@echo '  $(CURDIR)/_build/html/index.html'
	@echo 'or serve it:'
	@echo '  $(PY) -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html'
	@echo '  and open http://127.0.0.1:$(PORT)/'

lab: $(SDELIB)
	@$(VENV)/bin/jupyter lab $(if $(filter-out file,$(origin PORT)),--port=$(PORT)) $(LAB) chapters

students: $(SDELIB)
	@$(PY) tools/book/students.py

refresh: $(SDELIB)
	@$(PY) tools/book/notebooks.py refresh $(CHAPTER)

# ---------------------------------------------------------------- the tests

# Each stage is named, in the order in which it is likely to fail, and stops the run when it does.
# What a stage skipped is counted at the end. Tests run $(JOBS) at a time, so each computes with one thread:
# with more threads than cores, PyTorch's small operations wait for each other for minutes.
PYTEST   = $(PY) -m pytest -q -p no:cacheprovider
SPREAD   = -n $(JOBS) --dist loadfile
SKIPPED  = _build/skipped.txt
FAULTS   = _build/faults.txt
CHAPTERS = tests/chapters/test_chapters.py tests/chapters/test_colab.py

test: export OMP_NUM_THREADS := 1
test: $(SITE)
	@rm -f $(SKIPPED) $(FAULTS)
	@echo; echo '== 1/5  unit tests'
	@SDELIB_SKIPPED=$(SKIPPED) SDELIB_FAULTS=$(FAULTS) $(PYTEST) $(SPREAD) -m 'not browser' $(CHAPTERS:%=--ignore %) tests
	@echo; echo '== 2/5  the data tests again, on the stand-in for Fashion-MNIST'
	@SDELIB_DATA=fallback $(PYTEST) -m 'not browser and not real_data' tests/book/test_data.py tests/core/test_metrics.py
	@echo; echo '== 3/5  how chapters are built, and every one with smoke parameters, as on Colab and on the stand-in'
	@SDELIB_SKIPPED=$(SKIPPED) $(PYTEST) -n $(JOBS) --dist load $(CHAPTERS)
	@echo; echo '== 4/5  every chapter at its default parameters, against its stored outputs'
	@$(PYTEST) -p no:warnings $(SPREAD) --nbval-lax --nbval-current-env --nbval-cell-timeout 600 \
	  book/intro.ipynb $(wildcard chapters/*.ipynb)
	@echo; echo '== 5/5  the site in Chromium'
	@SDELIB_SKIPPED=$(SKIPPED) $(PYTEST) -n $(BROWSERS) --dist loadgroup -m browser tests
	@echo; echo '== All five stages passed.'; cat $(FAULTS)
	@if [ -s $(SKIPPED) ]; then echo "But not everything ran: $$(wc -l < $(SKIPPED)) tests were SKIPPED:"; sort $(SKIPPED); \
	  else echo 'Nothing was skipped.'; fi

clean:
	@rm -rf _build node_modules book/_static/vendor build dist *.egg-info .pytest_cache
	@find . -path ./$(VENV) -prune -o -type d \( -name __pycache__ -o -name .ipynb_checkpoints \) -print0 | xargs -0 -r rm -rf
	@echo 'Removed what was built. The packages stay in $(VENV); remove that folder to install them anew.'
