# The commands for everyday work. `make` without a target lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.ONESHELL:
.SHELLFLAGS := -euo pipefail -c

SEED ?=
RUNS ?=
SECONDS ?=
ROUNDS ?=
JOBS ?= $(shell nproc)
CTEST := ctest --no-tests=error --output-on-failure

.PHONY: help deps build unit integration sim upgrade chaos bench asan tsan fuzz tidy format cover test run clean

help:  ## this list
	@echo "Two commands are enough: \`make run\` to see it, \`make test\` to check it."
	@echo
	grep -hE '^[a-z-]+:.*  ## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*  ## /\1|/' |
	  while IFS='|' read -r target does; do printf '  make %-12s %s\n' "$$target" "$$does"; done

run: build  ## install, build, start three nodes on loopback with a sample flow; Ctrl-C ends it
	@tools/run_demo.sh

test:  ## install, build, run every test that CI runs
	@tools/test_all.sh

deps:  ## install the Debian packages that are missing (as root)
	@tools/deps.sh

build: deps  ## build/release/databridge and build/release/databridgectl
	@tools/build.sh release

unit: build  ## tests without processes, at most 2 minutes
	@$(CTEST) --test-dir build/release -L unit -j $(JOBS)

integration: build  ## tests with real processes
	@$(CTEST) --test-dir build/release -L integration

sim: build  ## the deterministic simulator: SEED=n one seed, RUNS=n so many runs
	@build/release/databridge-sim $(if $(SEED),--seed=$(SEED)) $(if $(RUNS),--runs=$(RUNS))

upgrade: build  ## upgrade and downgrade of real processes from the earlier build of tests/earlier_build
	@python3 tests/upgrade_test.py

chaos: build  ## real processes under kill, freeze, partition, bad clocks and disks: ROUNDS=n SEED=n (as root)
	@python3 tests/chaos/run.py $(if $(ROUNDS),--rounds=$(ROUNDS)) $(if $(SEED),--seed=$(SEED))

bench: build  ## the benchmarks: a table, and build/bench.json
	@python3 bench/run.py --build build/release --out build/bench.json

asan: deps  ## the unit tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@tools/build.sh asan
	$(CTEST) --test-dir build/asan -L unit -j $(JOBS)

tsan: deps  ## the unit tests under ThreadSanitizer
	@tools/build.sh tsan
	TSAN_OPTIONS=suppressions=$(CURDIR)/tools/tsan.supp $(CTEST) --test-dir build/tsan -L unit -j $(JOBS)

fuzz: deps  ## every decoder's fuzzer: SECONDS=n in all
	@tools/fuzz.sh $(or $(SECONDS),600)

tidy: deps  ## clang-format and clang-tidy over everything
	@tools/tidy.sh

format: deps  ## let clang-format rewrite what it would complain about
	@git ls-files '*.h' '*.cc' | xargs -r clang-format -i

cover: deps  ## line coverage of the unit tests: build/cover/index.html
	@tools/cover.sh

clean:  ## forget everything that was built
	@rm -rf build
