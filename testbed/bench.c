/* SPDX-License-Identifier: BSD-2-Clause */
#include "testbed/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "platform/platform.h"
#include "testbed/cost.h"

#define NS_PER_S            1000000000
#define NS_PER_MS           1000000
#define HOUSEKEEPING_NS     100000000
/* Away from the round times at which messages are planned. */
#define HOUSEKEEPING_AT_NS  37000000
#define PROGRESS_EVERY      10 /* housekeepings */
#define EVENTS_MAX          64
#define COMMAND_MAX         128
#define COST_ROUNDS         20000
/* A wider reading of two clocks is not used in the echo check, whose slack it would use up. */
#define ECHO_STAMP_WIDTH_NS 500
#define ECHO_STAMP_TRIES    8

struct bench_private {
    struct bench_source commands;
    char line[COMMAND_MAX];
    size_t line_length;
    int64_t next_housekeeping_ns;
    unsigned housekeepings;
    uint32_t disruptions; /* before the start */
    struct stall_detector *stalls;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

/* ---- lines on standard output ---- */

/* One write; whoever cannot keep up misses lines. */
static void say(const char *line, size_t length)
{
    ssize_t written = write(STDOUT_FILENO, line, length);

    (void)written;
}

static void say_object(struct json_object *object)
{
    const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    char *line = NULL;
    int length = asprintf(&line, "%s\n", text);

    if (length > 0)
        say(line, (size_t)length);
    if (length >= 0)
        free(line);
    json_object_put(object);
}

static struct json_object *event(const struct job *job, const char *name)
{
    struct json_object *object = json_object_new_object();

