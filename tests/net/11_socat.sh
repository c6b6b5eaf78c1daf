#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# needs: socat
# socat: a file over TCP in each direction with half-close, a child for each connection (fork), and UDP datagrams.
. "$(dirname "$0")/lib.sh"
setup
blob "$LT_WORK/file" 5000000
if [ "$LT_FAMILY" = 6 ]; then v=6; else v=4; fi
offload_begin

# A file up: the server ends when the client has closed its sending side.
start up server socat -u "TCP$v-LISTEN:7001,bind=$SERVER_URL,reuseaddr" "CREATE:$LT_WORK/up.file"
up=$STARTED
wait_port server tcp 7001
run client socat -u "FILE:$LT_WORK/file" "TCP$v:$SERVER_URL:7001"
finish "$up" 10
assert_same "$LT_WORK/file" "$LT_WORK/up.file"

# Up and back again over one connection: cat echoes, and the half-close travels both ways. (Not PIPE: socat writes more into a
# pipe than poll promised room for, and can lock itself up.)
start echo server socat "TCP$v-LISTEN:7002,bind=$SERVER_URL,reuseaddr" 'EXEC:cat'
wait_port server tcp 7002
run client socat -t 10 - "TCP$v:$SERVER_URL:7002" <"$LT_WORK/file" >"$LT_WORK/echo.file"
assert_same "$LT_WORK/file" "$LT_WORK/echo.file"
# What a program has not got rid of when it exits goes on in the kernel.
offload_end 14000000 0.5

# A child for each connection, several at once.
start fork server socat "TCP$v-LISTEN:7003,bind=$SERVER_URL,reuseaddr,fork,backlog=64" "EXEC:sha256sum"
wait_port server tcp 7003
expected=$(sha256sum <"$LT_WORK/file")
for i in 1 2 3 4 5 6; do
    run client socat -t 10 - "TCP$v:$SERVER_URL:7003" <"$LT_WORK/file" >"$LT_WORK/fork.$i" &
    clients[i]=$!
done
for i in 1 2 3 4 5 6; do
    wait "${clients[i]}"
    assert_equal "$(cat "$LT_WORK/fork.$i")" "$expected" "checksum that child $i computed"
done

# UDP: one datagram a message, answered by the same socket.
start udp server socat "UDP$v-RECVFROM:7004,bind=$SERVER_URL,fork" 'EXEC:sha256sum'
wait_port server udp 7004
head -c 1200 "$LT_WORK/file" >"$LT_WORK/datagram"
for i in 1 2 3; do
    run client socat -t 1 - "UDP$v:$SERVER_URL:7004" <"$LT_WORK/datagram" >"$LT_WORK/udp.$i"
    assert_equal "$(cat "$LT_WORK/udp.$i")" "$(sha256sum <"$LT_WORK/datagram")" "checksum of datagram $i"
done
