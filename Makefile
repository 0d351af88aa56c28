# One line per verb; `make` alone lists them. Works with GNU make 3.81 and any POSIX shell.
#
# TEST_JOBS=N how many processes run tests (default 2)
# ROWS=FILE   which rows chaos-table puts into docs/reliability.md
# FAULTS='...' options of the chaos verbs, such as --pools gevent or --faults 'redis killed;redis slow'
# REPORT=DIR  where bench and bench-grid write (default: a new folder of reports/); an interrupted one goes on there
# PYTHON=/path/to/python  which interpreter makes .venv (default: the newest of those below that runs and fits)

SHELL = /bin/sh
BIN = .venv/bin
# What takes longest first: the timed lane (tests/conftest.py) lasts to the end.
TESTS = $(wildcard tests/integration tests/conformance tests/chaos tests/unit tests/test_docs.py)
# Two: one process runs the tests that know time limits, one the others beside it. More would break those limits.
TEST_JOBS ?= 2
PYTEST = $(BIN)/python -m pytest -n $(TEST_JOBS) --dist loadscope --no-loadscope-reorder
CANDIDATES = $(if $(PYTHON),"$(PYTHON)",python3.13 python3.12 python3.11 python3)
# Wheels only: nothing may need a compiler on a newcomer's machine. Every locked package has them for the platforms in
# CONTRIBUTING.md.
PIP = $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input install
LOCKED = $(PIP) --require-hashes --only-binary :all:
UV = uv==0.13.9
REPORT ?= reports/$(shell date +%Y%m%d-%H%M%S)
CHAOS = PYTHONPATH=tests $(BIN)/python -m chaos
RESOLVE = .venv/lock/bin/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links $(UPGRADE)
COMPILE = $(RESOLVE) pyproject.toml

.PHONY: help demo test check format equal chaos chaos-ci chaos-long chaos-table bench bench-grid bench-proof guarantees ladder bench-peers up up-split down \
	base-images base-images-clean \
	flower-password lock clean

help:           ## list the verbs
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' Makefile | awk -F'|' '{ printf "%-24s %s\n", $$1, $$2 }'

demo: .venv/.stamp   ## crawl the bundled website on this machine, without Docker
	@$(BIN)/poolcrawl demo

test: .venv/.stamp   ## run every test that needs no Docker
	@$(PYTEST) $(TESTS)

check: .venv/.stamp  ## the one gate: format, lint, strict types, import rules, tests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(PYTEST) $(TESTS)

format: .venv/.stamp ## format the code and mend what ruff can mend
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

equal: .venv/.stamp  ## the demo crawl in every pool, batch size and pipeline: one digest
	@$(BIN)/python tests/equal.py

chaos: .venv/.stamp  ## every fault in every pool, one row each: about half an hour
	@$(CHAOS) --jobs 2 $(FAULTS)

chaos-ci: .venv/.stamp ## a killed worker in every pool, each other fault in one, within eight minutes
	@$(CHAOS) --ci --jobs 3 --within 470 $(FAULTS)

chaos-long: .venv/.stamp ## twenty kills at random moments in every pool
	@$(CHAOS) --long $(FAULTS)

chaos-table: .venv/.stamp ## put the rows of `make chaos FAULTS='--json FILE'` into docs/reliability.md: ROWS=FILE
	@PYTHONPATH=tests $(BIN)/python -m chaos.table $(ROWS)

bench: .venv/.stamp  ## which pool, and why: four workloads in under five minutes, with a report
	@$(BIN)/poolcrawl bench --report "$(REPORT)"

bench-grid: .venv/.stamp ## the full grid of pools, slots, processes and splits, within an hour
	@$(BIN)/poolcrawl bench --grid --guarantees --repeat 2 --report "$(REPORT)"

bench-proof: .venv/.stamp ## is the advice right where nobody tuned it? six drawn workloads, about an hour
	@$(BIN)/poolcrawl bench --prove 1 --repeat 3 --report "$(REPORT)"

guarantees: .venv/.stamp ## what every pool keeps (deadlines, caps, cancel, drain, kill ...) as one matrix, in about six minutes
	@$(BIN)/poolcrawl guarantees

ladder: .venv/.stamp ## every way of the concurrency tutorial on the same ten pages
	@$(BIN)/poolcrawl bench --ladder

bench-peers: .venv/.stamp-bench ## the same, beside Scrapy doing the same work
	@$(BIN)/poolcrawl bench --peers

up:             ## the whole stack in containers, in the foreground
	@tools/up

up-split:       ## the same with fetch and parse in workers of their own
	@tools/up split

down:           ## stop the containers; volumes stay
	@docker compose --profile '*' down --remove-orphans

base-images:    ## stand-ins for the base images, for hosts without an image registry
	@tools/base-images

base-images-clean: ## remove the stand-ins
	@tools/base-images clean

flower-password: ## print the password of the Flower in the containers
	@tools/flower-password

lock: .venv/.stamp   ## resolve the locks again; UPGRADE=--upgrade takes newer versions
	@test -x .venv/lock/bin/uv || { $(BIN)/python -m venv .venv/lock && \
		.venv/lock/bin/python -m pip --quiet --disable-pip-version-check install $(UV); }
	@$(COMPILE) -o locks/runtime.txt >/dev/null
	@$(COMPILE) --extra lab -o locks/lab.txt >/dev/null
	@$(COMPILE) --extra dev --extra lab -o locks/dev.txt >/dev/null
	@$(COMPILE) --extra bench -o locks/bench.txt >/dev/null
	@$(RESOLVE) --no-deps locks/conformance.in -o locks/conformance.txt >/dev/null

clean:          ## remove .venv and caches; crawls in .poolcrawl stay
	@rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A candidate must run (a pyenv shim on PATH may not), be new enough, and have venv with pip (Debian packages it apart).
.venv/.stamp: locks/dev.txt pyproject.toml
	@found=; if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		for candidate in $(CANDIDATES); do \
			if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
				>/dev/null 2>&1; then found=$$candidate; break; fi; \
		done; \
		if [ -z "$$found" ]; then \
			echo "No usable Python among: $(subst ",,$(CANDIDATES)). Install Python 3.11 or newer with venv (Debian and Ubuntu: apt-get install python3 python3-venv; macOS: brew install python@3.13), or name one: make PYTHON=/path/to/python" >&2; \
			exit 2; \
		fi; \
		echo "Setting up .venv with $$("$$found" --version) (once)" >&2; \
		"$$found" -m venv --clear .venv || exit 1; \
	fi
	@$(LOCKED) -r locks/dev.txt
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

.venv/.stamp-bench: .venv/.stamp locks/bench.txt
	@$(LOCKED) -r locks/bench.txt
	@touch $@
