#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# kernel: no
# variants: both/4
# timeout: 120
# The history of real programs: connections with owner, counters and latencies, decisions for the kernel with their reasons,
# counters, the clock; over a recorder that is killed and a service that is restarted nothing is lost or there twice.
. "$(dirname "$0")/history.sh"
setup
truth client --delay 50000 --jitter 5000
clockd_by server server "$CLIENT"
history_start server
history_start client

# ---- connections ----
steady_traffic 3 2000 5
history_wait server connections 'len([c for c in r if c["kind"] == "accepted" and c["ending"] == "open" and c["rx_bytes"] > 0]) == 5'
steady_traffic_done 30
history_wait server connections 'len([c for c in r if c["kind"] == "accepted" and c["ending"] == "closed"]) == 5'
history_wait client connections 'len([c for c in r if c["kind"] == "connect" and c["ending"] == "closed"]) == 6'
# Every byte that the program sent and received, and at most a few repetitions more.
bytes=$(($(sed -n 's/^done \([0-9]*\) .*/\1/p' "$LT_WORK/client.out") / 5 * 2000))
assert_history server connections "all($bytes <= c[k] < 2 * $bytes for c in r if c['kind'] == 'accepted' for k in ('rx_bytes', 'tx_bytes'))"
assert_history client connections "all($bytes <= c[k] < 2 * $bytes for c in r if c['kind'] == 'connect' and c['protocol'] == 'tcp' for k in ('rx_bytes', 'tx_bytes'))"
assert_history server connections 'all(c["rx_packets"] > 0 and c["program"].startswith("python") and c["pid"] > 0 and c["uid"] == 0 and c["interface"] == "eth0" and c["protocol"] == "tcp" and c["local_port"] == 7001 for c in r if c["kind"] == "accepted")'
assert_history server connections 'all(c["latency_count"] > 0 and 0 < c["p50_ns"] <= c["p99_ns"] <= c["max_ns"] and 1 < c["duration_s"] < 60 and c["opened"] < c["closed"] for c in r if c["kind"] == "accepted")'
assert_history server connections 'sorted(c["kind"] for c in r if c["ending"] == "open") == ["bound", "bound"]' # TCP and UDP
ends() { history_value "$1" connections "sorted((c['$3'], c['$4']) for c in r if c['kind'] == '$2' and c['protocol'] == 'tcp')"; }
assert_equal "$(ends server accepted local remote)" "$(ends client connect remote local)" "connections at both ends"
id=$(history_value server connections '[c["id"] for c in r if c["kind"] == "accepted"][0]')
history server connection "$id" >"$LT_WORK/one"
assert_line "$LT_WORK/one" '^program *: python'
assert_line "$LT_WORK/one" '^99 % '
assert_line "$LT_WORK/one" ' - .* #####'
status=0
history server connection 999999 2>"$LT_WORK/err" || status=$?
assert_equal $status 1 "exit status for a connection that never was"
assert_line "$LT_WORK/err" 'connection 999999: '

# ---- decisions for the kernel, counters, the clock ----
run server "$LT_PYTHON" -c "import socket
a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
a.bind(('$SERVER', 7776))
b = socket.create_server(('127.0.0.1', 7777))"
history_wait server kernel '[k for k in r if k["local"] == "127.0.0.1:7777" and "loopback" in k["reason"] and k["program"].startswith("python") and k["pid"] > 0]' --connection :7777
history_wait server counters '{"divert/diverted", "guard/packets", "interface/eth0/rx_packets"} <= {c["name"] for c in r if c["value"] > 0}'
assert_history server counters 'r and all(c["name"].startswith("guard/") for c in r)' --name 'guard/*'
history_wait server clock 'r[-1]["status"] == "synchronised" and r[-1]["selected"] == "truth" and 0 < r[-1]["bound_ns"] < 1e7 and r[-1]["frequency_ppm"] is not None and r[-1]["offset_ns"] is not None'
history_wait server sources '[s for s in r if s["name"] == "truth" and s["state"] == "selected" and s["bound_ns"] > 0]'

# ---- the recorder killed while connections are made and closed ----
many_server
many=$STARTED
many_connections 100
history_kill server
many_connections 100
history_start server
many_connections 50
kill -KILL "$(history_pid server)"
many_connections 50
history_start server
many_recorded 300
assert_history server gaps 'not r'

# ---- the service killed and restarted: connections that go on have one row ----
steady_traffic 4 2000 5
history_wait server connections 'len([c for c in r if c["kind"] == "accepted" and c["ending"] == "open"]) == 5' --connection :7001
kill -KILL "$(service_pid server)"
service_start server
history_wait server events 'any("gone" in e["text"] for e in r)'
steady_traffic_done 40
history_wait server connections 'len([c for c in r if c["kind"] == "accepted" and c["ending"] == "closed"]) == 10' --connection :7001
history_wait client connections 'len([c for c in r if c["kind"] == "connect" and c["protocol"] == "tcp" and c["ending"] == "closed"]) == 10' --connection :7001
bytes=$(($(sed -n 's/^done \([0-9]*\) .*/\1/p' "$LT_WORK/client.out") / 5 * 2000))
assert_history server connections "len([c for c in r if c['kind'] == 'accepted' and $bytes <= c['rx_bytes'] < 2 * $bytes]) >= 5" --connection :7001
stop "$many"

# ---- forms and filters ----
history server connections --connection :7100 --limit 3 --csv >"$LT_WORK/csv"
assert_equal "$(wc -l <"$LT_WORK/csv")" 4 "three lines and a head of CSV"
assert_line "$LT_WORK/csv" '^id,opened,closed,duration_s,ending,program,'
assert_history server connections 'not r' --program nobody
assert_history server connections 'not r' --until 1h
assert_history server connections 'len(r) >= 310' --program 'pyth*' --since 1h
history server connections --since 1h --connection "$SERVER" >"$LT_WORK/table"
assert_line "$LT_WORK/table" '^ *ID +OPENED .*PROGRAM'
for wrong in '--since sometime' '--until 25:61' '--connection :x' '--csv --json' '--limit -1' '--nonsense'; do
    status=0
    # shellcheck disable=SC2086
    history server connections $wrong 2>"$LT_WORK/err" >&2 || status=$?
    assert_equal $status 2 "exit status of $wrong"
    assert_line "$LT_WORK/err" "${wrong#*-*-}|$(cut -d ' ' -f 1 <<<"$wrong" | tr -d -)" "$wrong"
done

# ---- without the recorder; by a member of the group without the right to write ----
stop "$(history_pid server)"
file=$(history_file server)
chgrp 65533 "${file%/*}" "$file"*
chmod 750 "${file%/*}"
setpriv --reuid 65534 --regid 65533 --clear-groups "$LT_LOCKSTEP" history connections --database "$file" --json >"$LT_WORK/nobody"
assert_line "$LT_WORK/nobody" '"ending":'
status=0
setpriv --reuid 65534 --regid 65534 --clear-groups "$LT_LOCKSTEP" history connections --database "$file" 2>"$LT_WORK/err" || status=$?
assert_equal $status 1 "exit status without the right to read"
assert_line "$LT_WORK/err" 'history.db: Permission denied'
