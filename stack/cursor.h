/* SPDX-License-Identifier: BSD-2-Clause */
/* A position in a caller's vector of buffers. Pure. */
#ifndef LOCKSTEP_STACK_CURSOR_H
#define LOCKSTEP_STACK_CURSOR_H

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#define CURSOR_SLICES  16 /* parts of a vector handled at once */
#define CURSOR_IOV_MAX 1024

struct cursor {
    const struct iovec *iov;
    size_t count;
    size_t offset; /* in the first */
    size_t left;   /* bytes to the end */
};

/* Nothing is ever mapped below (vm.mmap_min_addr): such a pointer is a mistake that the kernel would answer. */
#define CURSOR_LOWEST 65536

/* -EMSGSIZE for too many parts, -EINVAL when the sum overflows, -EFAULT for what cannot be a buffer (left is right all
 * the same). */
static inline int cursor_begin(struct cursor *cursor, const struct iovec *iov, size_t count)
{
    int err = 0;

    *cursor = (struct cursor){iov, count, 0, 0};
    if (count > CURSOR_IOV_MAX)
        return -EMSGSIZE;
    for (size_t i = 0; i < count; i++) {
        if (iov[i].iov_len > (size_t)SSIZE_MAX - cursor->left)
            return -EINVAL;
        if ((uintptr_t)iov[i].iov_base < CURSOR_LOWEST && iov[i].iov_len > 0)
            err = -EFAULT;
        cursor->left += iov[i].iov_len;
    }
    return err;
}

/* The next parts, at most limit bytes and CURSOR_SLICES of them; returns how many, *bytes: in all. */
static inline int cursor_slices(const struct cursor *cursor, size_t limit, struct iovec *out, size_t *bytes)
{
    size_t offset = cursor->offset;
    int used = 0;

    *bytes = 0;
    for (size_t i = 0; i < cursor->count && used < CURSOR_SLICES && *bytes < limit; i++, offset = 0) {
        size_t length = cursor->iov[i].iov_len - offset;

        if (length > limit - *bytes)
            length = limit - *bytes;
        if (length > 0)
            out[used++] = (struct iovec){(char *)cursor->iov[i].iov_base + offset, length};
        *bytes += length;
    }
    return used;
}

static inline void cursor_advance(struct cursor *cursor, size_t bytes)
{
    cursor->left -= bytes;
    bytes += cursor->offset;
    while (cursor->count > 0 && bytes >= cursor->iov->iov_len) {
        bytes -= cursor->iov->iov_len;
        cursor->iov++;
        cursor->count--;
    }
    cursor->offset = bytes;
}

#endif
