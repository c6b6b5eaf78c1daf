/* SPDX-License-Identifier: BSD-2-Clause */
#include "stack/netd_client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "platform/linux/raw_syscall.h"

#define REPLY_TIMEOUT_S 5

static uint32_t other_version; /* of the control protocol, as a service spoke that was not understood; atomic */

struct netd_client {
    int fd;
    int fd_minimum;
    bool broken;
    uint32_t sequence;
    pthread_mutex_t lock;
    const struct state_page *state;
};

/* One request: body and descriptors out, body and descriptors in. */
struct exchange {
    unsigned type;
    const void *request;
    const int *fds;
    int fd_count;
    void *reply; /* control_reply_size bytes, or NULL to discard them */
    int *reply_fds;
    int reply_fd_count; /* wanted, exactly */
};

static void raw_close(int fd)
{
    if (fd >= 0)
        sys_call6(SYS_close, fd, 0, 0, 0, 0, 0);
}

static void close_fds(int *fds, int count)
{
    for (int i = 0; i < count; i++) {
        raw_close(fds[i]);
        fds[i] = -1;
    }
}

/* Moves fd out of the low numbers that programs count on; takes fd over. */
static int move_fd(int fd, int minimum)
{
    long moved;

    if (fd < 0 || fd >= minimum)
        return fd;
    moved = sys_call6(SYS_fcntl, fd, F_DUPFD_CLOEXEC, minimum, 0, 0, 0);
    raw_close(fd);
    return (int)moved;
}

static int send_message(struct netd_client *client, const struct control_header *header, const struct exchange *x)
{
    union {
        char bytes[CMSG_SPACE(CONTROL_MAX_FDS * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov[2] = {{(void *)header, sizeof(*header)},
                           {(void *)x->request, (size_t)control_request_size(x->type)}};
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};
    long result;

    if (x->fd_count > 0) {
        struct cmsghdr *cmsg;

        memset(&control, 0, sizeof(control));
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE((size_t)x->fd_count * sizeof(int));
        cmsg = CMSG_FIRSTHDR(&message);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN((size_t)x->fd_count * sizeof(int));
        memcpy(CMSG_DATA(cmsg), x->fds, (size_t)x->fd_count * sizeof(int));
    }
    do {
        result = sys_call6(SYS_sendmsg, client->fd, (long)&message, MSG_NOSIGNAL, 0, 0, 0);
    } while (result == -EINTR);
    return result < 0 ? (int)result : 0;
}

/* Collects the descriptors of a received message; the surplus is closed. Returns their number. */
static int take_fds(struct netd_client *client, struct msghdr *message, int *fds, int wanted)
{
    int count = 0;

    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(message); cmsg; cmsg = CMSG_NXTHDR(message, cmsg)) {
        size_t n;

        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
            continue;
        n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
            if (count < wanted)
                fds[count++] = move_fd(fd, client->fd_minimum);
            else
                raw_close(fd);
        }
    }
    return count;
}

