#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# needs: nginx curl sha256sum
# timeout: 120
# nginx with four workers: small files in parallel, and one of 1 GB whose checksum must be right.
. "$(dirname "$0")/lib.sh"
. "$LT_HERE/nginx.sh"
setup
nginx_files
nginx_big_file
nginx_start
offload_begin
for i in 1 2 3 4 5 6 7 8; do
    run client curl -sS --fail -o "$LT_WORK/small.$i" "http://$SERVER_URL:8080/small" 2>"$LT_WORK/curl.$i" &
    fetch[i]=$!
done
for i in 1 2 3 4 5 6 7 8; do
    wait "${fetch[i]}" || fail "curl $i: $(cat "$LT_WORK/curl.$i")"
    assert_same "$LT_WORK/small.$i" "$NGINX_ROOT/small"
done
run client curl -sS --fail "http://$SERVER_URL:8080/big" 2>"$LT_WORK/curl.big" | sha256sum >"$LT_WORK/big.sum"
wait "$BIG_SUM"
assert_equal "$(cat "$LT_WORK/big.sum")" "$(cat "$NGINX_ROOT/big.sum")" "checksum of the 1 GB download"
offload_end 1000000000
