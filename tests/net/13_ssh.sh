#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# needs: ssh sshd scp ssh-keygen
# timeout: 90
# ssh and scp. sshd forks and executes itself again for each connection, so at the server the connection is handed to the
# kernel; at the client it stays in the lane.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/ssh.sh"
setup
ssh_configure
start sshd server "$SSHD" -D -e -f "$LT_WORK/ssh/sshd_config"
wait_port server tcp 2222
blob "$LT_WORK/file" 20000000
offload_begin
assert_equal "$(run client ssh -F "$LT_WORK/ssh/config" $SERVER echo hello)" hello "ssh"
run client ssh -F "$LT_WORK/ssh/config" $SERVER sha256sum <"$LT_WORK/file" >"$LT_WORK/ssh.sum"
assert_equal "$(cat "$LT_WORK/ssh.sum")" "$(sha256sum <"$LT_WORK/file")" "checksum over ssh"
run client scp -q -F "$LT_WORK/ssh/config" "$LT_WORK/file" "$SERVER_URL:$LT_WORK/copied"
assert_same "$LT_WORK/file" "$LT_WORK/copied"
run client scp -q -F "$LT_WORK/ssh/config" "$SERVER_URL:$LT_WORK/file" "$LT_WORK/fetched"
assert_same "$LT_WORK/file" "$LT_WORK/fetched"
offload_end 60000000 0.05 client
