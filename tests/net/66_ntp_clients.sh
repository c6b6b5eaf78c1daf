#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# A node without any source is the reference. chronyd takes it with each type of key and in interleaved mode; ntpdig and
# ntpdate take it, too. A wrong key, a denied network, other modes and versions get no time, nobody gets more bytes than
# it sent, and who asks too often is told.
# variants: none/4 none/6
# kernel: no
# needs: chronyd ntpdig ntpdate
. "$(dirname "$0")/clock/ntp.sh"
setup
keys
clockd reference server <<END
[clockd]
key-file = $LT_WORK/keys
[serve]
allow = 10.77.0.0/24
allow = fd00:77::/64
local-stratum = 5
keys = yes
END
synchronised reference

# ---- clients ----
for key in 0 1 2 3; do
    with=
    [ $key = 0 ] || with="key $key"
    chronyd "key$key" client <<END
server $SERVER $with iburst minpoll -1 maxpoll -1 xleave
keyfile $LT_WORK/keys
END
    wait_chrony "key$key" 10 sources '^\^\* '
    wait_chrony "key$key" 10 ntpdata 'Interleaved +: Yes'
    assert_chrony "key$key" ntpdata 'Stratum +: 5'
    assert_chrony "key$key" ntpdata 'Version +: 4'
    assert_chrony "key$key" ntpdata "Authenticated +: $([ $key = 0 ] && echo No || echo Yes)"
    stop "$STARTED"
done
printf '1 SHA1 ASCII:another-secret-here\n' >"$LT_WORK/wrong"
chronyd wrong client <<END
server $SERVER key 1 iburst minpoll -1 maxpoll -1
keyfile $LT_WORK/wrong
END
sleep 3
assert_chrony wrong ntpdata 'Total valid RX +: 0'
stop "$STARTED"

exec_at client ntpdig -t 2 "$SERVER" >"$LT_WORK/ntpdig" || fail "ntpdig: $(cat "$LT_WORK/ntpdig")"
assert_line "$LT_WORK/ntpdig" "$SERVER s5 no-leap"
exec_at client ntpdate -q "$SERVER" >"$LT_WORK/ntpdate" || fail "ntpdate: $(cat "$LT_WORK/ntpdate")"
assert_line "$LT_WORK/ntpdate" 's5 no-leap'

# ---- others ----
probe() { exec_at client "$LT_PYTHON" "$LT_HERE/clock/ntp_probe.py" "$SERVER" "$@"; }
probe modes || fail "what modes and versions get"
probe flood 20000 || fail "what a flood gets"
clockd strict client <<END
[clockd]
[serve]
allow = all
deny = $SERVER
local-stratum = 5
rate-interval = 2s
rate-burst = 4
END
synchronised strict
exec_at server "$LT_PYTHON" "$LT_HERE/clock/ntp_probe.py" "$CLIENT" silence || fail "a denied network was answered"
exec_at client "$LT_PYTHON" "$LT_HERE/clock/ntp_probe.py" "$CLIENT" rate || fail "who asks too often"
synchronised reference
assert_no_line "$LT_WORK/reference.err" 'error|runtime error|Sanitizer'
