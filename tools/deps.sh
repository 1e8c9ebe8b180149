#!/bin/bash
# deps.sh [FILE]: installs the missing Debian packages of those listed in FILE (default:
# tools/packages.txt). If none is missing it is quick and needs no network: the package index is
# read only before an installation.
set -euo pipefail
list=${1:-$(dirname "$0")/packages.txt}

mapfile -t wanted < <(sed 's/#.*//' "$list" | tr -s ' \t' '\n' | grep -v '^$' | sort -u)
missing=()
if command -v dpkg-query >/dev/null; then
  declare -A have=()
  while read -r status package; do
    if [ "$status" = installed ]; then have[$package]=1; fi
  done < <(dpkg-query -W -f='${db:Status-Status} ${Package}\n')
  for package in "${wanted[@]}"; do
    if [ -z "${have[$package]:-}" ]; then missing+=("$package"); fi
  done
else
  echo "deps: this is not a Debian system: install the packages of $list yourself" >&2
  exit 1
fi

if [ ${#missing[@]} -eq 0 ]; then
  echo "deps: all ${#wanted[@]} packages are there"
  exit 0
fi
echo "deps: installing ${missing[*]}"
as_root=()
if [ "$(id -u)" != 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "deps: run \`make deps\` once as root, these are missing: ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 "${missing[@]}"
echo "deps: ${#missing[@]} packages installed"
