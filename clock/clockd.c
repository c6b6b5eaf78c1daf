/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/clockd.h"

#include <errno.h>
#include <linux/capability.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/timex.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "clock/clockd_control.h"
#include "clock/clockd_server.h"
#include "clock/clockd_sources.h"
#include "clock/discipline.h"
#include "clock/leap_file.h"
#include "clock/ntp_keys.h"
#include "clock/report.h"
#include "clock/sandbox.h"
#include "clock/state_file.h"
#include "platform/journal_log.h"
#include "platform/platform.h"
#include "platform/service_manager.h"
#include "platform/stop_signals.h"

#define TICK_NS           1000000000ll
#define SAVE_INTERVAL_NS  600000000000ll
#define FIRST_SAVE_NS     60000000000ll
#define LEAP_INTERVAL_NS  86400000000000ll
#define EVENTS_MAX        32
#define TAI_UTC_DEFAULT_S 37
#define NOT_BEFORE_UTC_NS 1767225600000000000ll /* 2026: a system clock behind that is wrong */
#define SAVED_SIGMA_PPB   1000.0                /* what is known worse is not worth saving */
#define PRECISION_LOG2    (-25)                 /* of a reading: 30 ns */
#define LOCAL_REFERENCE   0x7f7f0101u           /* 127.127.1.1: a node's own clock, by convention */

static struct clockd clockd;

int64_t clockd_now_ns(void)
{
    return (int64_t)platform_now_ns();
}

