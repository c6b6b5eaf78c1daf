#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# chronyd gets keys and cookies from the daemon and authentic time with them, interleaved. A restart of the daemon keeps its
# cookies valid; without their file the client negotiates anew. A flood of connections to the key server does not keep
# anybody out for long, nor touch the time.
# variants: none/4 none/6
# kernel: no
# timeout: 120
# needs: chronyd certtool
. "$(dirname "$0")/clock/ntp.sh"
setup
certificates
clockd reference server <<END
[clockd]
[serve]
allow = all
local-stratum = 5
nts-certificate = $LT_WORK/server.crt
nts-key = $LT_WORK/server.key
nts-cookie-file = $LT_WORK/cookies
END
reference=$STARTED
synchronised reference
assert_equal "$(stat -c %a "$LT_WORK/cookies")" 600 "mode of the cookies' keys"

nts_client() { # NAME
    chronyd "$1" client <<END
server $SERVER nts iburst minpoll -1 maxpoll -1 xleave
ntstrustedcerts $LT_WORK/ca.crt
END
}
nts_client first
wait_chrony first 10 sources '^\^\* '
wait_chrony first 10 ntpdata 'Interleaved +: Yes'
assert_chrony first ntpdata 'Authenticated +: Yes'
# Type 15 is AES-SIV-CMAC-256; no NAK, eight cookies of 104 bytes. (KeyID counts the key establishments.)
assert_chrony first authdata ' NTS +1 +15 +256 .* 0 +0 +8 +104$'

# ---- a restart ----
stop "$reference"
clockd_again reference server
reference=$STARTED
synchronised reference
good() { chrony first ntpdata | sed -nE 's/^Total valid RX *: *//p'; }
before=$(good)
more() { [ "$(good)" -gt $((before + 5)) ]; }
wait_for 10 "replies with cookies from before the restart" more
assert_chrony first authdata ' NTS +1 +15 +256 .* 0 +8 +104$'

# ---- a flood of connections to the key server, from another address ----
if [ "$LT_FAMILY" = 6 ]; then other=fd00:77::3; else other=10.77.0.3; fi
# Deprecated: nobody else takes it as its own.
ip -n "$(ns client)" addr add "$other/$PREFIX_BITS" dev eth0 preferred_lft 0
start_kernel flood client "$LT_PYTHON" "$LT_HERE/clock/tcp_flood.py" "$SERVER" 4460 10 "$other"
flood=$STARTED
before=$(good)
nts_client second
wait_chrony second 15 sources '^\^\* '
assert_chrony second ntpdata 'Authenticated +: Yes'
wait_for 10 "replies under the flood" more
finish "$flood" 30 || fail "the flood"
assert_line "$LT_WORK/flood.out" '^[1-9][0-9]{2,} connections'

# ---- the cookies' keys are lost ----
before=$(stat -c %i "$LT_WORK/cookies")
stop "$reference"
printf 'nts-cookie-keys 1\n0000' >"$LT_WORK/cookies" # cut
clockd_again reference server
synchronised reference
assert_line "$LT_WORK/reference.err" 'cookies:2: damaged'
wait_chrony first 40 authdata ' NTS +[2-9] +15 +256 '
assert_chrony first ntpdata 'Authenticated +: Yes'
assert_no_line "$LT_WORK/reference.err" 'error|Sanitizer'
