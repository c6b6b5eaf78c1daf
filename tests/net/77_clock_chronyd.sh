#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# As a client of chronyd (which serves the system clock and steers nothing), in interleaved mode, with and without a symmetric
# key; a wrong key is not believed. And chronyd as a steady client, interleaved, of this daemon, with a key.
# variants: none/4 none/6
# kernel: no
# needs: chronyd
. "$(dirname "$0")/clock/lib.sh"
setup
cat >"$LT_WORK/keys" <<END
1 AES128 HEX:000102030405060708090a0b0c0d0e0f
2 SHA1 HEX:112233445566778899aabbccddeeff0011223344
3 SHA1 HEX:ffffffffffffffffffffffffffffffffffffffff
END
sed 's/ff\(ff\)*$/00&/; s/^3 .*/3 SHA1 HEX:0000000000000000000000000000000000000001/' "$LT_WORK/keys" >"$LT_WORK/other-keys"
chmod 600 "$LT_WORK/keys" "$LT_WORK/other-keys"
chronyd_at() { # NAME NODE DIRECTIVES...
    local name=$1 node=$2
    shift 2
    start_kernel "$name" "$node" chronyd -x -d -u root "$@" "cmdport 0" "bindcmdaddress /" "pidfile $LT_WORK/$name.pid"
}
chronyd_at theirs server "local stratum 5" "allow all" "keyfile $LT_WORK/keys"
wait_port server udp 123
source_of() { # NAME KEY
    printf '[source %s]\naddress = %s\nkey = %s\npoll-min = 125ms\npoll-max = 250ms\n' "$1" "$SERVER" "$2"
}
{
    printf '[clockd]\nkey-file = %s\n' "$LT_WORK/keys"
    source_of plain 0
    source_of cmac 1
    source_of sha1 2
    printf '[serve]\nallow = all\n'
} | clockd node client
synchronised node
wait_clock node 5 sources 'all(s(n)["authenticated"] for n in ("cmac", "sha1")) and not s("plain")["authenticated"]'
wait_clock node 5 sources 'all(x["interleaved"] and x["state"] in ("selected", "candidate") for x in r["sources"])'
# chronyd -x serves the system clock as it is.
wait_clock node 5 status 'abs(r["system_clock_offset_ns"]) < 50000'

printf '[clockd]\nkey-file = %s\n%s\n' "$LT_WORK/other-keys" "$(source_of wrong 3)" | clockd stranger client
wait_clock stranger 5 stats 's("wrong")["received"] == 0 or sum(s("wrong")["dropped"].values()) >= 3'
assert_equal "$(clock_query stranger status 'r["status"]')" unsynchronised "with a wrong key"

chronyd_at ours server "server $CLIENT minpoll -2 maxpoll -2 xleave key 1" "keyfile $LT_WORK/keys" "port 0" "log measurements" \
    "logdir $LT_WORK"
wait_for 10 "chronyd's choice" has_line "$LT_WORK/ours.err" 'Selected source'
wait_clock node 10 stats 'r["server"]["interleaved"] >= 5 and r["server"]["keys"] >= 5'
! grep -v '^[=\ ]' "$LT_WORK/measurements.log" | awk '{ o = $12 < 0 ? -$12 : $12; if (o > 0.001) exit 1 }' && fail "chronyd's offsets"
true
