#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# kernel: no
# variants: both/4 both/6
# timeout: 90
# What `lockstep run`, `status` and `connections` say, for people and as JSON, with the service absent and present.
. "$(dirname "$0")/lib.sh"
setup without-service
dir=$(service_dir server)
mkdir -p "$dir"

# lockstep STATUS COMMAND...: at the server; output in $out, errors in $err.
out=$LT_WORK/out err=$LT_WORK/err
lockstep() {
    local expected=$1 status=0
    shift
    exec_at server "$LT_LOCKSTEP" "$@" >"$out" 2>"$err" </dev/null || status=$?
    assert_equal $status "$expected" "exit status of lockstep $*: $(tail -n 1 "$err")"
}
run_server() { lockstep "$1" run --runtime-dir "$dir" "${@:2}"; }
one_line() { # PATTERN
    assert_equal "$(wc -l <"$err")" 1 "lines on standard error"
    assert_line "$err" "$1"
}

# ---- the command line ----
lockstep 0 version
assert_line "$out" '^lockstep [0-9]+\.'
lockstep 0 help
assert_line "$out" '^  connections '
lockstep 0 help run
assert_line "$out" '--profile NAME'
lockstep 2 nonsense
lockstep 2 status --nonsense
lockstep 2

# ---- without the service ----
for command in status connections; do
    lockstep 1 $command --runtime-dir "$dir"
    one_line "no service at $dir"
    assert_equal "$(wc -c <"$out")" 0 "bytes on standard output"
done
run_server 7 -- sh -c 'exit 7'
one_line "^lockstep: sh runs on the kernel's stack: there is no service at $dir"
run_server 0 --quiet -- true
assert_equal "$(wc -c <"$err")" 0 "bytes that --quiet leaves"

# ---- with the service ----
service_start server
run_server 3 -- sh -c 'exit 3'
one_line '^lockstep: sh: TCP and UDP accelerated on eth0: .+; profile balanced$'
printf 'base = latency\nspin = 100us\n' >"$LT_WORK/my.profile"
run_server 0 --profile "$LT_WORK/my.profile" -- sh -c 'echo "$LOCKSTEP_PROFILE" "$LOCKSTEP_INJECTOR" "$LD_PRELOAD"'
one_line "profile $LT_WORK/my.profile\$"
assert_line "$out" "^$LT_WORK/my.profile +/.*/liblockstep.so\$"
run_server 0 --injector guarded --log-level error -- sh -c 'echo "$LOCKSTEP_INJECTOR" "$LOCKSTEP_LOG_LEVEL"'
assert_line "$out" '^guarded error$'
LD_PRELOAD=libm.so.6 run_server 0 -- sh -c 'echo "$LD_PRELOAD"'
assert_line "$out" '^/.*/liblockstep.so:libm.so.6$'

# ---- mistakes ----
run_server 127 -- no-such-program-here
one_line 'cannot start no-such-program-here: No such file'
run_server 126 -- "$LT_WORK"
run_server 125 --profile no-such-profile -- true
one_line 'profile no-such-profile: neither'
echo 'spin = soon' >"$LT_WORK/wrong.profile"
run_server 125 --profile "$LT_WORK/wrong.profile" -- true
one_line 'wrong.profile:1: spin: '
run_server 125
run_server 125 --nonsense -- true

# ---- programs that cannot be accelerated ----
echo 'int main(void) { return 5; }' >"$LT_WORK/static.c"
if cc -static -o "$LT_WORK/static" "$LT_WORK/static.c" 2>/dev/null; then
    run_server 5 -- "$LT_WORK/static"
    one_line "runs on the kernel's stack: it is statically linked"
fi
cp /bin/sh "$LT_WORK/setuid"
chown 65534 "$LT_WORK/setuid"
chmod 4755 "$LT_WORK/setuid"
if ! findmnt -no OPTIONS -T "$LT_WORK" | grep -q nosuid; then
    run_server 0 -- "$LT_WORK/setuid" -c true
    one_line "runs on the kernel's stack: it gains privileges"
fi

