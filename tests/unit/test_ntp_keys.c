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
#include "clock/ntp_bytes.h"
#include "clock/ntp_keys.h"

static struct ntp_keys *parse(const char *text)
{
    struct ntp_keys *keys = NULL;
    char problem[NTP_KEYS_PROBLEM_MAX];

    if (ntp_keys_parse("keys", text, strlen(text), &keys, problem) < 0)
        fail_msg("%s", problem);
    return keys;
}

static void assert_problem(const char *text, int err, const char *expected)
{
    struct ntp_keys *keys = NULL;
    char problem[NTP_KEYS_PROBLEM_MAX];

    assert_int_equal(ntp_keys_parse("keys", text, strlen(text), &keys, problem), err);
    assert_null(keys);
    if (!strstr(problem, expected))
        fail_msg("'%s' is not in '%s'", expected, problem);
}

static void all_types_are_read(void **state)
{
    struct ntp_keys *keys = parse("# keys\n"
                                  "! and\n; more % comments\n\n"
                                  "1 MD5 ASCII:secret\n"
                                  "  2\tSHA1  HEX:00ff10  \r\n"
                                  "3 sha256 plain\n"
                                  "4 SHA384 ASCII:x\n"
                                  "4294967295 SHA512 ASCII:y\n"
                                  "6 AES128 HEX:000102030405060708090a0b0c0d0e0f\n"
                                  "5 AES256-CMAC HEX:000102030405060708090A0B0C0D0E0F000102030405060708090a0b0c0d0e0f\n"
                                  "8 only-a-key");

    (void)state;
    assert_int_equal(ntp_keys_count(keys), 8);
    for (uint32_t id = 1; id <= 6; id++)
        assert_true(ntp_keys_has(keys, id));
    assert_true(ntp_keys_has(keys, 8));
    assert_true(ntp_keys_has(keys, UINT32_MAX));
    assert_false(ntp_keys_has(keys, 0));
    assert_false(ntp_keys_has(keys, 7));
    ntp_keys_destroy(keys);
}

static void mistakes_are_named_with_their_line(void **state)
{
    char longest[700];

    (void)state;
    assert_problem("1 MD5 a\nx MD5 b\n", LOCKSTEP_E_BAD_VALUE, "keys:2: the key's identifier");
    assert_problem("0 MD5 a\n", LOCKSTEP_E_BAD_VALUE, "keys:1:");
    assert_problem("-1 MD5 a\n", LOCKSTEP_E_BAD_VALUE, "keys:1:");
    assert_problem("4294967296 MD5 a\n", LOCKSTEP_E_BAD_VALUE, "1 to 4294967295");
    assert_problem("\n7\n", LOCKSTEP_E_BAD_FORMAT, "keys:2: there is no key");
    assert_problem("1 ROT13 a\n", LOCKSTEP_E_UNKNOWN_NAME, "unknown type");
    assert_problem("1 MD5 a b\n", LOCKSTEP_E_BAD_FORMAT, "more than");
    assert_problem("1 SHA1 HEX:abc\n", LOCKSTEP_E_BAD_FORMAT, "HEX:");
    assert_problem("1 SHA1 HEX:zz\n", LOCKSTEP_E_BAD_FORMAT, "HEX:");
    assert_problem("1 SHA1 HEX:\n", LOCKSTEP_E_BAD_FORMAT, "HEX:");
    assert_problem("1 SHA1 ASCII:\n", LOCKSTEP_E_BAD_VALUE, "1 to 128 bytes");
    assert_problem("1 AES128 HEX:00\n", LOCKSTEP_E_BAD_VALUE, "AES128 has 16 bytes, this one has 1");
    assert_problem("9 MD5 a\n1 MD5 b\n9 SHA1 c\n", LOCKSTEP_E_CONFLICT, "keys:3: key 9 was given in line 1");
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_problem(longest, LOCKSTEP_E_BAD_FORMAT, "keys:1: the line is longer");
    memcpy(longest, "1 SHA1 HEX:", 11);
    longest[400] = '\0';
    assert_problem(longest, LOCKSTEP_E_BAD_VALUE, "longer than 128");
}

static void no_secret_is_in_a_message(void **state)
{
    struct ntp_keys *keys;
    char problem[NTP_KEYS_PROBLEM_MAX];
    const char *text = "1 AES128 ASCII:geheim\n";

    (void)state;
    assert_true(ntp_keys_parse("keys", text, strlen(text), &keys, problem) < 0);
    assert_null(strstr(problem, "geheim"));
}

static void too_many_keys_are_refused(void **state)
{
    char *text = malloc(32 * (NTP_KEYS_MAX + 1)), *at = text;

    (void)state;
    for (int i = 0; i <= NTP_KEYS_MAX; i++)
        at += sprintf(at, "%d MD5 a\n", NTP_KEYS_MAX + 1 - i);
    assert_problem(text, LOCKSTEP_E_EXHAUSTED, "keys:1025: more than 1024");
    free(text);
}

