#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# kernel: no
# variants: both/4 both/6
# Without the service programs run on the kernel, and `lockstep run` says so in one line.
. "$(dirname "$0")/lib.sh"
setup without-service
for node in server client; do mkdir -p "$(service_dir $node)"; done
steady_server
run client "$LT_PYTHON" "$LT_HERE/steady.py" client $SERVER 7001 1 >"$LT_WORK/client.out" 2>"$LT_WORK/client.err" ||
    fail "client: $(tail -n 1 "$LT_WORK/client.out")"
assert_line "$LT_WORK/client.out" '^done'
assert_line "$LT_WORK/client.err" '[Kk]ernel' "what lockstep run says"
assert_equal "$(wc -l <"$LT_WORK/client.err")" 1 "lines that lockstep run says"
status=0
run client sh -c 'exit 7' 2>/dev/null || status=$?
assert_equal $status 7 "the program's exit status"
