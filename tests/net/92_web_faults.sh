#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# lockstep-web against malformed and slow requests, wrong tokens, a thousand clients, and configurations that must not start.
# variants: none/4
# kernel: no
# needs: curl openssl
# timeout: 120
. "$(dirname "$0")/web.sh"
setup
printf "[web]\nrequest-time = 2s\n" >"$LT_WORK/plain.conf"
web server --config "$LT_WORK/plain.conf"
plain=$STARTED

# ---- requests ----
for path in /../../etc/passwd /%2e%2e/%2e%2e/etc/passwd //etc/passwd /page.css/../../x /etc/passwd%00.css /api/v1/connections/../../x; do
    status=$(at server curl -s -o "$out" -w '%{http_code}' --path-as-is "$WEB_URL$path")
    assert_equal "$status" 404 "status of $path"
    assert_no_line "$out" root:
done
for method in POST PUT DELETE OPTIONS TRACE PATCH; do
    fetch 405 "$WEB_URL/" -X $method
    assert_line "$head" '^Allow: GET, HEAD'
done
fetch 200 "$WEB_URL/api/v1/live" -I
fetch 421 "$WEB_URL/" -H 'Host: attacker.example'
fetch 421 "$WEB_URL/metrics" -H 'Host: 127.0.0.1.attacker.example:9480'
fetch 200 "$WEB_URL/metrics" -H 'Host: localhost:9480'
fetch 431 "$WEB_URL/" -H "X: $("$LT_PYTHON" -c 'print("x" * 40000)')"
cat >"$LT_WORK/hostile.py" <<'END'
import socket, sys, time
def connect():
    s = socket.create_connection(("127.0.0.1", 9480))
    s.settimeout(15)
    return s
def answer(s):
    data = b""
    try:
        while chunk := s.recv(65536): data += chunk
    except ConnectionResetError:
        pass
    return data
# Malformed: refused or dropped, never served.
for text in (b"\r\n\r\n\r\n", b"GET\r\n\r\n", b"\x00\xff\xfe" * 500 + b"\r\n\r\n", b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
             b"GET / HTTP/1.1\r\n\r\n", b"GET http://evil/ HTTP/1.1\r\nHost: evil\r\n\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
             b"\x16\x03\x01\x02\x00" + b"x" * 600):
    s = connect()
    s.sendall(text)
    s.shutdown(socket.SHUT_WR)
    got = answer(s)
    assert b" 200 " not in got.split(b"\r\n")[0], (text, got[:80])
# Slow: a byte now and then does not keep a connection for ever.
s, began = connect(), time.monotonic()
try:
    while time.monotonic() - began < 20:
        s.sendall(b"G")
        time.sleep(0.2)
    sys.exit("a slow request was left alone")
except OSError:
    pass
