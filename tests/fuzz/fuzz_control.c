/* SPDX-License-Identifier: BSD-2-Clause */
/* Any datagram at the control socket, as a request and as a reply. */
#include <string.h>

#include "service/control.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct control_header *header;
    const void *body;
    void *copy = malloc(size ? size : 1); /* aligned, and its end is watched */

    memcpy(copy, data, size);
    for (int is_reply = 0; is_reply < 2; is_reply++) {
        int expected;

        if (control_parse(copy, size, is_reply, &header, &body) < 0)
            continue;
        expected = is_reply ? control_reply_size(header->type) : control_request_size(header->type);
        fuzz_require(header->magic == CONTROL_MAGIC && header->version == CONTROL_VERSION && expected >= 0);
        if (body)
            fuzz_require((const char *)body + expected == (const char *)copy + size);
        else
            fuzz_require(is_reply && header->status < 0 && size == sizeof(*header));
    }
    free(copy);
    return 0;
}
