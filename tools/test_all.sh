#!/bin/bash
# Every test that CI runs, in stages. A failing stage does not hide those after it; the last lines
# say how long each took and how many tests passed. Exit code 0 only if all of them did.
set -uo pipefail
cd "$(dirname "$0")/.."
mkdir -p build
summary=()
failed_stages=0
passed=0
failed=0

# stage NAME CMD…: runs CMD, remembers how long it took, adds up what ctest counted.
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
  # A stage that broke without any test of its own to blame counts as one failure.
  if [ "$failed" -lt "$failed_stages" ]; then failed=$failed_stages; fi
  printf '%d passed, %d failed\n' "$passed" "$failed"
  [ "$failed" -eq 0 ]
  exit
}

suite() { ctest --test-dir "build/$1" --no-tests=error --output-on-failure "${@:2}"; }

# The tests that hold memory and threads to account: of the pure rooms. `make asan` and `make tsan`
# take all rooms; docs/status.md says which of them have been through it.
pure='base|model|raft|cluster'
sanitized() {
  [ -f "build/$1/build.ninja" ] || cmake --preset "$1" -Wno-dev || return 1
  local rooms programs
  IFS='|' read -ra rooms <<<"$pure"
  programs=("${rooms[@]/%/_test}")
  tools/build.sh "$1" "${programs[@]}" || return 1
  suite "$1" -R "^($pure)\$" -j "$(nproc)"
}

# The simulator has to find each bug that is planted, or it would find no other either.
canaries() {
  tools/build.sh canary databridge-sim && build/canary/databridge-sim --canary=all
}

# A short look by each fuzzer, three minutes for all of them (FUZZ=1); `corpus` stays between runs.
fuzzers() {
  [ -f build/fuzz/build.ninja ] || cmake --preset fuzz -Wno-dev || return 1
  local each target corpus
  mapfile -t targets < <(ninja -C build/fuzz -t targets all | sed -nE 's/^(databridge-fuzz-[a-z_]+): .*/\1/p' | sort -u)
  tools/build.sh fuzz "${targets[@]}" || return 1
  each=$((120 / ${#targets[@]}))
  for target in "${targets[@]}"; do
    corpus=build/corpus/$target
    mkdir -p "$corpus"
    "build/fuzz/$target" -max_total_time="$each" -print_final_stats=1 -artifact_prefix=build/ "$corpus" ||
      return 1
  done
}

stage "packages" tools/deps.sh || finish
stage "build" tools/build.sh release || finish
stage "unit" suite release -L unit -j "$(nproc)"
stage "simulation" build/release/databridge-sim
stage "canaries" canaries
stage "real processes" suite release -L integration
stage "address and undefined" sanitized asan
stage "threads" sanitized tsan
if [ -n "${FUZZ:-}" ]; then stage "fuzzers" fuzzers; fi
finish
