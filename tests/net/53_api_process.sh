#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 300
# The socket API as programs know it: descriptors, streams, processes, workers.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api/scenario.sh"
setup
api_cases '^(descriptor|stdio|process|worker)' 1000000 0.5
