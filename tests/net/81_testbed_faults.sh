#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# variants: none/4
# needs: gnutls-cli openssl
# timeout: 120
# kernel: no
# The test bed when things go wrong: keys, versions, garbage, nodes that are missing, die, lose their link or their clock.
. "$(dirname "$0")/lib.sh"
setup

(umask 077 && openssl rand -hex 32 >"$LT_WORK/key" && openssl rand -hex 32 >"$LT_WORK/other")
cat >"$LT_WORK/pattern.csv" <<'END'
class,row,size_bytes,period_ms,limit_ms,sender,receiver
tcp0,1,20000,50,4000,client,server
mcast,1,800,20,4000,client,server
lltcp,1,100,10,4000,client,server
END
inventory() { # KEY_LINES
    printf '[testbed]\n%s\n[node server]\naddress = %s\n[node client]\naddress = %s\n' "$1" "$SERVER" "$CLIENT"
}
inventory "key = $LT_WORK/key" >"$LT_WORK/inventory"
listener() { # NODE [OPTION...]
    start_kernel "listener-$1" "$1" "$LT_LOCKSTEP" testbed listener --name "$1" --directory "$LT_WORK/files-$1" "${@:2}"
    printf -v "LISTENER_$1" %s "$STARTED"
    wait_for 5 "the listener of $1" has_line "$LT_WORK/listener-$1.err" "waits for a controller"
}
# bed STATUS [OPTION...]: runs the pattern from the server's node; its words in $out and $err.
out=$LT_WORK/bed.out err=$LT_WORK/bed.err
bed() {
    local expected=$1 status=0
    shift
    rm -rf "$LT_WORK/report"
    exec_at server "$LT_LOCKSTEP" testbed run --inventory "$LT_WORK/inventory" --pattern "$LT_WORK/pattern.csv" \
        --output "$LT_WORK/report" --stack kernel --rounds 1 --duration 1s --warm-up 200ms --grace 500ms --clock system \
        --assumed-bound 1us "$@" >"$out" 2>"$err" </dev/null || status=$?
    assert_equal "$status" "$expected" "the exit status: $(tail -n 1 "$err")"
}
value() { "$LT_PYTHON" -c 'import json, sys; r = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$LT_WORK/report/report.json" "$1"; }

# ---- nodes that are missing or are not who they should be ----
listener server --key "$LT_WORK/key"
bed 3
assert_line "$err" 'node client: .*(refused|does not answer)'
listener client --key "$LT_WORK/other"
bed 3
assert_line "$err" 'node client: .*key'
stop "$LISTENER_client"
listener client --key "$LT_WORK/key" --name impostor
bed 3
assert_line "$err" 'node client: the listener there calls itself impostor'
stop "$LISTENER_client"
chmod 644 "$LT_WORK/other"
status=0
exec_at client "$LT_LOCKSTEP" testbed listener --key "$LT_WORK/other" --directory "$LT_WORK/files" 2>"$err" || status=$?
assert_equal "$status" 1 "the exit status of a listener whose key others can read"
assert_line "$err" 'others can read it'

# ---- garbage, other versions, out of turn: the listener stays ----
listener client --key "$LT_WORK/key"
# frame TEXT: a control message.
frame() { "$LT_PYTHON" -c 'import struct, sys; t = sys.argv[1].encode(); sys.stdout.buffer.write(struct.pack(">IB", len(t) + 1, 0) + t)' "$1"; }
# converse: sends its input over TLS with the key, prints what comes back.
converse() {
    { cat; sleep 0.5; } | exec_at server timeout 5 gnutls-cli --insecure --pskusername lockstep-testbed --pskkey "$(cat "$LT_WORK/key")" \
        --priority 'SECURE128:-VERS-ALL:+VERS-TLS1.3:-KX-ALL:+ECDHE-PSK' --logfile /dev/null -p 4077 "$CLIENT" 2>/dev/null | tr -d '\0' || true
}
head -c 100000 /dev/urandom | exec_at server timeout 2 "$LT_PYTHON" -c '
import socket, sys
s = socket.create_connection((sys.argv[1], 4077))
try:
    s.sendall(sys.stdin.buffer.read())
except OSError:
    pass' "$CLIENT"
frame '{"type":"hello","version":99}' | converse >"$out"
assert_line "$out" 'the controller speaks version 99 of the protocol, this listener version 1'
frame '{"type":"spawn"}' | converse >"$out"
assert_line "$out" 'hello comes first'
{ frame '{"type":"hello","version":1}'; frame '{"type":"spawn","stack":"kernel","job":{"no":1}}'; frame '{"type":"fetch","process":"../../etc/passwd","file":"raw"}'
  frame '{"type":"start","process":"nobody","tai_ns":1}'; frame '{"type":"dance"}'; frame "$(printf '[%.0s' {1..100})"; } | converse >"$out"
assert_line "$out" '"about": ?"spawn"'
assert_line "$out" 'there is no such process'
assert_line "$out" 'does not know that request'
printf '\377\377\377\377\0' | converse >"$out"
wait_for 5 "the listener's word on a message that is too long" has_line "$LT_WORK/listener-client.err" 'too long'
alive "$LISTENER_client" || fail "the listener ended"
bed 0
assert_equal "$(value 'r["verdict"], len(r["runs"][0]["types"])')" "('PASS', 3)" "a run after all that"
assert_equal "$(find "$LT_WORK/files-client" "$LT_WORK/files-server" -type f | wc -l)" 0 "files that the listeners left"

# ---- a clock that is not there ----
bed 3 --clock lockstep --clock-patience 1s
assert_line "$err" 'the clock of node (server|client) is not good enough'

# ---- another controller; a listener, a sender, a link that goes while the run lasts ----
background() { # SECONDS
    rm -rf "$LT_WORK/report"
    start_kernel bed server "$LT_LOCKSTEP" testbed run --inventory "$LT_WORK/inventory" --pattern "$LT_WORK/pattern.csv" \
        --output "$LT_WORK/report" --stack kernel --rounds 1 --duration "$1s" --warm-up 200ms --grace 1s --clock system --assumed-bound 1us
    BED=$STARTED
    wait_for 10 "the run" has_line "$LT_WORK/bed.err" ' 0/'
}
ended() { # STATUS
    wait_for 30 "the end of the run" gone "$BED"
    local status=0
    wait "$BED" || status=$?
    assert_equal "$status" "$1" "the exit status of the run: $(tail -n 1 "$LT_WORK/bed.err")"
}
background 3
rm -f "$LT_WORK/second"
status=0
exec_at server "$LT_LOCKSTEP" testbed check --inventory "$LT_WORK/inventory" >/dev/null 2>"$LT_WORK/second" || status=$?
assert_equal "$status" 3 "the exit status of a second controller"
assert_line "$LT_WORK/second" 'another controller is at work here'
ended 0

background 8
kill -KILL "$LISTENER_client"
ended 3
assert_line "$LT_WORK/bed.err" 'node client was lost'
assert_equal "$(value 'r["verdict"], sum(t["received"] for t in r["runs"][0]["types"]) > 0')" "('INCONCLUSIVE', True)" "what was measured is kept"
wait_for 5 "the end of the sender" test -z "$(ip netns pids "$(ns client)" | xargs -r -I{} grep -lz testbench /proc/{}/cmdline)"
listener client --key "$LT_WORK/key"

background 6
sleep 1
ip -n "$(ns client)" link set eth0 down
sleep 2
ip -n "$(ns client)" link set eth0 up
ended 1
assert_equal "$(value '[t["lost"] + t["send_errors"] > 0 for t in r["runs"][0]["types"] if t["transport"] == "mcast"]')" "[True]" "datagrams missing while the link was down"
assert_equal "$(value '[t["lost"] for t in r["runs"][0]["types"] if t["transport"] != "mcast"]')" "[0, 0]" "stream messages lost"
assert_equal "$(value 'max(t["latency"]["max_ns"] for t in r["runs"][0]["types"] if t["transport"] != "mcast") > 1e9')" True "the wait is in the latency"

# ---- certificates instead of a key ----
(
    cd "$LT_WORK"
    openssl req -x509 -newkey ed25519 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca 2>/dev/null
    for who in controller "$SERVER" "$CLIENT"; do
        openssl req -newkey ed25519 -nodes -keyout "$who.key" -out "$who.csr" -subj "/CN=$who" 2>/dev/null
        [ "$who" = controller ] || echo "subjectAltName=IP:$who" >"$who.ext"
        openssl x509 -req -in "$who.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out "$who.pem" \
            ${who:+$([ "$who" = controller ] || echo -extfile "$who.ext")} 2>/dev/null
        chmod 600 "$who.key"
    done
)
stop "$LISTENER_client"
stop "$LISTENER_server"
for node in server client; do
    address=$(address "$node")
    listener "$node" --certificate "$LT_WORK/$address.pem" --certificate-key "$LT_WORK/$address.key" --authority "$LT_WORK/ca.pem"
done
inventory "certificate = $LT_WORK/controller.pem
certificate-key = $LT_WORK/controller.key
authority = $LT_WORK/ca.pem" >"$LT_WORK/inventory"
bed 0
inventory "key = $LT_WORK/key" >"$LT_WORK/inventory"
bed 3
assert_line "$err" 'node (server|client): '
