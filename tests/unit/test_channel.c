/* SPDX-License-Identifier: BSD-2-Clause */
#include "testbed/channel.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "tests/unit/unit.h"

#define KEY_ONE "00112233445566778899aabbccddeeff\n"
#define KEY_TWO "ffeeddccbbaa99887766554433221100\n"

static char problem[CHANNEL_PROBLEM_MAX];

static const char *write_key(char path[64], const char *text, mode_t mode)
{
    int fd;

    strcpy(path, "/tmp/lockstep-key-XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
    return path;
}

static int load(const char *text, mode_t mode, struct channel_credentials **out)
{
    char path[64];
    struct channel_files files = {.key_file = write_key(path, text, mode)};
    int err = channel_credentials_load(&files, out, problem);

    unlink(path);
    return err;
}

static struct channel_credentials *key(const char *text)
{
    struct channel_credentials *credentials;

    assert_int_equal(load(text, 0600, &credentials), 0);
    return credentials;
}

static void a_key_file_that_others_can_read_is_refused(void **state)
{
    struct channel_credentials *credentials;

    (void)state;
    assert_int_equal(load(KEY_ONE, 0644, &credentials), LOCKSTEP_E_DENIED);
    assert_non_null(strstr(problem, "others can read it"));
    assert_null(credentials);
}

static void a_key_must_be_long_and_hexadecimal(void **state)
{
    static const char *const bad[] = {"", "001122", "not a key at all, not a key at all", KEY_ONE "more",
                                      "00112233445566778899aabbccddeefg"};
    struct channel_credentials *credentials;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(load(bad[i], 0600, &credentials), LOCKSTEP_E_BAD_FORMAT);
        assert_non_null(strstr(problem, "hexadecimal"));
    }
}

static void a_missing_file_is_named(void **state)
{
    struct channel_files files = {.key_file = "/nowhere/key"};
    struct channel_credentials *credentials;

    (void)state;
    assert_true(channel_credentials_load(&files, &credentials, problem) < 0);
    assert_non_null(strstr(problem, "/nowhere/key"));
    files = (struct channel_files){.certificate = "/nowhere/certificate"};
    assert_int_equal(channel_credentials_load(&files, &credentials, problem), LOCKSTEP_E_BAD_VALUE);
}

/* ---- messages in bytes ---- */

static void bytes_become_messages(void **state)
{
    static const uint8_t bytes[] = {0, 0, 0, 3, CHANNEL_JSON, '{', '}', 0, 0, 0, 1, CHANNEL_DATA};
    struct channel_message message;

    (void)state;
    for (size_t length = 0; length < 7; length++)
        assert_int_equal(channel_parse(bytes, length, &message), 0);
    assert_int_equal(channel_parse(bytes, sizeof bytes, &message), 7);
    assert_int_equal(message.kind, CHANNEL_JSON);
    assert_int_equal(message.length, 2);
    assert_memory_equal(message.payload, "{}", 2);
    assert_int_equal(channel_parse(bytes + 7, sizeof bytes - 7, &message), 5);
    assert_int_equal(message.length, 0);
}

static void bytes_that_are_no_message_are_refused_early(void **state)
{
    static const uint8_t empty[] = {0, 0, 0, 0}, huge[] = {0xff, 0xff, 0xff, 0xff}, foreign[] = {0, 0, 0, 9, 77};
    struct channel_message message;

    (void)state;
    assert_int_equal(channel_parse(empty, sizeof empty, &message), LOCKSTEP_E_BAD_FORMAT);
    assert_int_equal(channel_parse(huge, sizeof huge, &message), LOCKSTEP_E_BAD_VALUE);
    assert_int_equal(channel_parse(foreign, sizeof foreign, &message), LOCKSTEP_E_BAD_FORMAT);
}

/* ---- two ends ---- */

struct ends {
    struct channel *client, *server;
    int client_end, server_end; /* what work returned last */
};

static struct ends join(const struct channel_credentials *client, const struct channel_credentials *server)
{
    struct ends ends = {0};
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    ends.client = channel_create(pair[0], false, client, "localhost");
    ends.server = channel_create(pair[1], true, server, NULL);
    assert_non_null(ends.client);
    assert_non_null(ends.server);
    return ends;
}

