/* SPDX-License-Identifier: BSD-2-Clause */
/* Moving sockets to the kernel: on request, before exec and at exit. */
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#include "base/error.h"
#include "base/log.h"
#include "stack/sock_private.h"

#define EXIT_LIMIT_NS (3 * NS_PER_S) /* for all connections together */
#define MOVE_ROUNDS   1024           /* of the ring, when a datagram socket moves */

/* ---- Queued data ---- */

struct sink {
    int fd;
    int err;
};

static int write_all(void *context, const void *data, size_t length)
{
    struct sink *sink = context;
    const char *next = data;

    if (sink->fd < 0 && sink->err == 0) {
        sink->fd = sys_memfd_create("lockstep-queue", MFD_CLOEXEC);
        sink->err = sink->fd < 0 ? sink->fd : 0;
    }
    while (length > 0 && sink->err == 0) {
        ssize_t written = sys_write(sink->fd, next, length);

        if (written <= 0) {
            sink->err = written < 0 ? (int)written : -EIO;
        } else {
            next += written;
            length -= (size_t)written;
        }
    }
    return sink->err;
}

/* ---- TCP ---- */

int migrate_connection(struct tcp_conn *conn, const struct flow *flow, int fd, uint8_t family, uint32_t scope_id,
                       uint8_t shut)
{
    struct control_migrate state = {0};
    struct sink sink = {-1, 0};
    int err = flow && flow->id ? sock_ops()->tcp_export(conn, &state, write_all, &sink) : LOCKSTEP_E_GONE;
    bool exported = err == 0;

    state.flow_id = flow ? flow->id : 0;
    state.family = family;
    state.options |= shut;
    state.scope_id = net_addr_is_link_local(&state.remote.addr) ? scope_id : 0;
    if (exported)
        err = client_migrate(stack_state.pub.client, fd, sink.fd, &state);
    if (exported)
        sock_ops()->tcp_migrated(conn, err == 0);
    if (sink.fd >= 0)
        sys_close(sink.fd);
    PROBE(connection_moved, fd, state.flow_id, err, state.receive_bytes, state.send_bytes);
    return err;
}

/* An accepted connection must be known to the service before it can be moved. Lock not held. */
static int connection_to_kernel(struct sock *sock, int fd)
{
    int err;

    flows_announce();
    stack_lock();
    stack_poll();
    err = sock->life == LIFE_CONNECTION ? 0 : -EALREADY;
    if (err == 0) {
        err = migrate_connection(sock->conn, sock->flow, fd, sock->family, sock->scope_id,
                                 (uint8_t)((sock->shut_send ? 8 : 0) | (sock->shut_receive ? 16 : 0)));
        if (err == 0) {
            if (sock->flow) {
                sock->flow->sock = NULL;
                sock->flow->id = 0; /* removed by the service */
            }
            sock->flow = NULL;
            sock->conn = NULL;
            sock->life = LIFE_KERNEL;
        }
    }
    stack_unlock();
    return err == -EALREADY ? 0 : err;
}

/* A listener has been in the kernel all the time: the engine's part goes. */
static void listener_to_kernel(struct sock *sock, int fd)
{
    struct flow *flow;

    stack_lock();
    flow = sock->flow;
    sock_ops()->tcp_listener_close(sock->listener);
    sock->flow = NULL;
    sock->conn = NULL;
    sock->life = LIFE_KERNEL;
    if (flow)
        flow_drop(flow);
    stack_unlock();
    flows_announce();
    sock_restore_timeout(sock, fd);
}

/* ---- UDP ---- */

/* False if another thread has begun already. What a forked child has a copy of goes at once: the child reads it as soon
 * as the flow is gone, and this process must not read it again. */
static bool begin_move(struct sock *sock)
{
    bool first;

    stack_lock();
    first = sock->life == LIFE_DATAGRAM && !sock->moving;
    if (first) {
        sock->moving = true;
        if (sock->shared)
            leftovers_discard(sock, sock_forked_ns());
    }
    stack_unlock();
    return first;
}

