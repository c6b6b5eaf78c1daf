#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The dashboard in headless Chromium, over real traffic, a real clock and a real history.
# variants: both/4
# kernel: no
# needs: node chromium
# timeout: 150
# exclusive: yes
. "$(dirname "$0")/web.sh"
setup

truth client --delay 50000 --jitter 5000
clockd_by server server "$CLIENT"
synchronised server
steady_traffic 120 1000 12
history server

# The page's script starts, stops and starts again both lockstep-web and netd.
LT_LIMIT=130 exec_at server env \
    WEB_COMMAND="$WEB --runtime-dir $(service_dir server) --history $HISTORY" WEB_URL="$WEB_URL/" \
    NETD_PID="$(service_pid server)" \
    NETD_COMMAND="$LT_BUILD/service/lockstep-netd --interface eth0 --runtime-dir $(service_dir server)" \
    node "$LT_HERE/../web/dashboard.mjs" "${LT_SCREENSHOTS:-$LT_WORK}" >&2 || fail "the page does not work in a browser"
