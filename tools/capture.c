/* SPDX-License-Identifier: BSD-2-Clause */
/* lockstep capture: what is diverted and injected, as a pcapng file. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "divert/capture.h"
#include "divert/divert_abi.h"
#include "platform/platform.h"
#include "platform/stop_signals.h"
#include "service/control.h"
#include "tools/capture_direct.h"
#include "tools/capture_owners.h"
#include "tools/capture_series.h"
#include "tools/command.h"

#define REFRESH_NS    1000000000ull
#define SETTLE_NS     2000000ull /* a packet of another core may be this late */
#define INTERFACE_MAX 16
#define VLAN_BYTES    4
#define FRAME_ROOM    (ETH_HLEN + VLAN_BYTES)

struct capture_options {
    char write[CAPTURE_SERIES_PATH_MAX];
    char interface[INTERFACE_MAX][IF_NAMESIZE];
    int64_t pid;
    char program[64];
    char host[64];
    int64_t port;
    bool dropped, all;
    int64_t snap_length, count;
    uint64_t duration_ns, buffer_bytes, file_bytes;
    int64_t files;
    char runtime_dir[90];
};

static const struct option_entry entries[] = {
    {"write",
     'w',
     "The pcapng file; \"-\" is standard output. Default: standard output, if that is no terminal.",
     {VALUE_TEXT(struct capture_options, write)},
     "FILE"},
    {"file-size",
     0,
     "Begin the next file when one has this size; they are numbered: FILE-00001, FILE-00002, before its last dot.",
     {VALUE_SIZE(struct capture_options, file_bytes), .min = 4096, .max = 1ll << 50},
     NULL},
    {"files",
     0,
     "Keep so many of these files: the oldest goes when a next one comes.",
     {VALUE_INT(struct capture_options, files), .min = 2, .max = 99999},
     "N"},
    {"interface",
     'i',
     "Only packets of this interface; may be given several times.",
     {VALUE_TEXTS(struct capture_options, interface)},
     "NAME"},
    {"pid",
     'p',
     "Only packets of this process.",
     {VALUE_INT(struct capture_options, pid), .min = 1, .max = INT32_MAX},
     "PID"},
    {"program", 'P', "Only packets of programs of this name.", {VALUE_TEXT(struct capture_options, program)}, "NAME"},
    {"host", 0, "Only packets from or to this address.", {VALUE_TEXT(struct capture_options, host)}, "ADDRESS"},
    {"port",
     0,
     "Only packets from or to this port.",
     {VALUE_INT(struct capture_options, port), .min = 1, .max = 65535},
     "PORT"},
    {"dropped",
     0,
     "Also packets that were lost because a ring was full, or that a guard did not let out; a comment says why.",
     {VALUE_BOOL(struct capture_options, dropped)},
     NULL},
    {"all",
     'a',
     "Also those, and the packets that the divert has left to the kernel.",
     {VALUE_BOOL(struct capture_options, all)},
     NULL},
    {"snaplen",
     's',
     "So many bytes of a packet at most.",
     {VALUE_INT(struct capture_options, snap_length), .initial = "65000", .min = 14, .max = CAPTURE_BYTES_MAX},
     "BYTES"},
    {"count",
     'c',
     "End after so many packets.",
     {VALUE_INT(struct capture_options, count), .min = 1, .max = INT64_MAX},
     "N"},
    {"duration",
     't',
     "End after this time.",
     {VALUE_DURATION(struct capture_options, duration_ns), .min = 1000000, .max = 31536000000000000},
     NULL},
    {"buffer",
     'b',
     "A core's buffer between the kernel and the file.",
     {VALUE_SIZE(struct capture_options, buffer_bytes), .initial = "4M", .min = 4096, .max = 1 << 30},
     NULL},
    {"runtime-dir",
     'd',
     "The service's directory (it is asked for the programs' names). Default: $LOCKSTEP_RUNTIME_DIR, "
     "else " CONTROL_DEFAULT_DIR ".",
     {VALUE_TEXT(struct capture_options, runtime_dir)},
     "DIR"},
    {0},
};

