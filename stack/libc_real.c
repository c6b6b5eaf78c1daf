/* SPDX-License-Identifier: BSD-2-Clause */
#include "stack/libc_real.h"

#include <dlfcn.h>

struct libc_real libc_real_table;
bool libc_real_resolved;

/* Twice at once by two threads does no harm: both write the same. */
void libc_real_resolve(void)
{
#define X(name) libc_real_table.name = (__typeof__(&name))dlsym(RTLD_NEXT, #name);
    LIBC_FUNCTIONS(X)
#undef X
    __atomic_store_n(&libc_real_resolved, true, __ATOMIC_RELEASE);
}

__attribute__((constructor)) static void resolve_at_start(void)
{
    libc_real_resolve();
}
