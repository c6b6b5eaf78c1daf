# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2034
# Helpers of the network scenarios. A scenario sources this file and finds two nodes, "server" and "client", in network
# namespaces of their own, joined by a veth pair (with LT_TOPOLOGY=bridge: through a bridge in a third, "middle"). Nodes whose
# programs are to be accelerated run lockstep-netd. Everything is taken down when the scenario ends. A scenario that needs other
# nodes names them before setup, LT_NODES=(server client third): more than two are joined by a bridge.
#
# Set by tests/net/run: LT_BUILD (build directory), LT_MODE (accelerated or kernel), LT_ENDS (both, server, client or none:
# whose programs are accelerated), LT_FAMILY (4 or 6), LT_WORK (an empty directory, readable by all).
# Optional: LT_NETD_OPTIONS, LT_RUN_OPTIONS (more options for lockstep-netd and `lockstep run`).

set -Eeuo pipefail

LT_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${LT_BUILD:?}" "${LT_MODE:=accelerated}" "${LT_ENDS:=both}" "${LT_FAMILY:=4}" "${LT_WORK:?}"
: "${LT_TOPOLOGY:=pair}" "${LT_NETD_OPTIONS:=}" "${LT_NETD_INTERFACES=--interface eth0}" "${LT_RUN_OPTIONS:=}"
LT_LOCKSTEP=$LT_BUILD/tools/lockstep
LT_PYTHON=/usr/bin/python3
LT_PIDS=()
LT_CLEANUP=() # commands for the end
LT_NODES=(server client)

if [ "$LT_FAMILY" = 6 ]; then
    SERVER=fd00:77::1 CLIENT=fd00:77::2 SERVER_URL='[fd00:77::1]' ANY=:: PREFIX_BITS=64
else
    SERVER=10.77.0.1 CLIENT=10.77.0.2 SERVER_URL=10.77.0.1 ANY=0.0.0.0 PREFIX_BITS=24
fi

say() { echo "$(date +%H:%M:%S.%N | cut -c1-12) $*" >&2; }
fail() {
    say "FAIL: $*"
    exit 1
}
skip() {
    echo "skip: $*" >&2
    exit 77
}
need() {
    local tool
    for tool in "$@"; do
        command -v "$tool" >/dev/null || [ -x "/usr/sbin/$tool" ] || skip "no $tool"
    done
}

# ---- nodes ----

ns() { echo "lt-$$-$1"; }
# Runs a command at a node, always on the kernel's stack.
at() {
    local node=$1
    shift
    ip netns exec "$(ns "$node")" "$@"
}
accelerated() { [ "$LT_MODE" = accelerated ] && { [ "$LT_ENDS" = both ] || [ "$LT_ENDS" = "$1" ]; }; }

