#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# needs: nginx wrk
# nginx with four workers under wrk; every reply has the length that was served and none fails. Then it is told to reload
# and to quit while clients are connected.
. "$(dirname "$0")/lib.sh"
. "$LT_HERE/nginx.sh"
setup
nginx_files
nginx_start
cat >"$LT_WORK/check.lua" <<'END'
local bad = 0
function response(status, headers, body)
    if status ~= 200 or #body ~= 512 then bad = bad + 1 end
    if bad == 1 then print("bad reply", status, #body) end
end
END
offload_begin
run client wrk -t 2 -c 64 -d 1 -s "$LT_WORK/check.lua" "http://$SERVER_URL:8080/tiny" >"$LT_WORK/wrk.out" 2>&1
assert_no_line "$LT_WORK/wrk.out" 'bad reply|Non-2xx|Socket errors' "wrk"
requests=$(sed -nE 's/^ *([0-9]+) requests in.*/\1/p' "$LT_WORK/wrk.out")
assert_less 500 "$requests" "requests"
offload_end $((requests * 600))

kill -HUP "$NGINX"
sleep 0.5
run client wrk -t 1 -c 16 -d 1 -s "$LT_WORK/check.lua" "http://$SERVER_URL:8080/tiny" >"$LT_WORK/wrk2.out" 2>&1
assert_no_line "$LT_WORK/wrk2.out" 'bad reply|Non-2xx|Socket errors' "wrk after the reload"
assert_line "$LT_WORK/wrk2.out" '[1-9][0-9]* requests in'
stop "$NGINX" QUIT
