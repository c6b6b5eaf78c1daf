/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as a job and as a result. What is accepted comes out the same when it is written and read again. */
#include "testbed/job.h"

#include <string.h>

#include "testbed/result.h"
#include "tests/fuzz/fuzz.h"

static void as_job(const char *text, size_t length)
{
    char problem[JOB_PROBLEM_MAX] = "", *written, *again;
    struct job job, back;
    int err = job_parse(text, length, &job, problem);

    fuzz_require(err <= 0);
    fuzz_require(err == 0 || memcmp(problem, "job: ", 5) == 0);
    if (err)
        return;
    for (size_t i = 0; i < job.type_count; i++)
        (void)job_messages_until(&job.types[i], job.warmup_ns + job.duration_ns);
    written = job_to_json(&job);
    fuzz_require(written && job_parse(written, strlen(written), &back, problem) == 0);
    again = job_to_json(&back);
    fuzz_require(again && strcmp(written, again) == 0);
    free(written);
    free(again);
    job_free(&job);
    job_free(&back);
}

static void as_result(const char *text, size_t length)
{
    char problem[RESULT_PROBLEM_MAX] = "", *written, *again;
    struct result *result, *back;
    int err = result_parse(text, length, &result, problem);

    fuzz_require(err <= 0);
    fuzz_require(err == 0 || memcmp(problem, "result: ", 8) == 0);
    if (err)
        return;
    written = result_to_json(result);
    fuzz_require(written && result_parse(written, strlen(written), &back, problem) == 0);
    again = result_to_json(back);
    fuzz_require(again && strcmp(written, again) == 0);
    free(written);
    free(again);
    result_free(result);
    result_free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    as_job((const char *)data, size);
    as_result((const char *)data, size);
    return 0;
}
