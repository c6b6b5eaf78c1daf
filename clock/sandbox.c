/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

int sandbox_find_user(const char *name, uid_t *uid, gid_t *gid)
{
    char *end;
    unsigned long number = strtoul(name, &end, 10);
    /* cppcheck-suppress getpwuidCalled */
    const struct passwd *entry = *end == 0 && *name ? getpwuid((uid_t)number) : getpwnam(name);

    if (!entry)
        return LOCKSTEP_E_UNKNOWN_NAME;
    *uid = entry->pw_uid;
    *gid = entry->pw_gid;
    return 0;
}

/* --- capabilities ------------------------------------------------------------------------------------------- */

static int set_capabilities(uint64_t keep)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct present[2], wanted[2];

    if (syscall(SYS_capget, &header, present) < 0)
        return -errno;
    for (unsigned i = 0; i < 2; i++) {
        uint32_t bits = (uint32_t)(keep >> 32 * i) & present[i].permitted;

        wanted[i] = (struct __user_cap_data_struct){bits, bits, 0};
    }
    return syscall(SYS_capset, &header, wanted) < 0 ? -errno : 0;
}

static int drop_bounding(void)
{
    for (unsigned i = 0; i < 64; i++) {
        if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0)
            return errno == EINVAL && i > CAP_CHOWN ? 0 : -errno;
    }
    return 0;
}

static int become(uid_t uid, gid_t gid)
{
    /* The permitted set outlives the change of user, for those that are kept. */
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
        setresuid(uid, uid, uid) < 0 || prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0)
        return -errno;
    return 0;
}

int sandbox_drop(uid_t uid, gid_t gid, uint64_t keep)
{
    int result = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;

    if (result == 0 && geteuid() == 0) {
        drop_bounding(); /* needs CAP_SETPCAP, which a unit may have taken away already */
        if (uid != 0)
            result = become(uid, gid);
    } else if (uid != 0 && uid != geteuid()) {
        log_warning("sandbox: only root can become another user: user %u it stays", (unsigned)geteuid());
    }
    if (result == 0)
        result = set_capabilities(keep);
    if (result < 0)
        log_error("sandbox: cannot give up rights: %s", error_text(result));
    return result;
}

/* --- system calls ------------------------------------------------------------------------------------------- */

static const int plain_calls[] = {
    /* waiting, time, signals */
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(select),
    SCMP_SYS(pselect6),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(timerfd_create),
    SCMP_SYS(timerfd_settime),
    SCMP_SYS(timerfd_gettime),
    SCMP_SYS(eventfd2),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(futex),
    SCMP_SYS(getrandom),
    SCMP_SYS(sched_yield),
    SCMP_SYS(membarrier),
    /* sockets */
    SCMP_SYS(connect),
    SCMP_SYS(bind),
    SCMP_SYS(accept),
    SCMP_SYS(accept4),
    SCMP_SYS(listen),
    SCMP_SYS(shutdown),
    SCMP_SYS(sendto),
    SCMP_SYS(sendmsg),
    SCMP_SYS(sendmmsg),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(recvmmsg),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
    SCMP_SYS(ioctl),
    /* files: the state file, certificates, keys */
    SCMP_SYS(read),
    SCMP_SYS(pread64),
    SCMP_SYS(readv),
    SCMP_SYS(write),
    SCMP_SYS(pwrite64),
    SCMP_SYS(writev),
    SCMP_SYS(open),
    SCMP_SYS(openat),
    SCMP_SYS(close),
    SCMP_SYS(lseek),
    SCMP_SYS(stat),
    SCMP_SYS(fstat),
    SCMP_SYS(lstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(statx),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(getdents64),
    SCMP_SYS(rename),
    SCMP_SYS(renameat),
    SCMP_SYS(renameat2),
    SCMP_SYS(unlink),
    SCMP_SYS(unlinkat),
    SCMP_SYS(fsync),
    SCMP_SYS(fdatasync),
    SCMP_SYS(ftruncate),
    SCMP_SYS(fchmod),
    SCMP_SYS(flock),
    SCMP_SYS(fcntl),
    SCMP_SYS(dup),
    SCMP_SYS(umask),
    SCMP_SYS(fadvise64),
    SCMP_SYS(fstatfs),
    /* memory and the process itself */
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(getrusage),
    SCMP_SYS(uname),
    SCMP_SYS(sysinfo),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    /* its end: the resolver's child, and the crash of an assertion */
    SCMP_SYS(kill),
    SCMP_SYS(tgkill),
    SCMP_SYS(wait4),
};

static const int steering_calls[] = {SCMP_SYS(adjtimex), SCMP_SYS(clock_adjtime), SCMP_SYS(clock_settime)};

static int allow(scmp_filter_ctx filter, const int *calls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);

        if (result < 0)
            return result;
    }
    return 0;
}

static int allow_if(scmp_filter_ctx filter, int call, struct scmp_arg_cmp condition)
{
    return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 1, &condition);
}

/* Memory is never both written and run; sockets are the internet's, the control socket's, and routes' (getifaddrs). */
static int allow_with_conditions(scmp_filter_ctx filter)
{
    static const int families[] = {AF_INET, AF_INET6, AF_UNIX, AF_NETLINK};
    const struct scmp_arg_cmp not_executable = {.arg = 2, .op = SCMP_CMP_MASKED_EQ, .datum_a = PROT_EXEC, .datum_b = 0};
    int result = allow_if(filter, SCMP_SYS(mmap), not_executable);

    if (result == 0)
        result = allow_if(filter, SCMP_SYS(mprotect), not_executable);
    for (size_t i = 0; i < COUNT(families) && result == 0; i++)
        result = allow_if(filter, SCMP_SYS(socket),
                          (struct scmp_arg_cmp){.arg = 0, .op = SCMP_CMP_EQ, .datum_a = (scmp_datum_t)families[i]});
    return result;
}

int sandbox_filter(bool steer)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int result = filter ? 0 : -ENOMEM;

    if (result == 0)
        result = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree: a few comparisons a call */
    if (result == 0)
        result = allow(filter, plain_calls, COUNT(plain_calls));
    if (result == 0)
        result = allow_with_conditions(filter);
    if (result == 0 && steer)
        result = allow(filter, steering_calls, COUNT(steering_calls));
    if (result == 0)
        result = seccomp_load(filter);
    if (filter)
        seccomp_release(filter);
    if (result < 0)
        log_error("sandbox: cannot filter system calls: %s", error_text(result));
    return result;
}