/* RFC 4493, section 4, example 4: the CMAC of 64 bytes. */
static void cmac_is_that_of_the_standard(void **state)
{
    static const uint8_t message[64] = {0x6b, 0xc1, 0xbe, 0xe2, 0x2e, 0x40, 0x9f, 0x96, 0xe9, 0x3d, 0x7e, 0x11, 0x73,
                                        0x93, 0x17, 0x2a, 0xae, 0x2d, 0x8a, 0x57, 0x1e, 0x03, 0xac, 0x9c, 0x9e, 0xb7,
                                        0x6f, 0xac, 0x45, 0xaf, 0x8e, 0x51, 0x30, 0xc8, 0x1c, 0x46, 0xa3, 0x5c, 0xe4,
                                        0x11, 0xe5, 0xfb, 0xc1, 0x19, 0x1a, 0x0a, 0x52, 0xef, 0xf6, 0x9f, 0x24, 0x45,
                                        0xdf, 0x4f, 0x9b, 0x17, 0xad, 0x2b, 0x41, 0x7b, 0xe6, 0x6c, 0x37, 0x10};
    static const uint8_t tag[16] = {0x51, 0xf0, 0xbe, 0xbf, 0x7e, 0x3b, 0x9d, 0x92,
                                    0xfc, 0x49, 0x74, 0x17, 0x79, 0x36, 0x3c, 0xfe};
    struct ntp_keys *keys = parse("77 AES128 HEX:2b7e151628aed2a6abf7158809cf4f3c\n");
    uint8_t packet[84];

    (void)state;
    memcpy(packet, message, sizeof message);
    assert_int_equal(ntp_keys_seal(keys, 77, packet, 64, sizeof packet), 84);
    assert_int_equal(ntp_get_u32(packet + 64), 77);
    assert_memory_equal(packet + 68, tag, sizeof tag);
    assert_int_equal(ntp_keys_seal(keys, 77, packet, 64, 83), 0);
    assert_int_equal(ntp_keys_seal(keys, 78, packet, 64, sizeof packet), 0);
    ntp_keys_destroy(keys);
}

/* MD5 of "abc" and SHA-1 of "abc" (RFC 1321, FIPS 180), with "a" as the key and "bc" as the packet. */
static void digests_cover_key_and_packet(void **state)
{
    static const uint8_t md5[16] = {0x90, 0x01, 0x50, 0x98, 0x3c, 0xd2, 0x4f, 0xb0,
                                    0xd6, 0x96, 0x3f, 0x7d, 0x28, 0xe1, 0x7f, 0x72};
    static const uint8_t sha1[20] = {0xa9, 0x99, 0x3e, 0x36, 0x47, 0x06, 0x81, 0x6a, 0xba, 0x3e,
                                     0x25, 0x71, 0x78, 0x50, 0xc2, 0x6c, 0x9c, 0xd0, 0xd8, 0x9d};
    /* SHA-256 of "abc", cut. */
    static const uint8_t sha256[20] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41,
                                       0x40, 0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3};
    struct ntp_keys *keys = parse("1 MD5 a\n2 SHA1 ASCII:a\n3 SHA256 HEX:61\n");
    uint8_t packet[64] = "bc";

    (void)state;
    assert_int_equal(ntp_keys_seal(keys, 1, packet, 2, sizeof packet), 2 + 20);
    assert_memory_equal(packet + 6, md5, sizeof md5);
    assert_int_equal(ntp_keys_seal(keys, 2, packet, 2, sizeof packet), 2 + 24);
    assert_memory_equal(packet + 6, sha1, sizeof sha1);
    assert_int_equal(ntp_keys_seal(keys, 3, packet, 2, sizeof packet), 2 + 24);
    assert_memory_equal(packet + 6, sha256, sizeof sha256);
    ntp_keys_destroy(keys);
}

