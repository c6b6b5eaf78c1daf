/* SPDX-License-Identifier: BSD-2-Clause */
/* Interposed: giving up rights. Afterwards the service may be out of reach, so what a forked child has inherited is
 * claimed before (see sock_fork.c). A process with a stack of its own keeps it. */
#include <dlfcn.h>
#include <linux/seccomp.h>
#include <stdarg.h>

#include "stack/preload.h"
#include "stack/stack.h"

int seccomp_load(void *filter); /* libseccomp's, which makes the system call by itself */

static void claim_all(void)
{
    if (!preload_usable())
        return;
    stack_busy_begin();
    sock_claim_inherited(false);
    stack_busy_end();
}

int chroot(const char *path)
{
    claim_all();
    return libc_real()->chroot(path);
}

int unshare(int flags)
{
    claim_all();
    return libc_real()->unshare(flags);
}

int setns(int fd, int type)
{
    claim_all();
    return libc_real()->setns(fd, type);
}

int prctl(int option, ...)
{
    unsigned long arguments[4];
    va_list list;

    va_start(list, option);
    for (int i = 0; i < 4; i++)
        arguments[i] = va_arg(list, unsigned long);
    va_end(list);
    if (option == PR_SET_SECCOMP)
        claim_all();
    return libc_real()->prctl(option, arguments[0], arguments[1], arguments[2], arguments[3]);
}

int seccomp_load(void *filter)
{
    int (*real)(void *) = (int (*)(void *))dlsym(RTLD_NEXT, "seccomp_load");

    claim_all();
    return real ? real(filter) : -ENOSYS;
}