    json_object_object_add(object, "event", json_object_new_string(name));
    json_object_object_add(object, "process", json_object_new_string(job->process));
    return object;
}

static void say_ready(const struct bench *bench)
{
    struct json_object *object = event(bench->job, "ready");

    json_object_object_add(object, "pid", json_object_new_int(getpid()));
    say_object(object);
}

void bench_say_done(const struct job *job, const struct result *result)
{
    struct json_object *object = event(job, "done");

    json_object_object_add(object, "ending", json_object_new_string(result_ending_names[result->ending]));
    json_object_object_add(object, "result", json_object_new_string(job->result_path));
    json_object_object_add(object, "raw", json_object_new_string(job->raw_path));
    json_object_object_add(object, "problem", json_object_new_string(result->problem));
    say_object(object);
}

void bench_problem(struct bench *bench, const char *format, ...)
{
    struct json_object *object = event(bench->job, "problem");
    char text[RESULT_PROBLEM_MAX];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    json_object_object_add(object, "text", json_object_new_string(text));
    say_object(object);
}

int bench_fail(struct bench *bench, int err, const char *format, ...)
{
    va_list arguments;

    if (*bench->result->problem)
        return err;
    va_start(arguments, format);
    vsnprintf(bench->result->problem, sizeof bench->result->problem, format, arguments);
    va_end(arguments);
    return err;
}

/* No allocation here: it comes in the middle of the run. Names need no escapes. */
static void say_progress(struct bench *bench, const struct node_time *now)
{
    static const char *const status_names[] = {"good", "holdover", "no time"};
    const struct bench_progress *progress = &bench->progress;
    char line[512], worst[128] = "";
    int length;

    if (bench->refresh)
        bench->refresh(bench);
    if (progress->worst_type)
        snprintf(worst, sizeof worst,
                 ",\"worst\":{\"name\":\"%s\",\"latency_ns\":%" PRId64 ",\"limit_ns\":%" PRId64 "}",
                 progress->worst_type->name, progress->worst_ns, progress->worst_type->limit_ns);
    length =
        snprintf(line, sizeof line,
                 "{\"event\":\"progress\",\"process\":\"%s\",\"elapsed_ms\":%" PRId64 ",\"messages\":%" PRIu64
                 ",\"bytes\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"late\":%" PRIu64 "%s,\"bound_ns\":%" PRId64
                 ",\"status\":\"%s\"}\n",
                 bench->job->process, (now->tai_ns - bench_start_ns(bench)) / NS_PER_MS, progress->messages,
                 progress->bytes, progress->lost, progress->late, worst,
                 now->bound_ns == NODE_CLOCK_BOUND_UNKNOWN ? -1 : (int64_t)now->bound_ns, status_names[now->status]);
    if (length > 0 && length < (int)sizeof line)
        say(line, (size_t)length);
    bench->progress.worst_type = NULL;
}

/* ---- commands on standard input ---- */

static void stop(struct bench *bench, const char *why)
{
    if (!bench->stop && bench->result->ending == RESULT_COMPLETE) {
        bench->result->ending = RESULT_STOPPED;
        bench_fail(bench, 0, "%s", why);
    }
    bench->stop = true;
}

static void obey(struct bench *bench, const char *line)
{
    int64_t start;
    int used = 0;

    if (strcmp(line, "stop") == 0)
        stop(bench, "told to stop");
    else if (sscanf(line, "start %" SCNd64 "%n", &start, &used) == 1 && !line[used] && start > 0)
        bench->job->start_tai_ns = bench->job->start_tai_ns ? bench->job->start_tai_ns : start;
    else
        bench_problem(bench, "unknown command \"%.60s\"", line);
}

static void take_bytes(struct bench *bench, const char *bytes, size_t length)
{
    struct bench_private *private = bench->private;

    for (size_t i = 0; i < length; i++) {
        if (bytes[i] != '\n') {
            if (private->line_length < COMMAND_MAX - 1)
            private->line[private->line_length++] = bytes[i];
            continue;
        }
        private->line[private->line_length] = '\0';
        private->line_length = 0;
        obey(bench, private->line);
    }
}

static void commands_ready(struct bench *bench, struct bench_source *source, uint32_t events)
{
    char bytes[COMMAND_MAX];
    ssize_t length = read(source->fd, bytes, sizeof bytes);

    (void)events;
    if (length > 0) {
        take_bytes(bench, bytes, (size_t)length);
        return;
    }
    if (length < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    epoll_ctl(bench->epoll, EPOLL_CTL_DEL, source->fd, NULL);
    stop(bench, "standard input ended");
}

/* ---- opening ---- */

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
}

/* A reader that is slow must not hold up a run. */
static void unblock_output(void)
{
    struct stat status;

    if (fstat(STDOUT_FILENO, &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode)))
        fcntl(STDOUT_FILENO, F_SETFL, fcntl(STDOUT_FILENO, F_GETFL) | O_NONBLOCK);
}

static void open_commands(struct bench *bench)
{
    struct bench_private *private = bench->private;

    private->commands = (struct bench_source){commands_ready, STDIN_FILENO};
    (void)bench_watch(bench, &private->commands, EPOLLIN); /* a file or /dev/null: no commands, no end */
}

static void measure_costs(struct bench *bench)
{
    struct cost cost;

    if (cost_measure(bench->clock, COST_ROUNDS, &cost))
        return;
    bench->result->stamp_cost_ns = cost.stamp_ns;
    bench->result->record_cost_ns = bench->job->role == JOB_RECEIVE ? cost.record_ns : 0;
}

int bench_open(struct bench *bench, struct job *job, struct result *result)
{
    char problem[192] = "";
    int err;

    *bench = (struct bench){.job = job, .result = result, .epoll = epoll_create1(EPOLL_CLOEXEC)};
    bench->private = calloc(1, sizeof *bench->private);
    if (bench->epoll < 0 || !bench->private)
        return bench_fail(bench, -ENOMEM, "no epoll set, or no memory");
    bench->private->next_housekeeping_ns = INT64_MAX; /* not before the start */
    err = node_clock_open(job->clock, job->clock_path, job->clock_assumed_bound_ns, &bench->clock, problem);
    if (err)
        return bench_fail(bench, err, "%s", problem);
    if (job->cpu >= 0 && (err = platform_pin_thread(job->cpu)) != 0)
        return bench_fail(bench, err, "cannot run on core %d: %s", job->cpu, error_text(err));
    prctl(PR_SET_TIMERSLACK, 1); /* sleeps end when they should, not 50 us later */
    catch_signals();
    unblock_output();
    open_commands(bench);
    measure_costs(bench);
    return 0;
}

