/* SPDX-License-Identifier: BSD-2-Clause */
/* Registrations with the service: made by socket calls, announced and removed in the background, made again when the
 * service has restarted. */
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"
#include "base/log.h"
#include "stack/sock_private.h"

#define CHUNK_FLOWS    128
#define ANNOUNCE_BATCH 32
#define CLIENT_ID_BIT  0x80000000u
#define WAITING_NS     (5 * NS_PER_MS)
#define ENDS_KEPT      8192 /* to be told when the service is back */

/* One message of the queue, copied so that it can be sent without the stack lock. */
struct message {
    struct flow *leaving; /* it says that this one is over, which is freed when the service has it; NULL: accepted */
    union {
        struct control_flow_accepted accepted;
        struct control_flow_closed closed;
    };
};

static struct list free_flows, all_flows, announcements;
static struct list unheard;                   /* their end was sent, and the service has not come to it yet; in order */
static struct list waiting;                   /* established, not accepted yet, unknown to the service; oldest first */
static uint16_t free_slots[LANE_STATS_SLOTS]; /* a stack of slots given back */
static uint32_t free_slot_count, slots_used;
static uint32_t next_client_id;
static struct platform_lock announce_lock;      /* keeps messages in order; taken before the stack lock */
static struct message messages[ANNOUNCE_BATCH]; /* under it: too large for a program's stack */
static uint32_t ends_waiting;                   /* flows that are leaving */
static uint64_t end_number;                     /* of the last message about an end */
static bool pending;                            /* something may be in announcements or waiting; read without lock */

static void prepare(void)
{
    if (all_flows.next)
        return;
    list_init(&free_flows);
    list_init(&all_flows);
    list_init(&announcements);
    list_init(&unheard);
    list_init(&waiting);
}

static uint32_t take_slot(void)
{
    if (free_slot_count > 0)
        return free_slots[--free_slot_count];
    if (slots_used == LANE_STATS_SLOTS)
        return SOCK_NO_SLOT;
    __atomic_store_n(&stack_state.pub.stats->slots_used, slots_used + 1, __ATOMIC_RELAXED);
    return slots_used++;
}

static void return_slot(uint32_t slot)
{
    if (slot == SOCK_NO_SLOT)
        return;
    memset(&stack_state.pub.stats->slots[slot], 0, sizeof(struct lane_stats_slot));
    memset(stack_state.pub.stats->latency[slot], 0, sizeof stack_state.pub.stats->latency[slot]);
    stack_state.pub.stats->end_told[slot] = 0;
    free_slots[free_slot_count++] = (uint16_t)slot;
}

struct flow *flow_new(struct sock *sock)
{
    struct list *link;
    struct flow *flow;

