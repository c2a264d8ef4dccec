# Two commands are enough: `make demo` and `make test`. Everything lives in .venv and build/.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
# Installed first and by itself, so that no other package chooses a build of torch. Give the build for your machine,
# for instance TORCH="torch --index-url <the wheel index of your CUDA version>".
TORCH ?= torch==2.13.0
# Processes in which tests run: a number, or auto for one per core as far as there is memory (make test PROCESSES=1).
PROCESSES ?= auto
PIP = .venv/bin/python -m pip install --quiet --disable-pip-version-check
BIN = .venv/bin

.PHONY: help demo setup test test-slow test-cluster test-kills test-all vllm-env lint types check lock wheel benchmarks ablations clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*##/\t/' | expand -t 14

demo: .venv/installed  ## set up, then render clips and score them with the models of demo/ (no GPU, no download)
	$(BIN)/lavad demo --output build/demo

setup: .venv/installed-dev  ## environment with everything for development

test: .venv/installed-dev vllm-env  ## set up, then run the tests (the slow ones: make test-slow)
	$(BIN)/python -m pytest -m "not slow and not cluster and not kills" -n $(PROCESSES)

test-slow: .venv/installed-dev vllm-env  ## the tests that take longer than about 10 s each
	$(BIN)/python -m pytest -m slow

test-cluster: .venv/installed-dev vllm-env  ## the demonstration's set on a cluster of processes: PostgreSQL, Prefect, workers, vLLM, S3
	$(BIN)/python -m pytest -m cluster

test-kills: .venv/installed-dev vllm-env  ## the same, and parts of the cluster are killed
	$(BIN)/python -m pytest -m kills

test-all: test test-slow test-cluster test-kills  ## all tests

vllm-env: .venv/installed-dev  ## the vLLM server's own environment; where it cannot be had its tests are skipped, visibly
	@bash tests/vllm/build_env.sh || echo "vLLM environment: not available here; tests marked vllm will be skipped" >&2

lint: .venv/installed-dev  ## ruff, yamllint and shellcheck
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/yamllint --strict prefect.yaml docker deployments/kubernetes lavad_core/config/presets lavad_core/evaluation/published.yaml lavad_core/studies/files demo/lavad.yaml .pre-commit-config.yaml
	$(BIN)/shellcheck deployments/slurm/lavad.sbatch

types: .venv/installed-dev  ## mypy --strict on lavad_core, tasks, flows, deployments and demo
	$(BIN)/mypy

check: lint types  ## lint and types

lock: .venv/installed-dev  ## pin the worker image's packages (docker/constraints.txt); UPGRADE=--upgrade takes newer versions
	echo '$(TORCH)' | $(BIN)/uv --quiet pip compile pyproject.toml - --extra s3 --python-version 3.12 --python-platform x86_64-manylinux_2_28 \
	  --no-annotate --custom-compile-command "make lock" --output-file docker/constraints.txt $(UPGRADE)

wheel: .venv/installed-dev  ## build sdist and wheel into dist/, and run the demonstration from the wheel in an empty environment
	.ci/wheel dist $(TORCH)

benchmarks: .venv/installed-dev  ## print the figures of benchmarks/README.md again
	$(BIN)/python benchmarks/cleaning_and_refinement.py
	$(BIN)/python benchmarks/long_video_memory.py
	$(BIN)/python benchmarks/evaluation_speed.py
	$(BIN)/python benchmarks/decode_passes.py

ablations:  ## what each part of the method is worth on the demonstration's clips (after make demo)
	$(BIN)/python -m lavad.demo.ablations build/demo --json build/demo/ablations.json

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml | .venv/bin/python
	$(PIP) --upgrade pip
	$(PIP) $(TORCH)
	$(PIP) --editable .
	touch $@

.venv/installed-dev: pyproject.toml .venv/installed
	$(PIP) --editable ".[dev]"
	touch $@

clean:  ## remove environments and everything built
	rm -rf .venv .venv-vllm build dist
