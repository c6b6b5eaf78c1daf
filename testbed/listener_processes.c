/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "testbed/json_write.h"
#include "testbed/listener_private.h"

#define LINE_MAX_JSON 65536
#define PATIENCE_MS   2000

/* ---- the run's directory ---- */

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status, (void)kind, (void)walk;
    return remove(path);
}

static void remove_directory(struct listener *listener)
{
    if (listener->directory[0])
        nftw(listener->directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    listener->directory[0] = '\0';
}

static int make_directory(struct listener *listener)
{
    char path[sizeof listener->directory];

    if (listener->directory[0])
        return 0;
    snprintf(path, sizeof path, "%s/run-XXXXXX", listener->options->directory);
    if (!mkdtemp(path))
        return -errno;
    memcpy(listener->directory, path, sizeof path);
    return 0;
}

/* ---- processes ---- */

struct process *listener_find_process(struct listener *listener, const char *name)
{
    for (size_t i = 0; i < LISTENER_PROCESSES_MAX; i++) {
        if (listener->processes[i].name[0] && strcmp(listener->processes[i].name, name) == 0)
            return &listener->processes[i];
    }
    return NULL;
}

struct process *listener_free_process(struct listener *listener)
{
    for (size_t i = 0; i < LISTENER_PROCESSES_MAX; i++) {
        if (!listener->processes[i].name[0])
            return &listener->processes[i];
    }
    return NULL;
}

/* A line of a process's standard output. */
static void pass_event(void *context, char *line)
{
    struct process *process = context;
    struct json_object *event = json_tokener_parse(line), *object;

    if (!event || !json_object_is_type(event, json_type_object)) {
        json_object_put(event);
        return;
    }
    object = listener_message("event");
    json_write_text(object, "process", process->name);
    json_object_object_add(object, "event", event);
    listener_tell(process->listener, object);
}

static void pass_words(void *context, char *line)
{
    struct process *process = context;
    struct json_object *object = listener_message("said");

    json_write_text(object, "process", process->name);
    for (char *c = line; *c; c++) {
        if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
            *c = '?'; /* JSON wants UTF-8 */
    }
    json_write_text(object, "text", line);
    listener_tell(process->listener, object);
}

void listener_read_process(struct process *process)
{
    if (process->out_open)
        process->out_open =
            child_read_lines(process->child.out, &process->out_lines, LINE_MAX_JSON, pass_event, process);
    if (process->err_open)
        process->err_open =
            child_read_lines(process->child.err, &process->err_lines, LINE_MAX_JSON, pass_words, process);
}

/* Ends it if it has not ended; its files stay. */
void listener_end_process(struct process *process, int patience_ms)
{
    int status;

    if (process->child.pid == 0)
        return;
    status = child_end(&process->child, patience_ms);
    if (process->listener->controller) {
        struct json_object *object = listener_message("exited");

        json_write_text(object, "process", process->name);
        json_write_int(object, "status", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
        listener_tell(process->listener, object);
    }
    free(process->out_lines.text);
    free(process->err_lines.text);
    process->out_lines = process->err_lines = (struct child_lines){0};
    process->out_open = process->err_open = false;
}

void listener_forget_process(struct process *process)
{
    listener_end_process(process, 0);
    process->name[0] = '\0';
}

/* Asks all to end, then sees to it. */
void listener_end_all(struct listener *listener)
{
    for (size_t i = 0; i < LISTENER_PROCESSES_MAX; i++) {
        if (listener->processes[i].child.pid)
            kill(listener->processes[i].child.pid, SIGTERM);
    }
    for (size_t i = 0; i < LISTENER_PROCESSES_MAX; i++) {
        listener_end_process(&listener->processes[i], PATIENCE_MS);
        listener_forget_process(&listener->processes[i]);
    }
    if (listener->transfer >= 0)
        close(listener->transfer);
    listener->transfer = -1;
    remove_directory(listener);
}

static int write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "wxe");
    bool good;

    if (!file)
        return -errno;
    good = fputs(text, file) >= 0;
    return fclose(file) == 0 && good ? 0 : -EIO;
}

/* Where the job's results go is this side's business. */
int listener_place_files(struct listener *listener, struct process *process, struct job *job,
                         char job_path[JOB_PATH_MAX])
{
    char *text;
    int err = make_directory(listener);

    if (err < 0)
        return err;
    snprintf(process->result_path, JOB_PATH_MAX, "%s/%s.json", listener->directory, process->name);
    snprintf(process->raw_path, JOB_PATH_MAX, "%s/%s.raw", listener->directory, process->name);
    snprintf(job_path, JOB_PATH_MAX, "%s/%s.job", listener->directory, process->name);
    snprintf(job->result_path, sizeof job->result_path, "%s", process->result_path);
    if (job->raw_path[0])
        snprintf(job->raw_path, sizeof job->raw_path, "%s", process->raw_path);
    snprintf(job->clock_path, sizeof job->clock_path, "%s", listener->options->clock_path);
    text = job_to_json(job);
    if (!text)
        return -ENOMEM;
    unlink(job_path);
    err = write_file(job_path, text);
    free(text);
    return err;
}

int listener_start_process(struct listener *listener, struct process *process, bool accelerated, enum job_role role,
                           const char *job_path)
{
    const struct listener_options *options = listener->options;
    const char *argv[12];
    int count = 0, err;

    if (accelerated) {
        argv[count++] = options->lockstep_program;
        argv[count++] = "run";
        argv[count++] = "--profile";
        argv[count++] = options->profile;
        if (options->runtime_dir[0]) {
            argv[count++] = "--runtime-dir";
            argv[count++] = options->runtime_dir;
        }
        argv[count++] = "--";
    }
    argv[count++] = options->testbench;
    argv[count++] = job_role_names[role];
    argv[count++] = job_path;
    argv[count] = NULL;
    err = child_spawn((char *const *)argv, CHILD_PIPES, &process->child);
    process->out_open = process->err_open = err == 0;
    return err;
}
