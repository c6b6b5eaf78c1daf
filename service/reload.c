/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/reload.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "platform/service_manager.h"
#include "service/events.h"
#include "service/interface_lock.h"
#include "service/options.h"
#include "service/server.h"

/* What the thread makes; the loop's again when done_fd has been written to. */
struct reading {
    struct policy policy;
    char problem[CONFIG_PROBLEM_MAX];
    int result;
    int done_fd;
};

struct waiter {
    struct list link;
    struct client *client;
    uint32_t sequence;
    bool later; /* came when a reading was under way, which may have missed its change */
};

static struct {
    struct reading *reading; /* under way */
    bool again;
    int done_fd;
    struct list waiters;
    struct event_source on_done;
} state;

/* --- interfaces --------------------------------------------------------------------------------------------- */

static bool lists(const struct policy *policy, const char *name)
{
    for (int i = 0; i < POLICY_MAX_INTERFACES && policy->interfaces[i][0]; i++) {
        if (strcmp(policy->interfaces[i], name) == 0)
            return true;
    }
    return false;
}

static unsigned find_ifindex(const struct netd *netd, const char *name)
{
    const struct link *link = links_find_name(network_links(netd->network), name);

    return link ? link->ifindex : 0;
}

/* Would the flow's packets be lost without this interface? Those of listeners and open ports the kernel takes over. */
static bool needs_interface(const struct netd *netd, const struct flow *flow, uid_t uid, unsigned ifindex)
{
    unsigned used = flow->ifindex;

    if (flow->kind == CONTROL_FLOW_BOUND)
        return false;
    if (used == 0 && flow->kind == CONTROL_FLOW_CONNECT)
        used = network_interface_to(netd->network, &flow->local.addr, &flow->remote.addr, uid);
    return network_carrier(netd->network, used) == ifindex;
}

static unsigned count_users(const struct netd *netd, unsigned ifindex)
{
    unsigned count = 0;

    for (unsigned i = 0; ifindex && i < DIVERT_MAX_LANES; i++) {
        const struct lane *lane = netd->lanes[i];

        if (!lane)
            continue;
        list_for_each(link, &lane->owner.flows) count +=
            needs_interface(netd, list_entry(link, struct flow, of_owner), lane->client->uid, ifindex);
    }
    return count;
}

struct overlap {
    const struct netd *netd;
    unsigned ifindex, count;
};

static void look_at_connection(void *context, const struct net_endpoint *local, uint64_t inode)
{
    struct overlap *overlap = context;
    const struct links *links = network_links(overlap->netd->network);
    const struct link *link = links_find(links, network_interface_of(overlap->netd->network, &local->addr));

    (void)inode;
    if (!link || (link->ifindex != overlap->ifindex && (!link->vlan || link->parent != overlap->ifindex)))
        return;
    for (unsigned i = 0; i < DIVERT_MAX_LANES; i++) {
        const struct lane *lane = overlap->netd->lanes[i];

        if (lane && flows_covering(overlap->netd->flows, &lane->owner, IPPROTO_TCP, local)) {
            overlap->count++;
            return;
        }
    }
}

/* Connections over it that the kernel has, to ports whose packets go to a lane: they would be reset. */
static unsigned count_overlaps(const struct netd *netd, unsigned ifindex)
{
    struct overlap overlap = {netd, ifindex, 0};

    netlink_tcp_connections(netd->netlink, look_at_connection, &overlap);
    return overlap.count;
}

/* "FILE:3: [netd] interfaces: eth1 cannot ..." */
static int refuse(char *problem, int result, const struct policy *wanted, const char *interface, const char *format,
                  ...) __attribute__((format(printf, 5, 6)));
static int refuse(char *problem, int result, const struct policy *wanted, const char *interface, const char *format,
                  ...)
{
    char place[POLICY_PLACE_MAX], why[CONFIG_PROBLEM_MAX - POLICY_PLACE_MAX];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    snprintf(problem, CONFIG_PROBLEM_MAX, "%s: %s", policy_interface_place(wanted, interface, place), why);
    return result;
}

