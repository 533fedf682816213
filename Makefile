# Everything that is done to this repository, one target each. `make test` is what CI runs.
#
#   make demo    show that a container survives the death of every process of the daemon (root)
#   make test    install what is needed, lint, run the tests (root)
#   make lint    ruff, mypy --strict, generated files
#   make bench   measure, beside Debian's containerd; writes docs/benchmarks.md (root, minutes)
#   make soak    the long runs that `make test` leaves out (root)
#   make docs    write the generated pages of docs/ again
#   make venv    only the virtual environment in .venv

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.stamp

.PHONY: help venv host lint test demo bench soak docs clean

help:
	@sed -n 's/^#   //p' Makefile

venv: $(STAMP)

$(STAMP): pyproject.toml scripts/setup.sh
	@PYTHON=$(PYTHON) scripts/setup.sh venv
	@touch $@

# Root, runc and a static busybox: what a container needs of the machine.
host:
	@PYTHON=$(PYTHON) scripts/setup.sh host

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python scripts/unasync.py --check

test: host $(STAMP) lint
	@scripts/setup.sh tests
	$(BIN)/pytest

soak: host $(STAMP)
	@scripts/setup.sh tests
	$(BIN)/pytest -m soak

demo: host $(STAMP)
	@$(BIN)/python -m scripts.demo

bench: host $(STAMP)
	@scripts/setup.sh tests
	@scripts/setup.sh bench
	@$(BIN)/python -m bench --write

docs: $(STAMP)
	$(BIN)/python -m config.reference > docs/configuration.md.new && mv docs/configuration.md.new docs/configuration.md
	$(BIN)/python -m cli.reference > docs/cli.md.new && mv docs/cli.md.new docs/cli.md
	$(BIN)/python -m scripts.protocol_reference > docs/protocol-methods.md.new && mv docs/protocol-methods.md.new docs/protocol-methods.md

clean:
	rm -rf .venv dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