void bench_close(struct bench *bench)
{
    struct bench_private *private = bench->private;
    struct rusage usage;

    if (private && private->stalls)
        stall_stop(private->stalls, bench->result->stalls);
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        bench->result->cpu_user_us = (uint64_t)usage.ru_utime.tv_sec * 1000000 + (uint64_t)usage.ru_utime.tv_usec;
        bench->result->cpu_system_us = (uint64_t)usage.ru_stime.tv_sec * 1000000 + (uint64_t)usage.ru_stime.tv_usec;
    }
    if (bench->clock)
        bench->result->ended_tai_ns = bench_now(bench);
    node_clock_close(bench->clock);
    if (bench->epoll >= 0)
        close(bench->epoll);
    free(private);
    bench->private = NULL;
}

/* ---- sources ---- */

static int control(struct bench *bench, int operation, struct bench_source *source, uint32_t events)
{
    struct epoll_event event_of = {.events = events, .data.ptr = source};

    return epoll_ctl(bench->epoll, operation, source->fd, &event_of) ? -errno : 0;
}

int bench_watch(struct bench *bench, struct bench_source *source, uint32_t events)
{
    return control(bench, EPOLL_CTL_ADD, source, events);
}

int bench_rewatch(struct bench *bench, struct bench_source *source, uint32_t events)
{
    return control(bench, EPOLL_CTL_MOD, source, events);
}

void bench_drop(struct bench *bench, struct bench_source *source)
{
    if (source->fd < 0)
        return;
    epoll_ctl(bench->epoll, EPOLL_CTL_DEL, source->fd, NULL);
    close(source->fd);
    source->fd = -1;
}

/* ---- the clock ---- */

int64_t bench_now(const struct bench *bench)
{
    struct node_time now;

    node_clock_now(bench->clock, &now);
    return now.tai_ns;
}

static int64_t raw_ns(void)
{
    struct timespec raw;

    clock_gettime(CLOCK_MONOTONIC_RAW, &raw);
    return (int64_t)raw.tv_sec * NS_PER_S + raw.tv_nsec;
}

/* The common clock is read between two readings of the other: again, if something came in between. */
struct echo_stamp bench_echo_stamp(const struct bench *bench)
{
    struct echo_stamp stamp = {0};

    for (int attempt = 0; attempt < ECHO_STAMP_TRIES; attempt++) {
        struct node_time now;
        int64_t before = raw_ns(), width;

        node_clock_now(bench->clock, &now);
        width = raw_ns() - before;
        stamp = (struct echo_stamp){now.tai_ns, before + width / 2, now.bound_ns};
        if (width <= ECHO_STAMP_WIDTH_NS)
            return stamp;
    }
    stamp.bound_ns = NODE_CLOCK_BOUND_UNKNOWN; /* not good enough to judge by */
    return stamp;
}

int64_t bench_start_ns(const struct bench *bench)
{
    return bench->job->start_tai_ns;
}

int64_t bench_measured_ns(const struct bench *bench)
{
    return bench->job->start_tai_ns + bench->job->warmup_ns;
}

int64_t bench_end_ns(const struct bench *bench)
{
    return bench_measured_ns(bench) + bench->job->duration_ns;
}

static void sample_clock(struct bench *bench, const struct node_time *now)
{
    struct result *result = bench->result;

    result->clock.samples++;
    result->clock.holdover += now->status == NODE_CLOCK_HOLDOVER;
    result->clock.no_time += now->status == NODE_CLOCK_NO_TIME;
    result->clock.disruptions = now->disruptions - bench->private->disruptions;
    result->clock.bound_end_ns = now->bound_ns;
    if (now->bound_ns > result->clock.bound_max_ns)
        result->clock.bound_max_ns = now->bound_ns;
    if (now->bound_ns != NODE_CLOCK_BOUND_UNKNOWN)
        series_record(&result->clock.bounds, now->tai_ns, now->bound_ns);
    if (result->limit_bound_ns && (int64_t)now->bound_ns > result->limit_bound_ns)
        result->clock.over_limit++;
    node_clock_refresh(bench->clock);
}

