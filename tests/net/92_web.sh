#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What lockstep-web says over real traffic, a real clock and a real history, with the services and itself there, restarted and gone;
# metrics and alerts as promtool wants them, and their names in Grafana's dashboard.
# variants: both/6
# kernel: no
# needs: curl
# timeout: 120
. "$(dirname "$0")/web.sh"
setup without-service
dir=$(service_dir server)
mkdir -p "$dir"
metric() { # NAME-WITH-LABELS: its value in $out
    "$LT_PYTHON" -c 'import sys
for line in open(sys.argv[1]):
    if line.rsplit(" ", 1)[0] == sys.argv[2]: print(line.rsplit(" ", 1)[1].strip())' "$out" "$1"
}
metric_is() { # NAME EXPRESSION-OF-v: asked again each time
    fetch 200 "$WEB_URL/metrics"
    [ "$("$LT_PYTHON" -c "v = float('$(metric "$1")'); print($2)" 2>/dev/null)" = True ]
}

# ---- without any service ----
web server --history "$HISTORY"
web_pid=$STARTED
fetch 200 "$WEB_URL/healthz"
assert_line "$out" '^ok$'
fetch 200 "$WEB_URL/"
assert_line "$head" "^Content-Security-Policy: default-src 'none'; script-src 'self'"
assert_line "$head" '^X-Content-Type-Options: nosniff'
assert_line "$head" '^Cache-Control: no-store'
assert_line "$head" "^Content-Security-Policy: .*frame-ancestors 'none'"
assert_line "$head" '^X-Frame-Options: DENY'
assert_line "$head" '^Referrer-Policy: no-referrer'
web_says /api/v1/live 'not r["summary"]["netd"]["reachable"] and not r["summary"]["clock"]["reachable"] and r["connections"] == []' ||
    fail "without services: $(cat "$out")"
fetch 503 "$WEB_URL/api/v1/status"
fetch 404 "$WEB_URL/api/v1/connections/1"
metric_is 'lockstep_service_up{service="netd"}' 'v == 0' || fail "netd is said to be up"
web_says /api/v1/series 'not r["history"]["available"] and r["history"]["problem"] == ""' || fail "no history: $(cat "$out")"

# ---- with both ----
service_start server
service_start client
truth client --delay 50000 --jitter 5000
clockd_by server server "$CLIENT"
clock_pid=$STARTED
synchronised server
wait_for 20 "netd on the page" web_says /api/v1/live 'r["summary"]["netd"]["reachable"]'
steady_traffic 100 1000 5
history server
wait_for 20 "connections" web_says '/api/v1/connections?sort=-received&filter=established' 'r["matching"] == 5 and r["total"] >= 7'
assert_equal "$(json "$out" '[c["program"][:6] for c in r["connections"]]')" "['python', 'python', 'python', 'python', 'python']" "programs"
assert_equal "$(json "$out" 'sorted((c["rx_bytes"] for c in r["connections"]), reverse=True) == [c["rx_bytes"] for c in r["connections"]]')" True "the order"
key=$(json "$out" 'r["connections"][0]["key"]')
web_says "/api/v1/connections/$key" 'r["state"] == "established" and r["lane"]["injector"] == "guarded"' || fail "details: $(cat "$out")"
wait_for 20 "rates" web_says /api/v1/live 'r["summary"]["now"]["rx_bits_per_s"] > 1000 and r["summary"]["now"]["tx_bits_per_s"] > 1000'
wait_for 20 "the clock" web_says /api/v1/live 'r["summary"]["clock"]["status"] == "synchronised" and 0 < r["summary"]["now"]["bound_ns"] < 1e7'
web_says /api/v1/clock 'r["status"]["selected"] == "truth" and r["sources"]["sources"][0]["state"] == "selected" and r["stats"]' || fail "clock: $(cat "$out")"
web_says /api/v1/status 'r["interfaces"][0]["name"] == "eth0" and len(r["lanes"]) == 1' || fail "status: $(cat "$out")"
wait_for 20 "points" web_says /api/v1/series 'len(r["time_ms"]) >= 3 and len(r["bound_ns"]) == len(r["time_ms"]) and any(x for x in r["rx_bits_per_s"])'
fetch 400 "$WEB_URL/api/v1/connections?sort=nonsense"
assert_equal "$(json "$out" 'r["error"]')" "sort: not a column" "the complaint"
fetch 400 "$WEB_URL/api/v1/connections?limit=0"
fetch 400 "$WEB_URL/api/v1/series?span=5"
web_says '/api/v1/connections?limit=2&offset=4&filter=established' 'r["offset"] == 4 and len(r["connections"]) == 1 and r["matching"] == 5' || fail "a page: $(cat "$out")"
fetch 400 "$WEB_URL/api/v1/connections?colour=red"

# ---- metrics ----
run client "$LT_PYTHON" -c "
import socket
for i in range(20): # come and gone between two looks
    with socket.create_connection(('$SERVER', 7001)) as s:
        s.sendall(b'x' * 1000)
        got = 0
        while got < 1000: got += len(s.recv(1000))