/* What the divert sends to the lane goes to the kernel's socket when this returns: nothing is on its way into the ring
 * any more. */
static void stop_diversion(struct sock *sock)
{
    struct flow *flow;

    stack_lock();
    sock_ops()->udp_slot(sock->udp, NULL);
    flow = sock->flow;
    sock->flow = NULL;
    multicast_forget(sock);
    if (flow)
        flow_drop(flow);
    stack_unlock();
    flows_settle();
    sys_call6(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0, 0, 0, 0); /* also the packets that are at the divert now */
}

/* What waits in the ring comes first. Then the engine's socket goes, and what it held stays readable. */
static void take_leftovers(struct sock *sock)
{
    stack_lock();
    for (int i = 0; i < MOVE_ROUNDS && stack_poll(); i++)
        ;
    leftovers_keep(sock, sock->shared ? sock_forked_ns() : 0); /* what is older the child has too */
    sock_ops()->udp_close(sock->udp);
    sock->udp = NULL;
    sock->moving = false;
    sock->life = sock->leftovers ? LIFE_LEFTOVERS : LIFE_KERNEL;
    if (sock->leftovers) {
        sock_edge(sock, 0); /* the kernel's side counts from now on */
        sock_edge(sock, EPOLLIN);
    }
    stack_unlock();
}

/* The kernel's socket, which is bound to the port, is made to take everything before the lane stops to. */
static void datagram_to_kernel(struct sock *sock, int fd)
{
    const int nothing = 0;

    if (!begin_move(sock))
        return;
    if (sock->connected) {
        struct sockaddr_storage addr;
        socklen_t len = net_endpoint_to_sockaddr(&sock->remote, sock->family, sock->scope_id, &addr);

        sys_connect(fd, (struct sockaddr *)&addr, len);
    }
    if (sock->filtered)
        sys_setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &nothing, sizeof nothing);
    stop_diversion(sock);
    take_leftovers(sock);
}

static void tell(const struct sock *sock, const char *why)
{
    struct control_not_accelerated message = {
        .protocol = sock->stream ? IPPROTO_TCP : IPPROTO_UDP, .local = sock->local, .remote = sock->remote};

    strncpy(message.reason, why, sizeof message.reason - 1);
    stack_tell_not_accelerated(&message);
}

int sock_to_kernel(struct sock *sock, int fd, const char *why)
{
    int err = 0;

    switch (sock->life) {
    case LIFE_KERNEL:
        return 0;
    case LIFE_UNDECIDED:
        sock_stay(sock, fd, NULL, why);
        return 0;
    case LIFE_INHERITED:
        sock_claimed(sock, fd);
        return 0;
    case LIFE_LEFTOVERS:
        return 0;
    case LIFE_CONNECTION:
        err = connection_to_kernel(sock, fd);
        break;
    case LIFE_DATAGRAM:
        datagram_to_kernel(sock, fd);
        break;
    default:
        listener_to_kernel(sock, fd);
    }
    if (err < 0)
        return err;
    tell(sock, why);
    if (sock->life == LIFE_KERNEL)
        sock_leave(sock, true);
    return 0;
}

void sock_migrate_request(uint32_t flow_id)
{
    struct flow *flow;
    struct sock *sock = NULL;
    int fd = -1;

    stack_lock();
    flow = flow_find(flow_id);
    if (flow && flow->sock) {
        sock = flow->sock;
        fd = sock_descriptor(sock);
    }
    stack_unlock();
    sock = fd >= 0 ? sock_get(fd) : NULL;
    if (!sock)
        return;
    if (sock->flow == flow)
        sock_to_kernel(sock, fd, "used by a forked child");
    sock_put(sock);
}

/* ---- Urgent data ---- */

