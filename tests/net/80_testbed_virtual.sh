#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# variants: none/4
# needs: tc node chromium
# timeout: 120
# kernel: no
# exclusive: yes
# The test bed on its virtual LAN: both stacks, a report that says so, and nothing left behind; also after an interruption
# at any stage, and after a crash.
. "$(dirname "$0")/history.sh"

pattern=$LT_WORK/pattern.csv
cat >"$pattern" <<'END'
class,row,size_bytes,period_ms,limit_ms
tcp0,1,20000,50,2000
mcast,1,800,20,2000
lltcp,1,10,10,2000
udp,1,200,25,2000
END

# What the virtual LAN of process $1 in directory $2 has left behind: namespaces, the directory, processes.
left() {
    ip netns list | grep "^lstb$1-" || true
    [ -z "$2" ] || ls -d "$2" 2>/dev/null || true
    [ -z "$2" ] || grep -lF "$2" /proc/[0-9]*/cmdline 2>/dev/null || true
}
nothing_left() { [ -z "$(left "$1" "$2")" ]; }
# The directory of the virtual LAN that process $1 made.
directory_of() {
    local pid
    for pid in $(ip netns pids "lstb$1-ref" 2>/dev/null); do
        tr '\0' '\n' <"/proc/$pid/cmdline" | grep -o '/run/lockstep-virtual-[^/]*' && return
    done | head -n 1
}

runs=$LT_WORK/runs
mkdir "$runs"
bed() { "$LT_LOCKSTEP" testbed virtual --pattern "$pattern" --history "$runs" --output "$LT_WORK/$1" "${@:2}"; }
value() { "$LT_PYTHON" -c 'import json, sys; r = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$LT_WORK/$1/report.json" "$2"; }

# ---- a whole run ----
status=0
bed whole --senders 1 --rounds 2 --duration 2s --raw >"$LT_WORK/whole.out" 2>"$LT_WORK/whole.err" || status=$?
cat "$LT_WORK/whole.out" >&2
assert_equal "$status" "$(value whole '{"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 2, "INVALID": 3}[r["verdict"]]')" "the exit status"
assert_equal "$status" 0 "the exit status, with limits of 2 s"
assert_equal "$(value whole '[run["stack"] for run in r["runs"]], [len(run["types"]) for run in r["runs"]]')" \
    "(['kernel', 'lockstep'], [4, 4])" "the runs"
assert_equal "$(value whole 'sum(t["lost"] + t["corrupt"] + t["duplicates"] for run in r["runs"] for t in run["types"])')" 0 "lost, corrupt or repeated"
assert_equal "$(value whole 'all(t["received"] == t["expected"] > 0 for run in r["runs"] for t in run["types"])')" True "all received"
assert_equal "$(value whole 'all(abs(t["achieved_per_s"] - t["requested_per_s"]) < 0.1 * t["requested_per_s"] for run in r["runs"] for t in run["types"])')" True "the rates"
assert_equal "$(value whole 'all(0 < t["latency"]["p50_ns"] <= t["latency"]["max_ns"] and t["bound_ns"] < 200000 for run in r["runs"] for t in run["types"])')" True "latencies with a bound"
assert_equal "$(value whole '[c["failed"] for run in r["runs"] for c in run["clock_checks"]]')" "[False, False, False, False]" "the clock checks"
# Proof of offload: the payload went through lanes, not through the kernel's IP (which still carries the control and NTP).
assert_equal "$(value whole '[run["offload"]["recv1"]["lane_received_bytes"] > 0.5 * sum(t["bytes"] for t in run["types"]) for run in r["runs"]]')" "[False, True]" "bytes in lanes"
assert_equal "$(value whole '[run["offload"]["recv1"]["kernel_received_octets"] > sum(t["bytes"] for t in run["types"]) * 0.8 for run in r["runs"]]')" "[True, False]" "bytes in the kernel"
assert_equal "$(value whole 'r["comparisons"][0]["classes"][0]["median"]["pairs"]')" 2 "pairs compared"
assert_equal "$(wc -l <"$LT_WORK/whole/report.csv")" 9 "lines of the table"
"$LT_PYTHON" -c 'import json, sys; [json.loads(line) for line in open(sys.argv[1])]' "$LT_WORK/whole/progress.jsonl"
"$LT_BUILD/testbed/lockstep-testbench" dump "$LT_WORK"/whole/raw-1-kernel-synchronised-recv1.receive.log >"$LT_WORK/raw.csv"
[ "$(wc -l <"$LT_WORK/raw.csv")" -gt 100 ] || fail "the raw log has few lines"

# A copy for the history, which takes it in and away.
assert_equal "$(cat "$runs"/testbed-*.json)" "$(cat "$LT_WORK/whole/report.json")" "the copy of the report for the history"
node_create alone
LT_NODES=(alone)
history_start alone --runs "$runs"
history_wait alone runs '[(x["verdict"], x["nodes"]) for x in r] == [("PASS", 3)]'
assert_history alone results '[x["stack"] for x in r if x["level"] == "whole"] == ["kernel", "lockstep"] and len([x for x in r if x["level"] == "type" and x["received"] > 0 and x["lost"] == 0 and 0 < x["p50_ns"] <= x["max_ns"]]) == 8'
assert_equal "$(ls "$runs")" "" "reports that are in the history"
stop "$(history_pid alone)"

node "$LT_HERE/../web/report.mjs" "$LT_WORK/whole/report.html" "$LT_WORK/report.png" >&2 || fail "the page does not work in a browser"

# ---- mistakes ----
sed 's/^mcast,1,800/mcast,1,80000000/' "$pattern" >"$LT_WORK/bad.csv"
status=0
"$LT_LOCKSTEP" testbed virtual --pattern "$LT_WORK/bad.csv" --output "$LT_WORK/bad" >/dev/null 2>"$LT_WORK/bad.err" || status=$?
assert_equal "$status" 3 "the exit status with a bad pattern"
assert_line "$LT_WORK/bad.err" 'bad.csv:3:3: size_bytes: '

# ---- interrupted, at several stages; and killed ----
for moment in 0.1 1 3 6 kill; do
    setsid "$LT_LOCKSTEP" testbed virtual --pattern "$pattern" --output "$LT_WORK/cut" --duration 20s --rounds 1 >/dev/null 2>"$LT_WORK/cut.err" &
    pid=$!
    LT_PIDS+=("$pid")
    sleep "${moment/kill/3}"
    directory=$(directory_of "$pid" || true)
    if [ "$moment" = kill ]; then
        kill -KILL "$pid"
    else
        kill -INT "$pid"
    fi
    status=0
    wait "$pid" || status=$?
    [ "$moment" = kill ] || assert_equal "$status" 3 "the exit status after an interruption at $moment s"
    wait_for 10 "the end of what the virtual LAN had, after $moment" nothing_left "$pid" "$directory"
done
