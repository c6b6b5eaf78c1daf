#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Several nodes through their lockstep-web, by `lockstep status --nodes` and `lockstep top`: this one, one behind TLS and a token,
# and such as are down, slow, strangers, or speak nonsense. And `lockstep top` over ssh.
# variants: both/4
# kernel: no
# needs: openssl tmux ssh sshd ssh-keygen
# timeout: 120
. "$(dirname "$0")/web.sh"
. "$(dirname "$0")/ssh.sh"
. "$(dirname "$0")/terminal.sh"
setup
dir=$(service_dir server)
err=$LT_WORK/err table=$LT_WORK/table conf=$LT_WORK/nodes.conf

# ---- two nodes with all services ----
truth client --delay 50000 --jitter 5000
clockd_by server server "$CLIENT"
clockd client client <<END
[clockd]
[source silent]
address = $SERVER
END
steady_traffic 60 1000 3
certificate() { # NAME ADDRESS
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$LT_WORK/$1.key" -out "$LT_WORK/$1.pem" \
        -days 2 -subj "/CN=$1" -addext "subjectAltName=IP:$2" 2>/dev/null
}
certificate client $CLIENT
certificate other $CLIENT
for name in token other-token; do
    openssl rand -hex 24 >"$LT_WORK/$name"
    chmod 600 "$LT_WORK/$name"
done
cp "$LT_WORK/token" "$LT_WORK/open-token"
chmod 644 "$LT_WORK/open-token"
chmod 600 "$LT_WORK/client.key"
cat >"$LT_WORK/client-web.conf" <<END
[web]
listen = $CLIENT:9443
certificate = $LT_WORK/client.pem
key = $LT_WORK/client.key
token-file = $LT_WORK/token
END
web server
web client --config "$LT_WORK/client-web.conf"
synchronised server
mkdir "$LT_WORK/empty"
start_kernel alone server "$WEB" --runtime-dir "$LT_WORK/empty" --listen 127.0.0.1:9503
wait_for 10 "lockstep-web without services" has_line "$LT_WORK/alone.err" 'listening on'

# ---- others ----
cat >"$LT_WORK/strange.py" <<'END'
import socket, socketserver, threading
def answer(text, status="200 OK"):
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n{text}".encode()
ANSWERS = {
    "nonsense": answer("<html>\x1b[2J"),
    "deep": answer("[" * 100000),
    "odd": answer('{"status": {"status": 5, "bound_ns": "x"}, "totals": [], "interfaces": [1, {}], "sources": null}'),
    "broken": answer('{"error": "on \x1b[31mfire"}', "500 Oops"),
    "short": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{}",
    "noise": b"\x00\xff" * 1000,
    "moved": b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
}
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        path = self.rfile.readline().split()[1].decode()
        while self.rfile.readline().strip(): pass
        kind = path.split("/")[1]
        if kind == "slow":
            threading.Event().wait(60)
        self.wfile.write(ANSWERS[kind])
class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 100
with Server(("127.0.0.1", 9502), Handler) as server:
    print("ready", flush=True)
    server.serve_forever()
END
start_kernel strange server "$LT_PYTHON" "$LT_WORK/strange.py"
wait_for 10 "strange nodes" has_line "$LT_WORK/strange.out" ready
there="url = https://$CLIENT:9443"
node() { printf '[node %s]\n' "$1" && printf '%s\n' "${@:2}"; }
cat >"$conf" <<END
[nodes]
ca-file = $LT_WORK/client.pem
timeout = 20s
END
node here 'url = http://127.0.0.1:9480/' >>"$conf"
node there "$there" "token-file = $LT_WORK/token" >>"$conf"
cp "$conf" "$LT_WORK/good.conf"
{
    node wrong-token "$there" "token-file = $LT_WORK/other-token"
    node no-token "$there"
    node open-token "$there" "token-file = $LT_WORK/open-token"
    node lost-token "$there" "token-file = $LT_WORK/no-such-file"
    node plain-token "url = http://$CLIENT:9443" "token-file = $LT_WORK/token"
    node stranger "$there" "token-file = $LT_WORK/token" "ca-file = $LT_WORK/other.pem"
    node down "url = https://$CLIENT:9444"
    node alone "url = http://127.0.0.1:9503"
    node slow 'url = http://127.0.0.1:9502/slow' 'timeout = 400ms'
    for kind in nonsense deep odd broken short noise moved; do node $kind "url = http://127.0.0.1:9502/$kind"; done
} >>"$conf"

