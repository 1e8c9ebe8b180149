#!/bin/bash
# Measures the line coverage of the unit tests, and shows it as a page and as one line of text.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v gcovr >/dev/null; then tools/deps.sh <(echo gcovr); fi
tools/build.sh cover
find build/cover -name '*.gcda' -delete
ctest --test-dir build/cover -L unit --output-on-failure -j "$(nproc)"
gcovr --root . --filter src/ --exclude '.*_test\.cc$' --html-details build/cover/index.html \
  --print-summary build/cover
