#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The dashboard in headless Chromium, over real traffic, a real clock and a real history.
# variants: both/4
# kernel: no
# needs: node chromium openssl
# timeout: 150
# exclusive: yes
. "$(dirname "$0")/web.sh"
setup

truth client --delay 50000 --jitter 5000
clockd_by server server "$CLIENT"
synchronised server
steady_traffic 120 1000 12
history server

# A second one, as other machines would see it.
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$LT_WORK/key.pem" -out "$LT_WORK/cert.pem" -days 2 -subj /CN=server 2>/dev/null
token=$(openssl rand -hex 24)
echo "$token" >"$LT_WORK/token"
chmod 600 "$LT_WORK/key.pem" "$LT_WORK/token"
printf '%s\n' '[web]' "listen = $SERVER:9443" "certificate = $LT_WORK/cert.pem" "key = $LT_WORK/key.pem" "token-file = $LT_WORK/token" >"$LT_WORK/web.conf"
web server --config "$LT_WORK/web.conf" --history none

wait_for 20 "the clock in the history" history_has "SELECT count(*) FROM clock"
# The page's script starts, stops and starts again both lockstep-web and netd.
LT_LIMIT=130 exec_at server env \
    WEB_COMMAND="$WEB --runtime-dir $(service_dir server) --history $HISTORY" WEB_URL="$WEB_URL/" \
    REMOTE_URL="https://$SERVER:9443/" TOKEN="$token" \
    NETD_PID="$(service_pid server)" \
    NETD_COMMAND="$LT_BUILD/service/lockstep-netd --interface eth0 --runtime-dir $(service_dir server)" \
    node "$LT_HERE/../web/dashboard.mjs" "${LT_SCREENSHOTS:-$LT_WORK}" >&2 || fail "the page does not work in a browser"
