/* SPDX-License-Identifier: BSD-2-Clause */
/* The blocks of a pcapng file, read back by the letter of the format, and the order of packets in it. */
#include "tools/capture_series.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/platform.h"
#include "tests/unit/unit.h"
#include "tools/pcapng.h"

static uint8_t block[4096];

static uint32_t word(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof value);
    return value;
}

/* What every block has: its length at both ends, a multiple of four. */
static void assert_framed(const uint8_t *at, size_t length, uint32_t type)
{
    assert_int_equal(word(at), type);
    assert_int_equal(length % 4, 0);
    assert_int_equal(word(at + 4), length);
    assert_int_equal(word(at + length - 4), length);
}

/* The option's value, or NULL; the list must end with an end mark right before the block's last word. */
static const uint8_t *option(const uint8_t *at, size_t block_length, size_t first, unsigned code, unsigned *length)
{
    const uint8_t *found = NULL;

    for (size_t i = first;;) {
        uint16_t head[2];

        assert_true(i + 4 <= block_length - 4);
        memcpy(head, at + i, sizeof head);
        i += 4;
        if (head[0] == 0) {
            assert_int_equal(head[1], 0);
            assert_int_equal(i, block_length - 4);
            return found;
        }
        if (head[0] == code) {
            found = at + i;
            *length = head[1];
        }
        i += (head[1] + 3u) / 4 * 4;
    }
}

static void assert_text_option(size_t length, size_t first, unsigned code, const char *text)
{
    unsigned size = 0;
    const uint8_t *value = option(block, length, first, code, &size);

    assert_non_null(value);
    assert_int_equal(size, strlen(text));
    assert_memory_equal(value, text, size);
}

static void a_section_tells_byte_order_and_application(void **state)
{
    size_t length = pcapng_section(block, sizeof block, "a program 1.0", "Linux");

    (void)state;
    assert_framed(block, length, 0x0a0d0d0a);
    assert_int_equal(word(block + 8), 0x1a2b3c4d);
    assert_int_equal(word(block + 12), 1); /* 1.0 */
    assert_int_equal(word(block + 16), UINT32_MAX);
    assert_text_option(length, 24, 4, "a program 1.0");
    assert_text_option(length, 24, 3, "Linux");
}

static void an_interface_has_name_speed_and_resolution(void **state)
{
    const struct pcapng_interface interface = {"eth0", NULL, 10000000000ull, 65000};
    size_t length = pcapng_interface(block, sizeof block, &interface);
    const uint8_t *value;
    unsigned size = 0;
    uint64_t speed;

    (void)state;
    assert_framed(block, length, 1);
    assert_int_equal(word(block + 8), 1); /* Ethernet */
    assert_int_equal(word(block + 12), 65000);
    assert_text_option(length, 16, 2, "eth0");
    assert_null(option(block, length, 16, 3, &size));
    value = option(block, length, 16, 8, &size);
    assert_int_equal(size, 8);
    memcpy(&speed, value, sizeof speed);
    assert_int_equal(speed, 10000000000ull);
    value = option(block, length, 16, 9, &size);
    assert_int_equal(size, 1);
    assert_int_equal(*value, 9);
}

/* Lengths that need every amount of padding. */
static void a_packet_has_time_direction_and_comment(void **state)
{
    (void)state;
    for (uint32_t captured = 0; captured < 9; captured++) {
        const struct pcapng_packet packet = {3,    PCAPNG_OUTBOUND, 1767225600123456789ull, 100, captured, "abcdefghi",
                                             "why"};
        size_t length = pcapng_packet(block, sizeof block, &packet), first = 28 + (captured + 3) / 4 * 4;
        unsigned size = 0;
        const uint8_t *flags;

        assert_framed(block, length, 6);
        assert_int_equal(word(block + 8), 3);
        assert_int_equal((uint64_t)word(block + 12) << 32 | word(block + 16), 1767225600123456789ull);
        assert_int_equal(word(block + 20), captured);
        assert_int_equal(word(block + 24), 100);
        assert_memory_equal(block + 28, "abcdefghi", captured);
        flags = option(block, length, first, 2, &size);
        assert_int_equal(size, 4);
        assert_int_equal(word(flags), 2);
        assert_text_option(length, first, 1, "why");
    }
}

