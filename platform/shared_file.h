/* SPDX-License-Identifier: BSD-2-Clause */
/* A small file on a tmpfs that one process writes and any number of others map read-only. Failures are negated errno.
 */
#ifndef LOCKSTEP_PLATFORM_SHARED_FILE_H
#define LOCKSTEP_PLATFORM_SHARED_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Opens for reading, or for both. A descriptor (close-on-exec); -EINVAL: not a regular file. */
int shared_file_open(const char *path, bool writing);
/* True if this process's user owns it and no other may write it. */
bool shared_file_private(int fd);
/* Copies the first bytes (at most size) out of it and says how long the whole file is. Never faults. Bytes copied. */
int shared_file_peek(int fd, void *head, size_t size, uint64_t *file_size);
/* What tells this file from another one that was made at its path. */
int shared_file_identity(int fd, uint64_t identity[2]);
int shared_file_path_identity(const char *path, uint64_t identity[2]);
/* Maps `size` bytes; in place of the mapping at `at` if that is not NULL (a reader that looks at it meanwhile sees the
 * old bytes or the new ones). */
int shared_file_map(int fd, size_t size, bool writing, void *at, void **mapping);
void shared_file_unmap(void *mapping, size_t size);
void shared_file_close(int fd);

/* Takes the lock PATH.lock, which only the file's owner can open, until the descriptor is closed or the process ends.
 * The descriptor; -EWOULDBLOCK: another process has it. */
int shared_file_lock(const char *path);
/* Puts a new file with these bytes in the place of `path`, at once (readers find the old one or the new one); readable
 * by all. The descriptor, for reading and writing. Under the lock: it passes through PATH.new. */
int shared_file_replace(const char *path, const void *bytes, size_t size);
/* Writes a few bytes with a system call, which is what a shared_watch takes notice of. */
int shared_file_poke(int fd, const void *bytes, size_t length, size_t offset);

#endif
