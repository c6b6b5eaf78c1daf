/* SPDX-License-Identifier: BSD-2-Clause */
/* To be preloaded (LD_PRELOAD): lets a daemon believe that somebody has stepped the system clock, or that the machine
 * was suspended, while nobody has. The file $FAKE_CLOCKS holds a struct fake_clocks; fake_clocks FILE KEY NS (the same
 * source as a program, -DFAKE_CLOCKS_MAIN) changes it. Stamps of the kernel follow the system clock, those from before
 * a step stay. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct fake_clocks {
    int64_t realtime_ns, stepped_at_ns; /* added to CLOCK_REALTIME; when (CLOCK_REALTIME as it is) */
    int64_t before_ns;                  /* added to stamps from before that */
    int64_t boottime_ns, raw_ns;        /* added to CLOCK_BOOTTIME and CLOCK_MONOTONIC_RAW */
};

static struct fake_clocks *map_file(const char *path)
{
    int fd = path ? open(path, O_RDWR | O_CREAT, 0666) : -1;
    struct fake_clocks *fake;

    if (fd < 0 || ftruncate(fd, sizeof(*fake)) < 0)
        abort();
    fake = mmap(NULL, sizeof(*fake), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fake == MAP_FAILED)
        abort();
    close(fd);
    return fake;
}

#ifdef FAKE_CLOCKS_MAIN

int main(int argc, char **argv)
{
    struct fake_clocks *fake;
    struct timespec now;
    int64_t ns;

    if (argc != 4)
        return 2;
    fake = map_file(argv[1]);
    ns = atoll(argv[3]);
    clock_gettime(CLOCK_REALTIME, &now);
    if (strcmp(argv[2], "realtime") == 0) {
        fake->before_ns = fake->realtime_ns;
        fake->stepped_at_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
        fake->realtime_ns += ns;
    } else if (strcmp(argv[2], "boottime") == 0) {
        fake->boottime_ns += ns;
    } else if (strcmp(argv[2], "raw") == 0) {
        fake->raw_ns += ns;
    } else {
        return 2;
    }
    return 0;
}

#else

#include <dlfcn.h>
#include <linux/errqueue.h>
#include <sys/socket.h>

typedef int gettime_function(clockid_t id, struct timespec *time);
typedef ssize_t recvmsg_function(int fd, struct msghdr *message, int flags);

static struct fake_clocks *fake;
static gettime_function *real_gettime;
static recvmsg_function *real_recvmsg;

__attribute__((constructor)) static void begin(void)
{
    real_gettime = (gettime_function *)dlsym(RTLD_NEXT, "clock_gettime");
    real_recvmsg = (recvmsg_function *)dlsym(RTLD_NEXT, "recvmsg");
    fake = map_file(getenv("FAKE_CLOCKS"));
}

static void add(struct timespec *time, int64_t ns)
{
    int64_t sum = (int64_t)time->tv_sec * 1000000000 + time->tv_nsec + ns;

    time->tv_sec = sum / 1000000000;
    time->tv_nsec = sum % 1000000000;
}

__attribute__((visibility("default"))) int clock_gettime(clockid_t id, struct timespec *time)
{
    int result = real_gettime(id, time);

    if (result == 0 && fake && id == CLOCK_REALTIME)
        add(time, fake->realtime_ns);
    else if (result == 0 && fake && id == CLOCK_BOOTTIME)
        add(time, fake->boottime_ns);
    else if (result == 0 && fake && id == CLOCK_MONOTONIC_RAW)
        add(time, fake->raw_ns);
    return result;
}

__attribute__((visibility("default"))) ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    ssize_t result = real_recvmsg(fd, message, flags);

    for (struct cmsghdr *cmsg = result >= 0 ? CMSG_FIRSTHDR(message) : NULL; cmsg; cmsg = CMSG_NXTHDR(message, cmsg)) {
        struct scm_timestamping stamps;
        int64_t ns;

        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_TIMESTAMPING)
            continue;
        memcpy(&stamps, CMSG_DATA(cmsg), sizeof(stamps));
        ns = (int64_t)stamps.ts[0].tv_sec * 1000000000 + stamps.ts[0].tv_nsec;
        add(&stamps.ts[0], ns < fake->stepped_at_ns ? fake->before_ns : fake->realtime_ns);
        memcpy(CMSG_DATA(cmsg), &stamps, sizeof(stamps));
    }
    return result;
}

#endif
