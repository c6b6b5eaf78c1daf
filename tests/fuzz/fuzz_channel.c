/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as messages of a control connection. */
#include "testbed/channel.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t at = 0;

    for (;;) {
        struct channel_message message;
        long length = channel_parse(data + at, size - at, &message);

        if (length <= 0)
            return 0;
        fuzz_require((size_t)length <= size - at && message.length == (size_t)length - CHANNEL_HEADER);
        fuzz_require(message.payload >= data && message.payload + message.length <= data + size);
        fuzz_require(message.kind < CHANNEL_KINDS);
        at += (size_t)length;
    }
}
