#!/bin/bash
# Runs every test that CI runs, in stages. The stages after a failing one run, too. The last lines
# tell how long each stage took and how many tests passed. The exit code is 0 only if all passed.
set -uo pipefail
cd "$(dirname "$0")/.."
mkdir -p build
summary=()
failed_stages=0
passed=0
failed=0

# stage NAME CMD…: runs CMD, remembers how long it took, and adds up the numbers of tests of ctest.
stage() {
  local name=$1 started=$SECONDS log=build/stage-${1// /-}.log verdict=ok
  shift
  printf '\n=== %s\n' "$name"
  if ! "$@" 2>&1 | tee "$log"; then
    verdict=FAILED
    failed_stages=$((failed_stages + 1))
  fi
  # "97% tests passed, 1 tests failed out of 34"
  local bad all
  while read -r bad all; do
    failed=$((failed + bad))
    passed=$((passed + all - bad))
  done < <(sed -nE 's/^[0-9]+% tests passed, ([0-9]+) tests? failed out of ([0-9]+)$/\1 \2/p' "$log")
  summary+=("$(printf '%-28s %5d s  %s' "$name" $((SECONDS - started)) "$verdict")")
  [ "$verdict" = ok ]
}

finish() {
  printf '\n=== Stages\n'
  printf '%s\n' "${summary[@]}"
  printf '%-28s %5d s\n' total "$SECONDS"
  # A stage that failed without a failed test counts as one failure.
  if [ "$failed" -lt "$failed_stages" ]; then failed=$failed_stages; fi
  printf '%d passed, %d failed\n' "$passed" "$failed"
  [ "$failed" -eq 0 ]
  exit
}

# A simulation that does not end is killed, so that the stages after it run, too.
simulate() { timeout --verbose --kill-after=10 1200 "build/$1/databridge-sim" "${@:2}"; }
suite() { ctest --test-dir "build/$1" --no-tests=error --output-on-failure "${@:2}"; }

# AddressSanitizer and UndefinedBehaviorSanitizer: the tests of all rooms, and a short simulation.
memory() {
  [ -f build/asan/build.ninja ] || cmake --preset asan -Wno-dev || return 1
  local targets
  mapfile -t targets < <(ninja -C build/asan -t targets all |
    sed -nE 's/^((databridge-fuzz-[a-z_]+|[a-z]+_test|databridge-sim)): .*/\1/p' |
    grep -v -e '^tidy' -e '^documents' | sort -u)
  tools/build.sh asan "${targets[@]}" && suite asan -L unit -E '^(tidy|documents)$' -j "$(nproc)" &&
    simulate asan --runs=300
}

# ThreadSanitizer: the tests of the rooms that have threads.
threaded='base|platform|node|api'
threads() {
  [ -f build/tsan/build.ninja ] || cmake --preset tsan -Wno-dev || return 1
  local rooms
  IFS='|' read -ra rooms <<<"$threaded"
  tools/build.sh tsan "${rooms[@]/%/_test}" || return 1
  # Reports go to files and are shown at the end of the stage, because they are hard to find in a
  # long log of tests.
  rm -f build/tsan-report.*
  export TSAN_OPTIONS="suppressions=$PWD/tools/tsan.supp log_path=$PWD/build/tsan-report"
  suite tsan -R "^($threaded)\$" -j "$(nproc)" && return 0
  head -n 100 build/tsan-report.* 2>/dev/null
  return 1
}

# The simulator must find each planted bug. Otherwise it would not find other bugs of that kind.
canaries() {
  tools/build.sh canary databridge-sim && simulate canary --canary=all
}

stage "packages" tools/deps.sh || finish
stage "form" tools/tidy.sh --format
stage "build" tools/build.sh release || finish
stage "clang-tidy of changes" timeout --verbose 900 tools/tidy.sh --changed
stage "unit" suite release -L unit -j "$(nproc)"
stage "simulation" simulate release
stage "canaries" canaries
stage "real processes" suite release -L integration
stage "address and undefined" memory
stage "fuzzers" tools/fuzz.sh 60 1
stage "threads" threads
finish
