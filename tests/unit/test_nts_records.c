/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "clock/nts_records.h"

static uint8_t buffer[4096];
static struct nts_writer writer;

static void begin(void)
{
    writer = (struct nts_writer){.bytes = buffer, .size = sizeof buffer};
}

static int parse(struct nts_message *message)
{
    uint8_t *exact = malloc(writer.length ? writer.length : 1); /* the address sanitizer watches its end */
    int err;

    memcpy(exact, buffer, writer.length);
    err = nts_message_parse(exact, writer.length, message);
    free(exact);
    return err;
}

static int parse_with_end(struct nts_message *message)
{
    nts_write(&writer, true, NTS_RECORD_END, NULL, 0);
    return parse(message);
}

static void a_request_is_what_the_standard_asks_for(void **state)
{
    static const uint8_t expected[] = {0x80, 1, 0, 2, 0, 0, 0x80, 4, 0, 2, 0, 15, 0x80, 0, 0, 0};
    struct nts_message message;

    (void)state;
    begin();
    nts_write_request(&writer);
    assert_int_equal(writer.length, sizeof expected);
    assert_memory_equal(buffer, expected, sizeof expected);
    assert_int_equal(nts_message_length(buffer, sizeof expected, NTS_REQUEST_MAX), sizeof expected);
    assert_int_equal(parse(&message), 0);
    assert_true(message.has_protocols && message.ntpv4 && message.has_aeads && message.aes_siv);
    assert_int_equal(message.error, NTS_ERROR_NONE);
    assert_int_equal(message.unknown, -1);
}

static void a_response_is_taken_apart(void **state)
{
    struct nts_message message;
    uint8_t cookie[NTS_COOKIE_MAX + 1] = {7};

    (void)state;
    begin();
    nts_write_u16(&writer, true, NTS_RECORD_PROTOCOLS, 0);
    nts_write_u16(&writer, false, NTS_RECORD_AEADS, 15);
    nts_write(&writer, true, NTS_RECORD_SERVER, "ntp-1.example", 13);
    nts_write_u16(&writer, true, NTS_RECORD_PORT, 11123);
    nts_write(&writer, false, NTS_RECORD_COOKIE, cookie, 1);
    nts_write(&writer, false, NTS_RECORD_COOKIE, cookie, 0);
    nts_write(&writer, false, NTS_RECORD_COOKIE, cookie, sizeof cookie); /* too long: left out */
    nts_write(&writer, false, 0x1234, cookie, 9);                        /* not critical */
    for (int i = 0; i < 9; i++)
        nts_write(&writer, false, NTS_RECORD_COOKIE, cookie, 100);
    assert_int_equal(parse_with_end(&message), 0);
    assert_string_equal(message.server, "ntp-1.example");
    assert_int_equal(message.port, 11123);
    assert_int_equal(message.cookie_count, NTS_COOKIES_MAX);
    assert_int_equal(message.cookies[0].length, 1);
    assert_int_equal(message.cookies[1].length, 100);
    assert_int_equal(message.unknown, -1);
}

static void errors_warnings_and_unknown_records_are_told(void **state)
{
    struct nts_message message;

    (void)state;
    begin();
    nts_write_u16(&writer, true, NTS_RECORD_ERROR, 2);
    nts_write_u16(&writer, true, NTS_RECORD_WARNING, 77);
    nts_write_u16(&writer, true, 0x4321, 0);
    nts_write_u16(&writer, true, 0x4322, 0);
    assert_int_equal(parse_with_end(&message), 0);
    assert_int_equal(message.error, NTS_ERROR_INTERNAL);
    assert_int_equal(message.warning, 77);
    assert_int_equal(message.unknown, 0x4321);
}

static void assert_refused(enum nts_record_type type, const void *body, size_t length)
{
    struct nts_message message;

    begin();
    nts_write(&writer, true, type, body, length);
    assert_int_equal(parse_with_end(&message), LOCKSTEP_E_BAD_FORMAT);
}

