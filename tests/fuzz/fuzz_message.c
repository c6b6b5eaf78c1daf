/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as a datagram, as a stream of messages in pieces, as an echo message, and as a raw log. The first two bytes
 * choose the size of the messages and of the pieces. */
#include "testbed/message.h"

#include <stdio.h>
#include <string.h>

#include "testbed/echo.h"
#include "testbed/raw_log.h"
#include "tests/fuzz/fuzz.h"

static void as_datagram(const struct message_schedule *schedule, const uint8_t *data, size_t size)
{
    struct message message;

    fuzz_require(message_peek_type(data, size) <= UINT16_MAX);
    if (size < message_header_size(schedule->length) || message_decode(schedule, data, 7, &message))
        return;
    fuzz_require(message.run == schedule->run && message.type == schedule->type && message.length == schedule->length);
    fuzz_require(message.planned_ns == message_planned_ns(schedule, message.sequence));
    (void)message_intact(schedule, data, 0);
}

static void as_stream(const struct message_schedule *schedule, size_t piece, const uint8_t *data, size_t size)
{
    struct message_stream stream;
    struct message message;
    size_t whole = 0, all = size;

    message_stream_init(&stream, schedule);
    while (size) {
        size_t part = piece < size ? piece : size;

        while (part) {
            size_t used;
            int64_t first;
            enum message_outcome outcome = message_stream_feed(&stream, data, part, 1, &used, &message, &first);

            fuzz_require(used > 0 && used <= part);
            fuzz_require(outcome != MESSAGE_MORE || used == part);
            whole += outcome != MESSAGE_MORE;
            data += used;
            part -= used;
            size -= used;
        }
    }
    fuzz_require(whole == all / schedule->length);
}

static void as_echo(const uint8_t *data, size_t size)
{
    static struct echo_record record;
    uint8_t again[ECHO_SIZE];
    struct echo echo;

    if (echo_decode(data, size, &echo))
        return;
    echo_encode(&echo, again);
    fuzz_require(memcmp(again, data, sizeof again) == 0);
    echo_record_init(&record, "peer", 0, 1000000000);
    echo_record_exchange(&record, &echo, &echo.t2);
}

static void as_raw_log(const uint8_t *data, size_t size)
{
    char problem[RAW_LOG_PROBLEM_MAX] = "";
    FILE *nowhere = fopen("/dev/null", "w");

    if (!nowhere)
        return;
    fuzz_require(raw_log_to_csv(data, size, nowhere, problem) == 0 || memcmp(problem, "raw log: ", 9) == 0);
    fclose(nowhere);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct message_schedule schedule = {.run = 1, .type = 2, .first_planned_ns = 3, .period_ns = 4, .burst = 5};

    as_echo(data, size);
    as_raw_log(data, size);
    if (size < 2)
        return 0;
    schedule.length = 10 + data[0] % 100u;
    as_datagram(&schedule, data + 2, size - 2);
    as_stream(&schedule, data[1] + 1u, data + 2, size - 2);
    return 0;
}
