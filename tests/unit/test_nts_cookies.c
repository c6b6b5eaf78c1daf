/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "clock/nts_cookies.h"
#include "clock/private_file.h"

#define NS_PER_S 1000000000ll
#define DAY_NS   (86400 * NS_PER_S)
#define UTC_S    1800000000ll

static char dir[] = "/tmp/lockstep-cookies-XXXXXX";
static char path[64];

static int set_up(void **state)
{
    (void)state;
    log_init("test", LOG_LEVEL_ERROR); /* the warnings are expected */
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/keys", dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir); /* fails if something else was left */
}

static struct nts_cookies *open_at(const char *file, int64_t now_ns, int64_t utc_s)
{
    struct nts_cookies *cookies = NULL;
    char problem[NTS_COOKIES_PROBLEM_MAX];

    if (nts_cookies_create(file, DAY_NS, now_ns, utc_s, &cookies, problem) < 0)
        fail_msg("%s", problem);
    return cookies;
}

static const struct nts_keys some = {{1, 2, 3}, {4, 5, 6}};

static int reopen(const struct nts_cookies *cookies, const uint8_t *cookie)
{
    struct nts_keys keys;
    int err = nts_cookies_open(cookies, cookie, NTS_COOKIE_LENGTH, &keys);

    if (err == 0)
        assert_memory_equal(&keys, &some, sizeof keys);
    return err;
}