static const struct option_program program = {
    .name = "lockstep capture",
    .summary = "Record the packets that are diverted and injected.",
    .arguments = "[EXPRESSION...]",
    .entries = entries,
};

/* All of a run. */
struct session {
    struct capture_options options;
    bool has_filter;
    struct bpf_program filter;
    struct capture *capture;
    struct capture_direct *direct;
    struct capture_owners *owners;
    struct capture_series *series;
    uint64_t packets, end_ns, refresh_ns;
    int error;
    uint8_t frame[FRAME_ROOM + CAPTURE_BYTES_MAX];
};

static int complain(const char *what, const char *why)
{
    fprintf(stderr, "lockstep capture: %s%s%s\n", what, *why ? ": " : "", why);
    return 1;
}

/* ---- one packet ---- */

/* The frame as it was on the wire: with the tag that the device took off, and a link layer where the kernel has
 * forgotten it. Returns what was added in front. */
static uint32_t restore_frame(const struct capture_event *event, const uint8_t *bytes, uint8_t *frame)
{
    uint32_t captured = event->captured;
    uint16_t type;

    if (event->flags & CAPTURE_BARE) {
        type = captured > 0 && bytes[0] >> 4 == 6 ? htons(ETH_P_IPV6) : htons(ETH_P_IP);
        memset(frame, 0, 2 * ETH_ALEN);
        memcpy(frame + 2 * ETH_ALEN, &type, sizeof type);
        memcpy(frame + ETH_HLEN, bytes, captured);
        return ETH_HLEN;
    }
    if (event->vlan_protocol && captured >= 2 * ETH_ALEN) {
        uint16_t tci = htons(event->vlan_tci);

        memcpy(frame, bytes, 2 * ETH_ALEN);
        memcpy(frame + 2 * ETH_ALEN, &event->vlan_protocol, sizeof event->vlan_protocol);
        memcpy(frame + 2 * ETH_ALEN + 2, &tci, sizeof tci);
        memcpy(frame + 2 * ETH_ALEN + VLAN_BYTES, bytes + 2 * ETH_ALEN, captured - 2 * ETH_ALEN);
        return VLAN_BYTES;
    }
    memcpy(frame, bytes, captured);
    return 0;
}

static const char *verdict_text(const struct capture_event *event)
{
    static const char *const reasons[] = {[GUARD_DROP_MALFORMED] = "malformed",
                                          [GUARD_DROP_SOURCE] = "the source is not registered",
                                          [GUARD_DROP_FRAGMENT] = "a fragment",
                                          [GUARD_DROP_NEXTHOP] = "no such next hop"};

    switch (event->verdict) {
    case CAPTURE_BOTH:
        return "to the kernel as well";
    case CAPTURE_LOST:
        return "lost: the ring was full";
    case CAPTURE_PASSED:
        return "left to the kernel";
    case CAPTURE_STALE:
        return "left to the kernel: the program does not answer, nor does the service";
    case CAPTURE_REFUSED:
        return event->reason < GUARD_DROP_REASONS ? reasons[event->reason] : "unknown reason";
    }
    return "";
}

/* "lane 3, sensor (1234); lost: the ring was full" */
static void make_comment(const struct capture_event *event, const struct capture_owner *owner, char *text, size_t size)
{
    const char *verdict = verdict_text(event);
    size_t used = 0;

    *text = '\0';
    if (owner)
        used =
            (size_t)snprintf(text, size, "lane %" PRIu32 ", %s (%" PRIu32 ")", owner->lane, owner->program, owner->pid);
    else if (event->lane != CAPTURE_LANE_UNKNOWN)
        used = (size_t)snprintf(text, size, "lane %" PRIu32, event->lane);
    if (*verdict && used < size)
        snprintf(text + used, size - used, "%s%s%s", used ? "; " : "",
                 event->verdict == CAPTURE_REFUSED ? "refused: " : "", verdict);
}

