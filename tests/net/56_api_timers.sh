#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 120
# variants: both/4 both/6
# kernel: no
# What a thread has sent is repeated in time, also while another thread of the program sleeps on the ring for all of them:
# requests and answers, of which a tenth is lost.
export LT_TOPOLOGY=bridge
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api/scenario.sh"
[ -x "$LT_BUILD/tests/net/loss" ] || skip "loss is not built"
api_setup
start_kernel loss middle "$LT_BUILD/tests/net/loss" client server --share 10
wait_for 5 "the loss" has_line "$LT_WORK/loss.out" ready
api_cases '^thread.timers'
