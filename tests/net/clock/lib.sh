# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2034
# What the scenarios of the clock share. The truth is in $LT_WORK/truth (truth.h); nodes run truth_server and
# lockstep-clockd, and clock_check compares the two.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

CLOCKD=$LT_BUILD/clock/lockstep-clockd
CLOCK_TOOLS=$LT_BUILD/tests/net/clock
TRUTH=$LT_WORK/truth
# Half of what a packet takes between the kernel's stamps of two nodes here, with cold caches on a busy machine: how much of it
# belongs to which direction nobody can tell. The truth's own delays are exact.
STAMP_SLACK_NS=5000

# truth NODE OPTIONS...: an NTP server of the true time at the node; its pid in $STARTED.
truth() {
    local node=$1
    shift
    start_kernel "truth-$node" "$node" "$CLOCK_TOOLS/truth_server" --file "$TRUTH" "$@"
    wait_for 5 "the truth at $node" has_line "$LT_WORK/truth-$node.out" ready
}
# clockd NAME NODE OPTIONS... <CONFIGURATION: starts a daemon whose runtime directory is $LT_WORK/NAME; its pid in $STARTED.
# Baselines and rates are not kept unless the configuration says so.
clockd() {
    local name=$1 node=$2 config=$LT_WORK/$1.conf
    shift 2
    cat >"$config"
    grep -q '^state-file' "$config" || sed -i 's/^\[clockd\]$/&\nstate-file = none/' "$config"
    clockd_again "$name" "$node" "$@"
}
# clockd_by NAME NODE ADDRESS OPTIONS...: the same with one source, "truth", polled often.
clockd_by() {
    clockd "$1" "$2" "${@:4}" <<END
[clockd]
[source truth]
address = $3
poll-min = 250ms
poll-max = 1s
END
}
clockd_again() { # with the configuration that is there
    local name=$1 node=$2
    shift 2
    mkdir -p "$LT_WORK/$name"
    [ ! -e "$LT_WORK/$name.err" ] || cat "$LT_WORK/$name.err" >>"$LT_WORK/$name.err.before"
    start_kernel "$name" "$node" "$CLOCKD" --config "$LT_WORK/$name.conf" --runtime-dir "$LT_WORK/$name" "$@"
    wait_for 5 "the daemon $name" clock_report "$name" status
}
# clock_report NAME status|sources|stats: the JSON document.
clock_report() {
    "$LT_PYTHON" -c 'if True:
    import socket, sys
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(5)
    s.connect(sys.argv[1])
    s.sendall(sys.argv[2].encode() + b"\n")
    data = b""
    while chunk := s.recv(65536): data += chunk
    sys.stdout.write(data.decode())' "$LT_WORK/$1/clockd.sock" "$2"
}
# clock_query NAME REPORT EXPRESSION: a Python expression over the report `r`; s(NAME) is a source of it.
clock_query() {
    clock_report "$1" "$2" | "$LT_PYTHON" -c 'if True:
    import json, sys
    r = json.load(sys.stdin)
    s = lambda name: [x for x in r["sources"] if x["name"] == name][0]
    print(eval(sys.argv[1]))' "$3"
}
clock_true() { [ "$(clock_query "$@")" = True ]; }
wait_clock() { # NAME SECONDS REPORT EXPRESSION
    wait_for "$2" "$1: $4" clock_true "$1" "$3" "$4"
}
synchronised() { wait_clock "$1" "${2:-5}" status 'r["status"] == "synchronised"'; }
# judge NAME NODE SECONDS [OPTIONS...]: what clock_check finds, in $LT_WORK/NAME.judged.
judge() {
    local name=$1 node=$2 seconds=$3
    shift 3
    exec_at "$node" "$CLOCK_TOOLS/clock_check" --truth "$TRUTH" --segment "$LT_WORK/$name/clock" --seconds "$seconds" \
        --slack $STAMP_SLACK_NS \
        "$@" >"$LT_WORK/$name.judged" || fail "clock_check: no result"
    say "$name: $(cat "$LT_WORK/$name.judged")"
}
# judged NAME EXPRESSION: a Python expression over the result `r` that must be true.
judged() {
    [ "$(json "$LT_WORK/$1.judged" "$2")" = True ] || fail "$1: not $2: $(cat "$LT_WORK/$1.judged")"
}
# What each reading of a clock that nobody disturbs must keep. The machines that run tests are busy: errors are bounded
# generously here and measured in tests/bench/clock_live.
sound() { judged "$1" 'r["backwards"] == 0 and r["no_time"] == 0 and r["covered"] >= 0.9999'; }