static bool interface_wanted(const struct capture_options *options, unsigned ifindex)
{
    char name[IF_NAMESIZE];

    if (!options->interface[0][0])
        return true;
    if (!if_indextoname(ifindex, name))
        return false;
    for (int i = 0; i < INTERFACE_MAX && options->interface[i][0]; i++) {
        if (strcmp(options->interface[i], name) == 0)
            return true;
    }
    return false;
}

static bool owner_wanted(const struct capture_options *options, const struct capture_owner *owner)
{
    if (options->pid && (!owner || owner->pid != (uint32_t)options->pid))
        return false;
    return !options->program[0] || (owner && strcmp(owner->program, options->program) == 0);
}

static bool filter_matches(const struct session *session, uint32_t captured, uint32_t length)
{
    const struct pcap_pkthdr header = {.caplen = captured, .len = length};

    return !session->has_filter || pcap_offline_filter(&session->filter, &header, session->frame) > 0;
}

static void take(struct session *session, const struct capture_event *event, const void *bytes,
                 const struct capture_owner *owner)
{
    char comment[PCAPNG_COMMENT_MAX];
    struct capture_frame frame = {
        .monotonic_ns = event->time_ns,
        .ifindex = event->ifindex,
        .direction =
            event->verdict == CAPTURE_INJECTED || event->verdict == CAPTURE_REFUSED ? PCAPNG_OUTBOUND : PCAPNG_INBOUND,
        .bytes = session->frame,
        .comment = comment,
    };
    uint32_t added;

    if (session->error || (session->options.count && session->packets >= (uint64_t)session->options.count) ||
        !interface_wanted(&session->options, event->ifindex) || !owner_wanted(&session->options, owner))
        return;
    added = restore_frame(event, bytes, session->frame);
    frame.length = event->length + added;
    frame.captured = event->captured + added;
    if (frame.captured > (uint64_t)session->options.snap_length)
        frame.captured = (uint32_t)session->options.snap_length;
    if (!filter_matches(session, frame.captured, frame.length))
        return;
    make_comment(event, owner, comment, sizeof comment);
    session->error = capture_file_add(capture_series_file(session->series), &frame);
    session->packets += session->error == 0;
}

static void take_event(void *context, const struct capture_event *event, const void *bytes)
{
    struct session *session = context;

    take(session, event, bytes, capture_owners_lane(session->owners, event->lane));
}

/* ---- beginning ---- */

static uint32_t wanted_verdicts(const struct capture_options *options)
{
    uint32_t verdicts = 1u << CAPTURE_DIVERTED | 1u << CAPTURE_BOTH | 1u << CAPTURE_INJECTED;

    if (options->dropped || options->all)
        verdicts |= 1u << CAPTURE_LOST | 1u << CAPTURE_REFUSED;
    if (options->all)
        verdicts |= 1u << CAPTURE_PASSED | 1u << CAPTURE_STALE;
    return verdicts;
}

static int append(char *text, size_t size, const char *joint, const char *before, const char *what, const char *after)
{
    size_t used = strlen(text);

    return (size_t)snprintf(text + used, size - used, "%s%s%s%s", used ? joint : "", before, what, after) < size - used
               ? 0
               : -ENAMETOOLONG;
}