node_create() {
    ip netns add "$(ns "$1")"
    at "$1" sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 \
        net.core.somaxconn=4096
    at "$1" sysctl -qw net.ipv4.tcp_congestion_control=cubic 2>/dev/null ||
        at "$1" sysctl -qw net.ipv4.tcp_congestion_control=reno
    ip -n "$(ns "$1")" link set lo up
}
node_addresses() { # NODE NUMBER
    ip -n "$(ns "$1")" addr add "10.77.0.$2/24" dev eth0
    ip -n "$(ns "$1")" addr add "fd00:77::$2/64" dev eth0 nodad
    ip -n "$(ns "$1")" link set eth0 up
}
link_up() { ip -n "$(ns "$1")" link show dev "${2:-eth0}" up | grep -q 'state UP'; }
# The address of a node: that of the first is $SERVER, of the second $CLIENT.
address() { # NODE
    local i
    for i in "${!LT_NODES[@]}"; do
        [ "${LT_NODES[i]}" != "$1" ] || echo "${SERVER%1}$((i + 1))"
    done
}
# The bridge's ports are named after the node they lead to.
net_create() {
    local node i
    [ ${#LT_NODES[@]} -le 2 ] || LT_TOPOLOGY=bridge
    for node in "${LT_NODES[@]}"; do node_create "$node"; done
    if [ "$LT_TOPOLOGY" = bridge ]; then
        node_create middle
        ip -n "$(ns middle)" link add br0 type bridge mcast_snooping 0
        ip -n "$(ns middle)" link set br0 up
        for node in "${LT_NODES[@]}"; do
            ip -n "$(ns middle)" link add "$node" type veth peer name eth0 netns "$(ns "$node")"
            ip -n "$(ns middle)" link set "$node" master br0 up
        done
    else
        ip -n "$(ns "${LT_NODES[0]}")" link add eth0 type veth peer name eth0 netns "$(ns "${LT_NODES[1]}")"
    fi
    for i in "${!LT_NODES[@]}"; do node_addresses "${LT_NODES[i]}" $((i + 1)); done
    for node in "${LT_NODES[@]}"; do wait_for 5 "the link of $node" link_up "$node"; done
}

# ---- waiting ----

# wait_for SECONDS WHAT COMMAND...: until COMMAND succeeds.
wait_for() {
    local seconds=$1 what=$2 end=$((SECONDS + $1 + 1))
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || fail "waited $seconds s in vain for $what"
        sleep 0.05
    done
}
port_open() { # NODE tcp|udp PORT
    local flag=-Hltn
    [ "$2" = tcp ] || flag=-Hlun
    at "$1" ss $flag "sport = :$3" | grep -q . || return 1
    # The kernel's socket is there a moment before the lane is: what comes in between goes to the kernel.
    ! accelerated "$1" || report "$1" connections | grep -q "\"local\": \".*:$3\""
}
wait_port() { wait_for "${4:-10}" "port $3/$2 at $1" port_open "$1" "$2" "$3"; }
alive() { grep -q '^State:.*[RSDTtI] ' "/proc/$1/status" 2>/dev/null; }
gone() { ! alive "$1"; }
has_line() { grep -qE -- "$2" "$1"; }

# ---- the service ----

service_dir() { echo "$LT_WORK/$1"; }
service_start() {
    local dir
    dir=$(service_dir "$1")
    mkdir -p "$dir"
    chmod 755 "$dir"
    # shellcheck disable=SC2086
    ip netns exec "$(ns "$1")" "$LT_BUILD/service/lockstep-netd" $LT_NETD_INTERFACES --runtime-dir "$dir" $LT_NETD_OPTIONS \
        >>"$LT_WORK/$1.netd.log" 2>&1 &
    LT_PIDS+=($!)
    printf -v "LT_NETD_$1" %s $!
    wait_for 10 "the service at $1" "$LT_LOCKSTEP" status --runtime-dir "$dir"
}
service_pid() {
    local name=LT_NETD_$1
    echo "${!name}"
}
# status NODE [connections]: the service's report as JSON.
report() { "$LT_LOCKSTEP" "${2:-status}" --runtime-dir "$(service_dir "$1")" --json; }
# report_query NODE REPORT EXPRESSION: prints a Python expression over the report `r`.
report_query() { report "$1" "$2" | "$LT_PYTHON" -c 'import json, sys; r = json.load(sys.stdin); print(eval(sys.argv[1]))' "$3"; }
flow_count() { report_query "$1" connections 'len(r["flows"])'; }
flows_gone() { [ "$(flow_count "$1")" = 0 ]; }
has_flows() { [ "$(flow_count "$1")" != 0 ]; }

# ---- programs ----

# Runs a program at a node: accelerated if the scenario's matrix says so, otherwise on the kernel.
run() {
    local node=$1
    shift
    if accelerated "$node"; then
        # shellcheck disable=SC2086
        exec_at "$node" "$LT_LOCKSTEP" run --runtime-dir "$(service_dir "$node")" $LT_RUN_OPTIONS -- "$@"
    else
        exec_at "$node" "$@"
    fi
}
exec_at() {
    local node=$1
    shift
    timeout -k 2 "${LT_LIMIT:-60}" ip netns exec "$(ns "$node")" "$@"
}
# start NAME NODE PROGRAM...: in the background; output in NAME.out and NAME.err; its pid, that of the program itself, in
# $STARTED.
start() {
    local name=$1 node=$2
    shift 2
    if accelerated "$node"; then
        # shellcheck disable=SC2086
        set -- "$LT_LOCKSTEP" run --runtime-dir "$(service_dir "$node")" $LT_RUN_OPTIONS -- "$@"
    fi
    start_kernel "$name" "$node" "$@"
}
# The same, always on the kernel's stack.
start_kernel() {
    local name=$1 node=$2
    shift 2
    # Emptied now, not when the new process gets to it: an older program's words must not be read.
    : >"$LT_WORK/$name.out"
    : >"$LT_WORK/$name.err"
    ip netns exec "$(ns "$node")" "$@" >>"$LT_WORK/$name.out" 2>>"$LT_WORK/$name.err" </dev/null &
    STARTED=$!
    LT_PIDS+=("$STARTED")
}
# stop PID [SIGNAL]: ends a program and waits for it.
stop() {
    kill "-${2:-TERM}" "$1" 2>/dev/null || true
    local end=$((SECONDS + 6))
    while alive "$1" && [ $SECONDS -lt $end ]; do sleep 0.05; done
    if alive "$1"; then
        kill -KILL "$1" || true
        fail "process $1 did not end on ${2:-TERM}"
    fi
    wait "$1" 2>/dev/null || true
}
# The exit status of a program that start began, when it has ended by itself within SECONDS.
finish() { # PID SECONDS
    wait_for "$2" "the end of process $1" gone "$1"
    wait "$1"
}

# ---- assertions ----

assert_equal() { [ "$1" = "$2" ] || fail "${3:-value}: expected '$2', got '$1'"; }
assert_less() { [ "$("$LT_PYTHON" -c "print($1 < $2)")" = True ] || fail "${3:-value}: $1 is not below $2"; }
assert_line() { has_line "$1" "$2" || fail "${3:-output}: no line like '$2' in $(basename "$1"): $(tail -n 5 "$1")"; }
assert_no_line() { ! has_line "$1" "$2" || fail "${3:-output}: $(grep -E -m1 -- "$2" "$1")"; }
assert_same() { cmp -s "$1" "$2" || fail "$(basename "$1") and $(basename "$2") differ ($(stat -c %s "$1" "$2" | xargs))"; }
blob() { head -c "$2" /dev/urandom >"$1"; }
# json FILE EXPRESSION: prints a Python expression over the document `r`.
json() { "$LT_PYTHON" -c 'import json, sys; r = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$1" "$2"; }

# The proof that traffic went over the lane. What the network device of a node carried is compared with what the kernel's
# own IP layer saw of it: neither figure is Lockstep's. offload_begin; traffic; offload_end BYTES [SHARE] [NODE...]: at each
# accelerated node the device carried at least BYTES in either direction together, and of all bytes no more than SHARE
# (0.05) went through the kernel's IP layer.
offload_begin() {
    local node
    for node in "${LT_NODES[@]}"; do
        at "$node" "$LT_PYTHON" "$LT_HERE/counters.py" snapshot >"$LT_WORK/$node.before"
    done
}
offload_end() {
    local bytes=$1 share=${2:-0.05} node
    shift $(($# < 2 ? $# : 2))
    [ $# -gt 0 ] || set -- "${LT_NODES[@]}"
    for node in "$@"; do
        accelerated "$node" || continue
        at "$node" "$LT_PYTHON" "$LT_HERE/counters.py" snapshot >"$LT_WORK/$node.after"
        "$LT_PYTHON" "$LT_HERE/counters.py" check "$LT_WORK/$node.before" "$LT_WORK/$node.after" "$bytes" "$share" >&2 ||
            fail "the traffic of $node did not go over the lane"
    done
}

# ---- beginning and end ----

scenario_end() {
    local status=$? node pid command
    trap - EXIT INT TERM
    set +e
    if [ $status != 0 ] && [ $status != 77 ] && [ "$LT_MODE" = accelerated ]; then
        for node in "${LT_NODES[@]}"; do
            [ -d "$(service_dir "$node")" ] || continue
            timeout 5 "$LT_LOCKSTEP" status --runtime-dir "$(service_dir "$node")" >"$LT_WORK/$node.status" 2>&1
            timeout 5 "$LT_LOCKSTEP" connections --runtime-dir "$(service_dir "$node")" >"$LT_WORK/$node.connections" 2>&1
        done
    fi
    exec 2>/dev/null # bash's own words about killed jobs
    for pid in "${LT_PIDS[@]}"; do kill -KILL "$pid" 2>/dev/null; done
    for node in "${LT_NODES[@]}" middle; do
        [ -e "/run/netns/$(ns "$node")" ] || continue
        # Children of the programs: whatever still lives in these namespaces is the scenario's own.
        for pid in $(ip netns pids "$(ns "$node")" 2>/dev/null); do kill -KILL "$pid" 2>/dev/null; done
        ip netns del "$(ns "$node")"
    done
    wait 2>/dev/null
    for command in "${LT_CLEANUP[@]}"; do eval "$command"; done
    exit $status
}
trap scenario_end EXIT
trap 'exit 143' INT TERM
trap '[ $BASH_SUBSHELL != 0 ] || say "FAIL: line $LINENO of ${BASH_SOURCE[0]##*/}: $BASH_COMMAND"' ERR

# setup [without-service]: call it first.
setup() {
    local node
    net_create
    [ "${1:-}" != without-service ] || return 0
    for node in "${LT_NODES[@]}"; do
        ! accelerated "$node" || service_start "$node"
    done
}

# ---- steady traffic (steady.py) ----

steady() { # NAME NODE ROLE ARGUMENTS...
    start "$1" "$2" "$LT_PYTHON" "$LT_HERE/steady.py" "${@:3}"
}
steady_server() { # [PORT] at the server; its pid in $STARTED
    steady server server server $SERVER "${1:-7001}"
    wait_for 10 "the echo server" has_line "$LT_WORK/server.out" ready
}
started() { wait_for 10 "the start of $1" has_line "$LT_WORK/$1.out" '^started|^ready'; }
# The client NAME (process PID) ends within SECONDS, without an error.
steady_done() { # NAME PID SECONDS
    finish "$2" "$3" || fail "$1: $(tail -n 1 "$LT_WORK/$1.out")"
    assert_line "$LT_WORK/$1.out" '^done'
    say "$1: $(tail -n 1 "$LT_WORK/$1.out")"
}
# An echo server, and connections and datagrams to it that go on for SECONDS.
steady_traffic() { # SECONDS [SIZE] [CONNECTIONS]
    steady_server
    steady client client client $SERVER 7001 "$@"
    STEADY=("client $STARTED")
    steady datagrams client datagrams $SERVER 7001 "$1"
    STEADY+=("datagrams $STARTED")
    started client
    started datagrams
}
steady_traffic_done() { # SECONDS
    local name pid
    while read -r name pid; do steady_done "$name" "$pid" "$1"; done < <(printf '%s\n' "${STEADY[@]}")
}
monotonic() { "$LT_PYTHON" -c 'import time; print(time.clock_gettime(time.CLOCK_MONOTONIC))'; }
