/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as a file of symmetric keys, and as the file of the keys of NTS cookies. */
#include <string.h>

#include "clock/ntp_keys.h"
#include "clock/nts_cookies.h"
#include "tests/fuzz/fuzz.h"

static void fuzz_keys(const char *text, size_t size)
{
    struct ntp_keys *keys = NULL;
    char problem[NTP_KEYS_PROBLEM_MAX];

    if (ntp_keys_parse("keys", text, size, &keys, problem) == 0) {
        fuzz_require(keys && ntp_keys_count(keys) <= NTP_KEYS_MAX && !ntp_keys_has(keys, 0));
        ntp_keys_destroy(keys);
    } else {
        fuzz_require(!keys && strncmp(problem, "keys:", 5) == 0 && strlen(problem) < sizeof problem);
    }
}

static void fuzz_cookie_keys(const char *text, size_t size)
{
    struct nts_cookie_key keys[NTS_COOKIES_KEPT], again[NTS_COOKIES_KEPT];
    char printed[NTS_COOKIES_FILE_MAX];
    unsigned line;
    size_t length;
    int count = nts_cookie_keys_parse(text, size, keys, &line);

    if (count < 0)
        return;
    fuzz_require(count >= 1 && count <= NTS_COOKIES_KEPT);
    length = nts_cookie_keys_format(keys, (unsigned)count, printed, sizeof printed);
    fuzz_require(length < sizeof printed && nts_cookie_keys_parse(printed, length, again, &line) == count);
    for (int i = 0; i < count; i++)
        fuzz_require(keys[i].id == again[i].id && keys[i].created_s == again[i].created_s &&
                     memcmp(keys[i].key, again[i].key, NTS_KEY_LENGTH) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size ? size : 1); /* its end is watched */

    memcpy(copy, data, size);
    fuzz_keys(copy, size);
    fuzz_cookie_keys(copy, size);
    free(copy);
    return 0;
}
