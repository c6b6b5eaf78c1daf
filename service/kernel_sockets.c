/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/kernel_sockets.h"

#include <stddef.h>

void kernel_sockets_add(struct kernel_sockets *sockets, const struct kernel_socket *item)
{
    sockets->item[sockets->total++ % KERNEL_SOCKETS_KEPT] = *item;
}

const struct kernel_socket *kernel_sockets_get(const struct kernel_sockets *sockets, unsigned i)
{
    uint64_t first = sockets->total > KERNEL_SOCKETS_KEPT ? sockets->total - KERNEL_SOCKETS_KEPT : 0;

    if (first + i >= sockets->total)
        return NULL;
    return &sockets->item[(first + i) % KERNEL_SOCKETS_KEPT];
}
