/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as a state file of the clock; what was understood is written and read again. */
#include <math.h>
#include <string.h>

#include "clock/state_file.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct clock_state state, again;
    char problem[STATE_FILE_PROBLEM_MAX], text[STATE_FILE_TEXT_MAX];
    double rate, sigma;
    int length;

    if (state_file_parse((const char *)data, size, &state, problem) < 0) {
        fuzz_require(state.counter[0] == 0 && state.baseline_count == 0);
        return 0;
    }
    if (state_file_rate(&state, "tsc", 2e9, 1763900000, &rate, &sigma))
        fuzz_require(isfinite(rate) && isfinite(sigma) && fabs(rate) <= 500000);
    length = state_file_format(&state, text, sizeof(text));
    fuzz_require(length > 0);
    if ((size_t)length < sizeof(text)) {
        /* Baselines below the precision of the file are written as nothing. */
        for (unsigned i = 0; i < state.baseline_count; i++) {
            if (state.baselines[i].ns < 0.1)
                return 0;
        }
        fuzz_require(state_file_parse(text, (size_t)length, &again, problem) == 0);
        fuzz_require(again.baseline_count == state.baseline_count);
    }
    return 0;
}
