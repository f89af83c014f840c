# make demo    a virtual environment, the install, a small capture, its verdicts
# make test    everything the tests need, then the tests with branch coverage
# make lint    ruff and mypy          make format   ruff's formatter
# make bench   the figures            make soak     memory of the live sensor, for MINUTES=10
# make kibana  what in kibana/ is made from its sources
# make clean   what was made here
# PYTHON=python3.12 make ... takes another interpreter (3.11 or newer).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
EDITABLE := --constraint constraints.txt --config-settings editable_mode=compat --editable
MINUTES ?= 10
DEMO := build/demo.pcap
DEBIAN := c-icap clamav-daemon clamav default-jre-headless ethtool iproute2 linux-libc-dev maven openssl rsyslog squid tshark
COVERED := --cov=reassembly --cov=engines --cov-branch --cov-report=term:skip-covered --cov-fail-under=90

.PHONY: demo test lint format bench soak kibana clean packages

demo: $(VENV)/installed
	@mkdir -p $(dir $(DEMO))
	@$(BIN)/python tests/cases/capture.py demo $(DEMO)
	@echo "-- tapscan scan $(DEMO)"
	@$(BIN)/tapscan scan $(DEMO); code=$$?; [ $$code -eq 1 ] || { echo "tapscan ended with $$code, expected was 1: something malicious found" >&2; exit 1; }

test: packages $(VENV)/installed-dev
	@echo "-- pytest"
	@$(BIN)/python -m pytest -q $(COVERED)

lint: $(VENV)/installed-dev
	@echo "-- ruff, mypy"
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/mypy --no-error-summary

format: $(VENV)/installed-dev
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format .

bench: $(VENV)/installed-dev
	@$(BIN)/python -m bench $(BENCH)

soak: $(VENV)/installed-dev
	@$(BIN)/python -m bench soak --minutes $(MINUTES) $(BENCH)

kibana: $(VENV)/installed-dev
	@$(BIN)/python -m manager.kibana_files

packages:
	@deploy/debian-packages $(DEBIAN)

$(BIN)/python:
	@echo "-- virtual environment in $(VENV)"
	@command -v $(PYTHON) >/dev/null || deploy/debian-packages python3 python3-venv
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; PYTHON=... names it" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || { deploy/debian-packages python3-venv && $(PYTHON) -m venv --clear $(VENV); } || { rm -rf $(VENV); exit 1; }

$(VENV)/installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "-- Python packages"
	@$(PIP) install $(EDITABLE) .
	@$(BIN)/python -m compileall -q sensor reassembly engines manager
	@touch $@

$(VENV)/installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "-- Python packages, with those for tests"
	@$(PIP) install $(EDITABLE) '.[dev]'
	@$(BIN)/python -m compileall -q sensor reassembly engines manager
	@touch $@ $(VENV)/installed

clean:
	rm -rf $(VENV) build .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
