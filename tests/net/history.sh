# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# What the scenarios of the history share: a recorder at a node, its database, and asking it.
. "$(dirname "${BASH_SOURCE[0]}")/clock/lib.sh"

# The database of a node; history_start makes its directory.
history_file() { echo "$LT_WORK/$1-history/history.db"; }
HISTORY_CONFIG='[historyd]\ninterval = 500ms\nconnections-interval = 1s\nsize = 16M\n'
HISTORY_ENVIRONMENT=() # of recorders: NAME=VALUE
# history_start NODE [OPTION...]: starts a recorder; its pid in LT_HISTORYD_NODE, what it says in NODE.historyd.log.
history_start() {
    local node=$1 file
    file=$(history_file "$1")
    shift
    mkdir -p "${file%/*}"
    printf '%b' "$HISTORY_CONFIG" >"$LT_WORK/historyd.conf"
    ip netns exec "$(ns "$node")" env "${HISTORY_ENVIRONMENT[@]}" "$LT_BUILD/monitor/lockstep-historyd" --config "$LT_WORK/historyd.conf" --database "$file" \
        --runtime-dir "$(service_dir "$node")" "$@" >>"$LT_WORK/$node.historyd.log" 2>&1 &
    LT_PIDS+=($!)
    printf -v "LT_HISTORYD_$node" %s $!
}
history_pid() {
    local name=LT_HISTORYD_$1
    echo "${!name}"
}
history_kill() {
    kill -KILL "$(history_pid "$1")"
    wait_for 5 "the end of the recorder" gone "$(history_pid "$1")"
}
history_said() { wait_for "$1" "the recorder's word: $3" has_line "$LT_WORK/$2.historyd.log" "$3"; } # SECONDS NODE PATTERN
# A server at the server's port 7100 that answers 100 bytes with the same, and connections to it one after the other. The client
# closes first: it is the one in TIME_WAIT, which counts as open.
many_server() {
    start many server "$LT_PYTHON" -c "
import socket
s = socket.create_server(('$SERVER', 7100), backlog=100)
while True:
    c, _ = s.accept()
    c.sendall(c.recv(100))
    c.recv(1)
    c.close()
"
    wait_port server tcp 7100
}
many_connections() { # COUNT
    run client "$LT_PYTHON" -c "
import socket
for i in range($1):
    with socket.create_connection(('$SERVER', 7100)) as s:
        s.sendall(b'x' * 100)
        assert len(s.recv(100, socket.MSG_WAITALL)) == 100
"
}
# So many of them are in the history, once each and closed.
many_recorded() { history_wait server connections "len([c for c in r if c['kind'] == 'accepted']) == $1 == len([c for c in r if c['rx_bytes'] >= 100 <= c['tx_bytes'] and c['ending'] == 'closed'])" --connection :7100; }
# history NODE COMMAND [OPTION...]
history() {
    local node=$1 command=$2
    shift 2
    "$LT_LOCKSTEP" history "$command" --database "$(history_file "$node")" "$@"
}
# Prints a Python expression over the list of rows, `r`.
history_value() { # NODE COMMAND EXPRESSION [OPTION...]
    history "$1" "$2" --json --limit 0 "${@:4}" |
        "$LT_PYTHON" -c 'import json, sys; r = [json.loads(l) for l in sys.stdin]; print(eval(sys.argv[1]))' "$3"
}
history_has() { [ "$(history_value "$1" "$2" "bool($3)" "${@:4}")" = True ]; }
history_wait() { wait_for 15 "the history's $2: $3" history_has "$@"; }
assert_history() { history_has "$@" || fail "the history's $2: not $3"; }
