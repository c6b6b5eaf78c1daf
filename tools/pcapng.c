/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/pcapng.h"

#include <stdbool.h>
#include <string.h>

#define BLOCK_SECTION    0x0a0d0d0au
#define BLOCK_INTERFACE  1u
#define BLOCK_STATISTICS 5u
#define BLOCK_PACKET     6u
#define BYTE_ORDER_MAGIC 0x1a2b3c4du
#define LINK_ETHERNET    1

enum { OPTION_END = 0, OPTION_COMMENT = 1 };
enum { SECTION_SYSTEM = 3, SECTION_APPLICATION = 4 };
enum { INTERFACE_NAME = 2, INTERFACE_DESCRIPTION = 3, INTERFACE_SPEED = 8, INTERFACE_RESOLUTION = 9 };
enum { PACKET_FLAGS = 2 };
enum { STATISTICS_BEGIN = 2, STATISTICS_END = 3, STATISTICS_RECEIVED = 4, STATISTICS_DROPPED = 5 };

struct block {
    uint8_t *bytes;
    size_t size, used;
    bool full;
};

static void put(struct block *block, const void *data, size_t length)
{
    if (block->full || length > block->size - block->used) {
        block->full = true;
        return;
    }
    if (length > 0)
        memcpy(block->bytes + block->used, data, length);
    block->used += length;
}

static void put16(struct block *block, uint16_t value)
{
    put(block, &value, sizeof value);
}

static void put32(struct block *block, uint32_t value)
{
    put(block, &value, sizeof value);
}

/* Times are in two halves, the upper one first. */
static void put_time(struct block *block, uint64_t ns)
{
    put32(block, (uint32_t)(ns >> 32));
    put32(block, (uint32_t)ns);
}

/* To the next multiple of four. */
static void put_padding(struct block *block, size_t length)
{
    static const uint8_t zero[4];

    put(block, zero, (4 - length % 4) % 4);
}

static void put_option(struct block *block, uint16_t code, const void *value, size_t length)
{
    put16(block, code);
    put16(block, (uint16_t)length);
    put(block, value, length);
    put_padding(block, length);
}

static void put_text(struct block *block, uint16_t code, const char *text)
{
    size_t length = text ? strlen(text) : 0;

    if (length > 0)
        put_option(block, code, text, length < PCAPNG_COMMENT_MAX ? length : PCAPNG_COMMENT_MAX);
}

static struct block begin(void *out, size_t size, uint32_t type)
{
    struct block block = {.bytes = out, .size = size};

    put32(&block, type);
    put32(&block, 0); /* its length: see end */
    return block;
}

static size_t end(struct block *block)
{
    uint32_t length = (uint32_t)block->used + 8;

    put32(block, OPTION_END); /* of length 0 */
    put32(block, length);
    if (block->full)
        return 0;
    memcpy(block->bytes + 4, &length, sizeof length);
    return block->used;
}

size_t pcapng_section(void *out, size_t size, const char *application, const char *system)
{
    struct block block = begin(out, size, BLOCK_SECTION);
    const uint64_t unknown_length = UINT64_MAX;

    put32(&block, BYTE_ORDER_MAGIC);
    put16(&block, 1); /* version 1.0 */
    put16(&block, 0);
    put(&block, &unknown_length, sizeof unknown_length);
    put_text(&block, SECTION_SYSTEM, system);
    put_text(&block, SECTION_APPLICATION, application);
    return end(&block);
}

size_t pcapng_interface(void *out, size_t size, const struct pcapng_interface *interface)
{
    struct block block = begin(out, size, BLOCK_INTERFACE);
    const uint8_t nanoseconds = 9; /* 10^-9 s */

    put16(&block, LINK_ETHERNET);
    put16(&block, 0);
    put32(&block, interface->snap_length);
    put_text(&block, INTERFACE_NAME, interface->name);
    put_text(&block, INTERFACE_DESCRIPTION, interface->description);
    if (interface->speed_bps)
        put_option(&block, INTERFACE_SPEED, &interface->speed_bps, sizeof interface->speed_bps);
    put_option(&block, INTERFACE_RESOLUTION, &nanoseconds, sizeof nanoseconds);
    return end(&block);
}

size_t pcapng_packet(void *out, size_t size, const struct pcapng_packet *packet)
{
    struct block block = begin(out, size, BLOCK_PACKET);
    const uint32_t flags = packet->direction; /* bits 0 and 1 */

    put32(&block, packet->interface);
    put_time(&block, packet->time_ns);
    put32(&block, packet->captured);
    put32(&block, packet->length);
    put(&block, packet->bytes, packet->captured);
    put_padding(&block, packet->captured);
    put_option(&block, PACKET_FLAGS, &flags, sizeof flags);
    put_text(&block, OPTION_COMMENT, packet->comment);
    return end(&block);
}

static void put_time_option(struct block *block, uint16_t code, uint64_t ns)
{
    const uint32_t halves[2] = {(uint32_t)(ns >> 32), (uint32_t)ns};

    put_option(block, code, halves, sizeof halves);
}

size_t pcapng_statistics(void *out, size_t size, const struct pcapng_statistics *statistics)
{
    struct block block = begin(out, size, BLOCK_STATISTICS);

    put32(&block, statistics->interface);
    put_time(&block, statistics->time_ns);
    put_time_option(&block, STATISTICS_BEGIN, statistics->begin_ns);
    put_time_option(&block, STATISTICS_END, statistics->end_ns);
    put_option(&block, STATISTICS_RECEIVED, &statistics->received, sizeof statistics->received);
    put_option(&block, STATISTICS_DROPPED, &statistics->dropped, sizeof statistics->dropped);
    put_text(&block, OPTION_COMMENT, statistics->comment);
    return end(&block);
}
