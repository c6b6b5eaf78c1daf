#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# variants: both/4
# needs: nft tc clang taskset
# kernel: no
# `lockstep doctor`: without and with the service, beside somebody else's XDP program, filters and firewall rules, with programs on one
# core, as root and as nobody.
. "$(dirname "$0")/lib.sh"
setup without-service
dir=$(service_dir server)
mkdir -p "$dir"
out=$LT_WORK/out
doctor() { # STATUS [OPTION...]
    local expected=$1 status=0
    shift
    exec_at server "$LT_LOCKSTEP" doctor --runtime-dir "$dir" --clock "$dir/clock" "$@" >"$out" 2>"$LT_WORK/err" || status=$?
    assert_equal "$status" "$expected" "exit status of lockstep doctor $*: $(cat "$LT_WORK/err")"
}
# found CHECK STATE PATTERN: how many findings in $out are so.
found() {
    json "$out" "sum(f['check'] == '$1' and f['state'] == '$2' and __import__('re').search(r'$3', f['finding']) is not None for f in r['findings'])"
}

doctor 3
assert_line "$out" "^problem +service: lockstep-netd at $dir cannot be asked"
assert_line "$out" "^problem +clock: $dir/clock: No such file"
assert_line "$out" '^ +> systemctl enable --now lockstep-netd'
assert_no_line "$out" '^ok '
doctor 3 --interface nothing
assert_line "$out" '^problem +interface: there is no interface nothing'
doctor 2 --nonsense

service_start server
doctor 3 --json
assert_equal "$(found service ok lockstep-netd)" 1 "the service"
assert_equal "$(found divert ok '^eth0: ')$(found divert note '^eth0: ')" 10 "the divert"
assert_equal "$(found programs ok '^eth0: no others')" 1 "other programs"
assert_equal "$(found firewall ok 'no rules')" 1 "the firewall"
assert_equal "$(json "$out" '[(i["name"], i["driver"], i["mtu"]) for i in r["interfaces"]]')" "[('eth0', 'veth', 1500)]" "the interfaces"
doctor 3 --all
assert_line "$out" '^ok +service: '

doctor 3 --json
assert_equal "$(found driver ok '^eth0: driver veth')$(($(found disk ok free) + $(found disk warning free)))" 11 "driver and disk"

# The history: none, one that is written, one that is not any more, one that is damaged.
doctor 3 --json --history "$LT_WORK/none.db"
assert_equal "$(($(found history note 'there is none') + $(found history problem 'No such file')))" 1 "no history" # of another scenario's recorder
start_kernel historyd server "$LT_BUILD/monitor/lockstep-historyd" --config /dev/null --database "$LT_WORK/history.db" --runs none --runtime-dir "$dir"
historyd=$STARTED
written() { doctor 3 --json --history "$LT_WORK/history.db" && [ "$(found history ok 'is written')" = 1 ]; }
wait_for 20 "the history" written
stop "$historyd"
doctor 3 --json --history "$LT_WORK/history.db"
assert_equal "$(found history problem .)" 0 "the history that stands still"
echo "this is no database" >"$LT_WORK/history.db"
doctor 3 --json --history "$LT_WORK/history.db"
assert_equal "$(found history problem 'malformed')" 1 "the damaged history"

printf '[web]\nlisten = 192.0.2.7:9480\n' >"$LT_WORK/web.conf"
doctor 3 --json --web-config "$LT_WORK/web.conf"
assert_equal "$(found dashboard problem 'web.conf')" 1 "a dashboard without TLS and token"

# Two programs on one core, one on none; where there is one only, that is said instead.
core=$(python3 -c 'import os; print(min(os.sched_getaffinity(0)))')
for port in 7001 7002; do
    start "listener$port" server taskset -c "$core" socat -u "TCP4-LISTEN:$port,bind=$SERVER" STDOUT
    wait_port server tcp $port
done
start roaming server socat -u "TCP4-LISTEN:7003,bind=$SERVER" STDOUT
wait_port server tcp 7003
doctor 3 --json
if [ "$(json "$out" 'r["cores"]')" -gt 1 ]; then
    assert_equal "$(found placement warning "^core $core: process .* .socat. are both bound to it")" 1 "programs on one core"
    [ "$(nproc)" = 1 ] || assert_equal "$(found placement note 'bound to no core: process [0-9]+ .socat.$')" 1 "a program on any core"
else
    assert_equal "$(found cores warning 'one core')" 1 "one core"
fi

echo '__attribute__((section("xdp"), used)) int watch_all(void *packet) { (void)packet; return 2; }' |
    clang -O2 -target bpf -x c -c - -o "$LT_WORK/watch.o"
at server ip link set dev eth0 xdp obj "$LT_WORK/watch.o" sec xdp
doctor 3 --json
assert_equal "$(found programs warning '^eth0: at XDP: watch_all .program [0-9]+.$')" 1 "the XDP program"
at server ip link set dev eth0 xdp off
doctor 3 --json
assert_equal "$(found programs ok '^eth0: no others')" 1 "without the XDP program"

at server tc qdisc add dev eth0 clsact 2>/dev/null || true
at server tc filter add dev eth0 ingress prio 50 protocol ip u32 match u32 0 0
at server tc filter add dev eth0 egress prio 51 protocol ip u32 match u32 0 0
at server nft add table inet filter
at server nft 'add chain inet filter input { type filter hook input priority 0; policy drop; }'
at server nft 'add chain inet filter jumped'
at server nft 'add rule inet filter jumped accept'
at server nft 'add rule inet filter input tcp dport 22 accept; add rule inet filter input jump jumped'
at server nft 'add chain inet filter forward { type filter hook forward priority 0; policy drop; }'
at server ethtool -K eth0 gro off >/dev/null
doctor 3 --json
assert_equal "$(found programs warning 'eth0: at tc ingress, priority 50: a filter of kind u32')" 1 "the filter at ingress"
assert_equal "$(found programs note 'eth0: at tc egress, priority 51: a filter of kind u32')" 1 "the filter at egress"
assert_equal "$(found programs warning .)" 1 "warnings of filters (ours is none)"
assert_equal "$(found firewall warning '^incoming: 2 rules and a policy to drop in inet filter input$')" 1 "the firewall"
assert_equal "$(found offloads warning 'eth0: merging')" 1 "the offload"
assert_equal "$(json "$out" '[f["remedy"] for f in r["findings"] if f["check"] == "offloads"]')" "['ethtool -K eth0 gro on']" "its remedy"
assert_equal "$(json "$out" 'all(f["consequence"] and f["remedy"] for f in r["findings"] if f["state"] in ("problem", "warning"))')" True \
    "consequences and remedies"

if command -v setpriv >/dev/null; then
    status=0
    exec_at server setpriv --reuid 65534 --regid 65534 --clear-groups "$LT_LOCKSTEP" doctor --runtime-dir "$dir" \
        --clock "$dir/clock" --json >"$out" || status=$?
    assert_equal $status 3 "the exit status for nobody"
    assert_equal "$(found firewall note 'only root')$(found programs warning u32)$(found service ok .)" 111 "what nobody finds"
fi