static void a_cookie_gives_its_keys_back(void **state)
{
    struct nts_cookies *cookies = open_at(NULL, 0, UTC_S), *other = open_at(NULL, 0, UTC_S);
    uint8_t cookie[NTS_COOKIE_LENGTH], second[NTS_COOKIE_LENGTH];
    struct nts_keys keys;

    (void)state;
    nts_cookies_make(cookies, &some, cookie);
    nts_cookies_make(cookies, &some, second);
    assert_memory_not_equal(cookie + 4, second + 4, 16); /* nobody can link them */
    assert_int_equal(reopen(cookies, cookie), 0);
    assert_int_equal(reopen(cookies, second), 0);
    assert_int_equal(reopen(other, cookie), LOCKSTEP_E_GONE);
    assert_int_equal(nts_cookies_open(cookies, cookie, NTS_COOKIE_LENGTH - 1, &keys), LOCKSTEP_E_BAD_FORMAT);
    for (size_t bit = 0; bit < NTS_COOKIE_LENGTH * 8; bit++) {
        cookie[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(reopen(cookies, cookie), LOCKSTEP_E_GONE);
        cookie[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    nts_cookies_destroy(cookies);
    nts_cookies_destroy(other);
}

static void many_cookies_all_differ(void **state)
{
    enum { COUNT = 500 };
    static uint8_t cookie[COUNT][NTS_COOKIE_LENGTH];
    struct nts_cookies *cookies = open_at(NULL, 0, UTC_S);

    (void)state;
    for (int i = 0; i < COUNT; i++) {
        nts_cookies_make(cookies, &some, cookie[i]);
        for (int earlier = 0; earlier < i; earlier++)
            assert_memory_not_equal(cookie[earlier] + 4, cookie[i] + 4, 16);
    }
    nts_cookies_destroy(cookies);
}

static void cookies_outlive_three_rotations(void **state)
{
    struct nts_cookies *cookies = open_at(path, 0, UTC_S);
    uint8_t cookie[NTS_COOKIE_LENGTH];

    (void)state;
    nts_cookies_make(cookies, &some, cookie);
    assert_int_equal(nts_cookies_run(cookies, DAY_NS - 1, UTC_S + 86399), DAY_NS);
    for (int day = 1; day <= 3; day++) {
        assert_int_equal(nts_cookies_run(cookies, day * DAY_NS, UTC_S + day * 86400), (day + 1) * DAY_NS);
        assert_int_equal(reopen(cookies, cookie), 0);
    }
    nts_cookies_run(cookies, 4 * DAY_NS, UTC_S + 4 * 86400);
    assert_int_equal(reopen(cookies, cookie), LOCKSTEP_E_GONE);
    nts_cookies_destroy(cookies);
    unlink(path);
}

static void a_restart_keeps_cookies_and_ages(void **state)
{
    struct nts_cookies *cookies = open_at(path, 5, UTC_S);
    uint8_t cookie[NTS_COOKIE_LENGTH];
    struct stat status;

    (void)state;
    nts_cookies_make(cookies, &some, cookie);
    nts_cookies_destroy(cookies);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);

    cookies = open_at(path, 100, UTC_S + 3600);
    assert_int_equal(reopen(cookies, cookie), 0);
    assert_int_equal(nts_cookies_run(cookies, 100, UTC_S + 3600), 100 + DAY_NS - 3600 * NS_PER_S);
    nts_cookies_destroy(cookies);

    /* Two days later the key is old, but opens. */
    cookies = open_at(path, 100, UTC_S + 2 * 86400);
    assert_int_equal(nts_cookies_run(cookies, 100, UTC_S + 2 * 86400), 100 + DAY_NS);
    assert_int_equal(reopen(cookies, cookie), 0);
    nts_cookies_destroy(cookies);

    /* A clock that starts in 1970 does no harm. */
    cookies = open_at(path, 100, 7);
    assert_int_equal(nts_cookies_run(cookies, 100, 7), 100 + DAY_NS);
    assert_int_equal(reopen(cookies, cookie), 0);
    nts_cookies_destroy(cookies);
    unlink(path);
}

static void a_damaged_file_is_replaced(void **state)
{
    static const char *texts[] = {
        "",
        "nts-cookie-keys 1\n",
        "nts-cookie-keys 2\n00000001 1 000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f\n",
        "nts-cookie-keys 1\n00000001 1 000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f", /* cut */
        "nts-cookie-keys 1\n00000001 1 0001020304050607\n",
        "nts-cookie-keys 1\n00000001 1 000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0fff\n",
        "nts-cookie-keys 1\nzzzzzzzz 1 000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f\n",
        "nts-cookie-keys 1\n00000001 -5 000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f\n",
    };
    struct nts_cookie_key keys[NTS_COOKIES_KEPT];
    unsigned line;

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct nts_cookies *cookies;
        char text[NTS_COOKIES_FILE_MAX];
        long length;

        assert_int_equal(nts_cookie_keys_parse(texts[i], strlen(texts[i]), keys, &line), LOCKSTEP_E_BAD_FORMAT);
        assert_int_equal(private_file_write(path, texts[i], strlen(texts[i])), 0);
        cookies = open_at(path, 0, UTC_S);
        length = private_file_read(path, 077, text, sizeof text);
        assert_true(length > 0);
        assert_int_equal(nts_cookie_keys_parse(text, (size_t)length, keys, &line), 1);
        nts_cookies_destroy(cookies);
    }
    unlink(path);
}

static void a_file_that_others_read_is_replaced(void **state)
{
    struct nts_cookies *cookies = open_at(path, 0, UTC_S);
    uint8_t cookie[NTS_COOKIE_LENGTH];
    struct stat status;

    (void)state;
    nts_cookies_make(cookies, &some, cookie);
    nts_cookies_destroy(cookies);
    assert_int_equal(chmod(path, 0640), 0);
    cookies = open_at(path, 0, UTC_S);
    assert_int_equal(reopen(cookies, cookie), LOCKSTEP_E_GONE);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    nts_cookies_destroy(cookies);
    unlink(path);
}

static void a_place_that_cannot_be_written_is_named(void **state)
{
    struct nts_cookies *cookies = NULL;
    char problem[NTS_COOKIES_PROBLEM_MAX];

    (void)state;
    assert_int_equal(nts_cookies_create("/nowhere/at/all", DAY_NS, 0, 0, &cookies, problem), -ENOENT);
    assert_null(cookies);
    assert_non_null(strstr(problem, "/nowhere/at/all: No such file"));
}

static void keys_survive_their_text_form(void **state)
{
    struct nts_cookie_key keys[NTS_COOKIES_KEPT], again[NTS_COOKIES_KEPT];
    char text[NTS_COOKIES_FILE_MAX];
    unsigned line;
    size_t length;

    (void)state;
    memset(keys, 0, sizeof keys); /* padding, too */
    memset(again, 0, sizeof again);
    for (unsigned i = 0; i < NTS_COOKIES_KEPT; i++) {
        keys[i].id = i ? 0xffffffffu - i : 0;
        keys[i].created_s = INT64_C(99999999999) * i;
        memset(keys[i].key, (int)(i * 77), NTS_KEY_LENGTH);
    }
    length = nts_cookie_keys_format(keys, NTS_COOKIES_KEPT, text, sizeof text);
    assert_true(length < sizeof text);
    assert_int_equal(nts_cookie_keys_parse(text, length, again, &line), NTS_COOKIES_KEPT);
    assert_memory_equal(keys, again, sizeof keys);
}

/* ---- fields ---- */

static void hidden_fields_are_walked(void **state)
{
    static const uint8_t good[] = {1, 2, 0, 8, 9, 9, 9, 9, 3, 4, 0, 4};
    static const uint8_t bad[][6] = {{1, 2, 0, 3, 0, 0}, {1, 2, 0, 8, 0, 0}, {1, 2, 0, 0, 0, 0}, {1, 2, 0, 6, 0, 0}};
    struct ntp_field field;
    size_t offset = 0;

    (void)state;
    assert_int_equal(nts_fields_next(good, sizeof good, &offset, &field), 1);
    assert_int_equal(field.type, 0x0102);
    assert_int_equal(field.length, 4);
    assert_int_equal(field.offset, 4);
    assert_int_equal(nts_fields_next(good, sizeof good, &offset, &field), 1);
    assert_int_equal(field.length, 0);
    assert_int_equal(nts_fields_next(good, sizeof good, &offset, &field), 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        offset = 0;
        assert_int_equal(nts_fields_next(bad[i], sizeof bad[i], &offset, &field), LOCKSTEP_E_BAD_FORMAT);
    }
    offset = 0;
    assert_int_equal(nts_fields_next(good, 3, &offset, &field), LOCKSTEP_E_BAD_FORMAT);
}

static void an_authenticator_with_wild_lengths_is_refused(void **state)
{
    static const uint16_t wild[][2] = {{0, 16}, {16, 15}, {16, 0}, {17, 17}, {65535, 16}, {16, 65535}, {65533, 65533}};
    uint8_t packet[NTP_PACKET_MAX] = {0x24}, hidden[NTP_PACKET_MAX], nonce[NTS_NONCE_LENGTH] = {3}, text[8] = "abcdefg";
    struct ntp_packet decoded;
    size_t length, hidden_length;

    (void)state;
    length = nts_fields_seal(some.s2c, nonce, packet, NTP_HEADER_LEN, sizeof packet, text, sizeof text);
    assert_int_equal(length, NTP_HEADER_LEN + 48);
    assert_int_equal(ntp_decode(packet, length, &decoded), 0);
    assert_int_equal(nts_fields_open(some.s2c, packet, &decoded, hidden, &hidden_length), 0);
    assert_int_equal(hidden_length, sizeof text);
    assert_memory_equal(hidden, text, sizeof text);
    assert_int_equal(nts_fields_open(some.c2s, packet, &decoded, hidden, &hidden_length), LOCKSTEP_E_DENIED);
    for (size_t i = 0; i < sizeof wild / sizeof wild[0]; i++) {
        packet[52] = (uint8_t)(wild[i][0] >> 8);
        packet[53] = (uint8_t)wild[i][0];
        packet[54] = (uint8_t)(wild[i][1] >> 8);
        packet[55] = (uint8_t)wild[i][1];
        assert_true(nts_fields_open(some.s2c, packet, &decoded, hidden, &hidden_length) < 0);
    }
    for (size_t size = 0; size < NTP_HEADER_LEN + 48; size++)
        assert_int_equal(nts_fields_seal(some.s2c, nonce, packet, NTP_HEADER_LEN, size, text, sizeof text), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cookie_gives_its_keys_back),
        cmocka_unit_test(many_cookies_all_differ),
        cmocka_unit_test(cookies_outlive_three_rotations),
        cmocka_unit_test(a_restart_keeps_cookies_and_ages),
        cmocka_unit_test(a_damaged_file_is_replaced),
        cmocka_unit_test(a_file_that_others_read_is_replaced),
        cmocka_unit_test(a_place_that_cannot_be_written_is_named),
        cmocka_unit_test(keys_survive_their_text_form),
        cmocka_unit_test(hidden_fields_are_walked),
        cmocka_unit_test(an_authenticator_with_wild_lengths_is_refused),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
