# Every target does its own set-up: the environment in .venv is made, and made anew when a lock file changes.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
QUIX := build/bench/quix
QUIX_READY := $(QUIX)/.ready

CHAOS_SECONDS ?= 60
CHAOS_SEED ?= 63685
CHAOS_DELIVERY ?= exactly_once

FUZZ_RUNS ?= 100000
FUZZ_SECONDS ?= 60
FUZZ_SEED ?= 63685
FUZZ_TARGETS ?= claim status override flagged x12 answers file record

.PHONY: demo test test-broker test-rules test-rest check format bench bench-latency bench-scale bench-memory bench-history bench-console bench-replay chaos fuzz docs schema samples golden lock compose clean help

help:  ## What there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 15

demo: $(READY)  ## Watch two dozen invented claims being decided (no Kafka, Java or Docker needed)
	@$(BIN)/claimscrub demo

# What shows that the rules are covered; no other test is slowed down by being watched.
RULES_TESTS := tests/rules tests/test_docs.py tests/worker/test_hindsight.py tests/worker/test_rules_cli.py

# Two at a time, each with a broker of its own: tests on a broker wait more than they compute.
test: check  ## Everything: style, types, and all tests, on a real Kafka broker (Java 17+, Maven) and in a real Chromium
	@$(MAKE) --no-print-directory -j2 test-broker test-rest test-rules

test-broker: $(READY)  ## What a worker does on a real broker
	$(BIN)/python -m pytest tests/broker

test-rules: $(READY)  ## The rules, and whether they are covered
	$(BIN)/coverage run -m pytest $(RULES_TESTS)
	$(BIN)/coverage report

test-rest: $(READY)  ## All other tests, on a broker of their own
	$(BIN)/python -m pytest $(addprefix --ignore=,tests/broker $(RULES_TESTS))

check: $(READY)  ## Style, types, licences, and known vulnerabilities (CLAIMSCRUB_AUDIT=required fails where none can be looked up)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy docs/examples/consumers
	$(BIN)/python -m tests.supply_chain

format: $(READY)  ## Mend the style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(READY) $(QUIX_READY)  ## The worker beside bare loops and rivals, with a long history, and the console's questions
	$(BIN)/python -m tests.bench --chart docs/bench.svg
	$(BIN)/python -m tests.bench.history
	$(BIN)/python -m tests.bench.console

bench-latency: $(READY)  ## Time from produce to decision at several rates
	$(BIN)/python -m tests.bench.latency

bench-scale: $(READY)  ## One worker and two
	$(BIN)/python -m tests.bench.scale

bench-memory: $(READY)  ## A worker's memory over a million claims
	$(BIN)/python -m tests.bench.memory

bench-history: $(READY)  ## What a long history costs: CPU, memory, and the seconds until the first decision
	$(BIN)/python -m tests.bench.history

bench-console: $(READY)  ## What the console's pages ask, with 100,000 flagged claims, and how fast they are taken in
	$(BIN)/python -m tests.bench.console

bench-replay: $(READY)  ## 100,000 claims replayed: nothing differs without a change, and without a rule exactly its claims
	$(BIN)/python -m tests.bench.replay

chaos: $(READY)  ## Everything is killed and restarted under load, and each claim counted (CHAOS_SECONDS=60 CHAOS_SEED=63685)
	$(BIN)/python -m tests.chaos --seconds $(CHAOS_SECONDS) --seed $(CHAOS_SEED) --delivery $(CHAOS_DELIVERY)

fuzz: $(READY)  ## Hostile input: by chance, through a real worker, guided by coverage (FUZZ_RUNS=100000 FUZZ_SECONDS=60 FUZZ_SEED=63685)
	$(BIN)/python -m tests.fuzz --runs $(FUZZ_RUNS) --seconds 0 --seed $(FUZZ_SEED)
	$(BIN)/python -m tests.fuzz.stream --inputs $(FUZZ_RUNS) --seed $(FUZZ_SEED)
	@for target in $(FUZZ_TARGETS); do \
	  $(BIN)/python -m tests.fuzz.guided $$target --seconds $(FUZZ_SECONDS) --seed $(FUZZ_SEED) || exit 1; done

docs: $(READY)  ## Write the pages about the rules, the metrics and the licences anew
	$(BIN)/claimscrub rules docs docs/rules
	$(BIN)/python -m worker.metrics > docs/metrics.md
	$(BIN)/python -m tests.supply_chain --write

schema: $(READY)  ## Write the contract of the topics anew: JSON Schemas, AsyncAPI, examples
	$(BIN)/claimscrub schema --out docs/contract

samples: $(READY)  ## Write the X12 samples of the tests and of the demo anew
	$(BIN)/python -m tests.x12.make_samples
	$(BIN)/python -m tests.x12.make_response_samples
	$(BIN)/python -m tests.x12.make_demo_claims

golden: $(READY)  ## Write the decisions of the golden claims anew, after a change of the rules
	$(BIN)/python -m tests.golden.make

lock: $(READY)  ## Write the lock files anew from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml --extra console --extra tracing -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml --extra console --extra tracing --group dev -o requirements-dev.lock
	echo hatchling | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header -c requirements-dev.lock - -o requirements-build.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header tests/bench/quix.in -o tests/bench/quix.lock

compose:  ## The whole system in containers
	docker compose up --build

clean:  ## Remove what the targets made
	rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage

$(READY): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "claimscrub needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "Making the environment in .venv (once) ..."
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(READY)

# The rival pins an older pydantic, so it has an environment of its own.
$(QUIX_READY): tests/bench/quix.lock
	@echo "Making the environment of Quix Streams in $(QUIX) (once) ..."
	@$(PYTHON) -m venv --clear $(QUIX)
	@$(QUIX)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/bench/quix.lock
	@touch $(QUIX_READY)