    prepare();
    if (list_empty(&free_flows)) {
        struct flow *chunk =
            mmap(NULL, CHUNK_FLOWS * sizeof *chunk, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        for (int i = 0; chunk != MAP_FAILED && i < CHUNK_FLOWS; i++)
            list_push_back(&free_flows, &chunk[i].link);
    }
    link = list_pop_front(&free_flows);
    if (!link)
        return NULL;
    flow = list_entry(link, struct flow, link);
    *flow = (struct flow){.sock = sock, .slot = take_slot()};
    list_init(&flow->announce);
    list_push_back(&all_flows, &flow->link);
    return flow;
}

struct lane_stats_slot *flow_slot(const struct flow *flow)
{
    return flow->slot == SOCK_NO_SLOT ? NULL : &stack_state.pub.stats->slots[flow->slot];
}

/* Lock held. */
static void announce(struct flow *flow)
{
    if (list_empty(&announcements))
        helper_kick();
    list_push_back(&announcements, &flow->announce);
    __atomic_store_n(&pending, true, __ATOMIC_RELAXED);
}

/* Back to the pool; accepted connections that outlive their listener forget it. */
static void flow_free(struct flow *flow)
{
    if (!flow->accepted && flow->request.kind == CONTROL_FLOW_BOUND) {
        list_for_each(link, &all_flows)
        {
            struct flow *other = list_entry(link, struct flow, link);

            if (other->listener == flow)
                other->listener = NULL;
        }
    }
    list_remove(&flow->announce);
    list_remove(&flow->link);
    return_slot(flow->slot);
    list_push_front(&free_flows, &flow->link);
}

void flow_describe(const struct flow *flow, uint8_t protocol, const struct net_endpoint *local,
                   const struct net_endpoint *remote)
{
    struct lane_stats_slot *slot = flow_slot(flow);

    if (!slot)
        return;
    slot->in_use = 1;
    slot->protocol = protocol;
    slot->local = local->addr;
    slot->local_port = local->port;
    slot->remote = remote ? remote->addr : net_addr_any(net_addr_is_v4(&local->addr));
    slot->remote_port = remote ? remote->port : 0;
    if (slot->opened_ns == 0)
        slot->opened_ns = platform_now_ns();
}

struct lane_stats_slot *sock_engine_opened(void *context, void *listener_user, const struct net_endpoint *local,
                                           const struct net_endpoint *remote, void **connection_id)
{
    const struct sock *listener = listener_user;
    struct flow *flow = *connection_id;

    (void)context;
    if (flow)
        return flow_slot(flow);
    flow = flow_new(NULL);
    if (!flow)
        return NULL;
    flow->accepted = true;
    flow->listener = listener->flow;
    flow->local = *local;
    flow->remote = *remote;
    flow_describe(flow, IPPROTO_TCP, local, remote);
    flow->waiting_ns = platform_now_ns();
    list_push_back(&waiting, &flow->announce);
    __atomic_store_n(&pending, true, __ATOMIC_RELAXED);
    *connection_id = flow;
    return flow_slot(flow);
}

void sock_engine_gone(void *context, void *connection_id)
{
    struct flow *flow = connection_id;

    (void)context;
    if (flow->sock)
        flow->sock->flow = NULL;
    flow_drop(flow);
}

int flow_register(struct flow *flow, int fd, struct control_flow_add *request)
{
    uint32_t id;
    int err;

    request->slot = flow->slot;
    stack_busy_begin();
    err = client_flow_add(stack_state.pub.client, fd, request, &id);
    stack_lock_quiet();
    if (err == 0) {
        flow->request = *request;
        flow->id = id;
        flow->known = true;
    }
    stack_unlock_quiet();
    stack_busy_end();
    PROBE(socket_registered, fd, request->kind, err, flow->id);
    return err;
}

struct flow *flow_find(uint32_t id)
{
    prepare();
    list_for_each(link, &all_flows)
    {
        struct flow *flow = list_entry(link, struct flow, link);

        if (flow->id == id && !flow->leaving)
            return flow;
    }
    return NULL;
}

static bool is_between(const struct lane_stats_slot *slot, const struct net_endpoint *local,
                       const struct net_endpoint *remote)
{
    return slot && slot->in_use && slot->protocol == IPPROTO_TCP && slot->local_port == local->port &&
           slot->remote_port == remote->port && net_addr_equal(&slot->local, &local->addr) &&
           net_addr_equal(&slot->remote, &remote->addr);
}

bool flow_holds(const struct net_endpoint *local, const struct net_endpoint *remote)
{
    list_for_each(link, &all_flows)
    {
        const struct flow *flow = list_entry(link, struct flow, link);

        if (!flow->leaving && is_between(flow_slot(flow), local, remote))
            return true;
    }
    return false;
}

static bool service_hears_ends(void)
{
    return client_has(stack_state.pub.client, CONTROL_FEATURE_FLOW_CLOSED);
}

/* Was it a connection that the service has not heard of, but is to? */
static bool is_untold(const struct flow *flow)
{
    const struct lane_stats_slot *slot = flow_slot(flow);

    return flow->accepted && !flow->known && slot && slot->connected && service_hears_ends();
}

void flow_drop(struct flow *flow)
{
    flow->sock = NULL;
    if (!flow->known && (!is_untold(flow) || ends_waiting >= ENDS_KEPT)) {
        flow_free(flow);
        return;
    }
    flow->leaving = true;
    ends_waiting++;
    if (flow->id == 0)
        flow->id = CLIENT_ID_BIT | ++next_client_id;
    if (flow->waiting_ns || list_empty(&flow->announce)) { /* else it is in the queue already */
        list_remove(&flow->announce);
        announce(flow);
    }
}

/* A connection that is known already gets a new id: an older service learns the socket behind it that way only. */
static void forget_id(struct flow *flow)
{
    struct flow *old = flow->known && !service_hears_ends() ? flow_new(NULL) : NULL;

    if (!old)
        return;
    old->id = flow->id;
    old->known = true;
    return_slot(old->slot);
    old->slot = SOCK_NO_SLOT;
    flow_drop(old);
    flow->id = 0;
}

void flow_announce_accepted(struct flow *flow)
{
    if (flow->id && !list_empty(&flow->announce))
        return; /* still in the queue: its message is made when it leaves */
    forget_id(flow);
    list_remove(&flow->announce);
    flow->waiting_ns = 0;
    if (flow->id == 0)
        flow->id = CLIENT_ID_BIT | ++next_client_id;
    announce(flow);
}

/* What is not accepted soon gets its own flow all the same: the listener's group may change. */
static void announce_waiting(void)
{
    uint64_t now_ns = platform_now_ns();

    while (waiting.next && !list_empty(&waiting)) {
        struct flow *flow = list_entry(waiting.next, struct flow, announce);

        if (now_ns - flow->waiting_ns < WAITING_NS)
            break;
        flow_announce_accepted(flow);
    }
}

bool flows_announce_pending(void)
{
    return __atomic_load_n(&pending, __ATOMIC_RELAXED);
}

static void fill_accepted(const struct flow *flow, struct control_flow_accepted *out)
{
    *out = (struct control_flow_accepted){.listener_flow_id = flow->listener ? flow->listener->id : 0,
                                          .slot = flow->slot,
                                          .client_id = flow->id,
                                          .socket_cookie = flow->cookie,
                                          .local = flow->local,
                                          .remote = flow->remote};
}

static void fill_closed(struct flow *flow, struct control_flow_closed *out)
{
    const struct lane_stats_slot *slot = flow_slot(flow);

    flow->end_number = ++end_number;
    *out = (struct control_flow_closed){.flow_id = flow->id, .unannounced = !flow->known, .number = end_number};
    if (!flow->known)
        fill_accepted(flow, &out->accepted);
    if (!slot)
        return;
    stack_state.pub.stats->end_told[flow->slot] = end_number;
    out->slot = *slot;
    memcpy(out->latency, stack_state.pub.stats->latency[flow->slot], sizeof out->latency);
}

/* Lock held. */
static void note_pending(void)
{
    __atomic_store_n(&pending, !list_empty(&announcements) || !list_empty(&unheard) || !list_empty(&waiting),
                     __ATOMIC_RELAXED);
}

/* A service of which it is not known what it has heard is believed to hear all. */
static bool is_heard(const struct flow *flow)
{
    return !stack_state.stats_whole || !service_hears_ends() ||
           flow->end_number <= __atomic_load_n(&stack_state.pub.stats->ends_heard, __ATOMIC_ACQUIRE);
}

/* Lock held. */
static void free_heard(void)
{
    while (!list_empty(&unheard)) {
        struct flow *flow = list_entry(unheard.next, struct flow, announce);

        if (!is_heard(flow))
            break;
        flow_free(flow);
        ends_waiting--;
    }
}

/* Takes up to a batch off the queue. Returns how many. */
static unsigned take_messages(void)
{
    unsigned count = 0;

    stack_lock_quiet();
    prepare();
    announce_waiting();
    free_heard();
    while (count < ANNOUNCE_BATCH) {
        struct list *link = list_pop_front(&announcements);
        struct flow *flow;

        if (!link)
            break;
        flow = list_entry(link, struct flow, announce);
        messages[count].leaving = flow->leaving ? flow : NULL;
        if (flow->leaving) {
            fill_closed(flow, &messages[count].closed);
        } else {
            fill_accepted(flow, &messages[count].accepted);
            flow->known = !stack_state.service_lost;
        }
        count++;
    }
    note_pending();
    stack_unlock_quiet();
    return count;
}

static int tell_end(struct netd_client *client, const struct control_flow_closed *closed)
{
    if (service_hears_ends())
        return client_flow_closed(client, closed);
    return closed->unannounced ? 0 : client_flow_remove(client, closed->flow_id);
}

/* Sends them; how many the service has. Of what is accepted it hears again anyway when it comes back. */
static unsigned send_messages(unsigned count)
{
    struct netd_client *client = stack_state.pub.client;

    for (unsigned i = 0; i < count; i++) {
        if (!messages[i].leaving)
            client_flow_accepted(client, &messages[i].accepted);
        else if (tell_end(client, &messages[i].closed) == LOCKSTEP_E_NO_SERVICE)
            return i;
    }
    return count;
}

/* What has been told is freed when it has been heard, the rest is told later. */
static void finish_messages(unsigned told, unsigned count)
{
    stack_lock_quiet();
    for (unsigned i = 0; i < told; i++) {
        if (messages[i].leaving)
            list_push_back(&unheard, &messages[i].leaving->announce);
    }
    free_heard();
    while (count-- > told) {
        if (messages[count].leaving)
            list_push_front(&announcements, &messages[count].leaving->announce);
    }
    note_pending();
    stack_unlock_quiet();
}

void flows_announce(void)
{
    unsigned count, told;

    if (!flows_announce_pending())
        return;
    stack_busy_begin();
    platform_lock_acquire(&announce_lock);
    do {
        count = take_messages();
        told = send_messages(count);
        finish_messages(told, count);
    } while (told == ANNOUNCE_BATCH);
    platform_lock_release(&announce_lock);
    stack_busy_end();
}

void flows_settle(void)
{
    const struct control_route anything = {.destination = net_addr_any(true), .source = net_addr_any(true)};
    struct control_route_reply reply;

    flows_announce();
    /* Requests are answered in order: with this reply all that came before is done. */
    stack_busy_begin();
    client_route(stack_state.pub.client, &anything, &reply);
    stack_busy_end();
}

void flow_drop_now(struct flow *flow)
{
    stack_lock_quiet();
    flow_drop(flow);
    stack_unlock_quiet();
    flows_settle();
}

/* A connection that the program has closed has no descriptor to show. Like an accepted one whose listener is closed it
 * is announced, and the new service finds in the earlier one's flow table whose it is. Lock held. */
static void become_accepted(struct flow *flow)
{
    const struct lane_stats_slot *slot = flow_slot(flow);

    if (!slot || slot->protocol != IPPROTO_TCP || flow->request.kind != CONTROL_FLOW_CONNECT)
        return;
    flow->local = (struct net_endpoint){slot->local, slot->local_port};
    flow->remote = flow->request.remote;
    flow->accepted = true;
    flow->id = CLIENT_ID_BIT | ++next_client_id;
}

/* What ended while there was no service, or what the earlier one did not come to hear, is told as a whole life, of
 * which the new one knows nothing. */
static void tell_whole_life(struct flow *flow)
{
    const struct lane_stats_slot *slot = flow_slot(flow);

    flow->known = false;
    if (!flow->accepted && slot) {
        flow->local = (struct net_endpoint){slot->local, slot->local_port};
        flow->remote = flow->request.kind == CONTROL_FLOW_CONNECT
                           ? flow->request.remote
                           : (struct net_endpoint){slot->remote, slot->remote_port};
        flow->id = CLIENT_ID_BIT | ++next_client_id;
    }
    list_remove(&flow->announce);
    announce(flow);
}

/* One flow at a new service. Lock held. */
static void register_again(struct flow *flow)
{
    struct netd_client *client = stack_state.pub.client;
    int fd = flow->sock ? sock_descriptor(flow->sock) : -1;
    struct control_flow_accepted accepted;
    uint32_t id;
    int err;

    if (flow->leaving) {
        tell_whole_life(flow);
        return;
    }
    if (flow->accepted) {
        fill_accepted(flow, &accepted);
        client_flow_accepted(client, &accepted);
        flow->known = true;
        return;
    }
    if (fd < 0) {
        become_accepted(flow); /* announced with the others of this kind, which come after */
        return;
    }
    err = client_flow_add(client, fd, &flow->request, &id);
    if (err == 0)
        flow->id = id;
    else
        log_warning("stack: cannot register a flow again: %s", error_text(err));
}

void flows_register_again(void)
{
    struct list done;
    struct list *link;

    platform_lock_acquire(&announce_lock);
    stack_lock_quiet();
    prepare();
    free_heard();
    stack_unlock_quiet();
    /* Listeners come first, because accepted connections name them. */
    for (int accepted = 0; accepted < 2; accepted++) {
        list_init(&done);
        stack_lock_quiet();
        prepare();
        while ((link = list_pop_front(&all_flows))) {
            struct flow *flow = list_entry(link, struct flow, link);

            list_push_back(&done, link);
            if (flow->id != 0 && flow->accepted == accepted)
                register_again(flow);
        }
        list_init(&all_flows);
        while ((link = list_pop_front(&done)))
            list_push_back(&all_flows, link);
        stack_unlock_quiet();
    }
    platform_lock_release(&announce_lock);
}

static bool is_drained(const struct flow *flow)
{
    return sock_ops()->tcp_drained(stack_state.pub.engine, flow);
}

static bool is_closed_connection(const struct flow *flow)
{
    return flow->id != 0 && !flow->sock && !flow->leaving &&
           (flow->accepted || flow->request.kind == CONTROL_FLOW_CONNECT);
}

bool flows_drained(void)
{
    list_for_each(link, &all_flows)
    {
        const struct flow *flow = list_entry(link, struct flow, link);

        if (is_closed_connection(flow) && !is_drained(flow))
            return false;
    }
    return true;
}

void flows_remove_drained(void)
{
    struct control_flow_closed closed;

    stack_lock();
    list_for_each(link, &all_flows)
    {
        struct flow *flow = list_entry(link, struct flow, link);

        if (!is_closed_connection(flow) || !is_drained(flow))
            continue;
        fill_closed(flow, &closed);
        tell_end(stack_state.pub.client, &closed);
        list_remove(&flow->announce);
        flow->id = 0; /* the record is the engine's until it says gone */
        flow->known = false;
        if (flow_slot(flow))
            flow_slot(flow)->connected = 0; /* nor is its end to be told again */
    }
    stack_unlock();
}

void flows_announce_hold(bool on)
{
    if (on)
        platform_lock_acquire(&announce_lock);
    else
        platform_lock_release(&announce_lock);
}

void flows_fork_child(void)
{
    struct list *link;

    prepare();
    list_init(&announcements);
    list_init(&unheard);
    list_init(&waiting);
    pending = false;
    ends_waiting = 0;
    while ((link = list_pop_front(&all_flows)))
        list_push_front(&free_flows, link);
    free_slot_count = 0;
    slots_used = 0;
}