static bool urgent_waits; /* for some socket. Stack lock */

bool sock_engine_urgent(void *context, void *user)
{
    struct sock *sock = user;

    (void)context;
    if (!sock || sock->urgent == URGENT_IGNORED)
        return false;
    if (!urgent_waits)
        helper_kick();
    urgent_waits = true;
    sock->urgent = URGENT_WAITS;
    return true;
}

/* A reference to a socket with urgent data, or NULL. */
static struct sock *find_urgent(int *fd)
{
    struct sock *found = NULL;

    stack_lock_quiet();
    list_for_each(link, sock_all())
    {
        struct sock *sock = list_entry(link, struct sock, link);

        *fd = sock_descriptor(sock);
        if (sock->urgent != URGENT_WAITS || *fd < 0)
            continue;
        sock->urgent = URGENT_IGNORED; /* if it cannot be moved */
        found = sock_get(*fd);
        break;
    }
    urgent_waits = found != NULL;
    stack_unlock_quiet();
    return found;
}

void sock_move_urgent(void)
{
    struct sock *sock;
    int fd;

    while (__atomic_load_n(&urgent_waits, __ATOMIC_RELAXED) && (sock = find_urgent(&fd))) {
        if (sock->life == LIFE_CONNECTION)
            sock_to_kernel(sock, fd, "urgent data");
        sock_put(sock);
    }
}

/* ---- exec and exit ---- */

size_t sock_collect(enum sock_life life, bool inheritable, struct sock ***out)
{
    struct sock **socks = NULL;
    size_t count = 0, room = 0;

    stack_lock();
    list_for_each(link, sock_all())
    {
        struct sock *sock = list_entry(link, struct sock, link);
        int fd = sock_descriptor(sock);

        if (sock->life != life || fd < 0 || (inheritable && sys_fcntl(fd, F_GETFD, 0) & FD_CLOEXEC))
            continue;
        if (count == room) {
            struct sock **more = realloc(socks, (room ? 2 * room : 64) * sizeof *socks);

            if (!more)
                break;
            socks = more;
            room = room ? 2 * room : 64;
        }
        sock = sock_get(fd);
        if (sock)
            socks[count++] = sock;
    }
    stack_unlock();
    *out = socks;
    return count;
}

static void all_to_kernel(enum sock_life life, bool inheritable, const char *why, uint64_t until_ns)
{
    struct sock **socks;
    size_t count = sock_collect(life, inheritable, &socks);

    for (size_t i = 0; i < count; i++) {
        int fd = sock_descriptor(socks[i]);

        if (fd >= 0 && platform_now_ns() < until_ns)
            sock_to_kernel(socks[i], fd, why);
        sock_put(socks[i]);
    }
    free(socks);
}

/* Connections that the program closed already and the engine has not finished: each into a socket of its own, which
 * is closed at once, so that the kernel goes on where the engine stopped. */
struct leftovers {
    struct tcp_conn *conns[256];
    struct flow *flows[256];
    unsigned count;
};

static void collect_leftover(void *context, struct tcp_conn *conn, void *connection_id)
{
    struct leftovers *leftovers = context;
    struct flow *flow = connection_id;

    if (leftovers->count < 256 && flow && !flow->sock && flow->id) {
        leftovers->conns[leftovers->count] = conn;
        leftovers->flows[leftovers->count++] = flow;
    }
}

static void finish_leftovers(uint64_t until_ns)
{
    struct leftovers leftovers = {.count = 0};

    stack_lock();
    sock_ops()->tcp_each(stack_state.pub.engine, collect_leftover, &leftovers);
    for (unsigned i = 0; i < leftovers.count && platform_now_ns() < until_ns; i++) {
        const struct flow *flow = leftovers.flows[i];
        const struct net_addr *local = flow->accepted ? &flow->local.addr : &flow->request.remote.addr;
        uint8_t family = net_addr_is_v4(local) ? AF_INET : AF_INET6;
        int fd = sys_socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const int on = 1;

        if (fd < 0)
            break;
        sys_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on); /* its TIME_WAIT is in nobody's way */
        if (migrate_connection(leftovers.conns[i], flow, fd, family, 0, 0) < 0)
            log_debug("stack: a closed connection could not be handed to the kernel");
        sys_close(fd);
    }
    stack_unlock();
}

