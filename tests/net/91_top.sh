#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# kernel: no
# variants: both/6
# needs: tmux
# timeout: 150
# `lockstep top` in a terminal (tmux) beside real traffic: what is drawn, keys, sizes, terminals, restart of the service, signals;
# and its batch forms.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/terminal.sh"
setup
dir=$(service_dir server)
out=$LT_WORK/out err=$LT_WORK/err

# The number of the first line like this.
line_of() { grep -nE -m1 -- "$1" "$screen" | cut -d: -f1; }

# ---- traffic: two connections, one of them idle ----
steady_server
server=$STARTED
start idle client "$LT_PYTHON" "$LT_HERE/steady.py" hold $SERVER 7001 1
wait_for 10 "the idle connection" has_line "$LT_WORK/idle.out" ready
start talker client "$LT_PYTHON" "$LT_HERE/steady.py" client $SERVER 7001 120
started talker

# ---- what is drawn ----
remote="(${CLIENT//./\\.}|~[0-9a-f:.]*$(printf %s "$CLIENT" | tail -c 2))\\]?:[0-9]+"
talks="^python3 .*$remote +estab[^ ]* +[0-9.]+[kM] +[0-9.]+[kM] "
idles="^python3 .*$remote +estab[^ ]* +0 +0 "
terminal top 80 24 "$LT_LOCKSTEP top -d 500ms --runtime-dir $dir"
wait_shows top '\[2 connections\]' '^Clock: no clock daemon' '^Path:  eth0 .*1 programs, 4 sockets' '^Rates: in [0-9.]+[kM]b/s' \
    '^4 connections by RXb/s, descending' '^PROGRAM +LOCAL +REMOTE +STATE +RXb/s TXb/s +P50 +P99 RETR DROP' "$talks" "$idles" ' listen ' \
    '^q quit'
assert_less "$(line_of "$talks")" "$(line_of "$idles")" "the busy connection's line"

# ---- keys ----
keys top r
wait_shows top 'by RXb/s, ascending' "$talks"
assert_less "$(line_of "$idles")" "$(line_of "$talks")" "the idle connection's line"
keys top r '>'
wait_shows top 'by TXb/s, descending'
keys top Left
wait_shows top 'by RXb/s, descending'
keys top / listen
wait_shows top '^1 of 4 connections .*filter "listen"' '^Filter: listen_' ' listen ' "!$talks"
keys top Enter
wait_shows top '^1 of 4' '^q quit'
keys top Escape
wait_shows top '^4 connections' "$talks"
keys top '?'
wait_shows top '^Keys' 'draw the screen anew' '!^PROGRAM'
keys top q
wait_shows top '^PROGRAM'
keys top 3
wait_shows top '\[3 programs\]' "^python3 +$server +4 "
keys top 1
wait_shows top '\[1 nodes\]' "^$(hostname | cut -c1-8).* eth0 [a-z-]+ +1 +4 "
keys top Enter
wait_shows top '\[2 connections\]' "$talks"
keys top p
wait_shows top PAUSED
before=$(sed -n '1s/.* \([0-9:]*\)  every.*/\1/p' "$screen")
keys top + '?' q
wait_shows top 'every 1.00s' "$before"
keys top p -
wait_shows top 'every 500ms' '!PAUSED' "!$before"

# ---- details, with what the program itself says ----
keys top Home Enter
wait_shows top '^tcp .*, established' "process $server, user 0" 'packets/s$'
mux resize-window -t top -x 100 -y 90
wait_shows top '^TCP, as its program says' '^  Round trip +[0-9.]+ [num]?s smoothed, varies by ' '^  Congestion +window [0-9.]+ KiB \([1-9]' \
    '^  Send queue +[0-9.]+ K?i?B not ack' '^  In flight .* window [1-9]' '^  Receive queue +[0-9.]+ K?i?B not read; window [1-9]' \
    '^  Segments +14[0-9][0-9] bytes at most; MTU 1500' '^  Options +Reno, SACK' '^  Last +data sent [0-9.]+ [num]?s ago, received [0-9.]+ [num]?s ago' '^  Processor .* % of a core' \
    "^All that its program says \(lockstep dump $server\)" 'state established' 'unread_bytes'
keys top Escape / listen Enter Home Enter
wait_shows top '^tcp .*, listen' '^  Waiting +0 connections to be accepted, 0 half open; backlog [1-9]'
keys top Escape Escape / open Enter Home Enter
wait_shows top '^udp .*, open' '^  Receive queue +0 datagrams'
keys top Escape Escape

