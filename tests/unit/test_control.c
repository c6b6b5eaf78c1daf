/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/control.h"

#include <string.h>

#include "base/error.h"
#include "tests/unit/unit.h"

struct message {
    struct control_header header;
    char body[1024];
};

static struct message make(unsigned type)
{
    struct message message = {.header = {CONTROL_MAGIC, CONTROL_VERSION, (uint16_t)type, 7, 0}};

    return message;
}

static int parse(const struct message *message, size_t body, int is_reply)
{
    const struct control_header *header;
    const void *start;

    return control_parse(message, sizeof(message->header) + body, is_reply, &header, &start);
}

static void test_exact_length(void **unused)
{
    (void)unused;
    for (unsigned type = 0; type < CONTROL_TYPE_COUNT + 3; type++) {
        struct message message = make(type);

        for (int is_reply = 0; is_reply < 2; is_reply++) {
            int size = is_reply ? control_reply_size(type) : control_request_size(type);

            for (int length = 0; length < 600; length++)
                assert_int_equal(parse(&message, (size_t)length, is_reply), length == size ? 0 : LOCKSTEP_E_BAD_FORMAT);
        }
    }
}

static void test_every_request_has_a_size(void **unused)
{
    (void)unused;
    assert_int_equal(control_request_size(0), -1);
    assert_int_equal(control_reply_size(0), -1);
    assert_int_equal(control_request_size(CONTROL_TYPE_COUNT), -1);
    assert_int_equal(control_reply_size(UINT32_MAX), -1);
    for (unsigned type = 1; type < CONTROL_TYPE_COUNT; type++)
        assert_true(control_request_size(type) >= 0 && control_request_size(type) < 1000); /* RELOAD has no body */
}

static void test_header(void **unused)
{
    struct message message = make(CONTROL_ROUTE);
    const struct control_header *header;
    const void *body;

    (void)unused;
    for (size_t length = 0; length < sizeof(message.header); length++)
        assert_int_equal(control_parse(&message, length, 0, &header, &body), LOCKSTEP_E_BAD_FORMAT);
    assert_int_equal(control_parse(&message, sizeof(message.header) + sizeof(struct control_route), 0, &header, &body),
                     0);
    assert_ptr_equal(body, message.body);
    assert_int_equal(header->sequence, 7);
    message.header.version++;
    assert_int_equal(parse(&message, sizeof(struct control_route), 0), LOCKSTEP_E_BAD_VERSION);
    message.header.magic++;
    assert_int_equal(parse(&message, sizeof(struct control_route), 0), LOCKSTEP_E_BAD_FORMAT);
}

/* A failure may come without its body, but not cut. */
static void test_failed_reply(void **unused)
{
    struct message message = make(CONTROL_ROUTE);
    const struct control_header *header;
    const void *body;

    (void)unused;
    message.header.status = LOCKSTEP_E_NO_ROUTE;
    assert_int_equal(control_parse(&message, sizeof(message.header), 1, &header, &body), 0);
    assert_null(body);
    assert_int_equal(parse(&message, sizeof(struct control_route_reply), 1), 0);
    assert_int_equal(parse(&message, 8, 1), LOCKSTEP_E_BAD_FORMAT);
    assert_int_equal(parse(&message, 0, 0), LOCKSTEP_E_BAD_FORMAT);
    message.header.type = CONTROL_FLOW_REMOVE; /* never answered */
    assert_int_equal(parse(&message, 0, 1), LOCKSTEP_E_BAD_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact_length),
        cmocka_unit_test(test_every_request_has_a_size),
        cmocka_unit_test(test_header),
        cmocka_unit_test(test_failed_reply),
    };

    return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
