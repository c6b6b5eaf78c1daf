/* SPDX-License-Identifier: BSD-2-Clause */
/* What every fuzz target includes. A property that does not hold ends the program, as a sanitizer's finding does. */
#ifndef LOCKSTEP_TESTS_FUZZ_H
#define LOCKSTEP_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define fuzz_require(condition)                                                                                        \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
