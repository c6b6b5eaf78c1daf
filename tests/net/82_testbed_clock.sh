#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# variants: none/4
# needs: tc
# timeout: 90
# kernel: no
# The clock daemon of the receiver's node is killed while a run lasts: the run ends in good order, the clock is in holdover with a
# bound that has grown, and the report says so.
. "$(dirname "$0")/lib.sh"
printf 'class,row,size_bytes,period_ms,limit_ms\nlltcp,1,100,10,4000\nudp,1,200,20,4000\n' >"$LT_WORK/pattern.csv"
"$LT_LOCKSTEP" testbed virtual --pattern "$LT_WORK/pattern.csv" --output "$LT_WORK/report" --senders 1 --stack kernel --rounds 1 --duration 14s --clock-limit 10ms \
    >"$LT_WORK/bed.out" 2>"$LT_WORK/bed.err" &
bed=$!
LT_PIDS+=("$bed")
wait_for 30 "the run" has_line "$LT_WORK/bed.err" ' 0/'
victim=
for pid in $(ip netns pids "lstb$bed-recv1"); do
    ! grep -q '^lockstep-clockd' "/proc/$pid/comm" || victim="$victim $pid"
done
[ -n "$victim" ] || fail "no clock daemon at the receiver"
# shellcheck disable=SC2086
kill -KILL $victim
status=0
wait "$bed" || status=$?
assert_equal "$status" 0 "the exit status: $(tail -n 1 "$LT_WORK/bed.err")"
value() { "$LT_PYTHON" -c 'import json, sys; r = json.load(open(sys.argv[1])); c = {c["node"]: c for c in r["runs"][0]["clocks"]}; print(eval(sys.argv[2]))' "$LT_WORK/report/report.json" "$1"; }
assert_equal "$(value 'c["recv1"]["holdover"] > 0, c["send1"]["holdover"], c["recv1"]["no_time"]')" "(True, 0, 0)" "holdover"
assert_equal "$(value 'c["recv1"]["bounds"][-1][2] > c["recv1"]["bounds"][0][1]')" True "the bound has grown"
assert_equal "$(value '[t["lost"] for t in r["runs"][0]["types"]]')" "[0, 0]" "lost"
