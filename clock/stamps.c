/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/stamps.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

#define SLEW_MAX_PPM    600 /* what a kernel may steer its clock by, and a little for the counter's nominal rate */
#define SLACK_NS        200
#define UNSTAMPED_LIMIT 3
#define CONTROL_BYTES   512
#define INTERRUPTED_NS  20000 /* a way that long tells of something else */
#define COLD_SMOOTHING  0.1

const char *stamp_kind_name(enum stamp_kind kind)
{
    static const char *const names[] = {"none", "program", "kernel", "hardware"};

    return names[kind];
}

/* --- carrying over ------------------------------------------------------------------------------------------ */

static uint64_t middle(const struct counter_bracket *bracket)
{
    return bracket->before + (bracket->after - bracket->before) / 2;
}

static double width_ns(const struct counter *counter, const struct counter_bracket *bracket)
{
    return (double)(bracket->after - bracket->before) * 1e9 / counter->nominal_hz;
}

bool stamp_brackets_agree(const struct counter *counter, const struct counter_bracket *before,
                          const struct counter_bracket *after)
{
    double counted = (double)(int64_t)(middle(after) - middle(before)) * 1e9 / counter->nominal_hz;
    double clock = (double)(after->clock_ns - before->clock_ns);
    double allowed = counted * SLEW_MAX_PPM * 1e-6 + (width_ns(counter, before) + width_ns(counter, after)) / 2;

    return counted >= 0 && __builtin_fabs(clock - counted) <= allowed + SLACK_NS;
}

bool stamp_carry(const struct counter *counter, const struct counter_bracket *before,
                 const struct counter_bracket *after, int64_t stamp_ns, struct stamp *out)
{
    double before_ns = width_ns(counter, before) / 2, after_ns = width_ns(counter, after) / 2;
    double span = (double)(after->clock_ns - before->clock_ns), from = (double)(stamp_ns - before->clock_ns), at;

    if (!stamp_brackets_agree(counter, before, after) || from < -before_ns - SLACK_NS ||
        from > span + after_ns + SLACK_NS)
        return false;
    /* Between the brackets the clock's own rate counts, as far as they tell it. */
    if (span > 0 && from > 0 && from < span)
        at = from / span * (double)(middle(after) - middle(before));
    else if (from <= 0)
        at = from * counter->nominal_hz / 1e9;
    else
        at = (double)(middle(after) - middle(before)) + (from - span) * counter->nominal_hz / 1e9;
    out->counter = middle(before) + (uint64_t)(int64_t)(at < 0 ? at - 0.5 : at + 0.5);
    out->error_ns = (uint32_t)(before_ns > after_ns ? before_ns : after_ns) + 1;
    return true;
}

/* --- what comes with a packet ------------------------------------------------------------------------------- */

static int64_t timespec_ns(const struct timespec *time)
{
    return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

static void read_ip_control(const struct cmsghdr *cmsg, struct stamp_control *out)
{
    int value;

    if (cmsg->cmsg_type == IP_TTL && cmsg->cmsg_len >= CMSG_LEN(sizeof(value))) {
        memcpy(&value, CMSG_DATA(cmsg), sizeof(value));
        out->ttl = (unsigned)value;
    } else if (cmsg->cmsg_type == IP_PKTINFO && cmsg->cmsg_len >= CMSG_LEN(sizeof(struct in_pktinfo))) {
        struct in_pktinfo info;

        memcpy(&info, CMSG_DATA(cmsg), sizeof(info));
        out->local = net_addr_from_v4(info.ipi_spec_dst.s_addr);
        out->interface = (uint32_t)info.ipi_ifindex;
    }
}

static void read_ip6_control(const struct cmsghdr *cmsg, struct stamp_control *out)
{
    int value;

    if (cmsg->cmsg_type == IPV6_HOPLIMIT && cmsg->cmsg_len >= CMSG_LEN(sizeof(value))) {
        memcpy(&value, CMSG_DATA(cmsg), sizeof(value));
        out->ttl = (unsigned)value;
    } else if (cmsg->cmsg_type == IPV6_PKTINFO && cmsg->cmsg_len >= CMSG_LEN(sizeof(struct in6_pktinfo))) {
        struct in6_pktinfo info;

        memcpy(&info, CMSG_DATA(cmsg), sizeof(info));
        memcpy(out->local.byte, &info.ipi6_addr, sizeof(out->local.byte));
        out->interface = info.ipi6_ifindex;
    }
}

static void read_error(const struct cmsghdr *cmsg, struct stamp_control *out)
{
    struct sock_extended_err error;

    if (cmsg->cmsg_len < CMSG_LEN(sizeof(error)))
        return;
    memcpy(&error, CMSG_DATA(cmsg), sizeof(error));
    out->error = (int)error.ee_errno;
    if (error.ee_origin == SO_EE_ORIGIN_TIMESTAMPING)
        out->id = error.ee_data;
}

void stamp_control_read(const struct msghdr *message, struct stamp_control *out)
{
    memset(out, 0, sizeof(*out));
    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(message); cmsg; cmsg = CMSG_NXTHDR((struct msghdr *)message, cmsg)) {
        if (cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_TIMESTAMPING) {
            struct scm_timestamping stamps;

            if (cmsg->cmsg_len < CMSG_LEN(sizeof(stamps)))
                continue;
            memcpy(&stamps, CMSG_DATA(cmsg), sizeof(stamps));
            out->kernel_ns = timespec_ns(&stamps.ts[0]);
            out->hardware_ns = timespec_ns(&stamps.ts[2]);
        } else if ((cmsg->cmsg_level == SOL_IP && cmsg->cmsg_type == IP_RECVERR) ||
                   (cmsg->cmsg_level == SOL_IPV6 && cmsg->cmsg_type == IPV6_RECVERR)) {
            read_error(cmsg, out);
        } else if (cmsg->cmsg_level == SOL_IP) {
            read_ip_control(cmsg, out);
        } else if (cmsg->cmsg_level == SOL_IPV6) {
            read_ip6_control(cmsg, out);
        }
    }
}

