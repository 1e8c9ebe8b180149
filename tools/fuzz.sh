#!/bin/bash
# fuzz.sh SECONDS [SEED]: runs all fuzzers for that time together, on all cores. Inputs that fail
# are in build/crash-*. build/corpus stays between runs. With a seed and no corpus, each run tries
# the same inputs in the same order.
set -uo pipefail
cd "$(dirname "$0")/.."
[ -f build/asan/build.ninja ] || cmake --preset asan -Wno-dev >/dev/null || exit 1
mapfile -t targets < <(ninja -C build/asan -t targets all |
  sed -nE 's/^(databridge-fuzz-[a-z_]+): .*/\1/p' | sort -u)
tools/build.sh asan "${targets[@]}" >/dev/null || exit 1
mapfile -t fuzzers < <(ls build/asan/databridge-fuzz-* | grep -v -e seeds -e '\.')
seeds=build/corpus-seeds
rm -rf "$seeds" && mkdir -p "$seeds" && build/asan/databridge-fuzz-seeds "$seeds" || exit 1
each=$(($1 * $(nproc) / ${#fuzzers[@]}))
look() {
  local name=${1##*databridge-fuzz-}
  mkdir -p "build/corpus/$name" "$2/$name"
  "$1" -max_total_time="$3" -timeout=10 -rss_limit_mb=2048 -seed="$4" -print_final_stats=1 \
    -artifact_prefix=build/ "build/corpus/$name" "$2/$name" >"build/fuzz-$name.log" 2>&1
  local rc=$?
  printf '%-10s %9s inputs  %s\n' "$name" \
    "$(sed -nE 's/^stat::number_of_executed_units: *//p' "build/fuzz-$name.log")" \
    "$([ $rc -eq 0 ] && echo 'nothing found' || echo 'FOUND SOMETHING')"
  [ $rc -eq 0 ] || tail -40 "build/fuzz-$name.log"
  return $rc
}
export -f look
printf '%s\0' "${fuzzers[@]}" |
  xargs -0 -P "$(nproc)" -I {} bash -c 'look "$@"' _ {} "$seeds" "$((each > 0 ? each : 1))" "${2:-0}"
