/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/lanes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "platform/platform.h"
#include "service/admission.h"
#include "service/events.h"

#define RING_MIN      65536u
#define RING_MAX      (1u << 28)
#define RING_USER_MAX (16u << 20) /* for others than root, unless the policy's default is larger */
#define REFUSED(client)                                                                                                \
    LOG_SUBJECT(.event = LOG_EVENT_LANE_REFUSED, .program = (client)->program, .pid = (int)(client)->process.pid)

static void close_all(int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
        fds[i] = -1;
    }
}

static void store_survivors(const struct netd *netd)
{
    struct survivor owner[DIVERT_MAX_LANES];

    for (unsigned i = 0; i < DIVERT_MAX_LANES; i++) {
        owner[i] = netd->lanes[i] ? netd->lanes[i]->client->process : netd->survivors.owner[i];
        if (netd->lanes[i])
            owner[i].device = netd->lanes[i]->device_index;
    }
    survivors_store(netd->policy.runtime_dir, owner);
}

/* Round robin: a number is not given out again soon. Numbers that a survivor may claim are kept. */
static int choose_lane(struct netd *netd)
{
    for (uint32_t i = 0; i < DIVERT_MAX_LANES; i++) {
        uint32_t lane = (netd->next_lane + i) % DIVERT_MAX_LANES;

        if (netd->lanes[lane] || netd->survivors.owner[lane].pid)
            continue;
        netd->next_lane = lane + 1;
        return (int)lane;
    }
    return LOCKSTEP_E_EXHAUSTED;
}

static uint32_t ring_size(const struct policy_lane *policy, const struct client *client, uint32_t wanted)
{
    uint64_t limit = RING_MAX, size = RING_MIN;

    if (client->uid != 0)
        limit = policy->ring_bytes > RING_USER_MAX ? policy->ring_bytes : RING_USER_MAX;
    if (wanted == 0)
        wanted = (uint32_t)policy->ring_bytes;
    while (size < wanted && size * 2 <= limit)
        size *= 2;
    return (uint32_t)size;
}

static int check_limits(const struct netd *netd, const struct client *client)
{
    if (client->lane)
        return LOCKSTEP_E_CONFLICT;
    if (client->uid != 0 && client->user->lanes >= (uint64_t)netd->policy.lanes_per_user)
        return LOCKSTEP_E_EXHAUSTED;
    return 0;
}

static struct lane *lane_create(struct netd *netd, struct client *client, uint32_t number)
{
    struct lane *lane = calloc(1, sizeof(*lane));

    if (!lane)
        return NULL;
    flow_owner_init(&lane->owner, number, client->uid, &client->user->closer);
    lane->client = client;
    lane->event_fd = -1;
    lane->since_ns = lanes_since(0);
    netd->lanes[number] = lane;
    netd->lane_count++;
    client->lane = lane;
    client->user->lanes++;
    return lane;
}

static void lane_free(struct netd *netd, struct lane *lane)
{
    if (lane->stats)
        munmap(lane->stats, lane->stats_bytes);
    closer_close(lane->owner.closer, lane->event_fd); /* the program may have put anything into its queue */
    lane->client->lane = NULL;
    lane->client->user->lanes--;
    netd->lanes[lane->owner.lane] = NULL;
    netd->lane_count--;
    free(lane);
}

static int make_event_sockets(struct lane *lane, int *event_fd)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return -errno;
    lane->event_fd = pair[0];
    *event_fd = pair[1];
    return 0;
}

static int make_stats(struct lane *lane)
{
    int fd = platform_memfd_sealed("lockstep-stats", sizeof(*lane->stats), false, (void **)&lane->stats);

    if (fd < 0)
        return fd;
    lane->stats_bytes = sizeof(*lane->stats);
    lane->stats->magic = LANE_STATS_MAGIC;
    lane->stats->size = sizeof(*lane->stats);
    return fd;
}

