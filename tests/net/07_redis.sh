#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# needs: redis-server redis-benchmark redis-cli
# redis: a binary value goes in and comes out unchanged; redis-benchmark with 50 clients, without and with pipelining. The
# number of commands that the server counted is the number that the clients sent.
. "$(dirname "$0")/lib.sh"
setup
start server server redis-server --bind $SERVER --port 6379 --save '' --appendonly no --protected-mode no \
    --dir "$LT_WORK" --daemonize no
wait_port server tcp 6379
cli() { run client redis-cli -h $SERVER -p 6379 "$@"; }
offload_begin

blob "$LT_WORK/in" 3000000
assert_equal "$(cli -x set blob <"$LT_WORK/in")" OK "set"
cli --raw get blob | head -c 3000000 >"$LT_WORK/out"
assert_same "$LT_WORK/in" "$LT_WORK/out"
assert_equal "$(cli strlen blob)" 3000000 "strlen"

cli config resetstat >"$LT_WORK/reset.out"
for pipeline in 1 16; do
    run client redis-benchmark -h $SERVER -p 6379 -c 50 -n 20000 -P $pipeline -t set,get,lpush -d 100 --csv \
        >"$LT_WORK/benchmark.$pipeline" 2>&1 || fail "redis-benchmark -P $pipeline: $(tail -n 2 "$LT_WORK/benchmark.$pipeline")"
    assert_no_line "$LT_WORK/benchmark.$pipeline" 'Error|error' "redis-benchmark"
done
cli info commandstats >"$LT_WORK/commands"
for command in set get lpush; do
    assert_equal "$(sed -nE "s/^cmdstat_$command:calls=([0-9]+),.*/\1/p" "$LT_WORK/commands")" 40000 "calls of $command"
done
offload_end 10000000
