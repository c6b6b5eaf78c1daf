/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/history_histogram.h"

#include <string.h>

#include "base/error.h"

static size_t put_number(uint8_t *out, uint32_t number)
{
    size_t length = 0;

    for (; number > 127; number >>= 7)
        out[length++] = (uint8_t)(number | 128);
    out[length++] = (uint8_t)number;
    return length;
}

size_t history_histogram_pack(const uint32_t buckets[LANE_STATS_SLOT_BUCKETS], uint8_t *out)
{
    uint32_t empty = 0;
    size_t length = 0;

    for (unsigned i = 0; i < LANE_STATS_SLOT_BUCKETS; i++) {
        if (buckets[i] == 0) {
            empty++;
            continue;
        }
        length += put_number(out + length, empty);
        length += put_number(out + length, buckets[i]);
        empty = 0;
    }
    return length;
}

static int take_number(const uint8_t **at, const uint8_t *end, uint32_t *number)
{
    uint64_t value = 0;

    for (unsigned shift = 0; *at < end && shift < 35; shift += 7) {
        uint8_t byte = *(*at)++;

        value |= (uint64_t)(byte & 127) << shift;
        if (byte & 128)
            continue;
        *number = (uint32_t)value;
        return value > UINT32_MAX ? LOCKSTEP_E_BAD_FORMAT : 0;
    }
    return LOCKSTEP_E_BAD_FORMAT;
}

static int unpack(const uint8_t *at, const uint8_t *end, uint32_t *buckets)
{
    unsigned next = 0;

    while (at < end) {
        uint32_t empty, count;

        if (take_number(&at, end, &empty) < 0 || take_number(&at, end, &count) < 0 || count == 0 ||
            empty >= LANE_STATS_SLOT_BUCKETS - next)
            return LOCKSTEP_E_BAD_FORMAT;
        next += empty;
        buckets[next++] = count;
    }
    return 0;
}

int history_histogram_unpack(const void *bytes, size_t length, uint32_t buckets[LANE_STATS_SLOT_BUCKETS])
{
    const uint8_t *at = bytes;
    int result;

    memset(buckets, 0, LANE_STATS_SLOT_BUCKETS * sizeof *buckets);
    result = length ? unpack(at, at + length, buckets) : 0;
    if (result < 0)
        memset(buckets, 0, LANE_STATS_SLOT_BUCKETS * sizeof *buckets);
    return result;
}
