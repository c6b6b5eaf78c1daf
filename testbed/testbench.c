/* SPDX-License-Identifier: BSD-2-Clause */
/* lockstep-testbench: one sender or receiver, and tools for their files. docs/testbed.md describes its commands. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/option.h"
#include "testbed/bench.h"
#include "testbed/plan_command.h"
#include "testbed/raw_log.h"

#define EXIT_COMPLETE 0
#define EXIT_STOPPED  1
#define EXIT_BAD_JOB  2
#define EXIT_FAILED   3
#define RAW_BYTES_MAX (1ull << 34)

static const struct option_entry no_options[] = {{0}};

static const struct option_program role_programs[] = {
    [JOB_SEND] = {"lockstep-testbench send", "Send the messages of a job.", "JOB", no_options},
    [JOB_RECEIVE] = {"lockstep-testbench receive", "Receive and measure the messages of a job.", "JOB", no_options},
};
static const struct option_program dump_program = {"lockstep-testbench dump", "Print a raw log as CSV.", "FILE",
                                                   no_options};

/* The program's only argument; NULL with *exit_status. */
static const char *only_argument(const struct option_program *program, int argc, char **argv, int *exit_status)
{
    char unused;
    int first = option_run(program, argc, argv, &unused, exit_status);

    if (first < 0)
        return NULL;
    if (first + 1 == argc)
        return argv[first];
    fprintf(stderr, "%s: wants one %s\n", program->name, program->arguments);
    *exit_status = EXIT_BAD_JOB;
    return NULL;
}

/* ---- send, receive ---- */

static int load_job(const char *path, enum job_role role, struct job *job)
{
    char problem[JOB_PROBLEM_MAX];
    size_t length;
    char *text;
    int err = file_read(path, JOB_BYTES_MAX, &text, &length);

    if (err) {
        log_error("job: cannot read %s: %s", path, error_text(err));
        return err;
    }
    err = job_parse(text, length, job, problem);
    free(text);
    if (err)
        log_error("%s: %s", path, problem);
    if (!err && job->role != role) {
        log_error("%s: the job is to %s", path, job_role_names[job->role]);
        job_free(job);
        err = LOCKSTEP_E_BAD_VALUE;
    }
    return err;
}

static int write_result(const struct job *job, const struct result *result)
{
    char *text = result_to_json(result);
    int err = text ? file_write(job->result_path, text, strlen(text)) : -ENOMEM;

    free(text);
    if (err)
        log_error("result: cannot write %s: %s", job->result_path, error_text(err));
    return err;
}

static int run_job(struct job *job, struct result *result)
{
    struct bench bench;
    int err = bench_open(&bench, job, result);

    if (!err)
        err = job->role == JOB_SEND ? sender_run(&bench) : receiver_run(&bench);
    if (err && err != -ECANCELED)
        result->ending = RESULT_FAILED;
    bench_close(&bench);
    if (write_result(job, result))
        err = -EIO;
    bench_say_done(job, result);
    if (*result->problem)
        log_warning("%s: %s", job->process, result->problem);
    if (err && err != -ECANCELED)
        return EXIT_FAILED;
    return result->ending == RESULT_COMPLETE ? EXIT_COMPLETE : EXIT_STOPPED;
}

static int role_main(enum job_role role, int argc, char **argv)
{
    int exit_status;
    const char *path = only_argument(&role_programs[role], argc, argv, &exit_status);
    struct result *result;
    struct job job;

    if (!path)
        return exit_status;
    if (load_job(path, role, &job))
        return EXIT_BAD_JOB;
    result = result_create(&job);
    if (result)
        exit_status = run_job(&job, result);
    else
        exit_status = EXIT_FAILED;
    result_free(result);
    job_free(&job);
    return exit_status;
}

/* ---- dump ---- */

static int dump_main(int argc, char **argv)
{
    char problem[RAW_LOG_PROBLEM_MAX];
    int exit_status;
    const char *path = only_argument(&dump_program, argc, argv, &exit_status);
    size_t length;
    char *bytes;
    int err;

    if (!path)
        return exit_status;
    err = file_read(path, RAW_BYTES_MAX, &bytes, &length);
    if (err) {
        log_error("raw log: cannot read %s: %s", path, error_text(err));
        return EXIT_BAD_JOB;
    }
    err = raw_log_to_csv(bytes, length, stdout, problem);
    if (err)
        log_error("%s: %s", path, problem);
    free(bytes);
    return err ? EXIT_BAD_JOB : EXIT_COMPLETE;
}

static const struct option_program bench_program = {
    "lockstep-testbench", "Send or receive a test bed's messages; plan, judge, and look at raw logs.",
    "send|receive|dump|plan|judge [ARGUMENT...]", no_options};

int main(int argc, char **argv)
{
    char unused;
    int exit_status, first = option_run(&bench_program, argc, argv, &unused, &exit_status);
    const char *command = first > 0 && first < argc ? argv[first] : "";

    if (first < 0)
        return exit_status;
    log_init("lockstep-testbench", LOG_LEVEL_INFO);
    argc -= first;
    argv += first;
    for (int role = 0; job_role_names[role]; role++) {
        if (strcmp(command, job_role_names[role]) == 0)
            return role_main((enum job_role)role, argc, argv);
    }
    if (strcmp(command, "dump") == 0)
        return dump_main(argc, argv);
    if (strcmp(command, "plan") == 0)
        return plan_main(argc, argv);
    if (strcmp(command, "judge") == 0)
        return judge_main(argc, argv);
    fprintf(stderr, "lockstep-testbench: wants a command: %s\n", bench_program.arguments);
    return EXIT_BAD_JOB;
}
