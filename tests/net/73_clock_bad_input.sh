#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Two daemons on one segment, broken configurations, a damaged state file, a damaged segment, unknown requests at the control
# socket: each is said plainly, and what can go on goes on.
# variants: none/4
# kernel: no
. "$(dirname "$0")/clock/lib.sh"
setup
truth server --skew 8000
state=$LT_WORK/state
clockd node client <<END
[clockd]
state-file = $state
[source truth]
address = $SERVER
poll-min = 62.5ms
poll-max = 62.5ms
END
daemon=$STARTED
synchronised node

# A second one.
! at client timeout 5 "$CLOCKD" --runtime-dir "$LT_WORK/node" --server "$SERVER" >"$LT_WORK/second.err" 2>&1 ||
    fail "a second daemon started on the same segment"
assert_line "$LT_WORK/second.err" "another daemon keeps $LT_WORK/node/clock"
clock_true node status "r['status'] == 'synchronised' and r['pid'] == $daemon" || fail "the first daemon was disturbed"

# Who asks for nonsense, says nothing, or hangs up.
clock_report node 'make coffee' | grep -q '"error"' || fail "an unknown request was answered"
for _ in 1 2 3; do echo -n 'sta' | at client timeout 1 socat - "UNIX:$LT_WORK/node/clockd.sock" || true; done
head -c 100000 /dev/urandom | at client timeout 2 socat - "UNIX:$LT_WORK/node/clockd.sock" >/dev/null 2>&1 || true
clock_report node sources >/dev/null || fail "the control socket does not answer any more"

# State: saved at the end, used at the next start; truncated: said and left out.
wait_clock node 10 stats 's("truth")["accepted"] >= 20'
wait_clock node 20 status '(r["frequency_sigma_ppb"] or 1e9) < 900'
stop "$daemon"
assert_line "$state" '^counter tsc '
assert_line "$state" '^baseline .* truth$'
assert_line "$state" '^end$'
rm "$LT_WORK/node/clock"
clockd_again node client
assert_line "$LT_WORK/node.err" 'state: rate '
synchronised node
stop "$STARTED"
head -c 40 "$state" >"$state.short"
mv "$state.short" "$state"
: >"$LT_WORK/node/clock" # the segment, too
clockd_again node client
assert_line "$LT_WORK/node.err" "warning: state: $state: line 2: .*truncated"
synchronised node
stop "$STARTED"

# Configurations: the message names the file, the line and the key.
refused() { # TEXT PATTERN
    local status=0
    printf "$1" >"$LT_WORK/bad.conf"
    at client timeout 5 "$CLOCKD" --config "$LT_WORK/bad.conf" --runtime-dir "$LT_WORK/bad" >"$LT_WORK/bad.err" 2>&1 || status=$?
    assert_equal "$status" 2 "exit status of '$1'"
    assert_line "$LT_WORK/bad.err" "$2"
}
refused '[clockd]\nslew = fast\n[source a]\n' 'bad.conf:2: \[clockd\] slew: '
refused '[clockd]\ncolour = red\n' 'bad.conf:2: \[clockd\] colour'
refused '[source a]\npoll-min = 3s\n' 'bad.conf:2: \[source a\] poll-min: '
refused '[source a]\npoll-min = 64s\npoll-max = 1s\n' 'bad.conf: \[source a\] poll-min'
refused '[source a]\n[source a]\n' 'bad.conf:2'
refused '[source a]\nkey = 1\n' 'key-file'
refused '[serve]\nlocal-stratum = 5\nallow = 10.0.0.0/33\n' 'allow: 10.0.0.0/33'
refused '[sour' 'bad.conf:1'
refused '' 'no server to ask'