static void every_changed_bit_is_found(void **state)
{
    static const char *types[] = {"MD5 k",    "SHA1 k",   "SHA256 k",
                                  "SHA384 k", "SHA512 k", "AES128 HEX:000102030405060708090a0b0c0d0e0f"};
    char text[128];

    (void)state;
    for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) {
        struct ntp_keys *keys;
        uint8_t packet[80] = {0x23};
        uint32_t id = 0;
        size_t length;

        snprintf(text, sizeof text, "5 %s\n", types[t]);
        keys = parse(text);
        length = ntp_keys_seal(keys, 5, packet, 48, sizeof packet);
        assert_int_equal(ntp_keys_check(keys, packet, 48, length - 48, &id), 0);
        assert_int_equal(id, 5);
        for (size_t bit = 0; bit < length * 8; bit++) {
            packet[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_int_equal(ntp_keys_check(keys, packet, 48, length - 48, &id), LOCKSTEP_E_DENIED);
            packet[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        /* A shorter digest, even a right one, is none. */
        for (size_t cut = 0; cut < length - 48; cut++)
            assert_int_equal(ntp_keys_check(keys, packet, 48, cut, &id), LOCKSTEP_E_DENIED);
        ntp_keys_destroy(keys);
    }
}

static void an_association_takes_its_own_key_only(void **state)
{
    struct ntp_keys *keys = parse("1 SHA1 one\n2 SHA1 two\n");
    struct ntp_auth *auth = ntp_keys_auth(keys, 1);
    uint8_t packet[128] = {0x24};
    struct ntp_packet decoded;
    size_t length;

    (void)state;
    assert_null(ntp_keys_auth(keys, 3));
    assert_string_equal(auth->ops->name, "key");
    assert_true(auth->ops->ready(auth));
    length = auth->ops->seal(auth, packet, 48, sizeof packet);
    assert_int_equal(length, 72);
    assert_int_equal(ntp_decode(packet, length, &decoded), 0);
    assert_int_equal(auth->ops->check(auth, packet, length, &decoded), 0);

    length = ntp_keys_seal(keys, 2, packet, 48, sizeof packet);
    assert_int_equal(ntp_decode(packet, length, &decoded), 0);
    assert_int_equal(auth->ops->check(auth, packet, length, &decoded), LOCKSTEP_E_DENIED);

    assert_int_equal(ntp_decode(packet, 48, &decoded), 0);
    assert_int_equal(auth->ops->check(auth, packet, 48, &decoded), LOCKSTEP_E_DENIED);

    memset(packet + 48, 0, 4);
    assert_int_equal(ntp_decode(packet, 52, &decoded), 0);
    assert_int_equal(auth->ops->check(auth, packet, 52, &decoded), LOCKSTEP_E_GONE);
    auth->ops->destroy(auth);
    ntp_keys_destroy(keys);
}

static void weak_keys_are_taken_with_a_warning(void **state)
{
    static const char text[] = "1 SHA1 ASCII:short\n2 MD5 ASCII:long-enough-a-key\n3 SHA1 ASCII:long-enough\n";
    char path[] = "/tmp/lockstep-keys-XXXXXX", problem[NTP_KEYS_PROBLEM_MAX], words[1024] = "";
    struct ntp_keys *keys = NULL;
    int fd = mkstemp(path), log[2];

    (void)state;
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    assert_int_equal(pipe(log), 0);
    log_set_fd(log[1]);
    assert_int_equal(ntp_keys_load(path, &keys, problem), 0);
    log_set_fd(2);
    assert_true(read(log[0], words, sizeof words - 1) > 0);
    assert_non_null(strstr(words, ":1: key 1 has only 5 bytes"));
    assert_non_null(strstr(words, ":2: key 2 is of type MD5"));
    assert_null(strstr(words, "key 3"));
    assert_null(strstr(words, "short"));
    assert_int_equal(ntp_keys_count(keys), 3);
    ntp_keys_destroy(keys);
    close(log[0]);
    close(log[1]);
    close(fd);
    unlink(path);
}

static void files_that_everybody_reads_are_refused(void **state)
{
    char path[] = "/tmp/lockstep-keys-XXXXXX", problem[NTP_KEYS_PROBLEM_MAX];
    struct ntp_keys *keys = NULL;
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "3 SHA1 long-enough\n", 19), 19);
    assert_int_equal(fchmod(fd, 0640), 0);
    assert_int_equal(ntp_keys_load(path, &keys, problem), 0);
    assert_true(ntp_keys_has(keys, 3));
    ntp_keys_destroy(keys);

    assert_int_equal(fchmod(fd, 0644), 0);
    assert_int_equal(ntp_keys_load(path, &keys, problem), LOCKSTEP_E_DENIED);
    assert_non_null(strstr(problem, path));
    close(fd);
    unlink(path);

    assert_int_equal(ntp_keys_load(path, &keys, problem), -ENOENT);
    assert_non_null(strstr(problem, "No such file"));
    assert_true(ntp_keys_load("/tmp", &keys, problem) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_types_are_read),
        cmocka_unit_test(mistakes_are_named_with_their_line),
        cmocka_unit_test(no_secret_is_in_a_message),
        cmocka_unit_test(too_many_keys_are_refused),
        cmocka_unit_test(cmac_is_that_of_the_standard),
        cmocka_unit_test(digests_cover_key_and_packet),
        cmocka_unit_test(every_changed_bit_is_found),
        cmocka_unit_test(an_association_takes_its_own_key_only),
        cmocka_unit_test(weak_keys_are_taken_with_a_warning),
        cmocka_unit_test(files_that_everybody_reads_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