/* A packet socket wants some interface; the program names the one it needs with each packet. */
static int make_direct(const struct netd *netd, int *fd)
{
    size_t count;
    const struct network_interface *interfaces = network_interfaces(netd->network, &count);

    for (size_t i = 0; i < count; i++) {
        if (interfaces[i].ifindex)
            return divert_packet_socket_create(interfaces[i].ifindex, fd);
    }
    return LOCKSTEP_E_GONE;
}

static int make_injector(struct netd *netd, struct lane *lane, bool direct, int *fd)
{
    int result;

    if (direct) {
        lane->injector = CONTROL_INJECTOR_DIRECT;
        return make_direct(netd, fd);
    }
    lane->injector = CONTROL_INJECTOR_GUARDED;
    result = divert_tap_create(netd->divert, lane->owner.lane, lane->device, fd);
    lane->device_index = result == 0 ? if_nametoindex(lane->device) : 0;
    return result;
}

int lanes_open(struct netd *netd, struct client *client, const struct control_lane_open *request,
               struct control_lane_reply *reply, int fds[LANE_FDS])
{
    struct divert_lane_fds lane_fds = {-1, -1};
    struct policy_lane policy;
    struct lane *lane;
    int result = check_limits(netd, client), number;

    for (int i = 0; i < LANE_FDS; i++)
        fds[i] = -1;
    if (result == 0)
        result = admission_lane(netd, client, &policy);
    if (result < 0)
        return result;
    number = choose_lane(netd);
    if (number < 0)
        return number;
    lane = lane_create(netd, client, (uint32_t)number);
    if (!lane)
        return -ENOMEM;
    lane->ring_bytes = ring_size(&policy, client, request->ring_bytes);
    result = divert_lane_create(netd->divert, lane->owner.lane, lane->ring_bytes, &lane_fds);
    if (result < 0) {
        lane_free(netd, lane);
        return result;
    }
    fds[0] = lane_fds.ring;
    fds[1] = lane_fds.control;
    result = make_injector(netd, lane, policy.direct && request->injector == CONTROL_INJECTOR_DIRECT, &fds[2]);
    if (result == 0)
        result = fds[3] = make_stats(lane);
    if (result >= 0)
        result = make_event_sockets(lane, &fds[4]);
    if (result < 0) {
        log_limited(LOG_LEVEL_WARNING, REFUSED(client), "lanes: no lane for %s (process %d): %s", client->program,
                    (int)client->process.pid, error_text(result));
        close_all(fds, LANE_FDS);
        lanes_close(netd, lane, false);
        return result;
    }
    *reply = (struct control_lane_reply){lane->owner.lane, lane->injector, lane->ring_bytes, 0};
    netd->counters.lanes_opened++;
    events_lane_opened(netd, lane);
    store_survivors(netd);
    return 0;
}

/* Is this a statistics page that an earlier instance made? Nothing else may be mapped: it could fault. */
static int map_stats(struct lane *lane, int fd)
{
    struct statfs status;
    int result;

    /* Memory files only: fstatfs of another one could block, and a page of a huge page file could fault. */
    if (fcntl(fd, F_GET_SEALS) < 0 || fstatfs(fd, &status) < 0 || status.f_type != TMPFS_MAGIC)
        return LOCKSTEP_E_BAD_FORMAT;
    lane->stats_bytes = sizeof(*lane->stats);
    result = platform_memfd_map(fd, lane->stats_bytes, true, (void **)&lane->stats);
    if (result == 0)
        lane->ends_heard = lane->stats->ends_heard;
    if (result != LOCKSTEP_E_BAD_FORMAT)
        return result;
    lane->stats_bytes = LANE_STATS_BASE_BYTES; /* of an older service */
    return platform_memfd_map(fd, lane->stats_bytes, false, (void **)&lane->stats);
}

/* Asks the kernel, not the file: the system calls about network devices would go to whatever file system it is of. */
static bool is_tap(int fd)
{
    char path[40], line[128];
    bool found = false;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
    file = fopen(path, "re");
    if (!file)
        return false;
    while (!found && fgets(line, sizeof(line), file))
        found = !strncmp(line, "iff:", 4); /* the device's name, which only these files have */
    fclose(file);
    return found;
}

