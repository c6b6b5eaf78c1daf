#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Usage: scripts/need-root.sh COMMAND. Ends with a message unless run by root.
[ "$(id -u)" = 0 ] && exit 0
echo "\"$1\" needs root (it makes network namespaces and loads eBPF programs): run \"sudo $1\"" >&2
exit 1
