#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Usage: scripts/demo.sh BUILD_DIR
# The main job: the reference pattern of 48 message types on a virtual LAN, kernel beside accelerated, messages that leave all
# at once beside messages that are planned not to meet. Two minutes. What fails a limit is reported, not an error here.
set -u
cd "$(dirname "$0")/.." || exit
build=$1
status=0
"$build/tools/lockstep" testbed virtual --pattern testbed/patterns/daq48.csv --output "$build/demo" --rounds 2 --duration 8s \
    --phase staggered --phase synchronised --spin 100us --title "48 message types on a virtual LAN" || status=$?
[ "$status" -le 2 ]