# ---- sizes ----
mux resize-window -t top -x 160 -y 30
wait_shows top '^PROGRAM +PID .* MAX .* AGE' "^python3 .* $server .*established"
mux resize-window -t top -x 20 -y 5
wait_shows top '^PROGRAM' '^python3'
assert_equal "$(wc -l <"$screen")" 5 "lines"
mux resize-window -t top -x 80 -y 24
wait_shows top '^Rates' "$talks" '^q quit'

# ---- the service stands still, goes and comes ----
kill -STOP "$(service_pid server)"
keys top '?'
wait_shows top '^Keys'
keys top q
wait_shows top "$talks"
kill -CONT "$(service_pid server)"
kill -9 "$(service_pid server)"
wait_shows top '^lockstep-netd does not answer, trying again: service not reachable' "$talks"
service_start server
wait_shows top 'connected again'
wait_shows top '^4 connections' "$talks"

# ---- terminals; how it ends ----
coloured=$'\e\\[[0-9;]*3[1-7]'
capture top -e
assert_line "$screen" "$coloured" "colours"
keys top q
wait_shows top '^ended with 0$' '^echo$' '!^PROGRAM'
terminal plain 80 24 "TERM=vt100 $LT_LOCKSTEP top -d 200ms --runtime-dir $dir"
wait_shows plain "$talks" '^q quit'
keys plain Down Enter
wait_shows plain '^(tcp|udp) ' '^Latency'
keys plain C-c
wait_shows plain '^ended with 0$' '^echo$'
terminal grey 80 24 "NO_COLOR=1 $LT_LOCKSTEP top -d 200ms --runtime-dir $dir"
wait_shows grey "$talks"
capture grey -e
assert_no_line "$screen" "$coloured" "colours"
# ended PROCESS-OF-TERMINAL SIGNAL
end_by() {
    local pid
    pid=$(pgrep -P "$(mux display-message -p -t "$1" '#{pane_pid}')" lockstep)
    kill "-$2" "$pid"
    wait_shows "$1" "^ended with $3\$" '^echo$'
}
end_by grey TERM 143
for crash in "SEGV 139" "ABRT 134"; do
    terminal "${crash% *}" 80 24 "ulimit -c 0; $LT_LOCKSTEP top -d 200ms --runtime-dir $dir"
    wait_shows "${crash% *}" "$talks"
    # shellcheck disable=SC2086
    end_by "${crash% *}" $crash
done
terminal dumb 80 24 "TERM=dumb $LT_LOCKSTEP top -d 200ms --runtime-dir $dir"
wait_shows dumb 'cannot draw on a terminal of type "dumb": use --batch' '^ended with 2$'
terminal strange 80 24 "TERM=no-such-terminal $LT_LOCKSTEP top --runtime-dir $dir"
wait_shows strange 'cannot draw on a terminal of type "no-such-terminal": use --batch' '^ended with 2$'

# ---- without a terminal ----
# top STATUS OPTION...
top() {
    local expected=$1 status=0
    shift
    exec_at server "$LT_LOCKSTEP" top --runtime-dir "$dir" "$@" >"$out" 2>"$err" </dev/null || status=$?
    assert_equal $status "$expected" "exit status of lockstep top $*: $(tail -n 1 "$err")"
}
top 2
assert_line "$err" 'there is no terminal to draw on: use --batch'
top 2 --sort nonsense
top 2 --nodes-file "$LT_WORK/no-such-file"
top 0 -b -n 2 -d 200ms
assert_equal "$(grep -c '  4 connections$' "$out")" 2 "tables"
assert_line "$out" "^python3 +$server +tcp .* established +eth0 +[0-9.]+[kM] +[0-9.]+[kM] "
top 0 --json -n 1 -d 200ms -f established -s -rx_bytes_per_s
assert_equal "$(json "$out" '[c["rx_bytes_per_s"] > 0 for c in r["connections"]], r["problem"], len(r["connections"][0]) > 20')" \
    "([False, True], None, True)" "connections"
top 0 --csv -n 2 -d 200ms -v programs -l 1
assert_equal "$("$LT_PYTHON" -c "import csv, sys; print([(r['pid'], r['connections'], float(r['tx_bytes_per_s']) > 0)
    for r in csv.DictReader(open(sys.argv[1], newline=''))])" "$out")" "[('$server', '4', True), ('$server', '4', True)]" "programs"
top 0 --json -n 1 -d 200ms -v nodes
assert_equal "$(json "$out" '[(n["programs"], n["sockets"], n["interfaces"][:5], n["clock"]) for n in r["nodes"]]')" \
    "[(1, 4, 'eth0 ', '')]" "nodes"
service=$(service_pid server)
kill "$service"
wait_for 5 "the end of the service" gone "$service"
top 1 -b -n 1
assert_line "$err" "^lockstep: lockstep-netd does not answer, trying again: service not reachable \($dir\)"
