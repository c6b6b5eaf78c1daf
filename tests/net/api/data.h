/* SPDX-License-Identifier: BSD-2-Clause */
/* Test data: an endless stream of bytes, each known from its offset, so that whoever receives can tell lost, repeated,
 * swapped and damaged bytes without a copy of what was sent. And addresses in text. */
#ifndef LOCKSTEP_TESTS_API_DATA_H
#define LOCKSTEP_TESTS_API_DATA_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The stream's bytes from offset on. */
void data_fill(void *buffer, size_t length, uint64_t offset);
/* Whether these are the stream's bytes from offset on. */
bool data_is(const void *buffer, size_t length, uint64_t offset);

/* Sends or receives exactly length bytes of the stream over a connection whose descriptor blocks, in calls of at most
 * chunk bytes (0: 64 KiB). The number of bytes done (fewer: end of stream), or -errno; -EBADMSG: not the stream's
 * bytes. */
ssize_t data_send(int fd, size_t length, uint64_t offset, size_t chunk);
ssize_t data_receive(int fd, size_t length, uint64_t offset, size_t chunk);

/* Any of the two families. */
union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_storage storage;
};
/* "*" with a family: the wildcard address; "fe80::1%eth0" has a scope. False: no address. */
bool address_parse(union address *out, int family, const char *text, uint16_t port);
socklen_t address_length(const union address *address);
uint16_t address_port(const union address *address);

#endif
