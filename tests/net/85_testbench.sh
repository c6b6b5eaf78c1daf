#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The reference pattern's 48 types between two nodes: every message arrives once and intact, the echo check holds, the raw log
# has every message.
. "$(dirname "$0")/lib.sh"
. "$LT_HERE/testbench.sh"
setup
bench_plan "$PATTERN" --duration 2s --warmup 1s --raw --phase random
bench_pair
offload_begin
bench_go
finish "$SENDER" 20 || fail "sender: $(tail -n 1 "$LT_WORK/sender.err")"
finish "$RECEIVER" 20 || fail "receiver: $(tail -n 1 "$LT_WORK/receiver.err")"
offload_end 30000000 0.1

assert_equal "$(bench_result client.send 'len(t)')" 48 "types sent"
assert_equal "$(bench_result server.receive 'len(t)')" 48 "types received"
"$LT_PYTHON" - "$LT_WORK" >&2 <<'EOF' || fail "the results"
import json, sys
sent = json.load(open(sys.argv[1] + '/client.send.json'))
received = json.load(open(sys.argv[1] + '/server.receive.json'))
there = {t['name']: t for t in received['types']}
wrong = 0
for t in sent['types']:
    s, r = t['sent'], there[t['name']]['received']
    good = (s['planned'] == s['sent'] == r['received'] == r['planned_last']['count'] and s['sent'] >= 4 and
            s['sent_warmup'] == r['received_warmup'] and not any(r[k] for k in ('duplicates', 'corrupt', 'before_window')))
    good = good and r['sent_first']['min_ns'] > -2000 and r['planned_last']['min_ns'] >= r['sent_last']['min_ns']
    if not good:
        wrong += 1
        print(t['name'], {k: v for k, v in s.items() if isinstance(v, int)}, {k: v for k, v in r.items() if isinstance(v, int)})
echo = sent['echoes'][0]
if echo['received'] < 20 or echo['impossible'] or echo['inconsistent']:
    wrong += 1
    print({k: v for k, v in echo.items() if isinstance(v, int)})
if received['foreign'] or received['raw_missing'] or received['clock']['samples'] < 20:
    wrong += 1
    print({k: v for k, v in received.items() if isinstance(v, int)})
sys.exit(wrong != 0)
EOF
"$TESTBENCH" dump "$LT_WORK/server.receive.raw" >"$LT_WORK/raw.csv"
assert_equal "$(($(wc -l <"$LT_WORK/raw.csv") - 1))" "$(bench_result server.receive 'r["raw_entries"]')" "lines of the raw log"
assert_equal "$(bench_result server.receive 'sum(x["received"]["received"] + x["received"]["received_warmup"] for x in t.values())')" \
    "$(bench_result server.receive 'r["raw_entries"]')" "entries of the raw log"
assert_less 1 "$(grep -c '"progress"' "$LT_WORK/receiver.out")" "progress lines"
assert_line "$LT_WORK/receiver.out" '"done".*"complete"'
"$TESTBENCH" judge "${BENCH_NODES[@]}" --phase random "$PATTERN" "$LT_WORK"/*.json >"$LT_WORK/verdict" || [ $? = 1 ] ||
    fail "judge: $(tail -n 1 "$LT_WORK/verdict")" # latencies are not this scenario's business, but all else is
say "$(tail -n 1 "$LT_WORK/verdict")"
