#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 300
# variants: both/4 client/6 server/4
# The socket API as programs know it: threads, signals, time-outs and bad pointers.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api/scenario.sh"
api_setup
api_cases '^(thread|signal|memory)' 10000000 0.2
