#!/bin/bash
# Runs three nodes on loopback (cluster ports 8090-8092, API 8080-8082) with a sample flow on real
# input, until Ctrl-C. A node that you kill is started again after a while, so that you see how the
# cluster loses it and gets it back.
#
# These environment variables change the defaults. DEMO_BUILD: the directory of the programs.
# DEMO_DIR: the directory in which `demo` is made anew. DEMO_CLUSTER_PORT and DEMO_API_PORT: the
# first of three ports. DEMO_PACKAGES: the log of the package manager. DEMO_RESTART_AFTER: seconds
# until a killed node is started again.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${DEMO_BUILD:-build/release}
shown=${DEMO_DIR:-build}/demo
cluster_port=${DEMO_CLUSTER_PORT:-8090}
api_port=${DEMO_API_PORT:-8080}
packages=${DEMO_PACKAGES:-/var/log/dpkg.log}
restart_after=${DEMO_RESTART_AFTER:-15}
demo=$(realpath -m "$shown")
declare -A pid=() died_at=()
stopping=

say() { printf '\n%s\n' "$*"; }

api_ports=()
for i in 0 1 2; do api_ports+=($((api_port + i))); done
for port in $((cluster_port)) $((cluster_port + 1)) $((cluster_port + 2)) "${api_ports[@]}"; do
  if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
    echo "port $port is in use: stop what listens there (ss -ltnp 'sport = :$port'), then try again" >&2
    exit 1
  fi
done

# Each run starts with empty directories: a demo must not depend on the data of the last run.
rm -rf "$demo"
mkdir -p "$demo/out"

start_node() {
  local i=$1 seeds='' j
  for j in 1 2 3; do
    if [ "$j" != "$i" ]; then seeds+=${seeds:+,}127.0.0.1:$((cluster_port - 1 + j)); fi
  done
  # The node runs in a session of its own, so Ctrl-C in the terminal reaches only this script. The
  # script then stops the nodes with SIGTERM.
  setsid "$build/databridge" --cluster-enabled=true --cluster-node-id="node-$i" \
    --cluster-bind-port=$((cluster_port - 1 + i)) --cluster-seeds="$seeds" --port="${api_ports[$((i - 1))]}" \
    --data-dir="$demo/node-$i" --api-access-log="$demo/access-$i.log" \
    --file-root="$demo,$(dirname "$packages")" >>"$demo/node-$i.log" 2>&1 &
  pid[$i]=$!
  disown  # Otherwise bash prints a message for each kill.
  unset "died_at[$i]"
}

stop_all() {
  [ -z "$stopping" ] || return 0
  stopping=yes
  trap - EXIT
  say "Stopping the three nodes (their data stays in $shown until the next run)."
  for i in "${!pid[@]}"; do kill -TERM "${pid[$i]}" 2>/dev/null || true; done
  for _ in $(seq 100); do
    local alive=
    for i in "${!pid[@]}"; do kill -0 "${pid[$i]}" 2>/dev/null && alive=yes; done
    [ -n "$alive" ] || break
    sleep 0.1
  done
  for i in "${!pid[@]}"; do kill -KILL "${pid[$i]}" 2>/dev/null || true; done
  exit "${1:-0}"
}
trap 'stop_all 0' INT TERM
trap 'stop_all 1' EXIT

# Asks the API of each node in turn until one answers.
api() {
  local path=$1 port
  shift
  for port in "${api_ports[@]}"; do
    curl -sf --max-time 5 "$@" "http://127.0.0.1:$port/api/cluster/$path" 2>/dev/null && return 0
  done
  return 1
}

for i in 1 2 3; do start_node "$i"; done
formed=
for _ in $(seq 150); do
  if [ "$(api status | jq -r '.totalNodes // 0' 2>/dev/null)" = 3 ]; then formed=yes; break; fi
  sleep 0.1
done
if [ -z "$formed" ]; then
  echo "no cluster within 15 s; the last lines of each node:" >&2
  tail -n 5 "$demo"/node-*.log >&2
  exit 1
fi

sed "s|@DEMO@|$demo|g; s|/var/log/dpkg.log|$packages|" examples/logs.yaml >"$demo/logs.yaml"
# The sources would wait for their files, so the files that the nodes write are made now.
touch "$demo"/access-{1,2,3}.log
code=$(curl -s --max-time 20 -o "$demo/answer.json" -w '%{http_code}' -X PUT \
  -H 'Content-Type: application/yaml' --data-binary "@$demo/logs.yaml" \
  "http://127.0.0.1:$api_port/api/cluster/flows/logs") || true
if [[ "$code" != 20? ]]; then
  echo "the sample flow was refused ($code): $(cat "$demo/answer.json" 2>/dev/null)" >&2
  exit 1
fi

control=$build/databridgectl
[ "$api_port" = 8080 ] || control+=" --api http://127.0.0.1:$api_port"
leader() { api leader | jq -r .leader; }
leading=$(leader)
cat <<EOF

Three nodes are one cluster; $leading leads. The flow \`logs\` follows $packages and the API's
own access logs, and writes what it finds to $shown/out/.

  look   $control status
         $control assignments
         ls $shown/out/*; tail -f $shown/access-1.log
         curl -s http://127.0.0.1:$api_port/api/cluster/nodes | jq .
  kill   kill -9 ${pid[${leading#node-}]}        ($leading, the leader: another one takes over)
$(for i in 1 2 3; do [ "node-$i" = "$leading" ] || printf '         kill -9 %s        (node-%s)\n' "${pid[$i]}" "$i"; done)
  log    $shown/node-1.log, node-2.log, node-3.log

A killed node is started again after $restart_after s. Ctrl-C ends everything.
EOF

last=
while :; do
  for i in 1 2 3; do
    if [ -z "${died_at[$i]:-}" ] && ! kill -0 "${pid[$i]}" 2>/dev/null; then
      died_at[$i]=$SECONDS
      say "node-$i (${pid[$i]}) is gone; it is started again in $restart_after s."
    elif [ -n "${died_at[$i]:-}" ] && [ $((SECONDS - died_at[$i])) -ge "$restart_after" ]; then
      start_node "$i"
      say "node-$i is started again as process ${pid[$i]}."
    fi
  done
  line=$(api status | jq -r '"leader \(.leader // "none"), term \(.term): \(.healthyNodes) of \(.totalNodes) nodes healthy, \(.runningProcessors) of \(.totalProcessors) processors run"' 2>/dev/null) ||
    line='no node answers'
  line="$line, $(find "$demo/out" -type f | wc -l) files written"
  if [ "$line" != "$last" ]; then printf '%(%H:%M:%S)T  %s\n' -1 "$line"; fi
  last=$line
  # A signal interrupts `wait`. It would not interrupt a sleep in the foreground.
  sleep 2 &
  wait $! || true
done
