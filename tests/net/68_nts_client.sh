#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The daemon follows chronyd with NTS, and with keys; all its packets are authentic and interleaved. A server that has lost
# its keys is negotiated with anew. What is wrong with a key server is said with its name and the cause.
# variants: none/4 none/6
# kernel: no
# timeout: 120
# needs: chronyd certtool
. "$(dirname "$0")/clock/ntp.sh"
setup
certificates
authority other
certificate elsewhere elsewhere.example 192.0.2.1
keys
nts_server() { # CERTIFICATE
    chronyd server server <<END
local stratum 3
allow
keyfile $LT_WORK/keys
ntsserverkey $LT_WORK/$1.key
ntsservercert $LT_WORK/$1.crt
END
}
source_text() { # NAME OPTION...
    printf '[source %s]\naddress = %s\npoll-min = 250ms\npoll-max = 500ms\n' "$1" "$SERVER"
    shift
    printf '%s\n' "$@"
}
node() { # NAME OPTION...
    local name=$1
    shift
    clockd "$name" client <<END
[clockd]
key-file = $LT_WORK/keys
$(source_text chrony "$@")
END
}

# ---- keys ----
nts_server server
server=$STARTED
node keyed 'key = 2'
synchronised keyed
wait_clock keyed 10 sources 's("chrony")["authenticated"] and s("chrony")["interleaved"]'
stop "$STARTED"

# ---- NTS ----
node secure 'nts = yes' "ca = $LT_WORK/ca.crt"
secure=$STARTED
synchronised secure
wait_clock secure 10 sources 's("chrony")["authenticated"] and s("chrony")["interleaved"]'
wait_clock secure 20 stats 's("chrony")["used"] > 30'
clock_true secure stats 'sum(s("chrony")["dropped"].values()) <= 1' ||
    fail "dropped: $(clock_query secure stats 's("chrony")["dropped"]')"
assert_equal "$(chrony_count server 'NTS-KE connections accepted')" 1 "key establishments"
assert_less "$(chrony_count server 'NTP packets received')" \
    "$(chrony_count server 'Authenticated NTP packets') + 10" "packets without authentication"

# ---- the server's keys are lost ----
stop "$server"
rm -f "$LT_WORK"/chrony-server/*.nts "$LT_WORK"/chrony-server/ntskeys
chronyd_again server server
server=$STARTED
again() { [ "$(grep -c 'new keys and 8 cookies' "$LT_WORK/secure.err")" -ge 2 ]; }
wait_for 40 "new keys" again
synchronised secure 20
clock_true secure status 'r["disruptions"] == 0' || fail "the time was disrupted"
stop "$secure"

# ---- what is wrong is said ----
node stranger 'nts = yes' "ca = $LT_WORK/other.crt"
wait_for 10 "the cause" has_line "$LT_WORK/stranger.err" \
    "nts: $SERVER: its certificate is not signed by a trusted authority \(issuer: CN=Authority ca\); next try in 10 s"
stop "$STARTED"
stop "$server"
nts_server elsewhere
server=$STARTED
node wrong-name 'nts = yes' "ca = $LT_WORK/ca.crt"
wait_for 10 "the cause" has_line "$LT_WORK/wrong-name.err" \
    "nts: $SERVER: its certificate is for elsewhere.example, not for this name"
clock_true wrong-name status 'r["status"] == "unsynchronised"' || fail "synchronised without authentication"
stop "$STARTED"
stop "$server"
node nobody 'nts = yes' "ca = $LT_WORK/ca.crt"
wait_for 10 "the cause" has_line "$LT_WORK/nobody.err" "nts: $SERVER: cannot connect to the key server: Connection refused"
stop "$STARTED"
start_kernel mute server socat -u TCP6-LISTEN:4460,ipv6only=0,fork /dev/null
wait_port server tcp 4460
node patient 'nts = yes' "ca = $LT_WORK/ca.crt"
wait_for 10 "the cause" has_line "$LT_WORK/patient.err" "nts: $SERVER: TLS: no answer in time"