# ---- what is shown ----
start sockets server "$LT_PYTHON" -c "
import socket, time
family = socket.AF_INET6 if ':' in '$SERVER' else socket.AF_INET
def make(kind, address, port):
    s = socket.socket(family, kind)
    s.bind((address, port))
    return s
udp = make(socket.SOCK_DGRAM, '$SERVER', 7000)
tcp = make(socket.SOCK_STREAM, '$ANY', 7001)
tcp.listen()
local = make(socket.SOCK_STREAM, '::1' if family == socket.AF_INET6 else '127.0.0.1', 7002)
local.listen()
print('ready', flush=True)
connection, _ = tcp.accept()
connection.sendall(connection.recv(5) * 1000)
print('answered', flush=True)
time.sleep(60)
"
pid=$STARTED
wait_for 10 "the sockets" has_line "$LT_WORK/sockets.out" '^ready'
start_kernel peer client "$LT_PYTHON" -c "
import socket, time
s = socket.create_connection(('$SERVER', 7001))
s.sendall(b'hello')
print(len(s.recv(5000, socket.MSG_WAITALL)), flush=True)
time.sleep(60)
"
peer=$STARTED
wait_for 10 "the answer" has_line "$LT_WORK/peer.out" '^5000$'

lockstep 0 status --runtime-dir "$dir"
assert_line "$out" '^lockstep-netd [0-9.]+, process [0-9]+, up '
assert_line "$out" '^eth0 .* up +1500 +10\.77\.0\.1/24'
assert_line "$out" "^ +[0-9]+ +$pid +root +[^ ]*python3[^ ]* +guarded +[1-9]"
assert_line "$out" '^Packets: [1-9].* to lanes'
assert_line "$out" '^ +1  .*loopback'

endpoint() { if [ "$LT_FAMILY" = 6 ]; then echo "\[$1\]:$2"; else echo "$1:$2"; fi; }
lockstep 0 connections --runtime-dir "$dir"
assert_line "$out" "^udp +$(endpoint "$SERVER" 7000) +\* +open +$pid/"
assert_line "$out" "^tcp +$(endpoint "$ANY" 7001) +\* +listen +$pid/"
assert_line "$out" "^tcp +$(endpoint "$SERVER" 7001) +$(endpoint "$CLIENT" '[0-9]+') +established +$pid/[^ ]+ +5 B +4.883 KiB +0 +0\$"
assert_no_line "$out" 7002
lockstep 0 connections --all --runtime-dir "$dir"
assert_line "$out" ":7002 +\* +$pid/[^ ]+ +.*loopback"

lockstep 0 status --json --runtime-dir "$dir"
assert_equal "$(json "$out" '[(l["pid"], l["uid"], l["injector"], l["flows"]) for l in r["lanes"]]')" "[($pid, 0, 'guarded', 3)]"
assert_equal "$(json "$out" 'r["lanes"][0]["tx_packets"] >= 2 and r["lanes"][0]["tx_bytes"] > 5000')" True "what the lane has sent"
assert_equal "$(json "$out" '[i["name"] for i in r["interfaces"]], r["totals"]["lanes"]')" "(['eth0'], 1)"
lockstep 0 connections --json --runtime-dir "$dir"
assert_equal "$(json "$out" 'sorted((f["protocol"], f["kind"], f["state"]) for f in r["flows"])')" \
    "[('tcp', 'accepted', 'established'), ('tcp', 'bound', 'listen'), ('udp', 'bound', 'open')]"
assert_equal "$(json "$out" '[(k["protocol"], k["pid"]) for k in r["kernel"] if "loopback" in k["reason"]]')" "[('tcp', $pid)]"

# A user other than root may ask, and one that cannot reach the socket is told.
if command -v setpriv >/dev/null; then
    exec_at server setpriv --reuid 65534 --regid 65534 --clear-groups "$LT_LOCKSTEP" status --runtime-dir "$dir" >"$out"
    assert_line "$out" "python3"
fi

stop "$pid"
stop "$peer"
wait_for 5 "the end of the flows" flows_gone server
lockstep 0 status --runtime-dir "$dir"
assert_line "$out" '^No program is accelerated'