static void housekeep(struct bench *bench, int64_t now_ns)
{
    struct bench_private *private = bench->private;
    struct node_time now;

    private->next_housekeeping_ns += HOUSEKEEPING_NS;
    if (private->next_housekeeping_ns <= now_ns)
    private->next_housekeeping_ns = now_ns + HOUSEKEEPING_NS;
    node_clock_now(bench->clock, &now);
    if (now_ns >= bench_start_ns(bench) && now_ns < bench_end_ns(bench))
        sample_clock(bench, &now);
    if (++private->housekeepings % PROGRESS_EVERY == 0 && now_ns >= bench_start_ns(bench))
        say_progress(bench, &now);
}

/* ---- waiting ---- */

/* Serves what becomes ready within the time. */
static void serve(struct bench *bench, int64_t timeout_ns)
{
    struct epoll_event events[EVENTS_MAX];
    struct timespec timeout = {timeout_ns / NS_PER_S, timeout_ns % NS_PER_S};
    int count = epoll_pwait2(bench->epoll, events, EVENTS_MAX, &timeout, NULL);

    if (interrupted)
        stop(bench, "interrupted");
    for (int i = 0; i < count; i++) {
        struct bench_source *source = events[i].data.ptr;

        source->ready(bench, source, events[i].events);
    }
}

static int64_t spin_until(const struct bench *bench, int64_t until_tai_ns)
{
    int64_t now = bench_now(bench);

    for (; now < until_tai_ns; now = bench_now(bench))
        platform_relax();
    return now;
}

int64_t bench_wait(struct bench *bench, int64_t until_tai_ns, int64_t spin_ns)
{
    int64_t now = bench_now(bench), wake = until_tai_ns - spin_ns;

    if (wake > bench->private->next_housekeeping_ns)
        wake = bench->private->next_housekeeping_ns;
    serve(bench, wake > now ? wake - now : 0);
    now = bench_now(bench);
    if (now < until_tai_ns && until_tai_ns - now <= spin_ns)
        now = spin_until(bench, until_tai_ns);
    if (now >= bench->private->next_housekeeping_ns)
        housekeep(bench, now);
    return now;
}

/* ---- the start ---- */

static void begin(struct bench *bench)
{
    struct job *job = bench->job;
    struct bench_private *private = bench->private;
    struct node_time now;

    result_set_start(bench->result, job);
    node_clock_now(bench->clock, &now);
    private->disruptions = now.disruptions;
    bench->result->clock.bound_start_ns = now.bound_ns;
    bench->result->clock.bound_max_ns = now.bound_ns;
    bench->result->clock.bound_end_ns = now.bound_ns;
    private->next_housekeeping_ns = bench_start_ns(bench) + HOUSEKEEPING_AT_NS;
    private->housekeepings = 0;
    if (now.tai_ns > bench_start_ns(bench))
        bench_problem(bench, "the start was %" PRId64 " ms ago already",
                      (now.tai_ns - bench_start_ns(bench)) / NS_PER_MS);
    if (job->stall_period_ns) {
        private->stalls = stall_start(bench->clock, job->stall_period_ns, job->stall_threshold_ns);
        if (!private->stalls)
            bench_problem(bench, "no stall detector: %s", strerror(errno));
    }
}

int bench_ready(struct bench *bench)
{
    say_ready(bench);
    while (!bench->stop && !bench->job->start_tai_ns)
        bench_wait(bench, bench_now(bench) + HOUSEKEEPING_NS, 0);
    if (bench->stop)
        return bench_fail(bench, -ECANCELED, "stopped before the start");
    begin(bench);
    return 0;
}