/* Whose flows are not known yet, and the earlier instance's programs are still attached. */
static int lanes_are_coming_back(char *problem, const struct policy *wanted, const char *name)
{
    return refuse(problem, LOCKSTEP_E_CONFLICT, wanted, name, "lanes of an earlier instance are coming back");
}

/* May the lists be exchanged? Nothing is changed yet. */
static int check_interfaces(const struct netd *netd, const struct policy *wanted, char *problem)
{
    for (int i = 0; i < POLICY_MAX_INTERFACES && netd->policy.interfaces[i][0]; i++) {
        const char *name = netd->policy.interfaces[i];
        unsigned count;

        if (lists(wanted, name))
            continue;
        if (netd->adopting)
            return lanes_are_coming_back(problem, wanted, name);
        count = count_users(netd, find_ifindex(netd, name));
        if (count > 0)
            return refuse(problem, LOCKSTEP_E_CONFLICT, wanted, name, "%s cannot go: %u connections and groups use it",
                          name, count);
    }
    for (int i = 0; i < POLICY_MAX_INTERFACES && wanted->interfaces[i][0]; i++) {
        const char *name = wanted->interfaces[i];
        unsigned ifindex = find_ifindex(netd, name), count;

        if (lists(&netd->policy, name))
            continue;
        if (netd->adopting)
            return lanes_are_coming_back(problem, wanted, name);
        count = count_overlaps(netd, ifindex);
        if (count > 0)
            return refuse(problem, LOCKSTEP_E_CONFLICT, wanted, name,
                          "%s cannot come: the kernel has %u connections over it to accelerated listeners", name,
                          count);
    }
    return 0;
}

static int add_interface(struct netd *netd, const struct policy *wanted, const char *name, char *problem)
{
    char reason[INTERFACE_LOCK_PROBLEM_MAX];
    int result = interface_lock(netd->namespace_cookie, name, reason);

    if (result < 0)
        return refuse(problem, result, wanted, name, "%s", reason);
    result = network_interface_add(netd->network, name);
    if (result < 0) {
        interface_unlock(name);
        return refuse(problem, result, wanted, name, "cannot attach to %s: %s", name, error_text(result));
    }
    return 0;
}

static void remove_interfaces(struct netd *netd, const struct policy *from, const struct policy *kept)
{
    for (int i = 0; i < POLICY_MAX_INTERFACES && from->interfaces[i][0]; i++) {
        if (lists(kept, from->interfaces[i]))
            continue;
        network_interface_remove(netd->network, from->interfaces[i]);
        interface_unlock(from->interfaces[i]);
    }
}

/* New ones first: if one of them cannot be had, everything stays. */
static int exchange_interfaces(struct netd *netd, const struct policy *wanted, char *problem)
{
    int result = check_interfaces(netd, wanted, problem);

    for (int i = 0; result == 0 && i < POLICY_MAX_INTERFACES && wanted->interfaces[i][0]; i++) {
        if (!lists(&netd->policy, wanted->interfaces[i]))
            result = add_interface(netd, wanted, wanted->interfaces[i], problem);
    }
    if (result < 0)
        remove_interfaces(netd, wanted, &netd->policy);
    else
        remove_interfaces(netd, &netd->policy, wanted);
    return result;
}

/* --- applying ----------------------------------------------------------------------------------------------- */

static int apply(struct netd *netd, struct policy *policy, char *text)
{
    bool other_attach = policy->attach != netd->policy.attach;
    int result = exchange_interfaces(netd, policy, text);

    if (result < 0) {
        policy_free(policy);
        return result;
    }
    policy->attach = netd->policy.attach;
    policy_free(&netd->policy);
    netd->policy = *policy;
    log_set_level((enum log_level)policy->log_level);
    snprintf(text, CONFIG_PROBLEM_MAX, "%u rules%s", policy->rule_count,
             other_attach ? "; attach takes effect when the service starts again" : "");
    return 0;
}

