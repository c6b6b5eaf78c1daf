/* SPDX-License-Identifier: BSD-2-Clause */
#include "stack/stack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "base/histogram.h"
#include "base/log.h"
#include "base/probe.h"
#include "stack/dump.h"
#include "stack/stack_private.h"
#include "stack/sys.h"

#define RETRY_NS         NS_PER_S /* a service that is away is looked for at most this often */
#define BATCH            64       /* packets a poll */
#define HOLD_EIGHTHS     5        /* with more of the ring in use no record is held back */
#define TIMER_LOOK_US    500      /* the engine's timers are run at least this often by who drives */
#define FD_LIMIT_MAX     (1u << 22)
#define OWN_FD_MINIMUM   15000
#define REALTIME_LOOK_US 10000
#define FORK_ROUNDS      64
#define SINGLE_CORE_US   20 /* longest spin where nobody else can run meanwhile */

struct stack_state stack_state;

__thread volatile unsigned stack_signal_count __attribute__((tls_model("initial-exec")));
__thread volatile unsigned stack_signal_restart_count __attribute__((tls_model("initial-exec")));
__thread volatile unsigned stack_busy __attribute__((tls_model("initial-exec")));
__thread volatile bool stack_signal_deferred __attribute__((tls_model("initial-exec")));
__thread volatile int stack_sleeping_fd __attribute__((tls_model("initial-exec"))) = -1;
__thread sigset_t stack_signal_mask __attribute__((tls_model("initial-exec")));
bool stack_signals_handled;
void (*stack_run_deferred)(void);

static struct platform_lock open_lock;
static uint64_t retry_at_ns;
static const char *unavailable = "not tried yet";
static int open_error;                /* of the latest try */
static struct netd_client *messenger; /* tells the service of sockets as long as there is no lane; NULL: none */
static uint8_t *own_fds;              /* by descriptor: 1 = the stack's own */
static size_t own_fds_size;

void stack_busy_begin(void)
{
    stack_busy = stack_busy + 1;
}

void stack_busy_end(void)
{
    stack_busy = stack_busy - 1;
    if (__builtin_expect(stack_signal_deferred, 0) && stack_busy == 0 && stack_run_deferred) {
        stack_signal_deferred = false;
        stack_run_deferred();
    }
}

/* ---- Own descriptors ---- */

size_t stack_fd_limit(void)
{
    static size_t limit;
    struct rlimit now;

    if (limit == 0) {
        if (sys_get_rlimit(RLIMIT_NOFILE, &now) < 0 || now.rlim_max > FD_LIMIT_MAX)
            now.rlim_max = FD_LIMIT_MAX;
        limit = now.rlim_max < 1024 ? 1024 : now.rlim_max;
    }
    return limit;
}

int stack_fd_minimum(void)
{
    struct rlimit now;

    if (sys_get_rlimit(RLIMIT_NOFILE, &now) < 0)
        return 0;
    if (now.rlim_cur > OWN_FD_MINIMUM + 1000)
        return OWN_FD_MINIMUM;
    return (int)(now.rlim_cur - now.rlim_cur / 8);
}