/* Receives one message into buffer; its length or a negative code. */
static long receive_message(struct netd_client *client, void *buffer, size_t size, int flags, int *fds, int wanted,
                            int *fd_count)
{
    union {
        char bytes[CMSG_SPACE(CONTROL_MAX_FDS * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = {buffer, size};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
    long length;

    do {
        length = sys_call6(SYS_recvmsg, client->fd, (long)&message, MSG_CMSG_CLOEXEC | flags, 0, 0, 0);
    } while (length == -EINTR);
    if (length <= 0)
        return length < 0 ? length : -ECONNRESET;
    *fd_count = take_fds(client, &message, fds, wanted);
    if (message.msg_flags & MSG_TRUNC)
        return LOCKSTEP_E_BAD_FORMAT;
    return length;
}

static int receive_reply(struct netd_client *client, const struct exchange *x)
{
    union {
        struct control_header header;
        char bytes[sizeof(struct control_header) + 1024];
    } buffer;
    const struct control_header *header;
    const void *body;
    int fds[CONTROL_MAX_FDS], fd_count = 0, result;

    for (int i = 0; i < CONTROL_MAX_FDS; i++)
        fds[i] = -1;
    for (;;) {
        long length = receive_message(client, &buffer, sizeof(buffer), 0, fds, x->reply_fd_count, &fd_count);

        if (length < 0)
            return LOCKSTEP_E_NO_SERVICE;
        result = control_parse(&buffer, (size_t)length, 1, &header, &body);
        if (result == 0 && header->type == x->type && header->sequence == client->sequence)
            break;
        if (result == LOCKSTEP_E_BAD_VERSION) {
            __atomic_store_n(&other_version, buffer.header.version, __ATOMIC_RELAXED);
            close_fds(fds, fd_count);
            return result;
        }
        close_fds(fds, fd_count); /* the answer to a request that was given up */
    }
    if (header->status < 0) {
        close_fds(fds, fd_count);
        if (x->reply && body)
            memcpy(x->reply, body, (size_t)control_reply_size(x->type));
        return header->status;
    }
    for (int i = 0; i < x->reply_fd_count; i++) {
        if (i >= fd_count || fds[i] < 0) {
            close_fds(fds, fd_count);
            return -EMFILE;
        }
    }
    if (x->reply)
        memcpy(x->reply, body, (size_t)control_reply_size(x->type));
    for (int i = 0; i < x->reply_fd_count; i++)
        x->reply_fds[i] = fds[i];
    return 0;
}

/* Sends a request and, if wait, receives its reply. */
static int transact(struct netd_client *client, const struct exchange *x, bool wait)
{
    struct control_header header = {.magic = CONTROL_MAGIC, .version = CONTROL_VERSION, .type = (uint16_t)x->type};
    int result;

    pthread_mutex_lock(&client->lock);
    if (client->broken) {
        result = LOCKSTEP_E_NO_SERVICE;
    } else {
        header.sequence = ++client->sequence;
        result = send_message(client, &header, x);
        /* A bad descriptor of the caller's is no reason to give the connection up. */
        if (result < 0 && result != -EBADF && result != -EMFILE && result != -ETOOMANYREFS && result != -ENOMEM)
            result = LOCKSTEP_E_NO_SERVICE;
        if (result == 0 && wait)
            result = receive_reply(client, x);
        if (result == LOCKSTEP_E_NO_SERVICE)
            client->broken = true;
    }
    pthread_mutex_unlock(&client->lock);
    return result;
}

const char *client_runtime_dir(const char *dir)
{
    if (dir && *dir)
        return dir;
    dir = getenv(CONTROL_DIR_ENV);
    return dir && *dir ? dir : CONTROL_DEFAULT_DIR;
}

static int connect_socket(const char *dir, int fd_minimum)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval timeout = {.tv_sec = REPLY_TIMEOUT_S};
    long result;
    int fd;

    if ((size_t)snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", client_runtime_dir(dir),
                         CONTROL_SOCKET_NAME) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    fd = (int)sys_call6(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, 0, 0, 0);
    fd = move_fd(fd, fd_minimum);
    if (fd < 0)
        return fd;
    sys_call6(SYS_setsockopt, fd, SOL_SOCKET, SO_RCVTIMEO, (long)&timeout, sizeof(timeout), 0);
    sys_call6(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDTIMEO, (long)&timeout, sizeof(timeout), 0);
    do {
        result = sys_call6(SYS_connect, fd, (long)&address, sizeof(address), 0, 0, 0);
    } while (result == -EINTR);
    if (result < 0) {
        raw_close(fd);
        return LOCKSTEP_E_NO_SERVICE;
    }
    return fd;
}

static int say_hello(struct netd_client *client, const char *program, struct control_hello_reply *hello)
{
    struct control_hello request = {0};
    struct control_hello_reply reply;
    int state_fd = -1, result;
    struct exchange x = {
        .type = CONTROL_HELLO, .request = &request, .reply = &reply, .reply_fds = &state_fd, .reply_fd_count = 1};
    long address;

    strncpy(request.program, program ? program : "?", sizeof(request.program) - 1);
    result = transact(client, &x, true);
    if (result < 0)
        return result;
    address = sys_call6(SYS_mmap, 0, sizeof(struct state_page), PROT_READ, MAP_SHARED, state_fd, 0);
    raw_close(state_fd);
    if (address < 0 && address > -4096)
        return (int)address;
    client->state = (const struct state_page *)address;
    if (client->state->magic != STATE_PAGE_MAGIC || client->state->size != sizeof(struct state_page))
        return LOCKSTEP_E_BAD_VERSION;
    if (hello)
        *hello = reply;
    return 0;
}

int client_connect(struct netd_client **out, const char *dir, const char *program, int fd_minimum,
                   struct control_hello_reply *hello)
{
    struct netd_client *client;
    int fd, result;

    *out = NULL;
    fd = connect_socket(dir, fd_minimum);
    if (fd < 0)
        return fd;
    client = calloc(1, sizeof(*client));
    if (!client) {
        raw_close(fd);
        return -ENOMEM;
    }
    client->fd = fd;
    client->fd_minimum = fd_minimum;
    pthread_mutex_init(&client->lock, NULL);
    result = say_hello(client, program, hello);
    if (result < 0) {
        client_close(client);
        return result;
    }
    *out = client;
    return 0;
}

const char *client_problem(int err, char *text)
{
    uint32_t version = __atomic_load_n(&other_version, __ATOMIC_RELAXED);

    if (err != LOCKSTEP_E_BAD_VERSION)
        snprintf(text, CLIENT_PROBLEM_MAX, "%s", error_text(err));
    else if (version == 0)
        snprintf(text, CLIENT_PROBLEM_MAX, "it does not understand Lockstep " LOCKSTEP_VERSION);
    else
        snprintf(text, CLIENT_PROBLEM_MAX, "it speaks version %u of the control protocol, Lockstep %s here version %d",
                 version, LOCKSTEP_VERSION, CONTROL_VERSION);
    return text;
}

void client_close(struct netd_client *client)
{
    if (!client)
        return;
    raw_close(client->fd);
    if (client->state)
        sys_call6(SYS_munmap, (long)client->state, sizeof(struct state_page), 0, 0, 0, 0);
    free(client);
}

int client_fd(const struct netd_client *client)
{
    return client->fd;
}

int client_check(struct netd_client *client)
{
    struct pollfd poll_fd = {.fd = client->fd, .events = 0};
    struct timespec now = {0, 0};

    if (sys_call6(SYS_ppoll, (long)&poll_fd, 1, (long)&now, 0, 8, 0) > 0 && (poll_fd.revents & (POLLHUP | POLLERR)))
        return LOCKSTEP_E_NO_SERVICE;
    return __atomic_load_n(&client->broken, __ATOMIC_RELAXED) ? LOCKSTEP_E_NO_SERVICE : 0;
}

bool client_has(const struct netd_client *client, uint64_t feature)
{
    return client->state->features & feature;
}

const struct state_page *client_state_page(const struct netd_client *client)
{
    return client->state;
}

int client_lane_open(struct netd_client *client, uint32_t injector, uint32_t ring_bytes,
                     struct control_lane_reply *reply, struct client_lane_fds *fds)
{
    struct control_lane_open request = {.injector = injector, .ring_bytes = ring_bytes};
    int received[5];
    struct exchange x = {
        .type = CONTROL_LANE_OPEN, .request = &request, .reply = reply, .reply_fds = received, .reply_fd_count = 5};
    int result = transact(client, &x, true);

    if (result == 0)
        *fds = (struct client_lane_fds){received[0], received[1], received[2], received[3], received[4]};
    return result;
}

int client_lane_adopt(struct netd_client *client, const struct control_lane_adopt *adopt, struct client_lane_fds *fds)
{
    const int sent[4] = {fds->ring, fds->control, fds->injector, fds->stats};
    struct exchange x = {.type = CONTROL_LANE_ADOPT,
                         .request = adopt,
                         .fds = sent,
                         .fd_count = 4,
                         .reply_fds = &fds->event,
                         .reply_fd_count = 1};

    return transact(client, &x, true);
}

int client_policy(struct netd_client *client, const char *executable, struct control_policy_reply *reply)
{
    struct control_policy request = {{0}};
    struct exchange x = {.type = CONTROL_POLICY, .request = &request, .reply = reply};

    strncpy(request.program, executable, sizeof(request.program) - 1);
    return transact(client, &x, true);
}

int client_reload(struct netd_client *client, struct control_reload_reply *reply)
{
    struct exchange x = {.type = CONTROL_RELOAD, .reply = reply};

    return transact(client, &x, true);
}

int client_route(struct netd_client *client, const struct control_route *request, struct control_route_reply *reply)
{
    struct exchange x = {.type = CONTROL_ROUTE, .request = request, .reply = reply};

    return transact(client, &x, true);
}

int client_flow_add(struct netd_client *client, int socket_fd, const struct control_flow_add *request,
                    uint32_t *flow_id)
{
    struct control_flow_reply reply;
    struct exchange x = {
        .type = CONTROL_FLOW_ADD, .request = request, .fds = &socket_fd, .fd_count = 1, .reply = &reply};
    int result = transact(client, &x, true);

    if (result == 0)
        *flow_id = reply.flow_id;
    return result;
}

int client_flow_accepted(struct netd_client *client, const struct control_flow_accepted *request)
{
    struct exchange x = {.type = CONTROL_FLOW_ACCEPTED, .request = request};

    return transact(client, &x, false);
}

int client_flow_remove(struct netd_client *client, uint32_t flow_id)
{
    struct control_flow_remove request = {.flow_id = flow_id};
    struct exchange x = {.type = CONTROL_FLOW_REMOVE, .request = &request};

    return transact(client, &x, false);
}

int client_flow_closed(struct netd_client *client, const struct control_flow_closed *request)
{
    struct exchange x = {.type = CONTROL_FLOW_CLOSED, .request = request};

    return transact(client, &x, false);
}

int client_not_accelerated(struct netd_client *client, const struct control_not_accelerated *request)
{
    struct exchange x = {.type = CONTROL_NOT_ACCELERATED, .request = request};

    return transact(client, &x, false);
}

int client_migrate(struct netd_client *client, int socket_fd, int memfd, const struct control_migrate *request)
{
    const int sent[2] = {socket_fd, memfd};
    struct exchange x = {.type = CONTROL_MIGRATE, .request = request, .fds = sent, .fd_count = memfd < 0 ? 1 : 2};

    return transact(client, &x, true);
}

int client_claim(struct netd_client *client, int socket_fd, const struct control_claim *request)
{
    struct exchange x = {.type = CONTROL_CLAIM, .request = request, .fds = &socket_fd, .fd_count = 1};

    return transact(client, &x, true);
}

int client_event_read(int event_fd, struct client_event *out)
{
    struct netd_client end = {.fd = event_fd};
    union {
        struct control_header header;
        char bytes[sizeof(struct control_header) + sizeof(struct control_dump)];
    } message;
    const struct control_header *header;
    const void *body;
    int fd_count = 0;
    long length;

    *out = (struct client_event){.fd = -1};
    length = receive_message(&end, &message, sizeof(message), MSG_DONTWAIT, &out->fd, 1, &fd_count);
    if (length == -EAGAIN)
        return -EAGAIN;
    if (length < 0 && length != LOCKSTEP_E_BAD_FORMAT)
        return LOCKSTEP_E_NO_SERVICE;
    if (length > 0 && control_parse(&message, (size_t)length, 0, &header, &body) == 0) {
        out->type = header->type;
        if (header->type == CONTROL_MIGRATE_REQUEST) {
            out->flow_id = ((const struct control_migrate_request *)body)->flow_id;
            return 0;
        }
        if (header->type == CONTROL_DUMP_REQUEST && out->fd >= 0) {
            memcpy(&out->dump, body, sizeof(out->dump));
            return 0;
        }
    }
    close_fds(&out->fd, fd_count);
    return -EAGAIN;
}

int client_dump(struct netd_client *client, const struct control_dump *request, int *fd)
{
    struct exchange x = {.type = CONTROL_DUMP, .request = request, .reply_fds = fd, .reply_fd_count = 1};

    return transact(client, &x, true);
}

int client_report(struct netd_client *client, uint32_t kind, int *memfd)
{
    struct control_report request = {.kind = kind};
    struct exchange x = {.type = CONTROL_REPORT, .request = &request, .reply_fds = memfd, .reply_fd_count = 1};

    return transact(client, &x, true);
}
