#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Multicast with checked contents: any source, a given source, and a source that nobody sends from; with a second receiver on
# the kernel's stack beside the program's, both of which must get everything.
. "$(dirname "$0")/lib.sh"
setup
if [ "$LT_FAMILY" = 6 ]; then group=ff15::7702 other=fd00:77::99; else group=239.77.0.2 other=10.77.0.99; fi
count=2000
receiver() { start "$1" server "$LT_PYTHON" "$LT_HERE/multicast.py" receive "${@:2}"; }
ready() { wait_for 10 "$1" has_line "$LT_WORK/$1.out" ready; }

receiver any $group 7001 eth0 $count
any=$STARTED
receiver given $group 7002 eth0 $count $CLIENT
given=$STARTED
receiver none $group 7002 eth0 1 $other
none=$STARTED
ready any
ready given
ready none
offload_begin
run client "$LT_PYTHON" "$LT_HERE/multicast.py" send $group 7001 eth0 $count
finish "$any" 15 || fail "any source: $(tail -n 1 "$LT_WORK/any.out")"
run client "$LT_PYTHON" "$LT_HERE/multicast.py" send $group 7002 eth0 $count
finish "$given" 15 || fail "given source: $(tail -n 1 "$LT_WORK/given.out")"
offload_end 1500000
alive "$none" || fail "a datagram of a source that was not asked for: $(tail -n 1 "$LT_WORK/none.out")"

# Beside a receiver on the kernel.
receiver any $group 7001 eth0 $count
any=$STARTED
start_kernel kernel server "$LT_PYTHON" "$LT_HERE/multicast.py" receive $group 7001 eth0 $count
kernel=$STARTED
ready any
ready kernel
sleep 0.5
run client "$LT_PYTHON" "$LT_HERE/multicast.py" send $group 7001 eth0 $count
finish "$any" 15 || fail "beside the kernel: $(tail -n 1 "$LT_WORK/any.out")"
finish "$kernel" 15 || fail "the kernel's receiver: $(tail -n 1 "$LT_WORK/kernel.out")"