int stamp_enable(int fd, bool departures, bool hardware)
{
    int flags = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;

    if (departures)
        flags |= SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_OPT_ID | SOF_TIMESTAMPING_OPT_TSONLY;
    if (hardware)
        flags |= SOF_TIMESTAMPING_RX_HARDWARE | SOF_TIMESTAMPING_RAW_HARDWARE;
    if (hardware && departures) /* the NIC's only: with both, two records come for a departure */
        flags = (flags & ~SOF_TIMESTAMPING_TX_SOFTWARE) | SOF_TIMESTAMPING_TX_HARDWARE;
    return setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &flags, sizeof(flags)) < 0 ? -errno : 0;
}

int stamp_enable_numbered(int fd)
{
    int flags = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID |
                SOF_TIMESTAMPING_OPT_TSONLY;

    return setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &flags, sizeof(flags)) < 0 ? -errno : 0;
}

/* --- a warm path -------------------------------------------------------------------------------------------- */

void stamp_warmer_open(struct stamp_warmer *warmer)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);

    warmer->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (warmer->fd < 0)
        return;
    /* Connected to itself: it hears nobody else. */
    if (bind(warmer->fd, (struct sockaddr *)&address, length) < 0 ||
        getsockname(warmer->fd, (struct sockaddr *)&address, &length) < 0 ||
        connect(warmer->fd, (struct sockaddr *)&address, length) < 0 || stamp_enable(warmer->fd, true, false) < 0)
        stamp_warmer_close(warmer);
}

void stamp_warmer_close(struct stamp_warmer *warmer)
{
    if (warmer->fd >= 0)
        close(warmer->fd);
    warmer->fd = -1;
}

/* A packet's way; the time between its stamps, or 0. */
static int64_t loop_once(const struct stamp_warmer *warmer)
{
    char data[48] = {0}, control_bytes[CONTROL_BYTES];
    struct iovec iov = {data, sizeof(data)};
    int64_t stamps[2] = {0, 0};

    if (send(warmer->fd, data, sizeof(data), MSG_NOSIGNAL) < 0)
        return 0;
    for (int departure = 0; departure < 2; departure++) {
        struct msghdr message = {
            .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control_bytes, .msg_controllen = sizeof(control_bytes)};
        struct stamp_control control;

        /* All that is there: something may be left of a time when it came late. */
        while (recvmsg(warmer->fd, &message, MSG_DONTWAIT | (departure ? MSG_ERRQUEUE : 0)) >= 0) {
            stamp_control_read(&message, &control);
            stamps[departure] = control.kernel_ns;
            message.msg_controllen = sizeof(control_bytes);
        }
    }
    return stamps[0] && stamps[1] && stamps[0] > stamps[1] ? stamps[0] - stamps[1] : 0;
}

void stamp_warmer_run(struct stamp_warmer *warmer)
{
    int64_t cold_ns;

    if (warmer->fd < 0)
        return;
    cold_ns = loop_once(warmer);
    loop_once(warmer);
    if (cold_ns == 0 || cold_ns > INTERRUPTED_NS)
        return;
    warmer->cold_ns += warmer->cold_ns > 0 ? ((double)cold_ns - warmer->cold_ns) * COLD_SMOOTHING : (double)cold_ns;
}

