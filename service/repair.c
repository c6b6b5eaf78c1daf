/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/repair.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h> /* tcp_repair_opt, tcp_repair_window; excludes netinet/tcp.h */
#include <netinet/in.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif

/* States as in TCP_INFO; TCP header options (RFC 9293, RFC 7323, RFC 2018). */
enum { STATE_CLOSE = 7, STATE_CLOSE_WAIT = 8 };
enum { OPTION_MSS = 2, OPTION_WINDOW = 3, OPTION_SACK_PERMITTED = 4, OPTION_TIMESTAMP = 8 };

#define CHUNK 32768

static int set_int(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int get_int(int fd, int level, int name)
{
    int value = 0;
    socklen_t length = sizeof(value);

    return getsockopt(fd, level, name, &value, &length) < 0 ? 0 : value;
}

static int tcp_state(int fd)
{
    struct tcp_info info;
    socklen_t length = sizeof(info);

    memset(&info, 0, sizeof(info));
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0 ? 0 : info.tcpi_state;
}

/* Room for both queues, however large they are; the program's own limits come back at the end. */
static void widen_buffers(struct repair *repair)
{
    const struct control_migrate *state = &repair->state;

    repair->send_buffer = get_int(repair->fd, SOL_SOCKET, SO_SNDBUF);
    repair->receive_buffer = get_int(repair->fd, SOL_SOCKET, SO_RCVBUF);
    repair->buffer_lock = get_int(repair->fd, SOL_SOCKET, SO_BUF_LOCK);
    repair->buffers_changed = true;
    set_int(repair->fd, SOL_SOCKET, SO_SNDBUFFORCE, (int)(state->send_bytes * 2 + 65536));
    set_int(repair->fd, SOL_SOCKET, SO_RCVBUFFORCE, (int)(state->receive_bytes * 2 + 65536));
}

static void restore_buffers(struct repair *repair)
{
    if (!repair->buffers_changed)
        return;
    /* The kernel doubles what it is given. */
    set_int(repair->fd, SOL_SOCKET, SO_SNDBUFFORCE, repair->send_buffer / 2);
    set_int(repair->fd, SOL_SOCKET, SO_RCVBUFFORCE, repair->receive_buffer / 2);
    set_int(repair->fd, SOL_SOCKET, SO_BUF_LOCK, repair->buffer_lock);
    repair->buffers_changed = false;
}

static int set_queue_sequence(int fd, int queue, uint32_t sequence)
{
    int result = set_int(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, queue);

    return result < 0 ? result : set_int(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, (int)sequence);
}

/* The peer's FIN counts as one in its sequence space, but the kernel is to see it only later. */
static uint32_t data_end(const struct control_migrate *state)
{
    return state->rcv_nxt - (state->fin_received ? 1 : 0);
}

static int bind_and_connect(struct repair *repair)
{
    const struct control_migrate *state = &repair->state;
    struct sockaddr_storage address;
    socklen_t length = sizeof(address);
    struct net_endpoint bound;

    if (getsockname(repair->fd, (struct sockaddr *)&address, &length) < 0 ||
        net_endpoint_from_sockaddr((struct sockaddr *)&address, length, &bound) < 0)
        return LOCKSTEP_E_BAD_VALUE;
    if (bound.port == 0) {
        length = net_endpoint_to_sockaddr(&state->local, (int)state->family, state->scope_id, &address);
        if (bind(repair->fd, (struct sockaddr *)&address, length) < 0)
            return -errno;
    } else if (bound.port != state->local.port) {
        return LOCKSTEP_E_BAD_VALUE;
    }
    length = net_endpoint_to_sockaddr(&state->remote, (int)state->family, state->scope_id, &address);
    if (connect(repair->fd, (struct sockaddr *)&address, length) < 0)
        return -errno;
    length = sizeof(address);
    if (getsockname(repair->fd, (struct sockaddr *)&address, &length) < 0 ||
        net_endpoint_from_sockaddr((struct sockaddr *)&address, length, &bound) < 0)
        return LOCKSTEP_E_BAD_VALUE;
    return net_addr_equal(&bound.addr, &state->local.addr) ? 0 : LOCKSTEP_E_CONFLICT;
}

static int set_options(struct repair *repair)
{
    const struct control_migrate *state = &repair->state;
    struct tcp_repair_opt options[4];
    size_t count = 0;
    int result;

    options[count++] = (struct tcp_repair_opt){OPTION_MSS, state->mss};
    if (state->options & 1)
        options[count++] =
            (struct tcp_repair_opt){OPTION_WINDOW, state->send_scale | (uint32_t)state->receive_scale << 16};
    if (state->options & 2)
        options[count++] = (struct tcp_repair_opt){OPTION_SACK_PERMITTED, 0};
    if (state->options & 4)
        options[count++] = (struct tcp_repair_opt){OPTION_TIMESTAMP, 0};
    if (setsockopt(repair->fd, IPPROTO_TCP, TCP_REPAIR_OPTIONS, options, (socklen_t)(count * sizeof(options[0]))) < 0)
        return -errno;
    if (!(state->options & 4))
        return 0;
    /* An odd value would ask newer kernels for a clock of microseconds. */
    result = set_int(repair->fd, IPPROTO_TCP, TCP_TIMESTAMP, (int)((state->timestamp + 1) & ~1u));
    return result;
}

/* Writes `bytes` bytes of the memfd from offset on to the socket. */
static int copy_bytes(struct repair *repair, uint64_t offset, uint32_t bytes)
{
    static char chunk[CHUNK];

    while (bytes > 0) {
        size_t wanted = bytes < CHUNK ? bytes : CHUNK;
        ssize_t length = pread(repair->memfd, chunk, wanted, (off_t)offset);

        if (length <= 0)
            return LOCKSTEP_E_BAD_FORMAT;
        length = send(repair->fd, chunk, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (length < 0)
            return -errno;
        offset += (uint64_t)length;
        bytes -= (uint32_t)length;
    }
    return 0;
}

static uint32_t sent_bytes(const struct control_migrate *state)
{
    return state->snd_nxt - state->snd_una;
}

static int fill_queues(struct repair *repair)
{
    const struct control_migrate *state = &repair->state;
    int result = set_int(repair->fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE);

    if (result == 0)
        result = copy_bytes(repair, 0, state->receive_bytes);
    if (result == 0)
        result = set_int(repair->fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE);
    if (result == 0)
        result = copy_bytes(repair, state->receive_bytes, sent_bytes(state));
    return result;
}

static int set_window(struct repair *repair)
{
    const struct control_migrate *state = &repair->state;
    struct tcp_repair_window window = {
        .snd_wl1 = state->snd_wl1,
        .snd_wnd = state->snd_wnd,
        .max_window = state->max_window > state->snd_wnd ? state->max_window : state->snd_wnd,
        .rcv_wnd = state->rcv_wnd,
        .rcv_wup = state->rcv_wup,
    };

    if ((int32_t)(window.rcv_wup - data_end(state)) > 0)
        window.rcv_wup = data_end(state);
    return setsockopt(repair->fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &window, sizeof(window)) < 0 ? -errno : 0;
}

static int check_state(const struct control_migrate *state, int fd, int memfd)
{
    uint64_t total = (uint64_t)state->receive_bytes + state->send_bytes;
    struct stat status;

    if (tcp_state(fd) != STATE_CLOSE)
        return LOCKSTEP_E_BAD_VALUE;
    if (total > REPAIR_QUEUE_MAX || sent_bytes(state) > state->send_bytes || state->mss < 64 || state->mss > 65535 ||
        state->send_scale > 14 || state->receive_scale > 14 || state->rcv_wnd > 1u << 30 || state->snd_wnd > 1u << 30)
        return LOCKSTEP_E_BAD_VALUE;
    if (total == 0)
        return 0;
    /* Seals exist for memory files only; those never make a reader wait. */
    if (fcntl(memfd, F_GET_SEALS) < 0 || fstat(memfd, &status) < 0 || (uint64_t)status.st_size < total)
        return LOCKSTEP_E_BAD_FORMAT;
    return 0;
}

/* Out of repair mode without a word to the peer; the socket is as it was given. */
static void abandon(struct repair *repair)
{
    struct sockaddr address = {.sa_family = AF_UNSPEC};
    int ignored = 0;
    socklen_t length = sizeof(ignored);

    connect(repair->fd, &address, sizeof(address)); /* in repair mode: no RST */
    set_int(repair->fd, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP);
    getsockopt(repair->fd, SOL_SOCKET, SO_ERROR, &ignored, &length);
    set_int(repair->fd, SOL_SOCKET, SO_REUSEADDR, repair->reuse_address);
    restore_buffers(repair);
}

int repair_prepare(struct repair *repair, int fd, int memfd, const struct control_migrate *state)
{
    const char *step = "state";
    int result = check_state(state, fd, memfd);

    *repair = (struct repair){.fd = fd, .memfd = memfd, .state = *state};
    if (result < 0)
        goto refused;
    repair->reuse_address = get_int(fd, SOL_SOCKET, SO_REUSEADDR);
    step = "TCP_REPAIR";
    result = set_int(fd, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_ON);
    if (result < 0)
        goto refused;
    widen_buffers(repair);
    step = "sequence numbers";
    result = set_queue_sequence(fd, TCP_SEND_QUEUE, state->snd_una);
    if (result == 0)
        result = set_queue_sequence(fd, TCP_RECV_QUEUE, data_end(state) - state->receive_bytes);
    if (result == 0) {
        step = "addresses";
        result = bind_and_connect(repair);
    }
    if (result == 0) {
        step = "options";
        result = set_options(repair);
    }
    if (result == 0) {
        step = "queues";
        result = fill_queues(repair);
    }
    if (result == 0) {
        step = "window";
        result = set_window(repair);
    }
    if (result == 0)
        return 0;
    abandon(repair);
refused:
    log_limited(LOG_LEVEL_WARNING, NULL, "repair: a connection cannot be moved to the kernel (%s): %s", step,
                error_text(result));
    return result;
}

/* Lets the kernel's socket see the end of the peer's data: a FIN that comes in over loopback, in the peer's name. If a
 * packet filter eats it, shutting down the receiving side shows at least the program the same. */
static void deliver_fin(struct repair *repair, const struct segment_sender *sender)
{
    const struct control_migrate *state = &repair->state;
    struct segment fin = {
        .from = state->remote,
        .to = state->local,
        .sequence = data_end(state),
        .acknowledgement = state->snd_una,
        .window = (uint16_t)(state->snd_wnd >> state->send_scale),
        .flags = SEGMENT_FIN | SEGMENT_ACK,
    };

    if (segment_send(sender, &fin, state->scope_id) == 0) {
        for (int i = 0; i < 5; i++) {
            struct timespec pause = {0, 200000};

            if (tcp_state(repair->fd) == STATE_CLOSE_WAIT)
                return;
            nanosleep(&pause, NULL);
        }
    }
    log_debug("repair: the peer's FIN did not get through");
    shutdown(repair->fd, SHUT_RD);
}

int repair_finish(struct repair *repair, const struct segment_sender *sender)
{
    const struct control_migrate *state = &repair->state;
    uint32_t sent = sent_bytes(state);
    int result = set_int(repair->fd, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_OFF);

    if (result == 0)
        result = copy_bytes(repair, (uint64_t)state->receive_bytes + sent, state->send_bytes - sent);
    if (result == 0 && state->fin_received)
        deliver_fin(repair, sender);
    if (result == 0 && state->options & 8) /* a FIN that was sent already goes out once more */
        shutdown(repair->fd, SHUT_WR);
    if (result == 0 && state->options & 16)
        shutdown(repair->fd, SHUT_RD);
    set_int(repair->fd, SOL_SOCKET, SO_REUSEADDR, repair->reuse_address);
    restore_buffers(repair);
    if (result < 0) {
        struct sockaddr address = {.sa_family = AF_UNSPEC};

        log_limited(LOG_LEVEL_WARNING, LOG_SUBJECT(.event = LOG_EVENT_CONNECTION_LOST),
                    "repair: a connection is lost, its data did not get into the kernel's queue: %s",
                    error_text(result));
        connect(repair->fd, &address, sizeof(address)); /* resets the peer, which would miss something otherwise */
        result = LOCKSTEP_E_GONE;
    }
    return result;
}
