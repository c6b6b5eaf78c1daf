#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# kernel: no
# variants: both/4
# needs: sqlite3
# timeout: 150
# Whatever befalls the database - a full disk, a lock, damage, removal - or the system clock: traffic does not notice, the
# recorder says so, and what happened meanwhile is in the history afterwards.
. "$(dirname "$0")/history.sh"
setup
file=$(history_file server)
mkdir "${file%/*}"
mount -t tmpfs -o size=3m tmpfs "${file%/*}"
LT_CLEANUP+=("umount -l '${file%/*}'")
# A wall clock of its own (fake_clocks.c); the machine's stays as it is.
fake() { "$CLOCK_TOOLS/fake_clocks" "$LT_WORK/fake" "$1" "$2"; }
fake realtime 0
# shellcheck disable=SC2034 # of history.sh
HISTORY_ENVIRONMENT=("FAKE_CLOCKS=$LT_WORK/fake" "LD_PRELOAD=$CLOCK_TOOLS/libfake_clocks.so")
history_start server
many_server
many_connections 20
many_recorded 20
steady_traffic 120 1000 3 # to the end of all that follows

# ---- the disk is full ----
cat /dev/zero >"${file%/*}/filler" 2>/dev/null || true
tries=0
until has_line "$LT_WORK/server.historyd.log" 'cannot write .*: No space left on device'; do
    many_connections 50
    tries=$((tries + 1))
    [ $tries -lt 40 ] || fail "the recorder finds room on a full disk"
done
many_connections 50
history server connections --limit 1 >"$LT_WORK/full" # what is there can be read
assert_line "$LT_WORK/full" 10.77.0
rm "${file%/*}/filler"
history_said 40 server 'writing again'
many_recorded $((20 + 50 * (tries + 1)))
assert_history server gaps 'not r'

# ---- locked by another program ----
"$LT_PYTHON" -c "
import sqlite3, time
c = sqlite3.connect('$file', isolation_level=None)
c.execute('BEGIN IMMEDIATE')
print('locked', flush=True)
time.sleep(100)" >"$LT_WORK/lock.out" &
locker=$!
LT_PIDS+=("$locker")
wait_for 10 "the lock" has_line "$LT_WORK/lock.out" locked
many_connections 30
history_said 20 server 'cannot write .*: it is locked by another program'
kill -KILL $locker
many_recorded $((20 + 50 * (tries + 1) + 30))
assert_equal "$(grep -c 'writing again' "$LT_WORK/server.historyd.log")" 2 "recoveries"
assert_history server gaps 'not r'

# ---- the clock is stepped: a year on, and back to before ----
fake realtime 31536000000000000
history_wait server events 'any("the system clock was stepped by +31536000.0" in e["text"] for e in r)'
many_connections 10
fake realtime -63072000000000000
history_wait server events 'any("the system clock was stepped by -63072000.0" in e["text"] for e in r)'
many_connections 10
fake realtime 31536000000000000
many_recorded $((20 + 50 * (tries + 1) + 50))

# ---- removed, damaged ----
rm "$file"*
history_said 20 server 'was removed or replaced'
many_connections 10
history_wait server connections 'len([c for c in r if c["ending"] == "closed" and c["local_port"] == 7100]) >= 10'
stop "$(history_pid server)"
sqlite3 "$file" 'PRAGMA wal_checkpoint(TRUNCATE)' >/dev/null
dd if=/dev/urandom of="$file" bs=4096 seek=1 count=20 conv=notrunc status=none
history_start server
history_said 20 server 'was damaged: moved to .*corrupt-.*and a new one is begun'
many_connections 5
history_wait server connections 'len([c for c in r if c["ending"] == "closed" and c["local_port"] == 7100]) >= 5'
history_wait server gaps 'any(g["what"] == "database" and "damaged" in g["text"] for g in r)'
# Open ones are known to the new database from the service's table.
history_wait server connections 'len([c for c in r if c["ending"] == "open" and c["kind"] == "accepted" and c["rx_bytes"] > 0]) >= 3' --connection :7001

# ---- a hundred days later: closed ones are too old, open ones never are ----
fake boottime 8640000000000000
history_wait server connections 'r and not [c for c in r if c["ending"] == "closed"]'
assert_history server connections 'len([c for c in r if c["kind"] == "accepted"]) == 3'

# ---- the traffic has not noticed ----
client=${STEADY[0]#client }
kill -TERM "$client"
steady_done client "$client" 30
stop "$(history_pid server)"
