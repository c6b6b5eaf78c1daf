# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2034
# What the scenarios of programs that draw share: terminals (tmux), at the server or
# $LT_TERMINALS; what they show. After lib.sh.

screen=$LT_WORK/screen.txt
mux() { exec_at "${LT_TERMINALS:-server}" tmux -S "$LT_WORK/tmux" -f /dev/null "$@"; }
LT_CLEANUP+=('tmux -S "$LT_WORK/tmux" kill-server')
# terminal NAME WIDTH HEIGHT COMMAND: in a terminal of its own, in which a shell says afterwards how it ended.
terminal() {
    mux new-session -d -s "$1" -x "$2" -y "$3" "sh -c 'trap : INT; $4; echo ended with \$?; stty -a | tr \" \" \"\\n\" | grep \"echo\$\"; sleep 100'"
    mux set -t "$1" status off
    mux resize-window -t "$1" -x "$2" -y "$3"
}
keys() { mux send-keys -t "$1" "${@:2}"; }
capture() { mux capture-pane -p "${@:2}" -t "$1" >"$screen"; }
# shows NAME PATTERN...: lines that are all on the screen; a pattern after ! is on none.
shows() {
    local pattern
    capture "$1"
    for pattern in "${@:2}"; do
        case $pattern in
        !*) ! has_line "$screen" "${pattern#!}" || return ;;
        *) has_line "$screen" "$pattern" || return ;;
        esac
    done
}
wait_shows() {
    local end=$((SECONDS + 15))
    until shows "$@"; do
        [ $SECONDS -lt $end ] || fail "$1 does not show $(printf '"%s" ' "${@:2}"): $(cat "$screen")"
        sleep 0.1
    done
}
