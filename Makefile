# `demo` and `test` do all the set-up on a machine that has python3 with venv, and nothing else.
PYTHON ?= python3
BIN := .venv/bin

# The challenge's container (docs/challenge.md): a bundle; GPU=1 for torch with CUDA in the image, and a
# Hugging Face cache (its folder `hub`) if the bundle needs weights of one. ENGINE is docker, podman or
# buildah, with its own options; BUILD are those of its build.
BUNDLE ?= bundles/atypia-lite
GPU ?=
HUB ?= container/no-weights
IMAGE ?= atypia-midog25-t2:$(if $(GPU),cuda,cpu)
ENGINE ?= docker
BASE ?= python:3.11-slim-bookworm
BUILD ?= --platform linux/amd64

# The folders of AMi-Br's and AtNorM-MD's figures (docs/benchmark.md), to train the bundle that comes
# with atypia. Another NAME, and what its card says of the data (DATA), for other figures.
FIGURES ?=
NAME ?= atypia-lite
DATA ?=

# Campaigns (docs/campaigns.md): minutes of fuzzing, without them the counts of the whole campaign;
# FUZZ and KILL are further options of the two programs.
MINUTES ?=
FUZZ ?=
KILL ?=

.PHONY: demo test test-all lint bundle container fuzz kill mutants

demo: .venv/installed
	$(BIN)/atypia demo demo

# The tests of a file stay together, so that what they share is made once; the longest files go first
# (tests/conftest.py). Coverage costs a third of the time, and CI has fifteen minutes: test-all measures it.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder
COVERAGE := --cov --cov-report=term --cov-fail-under=85

test: .venv/installed-dev .venv-plain/installed lint
	$(PYTEST) -m "not slow"

test-all: .venv/installed-dev .venv-plain/installed lint
	$(PYTEST) $(COVERAGE)

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# First two teachers of the same recipe, then the network that learns from both. On one thread: the two
# teachers can be trained side by side (make -j 2), and the results are the same to the bit.
TRAIN = $(BIN)/atypia train $(FIGURES) --recipe atypia-lite --device cpu --threads 1 \
  --set name=$(NAME) $(if $(DATA),--set card.data="$(DATA)")
RUN := runs/$(NAME)

bundle: $(RUN)-lite $(RUN)-lite2
	$(TRAIN) --set distillation.teachers='["$(RUN)-lite","$(RUN)-lite2"]' --out $(RUN)
	rm -rf bundles/$(NAME)
	cp -r $(RUN)/bundle bundles/$(NAME)
	$(BIN)/atypia bundle export bundles/$(NAME) --half
	mkdir -p docs/$(NAME)
	cp $(addprefix $(RUN)/,out_of_fold.csv metrics.json recipe.toml run.json) docs/$(NAME)

.PHONY: $(RUN)-lite $(RUN)-lite2
$(RUN)-lite $(RUN)-lite2: $(RUN)-%: .venv/installed
	$(if $(FIGURES),,$(error name the figures: make bundle FIGURES="ami-br atnorm-md"))
	$(TRAIN) --set backbone.key=$* --set folds.bundle=folds --out $@

container: .venv/installed
	$(BIN)/atypia bundle verify "$(BUNDLE)"
	$(if $(GPU),,test -e "$(BUNDLE)/exported" || $(BIN)/atypia bundle export "$(BUNDLE)")
	$(ENGINE) build $(BUILD) --file container/Dockerfile --build-arg BASE="$(BASE)" \
	  --build-context bundle="$(BUNDLE)" --build-context hub="$(HUB)" \
	  --build-arg EXTRAS="challenge$(if $(GPU),$(comma)train)" --tag "$(IMAGE)" .

comma := ,

fuzz: .venv/installed-fuzz
	$(BIN)/python campaigns/fuzz.py $(if $(MINUTES),--minutes $(MINUTES)) $(FUZZ)

kill: .venv/installed-dev
	$(BIN)/python campaigns/kill.py $(KILL)

mutants: .venv/installed-dev
	$(BIN)/python campaigns/mutants.py

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train]'
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

# What `pip install atypia` brings, without torch: tests/installs runs the verbs in it.
.venv-plain/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-plain
	.venv-plain/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

.venv/installed-fuzz: .venv/installed-dev
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[fuzz]'
	touch $@
