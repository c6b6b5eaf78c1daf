/* SPDX-License-Identifier: BSD-2-Clause */
/* CRC-32C (Castagnoli, RFC 3720 appendix B.4), with the CPU's instruction where it has one. Pure, thread-safe. */
#ifndef LOCKSTEP_TESTBED_CRC32C_H
#define LOCKSTEP_TESTBED_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of what crc is the checksum of (0: nothing) with these bytes behind it. */
uint32_t crc32c(uint32_t crc, const void *data, size_t length);
/* The same by table, for CPUs without the instruction. */
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t length);

#endif
