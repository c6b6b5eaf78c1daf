/* SPDX-License-Identifier: BSD-2-Clause */
/* A reader of the clock's segment against a file of any content: the first byte says which calls are made. Must give an
 * error or a time, and touch nothing else. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clock/segment_layout.h"
#include "fuzz.h"
#include "platform/counters.h"

static void read_all(struct lockstep_clock *clock, uint64_t counter)
{
    struct lockstep_clock_info info;
    struct lockstep_time time;
    int64_t ns, error_ns;

    for (int scale = LOCKSTEP_TAI; scale <= LOCKSTEP_UTC; scale++) {
        if (lockstep_clock_now(clock, (enum lockstep_timescale)scale, &time) == 0)
            fuzz_require(segment_gives_time(time.status));
        if (lockstep_clock_at(clock, counter, (enum lockstep_timescale)scale, &time) == 0)
            fuzz_require(segment_gives_time(time.status));
        else
            fuzz_require(time.ns == 0 && time.latest_ns == 0);
    }
    lockstep_clock_difference(clock, counter, ~counter, &ns, &error_ns);
    if (lockstep_clock_get_info(clock, &info) == 0)
        fuzz_require(memchr(info.counter, 0, sizeof info.counter));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    union {
        struct segment_layout layout;
        uint8_t bytes[SEGMENT_FILE_BYTES];
    } file = {0};
    struct lockstep_clock *clock;
    char path[64];

    if (fd < 0)
        fd = memfd_create("segment", MFD_CLOEXEC);
    if (size < 2 || size - 2 > sizeof file)
        return 0;
    memcpy(file.bytes, data + 2, size - 2);
    if (data[0] & 1) { /* past the checks */
        file.layout.head.magic = SEGMENT_MAGIC;
        file.layout.head.abi = SEGMENT_ABI;
        file.layout.head.size = sizeof file.layout;
        file.layout.head.counter_kind = 1 + (data[0] >> 1) % 3;
        fuzz_require(platform_boot_id(file.layout.head.boot_id) == 0);
        size = sizeof file.layout + 2;
    }
    if (data[0] & 16)
        file.layout.line.sequence &= ~1u; /* an odd one takes milliseconds */
    fuzz_require(ftruncate(fd, 0) == 0 && pwrite(fd, &file, size - 2, 0) == (ssize_t)size - 2);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (lockstep_clock_open(path, &clock) == 0) {
        read_all(clock, (uint64_t)data[1] << 56 | file.layout.line.piece[0].counter >> (data[1] & 7));
        lockstep_clock_close(clock);
    }
    return 0;
}