# Idle ones end, too.
s = connect()
assert answer(s) == b""
# A thousand at once, all answered.
clients = []
for _ in range(1000):
    clients.append(connect())
    clients[-1].sendall(b"GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
for s in clients:
    got = answer(s)
    assert got.startswith(b"HTTP/1.1 200") and got.endswith(b"}"), got[:80]
print("done")
END
exec_at server "$LT_PYTHON" "$LT_WORK/hostile.py" >"$LT_WORK/hostile.out" 2>&1 || fail "$(tail -n 3 "$LT_WORK/hostile.out")"
fetch 200 "$WEB_URL/healthz"
alive "$plain" || fail "lockstep-web has died"
web_refuses 1 'cannot listen on 127.0.0.1:9480: Address already in use'
stop "$plain"

# ---- what must not start ----
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$LT_WORK/key.pem" -out "$LT_WORK/cert.pem" -days 2 -subj /CN=server \
    -addext "subjectAltName=IP:$SERVER" 2>/dev/null
openssl genrsa -out "$LT_WORK/other.pem" 2048 2>/dev/null
token=$(openssl rand -hex 24)
echo "$token" >"$LT_WORK/token"
echo short >"$LT_WORK/short"
chmod 600 "$LT_WORK"/{key.pem,other.pem,token,short}
config() { # LINES...: the remote configuration with these
    printf '%s\n' '[web]' "listen = $SERVER:9443" "$@" >"$LT_WORK/web.conf"
}
pair=("certificate = $LT_WORK/cert.pem" "key = $LT_WORK/key.pem")
config
web_refuses 2 'needs TLS' --config "$LT_WORK/web.conf"
web_refuses 2 'needs TLS' --listen 0.0.0.0:9443
config "${pair[@]}"
web_refuses 2 'needs a token' --config "$LT_WORK/web.conf"
config "${pair[0]}" "token-file = $LT_WORK/token"
web_refuses 2 'certificate and key|needs TLS|both or neither' --config "$LT_WORK/web.conf"
config "${pair[@]}" "token-file = $LT_WORK/short"
web_refuses 1 'short: must be 32 to 256 characters' --config "$LT_WORK/web.conf"
config "${pair[0]}" "key = $LT_WORK/other.pem" "token-file = $LT_WORK/token"
web_refuses 1 'certificate .*cert.pem, key .*other.pem: ' --config "$LT_WORK/web.conf"
config "${pair[@]}" "token-file = $LT_WORK/token" 'colour = red'
web_refuses 2 'web.conf:6: .*colour' --config "$LT_WORK/web.conf"
config "${pair[@]}" "token-file = $LT_WORK/token" "request-time = 2s"
chmod 644 "$LT_WORK/token"
web_refuses 1 'others than its owner may read it' --config "$LT_WORK/web.conf"
chmod 600 "$LT_WORK/token"

# ---- TLS and token ----
web server --config "$LT_WORK/web.conf"
url=https://$SERVER:9443
tls=(--cacert "$LT_WORK/cert.pem")
fetch 401 "$url/metrics" "${tls[@]}"
assert_line "$head" '^WWW-Authenticate: Bearer'
for wrong in "$token"x "${token%?}" "" "${token^^}"; do
    fetch 401 "$url/api/v1/live" "${tls[@]}" -H "Authorization: Bearer $wrong"
done
fetch 401 "$url/api/v1/live" "${tls[@]}" -b "lockstep-session=$token"
fetch 200 "$url/api/v1/live" "${tls[@]}" -H "Authorization: Bearer $token"
fetch 200 "$url/healthz" "${tls[@]}"
fetch 303 "$url/" "${tls[@]}"
assert_line "$head" '^Location: /login'
fetch 200 "$url/login" "${tls[@]}"
fetch 303 "$url/login" "${tls[@]}" -d "token=wrong"
assert_line "$head" '^Location: /login\?wrong'
fetch 303 "$url/login" "${tls[@]}" --data-urlencode "token=$token" -c "$LT_WORK/jar"
assert_line "$head" '^Set-Cookie: lockstep-session=[0-9a-f]{64}; .*HttpOnly; SameSite=Strict; Secure'
assert_no_line "$head" "$token"
fetch 200 "$url/" "${tls[@]}" -b "$LT_WORK/jar"
fetch 200 "$url/api/v1/live" "${tls[@]}" -b "$LT_WORK/jar"
fetch 413 "$url/login" "${tls[@]}" -d "token=$("$LT_PYTHON" -c 'print("x" * 5000)')" -H 'Expect:'
at server curl -s --max-time 5 "http://$SERVER:9443/" -o "$out" && fail "plain HTTP on the TLS port"
at server curl -s --max-time 5 --tls-max 1.1 "${tls[@]}" "$url/" -o "$out" && fail "TLS 1.1"
# A handshake that is not begun, or is none, does not keep a connection for ever, nor others away.
cat >"$LT_WORK/handshake.py" <<'END'
import socket, sys
idle = [socket.create_connection((sys.argv[1], 9443)) for _ in range(20)]
for s in idle[:10]: s.sendall(b"\x16\x03\x01\x02\x00\x01")
for s in idle:
    s.settimeout(15)
    try:
        while s.recv(4096): pass
    except ConnectionResetError:
        pass
END
exec_at server "$LT_PYTHON" "$LT_WORK/handshake.py" "$SERVER" >"$LT_WORK/handshake.out" 2>&1 &
handshake=$!
fetch 200 "$url/api/v1/live" "${tls[@]}" -H "Authorization: Bearer $token"
wait "$handshake" || fail "handshakes: $(tail -n 1 "$LT_WORK/handshake.out")"
fetch 200 "$url/healthz" "${tls[@]}"
assert_no_line "$LT_WORK/server-web.err" "$token"
stop "$STARTED"
