/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/probe.h"
#include "platform/file_lock.h"
#include "platform/platform.h"
#include "platform/service_manager.h"
#include "platform/stop_signals.h"
#include "service/closer.h"
#include "service/lanes.h"
#include "service/reload.h"
#include "service/reporter.h"
#include "service/requests.h"

#define TICK_NS           500000000ull
#define BACKLOG           128
#define MESSAGES_PER_TURN 32   /* then the others have their turn */
#define MESSAGES_AT_END   4096 /* more than its socket holds */
#define CLIENTS_PER_USER  512  /* other than root */
#define CLIENTS_MAX       8192
#define ADOPT_QUIET_NS    100000000ull
#define CLOSING_PER_USER  64  /* descriptors of a user's that would not close: then it gets nothing more */
#define PASSED_MAX        253 /* descriptors in one message: the kernel's limit */

/* --- clients ------------------------------------------------------------------------------------------------ */

static struct user *find_user(struct netd *netd, uid_t uid)
{
    struct user *user;

    list_for_each(link, &netd->users)
    {
        user = list_entry(link, struct user, link);
        if (user->uid == uid)
            return user;
    }
    user = calloc(1, sizeof(*user));
    if (user) {
        user->uid = uid;
        closer_account_init(&user->closer);
        list_push_back(&netd->users, &user->link);
    }
    return user;
}

/* Users without clients are kept for as long as their next hop window counts. */
static void forget_idle_users(struct netd *netd, uint64_t now_ns)
{
    list_for_each(link, &netd->users)
    {
        struct user *user = list_entry(link, struct user, link);

        if (user->clients > 0 || closer_pending(&user->closer) > 0 || now_ns - user->window_ns < 60000000000ull)
            continue;
        list_remove(&user->link);
        free(user);
    }
}