/* --- client sockets ----------------------------------------------------------------------------------------- */

/* Which of the interfaces the connected socket sends through; NULL: none of them. */
static const struct stamp_interface *interface_of(int fd, const struct stamp_interface *interfaces, unsigned count)
{
    struct sockaddr_storage local;
    socklen_t length = sizeof(local);
    struct net_endpoint endpoint;
    unsigned index;

    if (count == 0 || getsockname(fd, (struct sockaddr *)&local, &length) < 0 ||
        net_endpoint_from_sockaddr((struct sockaddr *)&local, length, &endpoint) < 0)
        return NULL;
    index = stamp_interface_index(&endpoint.addr);
    for (unsigned i = 0; i < count; i++) {
        if (interfaces[i].index == index)
            return &interfaces[i];
    }
    return NULL;
}

/* clock_gettime's number for a clock that is open as a device (clock_getres(2)). */
static int fd_clock(int fd)
{
    return (int)((~(unsigned)fd << 3) | 3u);
}

static int set_up(struct stamp_socket *stamped, const struct stamp_interface *interfaces, unsigned interface_count)
{
    const struct stamp_interface *interface = interface_of(stamped->fd, interfaces, interface_count);
    int on = 1;

    if (stamped->family == AF_INET)
        setsockopt(stamped->fd, SOL_IP, IP_RECVTTL, &on, sizeof(on));
    else
        setsockopt(stamped->fd, SOL_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof(on));
    stamped->tx = interface ? STAMP_HARDWARE : STAMP_KERNEL;
    if (interface)
        stamped->phc_clock = fd_clock(interface->phc_fd);
    return stamp_enable(stamped->fd, true, interface);
}