void sock_prepare_exec(void)
{
    sock_claim_inherited(true);
    if (!stack_current())
        return;
    flows_announce();
    all_to_kernel(LIFE_CONNECTION, false, "exec", platform_now_ns() + EXIT_LIMIT_NS);
    all_to_kernel(LIFE_LISTENER, true, "exec", UINT64_MAX);
    all_to_kernel(LIFE_DATAGRAM, true, "exec", UINT64_MAX);
    finish_leftovers(platform_now_ns() + EXIT_LIMIT_NS);
}

void sock_prepare_spawn(void)
{
    if (!stack_current())
        return;
    flows_announce();
    all_to_kernel(LIFE_CONNECTION, true, "inherited by a new program", platform_now_ns() + EXIT_LIMIT_NS);
}

/* Connections without unsent data, if there are many: closed by the engine itself, which is cheaper than moving them.
 */
#define MANY_CONNECTIONS 64
#define DRAIN_NS         (300 * NS_PER_MS)
#define DRAIN_STEP_NS    (20 * NS_PER_MS)

static bool all_drained(void *argument)
{
    (void)argument;
    return flows_drained();
}

static void close_idle(void)
{
    struct sock **socks;
    size_t count = sock_collect(LIFE_CONNECTION, false, &socks);

    for (size_t i = 0; i < count; i++) {
        int fd = sock_descriptor(socks[i]);
        bool idle;

        stack_lock();
        idle = socks[i]->life == LIFE_CONNECTION && !socks[i]->shared && sock_ops()->tcp_connected(socks[i]->conn) &&
               sock_ops()->tcp_unsent_bytes(socks[i]->conn) == 0;
        stack_unlock();
        if (count > MANY_CONNECTIONS && idle && fd >= 0)
            sock_forget(fd); /* FIN goes out with the last reference */
        sock_put(socks[i]);
    }
    free(socks);
    if (count > MANY_CONNECTIONS) {
        stack_wait(all_drained, NULL, NULL, 0, platform_now_ns() + DRAIN_NS, NULL);
        flows_remove_drained();
    }
}

/* Bytes that the engine has not got rid of, in all connections; lock held. */
static void add_unsent(void *context, struct tcp_conn *conn, void *connection_id)
{
    (void)connection_id;
    *(size_t *)context += sock_ops()->tcp_unsent_bytes(conn);
}

static bool nothing_unsent(void *argument)
{
    size_t *unsent = argument;

    *unsent = 0;
    sock_ops()->tcp_each(stack_state.pub.engine, add_unsent, unsent);
    return *unsent == 0;
}

/* As long as data is leaving, that is quicker than moving it to the kernel. */
static void drain_while_it_goes(uint64_t until_ns)
{
    size_t before = SIZE_MAX, unsent = 0;

    while (platform_now_ns() < until_ns && unsent < before) {
        before = unsent ? unsent : SIZE_MAX;
        if (stack_wait(nothing_unsent, &unsent, NULL, 0, platform_now_ns() + DRAIN_STEP_NS, NULL) != 0)
            break;
    }
}

void sock_prepare_exit(void)
{
    uint64_t until_ns = platform_now_ns() + EXIT_LIMIT_NS;

    if (!stack_current())
        return;
    flows_announce();
    drain_while_it_goes(platform_now_ns() + EXIT_LIMIT_NS / 3);
    close_idle();
    all_to_kernel(LIFE_CONNECTION, false, "exit", until_ns);
    finish_leftovers(until_ns);
}
