#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 300
# variants: both/4 client/6 server/4
# The socket API as programs know it: descriptors, streams, processes, workers.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api/scenario.sh"
api_setup
api_cases '^descriptor\.(duplicate|flags|close)' 60000 0.4
api_cases '^worker\.(block|epoll|reuse)' 100000 0.5
api_cases '^(stdio|descriptor\.(is|low|too|pass|lis|data)|process|worker\.(worker|parent|pending))'