static void mark_own(int fd, uint8_t own)
{
    if (!own_fds) {
        void *mapping =
            mmap(NULL, stack_fd_limit(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (mapping == MAP_FAILED)
            return;
        own_fds = mapping;
        __atomic_store_n(&own_fds_size, stack_fd_limit(), __ATOMIC_RELEASE);
    }
    if (fd >= 0 && (size_t)fd < own_fds_size)
        __atomic_store_n(&own_fds[fd], own, __ATOMIC_RELAXED);
}

bool stack_owns_fd(int fd)
{
    return fd >= 0 && (size_t)fd < __atomic_load_n(&own_fds_size, __ATOMIC_ACQUIRE) &&
           __atomic_load_n(&own_fds[fd], __ATOMIC_RELAXED);
}

int stack_own_fd(int fd)
{
    int minimum = stack_fd_minimum();

    if (fd < 0)
        return fd;
    if (fd < minimum) {
        int moved = sys_fcntl(fd, F_DUPFD_CLOEXEC, minimum);

        if (moved >= 0) {
            sys_close(fd);
            fd = moved;
        }
    }
    mark_own(fd, 1);
    return fd;
}

void stack_disown_fd(int fd)
{
    mark_own(fd, 0);
}

void stack_close_own_fd(int fd)
{
    if (fd < 0)
        return;
    mark_own(fd, 0);
    sys_close(fd);
}

/* ---- Lock ---- */

void stack_lock_quiet(void)
{
    stack_busy_begin();
    platform_lock_acquire(&stack_state.lock);
}

bool stack_try_lock_quiet(void)
{
    stack_busy_begin();
    if (platform_lock_try(&stack_state.lock))
        return true;
    stack_busy_end();
    return false;
}

void stack_unlock_quiet(void)
{
    if (stack_state.evaluated != stack_state.progress)
        waiters_evaluate();
    platform_lock_release(&stack_state.lock);
    stack_busy_end();
}

void stack_lock(void)
{
    stack_lock_quiet();
}

void stack_unlock(void)
{
    if (stack_state.helper_mode > HELPER_TICK)
        helper_rouse();
    if (stack_state.driver)
        driver_mind_timers();
    stack_unlock_quiet();
}

void stack_wake(void)
{
    __atomic_store_n(&stack_state.progress, stack_state.progress + 1, __ATOMIC_RELAXED);
}

/* ---- Polling ---- */

/* Returns its bucket in its socket's histogram. */
static unsigned count_packet(const struct lane_record *record, uint64_t now_ns)
{
    struct lane_stats *stats = stack_state.pub.stats;
    unsigned bucket = histogram_index(now_ns > record->stamp_ns ? now_ns - record->stamp_ns : 0);

    __atomic_store_n(&stats->latency_ns[bucket], stats->latency_ns[bucket] + 1, __ATOMIC_RELAXED);
    __atomic_store_n(&stats->rx_packets, stats->rx_packets + 1, __ATOMIC_RELAXED);
    __atomic_store_n(&stats->rx_bytes, stats->rx_bytes + record->length, __ATOMIC_RELAXED);
    return bucket >> HISTOGRAM_COARSE_SHIFT;
}

/* Gives the records back to the divert that the engine needs no more. If they take too much of the ring, or with `now`,
 * the engine copies what it still needs. */
static void give_back(struct stack_state *s, bool now)
{
    const void *oldest = s->pub.ops->oldest_held(s->pub.engine);

    if (oldest && (now || lane_occupied(s->lane) > s->lane_reply.ring_bytes / 8 * HOLD_EIGHTHS)) {
        s->pub.ops->settle(s->pub.engine);
        oldest = NULL;
    }
    if (oldest)
        lane_release_before(s->lane, oldest);
    else
        lane_release(s->lane);
    s->holding = oldest != NULL;
}

void stack_watch_ring(struct stack_state *s)
{
    if (s->holding)
        give_back(s, true); /* as long as records are held the ring looks readable */
    lane_set_sleeping(s->lane, true);
}

static bool drain(struct stack_state *s)
{
    const struct lane_record *record;
    struct lane_stats *stats = s->pub.stats;
    uint64_t now_ns, backlog;

    if (!lane_ready(s->lane))
        return false;
    if (s->holding)
        give_back(s, false);
    record = lane_next(s->lane);
    if (!record)
        return false;
    now_ns = platform_now_ns();
    backlog = lane_backlog(s->lane) + record->length;
    if (backlog > stats->ring_high_water)
        __atomic_store_n(&stats->ring_high_water, backlog, __ATOMIC_RELAXED);
    for (int count = 1; record; count++) {
        PROBE(packet_received, record->length, record->ifindex, record->flow_id, record->stamp_ns, now_ns);
        s->pub.ops->input(s->pub.engine, record, routes_full_checksum(record->ifindex, record->data, record->length),
                          count_packet(record, now_ns));
        record = count < BATCH ? lane_next(s->lane) : NULL;
    }
    give_back(s, lane_control(s->lane)->sleeping != 0); /* the divert wakes a sleeper only if the ring was empty */
    s->pub.ops->flush(s->pub.engine);
    return true;
}

uint64_t stack_run_timers(uint64_t now_ns)
{
    struct stack_state *s = &stack_state;
    uint64_t next = s->pub.ops->timers(s->pub.engine, now_ns);
    uint64_t wait_us = next > now_ns ? (next - now_ns) / NS_PER_US : 0;

    if (wait_us > TIMER_LOOK_US)
        wait_us = TIMER_LOOK_US;
    __atomic_store_n(&s->timer_cycles, platform_cycles() + (wait_us + 1) * s->cycles_per_us, __ATOMIC_RELAXED);
    lane_heartbeat(s->lane, now_ns);
    return next;
}

bool stack_drive(void)
{
    struct stack_state *s = &stack_state;
    bool work = drain(s);

    if (platform_cycles() >= s->timer_cycles)
        stack_run_timers(platform_now_ns());
    return work;
}

bool stack_poll(void)
{
    struct stack_state *s = &stack_state;

    if (!s->open)
        return false;
    stack_count_poll(s);
    if (s->helper_mode > HELPER_TICK)
        helper_rouse();
    return stack_drive();
}

void stack_progress(void)
{
    struct stack_state *s = &stack_state;

    if (!__atomic_load_n(&s->open, __ATOMIC_ACQUIRE))
        return;
    if (!lane_ready(s->lane) && platform_cycles() < __atomic_load_n(&s->timer_cycles, __ATOMIC_RELAXED))
        return;
    stack_lock();
    stack_poll();
    stack_unlock();
}

int64_t stack_realtime_offset(void)
{
    struct stack_state *s = &stack_state;
    uint64_t now = platform_cycles();

    if (s->realtime_offset_cycles == 0 || now - s->realtime_offset_cycles > REALTIME_LOOK_US * s->cycles_per_us) {
        s->realtime_offset = platform_realtime_offset_ns();
        s->realtime_offset_cycles = now;
    }
    return s->realtime_offset;
}

/* ---- What the engine needs ---- */

static void count_sent(struct lane_stats *stats, const struct inject_packet *packet)
{
    uint64_t bytes = 0;

    for (int i = 1; i < packet->iov_count; i++) /* the first one is the injector's */
        bytes += packet->iov[i].iov_len;
    __atomic_store_n(&stats->tx_packets, stats->tx_packets + 1, __ATOMIC_RELAXED);
    __atomic_store_n(&stats->tx_bytes, stats->tx_bytes + bytes, __ATOMIC_RELAXED);
}

static int environment_send(void *context, const struct inject_packet *packet)
{
    struct lane_stats *stats = stack_state.pub.stats;
    int result;

    (void)context;
    PROBE(packet_sent, packet->protocol, packet->segment_size, packet->iov[1].iov_base);
    result = injector_send(stack_state.injector, packet);
    if (result == 0) {
        count_sent(stats, packet);
    } else if (result < 0) {
        PROBE(packet_refused, result);
        __atomic_store_n(&stats->send_failures, stats->send_failures + 1, __ATOMIC_RELAXED);
    }
    return result;
}

static int environment_route(void *context, const struct net_addr *destination, const struct net_addr *source,
                             uint32_t ifindex, struct engine_route *out)
{
    struct route_query query = {.destination = *destination, .ifindex = ifindex};

    (void)context;
    query.source = source ? *source : net_addr_any(net_addr_is_v4(destination));
    return routes_find(&query, out, NULL);
}

static uint64_t environment_generation(void *context)
{
    (void)context;
    return routes_generation();
}

/* Next hop addresses for direct injection; the service writes them under a sequence lock. */
static bool find_nexthop(void *context, uint16_t nexthop, struct injector_nexthop *out)
{
    const struct state_page *page = client_state_page(stack_state.pub.client);
    const struct state_nexthop *entry;
    uint32_t before;

    (void)context;
    if (nexthop >= STATE_PAGE_NEXTHOPS)
        return false;
    entry = &page->nexthops[nexthop];
    for (int tries = 0; tries < 1000; tries++) {
        before = __atomic_load_n(&entry->sequence, __ATOMIC_ACQUIRE);
        if (before & 1)
            continue;
        out->ifindex = entry->ifindex;
        memcpy(out->destination_mac, entry->destination_mac, sizeof out->destination_mac);
        memcpy(out->source_mac, entry->source_mac, sizeof out->source_mac);
        out->resolved = entry->resolved;
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (__atomic_load_n(&entry->sequence, __ATOMIC_RELAXED) == before)
            return out->ifindex != 0;
    }
    return false;
}

/* ---- Settings ---- */

/* From the environment when the library was loaded: programs clear it (nginx does in its workers). */
static struct {
    char runtime_dir[108];
    char profile[256];
    char injector[16];
    char log_level[16];
    char program[CONTROL_NAME_MAX]; /* before it may write over its own name */
} settings;

static void copy_setting(const char *name, char *out, size_t size)
{
    const char *value = getenv(name);

    if (value && strlen(value) < size)
        strcpy(out, value);
}

__attribute__((constructor)) static void read_settings(void)
{
    copy_setting(CONTROL_DIR_ENV, settings.runtime_dir, sizeof settings.runtime_dir);
    copy_setting(PROFILE_ENV, settings.profile, sizeof settings.profile);
    copy_setting("LOCKSTEP_INJECTOR", settings.injector, sizeof settings.injector);
    copy_setting("LOCKSTEP_LOG_LEVEL", settings.log_level, sizeof settings.log_level);
    strncpy(settings.program, program_invocation_short_name, sizeof settings.program - 1);
}

int stack_connect(struct netd_client **out)
{
    const char *dir = settings.runtime_dir[0] ? settings.runtime_dir : CONTROL_DEFAULT_DIR;
    int err = client_connect(out, dir, settings.program, stack_fd_minimum(), NULL);
    static bool told;
    char problem[CLIENT_PROBLEM_MAX];

    if (err == LOCKSTEP_E_BAD_VERSION && !__atomic_exchange_n(&told, true, __ATOMIC_RELAXED))
        log_warning("stack: the service at %s cannot be used: %s; new sockets stay with the kernel", dir,
                    client_problem(err, problem));
    return err;
}

const char *stack_program_name(void)
{
    return settings.program;
}

const char *stack_profile_name(void)
{
    return settings.profile[0] ? settings.profile : PROFILE_DEFAULT;
}

/* ---- Opening ---- */

static size_t read_text(const char *path, char *text, size_t size)
{
    int fd = sys_open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? sys_read(fd, text, size - 1) : -1;

    if (fd >= 0)
        sys_close(fd);
    text[length > 0 ? length : 0] = '\0';
    return length > 0 ? (size_t)length : 0;
}

static void load_profile(struct profile *profile)
{
    const char *name = stack_profile_name();
    char text[4096], problem[512];

    if (profile_builtin(name, profile) == 0)
        return;
    profile_builtin(PROFILE_DEFAULT, profile);
    if (!strchr(name, '/'))
        log_warning("profile %s: unknown, using %s", name, PROFILE_DEFAULT);
    else if (read_text(name, text, sizeof text) == 0)
        log_warning("profile %s: cannot be read, using %s", name, PROFILE_DEFAULT);
    else if (profile_parse(name, text, strlen(text), profile, problem, sizeof problem) < 0)
        log_warning("profile %s, using %s", problem, PROFILE_DEFAULT);
}

static void read_sysctls(struct engine_config *config)
{
    char text[128];
    unsigned low, normal, high;

    read_text("/proc/sys/net/ipv4/tcp_rmem", text, sizeof text);
    if (sscanf(text, "%u %u %u", &low, &normal, &high) == 3) {
        config->receive_default = normal;
        config->receive_max = high;
    }
    read_text("/proc/sys/net/ipv4/tcp_wmem", text, sizeof text);
    if (sscanf(text, "%u %u %u", &low, &normal, &high) == 3) {
        config->send_default = normal;
        config->send_max = high;
    }
    read_text("/proc/sys/net/core/rmem_default", text, sizeof text);
    if (sscanf(text, "%u", &normal) == 1)
        config->udp_receive_default = normal;
}

static int create_engine(struct stack_state *s)
{
    const struct engine_environment environment = {
        .send = environment_send,
        .route = environment_route,
        .generation = environment_generation,
        .notify = sock_engine_notify,
        .urgent = sock_engine_urgent,
        .opened = sock_engine_opened,
        .gone = sock_engine_gone,
        .stats = s->pub.stats,
    };
    struct engine_config config;
    int err;

    engine_config_default(&config);
    read_sysctls(&config);
    config.delayed_ack_us = s->profile.delayed_ack_us;
    config.coalesce_us = s->profile.coalesce_us;
    config.rto_min_us = s->profile.rto_min_us;
    config.borrow = true;
    /* Records are larger than what they hold, and some are held back. */
    config.window_budget = s->lane_reply.ring_bytes / 4;
    err = platform_random(config.hash_key, sizeof config.hash_key);
    s->pub.ops = &engine_lwip;
    return err < 0 ? err : s->pub.ops->create(&s->pub.engine, &config, &environment);
}

static int open_injector(struct stack_state *s)
{
    int fd = s->fds.injector;
    int err;

    if (s->lane_reply.injector == CONTROL_INJECTOR_DIRECT)
        err = injector_open_direct(&s->injector, fd, find_nexthop, NULL);
    else
        err = injector_open_guarded(&s->injector, fd);
    s->fds.injector = err == 0 ? injector_fd(s->injector) : -1;
    mark_own(fd, err == 0);
    return err;
}

/* An older service's page has no last part: memory of the process takes its place, and what is counted there is for
 * nobody. */
static int map_stats(int fd, void **out)
{
    const struct lane_stats *page;
    void *whole;
    int err = platform_memfd_map(fd, sizeof *page, true, out);

    stack_state.stats_whole = err == 0;
    if (err != LOCKSTEP_E_BAD_FORMAT)
        return err;
    err = platform_memfd_map(fd, LANE_STATS_BASE_BYTES, true, out);
    if (err < 0)
        return err;
    munmap(*out, LANE_STATS_BASE_BYTES);
    whole = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (whole == MAP_FAILED)
        return -ENOMEM;
    if (mmap(whole, LANE_STATS_BASE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
        munmap(whole, sizeof *page);
        return -ENOMEM;
    }
    *out = whole;
    return 0;
}

/* Maps ring, control page and statistics; duplicates of the first two are kept for a restarted service. */
static int open_lane(struct stack_state *s)
{
    int ring = stack_own_fd(sys_fcntl(s->fds.ring, F_DUPFD_CLOEXEC, 0));
    int control = stack_own_fd(sys_fcntl(s->fds.control, F_DUPFD_CLOEXEC, 0));
    void *stats = NULL;
    int err;

    err = lane_open(&s->lane, s->fds.ring, s->lane_reply.ring_bytes, s->fds.control);
    if (err < 0) {
        s->lane = NULL;
    } else {
        mark_own(s->fds.ring, 1);
        mark_own(s->fds.control, 1);
    }
    s->fds.ring = ring;
    s->fds.control = control;
    if (err == 0)
        err = map_stats(s->fds.stats, &stats);
    if (err == 0)
        madvise(stats, sizeof(struct lane_stats), MADV_DONTFORK);
    s->pub.stats = stats;
    mark_own(s->fds.stats, 1);
    mark_own(s->fds.event, 1);
    return err;
}

static uint32_t wanted_injector(void)
{
    return strcmp(settings.injector, "direct") == 0 ? CONTROL_INJECTOR_DIRECT : CONTROL_INJECTOR_GUARDED;
}

static void forget_client(struct netd_client **client)
{
    if (!*client)
        return;
    mark_own(client_fd(*client), 0);
    client_close(*client);
    *client = NULL;
}

/* Gives back what is there, in this process only: nothing is said to the service but by closing the connection. */
static void release_parts(struct stack_state *s)
{
    if (s->lane) {
        mark_own(lane_poll_fd(s->lane), 0);
        lane_close(s->lane);
    }
    if (s->injector) {
        mark_own(s->fds.injector, 0);
        injector_close(s->injector);
    } else {
        stack_close_own_fd(s->fds.injector);
    }
    stack_close_own_fd(s->fds.ring);
    stack_close_own_fd(s->fds.control);
    stack_close_own_fd(s->fds.stats);
    stack_close_own_fd(s->fds.event);
    forget_client(&s->pub.client);
    s->lane = NULL;
    s->injector = NULL;
    s->fds = (struct client_lane_fds){-1, -1, -1, -1, -1};
}

static int connect_anew(struct netd_client **client)
{
    int err;

    forget_client(client);
    err = stack_connect(client);
    if (err == 0)
        mark_own(client_fd(*client), 1);
    return err;
}

static int open_parts(struct stack_state *s, const char **why)
{
    int err;

    *why = "the service is not reachable";
    s->pub.client = messenger;
    messenger = NULL;
    err = s->pub.client && client_check(s->pub.client) == 0 ? 0 : connect_anew(&s->pub.client);
    if (err < 0) {
        if (err == LOCKSTEP_E_BAD_VERSION)
            *why = "the service is of another version";
        else if (err == LOCKSTEP_E_DENIED)
            *why = "denied by policy"; /* by an older service */
        return err;
    }
    *why = "the service gave no lane";
    err = client_lane_open(s->pub.client, wanted_injector(), 0, &s->lane_reply, &s->fds);
    if (err < 0) {
        *why = err == LOCKSTEP_E_DENIED ? "denied by policy" : *why;
        return err;
    }
    s->pub.lane = s->lane_reply.lane;
    *why = "the lane cannot be opened";
    err = open_lane(s);
    if (err == 0)
        err = open_injector(s);
    if (err == 0) {
        *why = "the engine cannot be created";
        err = create_engine(s);
    }
    return err;
}

static void prepare_spinning(struct stack_state *s)
{
    uint64_t full;

    s->cycles_per_us = platform_cycles_per_us();
    s->ns_per_cycle = (NS_PER_US << 32) / s->cycles_per_us;
    full = s->profile.spin_us == UINT32_MAX ? UINT64_MAX / 2 : s->profile.spin_us * s->cycles_per_us;
    /* The machine's cores, not those of the affinity mask: a program that is bound to a core is to spin there. */
    if (s->profile.spin_backoff && sysconf(_SC_NPROCESSORS_ONLN) == 1 && full > SINGLE_CORE_US * s->cycles_per_us)
        full = SINGLE_CORE_US * s->cycles_per_us;
    spin_budget_init(&s->spin, full, s->cycles_per_us, s->profile.spin_backoff);
}

/* The program may close or replace its standard error: the log keeps a duplicate. */
static void start_log(void)
{
    static const char *const levels[] = {"error", "warning", "info", "debug"};
    static int fd = -1;
    enum log_level level = LOG_LEVEL_WARNING;

    for (int i = 0; i < 4; i++)
        level = strcmp(settings.log_level, levels[i]) == 0 ? (enum log_level)i : level;
    log_init("lockstep", level);
    if (fd < 0)
        fd = stack_own_fd(sys_fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, stack_fd_minimum()));
    log_set_fd(fd);
}

static int open_stack(struct stack_state *s)
{
    int err;

    start_log();

    load_profile(&s->profile);
    prepare_spinning(s);
    s->fds = (struct client_lane_fds){-1, -1, -1, -1, -1};
    err = open_parts(s, &unavailable);
    if (err < 0) {
        log_debug("stack: %s: %s", unavailable, error_text(err));
        release_parts(s);
        return err;
    }
    stack_lock_quiet();
    stack_run_timers(platform_now_ns());
    stack_unlock_quiet();
    err = helper_start();
    if (err < 0) {
        unavailable = "the helper thread cannot be started";
        s->pub.ops->destroy(s->pub.engine);
        release_parts(s);
        return err;
    }
    if (s->profile.core >= 0 && sys_call6(SYS_gettid, 0, 0, 0, 0, 0, 0) == sys_call6(SYS_getpid, 0, 0, 0, 0, 0, 0))
        platform_pin_thread(s->profile.core);
    __atomic_store_n(&s->open, true, __ATOMIC_RELEASE);
    return 0;
}

struct stack *stack_get(const char **why)
{
    struct stack_state *s = &stack_state;

    if (__atomic_load_n(&s->open, __ATOMIC_ACQUIRE))
        return &s->pub;
    stack_busy_begin();
    platform_lock_acquire(&open_lock);
    if (!s->open && platform_now_ns() >= retry_at_ns) {
        waiters_init();
        open_error = open_stack(s);
        if (open_error < 0)
            retry_at_ns = platform_now_ns() + RETRY_NS;
    }
    if (!s->open && why)
        *why = unavailable;
    platform_lock_release(&open_lock);
    stack_busy_end();
    return s->open ? &s->pub : NULL;
}

struct stack *stack_current(void)
{
    return __atomic_load_n(&stack_state.open, __ATOMIC_ACQUIRE) ? &stack_state.pub : NULL;
}

/* Of a program that gets no lane the service knows why. Open lock held. */
static void tell_by_messenger(const struct control_not_accelerated *message)
{
    static uint64_t again_at_ns;

    if (open_error < 0 && (open_error != LOCKSTEP_E_NO_SERVICE || platform_now_ns() < retry_at_ns))
        return;
    if (!messenger) {
        int err;

        if (platform_now_ns() < again_at_ns)
            return;
        start_log();
        err = connect_anew(&messenger);
        again_at_ns = platform_now_ns() + RETRY_NS; /* a service that does not answer has taken seconds to say so */
        if (err < 0)
            return;
    }
    if (client_not_accelerated(messenger, message) == LOCKSTEP_E_NO_SERVICE)
        forget_client(&messenger);
}

void stack_tell_not_accelerated(const struct control_not_accelerated *message)
{
    struct stack_state *s = &stack_state;

    stack_busy_begin();
    platform_lock_acquire(&open_lock);
    if (!s->open)
        tell_by_messenger(message);
    platform_lock_release(&open_lock);
    if (s->open)
        client_not_accelerated(s->pub.client, message);
    stack_busy_end();
}

/* ---- fork ---- */

void stack_fork_prepare(void)
{
    stack_busy_begin();
    handover_prepare();
    sock_decide_hold(true);
    flows_announce_hold(true);
    platform_lock_acquire(&open_lock);
    stack_lock_quiet();
    for (int i = 0; i < FORK_ROUNDS && stack_state.open && stack_drive(); i++)
        ; /* what has arrived before is the child's too */
    sock_note_fork();
    sock_table_hold(true);
}

static void release_fork_locks(void)
{
    sock_table_hold(false);
    stack_unlock_quiet();
    platform_lock_release(&open_lock);
    flows_announce_hold(false);
    sock_decide_hold(false);
}

void stack_fork_parent(void)
{
    release_fork_locks();
    stack_busy_end();
}

void stack_fork_child(void)
{
    struct stack_state *s = &stack_state;
    bool open = s->open;

    s->open = false;
    forget_client(&messenger);
    waiters_forget();
    dump_forget();
    if (open) {
        /* The page itself stayed with the parent: what is counted from here on goes nowhere. */
        mmap(s->pub.stats, sizeof *s->pub.stats, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
        sock_save_leftovers();
        s->pub.ops->abandon(s->pub.engine);
        munmap(s->pub.stats, sizeof *s->pub.stats);
        stack_close_own_fd(s->helper_event_fd);
        release_parts(s);
        routes_forget();
    }
    memset(s, 0, sizeof *s);
    retry_at_ns = 0;
    open_error = 0;
    platform_lock_init(&s->lock);
    sock_table_hold(false);
    platform_lock_release(&open_lock);
    flows_announce_hold(false);
    sock_decide_hold(false);
    stack_busy = 0;
    stack_signal_deferred = false;
    stack_sleeping_fd = -1;
}
