/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "testbed/json_look.h"
#include "testbed/json_read.h"
#include "testbed/json_write.h"
#include "testbed/listener_private.h"
#include "testbed/node_check.h"

#define CHUNK        (1u << 20)
#define QUEUE_SOFT   (4u << 20) /* of a transfer: no more is read while so much waits */
#define COUNTERS_MAX (8u << 20)
#define COMMAND_MS   3000

/* A name is a file's name here, too. */
static bool good_name(const char *name)
{
    return name[0] && name[0] != '.' && !strchr(name, '/');
}

static void handle_spawn(struct listener *listener, struct json_object *request, struct json_reader *reader)
{
    static const char *const stacks[] = {"kernel", "lockstep", NULL};
    struct channel *channel = listener->controller->channel;
    int accelerated = json_read_enum(reader, request, "stack", stacks), err;
    struct json_object *text = json_read_object(reader, request, "job");
    char problem[JOB_PROBLEM_MAX], job_path[JOB_PATH_MAX];
    struct process *process;
    struct job job;

    if (reader->err)
        return;
    err = job_parse(json_object_to_json_string(text), strlen(json_object_to_json_string(text)), &job, problem);
    if (err < 0) {
        listener_say_error(channel, "spawn", "", problem);
        return;
    }
    process = listener_find_process(listener, job.process);
    if (process)
        listener_forget_process(process);
    process = listener_free_process(listener);
    if (!process || !good_name(job.process)) {
        listener_say_error(channel, "spawn", job.process, process ? "not a name for a process" : "too many processes");
        job_free(&job);
        return;
    }
    snprintf(process->name, sizeof process->name, "%s", job.process);
    process->listener = listener;
    err = listener_place_files(listener, process, &job, job_path);
    if (err == 0)
        err = listener_start_process(listener, process, accelerated == 1, job.role, job_path);
    job_free(&job);
    if (err < 0) {
        snprintf(problem, sizeof problem, "cannot start %.100s: %s",
                 accelerated ? listener->options->lockstep_program : listener->options->testbench, error_text(err));
        listener_say_error(channel, "spawn", process->name, problem);
        process->name[0] = '\0';
        return;
    }
    text = listener_message("spawned");
    json_write_text(text, "process", process->name);
    listener_tell(listener, text);
}

static void command_process(struct listener *listener, struct json_object *request, struct json_reader *reader,
                            bool start)
{
    char name[PATTERN_NODE_MAX], line[64] = "stop\n";
    struct process *process;

    json_read_text(reader, request, "process", name, sizeof name);
    if (start)
        snprintf(line, sizeof line, "start %" PRId64 "\n", json_read_int(reader, request, "tai_ns", 1, INT64_MAX / 2));
    if (reader->err)
        return;
    process = listener_find_process(listener, name);
    if (!process || process->child.in < 0)
        listener_say_error(listener->controller->channel, start ? "start" : "stop", name, "there is no such process");
    else if (write(process->child.in, line, strlen(line)) < 0)
        listener_say_error(listener->controller->channel, start ? "start" : "stop", name,
                           "the process does not listen");
}

static void handle_start(struct listener *listener, struct json_object *request, struct json_reader *reader)
{
    command_process(listener, request, reader, true);
}

static void handle_stop(struct listener *listener, struct json_object *request, struct json_reader *reader)
{
    command_process(listener, request, reader, false);
}

/* ---- questions ---- */

static void handle_facts(struct listener *listener, struct json_object *request, struct json_reader *reader)
{
    struct node_check_input input = {.clock_path = listener->options->clock_path,
                                     .lockstep_program = listener->options->lockstep_program,
                                     .runtime_dir = listener->options->runtime_dir};
    char address[NET_ADDR_TEXT_MAX];
    struct json_object *object;

    json_read_text(reader, request, "address", address, sizeof address);
    input.mtu = (unsigned)json_read_int(reader, request, "mtu", 0, 65535);
    if (!reader->err && net_addr_parse(address, &input.address) < 0)
        json_read_fail(reader, LOCKSTEP_E_BAD_FORMAT, "address", "is not an Internet address");
    if (reader->err)
        return;
    object = node_check(&input);
    if (!object) {
        listener_say_error(listener->controller->channel, "facts", "", "no memory");
        return;
    }
    json_write_text(object, "type", "facts");
    listener_tell(listener, object);
}

static void handle_clock(struct listener *listener, struct json_object *request, struct json_reader *reader)
{
    static const char *const names[] = {"good", "holdover", "no time"};
    enum node_clock_kind kind = (enum node_clock_kind)json_read_enum(reader, request, "clock", node_clock_kind_names);
    struct json_object *object;
    struct node_time now;
    char problem[192];

    if (reader->err)
        return;
    if (listener->clock && node_clock_get_kind(listener->clock) != kind) {
        node_clock_close(listener->clock);
        listener->clock = NULL;
    }
    if (!listener->clock &&
        node_clock_open(kind, listener->options->clock_path, NODE_CLOCK_BOUND_UNKNOWN, &listener->clock, problem) < 0)
        listener->clock = NULL;
    object = listener_message("clock");
    if (listener->clock) {
        node_clock_now(listener->clock, &now);
        json_write_text(object, "status", names[now.status]);
        json_write_int(object, "bound_ns", now.bound_ns);
        json_write_int(object, "tai_ns", now.tai_ns);
    } else {
        json_write_text(object, "status", problem);
    }
    listener_tell(listener, object);
}

