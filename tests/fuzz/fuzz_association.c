/* SPDX-License-Identifier: BSD-2-Clause */
/* A live association under altered replies: the input is a list of deeds. Whatever comes, an exchange is only ever
 * given out for a request that was made, once, with its stamps in order; and nothing without a request's random numbers
 * changes anything. */
#include <string.h>

#include "clock/association.h"
#include "clock/ntp_bytes.h"
#include "fuzz.h"

#define UTC          1795000000000000000ll
#define REQUESTS_MAX 256

struct input {
    const uint8_t *data;
    size_t left;
};

struct world {
    struct input input;
    struct association *association;
    int64_t now_ns;
    uint64_t random;
    struct ntp_header asked[REQUESTS_MAX];
    unsigned asked_count;
    unsigned given;
};

static uint8_t take(struct input *input)
{
    if (input->left == 0)
        return 0;
    input->left--;
    return *input->data++;
}

static void check_event(struct world *world, enum association_event event, const struct association_sample *sample)
{
    if (event != ASSOCIATION_SAMPLE)
        return;
    fuzz_require(sample->tf >= sample->ta && sample->te_utc_ns >= sample->tb_utc_ns);
    fuzz_require(++world->given <= world->asked_count);
}

static void ask(struct world *world)
{
    uint8_t random[24], packet[NTP_PACKET_MAX];
    struct ntp_packet decoded;
    uint64_t ticket;
    size_t length;

    for (size_t i = 0; i < sizeof random; i++)
        random[i] = (uint8_t)((world->random = world->random * 6364136223846793005u + 1) >> 56);
    length = association_request(world->association, world->now_ns, random, packet, &ticket);
    if (length == 0 || world->asked_count == REQUESTS_MAX)
        return;
    fuzz_require(ntp_decode(packet, length, &decoded) == 0);
    world->asked[world->asked_count++] = decoded.header;
    association_sent(world->association, ticket, (uint64_t)world->now_ns, (uint64_t)world->now_ns + 1000, 1);
}

static void stamp(struct world *world)
{
    uint8_t which = take(&world->input);
    struct association_sample sample;

    if (which < world->asked_count)
        check_event(world,
                    association_stamped(world->association, world->asked[which].transmit,
                                        (uint64_t)world->now_ns - take(&world->input), which, &sample),
                    &sample);
}

/* A good reply to one of the requests, with as many bytes changed as the input says. */
static size_t make_reply(struct world *world, uint8_t packet[256])
{
    uint8_t which = take(&world->input), kind = take(&world->input), changes = take(&world->input) % 8;
    struct ntp_header reply = {.version = 4, .mode = NTP_MODE_SERVER, .stratum = 1, .reference_id = 1};
    size_t length = NTP_HEADER_LEN + (kind & 0x40 ? take(&world->input) : 0u);

    if (world->asked_count > 0) {
        const struct ntp_header *asked = &world->asked[world->asked_count - 1 - which % world->asked_count];

        reply.origin = kind & 1 ? asked->receive : asked->transmit;
    }
    reply.receive = ntp_from_utc_ns(UTC + world->now_ns);
    reply.transmit = ntp_from_utc_ns(UTC + world->now_ns + (kind & 2 ? -50000 : 5000));
    reply.stratum = kind & 0x80 ? 0 : 1;
    memset(packet, kind, 256);
    ntp_encode(&reply, packet);
    length = length > 256 ? 256 : length;
    while (changes-- > 0)
        packet[take(&world->input) % length] ^= take(&world->input);
    return kind & 0x20 ? length - 1 : length;
}

static bool was_asked(const struct world *world, const uint8_t *packet, size_t length)
{
    uint64_t origin = length >= NTP_HEADER_LEN ? ntp_get_u64(packet + 24) : 0;

    for (unsigned i = 0; i < world->asked_count; i++)
        if (origin != 0 && (world->asked[i].transmit == origin || world->asked[i].receive == origin))
            return true;
    return false;
}

static void receive(struct world *world)
{
    struct association_status before, after;
    struct association_sample sample;
    enum association_event event;
    uint8_t packet[256];
    size_t length = make_reply(world, packet);

    association_get(world->association, &before);
    event = association_received(world->association, world->now_ns, UTC + world->now_ns, packet, length,
                                 (uint64_t)world->now_ns + 100000, 1, take(&world->input), &sample);
    association_get(world->association, &after);
    check_event(world, event, &sample);
    fuzz_require(after.received == before.received + 1);
    if (was_asked(world, packet, length))
        return;
    fuzz_require(event == ASSOCIATION_NOTHING);
    after.received = before.received;
    memcpy(after.dropped, before.dropped, sizeof after.dropped);
    fuzz_require(!memcmp(&before, &after, sizeof after));
}

static void do_something(struct world *world)
{
    uint8_t deed = take(&world->input);
    struct association_feedback feedback = {deed & 8, deed & 16, deed & 32, deed & 64};
    struct association_sample sample;
    enum association_event event;

    switch (deed % 8) {
    case 0:
    case 1:
        world->now_ns = association_deadline(world->association) == INT64_MAX
                            ? world->now_ns + 1
                            : association_deadline(world->association);
        ask(world);
        break;
    case 2:
        stamp(world);
        break;
    case 3:
        while ((event = association_expire(world->association, world->now_ns, &sample)) != ASSOCIATION_NOTHING)
            check_event(world, event, &sample);
        break;
    case 4:
        feedback.refused = feedback.refused && world->given > 0;
        association_feedback(world->association, &feedback);
        break;
    case 5:
        if (deed & 128)
            association_restart(world->association, world->now_ns, deed & 64);
        else
            association_unreachable(world->association);
        break;
    default:
        receive(world);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world world = {.input = {data, size}, .now_ns = 1000000000, .random = size};
    uint8_t kind = take(&world.input);
    struct association_config config = {
        .poll_min_log2 = (kind & 15) - 4, .poll_max_log2 = 17, .burst = kind & 16, .interleaved = kind & 32};
    struct association_status status;

    world.association = association_create(&config, world.now_ns);
    fuzz_require(world.association != NULL);
    while (world.input.left > 0)
        do_something(&world);
    association_get(world.association, &status);
    fuzz_require(status.poll_log2 >= config.poll_min_log2 && status.poll_log2 <= config.poll_max_log2);
    fuzz_require(status.sent >= world.asked_count);
    association_destroy(world.association);
    return 0;
}
