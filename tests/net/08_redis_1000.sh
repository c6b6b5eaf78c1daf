#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# needs: redis-server redis-benchmark redis-cli
# redis-benchmark with 1000 clients at once.
. "$(dirname "$0")/lib.sh"
ulimit -n 8192
setup
start server server redis-server --bind $SERVER --port 6379 --save '' --appendonly no --protected-mode no \
    --dir "$LT_WORK" --maxclients 2000
wait_port server tcp 6379
offload_begin
run client redis-benchmark -h $SERVER -p 6379 -c 1000 -n 20000 -t set,get -d 200 --csv >"$LT_WORK/benchmark" 2>&1 ||
    fail "redis-benchmark: $(tail -n 2 "$LT_WORK/benchmark")"
assert_no_line "$LT_WORK/benchmark" 'Error|error' "redis-benchmark"
run client redis-cli -h $SERVER -p 6379 info commandstats >"$LT_WORK/commands"
for command in set get; do
    assert_equal "$(sed -nE "s/^cmdstat_$command:calls=([0-9]+),.*/\1/p" "$LT_WORK/commands")" 20000 "calls of $command"
done
run client redis-cli -h $SERVER -p 6379 info stats >"$LT_WORK/stats"
assert_line "$LT_WORK/stats" 'total_connections_received:(200[0-9]|20[1-9][0-9]|2[1-9][0-9][0-9])'
offload_end 10000000