static int64_t system_utc_ns(void)
{
    struct timespec time;

    clock_gettime(CLOCK_REALTIME, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static int watch(const struct clockd *daemon, int operation, int fd, uint32_t events, struct event_source *source)
{
    struct epoll_event event = {.events = events, .data.ptr = source};

    return epoll_ctl(daemon->epoll_fd, operation, fd, &event) < 0 ? -errno : 0;
}

int clockd_watch(const struct clockd *daemon, int fd, uint32_t events, struct event_source *source)
{
    return watch(daemon, EPOLL_CTL_ADD, fd, events, source);
}

int clockd_watch_again(const struct clockd *daemon, int fd, uint32_t events, struct event_source *source)
{
    return watch(daemon, EPOLL_CTL_MOD, fd, events, source);
}

bool clockd_time(const struct clockd *daemon, uint64_t counter, struct lockstep_time *time)
{
    return clock_values_at(&daemon->values, counter, LOCKSTEP_UTC, time) == 0;
}

/* --- what the core wants of its surroundings ---------------------------------------------------------------- */

static int64_t env_now_ns(void *context)
{
    (void)context;
    return clockd_now_ns();
}

static uint64_t env_counter(void *context)
{
    const struct clockd *daemon = context;

    return daemon->counter.read(daemon->counter.context);
}

static void env_random(void *context, void *buffer, size_t length)
{
    (void)context;
    if (platform_random(buffer, length) < 0)
        abort(); /* without random numbers replies can be forged */
}

static void env_log(void *context, const struct log_site *site, int level, const struct log_subject *subject,
                    const char *message)
{
    struct clockd *daemon = context;

    if (level <= LOG_LEVEL_WARNING)
        snprintf(daemon->last_warning, sizeof(daemon->last_warning), "%s", message);
    log_write(site, (enum log_level)level, subject, "%s", message);
}

/* The estimator's bound knows nothing of what lies between a stamp of the kernel and the wire, the same way each time:
 * half of that, as measured on this machine, is added. */
static int64_t stamp_doubt_ns(const struct clockd *daemon)
{
    char text[NET_ENDPOINT_TEXT_MAX];

    if (daemon->described >= 0 && daemon->sources &&
        clockd_sources_describe(daemon, (unsigned)daemon->described, text) == STAMP_HARDWARE)
        return 0;
    return (int64_t)(daemon->warmer.cold_ns / 2);
}

static const char *status_name(enum lockstep_clock_status status)
{
    static const char *const names[] = {"unsynchronised", "synchronised", "in holdover", "disrupted"};

    return names[status];
}

static void env_publish(void *context, const struct clock_values *values)
{
    struct clockd *daemon = context;

    if (daemon->updates == 0 || values->status != daemon->values.status)
        log_debug("clock: %s", status_name(values->status)); /* the core has told what an operator wants to know */
    if (daemon->updates && values->disruptions != daemon->values.disruptions)
        snprintf(daemon->last_disruption, sizeof(daemon->last_disruption), "%s", daemon->last_warning);
    daemon->values = *values;
    if (values->bound_ns < INT64_MAX / 2)
        daemon->values.bound_ns += stamp_doubt_ns(daemon);
    daemon->updates++;
    daemon->last_update_ns = clockd_now_ns();
    daemon->fresh = true;
    segment_publish(daemon->segment, &daemon->values);
}

/* --- how the node presents itself --------------------------------------------------------------------------- */

static void describe_source(const struct clockd *daemon, unsigned number, struct ntp_server_clock *out)
{
    struct core_source_report source;

    if (!core_get_source(daemon->core, number, &source))
        return;
    out->stratum = source.stratum < 15 ? (uint8_t)(source.stratum + 1) : 16;
    out->reference_id = clockd_sources_reference(daemon, number);
    out->root_delay_ns = source.root_delay_ns + (int64_t)source.estimate.baseline_ns;
    out->root_dispersion_ns = source.root_dispersion_ns;
}

void clockd_describe(const struct clockd *daemon, struct ntp_server_clock *out)
{
    const struct clock_values *values = &daemon->values;
    struct lockstep_time time;
    struct core_report core;

    memset(out, 0, sizeof(*out));
    out->leap = NTP_LEAP_UNSYNCHRONISED;
    out->precision = PRECISION_LOG2;
    if (!clockd_time(daemon, daemon->counter.read(daemon->counter.context), &time))
        return;
    core_get_report(daemon->core, &core);
    if (core.local_reference) {
        out->stratum = (uint8_t)daemon->config.serve.local_stratum;
        out->reference_id = LOCAL_REFERENCE;
    } else if (daemon->described >= 0) {
        describe_source(daemon, (unsigned)daemon->described, out);
    } else {
        return; /* the time is an earlier daemon's, of unknown origin */
    }
    out->reference_ns = time.ns - (clockd_now_ns() - daemon->last_update_ns);
    out->root_dispersion_ns += time.latest_ns - time.ns;
    out->leap = NTP_LEAP_NONE;
    /* Announced for the last day only: it means the end of this month. */
    if (values->leap && values->leap_at_ns - time.ns - (int64_t)values->tai_utc_s * 1000000000 < 86400000000000ll)
        out->leap = values->leap > 0 ? NTP_LEAP_INSERT : NTP_LEAP_DELETE;
}

/* Who told the time last: also in holdover. */
static void note_selected(struct clockd *daemon)
{
    struct core_report core;

    core_get_report(daemon->core, &core);
    if (core.selected >= 0)
        daemon->described = core.selected;
}

/* What the core has published since the last time, for the server: not from within the core's call. */
static void take_news(struct clockd *daemon)
{
    if (!daemon->fresh)
        return;
    daemon->fresh = false;
    note_selected(daemon);
    clockd_server_update(daemon);
}

/* --- state -------------------------------------------------------------------------------------------------- */

static void collect_state(const struct clockd *daemon, struct clock_state *state)
{
    struct core_source_report source;
    struct core_report core;

    memset(state, 0, sizeof(*state));
    core_get_report(daemon->core, &core);
    for (unsigned i = 0; i < daemon->config.source_count; i++) {
        if (!core_get_source(daemon->core, i, &source) || !source.estimate.valid || source.counts.accepted < 16)
            continue;
        if ((int)i == core.selected && source.estimate.rate_sigma_ppb < SAVED_SIGMA_PPB) {
            snprintf(state->counter, sizeof(state->counter), "%s", counter_name(daemon->counter.kind));
            state->hz = 1e9 / source.estimate.period_ns;
            state->sigma_ppb = source.estimate.rate_sigma_ppb;
            state->utc_s = system_utc_ns() / 1000000000;
        }
        snprintf(state->baselines[state->baseline_count].source, sizeof(state->baselines[0].source), "%s", source.name);
        state->baselines[state->baseline_count++].ns = source.estimate.baseline_ns;
    }
}

/* What is known worse than in the file does not replace it. */
static void save_state(struct clockd *daemon)
{
    struct clock_state state;
    int result;

    collect_state(daemon, &state);
    if (!daemon->config.state_file[0] || !state.counter[0])
        return;
    result = state_file_save(daemon->config.state_file, &state);
    if (result < 0)
        log_warning("state: cannot save %s: %s", daemon->config.state_file, error_text(result));
}

/* --- leap seconds ------------------------------------------------------------------------------------------- */

static bool load_leap_file(struct clockd *daemon, int64_t utc_s, struct leap_file *file)
{
    char problem[LEAP_FILE_PROBLEM_MAX];

    if (!daemon->config.leap_file[0] || access(daemon->config.leap_file, F_OK) < 0)
        return false;
    if (leap_file_load(daemon->config.leap_file, utc_s, file, problem) < 0) {
        log_warning("leap seconds: %s", problem);
        return false;
    }
    return true;
}

static int32_t initial_tai_utc(struct clockd *daemon, int64_t utc_ns)
{
    struct timex kernel = {0};
    struct leap_file file;

    if (daemon->config.tai_utc_s)
        return (int32_t)daemon->config.tai_utc_s;
    if (load_leap_file(daemon, utc_ns / 1000000000, &file))
        return file.table.tai_utc_s;
    if (adjtimex(&kernel) >= 0 && kernel.tai > 0)
        return kernel.tai;
    return TAI_UTC_DEFAULT_S;
}

/* Once the time is known, and daily: an expired table says nothing of what is to come. */
static void apply_leap_file(struct clockd *daemon, int64_t now_ns)
{
    struct lockstep_time time;
    struct leap_file file;

    if (now_ns < daemon->next_leap_ns || !clockd_time(daemon, env_counter(daemon), &time))
        return;
    daemon->next_leap_ns = now_ns + LEAP_INTERVAL_NS;
    if (!load_leap_file(daemon, time.ns / 1000000000, &file))
        return;
    if (file.expires_utc_s && file.expires_utc_s < time.ns / 1000000000)
        log_warning("leap seconds: %s has expired: the servers are asked instead", daemon->config.leap_file);
    else if (!daemon->config.tai_utc_s || daemon->config.tai_utc_s == file.table.tai_utc_s)
        core_set_leap(daemon->core, file.table.tai_utc_s, file.table.leap, file.table.leap_at_ns);
}

/* --- the loop ----------------------------------------------------------------------------------------------- */

static void check_disruption(struct clockd *daemon)
{
    struct disruption_reading reading;
    char why[160];

    if (disruption_read(&daemon->counter, &reading) == 0 && disruption_check(&daemon->disruption, &reading, why))
        core_disrupt(daemon->core, why);
}

static void tell_manager(const struct clockd *daemon)
{
    const char *name = daemon->described >= 0 ? daemon->config.sources[daemon->described].name : NULL;

    service_manager_status("%s%s%s", status_name(daemon->values.status), name ? ", by " : "", name ? name : "");
}

static void tick(struct clockd *daemon, int64_t now_ns)
{
    struct lockstep_time time;

    tell_manager(daemon);
    check_disruption(daemon);
    clockd_control_tick(daemon, now_ns);
    daemon->fresh = true; /* the bound has grown */
    apply_leap_file(daemon, now_ns);
    if (daemon->discipline)
        discipline_run(daemon->discipline, &daemon->counter,
                       clockd_time(daemon, env_counter(daemon), &time) ? &daemon->values : NULL);
    if (now_ns >= daemon->next_save_ns) {
        save_state(daemon);
        daemon->next_save_ns = now_ns + SAVE_INTERVAL_NS;
    }
}

static void handle_signal(void *object, uint32_t events)
{
    struct clockd *daemon = object;
    struct signalfd_siginfo info;

    (void)events;
    if (read(daemon->signal_fd, &info, sizeof(info)) == sizeof(info))
        daemon->stop = true;
}

/* A timer that never expires, but ends when somebody sets CLOCK_REALTIME, and at a resume. */
static int arm_clock_set(struct clockd *daemon)
{
    struct itimerspec never = {.it_value = {.tv_sec = INT32_MAX * 2ll}};

    return timerfd_settime(daemon->clock_set_fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL) < 0 ? -errno
                                                                                                                : 0;
}

static void handle_clock_set(void *object, uint32_t events)
{
    struct clockd *daemon = object;
    uint64_t count;

    (void)events;
    if (read(daemon->clock_set_fd, &count, sizeof(count)) < 0 && errno == ECANCELED) {
        log_limited(LOG_LEVEL_INFO, NULL, "the system clock was set, or the machine resumed");
        check_disruption(daemon);
    }
    arm_clock_set(daemon);
}

static void wait_for_events(struct clockd *daemon, int64_t timeout_ns)
{
    struct timespec timeout = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_pwait2(daemon->epoll_fd, events, EVENTS_MAX, &timeout, NULL);

    for (int urgent = 1; urgent >= 0; urgent--) {
        for (int i = 0; i < count; i++) {
            struct event_source *source = events[i].data.ptr;

            if (source->urgent == (bool)urgent)
                source->handle(source->object, events[i].events);
        }
    }
    if (count < 0 && errno != EINTR) {
        log_error("clockd: cannot wait for events: %s", error_text(-errno));
        daemon->stop = true;
    }
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void run(struct clockd *daemon)
{
    int64_t next_tick_ns = 0;

    while (!daemon->stop) {
        int64_t now_ns = clockd_now_ns(), deadline_ns;

        if (now_ns >= next_tick_ns) {
            tick(daemon, now_ns);
            next_tick_ns = now_ns + TICK_NS;
        }
        deadline_ns = clockd_sources_run(daemon, now_ns);
        deadline_ns = earlier(deadline_ns, core_run(daemon->core));
        take_news(daemon);
        deadline_ns = earlier(deadline_ns, clockd_server_run(daemon, now_ns));
        deadline_ns = earlier(deadline_ns, next_tick_ns);
        now_ns = clockd_now_ns();
        service_manager_feed((uint64_t)now_ns);
        wait_for_events(daemon, deadline_ns > now_ns ? deadline_ns - now_ns : 0);
    }
}

/* --- start and end ------------------------------------------------------------------------------------------ */

static int open_counter_and_segment(struct clockd *daemon)
{
    int result;

    if (mkdir(daemon->config.runtime_dir, 0755) < 0 && errno != EEXIST) {
        log_error("clockd: cannot create %s: %s", daemon->config.runtime_dir, error_text(-errno));
        return -errno;
    }
    result = counter_open((enum counter_kind)daemon->config.counter, &daemon->counter, daemon->counter_why);
    if (result < 0) {
        log_error("counter: %s", daemon->counter_why[0] ? daemon->counter_why : error_text(result));
        return result;
    }
    log_info("counter: %s", daemon->counter_why);
    disruption_init(&daemon->disruption, daemon->counter.nominal_hz);
    snprintf(daemon->segment_path, sizeof(daemon->segment_path), "%s/clock", daemon->config.runtime_dir);
    result = segment_create(daemon->segment_path, &daemon->counter, &daemon->segment);
    if (result == LOCKSTEP_E_CONFLICT)
        log_error("segment: another daemon keeps %s", daemon->segment_path);
    else if (result < 0)
        log_error("segment: cannot create %s: %s", daemon->segment_path, error_text(result));
    return result;
}

static int open_loop(struct clockd *daemon)
{
    daemon->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    daemon->signal_fd = platform_stop_signals();
    daemon->clock_set_fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (daemon->epoll_fd < 0 || daemon->signal_fd < 0 || daemon->clock_set_fd < 0)
        return -errno;
    daemon->on_signal = (struct event_source){handle_signal, daemon, true};
    daemon->on_clock_set = (struct event_source){handle_clock_set, daemon, true};
    if (arm_clock_set(daemon) == 0)
        clockd_watch(daemon, daemon->clock_set_fd, EPOLLIN, &daemon->on_clock_set);
    return clockd_watch(daemon, daemon->signal_fd, EPOLLIN, &daemon->on_signal);
}

static int load_keys(struct clockd *daemon)
{
    char problem[NTP_KEYS_PROBLEM_MAX];
    int result;

    if (!daemon->config.key_file[0])
        return 0;
    result = ntp_keys_load(daemon->config.key_file, &daemon->keys, problem);
    if (result < 0)
        log_error("%s", problem);
    return result;
}

/* The directory of the state file belongs to the user that the daemon becomes. */
static void prepare_state_dir(const struct clockd *daemon, uid_t uid, gid_t gid)
{
    char dir[CLOCKD_FILE_NAME_MAX];
    char *slash;

    snprintf(dir, sizeof(dir), "%s", daemon->config.state_file);
    slash = strrchr(dir, '/');
    if (!slash || slash == dir)
        return;
    *slash = 0;
    if (mkdir(dir, 0755) == 0 && uid != 0 && chown(dir, uid, gid) < 0)
        log_warning("state: cannot give %s to the user: %s", dir, error_text(-errno));
}

static bool asks_names(const struct clockd_config *config)
{
    for (unsigned i = 0; i < config->source_count; i++) {
        struct resolver_answer answer;

        /* A key server may name an NTP server. */
        if (config->sources[i].nts || resolver_numeric(config->sources[i].address, &answer) < 0)
            return true;
    }
    return false;
}

/* Whatever needs rights: files, ports, the child for names; then gives the rights up. */
static int open_privileged(struct clockd *daemon)
{
    uint64_t keep = daemon->config.discipline ? 1ull << CAP_SYS_TIME : 0;
    uid_t uid = 0;
    gid_t gid = 0;
    int result;

    if (daemon->config.user[0] && sandbox_find_user(daemon->config.user, &uid, &gid) < 0) {
        log_error("clockd: there is no user %s", daemon->config.user);
        return LOCKSTEP_E_UNKNOWN_NAME;
    }
    prepare_state_dir(daemon, uid, gid);
    result = load_keys(daemon);
    if (result < 0)
        return result;
    daemon->interface_count = stamp_interfaces_open((const char(*)[16])daemon->config.hardware_stamps,
                                                    CLOCKD_INTERFACES_MAX, daemon->interfaces);
    stamp_warmer_open(&daemon->warmer);
    if (asks_names(&daemon->config)) {
        result = resolver_open(&daemon->resolver, uid, gid);
        if (result < 0)
            log_error("resolver: cannot be started: %s", error_text(result));
    }
    if (result == 0)
        result = open_loop(daemon);
    if (result == 0)
        result = clockd_server_create(daemon);
    if (result == 0)
        result = clockd_control_create(daemon);
    if (result == 0 && daemon->config.discipline)
        result = discipline_open(&daemon->discipline);
    if (result == 0 && daemon->config.sandbox)
        result = sandbox_drop(uid, gid, keep);
    return result;
}

static int create_core(struct clockd *daemon, const struct clock_state *state)
{
    const struct core_env env = {.context = daemon,
                                 .now_ns = env_now_ns,
                                 .counter = env_counter,
                                 .send = clockd_sources_send,
                                 .random = env_random,
                                 .publish = env_publish,
                                 .log = env_log};
    int64_t utc_ns = system_utc_ns() > NOT_BEFORE_UTC_NS ? system_utc_ns() : NOT_BEFORE_UTC_NS;
    struct core_config config = {
        .nominal_hz = daemon->counter.nominal_hz,
        .tai_utc_s = initial_tai_utc(daemon, utc_ns),
        .initial_time_ns = utc_ns,
        .slew_ppm = (double)daemon->config.slew_ppm,
        .step_limit_ns = (int64_t)daemon->config.step_limit_ns,
        .holdover_limit_ns = daemon->config.holdover_limit_ns,
        .drift_ppb = (double)daemon->config.drift_ppb,
        .rate_hint_ppb = NAN,
        .minimum_sources = (unsigned)daemon->config.minimum_sources,
        .local_reference = daemon->config.serve.enabled && daemon->config.serve.local_stratum > 0,
    };
    struct clock_values before;

    if (state_file_rate(state, counter_name(daemon->counter.kind), daemon->counter.nominal_hz, utc_ns / 1000000000,
                        &config.rate_hint_ppb, &config.rate_hint_sigma_ppb))
        log_info("state: rate %+.3f ppm, known to %.0f ppb", config.rate_hint_ppb / 1000, config.rate_hint_sigma_ppb);
    else
        config.rate_hint_ppb = NAN;
    daemon->core = core_create(&config, &env);
    if (!daemon->core)
        return -ENOMEM;
    if (segment_last(daemon->segment, &before))
        core_resume(daemon->core, &before);
    return 0;
}

static int start(struct clockd *daemon)
{
    struct clock_state state;
    int result = open_counter_and_segment(daemon);

    if (result == 0)
        result = open_privileged(daemon);
    if (result < 0)
        return result;
    state_file_load(daemon->config.state_file, &state);
    result = create_core(daemon, &state);
    if (result == 0)
        result = clockd_sources_create(daemon, &state);
    if (result == 0 && daemon->config.sandbox)
        result = sandbox_filter(daemon->config.discipline);
    daemon->sandboxed = result == 0 && daemon->config.sandbox;
    return result;
}

static void finish(struct clockd *daemon)
{
    clockd_sources_destroy(daemon);
    core_destroy(daemon->core);
    clockd_control_destroy(daemon);
    clockd_server_destroy(daemon);
    discipline_close(daemon->discipline);
    resolver_close(&daemon->resolver);
    stamp_warmer_close(&daemon->warmer);
    stamp_interfaces_close(daemon->interfaces, daemon->interface_count);
    ntp_keys_destroy(daemon->keys);
    if (daemon->segment)
        segment_close(daemon->segment);
}

int clockd_main(int argc, char **argv)
{
    struct clockd *daemon = &clockd;
    int exit_status, result;

    if (clockd_config_load(argc, argv, &daemon->config, &exit_status) < 0)
        return exit_status;
    log_init("lockstep-clockd", (enum log_level)daemon->config.log_level);
    journal_log_open();
    service_manager_open();
    daemon->started_ns = clockd_now_ns();
    daemon->next_save_ns = daemon->started_ns + FIRST_SAVE_NS;
    daemon->described = -1;
    daemon->resolver.fd = daemon->warmer.fd = -1;
    result = start(daemon);
    if (result == 0) {
        service_manager_ready();
        run(daemon);
        service_manager_stopping();
        save_state(daemon);
    }
    finish(daemon);
    if (result < 0)
        log_error("clockd: ended: %s", error_text(result));
    return result < 0 ? 1 : 0;
}
