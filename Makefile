# What can be done here. `make` alone shows it: every line with a double # is an entry of that list.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.SILENT:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --warn-undefined-variables

VENV := .venv
BIN := $(VENV)/bin
# What is in .venv: amoc and the scenarios' needs; what a deployment needs besides; what tests and checks need.
INSTALLED := $(VENV)/.installed
DEPLOYS := $(VENV)/.deploys
TOOLS := $(VENV)/.tools
# deleted when the versions are to be renewed
CONSTRAINTS := $(wildcard constraints.txt)
PIP_INSTALL = $(if $(CONSTRAINTS),PIP_CONSTRAINT=$(CONSTRAINTS)) $(BIN)/pip install --quiet --disable-pip-version-check
PYTHON ?=
ARGS ?=
TARGETS ?=
# Tests with servers and processes wait more than they work, so three files at a time keep two cores busy; each of the
# three has its own servers. In the order of the folders, which begins with the longest files.
SIDE_BY_SIDE := -n 3 --dist loadfile --no-loadscope-reorder
# Named, so that it counts also where the directory may be written by others; on PATH for its own helpers.
PLAYBOOK = PATH="$(CURDIR)/$(BIN):$$PATH" ANSIBLE_CONFIG=$(CURDIR)/ansible.cfg $(BIN)/ansible-playbook

.PHONY: help install run cluster test unit e2e lint types bench fuzz docs molecule rel prepare deploy status rollback undeploy clean

help: ## this list
	echo "make TARGET [ARGS='more arguments for the command behind it']"
	awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "  %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(TOOLS) ## make .venv with amoc, its tools and the scenarios' needs (PYTHON=… chooses the Python)
	echo "amoc is installed: make run, or $(BIN)/amoc --help"

run: $(INSTALLED) ## a first load test, half a minute: 20 users on amoc's embedded XMPP server
	$(BIN)/amoc run mongoose_simple_with_metrics --users 20 --repeat-num 0 --server embedded \
	  --set settle=2 --set rounds=22 --set pause=1 --set linger=2 $(ARGS)

cluster: $(INSTALLED) ## the same on a master and three slaves, all on this machine: one minute
	trap '$(BIN)/amoc cluster down' EXIT
	$(BIN)/amoc cluster up --slaves 3 --workers 1
	$(BIN)/amoc run mongoose_simple_with_metrics --cluster --users 60 --repeat-num 0 --server embedded \
	  --set settle=2 --set rounds=22 --set pause=1 --set linger=2 $(ARGS)

test: $(TOOLS) ## every test but those of e2e; real servers are installed when root on Debian, else skipped with the reason
	$(BIN)/pytest -n auto tests/unit tests/test_*.py $(ARGS)
	$(BIN)/pytest $(SIDE_BY_SIDE) tests/integration --ignore=tests/integration/lab $(ARGS)

unit: $(TOOLS) ## the tests that need no server, in less than a minute
	$(BIN)/pytest -n auto -m "not slow" tests/unit tests/test_*.py $(ARGS)

e2e: $(TOOLS) ## test hosts, and on them make prepare, make deploy, console and load (root on Debian; ten minutes)
	$(BIN)/pytest tests/integration/lab tests/e2e $(ARGS)

lint: $(TOOLS) ## style and mistakes, by ruff and ansible-lint
	$(BIN)/ruff check $(ARGS)
	$(BIN)/ruff format --check
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/ansible-lint --offline -q

types: $(TOOLS) ## types, by mypy
	$(BIN)/mypy $(ARGS)

bench: $(TOOLS) ## figures: memory, punctuality, cost of metrics (ARGS=-h shows which)
	$(BIN)/python -m bench $(ARGS)

fuzz: $(TOOLS) ## ten minutes of made and broken streams against the XMPP parser (ARGS='--minutes 1')
	$(BIN)/python -m tests.fuzz.parser $(ARGS)

docs: $(TOOLS) ## check the documentation: links, completeness, and that what it shows works
	shopt -s globstar
	$(BIN)/pytest tests/**/test_*_docs.py $(ARGS)

molecule: $(TOOLS) ## the roles prepare and amoc, on test hosts of their own (root on Debian)
	for role in prepare amoc; do
	  (cd "ansible/roles/$$role" && PATH="$(CURDIR)/$(BIN):$$PATH" molecule test --all $(ARGS))
	done

rel: $(DEPLOYS) ## a release that needs no internet, _rel/amoc-VERSION.tar.gz (TARGETS='cp311-manylinux_2_36_x86_64 …')
	$(BIN)/python -m tools.release $(TARGETS:%=--target=%) $(ARGS)

prepare: $(DEPLOYS) ## make the machines in hosts ready: user, limits, kernel, key (ARGS=--ask-pass if need be)
	$(PLAYBOOK) ansible/amoc-prepare.yml $(ARGS)

deploy: $(DEPLOYS) ## build the release and bring it to master and slaves (ARGS='-e force=true' ends a running test)
	$(PLAYBOOK) ansible/amoc-deploy.yml $(ARGS)

status: $(DEPLOYS) ## a line for each node: version, state, unit, clock
	$(PLAYBOOK) ansible/amoc-status.yml $(ARGS)

rollback: $(DEPLOYS) ## go back to the version that was deployed before (ARGS='-e release=ID')
	$(PLAYBOOK) ansible/amoc-rollback.yml $(ARGS)

undeploy: $(DEPLOYS) ## take amoc off the machines; results stay (ARGS='-e purge=true' removes them, too)
	$(PLAYBOOK) ansible/amoc-undeploy.yml $(ARGS)

clean: ## remove .venv, caches and build results; results of tests (.amoc) stay
	rm -rf $(VENV) build dist _rel .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml hatch_build.py amoc/xmpp/core/_shared.c $(CONSTRAINTS) scenarios/requirements.txt
	python=
	for candidate in $(PYTHON) python3 python3.13 python3.12 python3.11; do
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
	    python=$$candidate
	    break
	  fi
	done
	if [ -z "$$python" ]; then
	  echo "make install: no Python 3.11 or newer found; install one, or say which: make install PYTHON=/path/to/python" >&2
	  exit 2
	fi
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then
	  if [ -e /etc/debian_version ] && [ "$$(id -u)" = 0 ]; then
	    echo "installing Debian's python3-venv"
	    apt-get -o DPkg::Lock::Timeout=400 -qq update
	    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=400 -qq install -y --no-install-recommends python3-venv >/dev/null
	  else
	    echo "make install: $$python has no venv module; install it (on Debian, as root: apt-get install python3-venv)" >&2
	    exit 2
	  fi
	fi
	echo "installing amoc into $(VENV) with $$("$$python" --version)"
	"$$python" -m venv $(VENV)
	$(PIP_INSTALL) --editable . --requirement scenarios/requirements.txt
	if ! $(BIN)/python -c 'import sys; from amoc.xmpp.core.shared import compiled; sys.exit(compiled is None)'; then
	  echo "amoc parses XML in Python, which is slower; for the compiled parser: a C compiler and Python's headers" \
	    "(on Debian: apt-get install gcc libc6-dev python3-dev), then touch pyproject.toml and make install"
	fi
	touch $@

$(DEPLOYS): $(INSTALLED)
	echo "installing what a deployment needs"
	$(PIP_INSTALL) --editable '.[deploy]'
	touch $@

$(TOOLS): $(DEPLOYS)
	echo "installing the tools of tests and checks"
	$(PIP_INSTALL) --editable '.[dev]'
	touch $@