static int adopt_parts(struct netd *netd, struct lane *lane, const struct control_lane_adopt *request, const int fds[4],
                       int *event_fd)
{
    const struct divert_lane_fds lane_fds = {fds[0], fds[1]};
    int result = divert_lane_adopt(netd->divert, lane->owner.lane, &lane_fds);

    if (result < 0)
        return result;
    lane->injector = request->injector;
    if (request->injector == CONTROL_INJECTOR_GUARDED) {
        lane->device_index = netd->survivors.owner[request->lane].device;
        if_indextoname(lane->device_index, lane->device);
        result = is_tap(fds[2]) ? divert_tap_adopt(netd->divert, lane->owner.lane, fds[2]) : LOCKSTEP_E_BAD_FORMAT;
    }
    if (result == 0)
        result = map_stats(lane, fds[3]);
    if (result == 0)
        result = make_event_sockets(lane, event_fd);
    return result;
}

int lanes_adopt(struct netd *netd, struct client *client, const struct control_lane_adopt *request, const int fds[4],
                int *event_fd)
{
    struct lane *lane;
    int result = check_limits(netd, client);

    *event_fd = -1;
    if (result < 0)
        return result;
    if (request->lane >= DIVERT_MAX_LANES || request->injector > CONTROL_INJECTOR_DIRECT)
        return LOCKSTEP_E_BAD_VALUE;
    if (netd->lanes[request->lane])
        return LOCKSTEP_E_CONFLICT;
    /* Whose lane it was is known; with it go rights to connections. The process counts and not its user: a daemon may
     * have given up root meanwhile. */
    if (!survivors_owns(&netd->survivors, request->lane, &client->process) ||
        (netd->survivors.owner[request->lane].device != 0) != (request->injector == CONTROL_INJECTOR_GUARDED))
        return LOCKSTEP_E_DENIED;
    lane = lane_create(netd, client, request->lane);
    if (!lane)
        return -ENOMEM;
    lane->ring_bytes = request->ring_bytes;
    lane->adopted_ns = platform_now_ns();
    result = adopt_parts(netd, lane, request, fds, event_fd);
    if (result < 0) {
        log_limited(LOG_LEVEL_WARNING, REFUSED(client), "lanes: lane %u of %s (process %d) cannot be taken over: %s",
                    request->lane, client->program, (int)client->process.pid, error_text(result));
        close_all(event_fd, 1);
        lanes_close(netd, lane, false);
        return result;
    }
    survivors_remove(&netd->survivors, request->lane);
    netd->counters.lanes_adopted++;
    events_lane_opened(netd, lane);
    store_survivors(netd);
    return 0;
}

bool lanes_stats_whole(const struct lane *lane)
{
    return lane->stats && lane->stats_bytes >= sizeof(*lane->stats);
}

bool lanes_read_slot(const struct lane *lane, uint32_t slot, struct lane_stats_slot *out)
{
    if (slot >= LANE_STATS_SLOTS || !lane->stats)
        return false;
    memcpy(out, &lane->stats->slots[slot], sizeof(*out));
    return out->in_use != 0;
}

void lanes_read_histogram(const struct lane *lane, uint32_t slot, uint32_t out[LANE_STATS_SLOT_BUCKETS])
{
    const size_t size = LANE_STATS_SLOT_BUCKETS * sizeof(*out);

    if (slot < LANE_STATS_SLOTS && lanes_stats_whole(lane))
        memcpy(out, lane->stats->latency[slot], size);
    else
        memset(out, 0, size);
}

uint32_t lanes_slots_used(const struct lane *lane)
{
    uint32_t used = 0;

    if (lanes_stats_whole(lane))
        used = __atomic_load_n(&lane->stats->slots_used, __ATOMIC_RELAXED);
    return used < LANE_STATS_SLOTS ? used : LANE_STATS_SLOTS;
}