# ---- lockstep status ----
# status STATUS OPTION...: of several nodes; in $table and $err.
status() {
    local expected=$1 result=0
    shift
    LT_LIMIT=20 exec_at server "$LT_LOCKSTEP" status "$@" >"$table" 2>"$err" </dev/null || result=$?
    assert_equal $result "$expected" "exit status of lockstep status $*: $(tail -n 1 "$err")"
}
# status_nodes EXPRESSION: a Python expression over nodes `n` by name is true.
status_nodes() { [ "$(json "$table" "eval('bool($1)', {'n': {x['node']: x for x in r['nodes']}})")" = True ]; }
both_known() {
    status 0 --nodes --nodes-file "$LT_WORK/good.conf" --json
    status_nodes 'n["here"]["clock"]["status"]["status"] == "synchronised" and n["there"]["status"]["totals"]["flows"] == 4'
}
wait_for 20 "both nodes" both_known
status_nodes 'n["here"]["status"]["totals"]["lanes"] == 1 and n["here"]["status_problem"] is None' || fail "here: $(cat "$table")"
status_nodes 'n["there"]["clock"]["status"]["status"] == "unsynchronised"' || fail "there: $(cat "$table")"
status 0 --node there --node here --nodes-file "$LT_WORK/good.conf"
assert_equal "$(cut -d' ' -f1 "$table" | tr '\n' ' ')" 'NODE there here ' "the order"
assert_line "$table" '^here +synchronised +[+-][0-9.]+[num]?s +[0-9.]+[num]?s .* truth +eth0 [a-z-]+ +1 +[0-9]+ +0 +0 '
assert_line "$table" '^there +unsynchronised +- .* - +eth0 [a-z-]+ +2 +4 +0 +0 '
status 1 --nodes --nodes-file "$conf"
for line in 'wrong-token: it wants another token \(HTTP 401\)' 'no-token: it wants another token \(HTTP 401\)' \
    'open-token: token-file .*/open-token: everybody may read it' 'lost-token: token-file .*no-such-file: No such file' \
    'plain-token: the token would be sent unencrypted' 'stranger: its certificate is not one that ca-file trusts' \
    "down: Couldn't connect" 'alone: HTTP 503: lockstep-netd does not answer' 'slow: no answer within 400.0 ms' \
    'nonsense: the answer is no report' 'deep: the answer is no report' 'odd: the answer is no report' \
    'broken: HTTP 500: on .\[31mfire' 'short: ' 'noise: ' 'moved: HTTP 302$'; do
    assert_line "$table" "^$line"
    assert_line "$table" "^${line%%:*} +-"
done
assert_line "$table" '^here +synchronised'
assert_line "$table" '^there +unsynchronised'
assert_no_line "$table" "$(printf '\e')|$(cat "$LT_WORK/token")"
status 1 --nodes --nodes-file "$conf" --json
status_nodes 'len(n) == 18 and n["down"]["status"] is None and "connect" in n["down"]["clock_problem"]' || fail "$(cat "$table")"
status_nodes 'n["alone"]["clock"]["status"] is None and not n["alone"]["clock_problem"]' || fail "no clock daemon: $(cat "$table")"
status 2 --node nobody --nodes-file "$conf"
assert_line "$err" 'node nobody is no node'
status 2 --nodes --nodes-file /dev/null
assert_line "$err" 'names no nodes'
echo 'url = https://x' >"$LT_WORK/bad.conf"
status 2 --nodes --nodes-file "$LT_WORK/bad.conf"
assert_line "$err" 'bad.conf:1: '

# ---- lockstep top: without a terminal ----
status=0
LT_LIMIT=30 exec_at server "$LT_LOCKSTEP" top --runtime-dir "$dir" --nodes-file "$conf" --json -v nodes -n 1 -d 500ms \
    >"$table" 2>"$err" || status=$?
assert_equal $status 1 "exit status of top with nodes that do not answer"
assert_line "$err" '^lockstep: stranger: its certificate'
assert_equal "$(json "$table" 'sorted((n["clock"], n["programs"]) for n in r["nodes"] if n["programs"])')" \
    "[('synchronised', 1), ('synchronised', 1), ('unsynchronised', 2)]" "nodes"
LT_LIMIT=30 exec_at server "$LT_LOCKSTEP" top --runtime-dir "$dir" --nodes-file "$LT_WORK/good.conf" --json -N there -n 1 -d 3s \
    -s -rx_bytes_per_s -f established >"$table" 2>"$err"
assert_equal "$(json "$table" 'r["node"], [(c["program"][:6], c["rx_bytes_per_s"] > 0, c["latency_p99_ns"] > 0) for c in r["connections"]]')" \
    "('there', [('python', True, True), ('python', True, True), ('python', True, True)])" "connections of another node"

# ---- over ssh: from the client, another node's connections ----
ssh_configure
start_kernel sshd server "$SSHD" -D -e -f "$LT_WORK/ssh/sshd_config"
wait_for 10 "sshd" at server ss -Hltn 'sport = :2222'
LT_TERMINALS=client
terminal ssh 80 24 "ssh -tt -F $LT_WORK/ssh/config $SERVER $LT_LOCKSTEP top --runtime-dir $dir --nodes-file $conf -d 500ms -v nodes"
wait_shows ssh '^here +synchr[a-z~]+ .*truth' '^there +unsynchr' '^down +Couldn.t connect to server' '^slow +no answer' '^stranger +its certificate'
keys ssh /
keys ssh there Enter Enter
wait_shows ssh '^there .*\[2 connections\]' '^Clock: unsynchronised'
keys ssh Escape
wait_shows ssh '^python3 .* estab'
mux resize-window -t ssh -x 130 -y 40
wait_shows ssh '^PROGRAM +PID ' '^python3 .* established '
keys ssh /
keys ssh established Enter Home Enter
wait_shows ssh '^tcp .*, established' 'congestion [1-9]' '[1-9][0-9.]* .*packets/s$' '^  from .* #+ +[1-9]'
keys ssh q q
wait_shows ssh '^ended with 0$'