static void statistics_tell_what_was_lost(void **state)
{
    const struct pcapng_statistics statistics = {1, 300, 100, 200, 12345678901ull, 7, NULL};
    size_t length = pcapng_statistics(block, sizeof block, &statistics);
    unsigned size = 0;
    uint64_t value;

    (void)state;
    assert_framed(block, length, 5);
    assert_int_equal(word(block + 8), 1);
    assert_int_equal(word(block + 16), 300);
    assert_int_equal(word(option(block, length, 20, 2, &size) + 4), 100);
    assert_int_equal(word(option(block, length, 20, 3, &size) + 4), 200);
    memcpy(&value, option(block, length, 20, 4, &size), sizeof value);
    assert_int_equal(value, 12345678901ull);
    memcpy(&value, option(block, length, 20, 5, &size), sizeof value);
    assert_int_equal(value, 7);
}

static void what_does_not_fit_is_not_written(void **state)
{
    static const char bytes[512];
    const struct pcapng_packet packet = {0, PCAPNG_INBOUND, 0, 512, 512, bytes, "comment"};
    size_t length = pcapng_packet(block, sizeof block, &packet);

    (void)state;
    assert_true(length > 512 && length <= 512 + PCAPNG_OVERHEAD);
    assert_int_equal(pcapng_packet(block, length, &packet), length);
    for (size_t size = 0; size < length; size++) {
        uint8_t *exact = malloc(size + 1); /* a sanitizer sees what lies beyond */

        assert_int_equal(pcapng_packet(exact, size, &packet), 0);
        free(exact);
    }
}

static void long_comments_are_cut(void **state)
{
    char comment[1000];
    const struct pcapng_packet packet = {0, PCAPNG_INBOUND, 0, 4, 4, "abcd", comment};
    unsigned size = 0;
    size_t length;

    (void)state;
    memset(comment, 'x', sizeof comment - 1);
    comment[sizeof comment - 1] = '\0';
    length = pcapng_packet(block, sizeof block, &packet);
    assert_in_range(length, 300, 4 + PCAPNG_OVERHEAD);
    assert_non_null(option(block, length, 32, 1, &size));
    assert_int_equal(size, PCAPNG_COMMENT_MAX);
}

/* ---- The file ---- */

static char *text;
static size_t text_size;

static void add(struct capture_file *file, uint64_t monotonic_ns, unsigned ifindex, const char *bytes)
{
    const struct capture_frame frame = {.monotonic_ns = monotonic_ns,
                                        .ifindex = ifindex,
                                        .direction = PCAPNG_INBOUND,
                                        .length = 1,
                                        .captured = 1,
                                        .bytes = bytes};

    assert_int_equal(capture_file_add(file, &frame), 0);
}

/* The first bytes of the packets, the interfaces' numbers and the other blocks, in the file's order. */
static void shape_of(const char *file, size_t size, char *shape)
{
    const uint8_t *at = (const uint8_t *)file, *limit = at + size;

    while (at < limit) {
        uint32_t type = word(at), length = word(at + 4);

        assert_true(length >= 12 && length <= (size_t)(limit - at));
        assert_framed(at, length, type);
        if (type == 6) {
            *shape++ = (char)at[28];
            *shape++ = (char)('0' + word(at + 8));
        } else {
            *shape++ = type == 0x0a0d0d0a ? 'S' : type == 1 ? 'I' : type == 5 ? 'T' : '?';
        }
        at += length;
    }
    *shape = '\0';
}

static void packets_of_several_cores_are_put_in_order(void **state)
{
    struct capture_file *file;
    char shape[64];
    uint64_t now = platform_now_ns();
    FILE *out = open_memstream(&text, &text_size);

    (void)state;
    assert_int_equal(capture_file_open(&file, out, 1000), 0);
    add(file, now + 20, 1, "b");
    add(file, now + 40, 1, "d");
    add(file, now + 10, 99999, "a");
    add(file, now + 40, 1, "e"); /* at the same time: as they came */
    add(file, now + 30, 99999, "c");
    assert_int_equal(capture_file_write(file, now + 35), 0);
    shape_of(text, text_size, shape);
    assert_string_equal(shape, "SIIa1b0c1");
    add(file, now + 38, 1, "x");
    assert_int_equal(capture_file_finish(file, 3), 0);
    capture_file_close(file);
    fclose(out);
    shape_of(text, text_size, shape);
    assert_string_equal(shape, "SIIa1b0c1x0d0e0TT");
    free(text);
}

static void a_full_disk_is_told(void **state)
{
    struct capture_file *file;
    FILE *out = fopen("/dev/full", "we");

    (void)state;
    assert_non_null(out);
    assert_int_equal(capture_file_open(&file, out, 1000), -ENOSPC);
    capture_file_close(file);
    fclose(out);
}

