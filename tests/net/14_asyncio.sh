#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# A Python asyncio server and client: 100 connections at once and datagrams, each byte compared.
. "$(dirname "$0")/lib.sh"
setup
start server server "$LT_PYTHON" "$LT_HERE/asyncio_echo.py" server $SERVER 7001
wait_for 10 "the echo server" has_line "$LT_WORK/server.out" ready
offload_begin
run client "$LT_PYTHON" "$LT_HERE/asyncio_echo.py" client $SERVER 7001 100 20 >"$LT_WORK/client.out" 2>&1 ||
    fail "client: $(tail -n 1 "$LT_WORK/client.out")"
assert_line "$LT_WORK/client.out" '^echoed [0-9]+$'
offload_end 50000000