/* Hangs up. What is left in the queue goes with the descriptor, and that may take its time. */
static void hang_up(const struct netd *netd, struct user *user, int fd)
{
    shutdown(fd, SHUT_RDWR);
    epoll_ctl(netd->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    closer_close(user ? &user->closer : NULL, fd);
}

/* The client's structure lives on until the events at hand are done. */
static void drop_client(struct netd *netd, struct client *client, bool keep_lane)
{
    if (client->fd < 0)
        return;
    requests_forget_client(netd, client);
    reporter_forget_client(netd, client);
    reload_forget_client(netd, client);
    if (client->lane && !keep_lane) {
        requests_record_untold(netd, client);
        lanes_close(netd, client->lane, true);
    }
    hang_up(netd, client->user, client->fd);
    client->fd = -1;
    if (client->pid_fd >= 0)
        server_unwatch(netd, client->pid_fd);
    client->pid_fd = -1;
    client->user->clients--;
    list_remove(&client->link);
    list_push_back(&netd->dropped, &client->link);
}

static void client_free(struct client *client)
{
    if (client)
        free(client->groups.list);
    free(client);
}

static void free_dropped(struct netd *netd)
{
    struct list *link;

    while ((link = list_pop_front(&netd->dropped)))
        client_free(list_entry(link, struct client, link));
}

/* 0 or a negated errno; never waits. */
static int send_message(int fd, const struct control_header *header, const void *body, size_t size, const int *fds,
                        int fd_count)
{
    union {
        char bytes[CMSG_SPACE(CONTROL_MAX_FDS * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov[2] = {{(void *)header, sizeof(*header)}, {(void *)body, size}};
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};

    if (fd_count > 0) {
        struct cmsghdr *cmsg;

        memset(&control, 0, sizeof(control));
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE((size_t)fd_count * sizeof(int));
        cmsg = CMSG_FIRSTHDR(&message);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN((size_t)fd_count * sizeof(int));
        memcpy(CMSG_DATA(cmsg), fds, (size_t)fd_count * sizeof(int));
    }
    return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Who does not fetch its replies has lost its connection: the loop sees the hang-up. */
static void send_reply(const struct client *client, const struct control_header *header, const void *body, size_t size,
                       const int *fds, int fd_count)
{
    if (send_message(client->fd, header, body, size, fds, fd_count) < 0)
        shutdown(client->fd, SHUT_RDWR);
}

int server_send_event(const struct lane *lane, unsigned type, const void *body, size_t size, int fd)
{
    const struct control_header header = {CONTROL_MAGIC, CONTROL_VERSION, (uint16_t)type, 0, 0};

    return send_message(lane->event_fd, &header, body, size, &fd, fd >= 0);
}

void server_reply(struct client *client, unsigned type, uint32_t sequence, int status)
{
    struct control_header header = {CONTROL_MAGIC, CONTROL_VERSION, (uint16_t)type, sequence, status};

    if (client->fd >= 0)
        send_reply(client, &header, NULL, 0, NULL, 0);
}

void server_reply_body(struct client *client, unsigned type, uint32_t sequence, const void *body, size_t size)
{
    struct control_header header = {CONTROL_MAGIC, CONTROL_VERSION, (uint16_t)type, sequence, 0};

    if (client->fd >= 0)
        send_reply(client, &header, body, size, NULL, 0);
}

void server_reply_fd(struct client *client, unsigned type, uint32_t sequence, int fd)
{
    struct control_header header = {CONTROL_MAGIC, CONTROL_VERSION, (uint16_t)type, sequence, 0};

    if (client->fd >= 0)
        send_reply(client, &header, NULL, 0, &fd, 1);
}

static void answer(struct netd *netd, struct request *request)
{
    struct reply reply;
    int status = requests_handle(netd, request, &reply);
    int size = control_reply_size(request->type);
    struct control_header header = {CONTROL_MAGIC, CONTROL_VERSION, (uint16_t)request->type, request->sequence, status};

    if (status == LOCKSTEP_E_DENIED || status == LOCKSTEP_E_EXHAUSTED) {
        netd->counters.denied_requests++;
        PROBE(request_denied, request->client->process.pid, request->client->uid, request->type, status);
    }
    if (reply.violation) {
        netd->counters.rejected_messages++;
        shutdown(request->client->fd, SHUT_RDWR);
    }
    if (size >= 0 && !reply.deferred)
        send_reply(request->client, &header, reply.body, status == 0 || reply.with_body ? (size_t)size : 0, reply.fds,
                   status == 0 ? reply.fd_count : 0);
    for (int i = reply.kept; i < reply.fd_count; i++)
        close(reply.fds[i]);
}

/* All of them: what stayed in the message would be closed at once, here. False: more than any message may have. */
static bool take_fds(struct msghdr *message, struct request *request)
{
    bool fit = true;

    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(message); cmsg; cmsg = CMSG_NXTHDR(message, cmsg)) {
        size_t count;

        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
            continue;
        count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
            if (request->fd_count < CONTROL_MAX_FDS) {
                request->fds[request->fd_count++] = fd;
            } else {
                closer_close(&request->client->user->closer, fd);
                fit = false;
            }
        }
    }
    return fit;
}

/* A user whose descriptors pile up (files of a file system that does not answer, say) must first see to those. */
static bool closing_too_many(const struct user *user)
{
    return user->uid != 0 && closer_pending(&user->closer) > CLOSING_PER_USER;
}

static void reject(struct netd *netd, struct client *client, const void *buffer, size_t length, int status)
{
    const struct control_header *header = buffer;

    netd->counters.rejected_messages++;
    if (status == LOCKSTEP_E_BAD_VERSION)
        log_limited(LOG_LEVEL_WARNING, LOG_SUBJECT(.pid = (int)client->process.pid),
                    "netd: process %d speaks version %u of the control protocol, Lockstep %s here version %u: it stays "
                    "with the kernel",
                    (int)client->process.pid, header->version, LOCKSTEP_VERSION, CONTROL_VERSION);
    if (length >= sizeof(*header))
        server_reply(client, header->type, header->sequence, status); /* an older or newer program learns why */
    drop_client(netd, client, false);
}

/* Receives and handles one message; false when there is nothing more to do for this client now. */
static bool serve_message(struct netd *netd, struct client *client)
{
    _Alignas(8) char buffer[1024];
    union {
        char bytes[CMSG_SPACE(PASSED_MAX * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = {buffer, sizeof(buffer)};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
    struct request request = {.client = client};
    const struct control_header *header;
    ssize_t length = recvmsg(client->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    bool fit;
    int result;

    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (length < 0) {
        drop_client(netd, client, false);
        return false;
    }
    fit = take_fds(&message, &request);
    result = !fit || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || closing_too_many(client->user)
                 ? LOCKSTEP_E_BAD_FORMAT
                 : control_parse(buffer, (size_t)length, 0, &header, &request.body);
    if (length == 0) { /* it has hung up, or sent an empty message, which says the same */
        drop_client(netd, client, false);
    } else if (result < 0) {
        reject(netd, client, buffer, (size_t)length, result);
    } else {
        request.type = header->type;
        request.sequence = header->sequence;
        answer(netd, &request);
    }
    for (int i = 0; i < request.fd_count; i++)
        closer_close(&client->user->closer, request.fds[i]);
    return client->fd >= 0;
}

static void handle_client(struct netd *netd, void *object, uint32_t events)
{
    struct client *client = object;

    for (int i = 0; i < MESSAGES_PER_TURN && client->fd >= 0; i++) {
        if (!serve_message(netd, client))
            break;
    }
    if ((events & (EPOLLHUP | EPOLLERR)) && !(events & EPOLLIN))
        drop_client(netd, client, false);
}

static void handle_exit(struct netd *netd, void *object, uint32_t events)
{
    struct client *client = object;

    (void)events;
    /* What it said last counts. */
    for (int i = 0; i < MESSAGES_AT_END && client->fd >= 0; i++) {
        if (!serve_message(netd, client))
            break;
    }
    /* A forked child may still hold the connection's descriptor; the lane is its parent's all the same. */
    drop_client(netd, client, false);
}

int server_watch(const struct netd *netd, int fd, struct event_source *source)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = source};

    return epoll_ctl(netd->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

void server_unwatch(const struct netd *netd, int fd)
{
    epoll_ctl(netd->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    close(fd);
}

static unsigned clients_count(const struct netd *netd)
{
    unsigned count = 0;

    list_for_each(link, &netd->users) count += list_entry(link, struct user, link)->clients;
    return count;
}

/* Takes fd over. */
static int client_create(struct server *server, int fd)
{
    struct netd *netd = server->netd;
    struct client *client = calloc(1, sizeof(*client));
    struct ucred credentials;
    socklen_t length = sizeof(credentials);
    struct user *user = NULL;

    if (!client || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0)
        goto failed;
    user = client->user = find_user(netd, credentials.uid);
    if (!user || clients_count(netd) >= CLIENTS_MAX ||
        (credentials.uid != 0 && (user->clients >= CLIENTS_PER_USER || closing_too_many(user)))) {
        netd->counters.clients_refused++;
        goto failed;
    }
    client->fd = fd;
    client->process = (struct survivor){credentials.pid, survivors_start_time(credentials.pid), 0};
    client->uid = credentials.uid;
    peer_groups(fd, credentials.gid, &client->groups);
    snprintf(client->program, sizeof(client->program), "?");
    client->on_socket = (struct event_source){handle_client, client};
    client->on_exit = (struct event_source){handle_exit, client};
    if (server_watch(netd, fd, &client->on_socket) < 0)
        goto failed;
    client->pid_fd = peer_pidfd(fd, client->process.pid);
    if (client->pid_fd >= 0)
        server_watch(netd, client->pid_fd, &client->on_exit);
    client->user->clients++;
    list_push_back(&netd->clients, &client->link);
    netd->counters.clients_accepted++;
    return 0;
failed:
    client_free(client);
    hang_up(netd, user, fd);
    return LOCKSTEP_E_EXHAUSTED;
}

/* While there are no descriptors the listening socket would stay readable, and the loop would spin. */
static void listen_again(struct server *server, bool again)
{
    struct epoll_event event = {.events = again ? EPOLLIN : 0, .data.ptr = &server->on_listen};

    server->deaf = !again;
    epoll_ctl(server->netd->epoll_fd, EPOLL_CTL_MOD, server->listen_fd, &event);
}

static void handle_listen(struct netd *netd, void *object, uint32_t events)
{
    struct server *server = object;

    (void)netd;
    (void)events;
    for (int i = 0; i < BACKLOG; i++) {
        /* cppcheck-suppress nullPointer */
        int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)) {
            log_limited(LOG_LEVEL_WARNING, NULL, "netd: cannot take a connection: %s", error_text(-errno));
            listen_again(server, false);
        }
        if (fd < 0)
            return;
        client_create(server, fd);
    }
}

/* --- the loop ----------------------------------------------------------------------------------------------- */

static void handle_netlink(struct netd *netd, void *object, uint32_t events)
{
    (void)object;
    (void)events;
    network_handle_events(netd->network, platform_now_ns());
}

static void handle_signal(struct netd *netd, void *object, uint32_t events)
{
    struct server *server = object;

    (void)netd;
    (void)events;
    server->stop |= platform_signal_take(server->signal_fd);
}

static void handle_reload(struct netd *netd, void *object, uint32_t events)
{
    const struct server *server = object;

    (void)events;
    if (platform_signal_take(server->reload_fd))
        reload_begin(netd, NULL, 0);
}

/* Lanes that were not handed back may be later, but until then their devices are without rights. */
static void mute_missing(struct netd *netd)
{
    for (uint32_t lane = 0; lane < DIVERT_MAX_LANES; lane++) {
        if (netd->survivors.owner[lane].device)
            divert_tap_mute(netd->divert, netd->survivors.owner[lane].device);
    }
}

/* After a restart the attached programs of the earlier instance go on until every lane has been handed back. */
static void finish_adoption(struct netd *netd, uint64_t now_ns)
{
    bool all_back = netd->survivors.count == 0 && now_ns - netd->last_adopt_ns > ADOPT_QUIET_NS;

    if (!netd->adopting || (!all_back && now_ns < netd->adopt_until_ns))
        return;
    netd->adopting = false;
    if (netd->survivors.count > 0)
        log_warning("netd: %u lanes of an earlier instance were not handed back", netd->survivors.count);
    mute_missing(netd);
    log_about(LOG_LEVEL_INFO, LOG_SUBJECT(.event = LOG_EVENT_LANES_TAKEN_OVER), "netd: %u lanes taken over",
              netd->lane_count);
    if (network_attach(netd->network) < 0)
        log_error("netd: accelerated traffic does not flow");
}

static void tick(struct server *server, uint64_t now_ns, unsigned count)
{
    struct netd *netd = server->netd;

    if (server->deaf)
        listen_again(server, true);
    service_manager_status("%u accelerated programs", netd->lane_count);
    network_tick(netd->network, now_ns);
    reporter_tick(netd, now_ns);
    if (count % 2 == 0)
        requests_check_listeners(netd, now_ns);
    if (netd->adopting || count % 64 == 0)
        survivors_prune(&netd->survivors);
    if (count % 64 == 0)
        forget_idle_users(netd, now_ns);
}

static int loop_timeout_ms(const struct netd *netd, uint64_t now_ns, uint64_t next_tick_ns)
{
    if (netd->adopting || requests_pending(netd))
        return 20;
    return now_ns >= next_tick_ns ? 0 : (int)((next_tick_ns - now_ns) / 1000000) + 1;
}

int server_run(struct server *server)
{
    struct netd *netd = server->netd;
    uint64_t now_ns = platform_now_ns(), next_tick_ns = now_ns;
    unsigned ticks = 0;

    while (!server->stop) {
        struct epoll_event events[64];
        int count = epoll_wait(netd->epoll_fd, events, 64, loop_timeout_ms(netd, now_ns, next_tick_ns));

        if (count < 0 && errno != EINTR) {
            log_error("netd: cannot wait for events: %s", error_text(-errno));
            return -errno;
        }
        for (int i = 0; i < count; i++) {
            struct event_source *source = events[i].data.ptr;

            source->handle(netd, source->object, events[i].events);
        }
        free_dropped(netd);
        now_ns = platform_now_ns();
        service_manager_feed(now_ns);
        requests_tick(netd, now_ns);
        finish_adoption(netd, now_ns);
        if (now_ns >= next_tick_ns) {
            tick(server, now_ns, ticks++);
            next_tick_ns = now_ns + TICK_NS;
        }
    }
    return 0;
}

void server_drop_clients(struct server *server, bool keep_lanes)
{
    list_for_each(link, &server->netd->clients)
        drop_client(server->netd, list_entry(link, struct client, link), keep_lanes);
    free_dropped(server->netd);
}

/* --- opening ------------------------------------------------------------------------------------------------ */

/* One instance a directory. The lock ends with the process, however it ends. */
static int lock_directory(struct server *server, const char *dir)
{
    char path[128];
    int result;

    if (mkdir(dir, 0755) < 0 && errno != EEXIST) {
        log_error("netd: cannot create %s: %s", dir, error_text(-errno));
        return -errno;
    }
    snprintf(path, sizeof(path), "%s/lock", dir);
    server->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (server->lock_fd < 0) {
        log_error("netd: cannot open %s: %s", path, error_text(-errno));
        return -errno;
    }
    result = file_lock_take(server->lock_fd);
    if (result == -EWOULDBLOCK) {
        log_error("netd: another instance uses %s", dir);
        result = LOCKSTEP_E_CONFLICT;
    } else if (result < 0) {
        log_error("netd: cannot lock %s: %s", path, error_text(result));
    }
    return result;
}

static int listen_socket(struct server *server, const char *dir)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    mode_t mask;
    int result = 0;

    snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", dir, CONTROL_SOCKET_NAME);
    server->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (server->listen_fd < 0)
        return -errno;
    unlink(address.sun_path); /* left by an instance that was killed: the lock is ours */
    mask = umask(0111);
    if (bind(server->listen_fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(server->listen_fd, BACKLOG) < 0)
        result = -errno;
    umask(mask);
    if (result < 0)
        log_error("netd: cannot listen on %s: %s", address.sun_path, error_text(result));
    return result;
}

static int open_signals(struct server *server)
{
    server->signal_fd = platform_stop_signals();
    if (server->signal_fd < 0)
        return server->signal_fd;
    server->reload_fd = platform_reload_signal();
    return server->reload_fd < 0 ? server->reload_fd : 0;
}

int server_open(struct server *server, struct netd *netd)
{
    int result;

    *server = (struct server){.netd = netd, .listen_fd = -1, .lock_fd = -1, .signal_fd = -1, .reload_fd = -1};
    server->on_listen = (struct event_source){handle_listen, server};
    server->on_netlink = (struct event_source){handle_netlink, server};
    server->on_signal = (struct event_source){handle_signal, server};
    server->on_reload = (struct event_source){handle_reload, server};
    netd->epoll_fd = -1;
    result = lock_directory(server, netd->policy.runtime_dir);
    if (result == 0)
        result = open_signals(server);
    if (result < 0)
        return result;
    server->netd->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (server->netd->epoll_fd < 0)
        return -errno;
    return 0;
}

int server_listen(struct server *server)
{
    int result = listen_socket(server, server->netd->policy.runtime_dir);

    if (result == 0)
        result = server_watch(server->netd, server->listen_fd, &server->on_listen);
    if (result == 0)
        result = server_watch(server->netd, netlink_event_fd(server->netd->netlink), &server->on_netlink);
    if (result == 0)
        result = server_watch(server->netd, server->signal_fd, &server->on_signal);
    if (result == 0)
        result = server_watch(server->netd, server->reload_fd, &server->on_reload);
    return result;
}

void server_close(struct server *server)
{
    char path[128];

    if (server->listen_fd >= 0) {
        snprintf(path, sizeof(path), "%s/%s", server->netd->policy.runtime_dir, CONTROL_SOCKET_NAME);
        unlink(path);
        close(server->listen_fd);
    }
    if (server->netd->epoll_fd >= 0)
        close(server->netd->epoll_fd);
    if (server->signal_fd >= 0)
        close(server->signal_fd);
    if (server->reload_fd >= 0)
        close(server->reload_fd);
    if (server->lock_fd >= 0)
        close(server->lock_fd);
}