"
program=$(report_query server connections 'r["flows"][0]["program"]')
wait_for 20 "short connections in the metrics" metric_is "lockstep_program_connections_opened_total{program=\"$program\"}" 'v >= 20'
metric_is "lockstep_program_receive_bytes_total{program=\"$program\"}" 'v > 20000' || fail "bytes: $(grep receive_bytes "$out")"
metric_is lockstep_lanes 'v == 1' || fail "no lane"
metric_is lockstep_clock_bound_seconds '0 < v < 0.01' || fail "the clock's bound"
wait_for 20 "the history in the metrics" metric_is lockstep_testbed_runs 'v == 1'
metric_is lockstep_history_written_timestamp_seconds "abs(v - $(date +%s)) < 60" || fail "when the history was written: $(grep history "$out")"
metric_is lockstep_history_database_bytes 'v > 10000' || fail "bytes of the history"
cp "$out" "$LT_WORK/first.prom"
if command -v promtool >/dev/null; then
    promtool check metrics <"$out" >"$LT_WORK/promtool.out" 2>&1 || fail "promtool: $(cat "$LT_WORK/promtool.out")"
    assert_equal "$(wc -c <"$LT_WORK/promtool.out")" 0 "bytes that promtool says: $(cat "$LT_WORK/promtool.out")"
fi
assert_less "$(grep -vc '^#' "$out")" 600 "series"
docs=$LT_HERE/../../docs
if command -v promtool >/dev/null; then
    promtool check rules "$docs/prometheus/lockstep.rules.yml" >&2 || fail "the example alerts"
    promtool test rules "$LT_HERE/../web/alerts_test.yml" >&2 || fail "what the example alerts fire on"
fi
"$LT_PYTHON" "$LT_HERE/../web/dashboard_names.py" "$docs/grafana/lockstep.json" "$docs/prometheus/lockstep.rules.yml" "$docs/metrics.md" "$out" >&2 ||
    fail "names of metrics"
sleep 2 # counters never fall
fetch 200 "$WEB_URL/metrics"
"$LT_PYTHON" - "$LT_WORK/first.prom" "$out" <<'END' || fail "a counter has fallen"
import sys
def counters(path):
    lines = open(path).read().splitlines()
    names = {line.split()[2] for line in lines if line.startswith("# TYPE") and line.endswith(" counter")}
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines
            if not line.startswith("#") and line.split("{")[0].split(" ")[0] in names}
first, second = counters(sys.argv[1]), counters(sys.argv[2])
fallen = [name for name in first if second.get(name, -1) < first[name]]
print(len(first), "counters, fallen:", fallen, file=sys.stderr)
sys.exit(bool(fallen) or len(first) < 20)
END

# ---- the history goes on where memory ends ----
before() { # EXPRESSION over r and i, an index of points from before the restart, true of some
    web_says /api/v1/series "r['history']['available'] and any($1 for i, ms in enumerate(r['time_ms']) if ms < $restarted_ms)"
}
fetch 200 "$WEB_URL/api/v1/runs"
assert_equal "$(json "$out" '[(x["verdict"], x["stack"], x["received"], x["lost"], x["p50_ns"], x["max_ns"]) for x in r["runs"]]')" "[('PASS', 'kernel', 10, 1, 5, 12)]" "runs"
web_says '/api/v1/series?span=604800' 'r["span_s"] == 604800 and r["history"]["available"] and r["time_ms"] == sorted(r["time_ms"])' || fail "a week: $(cat "$out")"
wait_for 20 "traffic in the history" history_has "SELECT count(*) >= 2 FROM counters JOIN series ON series.id = counters.series
    WHERE name = 'traffic/rx_bytes' AND change > 1000"
restarted_ms=$(date +%s%3N)
stop "$web_pid"
web server --history "$HISTORY"
wait_for 20 "the clock from before the restart" before 'r["bound_ns"][i] is not None'
before 'r["rx_bits_per_s"][i] is not None and r["rx_bits_per_s"][i] > 100' || fail "the traffic from before the restart: $(cat "$out")"
stop "$STARTED" # and damaged it is said to be
dd if=/dev/urandom of="$LT_WORK/damaged.db" bs=1024 count=64 status=none
web server --history "$LT_WORK/damaged.db"
web_says /api/v1/series '"damaged" in r["history"]["problem"] and not r["history"]["available"]' || fail "a damaged history: $(cat "$out")"
web_says /api/v1/runs '"damaged" in r["problem"]' || fail "runs of a damaged history: $(cat "$out")"

# ---- netd goes and comes ----
stop "$(service_pid server)"
wait_for 20 "the end of netd on the page" web_says /api/v1/live 'not r["summary"]["netd"]["reachable"] and r["summary"]["clock"]["reachable"]'
service_start server
wait_for 20 "connections after the restart" web_says /api/v1/live 'r["summary"]["netd"]["reachable"] and r["matching"] >= 5'
metric_is "lockstep_program_receive_bytes_total{program=\"$program\"}" 'v >= 0' || fail "no totals after the restart"
for one in "${STEADY[@]}"; do kill -TERM "${one#* }"; done
steady_traffic_done 60

# ---- clockd goes; the end ----
stop "$clock_pid"
wait_for 20 "the end of clockd on the page" web_says /api/v1/live 'not r["summary"]["clock"]["reachable"] and r["summary"]["netd"]["reachable"]'
