#!/bin/bash
# build.sh PRESET [TARGET…]: configures build/PRESET once, then builds the targets. Without a target
# it builds all.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
shift
if [ ! -f "build/$preset/build.ninja" ]; then cmake --preset "$preset" -Wno-dev >"/dev/stderr"; fi
# A compiler with optimisation needs about a gigabyte, so a machine with little memory runs fewer.
jobs=${JOBS:-$(nproc)}
gigabytes=$(awk '/MemTotal/ {print int($2 / 1048576)}' /proc/meminfo)
if [ "$jobs" -gt "$((gigabytes > 0 ? gigabytes : 1))" ]; then jobs=$((gigabytes > 0 ? gigabytes : 1)); fi
# All presets and checkouts share one cache: files that differ only in the name of their folder are
# the same to it.
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
# Files that older build rules made and the present ones do not are removed, so that no old program
# can be run by mistake.
ninja --quiet -C "build/$preset" build.ninja
ninja -C "build/$preset" -t cleandead >/dev/null
ninja -C "build/$preset" -j "$jobs" "$@"
