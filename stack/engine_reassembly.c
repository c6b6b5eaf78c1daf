/* SPDX-License-Identifier: BSD-2-Clause */
/* Reassembly of fragmented datagrams, bounded: at most DATAGRAMS at a time, each in one block; the oldest makes room.
 * Overlapping fragments void their datagram (RFC 5722, and as Linux does for IPv4). */
#include "stack/engine_private.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"

#define DATAGRAMS 64
#define LIFETIME  (30 * SECOND)
#define BYTES_MAX 65535
#define UNITS     (BYTES_MAX / 8 + 1)
#define WORD_BITS 64

struct partial {
    bool used;
    struct packet first; /* of whichever fragment came first; header fields of the one at offset 0 */
    uint64_t since_ns;
    uint32_t total;    /* 0: the last fragment is not there yet */
    uint32_t received; /* bytes */
    uint8_t *data;
    uint64_t units[(UNITS + WORD_BITS - 1) / WORD_BITS];
};

struct reassembly {
    unsigned count;
    struct partial partial[DATAGRAMS];
};

int reassembly_init(struct engine *engine)
{
    engine->reassembly = pool_pages_alloc(sizeof(struct reassembly));
    return engine->reassembly ? 0 : -ENOMEM;
}

static void drop(struct engine *engine, struct partial *partial)
{
    pool_free(partial->data);
    partial->data = NULL;
    partial->used = false;
    engine->reassembly->count--;
}

void reassembly_fini(struct engine *engine)
{
    if (!engine->reassembly)
        return;
    for (unsigned i = 0; i < DATAGRAMS; i++)
        pool_free(engine->reassembly->partial[i].data);
    reassembly_forget(engine);
}

void reassembly_forget(struct engine *engine)
{
    pool_pages_free(engine->reassembly, sizeof(struct reassembly));
    engine->reassembly = NULL;
}

static bool same_datagram(const struct packet *a, const struct packet *b)
{
    return a->fragment_id == b->fragment_id && a->ipv6 == b->ipv6 && (a->ipv6 || a->protocol == b->protocol) &&
           net_addr_equal(&a->source, &b->source) && net_addr_equal(&a->destination, &b->destination);
}

/* The datagram that the fragment belongs to, or a fresh one. */
static struct partial *find(struct engine *engine, const struct packet *fragment)
{
    struct partial *place = NULL;
    for (unsigned i = 0; i < DATAGRAMS; i++) {
        struct partial *partial = &engine->reassembly->partial[i];
        if (partial->used && engine->now_ns - partial->since_ns > LIFETIME)
            drop(engine, partial);
        if (partial->used && same_datagram(&partial->first, fragment))
            return partial;
        if (!place || !partial->used || (place->used && partial->since_ns < place->since_ns))
            place = partial;
    }
    if (place->used)
        drop(engine, place);
    uint8_t *data = pool_alloc(BYTES_MAX + 1);
    if (!data)
        return NULL;
    memset(place, 0, sizeof(*place));
    place->used = true;
    place->first = *fragment;
    place->since_ns = engine->now_ns;
    place->data = data;
    engine->reassembly->count++;
    return place;
}

/* Marks [offset, end) as received. 0 fresh, 1 all of it was there (a duplicate), -1 overlap. */
static int mark(struct partial *partial, uint32_t offset, uint32_t end)
{
    unsigned fresh = 0, old = 0;
    for (uint32_t unit = offset / 8; unit < (end + 7) / 8; unit++) {
        uint64_t bit = 1ull << (unit % WORD_BITS);
        if (partial->units[unit / WORD_BITS] & bit)
            old++;
        else
            fresh++;
        partial->units[unit / WORD_BITS] |= bit;
    }
    return old == 0 ? 0 : fresh == 0 ? 1 : -1;
}

int reassembly_add(struct engine *engine, const struct packet *fragment, struct packet *whole, void **datagram)
{
    uint32_t offset = fragment->fragment_offset, length = fragment->transport_length, end = offset + length;
    if (length == 0 || end > BYTES_MAX || (fragment->more_fragments && length % 8 != 0))
        return LOCKSTEP_E_BAD_FORMAT;
    struct partial *partial = find(engine, fragment);
    if (!partial)
        return -ENOMEM;
    bool last = !fragment->more_fragments;
    bool contradicts =
        last ? partial->total != 0 && partial->total != end : partial->total != 0 && end > partial->total;
    int marked = contradicts ? -1 : mark(partial, offset, end);
    if (marked < 0) {
        drop(engine, partial);
        return LOCKSTEP_E_BAD_FORMAT;
    }
    if (marked > 0)
        return 0;
    memcpy(partial->data + offset, fragment->transport, length);
    partial->received += length;
    if (offset == 0)
        partial->first = *fragment;
    if (last)
        partial->total = end;
    if (partial->total == 0 || partial->received < partial->total)
        return 0;
    if (partial->received > partial->total) {
        drop(engine, partial);
        return LOCKSTEP_E_BAD_FORMAT;
    }
    *whole = partial->first;
    whole->transport = partial->data;
    whole->transport_length = partial->total;
    whole->fragment = whole->more_fragments = false;
    *datagram = partial;
    return 1;
}

void reassembly_release(struct engine *engine, void *datagram)
{
    drop(engine, datagram);
}
