#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# kernel: no
# variants: server/4 server/6
# timeout: 90
# Rules of netd.conf with real programs: by program, user, port and network; read again under traffic, and with a mistake.
. "$(dirname "$0")/lib.sh"
conf=$LT_WORK/netd.conf
LT_NETD_OPTIONS="--config $conf"
printf '[netd]\nring-bytes = 1M\n' >"$conf"
setup
dir=$(service_dir server)
status() { "$LT_LOCKSTEP" status --runtime-dir "$dir"; }
reason() { report server connections | "$LT_PYTHON" -c 'import json, sys; print([k["reason"] for k in json.load(sys.stdin)["kernel"]])'; }
reloads=0
# rules OK|FAILED TEXT: the file anew, and what comes of it.
rules() {
    printf '[netd]\nring-bytes = 1M\n%b' "$2" >"$conf"
    local before
    before=$(report_query server status 'r["configuration"].get("last_reload", {}).get("count", 0)')
    kill -HUP "$(service_pid server)"
    wait_for 10 "the reading of the configuration" eval \
        "[ \"\$(report_query server status 'r[\"configuration\"][\"last_reload\"][\"count\"]')\" -gt $before ]"
    assert_equal "$(report_query server status 'r["configuration"]["last_reload"]["failed"]')" "$1" "failed"
}
# A listener and one connection to it; whether the listener's flow is there.
listener() { # PORT
    start_count=$((${start_count:-0} + 1))
    start "listener$start_count" server "$LT_PYTHON" "$LT_HERE/steady.py" server $SERVER "$1"
    wait_for 10 "the listener" has_line "$LT_WORK/listener$start_count.out" ready
    run client "$LT_PYTHON" "$LT_HERE/steady.py" client $SERVER "$1" 0.3 1000 >"$LT_WORK/client.out" 2>&1 ||
        fail "port $1: $(tail -n 1 "$LT_WORK/client.out")"
    assert_equal "$(report_query server connections "any(f['local'].endswith(':$1') for f in r['flows'])")" "$2" "a flow of port $1"
    stop "$STARTED"
}
listener 7101 True

# Reading again under traffic: nothing is lost, and what the new rules would deny stays.
steady_traffic 4 1000 4
sleep 0.5
rules False '[rule ports]\nlocal-port = 7001, 7102\ndirection = listen\naction = kernel\n'
listener 7102 False
[[ $(reason) == *'policy: rule "ports"'* ]] || fail "no reason: $(reason)"
listener 7103 True
rules True '[rule ports]\nlocal-port = 0\naction = kernel\n'
assert_equal "$(report_query server status 'r["configuration"]["rules"]')" 1 "rules in force"
status >"$LT_WORK/status.out"
assert_line "$LT_WORK/status.out" 'NOT read again .*netd.conf:4: \[rule ports\] local-port: "0" must be'
listener 7102 False # the old rules stay
has_flows server
steady_traffic_done 30

# By network: the address that is bound to.
rules False "[rule here]\nlocal-network = $SERVER\naction = kernel\n"
listener 7104 False
rules False '[rule elsewhere]\nlocal-network = 192.0.2.0/24\naction = kernel\n'
listener 7105 True

# By program: the interpreter of a script. And by user.
rules False '[rule python]\nprogram = python*\naction = kernel\n'
listener 7106 False
[[ $(reason) == *'policy: rule "python"'* ]] || fail "no reason: $(reason)"
"$LT_LOCKSTEP" run --runtime-dir "$dir" -- "$LT_PYTHON" -c pass 2>"$LT_WORK/run.err"
assert_line "$LT_WORK/run.err" "kernel's stack: policy: rule \"python\""
rules False '[rule root]\nuser = root\ngroup = root\naction = kernel\n'
listener 7107 False
rules False '[rule other]\nuser = nobody\naction = kernel\n'
listener 7108 True

# The tool decides as the service does, without it.
decision() { # STATUS OPTION...
    local status=0
    "$LT_LOCKSTEP" policy test --config "$conf" "${@:2}" >"$LT_WORK/decision" 2>&1 || status=$?
    assert_equal $status "$1" "exit status of policy test: $(cat "$LT_WORK/decision")"
}
printf '[rule web]\nremote-port = 80\naction = kernel\n' >"$conf"
decision 3 --program /bin/x --remote 192.0.2.1:80
assert_line "$LT_WORK/decision" '^kernel: policy: rule "web" \(.*netd.conf:1\)'
decision 0 --program /bin/x --remote 192.0.2.1:81
assert_line "$LT_WORK/decision" 'netd.conf:1: rule "web" does not match: remote-port is 81, not 80'
"$LT_LOCKSTEP" policy check "$conf" >"$LT_WORK/check"
assert_line "$LT_WORK/check" '^remote-port = 80'
"$LT_LOCKSTEP" policy reload --runtime-dir "$dir" >"$LT_WORK/reload"
assert_line "$LT_WORK/reload" '^1 rules'
