#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# needs: ncat
# ncat: files in both directions, a server that keeps listening, and the chat server's fan-out to several clients.
. "$(dirname "$0")/lib.sh"
setup
blob "$LT_WORK/file" 3000000
offload_begin

start receive server ncat -$LT_FAMILY -l --recv-only -o /dev/null $SERVER 7001
receive=$STARTED
wait_port server tcp 7001
run client ncat -$LT_FAMILY --send-only $SERVER 7001 <"$LT_WORK/file"
finish "$receive" 10
assert_same "$LT_WORK/file" "$LT_WORK/receive.out"

# --broker passes what one client sends to all others.
start broker server ncat -$LT_FAMILY -l --broker $SERVER 7003
wait_port server tcp 7003
for i in 1 2 3; do start "listen.$i" client ncat -$LT_FAMILY --recv-only $SERVER 7003; done
sleep 1
head -c 200000 "$LT_WORK/file" >"$LT_WORK/part"
run client ncat -$LT_FAMILY --send-only $SERVER 7003 <"$LT_WORK/part"
for i in 1 2 3; do wait_for 10 "the broker's copy $i" cmp "$LT_WORK/part" "$LT_WORK/listen.$i.out"; done
# What a program has not got rid of when it exits goes on in the kernel.
offload_end 3500000 0.5

# --keep-open with --sh-exec: a child for each connection, which takes it over (into the kernel).
start keep server ncat -$LT_FAMILY -l -k --sh-exec "cat $LT_WORK/file" $SERVER 7002
wait_port server tcp 7002
for i in 1 2 3; do
    run client ncat -$LT_FAMILY --recv-only $SERVER 7002 >"$LT_WORK/keep.$i"
    assert_same "$LT_WORK/file" "$LT_WORK/keep.$i"
done
