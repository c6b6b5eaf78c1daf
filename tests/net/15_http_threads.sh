#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Blocking sockets in many threads: Python's http.server against urllib in 16 threads.
. "$(dirname "$0")/lib.sh"
setup
start server server "$LT_PYTHON" "$LT_HERE/http_threads.py" server $SERVER 8000
wait_for 10 "the HTTP server" has_line "$LT_WORK/server.out" ready
offload_begin
run client "$LT_PYTHON" "$LT_HERE/http_threads.py" client "http://$SERVER_URL:8000/" 16 15 >"$LT_WORK/client.out" 2>&1 ||
    fail "client: $(tail -n 1 "$LT_WORK/client.out")"
assert_line "$LT_WORK/client.out" '^answered 240$'
offload_end 20000000
