#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Usage: completion.sh LOCKSTEP. What bash offers with the script of `lockstep completion`; TAP.
set -u
lockstep=$(realpath "$1") number=0 failed=0
script=$("$lockstep" completion) || exit 1
eval "$script"
cd "$(mktemp -d)" || exit 1
trap 'rm -r "$PWD"' EXIT
touch trace.txt

# offers EXPECTED WORD...: the words offered for the last WORD (after "lockstep"); EXPECTED "+word ..." : at least these,
# "-word ...": none of these, otherwise exactly these.
offers() {
    local expected=$1 word given ok=ok
    shift
    COMP_WORDS=(lockstep "$@") COMP_CWORD=$# COMPREPLY=()
    _lockstep
    given=" ${COMPREPLY[*]} "
    case $expected in
    +*) for word in ${expected#+}; do [[ $given == *" $word "* ]] || ok="not ok"; done ;;
    -*) for word in ${expected#-}; do [[ $given != *" $word "* ]] || ok="not ok"; done ;;
    *) [ "$given" = " $expected " ] || ok="not ok" ;;
    esac
    [ "$ok" = ok ] || failed=1
    echo "$ok $((++number)) - lockstep $* ->${given:0:200}(expected: $expected)"
}

# Each command and subcommand that the program itself knows.
names() { "$lockstep" help "$@" | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' | xargs; }
[ "$(names | wc -w)" -gt 5 ] || exit 1
offers "$(names) --help --version" ""
for group in clock testbed; do
    offers "$(names $group) --help --version" $group ""
done
offers "status" stat
offers "connections" conn
offers "status sources stats" clock s
offers "$(names clock) --help --version" help clock ""
offers "" help clock wait ""
offers "--timeout" clock wait --ti
offers "--json" status --j
offers "error" run --log-level e
offers "error" run --log-level = e
offers "default error warning info debug" run --log-level =
offers "node class" testbed run --split ""
offers "trace.txt" clock replay t
offers "trace.txt" clock replay --json t
offers "trace.txt" clock stats --output t
offers "+ls trace.txt" run ""
offers "-trace.txt status" clock wait ""
offers "" clock nonsense ""
offers "" nonsense ""
echo "1..$number"
exit $failed
