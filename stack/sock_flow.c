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

/* One message of the queue, copied so that it can be sent without the stack lock. */
struct message {
    bool remove;
    uint32_t id;
    struct control_flow_accepted accepted;
};

static struct list free_flows, all_flows, announcements;
static struct list waiting;                   /* established, not accepted yet, unknown to the service; oldest first */
static uint16_t free_slots[LANE_STATS_SLOTS]; /* a stack of slots given back */
static uint32_t free_slot_count, slots_used;
static uint32_t next_client_id;
static struct platform_lock announce_lock; /* keeps messages in order; taken before the stack lock */
static bool pending;                       /* something may be in announcements or waiting; read without lock */

static void prepare(void)
{
    if (all_flows.next)
        return;
    list_init(&free_flows);
    list_init(&all_flows);
    list_init(&announcements);
    list_init(&waiting);
}

static uint32_t take_slot(void)
{
    if (free_slot_count > 0)
        return free_slots[--free_slot_count];
    return slots_used < LANE_STATS_SLOTS ? slots_used++ : SOCK_NO_SLOT;
}

static void return_slot(uint32_t slot)
{
    if (slot == SOCK_NO_SLOT)
        return;
    memset(&stack_state.pub.stats->slots[slot], 0, sizeof(struct lane_stats_slot));
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

void flow_drop(struct flow *flow)
{
    bool announced = flow->id != 0 && list_empty(&flow->announce);

    flow->sock = NULL;
    if (!announced) {
        flow_free(flow);
        return;
    }
    flow->leaving = true;
    announce(flow);
}

/* A connection that is known already gets a new id: the service learns the socket behind it. */
static void forget_id(struct flow *flow)
{
    struct flow *old = flow->id ? flow_new(NULL) : NULL;

    if (!old)
        return;
    old->id = flow->id;
    return_slot(old->slot);
    old->slot = SOCK_NO_SLOT;
    flow_drop(old);
}

void flow_announce_accepted(struct flow *flow)
{
    if (flow->id && !list_empty(&flow->announce))
        return; /* still in the queue: its message is made when it leaves */
    forget_id(flow);
    list_remove(&flow->announce);
    flow->waiting_ns = 0;
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

static void fill_message(struct flow *flow, struct message *out)
{
    out->remove = flow->leaving;
    out->id = flow->id;
    if (!flow->leaving)
        out->accepted = (struct control_flow_accepted){.listener_flow_id = flow->listener ? flow->listener->id : 0,
                                                       .slot = flow->slot,
                                                       .client_id = flow->id,
                                                       .socket_cookie = flow->cookie,
                                                       .local = flow->local,
                                                       .remote = flow->remote};
}

/* Takes up to a batch off the queue. Returns how many. */
static unsigned take_messages(struct message *messages)
{
    unsigned count = 0;

    stack_lock_quiet();
    prepare();
    announce_waiting();
    while (count < ANNOUNCE_BATCH) {
        struct list *link = list_pop_front(&announcements);
        struct flow *flow;

        if (!link)
            break;
        flow = list_entry(link, struct flow, announce);
        fill_message(flow, &messages[count++]);
        if (flow->leaving)
            flow_free(flow);
    }
    __atomic_store_n(&pending, !list_empty(&announcements) || !list_empty(&waiting), __ATOMIC_RELAXED);
    stack_unlock_quiet();
    return count;
}

void flows_announce(void)
{
    struct message messages[ANNOUNCE_BATCH];
    unsigned count;

    if (!flows_announce_pending())
        return;
    stack_busy_begin();
    platform_lock_acquire(&announce_lock);
    do {
        count = take_messages(messages);
        for (unsigned i = 0; i < count; i++) {
            if (messages[i].remove)
                client_flow_remove(stack_state.pub.client, messages[i].id);
            else
                client_flow_accepted(stack_state.pub.client, &messages[i].accepted);
        }
    } while (count == ANNOUNCE_BATCH);
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

    if (!slot || flow->request.kind != CONTROL_FLOW_CONNECT)
        return;
    flow->local = (struct net_endpoint){slot->local, slot->local_port};
    flow->remote = flow->request.remote;
    flow->accepted = true;
    flow->id = CLIENT_ID_BIT | ++next_client_id;
}

/* One flow at a new service. Lock held. */
static void register_again(struct flow *flow)
{
    struct netd_client *client = stack_state.pub.client;
    int fd = flow->sock ? sock_descriptor(flow->sock) : -1;
    struct message message;
    uint32_t id;
    int err;

    if (flow->accepted) {
        fill_message(flow, &message);
        client_flow_accepted(client, &message.accepted);
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

    /* Listeners come first, because accepted connections name them. */
    for (int accepted = 0; accepted < 2; accepted++) {
        list_init(&done);
        stack_lock_quiet();
        prepare();
        while ((link = list_pop_front(&all_flows))) {
            struct flow *flow = list_entry(link, struct flow, link);

            list_push_back(&done, link);
            if (flow->id != 0 && !flow->leaving && flow->accepted == accepted)
                register_again(flow);
        }
        list_init(&all_flows);
        while ((link = list_pop_front(&done)))
            list_push_back(&all_flows, link);
        stack_unlock_quiet();
    }
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
    stack_lock();
    list_for_each(link, &all_flows)
    {
        struct flow *flow = list_entry(link, struct flow, link);

        if (!is_closed_connection(flow) || !is_drained(flow))
            continue;
        client_flow_remove(stack_state.pub.client, flow->id);
        flow->id = 0; /* the record is the engine's until it says gone */
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
    list_init(&waiting);
    pending = false;
    while ((link = list_pop_front(&all_flows)))
        list_push_front(&free_flows, link);
    free_slot_count = 0;
    slots_used = 0;
}
