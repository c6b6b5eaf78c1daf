#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# A thousand readers while the daemon is killed, and killed again: nothing torn, nothing backwards, no wrong time at any
# moment; each new daemon goes on with the old one's time. In the end it stays away until the time is void.
# variants: none/4
# kernel: no
. "$(dirname "$0")/clock/lib.sh"
setup
truth server --skew 8000 --delay 20000 --jitter 2000
clockd node client <<END
[clockd]
holdover-limit = 400us
drift = 100000
[source truth]
address = $SERVER
poll-min = 250ms
poll-max = 500ms
END
daemon=$STARTED
synchronised node
start_kernel readers client "$CLOCK_TOOLS/clock_readers" "$LT_WORK/node/clock" 10 100 9
readers=$STARTED
wait_for 5 "the readers" has_line "$LT_WORK/readers.out" started
judge node client 4 &
judging=$!
for _ in 1 2; do
    stop "$daemon" KILL
    clockd_again node client
    daemon=$STARTED
    assert_line "$LT_WORK/node.err" 'goes on with the time published before'
    synchronised node
done
wait "$judging"
judged node 'r["backwards"] == 0 and r["no_time"] == 0 and r["covered"] >= 0.9999'
assert_equal "$(clock_query node status 'r["disruptions"]')" 0 "disruptions"
stop "$daemon" KILL
finish "$readers" 15 || fail "the readers: $(cat "$LT_WORK/readers.err")"
result=$LT_WORK/readers.result
tail -n 1 "$LT_WORK/readers.out" >"$result"
say "readers: $(cat "$result")"
assert_equal "$(json "$result" 'sum(r[k] for k in ("torn", "strange", "backwards", "far", "failed", "bad"))')" 0 "wrong readings"
assert_less 0 "$(json "$result" 'r["holdover"]')" "readings in holdover"
assert_less 0 "$(json "$result" 'r["no_time"]')" "readings after the time was void"
assert_less 100000 "$(json "$result" 'r["readings"]')" "readings"
