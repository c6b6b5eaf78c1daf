#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Usage: tests/packages/boot.sh ROOT, in mount, process, cgroup, UTS and IPC namespaces of its own. Boots systemd below ROOT, as little
# of it as there can be: journal, and what is started later. Nothing in it reaches the machine's own settings.
set -euo pipefail
root=$1
hostname lockstep-packages
mount --make-rprivate /
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sys "$root/sys"
mount -t cgroup2 cgroup "$root/sys/fs/cgroup"
cd "$root"
mkdir -p oldroot
pivot_root . oldroot
umount -l /oldroot
mount --make-rshared / # as systemd has it outside containers
exec env -i container=packages-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    chroot / /lib/systemd/systemd --system --unit=basic.target --log-target=null --show-status=no </dev/null