/* Octets that this network namespace's kernel has received and sent as IP (netstat(8)'s IpExt). */
static struct json_object *kernel_octets(void)
{
    struct json_object *object = json_object_new_object();
    char titles[4096], values[4096], *title_rest, *value_rest;
    FILE *file = fopen("/proc/net/netstat", "re");

    while (file && fgets(titles, sizeof titles, file) && fgets(values, sizeof values, file)) {
        char *title = strtok_r(titles, " \n", &title_rest), *value = strtok_r(values, " \n", &value_rest);

        while (title && value) {
            if (strcmp(title, "InOctets") == 0)
                json_write_int(object, "in", strtoll(value, NULL, 10));
            if (strcmp(title, "OutOctets") == 0)
                json_write_int(object, "out", strtoll(value, NULL, 10));
            title = strtok_r(NULL, " \n", &title_rest);
            value = strtok_r(NULL, " \n", &value_rest);
        }
    }
    if (file)
        fclose(file);
    return object;
}

/* Payload of the accelerated sockets that are open now, as the service counts it. NULL: the service does not answer. */
static struct json_object *lane_octets(const struct listener *listener)
{
    char *argv[6] = {(char *)listener->options->lockstep_program, "connections", "--json", NULL, NULL, NULL};
    struct json_object *report, *flows, *object;
    char *text = malloc(COUNTERS_MAX);
    int64_t in = 0, out = 0;
    size_t count = 0;

    if (listener->options->runtime_dir[0]) {
        argv[3] = "--runtime-dir";
        argv[4] = (char *)listener->options->runtime_dir;
    }
    report = text && child_run(argv, COMMAND_MS, text, COUNTERS_MAX) == 0 ? json_tokener_parse(text) : NULL;
    free(text);
    if (!report)
        return NULL;
    if (json_object_object_get_ex(report, "flows", &flows) && json_object_is_type(flows, json_type_array))
        count = json_object_array_length(flows);
    for (size_t i = 0; i < count; i++) {
        in += json_look_number(json_object_array_get_idx(flows, i), "rx_bytes", 0);
        out += json_look_number(json_object_array_get_idx(flows, i), "tx_bytes", 0);
    }
    json_object_put(report);
    object = json_object_new_object();
    json_write_int(object, "sockets", (int64_t)count);
    json_write_int(object, "in", in);
    json_write_int(object, "out", out);
    return object;
}

static void handle_counters(struct listener *listener, struct json_object *request, struct json_reader *reader)
{
    struct json_object *object = listener_message("counters");

    (void)request, (void)reader;
    json_object_object_add(object, "kernel", kernel_octets());
    json_object_object_add(object, "lanes", lane_octets(listener));
    listener_tell(listener, object);
}

static void handle_fetch(struct listener *listener, struct json_object *request, struct json_reader *reader)
{
    static const char *const files[] = {"result", "raw", NULL};
    char name[JOB_PROCESS_MAX];
    struct json_object *object;
    struct process *process;
    struct stat status;
    int file;

    json_read_text(reader, request, "process", name, sizeof name);
    file = json_read_enum(reader, request, "file", files);
    if (reader->err)
        return;
    process = listener_find_process(listener, name);
    if (!process || listener->transfer >= 0) {
        listener_say_error(listener->controller->channel, "fetch", name,
                           process ? "another file is under way" : "there is no such process");
        return;
    }
    listener->transfer = open(file == 0 ? process->result_path : process->raw_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (listener->transfer < 0 || fstat(listener->transfer, &status) < 0) {
        listener_say_error(listener->controller->channel, "fetch", name, error_text(-errno));
        return;
    }
    object = listener_message("file");
    json_write_text(object, "process", name);
    json_write_text(object, "file", files[file]);
    json_write_int(object, "size", status.st_size);
    listener_tell(listener, object);
}

/* The next pieces of the file that is being sent. */
void listener_go_on_sending(struct listener *listener)
{
    static uint8_t chunk[CHUNK];

    while (listener->transfer >= 0 && listener->controller &&
           channel_queued(listener->controller->channel) < QUEUE_SOFT) {
        ssize_t length = read(listener->transfer, chunk, sizeof chunk);

        if (length > 0) {
            channel_send(listener->controller->channel, CHANNEL_DATA, chunk, (size_t)length);
            continue;
        }
        close(listener->transfer);
        listener->transfer = -1;
    }
}

static void handle_end(struct listener *listener, struct json_object *request, struct json_reader *reader)
{
    (void)request, (void)reader;
    listener_end_all(listener);
    listener_tell(listener, listener_message("ended"));
}

static const struct request {
    const char *type;
    void (*handle)(struct listener *listener, struct json_object *request, struct json_reader *reader);
} requests[] = {
    {"facts", handle_facts}, {"clock", handle_clock},       {"spawn", handle_spawn}, {"start", handle_start},
    {"stop", handle_stop},   {"counters", handle_counters}, {"fetch", handle_fetch}, {"end", handle_end},
};

void listener_handle_request(struct listener *listener, struct json_object *object, const char *type)
{
    char problem[CHANNEL_PROBLEM_MAX] = "";
    struct json_reader reader = {.what = type, .problem = problem, .problem_size = sizeof problem};

    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        if (strcmp(requests[i].type, type) != 0)
            continue;
        requests[i].handle(listener, object, &reader);
        if (reader.err)
            listener_say_error(listener->controller->channel, type, "", problem);
        return;
    }
    listener_say_error(listener->controller->channel, type, "", "this listener does not know that request");
}