void lanes_hear_end(struct lane *lane, uint64_t number)
{
    lane->ends_heard = number;
    if (lanes_stats_whole(lane))
        __atomic_store_n(&lane->stats->ends_heard, number, __ATOMIC_RELEASE);
}

bool lanes_end_heard(const struct lane *lane, uint32_t slot)
{
    uint64_t number = 0;

    if (slot < LANE_STATS_SLOTS && lanes_stats_whole(lane))
        number = lane->stats->end_told[slot];
    return number != 0 && number <= lane->ends_heard;
}

int64_t lanes_since(uint64_t opened_ns)
{
    uint64_t now_ns = platform_now_ns();

    if (opened_ns == 0 || opened_ns > now_ns)
        opened_ns = now_ns;
    return (int64_t)opened_ns + platform_realtime_offset_ns();
}

int64_t lanes_slot_since(const struct lane *lane, uint32_t slot)
{
    struct lane_stats_slot stats;

    return lanes_since(lanes_read_slot(lane, slot, &stats) ? stats.opened_ns : 0);
}

static bool peer_may_live(uint8_t state)
{
    return state == TCP_ESTABLISHED || state == TCP_SYN_RECV || state == TCP_FIN_WAIT1 || state == TCP_FIN_WAIT2 ||
           state == TCP_CLOSE_WAIT || state == TCP_LAST_ACK || state == TCP_CLOSING;
}

/* A peer that must hear that its connection is no more. */
struct orphan {
    struct net_endpoint local, remote;
    uint32_t snd_nxt, rcv_nxt;
};

/* Addresses and ports come from the database, never from the page: a program cannot reset what is not its own. If the
 * number is off, the peer's answer (a challenge acknowledgement) reaches the kernel, which resets it for good. */
static void reset_peer(struct netd *netd, const struct orphan *orphan)
{
    struct segment reset = {
        .from = orphan->local,
        .to = orphan->remote,
        .sequence = orphan->snd_nxt,
        .acknowledgement = orphan->rcv_nxt,
        .flags = SEGMENT_RST | SEGMENT_ACK,
    };
    unsigned scope = 0;
    int result;

    if (net_addr_is_link_local(&orphan->remote.addr))
        scope = network_interface_of(netd->network, &orphan->local.addr);
    result = segment_send(&netd->sender, &reset, scope);
    if (result < 0)
        log_debug("lanes: cannot reset a peer: %s", error_text(result));
    else
        netd->counters.resets_sent++;
}

static bool find_orphan(const struct lane *lane, const struct flow *flow, struct orphan *out)
{
    struct lane_stats_slot slot;

    if (flow->protocol != IPPROTO_TCP || flow->kind != CONTROL_FLOW_CONNECT ||
        !lanes_read_slot(lane, flow->slot, &slot) || !peer_may_live(slot.tcp_state))
        return false;
    *out = (struct orphan){flow->local, flow->remote, slot.snd_nxt, slot.rcv_nxt};
    return true;
}

void lanes_close(struct netd *netd, struct lane *lane, bool reset)
{
    struct orphan *orphans = reset ? calloc(lane->owner.count + 1, sizeof(*orphans)) : NULL;
    size_t count = 0;

    list_for_each(link, &lane->owner.flows)
    {
        struct flow *flow = list_entry(link, struct flow, of_owner);

        if (orphans && find_orphan(lane, flow, &orphans[count]))
            count++;
        events_connection_closed(netd, flow, NULL);
        flows_remove(netd->flows, flow);
        lane->client->user->flows--;
    }
    events_lane_closed(netd, lane);
    divert_lane_destroy(netd->divert, lane->owner.lane);
    /* Only now: what the peers answer is for the kernel. */
    for (size_t i = 0; i < count; i++)
        reset_peer(netd, &orphans[i]);
    free(orphans);
    lane_free(netd, lane);
    store_survivors(netd);
}
