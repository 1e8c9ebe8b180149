#!/bin/bash
# Checks that clang-format has nothing to change and that clang-tidy (checks in .clang-tidy) finds
# nothing.
# tidy.sh --format runs only clang-format, which takes a second.
# tidy.sh --changed runs clang-tidy only on changes since this branch left main or, on main itself,
# of the last commit. Uncommitted changes count, too. It looks at no more than TIDY_FILES_MAX files.
set -euo pipefail
# A command in $(…) that fails must end the script, not give an empty list.
shopt -s inherit_errexit
cd "$(dirname "$0")/.."
most=${TIDY_FILES_MAX:-20}
# Root may build a checkout of another user, and git would refuse to list its files.
in_git() { git -c safe.directory="$PWD" "$@"; }

# Prints the commit to compare with, or nothing if there is none.
former() {
  local ref base
  for ref in origin/main main; do
    base=$(in_git merge-base HEAD "$ref" 2>/dev/null) || continue
    if [ "$base" != "$(in_git rev-parse HEAD)" ]; then echo "$base" && return; fi
  done
  in_git rev-parse --verify --quiet HEAD~1 || true
}

# Prints "LINES FILE" for each C++ file that is new or changed and still exists.
changes() {
  {
    in_git diff --numstat --no-renames --diff-filter=d "$1" -- '*.cc' '*.h'
    in_git ls-files --others --exclude-standard -- '*.cc' '*.h' | while read -r file; do
      printf '%d\t0\t%s\n' "$(wc -l <"$file")" "$file"
    done
  } | awk -F '\t' '{print $1 + $2, $3}'
}

# Prints the files that include the header. The exit code 1 of git means that there are none.
includers() { in_git grep -lF --untracked "#include \"${1#src/}\"" -- "${@:2}" || [ $? -eq 1 ]; }

# Prints the one file through which a header is checked: its own .cc file, or else the shortest file
# that includes it, or else a file that includes a header that includes it.
through() {
  local own=${1%.h}.cc header headers found
  if [ -f "$own" ]; then echo "$own" && return; fi
  found=$(includers "$1" '*.cc' ':!fuzz' | xargs -r wc -l | sort -n | awk '$2 != "total" && !found++ {print $2}')
  if [ -z "$found" ] && [ "${2:-0}" -lt 3 ]; then
    headers=$(includers "$1" '*.h')
    for header in $headers; do
      found=$(through "$header" $((${2:-0} + 1)))
      if [ -n "$found" ]; then break; fi
    done
  fi
  echo "$found"
}

# Prints the files to check: those with the most changed lines first, and tests after all others.
chosen() {
  changes "$1" | while read -r lines file; do
    header=$file
    if [[ "$file" = *.h ]]; then file=$(through "$file"); fi
    if [ -z "$file" ]; then
      echo "tidy: no file includes $header, so it is not looked at" >&2 && continue
    fi
    printf '%d %d %s\n' "$([[ "$file" = *_test.cc || "$file" = fuzz/* ]] && echo 1 || echo 0)" "$lines" "$file"
  done | sort -k1,1n -k2,2nr | awk '!seen[$3]++ {print $3}'
}

# Prints a pattern for the changed headers: clang-tidy reports only those. Empty: none has changed.
header_filter() {
  local names
  names=$(changes "$1" | sed -nE 's/^[0-9]+ (.*\.h)$/\1/p' | paste -sd '|')
  echo "${names:+(^|/)(${names//./[.]})\$}"
}

# Puts the lines of $1 into the array `files`.
split() {
  files=()
  if [ -n "$1" ]; then mapfile -t files <<<"$1"; fi
}

look_at() {
  tools/build.sh release
  printf '%s\n' "$@" | xargs -r -P "$(nproc)" -n "$each" clang-tidy --quiet -p build/release \
    --extra-arg=-Wno-unknown-warning-option ${headers:+--header-filter="$headers"}
}

in_git ls-files '*.h' '*.cc' | xargs -r clang-format --dry-run --Werror
echo "tidy: clang-format has nothing to change"
case "${1:-}" in
--format) ;;
--changed)
  base=$(former)
  if [ -z "$base" ]; then
    echo "tidy: this is the first commit that git knows here: \`make tidy\` looks at everything" && exit 0
  fi
  list=$(chosen "$base")
  split "$list"
  echo "tidy: ${#files[@]} files to look at for what changed since ${base:0:12}"
  if [ "${#files[@]}" -gt "$most" ]; then
    echo "tidy: that is more than $most, so only those with the most changed lines are looked at, tests last;" \
      "\`make tidy\` looks at all. Left out: ${files[*]:$most}"
  fi
  if [ "${#files[@]}" -eq 0 ]; then exit 0; fi
  headers=$(header_filter "$base")
  headers=${headers:-^\$} each=1 look_at "${files[@]:0:$most}"
  echo "tidy: clang-tidy has nothing to say of these: ${files[*]:0:$most}"
  ;;
*)
  list=$(in_git ls-files '*.cc')
  split "$list"
  each=4 look_at "${files[@]}"
  ;;
esac
