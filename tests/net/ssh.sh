# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2034
# What the scenarios with ssh share; after lib.sh.
SSHD=$(command -v sshd || echo /usr/sbin/sshd)
# Keys and configurations in $LT_WORK/ssh: $SSHD -D -e -f sshd_config at the server, ssh -F config $SERVER elsewhere.
ssh_configure() {
    mkdir -p "$LT_WORK/ssh" /run/sshd
    chmod 700 "$LT_WORK/ssh"
    ssh-keygen -q -t ed25519 -N '' -f "$LT_WORK/ssh/host"
    ssh-keygen -q -t ed25519 -N '' -f "$LT_WORK/ssh/user"
    cp "$LT_WORK/ssh/user.pub" "$LT_WORK/ssh/authorized"
    cat >"$LT_WORK/ssh/sshd_config" <<END
Port 2222
ListenAddress $SERVER
HostKey $LT_WORK/ssh/host
PidFile none
AuthorizedKeysFile $LT_WORK/ssh/authorized
StrictModes no
PasswordAuthentication no
UsePAM no
PermitRootLogin yes
Subsystem sftp internal-sftp
END
    echo "$SERVER $(cut -d' ' -f1,2 "$LT_WORK/ssh/host.pub")" | sed -E 's/^([^ ]+)/[\1]:2222/' >"$LT_WORK/ssh/known"
    cat >"$LT_WORK/ssh/config" <<END
Host *
    Port 2222
    User root
    IdentityFile $LT_WORK/ssh/user
    IdentitiesOnly yes
    UserKnownHostsFile $LT_WORK/ssh/known
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    BatchMode yes
    ConnectTimeout 10
END
}
