#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The server: the true time reaches a second daemon through a first one; NTS between them, with a certificate of our own
# authority, refused without it; a network that is not allowed hears nothing; who asks too often is told so.
# variants: none/4 none/6
# kernel: no
# needs: openssl
. "$(dirname "$0")/clock/lib.sh"
LT_NODES=(server client third)
setup
certificate() {
    local dir=$LT_WORK
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/ca.key" -out "$dir/ca.pem" -days 2 \
        -subj /CN=authority 2>/dev/null
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/server.key" -out "$dir/server.csr" \
        -subj /CN=middle 2>/dev/null
    printf 'subjectAltName=IP:%s,DNS:middle.test\nbasicConstraints=CA:FALSE\n' "$CLIENT" >"$dir/extensions"
    openssl x509 -req -in "$dir/server.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial -days 2 \
        -extfile "$dir/extensions" -out "$dir/server.pem" 2>/dev/null
}
certificate
truth server --skew 12000 --delay 20000 --jitter 2000
clockd middle client <<END
[clockd]
[source truth]
address = $SERVER
poll-min = 125ms
poll-max = 250ms
[serve]
address = $CLIENT
allow = $(address third)
rate-interval = 50ms
rate-burst = 8
nts-certificate = $LT_WORK/server.pem
nts-key = $LT_WORK/server.key
nts-cookie-file = $LT_WORK/cookies
END
synchronised middle
clockd end third <<END
[clockd]
[source middle]
address = $CLIENT
nts = yes
ca = $LT_WORK/ca.pem
poll-min = 125ms
poll-max = 250ms
END
synchronised end 10
assert_equal "$(clock_query end sources 's("middle")["authentication"], s("middle")["authenticated"]')" "('nts', True)" "NTS"
wait_clock end 5 stats 's("middle")["accepted"] >= 20'
judge end third 2
judged end 'r["backwards"] == 0 and r["no_time"] == 0 and r["rms_ns"] < 50000'
assert_equal "$(clock_query end status 'r["stratum"]')" 3 "stratum"
assert_less 5 "$(clock_query middle stats 'r["server"]["nts"]')" "NTS requests"


# Without the authority's certificate: no keys, no time.
clockd doubtful third <<END
[clockd]
[source middle]
address = $CLIENT
nts = yes
END
wait_for 10 "a complaint" has_line "$LT_WORK/doubtful.err" '[Cc]ertificate'
assert_equal "$(clock_query doubtful status 'r["status"]')" unsynchronised "without the certificate"

# The server's node is not allowed. And even who is allowed may not ask at any rate.
ask='import socket, struct, sys, os
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.3)
replies = kisses = 0
for _ in range(int(sys.argv[2])):
    s.sendto(b"\x23" + bytes(39) + os.urandom(8), (sys.argv[1], 123))
    try:
        reply = s.recv(100)
    except socket.timeout:
        continue
    replies += 1
    kisses += reply[1] == 0 and reply[12:16] == b"RATE"
print(replies, kisses)'
assert_equal "$(exec_at server "$LT_PYTHON" -c "$ask" "$CLIENT" 3)" "0 0" "replies to a host that is not allowed"
assert_less 2 "$(clock_query middle stats 'r["server"]["denied"]')" "denied"
read -r replies kisses <<<"$(exec_at third "$LT_PYTHON" -c "$ask" "$CLIENT" 40)"
assert_less "$replies" 40 "replies to a greedy client"
assert_less 0 "$kisses" "kisses"
assert_less 5 "$(clock_query middle stats 'r["server"]["rate_limited"]')" "rate-limited"