static void tell(struct netd *netd, int result)
{
    struct reload_result *told = &netd->reload;
    bool warn = !told->failed && strstr(told->text, "attach takes");

    told->at = time(NULL);
    told->failed = result < 0;
    told->count++;
    log_about(told->failed ? LOG_LEVEL_ERROR
              : warn       ? LOG_LEVEL_WARNING
                           : LOG_LEVEL_INFO,
              LOG_SUBJECT(.event = LOG_EVENT_RELOADED),
              told->failed ? "configuration not read again: %s" : "configuration read again: %s", told->text);
    events_text(netd->journal, JOURNAL_SERVICE, "lockstep-netd", "configuration %sread again: %s",
                told->failed ? "not " : "", told->text);
    service_manager_ready();
}

static void answer(struct netd *netd)
{
    struct control_reload_reply reply = {.failed = netd->reload.failed};

    snprintf(reply.text, sizeof(reply.text), "%s", netd->reload.text);
    list_for_each(link, &state.waiters)
    {
        struct waiter *waiter = list_entry(link, struct waiter, link);

        if (waiter->later) {
            waiter->later = false;
            continue;
        }
        server_reply_body(waiter->client, CONTROL_RELOAD, waiter->sequence, &reply, sizeof(reply));
        list_remove(link);
        free(waiter);
    }
}

/* --- the thread --------------------------------------------------------------------------------------------- */

static void *read_configuration(void *argument)
{
    struct reading *reading = argument;
    uint64_t one = 1;

    reading->result = options_reload(&reading->policy, reading->problem);
    if (write(reading->done_fd, &one, sizeof(one)) < 0)
        log_error("reload: cannot tell of its end: %s", error_text(-errno));
    return NULL;
}

static int start_reading(void)
{
    struct reading *reading = calloc(1, sizeof(*reading));
    pthread_attr_t attributes;
    pthread_t thread;
    int result;

    if (!reading)
        return -ENOMEM;
    reading->done_fd = state.done_fd;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    result = -pthread_create(&thread, &attributes, read_configuration, reading);
    pthread_attr_destroy(&attributes);
    if (result < 0) {
        free(reading);
        return result;
    }
    state.reading = reading;
    state.again = false;
    return 0;
}

static void handle_done(struct netd *netd, void *object, uint32_t events)
{
    struct reading *reading = state.reading;
    uint64_t count;
    int result;

    (void)object;
    (void)events;
    if (read(state.done_fd, &count, sizeof(count)) < 0 || !reading)
        return;
    state.reading = NULL;
    result = reading->result;
    memcpy(netd->reload.text, reading->problem, sizeof(netd->reload.text));
    if (result == 0)
        result = apply(netd, &reading->policy, netd->reload.text);
    free(reading);
    tell(netd, result);
    answer(netd);
    if (state.again)
        reload_begin(netd, NULL, 0);
}

int reload_begin(struct netd *netd, struct client *client, uint32_t sequence)
{
    struct waiter *waiter = client ? calloc(1, sizeof(*waiter)) : NULL;
    int result = 0;

    if (client && !waiter)
        return -ENOMEM;
    if (state.reading) {
        state.again = true;
    } else {
        service_manager_reloading();
        result = start_reading();
    }
    if (result < 0) {
        free(waiter);
        snprintf(netd->reload.text, sizeof(netd->reload.text), "cannot start a thread: %s", error_text(result));
        tell(netd, result);
        answer(netd);
        return result;
    }
    if (waiter) {
        waiter->client = client;
        waiter->sequence = sequence;
        waiter->later = state.again;
        list_push_back(&state.waiters, &waiter->link);
    }
    return 0;
}

void reload_forget_client(struct netd *netd, const struct client *client)
{
    (void)netd;
    list_for_each(link, &state.waiters)
    {
        struct waiter *waiter = list_entry(link, struct waiter, link);

        if (waiter->client != client)
            continue;
        list_remove(link);
        free(waiter);
    }
}

int reload_open(struct netd *netd)
{
    state.done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (state.done_fd < 0)
        return -errno;
    list_init(&state.waiters);
    state.on_done = (struct event_source){handle_done, NULL};
    return server_watch(netd, state.done_fd, &state.on_done);
}

/* A thread that is still reading ends with the process; nobody else writes to its descriptor. */
void reload_close(struct netd *netd)
{
    (void)netd;
    if (!state.reading && state.done_fd >= 0)
        close(state.done_fd);
    state.done_fd = -1;
}