/* The expression, and --host and --port as parts of it. Exit status. */
static int compile_filter(struct session *session, int count, char **words)
{
    char expression[4096] = "", number[24];
    pcap_t *pcap;
    int err = 0;

    for (int i = 0; i < count; i++)
        err |= append(expression, sizeof expression, " ", i ? "" : "(", words[i], i == count - 1 ? ")" : "");
    if (session->options.host[0])
        err |= append(expression, sizeof expression, " and ", "host ", session->options.host, "");
    snprintf(number, sizeof number, "%" PRId64, session->options.port);
    if (session->options.port)
        err |= append(expression, sizeof expression, " and ", "port ", number, "");
    if (err) {
        complain("the filter expression is too long", "");
        return 2;
    }
    if (!expression[0])
        return 0;
    pcap = pcap_open_dead(DLT_EN10MB, CAPTURE_BYTES_MAX);
    if (!pcap)
        return complain("no memory", "");
    if (pcap_compile(pcap, &session->filter, expression, 1, PCAP_NETMASK_UNKNOWN) < 0) {
        fprintf(stderr, "lockstep capture: %s: %s\n", expression, pcap_geterr(pcap));
        err = 2;
    }
    pcap_close(pcap);
    session->has_filter = err == 0;
    return err;
}

static int check_options(const struct capture_options *options)
{
    for (int i = 0; i < INTERFACE_MAX && options->interface[i][0]; i++) {
        if (if_nametoindex(options->interface[i]) == 0)
            return complain(options->interface[i], "there is no such interface");
    }
    if (!options->write[0] && isatty(STDOUT_FILENO)) {
        complain("standard output is a terminal: say --write FILE", "");
        return 2;
    }
    if (options->file_bytes && (!options->write[0] || strcmp(options->write, "-") == 0)) {
        complain("--file-size needs --write FILE", "");
        return 2;
    }
    if (options->files && !options->file_bytes) {
        complain("--files needs --file-size", "");
        return 2;
    }
    return geteuid() == 0 ? 0 : complain("capturing needs root", "");
}

static int open_files(struct session *session)
{
    const struct capture_options *options = &session->options;
    int err = capture_series_open(&session->series, options->write, (uint32_t)options->snap_length, options->file_bytes,
                                  (unsigned)options->files);

    return err < 0 ? complain(session->series ? capture_series_name(session->series) : "no memory", error_text(err))
                   : 0;
}

/* Services that can be captured from, or -1 after a complaint. */
static int refresh(struct session *session, uint64_t now_ns)
{
    unsigned other_pid = 0;
    int result;

    capture_owners_refresh(session->owners);
    result = capture_refresh(session->capture, now_ns, &other_pid);
    session->refresh_ns = now_ns + REFRESH_NS;
    if (result == LOCKSTEP_E_CONFLICT)
        fprintf(stderr, "lockstep capture: process %u captures already\n", other_pid);
    else if (result == LOCKSTEP_E_NOT_SUPPORTED)
        complain("the service is older than this program: restart lockstep-netd", "");
    else if (result < 0)
        complain("cannot capture", error_text(result));
    return result < 0 ? -1 : result;
}

static int begin(struct session *session)
{
    const struct capture_config config = {.snap_length = (uint32_t)session->options.snap_length,
                                          .verdicts = wanted_verdicts(&session->options),
                                          .buffer_bytes = session->options.buffer_bytes};
    uint64_t now_ns = platform_now_ns();
    int services, err = capture_open(&session->capture, &config, take_event, session);

    session->owners = capture_owners_create(session->options.runtime_dir);
    if (err < 0 || !session->owners)
        return complain("cannot begin", error_text(err < 0 ? err : -ENOMEM));
    err = capture_direct_open(&session->direct, config.snap_length, session->owners, take_event, session);
    if (err < 0)
        fprintf(stderr, "lockstep capture: packets of lanes with the direct injector are missing: %s\n",
                error_text(err));
    session->end_ns = session->options.duration_ns ? now_ns + session->options.duration_ns : UINT64_MAX;
    services = refresh(session, now_ns);
    if (services == 0)
        return complain("no interface of this network namespace has Lockstep's divert: is lockstep-netd running?", "");
    return services < 0 ? 1 : 0;
}

/* ---- the loop ---- */

static bool is_over(const struct session *session, uint64_t now_ns)
{
    return session->error || now_ns >= session->end_ns ||
           (session->options.count && session->packets >= (uint64_t)session->options.count);
}

