/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as an executable file. */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tools/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image image;

    image_parse(data, size, &image);
    fuzz_require(memchr(image.interpreter, '\0', sizeof image.interpreter));
    fuzz_require(image.kind != IMAGE_SCRIPT || image.interpreter[0] != '\0');
    return 0;
}