/* --- several files ------------------------------------------------------------------------------------------ */

static char directory[] = "/tmp/lockstep-capture-XXXXXX";

static const char *path_of(const char *name)
{
    static char path[128];

    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

/* The shape of that file, "" if there is none. */
static const char *shape_of_file(const char *name)
{
    static char content[65536], shape[4096];
    FILE *file = fopen(path_of(name), "re");
    size_t size = file ? fread(content, 1, sizeof content, file) : 0;

    if (file)
        fclose(file);
    shape_of(content, size, shape);
    return shape;
}

static void files_end_at_their_size_and_the_latest_stay(void **state)
{
    static const char *const names[] = {"a-00001.pcapng", "a-00002.pcapng", "a-00003.pcapng", "a-00004.pcapng"};
    struct capture_series *series;
    uint64_t now = platform_now_ns();

    (void)state;
    assert_non_null(mkdtemp(directory));
    assert_int_equal(capture_series_open(&series, path_of("a.pcapng"), 1000, 4096, 2), 0);
    assert_false(capture_series_is_pipe(series));
    for (unsigned i = 0; i < 4; i++) {
        const char letter[] = {(char)('a' + (int)i), '\0'};
        char shape[4096] = "SI";

        assert_string_equal(capture_series_name(series), path_of(names[i]));
        assert_int_equal(capture_series_write(series, UINT64_MAX, i), 0); /* not full: nothing happens */
        while (strcmp(capture_series_name(series), path_of(names[i])) == 0) {
            add(capture_series_file(series), now + i, 1, letter);
            assert_int_equal(capture_series_write(series, UINT64_MAX, i), 0);
            strcat(strcat(shape, letter), "0");
        }
        strcat(shape, "T");
        assert_string_equal(shape_of_file(names[i]), shape);
        for (unsigned j = 0; j <= i; j++) /* it, and the one that has just begun */
            assert_int_equal(access(path_of(names[j]), F_OK) == 0, j + 1 > i);
    }
    assert_int_equal(capture_series_finish(series, 9), 0);
    assert_string_equal(shape_of_file("a-00005.pcapng"), "S");
    capture_series_close(series);
    unlink(path_of(names[3]));
    unlink(path_of("a-00005.pcapng"));
}

static void a_capture_is_for_who_captures_only(void **state)
{
    mode_t mask = umask(0022);
    struct capture_series *series;
    struct stat status;

    (void)state;
    assert_int_equal(capture_series_open(&series, path_of("s"), 1000, 0, 0), 0);
    umask(mask);
    assert_int_equal(stat(path_of("s"), &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    capture_series_close(series);
    unlink(path_of("s"));
}

static void names_keep_their_endings(void **state)
{
    static const char *const names[][2] = {{"b", "b-00001"}, {".c", ".c-00001"}, {"d.e.f", "d.e-00001.f"}};
    struct capture_series *series;

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(capture_series_open(&series, path_of(names[i][0]), 1000, 4096, 0), 0);
        assert_string_equal(capture_series_name(series), path_of(names[i][1]));
        capture_series_close(series);
        assert_int_equal(unlink(path_of(names[i][1])), 0);
    }
    assert_int_equal(capture_series_open(&series, path_of("b"), 1000, 0, 0), 0);
    assert_string_equal(capture_series_name(series), path_of("b"));
    assert_int_equal(capture_series_finish(series, 0), 0);
    capture_series_close(series);
    unlink(path_of("b"));
    assert_int_equal(capture_series_open(&series, path_of("none/b"), 1000, 0, 0), -ENOENT);
    capture_series_close(series);
    rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_section_tells_byte_order_and_application),
        cmocka_unit_test(an_interface_has_name_speed_and_resolution),
        cmocka_unit_test(a_packet_has_time_direction_and_comment),
        cmocka_unit_test(statistics_tell_what_was_lost),
        cmocka_unit_test(what_does_not_fit_is_not_written),
        cmocka_unit_test(long_comments_are_cut),
        cmocka_unit_test(packets_of_several_cores_are_put_in_order),
        cmocka_unit_test(a_full_disk_is_told),
        cmocka_unit_test(files_end_at_their_size_and_the_latest_stay),
        cmocka_unit_test(a_capture_is_for_who_captures_only),
        cmocka_unit_test(names_keep_their_endings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