static void records_of_a_wrong_form_are_refused(void **state)
{
    struct nts_message message;
    char name[300];

    (void)state;
    memset(name, 'a', sizeof name);
    assert_refused(NTS_RECORD_PROTOCOLS, "abc", 3);
    assert_refused(NTS_RECORD_AEADS, "abc", 3);
    assert_refused(NTS_RECORD_ERROR, "a", 1);
    assert_refused(NTS_RECORD_WARNING, "", 0);
    assert_refused(NTS_RECORD_PORT, "abc", 3);
    assert_refused(NTS_RECORD_PORT, "\0\0", 2);
    assert_refused(NTS_RECORD_SERVER, "", 0);
    assert_refused(NTS_RECORD_SERVER, name, 256);
    assert_refused(NTS_RECORD_SERVER, "a b", 3);
    assert_refused(NTS_RECORD_SERVER, "a\0b", 3);
    assert_refused(NTS_RECORD_SERVER, "../../x", 7);
    assert_refused(NTS_RECORD_END, "a", 1);
    /* Twice. */
    begin();
    nts_write_u16(&writer, true, NTS_RECORD_PROTOCOLS, 0);
    nts_write_u16(&writer, true, NTS_RECORD_PROTOCOLS, 0);
    assert_int_equal(parse_with_end(&message), LOCKSTEP_E_BAD_FORMAT);
    /* Without an end, and behind it. */
    begin();
    assert_int_equal(parse(&message), LOCKSTEP_E_BAD_FORMAT);
    nts_write_u16(&writer, true, NTS_RECORD_PROTOCOLS, 0);
    assert_int_equal(parse(&message), LOCKSTEP_E_BAD_FORMAT);
    nts_write(&writer, true, NTS_RECORD_END, NULL, 0);
    nts_write_u16(&writer, true, NTS_RECORD_PORT, 9);
    assert_int_equal(parse(&message), LOCKSTEP_E_BAD_FORMAT);
}

static void the_end_is_found_wherever_the_message_is_cut(void **state)
{
    (void)state;
    begin();
    nts_write_request(&writer);
    for (size_t length = 0; length < writer.length; length++)
        assert_int_equal(nts_message_length(buffer, length, NTS_REQUEST_MAX), 0);
    assert_int_equal(nts_message_length(buffer, writer.length + 5, NTS_REQUEST_MAX), writer.length);
    assert_int_equal(nts_message_length(buffer, writer.length, writer.length - 1), LOCKSTEP_E_BAD_FORMAT);
    /* A record that cannot fit is known before it is there. */
    memcpy(buffer, "\0\5\xff\xff", 4);
    assert_int_equal(nts_message_length(buffer, 4, NTS_REQUEST_MAX), LOCKSTEP_E_BAD_FORMAT);
    assert_int_equal(nts_message_length(buffer, 4, 70000), 0);
    /* Records without an end. */
    memset(buffer, 0, sizeof buffer);
    for (size_t i = 0; i < sizeof buffer; i += 4)
        buffer[i + 1] = 9;
    assert_int_equal(nts_message_length(buffer, 2048, 2048), LOCKSTEP_E_BAD_FORMAT);
}

static void a_full_writer_says_so(void **state)
{
    (void)state;
    begin();
    writer.size = 10;
    nts_write_u16(&writer, true, NTS_RECORD_PORT, 9);
    assert_false(writer.overflow);
    nts_write_u16(&writer, true, NTS_RECORD_PORT, 9);
    assert_true(writer.overflow);
    assert_int_equal(writer.length, 6);
    nts_write(&writer, true, NTS_RECORD_END, NULL, 0);
    assert_int_equal(writer.length, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_what_the_standard_asks_for),
        cmocka_unit_test(a_response_is_taken_apart),
        cmocka_unit_test(errors_warnings_and_unknown_records_are_told),
        cmocka_unit_test(records_of_a_wrong_form_are_refused),
        cmocka_unit_test(the_end_is_found_wherever_the_message_is_cut),
        cmocka_unit_test(a_full_writer_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
