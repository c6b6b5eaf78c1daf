/* SPDX-License-Identifier: BSD-2-Clause */
#include "stack/memory.h"

#include <stdint.h>
#include <ucontext.h>

#define IOV_MOST 1024 /* more are refused elsewhere */

static bool caught;

void memory_faults_are_caught(void)
{
    caught = true;
}

#if defined(__x86_64__)

/* The touches are at the functions' first instructions, which is how memory_fault knows them. */
int memory_touch_to_read(const void *address);
int memory_touch_to_write(void *address);
extern const char memory_touch_failed[];

__asm__(".pushsection .text\n"
        ".hidden memory_touch_to_read, memory_touch_to_write, memory_touch_failed\n"
        ".globl memory_touch_to_read, memory_touch_to_write, memory_touch_failed\n"
        ".type memory_touch_to_read, @function\n"
        ".type memory_touch_to_write, @function\n"
        "memory_touch_to_read:\n"
        "    .cfi_startproc\n"
        "    movb (%rdi), %al\n"
        "    movl $1, %eax\n"
        "    ret\n"
        "    .cfi_endproc\n"
        "memory_touch_to_write:\n"
        "    .cfi_startproc\n"
        "    lock orb $0, (%rdi)\n"
        "    movl $1, %eax\n"
        "    ret\n"
        "    .cfi_endproc\n"
        "memory_touch_failed:\n"
        "    xorl %eax, %eax\n"
        "    ret\n"
        ".popsection\n");

bool memory_fault(void *context)
{
    greg_t *at = &((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];

    if (*at != (greg_t)memory_touch_to_read && *at != (greg_t)memory_touch_to_write)
        return false;
    *at = (greg_t)memory_touch_failed;
    return true;
}

#else

static int memory_touch_to_read(const void *address)
{
    (void)address;
    return 1;
}

static int memory_touch_to_write(void *address)
{
    (void)address;
    return 1;
}

bool memory_fault(void *context)
{
    (void)context;
    return false;
}

#endif

bool memory_readable(const void *address, size_t length)
{
    if (length == 0)
        return true;
    if (!caught || !address)
        return address;
    return memory_touch_to_read(address) && (length == 1 || memory_touch_to_read((const char *)address + (length - 1)));
}

bool memory_writable(void *address, size_t length)
{
    if (length == 0)
        return true;
    return caught && address ? memory_touch_to_write(address) : address != NULL;
}

bool memory_readable_all(const struct iovec *iov, size_t count)
{
    if (count > IOV_MOST)
        return true;
    if (!memory_readable(iov, count * sizeof *iov))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!memory_readable(iov[i].iov_base, iov[i].iov_len))
            return false;
    }
    return true;
}

bool memory_writable_all(const struct iovec *iov, size_t count)
{
    if (count > IOV_MOST)
        return true;
    if (!memory_readable(iov, count * sizeof *iov))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!memory_writable(iov[i].iov_base, iov[i].iov_len))
            return false;
    }
    return true;
}