static void work(struct ends *ends, int turns)
{
    for (int i = 0; i < turns; i++) {
        if (ends->client_end == 0)
            ends->client_end = channel_work(ends->client);
        if (ends->server_end == 0)
            ends->server_end = channel_work(ends->server);
    }
}

static void leave(struct ends *ends)
{
    channel_destroy(ends->client);
    channel_destroy(ends->server);
}

static void the_same_key_opens_and_messages_pass_both_ways(void **state)
{
    struct channel_credentials *one = key(KEY_ONE), *other = key(KEY_ONE);
    struct ends ends = join(one, other);
    struct channel_message message;
    uint8_t *large = malloc(CHANNEL_MESSAGE_MAX);

    (void)state;
    work(&ends, 10);
    assert_true(channel_ready(ends.client) && channel_ready(ends.server));
    assert_int_equal(channel_send(ends.client, CHANNEL_JSON, "{\"type\":\"hello\"}", 16), 0);
    memset(large, 0x5a, CHANNEL_MESSAGE_MAX);
    assert_int_equal(channel_send(ends.server, CHANNEL_DATA, large, CHANNEL_MESSAGE_MAX), 0);
    assert_true(channel_events(ends.client) & POLLOUT);
    work(&ends, 2000);
    assert_true(channel_next(ends.server, &message));
    assert_int_equal(message.kind, CHANNEL_JSON);
    assert_memory_equal(message.payload, "{\"type\":\"hello\"}", 16);
    assert_false(channel_next(ends.server, &message));
    assert_true(channel_next(ends.client, &message));
    assert_int_equal(message.length, CHANNEL_MESSAGE_MAX);
    assert_memory_equal(message.payload, large, CHANNEL_MESSAGE_MAX);
    assert_int_equal(channel_queued(ends.server), 0);
    assert_int_equal(channel_send(ends.client, CHANNEL_DATA, large, CHANNEL_MESSAGE_MAX + 1), LOCKSTEP_E_EXHAUSTED);
    free(large);
    leave(&ends);
    channel_credentials_free(one);
    channel_credentials_free(other);
}

static void another_key_does_not_open(void **state)
{
    struct channel_credentials *one = key(KEY_ONE), *other = key(KEY_TWO);
    struct ends ends = join(one, other);

    (void)state;
    work(&ends, 10);
    assert_false(channel_ready(ends.client));
    assert_false(channel_ready(ends.server));
    assert_true(ends.client_end < 0 || ends.server_end < 0);
    assert_true(ends.server_end == 0 || channel_problem(ends.server)[0]);
    leave(&ends);
    channel_credentials_free(one);
    channel_credentials_free(other);
}

static void noise_ends_the_channel_and_nothing_else(void **state)
{
    struct channel_credentials *one = key(KEY_ONE);
    struct channel *server;
    uint8_t noise[4096];
    int pair[2], end = 0;

    (void)state;
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)(i * 2654435761u >> 13);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    server = channel_create(pair[0], true, one, NULL);
    assert_int_equal(write(pair[1], noise, sizeof noise), sizeof noise);
    for (int i = 0; i < 20 && end == 0; i++)
        end = channel_work(server);
    assert_true(end < 0);
    assert_true(channel_problem(server)[0] != '\0');
    assert_false(channel_ready(server));
    channel_destroy(server);
    close(pair[1]);
    channel_credentials_free(one);
}

static void the_end_of_the_peer_is_noticed(void **state)
{
    struct channel_credentials *one = key(KEY_ONE);
    struct ends ends = join(one, one);

    (void)state;
    work(&ends, 10);
    channel_destroy(ends.client);
    assert_int_equal(channel_work(ends.server), LOCKSTEP_E_GONE);
    assert_string_equal(channel_problem(ends.server), "closed by the other side");
    channel_destroy(ends.server);
    channel_credentials_free(one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_file_that_others_can_read_is_refused),
        cmocka_unit_test(a_key_must_be_long_and_hexadecimal),
        cmocka_unit_test(a_missing_file_is_named),
        cmocka_unit_test(bytes_become_messages),
        cmocka_unit_test(bytes_that_are_no_message_are_refused_early),
        cmocka_unit_test(the_same_key_opens_and_messages_pass_both_ways),
        cmocka_unit_test(another_key_does_not_open),
        cmocka_unit_test(noise_ends_the_channel_and_nothing_else),
        cmocka_unit_test(the_end_of_the_peer_is_noticed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
