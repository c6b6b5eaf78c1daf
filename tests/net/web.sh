# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2034
# What the scenarios of the dashboard share: lockstep-web at a node, and asking it.
. "$(dirname "${BASH_SOURCE[0]}")/clock/lib.sh"

WEB=$LT_BUILD/monitor/lockstep-web
WEB_PORT=9480
WEB_URL=http://127.0.0.1:$WEB_PORT

# web NODE [OPTIONS...]: starts it with the node's services; its pid in $STARTED, what it says in NODE-web.err.
web() {
    local node=$1
    shift
    start_kernel "$node-web" "$node" "$WEB" --runtime-dir "$(service_dir "$node")" "$@"
    wait_for 20 "lockstep-web at $node" has_line "$LT_WORK/$node-web.err" 'listening on'
}
# history NODE: lockstep-historyd with samples each second and one run of the test bed; its database in $HISTORY.
HISTORY=$LT_WORK/history.db
history() {
    local node=$1
    mkdir -p "$LT_WORK/runs"
    sed 's/"verdict":"FAIL","reason":"too late"/"verdict":"PASS","reason":""/' "$LT_HERE/../fuzz/corpus/history_run/run.json" >"$LT_WORK/runs/report.json"
    printf '[historyd]\ninterval = 1s\nconnections-interval = 1s\n' >"$LT_WORK/historyd.conf"
    start_kernel "$node-historyd" "$node" "$LT_BUILD/monitor/lockstep-historyd" --config "$LT_WORK/historyd.conf" --database "$HISTORY" \
        --runs "$LT_WORK/runs" --runtime-dir "$(service_dir "$node")"
}
# history_has SQL: a query of $HISTORY that gives a number other than 0.
history_has() {
    "$LT_PYTHON" -c 'import sqlite3, sys
sys.exit(not sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True).execute(sys.argv[2]).fetchone()[0])' "$HISTORY" "$1" 2>/dev/null
}
# web_refuses STATUS PATTERN OPTIONS...: it does not start, and says why.
web_refuses() {
    local expected=$1 pattern=$2 status=0
    shift 2
    LT_LIMIT=10 exec_at server "$WEB" "$@" >/dev/null 2>"$LT_WORK/refused.err" </dev/null || status=$?
    assert_equal $status "$expected" "exit status of lockstep-web $*: $(tail -n 1 "$LT_WORK/refused.err")"
    assert_line "$LT_WORK/refused.err" "$pattern"
}
# fetch STATUS URL [CURL OPTIONS...]: at the server; the answer in $out, its headers in $head.
out=$LT_WORK/out head=$LT_WORK/head
fetch() {
    local expected=$1 url=$2 status
    shift 2
    status=$(at server curl -sS --max-time 20 -o "$out" -D "$head" -w '%{http_code}' "$@" "$url") || true
    assert_equal "$status" "$expected" "status of $url"
}
# web_says URL-PATH EXPRESSION: a Python expression over the document `r` that is true.
web_says() {
    fetch 200 "$WEB_URL$1"
    [ "$(json "$out" "bool($2)")" = True ]
}
