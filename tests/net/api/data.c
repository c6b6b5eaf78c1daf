/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/net/api/data.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEFAULT_CHUNK (64 * 1024)

static uint64_t data_word(uint64_t index)
{
    uint64_t word = (index + 1) * 0x9e3779b97f4a7c15u;

    word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9u;
    return word ^ (word >> 27);
}

void data_fill(void *buffer, size_t length, uint64_t offset)
{
    unsigned char *bytes = buffer;

    while (length) {
        uint64_t word = data_word(offset / 8);
        size_t skip = offset % 8, count = 8 - skip < length ? 8 - skip : length;
        memcpy(bytes, (unsigned char *)&word + skip, count);
        bytes += count;
        length -= count;
        offset += count;
    }
}

bool data_is(const void *buffer, size_t length, uint64_t offset)
{
    const unsigned char *bytes = buffer;

    while (length) {
        uint64_t word = data_word(offset / 8);
        size_t skip = offset % 8, count = 8 - skip < length ? 8 - skip : length;
        if (memcmp(bytes, (unsigned char *)&word + skip, count))
            return false;
        bytes += count;
        length -= count;
        offset += count;
    }
    return true;
}

ssize_t data_send(int fd, size_t length, uint64_t offset, size_t chunk)
{
    size_t done = 0;
    ssize_t result = 0;

    chunk = chunk ? chunk : DEFAULT_CHUNK;
    unsigned char *buffer = malloc(chunk);
    while (done < length && result >= 0) {
        size_t count = length - done < chunk ? length - done : chunk;
        data_fill(buffer, count, offset + done);
        for (size_t sent = 0; sent < count && result >= 0;
             sent += result > 0 ? result : 0, done += result > 0 ? result : 0)
            result = TEMP_FAILURE_RETRY(send(fd, buffer + sent, count - sent, MSG_NOSIGNAL));
    }
    int number = errno;
    free(buffer);
    return result < 0 ? -number : (ssize_t)done;
}

ssize_t data_receive(int fd, size_t length, uint64_t offset, size_t chunk)
{
    size_t done = 0;
    ssize_t result = 1;

    chunk = chunk ? chunk : DEFAULT_CHUNK;
    unsigned char *buffer = malloc(chunk);
    while (done < length && result > 0) {
        result = TEMP_FAILURE_RETRY(recv(fd, buffer, length - done < chunk ? length - done : chunk, 0));
        if (result > 0 && !data_is(buffer, result, offset + done)) {
            free(buffer);
            return -EBADMSG;
        }
        done += result > 0 ? result : 0;
    }
    int number = errno;
    free(buffer);
    return result < 0 ? -number : (ssize_t)done;
}

bool address_parse(union address *out, int family, const char *text, uint16_t port)
{
    char copy[INET6_ADDRSTRLEN + IF_NAMESIZE + 1];

    memset(out, 0, sizeof(*out));
    if (!strcmp(text, "*"))
        text = family == AF_INET6 ? "::" : "0.0.0.0";
    snprintf(copy, sizeof(copy), "%s", text);
    char *scope = strchr(copy, '%');
    if (scope)
        *scope++ = 0;
    if (inet_pton(AF_INET, copy, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons(port);
        return true;
    }
    if (inet_pton(AF_INET6, copy, &out->v6.sin6_addr) != 1)
        return false;
    out->v6.sin6_family = AF_INET6;
    out->v6.sin6_port = htons(port);
    out->v6.sin6_scope_id = scope ? if_nametoindex(scope) : 0;
    return true;
}

socklen_t address_length(const union address *address)
{
    return address->any.sa_family == AF_INET6 ? sizeof(address->v6) : sizeof(address->v4);
}

uint16_t address_port(const union address *address)
{
    return ntohs(address->any.sa_family == AF_INET6 ? address->v6.sin6_port : address->v4.sin_port);
}