int stamp_socket_open(struct stamp_socket *stamped, const struct counter *counter, const struct net_endpoint *server,
                      uint32_t scope_id, const struct stamp_interface *interfaces, unsigned interface_count)
{
    struct sockaddr_storage address;
    socklen_t length;
    int result = 0;

    memset(stamped, 0, sizeof(*stamped));
    stamped->counter = counter;
    stamped->family = net_addr_is_v4(&server->addr) ? AF_INET : AF_INET6;
    stamped->fd = socket(stamped->family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (stamped->fd < 0)
        return -errno;
    length = net_endpoint_to_sockaddr(server, stamped->family, scope_id, &address);
    if (connect(stamped->fd, (struct sockaddr *)&address, length) < 0)
        result = -errno;
    if (result == 0)
        result = set_up(stamped, interfaces, interface_count);
    if (result < 0)
        stamp_socket_close(stamped);
    return result;
}

void stamp_socket_close(struct stamp_socket *stamped)
{
    if (stamped->fd >= 0)
        close(stamped->fd);
    stamped->fd = -1;
}

static void take_brackets(const struct stamp_socket *stamped, struct counter_bracket *kernel,
                          struct counter_bracket *phc)
{
    counter_bracket(stamped->counter, CLOCK_REALTIME, kernel);
    if (stamped->tx == STAMP_HARDWARE)
        counter_bracket(stamped->counter, stamped->phc_clock, phc);
}

int stamp_socket_send(struct stamp_socket *stamped, const void *packet, size_t length, uint64_t ticket)
{
    struct stamp_pending *pending = &stamped->pending[stamped->next_id % STAMP_PENDING];
    struct stamp_pending sent = {.used = true, .id = stamped->next_id, .ticket = ticket};

    take_brackets(stamped, &sent.before, &sent.phc_before);
    if (send(stamped->fd, packet, length, MSG_NOSIGNAL) < 0) {
        int result = -errno;

        /* Whether the kernel has given the packet a number depends on where it failed: number anew. */
        setsockopt(stamped->fd, SOL_SOCKET, SO_TIMESTAMPING, &(int){0}, sizeof(int));
        stamp_enable(stamped->fd, true, stamped->tx == STAMP_HARDWARE);
        memset(stamped->pending, 0, sizeof(stamped->pending));
        stamped->next_id = 0;
        return result;
    }
    counter_bracket(stamped->counter, CLOCK_REALTIME, &sent.after);
    stamped->mark = sent.before;
    stamped->phc_mark = sent.phc_before;
    stamped->next_id++;
    *pending = sent;
    return 0;
}

/* The reading of the system call itself, where the device stamps nothing. */
static void stamp_by_program(const struct stamp_socket *stamped, const struct stamp_pending *sent, struct stamp *stamp)
{
    uint64_t from = sent->before.after, to = sent->after.before;

    stamp->kind = STAMP_PROGRAM;
    stamp->counter = from + (to - from) / 2;
    stamp->error_ns = (uint32_t)((double)(to - from) * 5e8 / stamped->counter->nominal_hz) + 1;
}

static void carry_departure(struct stamp_socket *stamped, const struct stamp_pending *sent,
                            const struct stamp_control *control, struct stamp *stamp)
{
    struct counter_bracket after = sent->after;
    bool hardware = stamped->tx == STAMP_HARDWARE;
    int64_t stamp_ns = hardware ? control->hardware_ns : control->kernel_ns;

    if (hardware)
        counter_bracket(stamped->counter, stamped->phc_clock, &after);
    else if (stamp_ns > after.clock_ns)
        counter_bracket(stamped->counter, CLOCK_REALTIME, &after);
    if (stamp_ns &&
        stamp_carry(stamped->counter, hardware ? &sent->phc_before : &sent->before, &after, stamp_ns, stamp))
        stamp->kind = stamped->tx;
}

/* A departure that was superseded without a stamp. After a few in a row the device is taken to stamp none. */
static bool take_unstamped(struct stamp_socket *stamped, uint64_t *ticket, struct stamp *stamp)
{
    for (unsigned i = 0; i < STAMP_PENDING; i++) {
        struct stamp_pending *sent = &stamped->pending[i];
        bool latest = sent->used && sent->id + 1 == stamped->next_id;

        if (!sent->used || (latest && stamped->tx != STAMP_PROGRAM))
            continue;
        sent->used = false;
        *ticket = sent->ticket;
        if (stamped->tx == STAMP_PROGRAM) {
            stamp_by_program(stamped, sent, stamp);
        } else if (++stamped->unstamped >= UNSTAMPED_LIMIT) {
            log_warning("stamps: the device does not stamp departures (%s): the program's own readings are used",
                        stamp_kind_name(stamped->tx));
            stamped->tx = STAMP_PROGRAM;
            stamp_enable(stamped->fd, false, false);
        }
        return true;
    }
    return false;
}

int stamp_socket_sent(struct stamp_socket *stamped, uint64_t *ticket, struct stamp *stamp)
{
    char control_bytes[CONTROL_BYTES];
    struct msghdr message = {.msg_control = control_bytes, .msg_controllen = sizeof(control_bytes)};
    struct stamp_control control;
    struct stamp_pending *sent;

    memset(stamp, 0, sizeof(*stamp));
    if (recvmsg(stamped->fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
        if (errno != EAGAIN)
            return -errno;
        return take_unstamped(stamped, ticket, stamp) ? 0 : -EAGAIN;
    }
    stamp_control_read(&message, &control);
    if (control.error != ENOMSG)
        return control.error ? -control.error : -EBADMSG;
    sent = &stamped->pending[control.id % STAMP_PENDING];
    if (!sent->used || sent->id != control.id)
        return -EBADMSG; /* of a request long ago */
    sent->used = false;
    stamped->unstamped = 0;
    *ticket = sent->ticket;
    carry_departure(stamped, sent, &control, stamp);
    return 0;
}

ssize_t stamp_socket_receive(struct stamp_socket *stamped, void *packet, size_t size, struct stamp *stamp,
                             unsigned *ttl)
{
    char control_bytes[CONTROL_BYTES];
    struct iovec iov = {packet, size};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control_bytes, .msg_controllen = sizeof(control_bytes)};
    struct counter_bracket now, phc_now;
    struct stamp_control control;
    ssize_t length = recvmsg(stamped->fd, &message, MSG_DONTWAIT);
    bool hardware = stamped->tx == STAMP_HARDWARE;

    if (length < 0)
        return -errno;
    if (message.msg_flags & MSG_TRUNC)
        return -EBADMSG;
    memset(stamp, 0, sizeof(*stamp));
    take_brackets(stamped, &now, &phc_now);
    stamp_control_read(&message, &control);
    *ttl = control.ttl;
    if (hardware && control.hardware_ns &&
        stamp_carry(stamped->counter, &stamped->phc_mark, &phc_now, control.hardware_ns, stamp))
        stamp->kind = STAMP_HARDWARE;
    else if (!hardware && control.kernel_ns &&
             stamp_carry(stamped->counter, &stamped->mark, &now, control.kernel_ns, stamp))
        stamp->kind = STAMP_KERNEL;
    return length;
}