static int wait_ms(const struct session *session, uint64_t now_ns)
{
    uint64_t until_ns = session->end_ns < session->refresh_ns ? session->end_ns : session->refresh_ns;
    uint64_t wait_ns = until_ns > now_ns ? until_ns - now_ns : 0;

    return wait_ns < 20000000 ? (int)(wait_ns / 1000000) + 1 : 20;
}

static uint64_t count_lost(const struct session *session)
{
    return capture_lost(session->capture) + (session->direct ? capture_direct_lost(session->direct) : 0);
}

static void read_packets(struct session *session)
{
    uint64_t before_ns = platform_now_ns() - SETTLE_NS;

    capture_read(session->capture);
    if (session->direct) {
        capture_direct_read(session->direct);
        if (capture_direct_undecided_ns(session->direct) < before_ns)
            before_ns = capture_direct_undecided_ns(session->direct);
    }
    if (session->error == 0)
        session->error = capture_series_write(session->series, before_ns, count_lost(session));
}

/* Ends by a signal, count, time, or when nobody reads any more. */
static void run(struct session *session, int stop_fd)
{
    for (uint64_t now_ns = platform_now_ns(); !is_over(session, now_ns); now_ns = platform_now_ns()) {
        struct pollfd fds[] = {{stop_fd, POLLIN, 0},
                               {capture_fd(session->capture), POLLIN, 0},
                               {session->direct ? capture_direct_fd(session->direct) : -1, POLLIN, 0},
                               {capture_series_is_pipe(session->series) ? STDOUT_FILENO : -1, 0, 0}};

        if (now_ns >= session->refresh_ns)
            refresh(session, now_ns); /* a service that is restarted comes back */
        poll(fds, sizeof fds / sizeof *fds, wait_ms(session, now_ns));
        read_packets(session);
        if (fds[0].revents)
            return;
        if (fds[3].revents & POLLERR) /* the pipe's reader has gone */
            session->error = -EPIPE;
    }
}

/* Exit status. */
static int conclude(struct session *session)
{
    uint64_t lost;
    int err;

    if (session->direct) { /* also what is still undecided */
        capture_owners_refresh(session->owners);
        capture_direct_read(session->direct);
    }
    lost = count_lost(session);
    err = session->error == 0 ? capture_series_finish(session->series, lost) : session->error;
    fprintf(stderr, "lockstep capture: %" PRIu64 " packets, %" PRIu64 " lost%s\n", session->packets, lost,
            lost ? " for want of room (--buffer)" : "");
    return err == 0 || err == -EPIPE ? 0 : complain(capture_series_name(session->series), error_text(err));
}

static int session_run(struct session *session)
{
    int stop_fd = platform_stop_signals(), exit_status = stop_fd < 0 ? complain("signals", error_text(stop_fd)) : 0;

    if (exit_status == 0)
        exit_status = begin(session);
    if (exit_status == 0)
        exit_status = open_files(session);
    if (exit_status == 0) {
        fprintf(stderr, "lockstep capture: capturing\n");
        run(session, stop_fd);
        exit_status = conclude(session);
    }
    capture_close(session->capture);
    capture_direct_close(session->direct);
    capture_owners_destroy(session->owners);
    capture_series_close(session->series);
    return exit_status;
}

static int capture_main(int argc, char **argv)
{
    static struct session session;
    int exit_status, first = option_run(&program, argc, argv, &session.options, &exit_status);

    if (first < 0)
        return exit_status;
    log_init("lockstep", LOG_LEVEL_ERROR);
    exit_status = check_options(&session.options);
    if (exit_status == 0)
        exit_status = compile_filter(&session, argc - first, argv + first);
    if (exit_status == 0)
        exit_status = session_run(&session);
    if (session.has_filter)
        pcap_freecode(&session.filter);
    return exit_status;
}

const struct command command_capture = {"capture", &program, capture_main, NULL};
