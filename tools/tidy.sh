#!/bin/bash
# Form: clang-format has nothing to change, clang-tidy (checks in .clang-tidy) has nothing to say.
# tidy.sh --format checks the form alone, which takes a second.
set -euo pipefail
cd "$(dirname "$0")/.."
# Root may build a checkout that belongs to somebody else; git would refuse to list it.
sources() { git -c safe.directory="$PWD" ls-files "$@"; }
sources '*.h' '*.cc' | xargs -r clang-format --dry-run --Werror
echo "tidy: clang-format has nothing to change"
if [ "${1:-}" = --format ]; then exit 0; fi
tools/build.sh release
sources '*.cc' | xargs -r -P "$(nproc)" -n 4 clang-tidy --quiet -p build/release --extra-arg=-Wno-unknown-warning-option
