#!/bin/bash
# build.sh PRESET [TARGET…]: configures build/PRESET once, then builds the targets (all of them).
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
shift
if [ ! -f "build/$preset/build.ninja" ]; then cmake --preset "$preset" -Wno-dev >"/dev/stderr"; fi
# Parallel compilers with optimisation need about a gigabyte each: a small machine gets fewer.
jobs=${JOBS:-$(nproc)}
gigabytes=$(awk '/MemTotal/ {print int($2 / 1048576)}' /proc/meminfo)
if [ "$jobs" -gt "$((gigabytes > 0 ? gigabytes : 1))" ]; then jobs=$((gigabytes > 0 ? gigabytes : 1)); fi
# One cache for all presets and checkouts: what differs in the name of its folder only is the same.
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
# What an earlier state of the rules made and this one does not goes: nobody shall run an old program.
ninja --quiet -C "build/$preset" build.ninja
ninja -C "build/$preset" -t cleandead >/dev/null
ninja -C "build/$preset" -j "$jobs" "$@"
