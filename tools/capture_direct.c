/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/capture_direct.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/list.h"
#include "platform/platform.h"
#include "stack/packet.h"

#define RECEIVE_BYTES (8 << 20)
#define FRAMES_A_READ 4096 /* then the others have their turn */
#define LATE_BYTES    (16 << 20)
#define ASK_NS        20000000ull

/* A frame whose owner is not known yet. */
struct late {
    struct list link;
    struct capture_event event;
    uint8_t bytes[];
};

struct capture_direct {
    int fd;
    struct capture_owners *owners;
    struct list late; /* oldest first */
    size_t late_bytes;
    uint32_t snap_length;
    uint64_t lost;
    capture_handler handler;
    void *context;
    uint8_t frame[CAPTURE_BYTES_MAX];
};

/* Only what leaves. */
static int attach_filter(int fd)
{
    struct sock_filter code[] = {
        {BPF_LD | BPF_B | BPF_ABS, 0, 0, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE)},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, PACKET_OUTGOING},
        {BPF_RET | BPF_K, 0, 0, UINT32_MAX},
        {BPF_RET | BPF_K, 0, 0, 0},
    };
    const struct sock_fprog filter = {sizeof code / sizeof *code, code};

    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) < 0 ? -errno : 0;
}

static int open_socket(void)
{
    const int on = 1, bytes = RECEIVE_BYTES;
    struct sockaddr_ll everything = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    /* With protocol 0 it receives nothing before it is bound, with the filter in place. */
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err;

    if (fd < 0)
        return -errno;
    err = attach_filter(fd);
    if (err == 0 && (setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof on) < 0 ||
                     setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) < 0 ||
                     bind(fd, (struct sockaddr *)&everything, sizeof everything) < 0))
        err = -errno;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
    if (err < 0) {
        close(fd);
        return err;
    }
    return fd;
}

int capture_direct_open(struct capture_direct **out, uint32_t snap_length, struct capture_owners *owners,
                        capture_handler handler, void *context)
{
    struct capture_direct *direct = calloc(1, sizeof *direct);
    int fd;

    *out = NULL;
    if (!direct)
        return -ENOMEM;
    fd = open_socket();
    if (fd < 0) {
        free(direct);
        return fd;
    }
    direct->fd = fd;
    direct->owners = owners;
    list_init(&direct->late);
    direct->snap_length = snap_length < CAPTURE_BYTES_MAX ? snap_length : CAPTURE_BYTES_MAX;
    direct->handler = handler;
    direct->context = context;
    *out = direct;
    return 0;
}

void capture_direct_close(struct capture_direct *direct)
{
    if (!direct)
        return;
    list_for_each(link, &direct->late) free(list_entry(link, struct late, link));
    close(direct->fd);
    free(direct);
}

/* ---- whose it is ---- */

/* True: handed over. */
static bool hand_over(const struct capture_direct *direct, const struct capture_event *event, const uint8_t *bytes)
{
    struct capture_event owned = *event;
    const struct capture_owner *owner;
    struct net_endpoint local;
    struct packet packet;

    if (event->captured <= ETH_HLEN || packet_parse(bytes + ETH_HLEN, event->captured - ETH_HLEN, &packet) < 0)
        return false;
    local = (struct net_endpoint){packet.source, packet.source_port};
    owner = capture_owners_port(direct->owners, packet.protocol, &local);
    if (!owner)
        return false;
    owned.lane = owner->lane;
    direct->handler(direct->context, &owned, bytes);
    return true;
}

static void keep_late(struct capture_direct *direct, const struct capture_event *event, const uint8_t *bytes)
{
    struct late *late;

    if (direct->late_bytes + event->captured > LATE_BYTES)
        return; /* more than can be told apart; most of it is others' */
    late = malloc(sizeof *late + event->captured);
    if (!late)
        return;
    late->event = *event;
    memcpy(late->bytes, bytes, event->captured);
    direct->late_bytes += event->captured;
    list_push_back(&direct->late, &late->link);
}

/* What was there before the service was asked is known by now or somebody else's. */
static void settle_late(struct capture_direct *direct)
{
    uint64_t asked_ns = capture_owners_asked_ns(direct->owners);

    list_for_each(link, &direct->late)
    {
        struct late *late = list_entry(link, struct late, link);

        if (late->event.time_ns >= asked_ns)
            continue;
        hand_over(direct, &late->event, late->bytes);
        direct->late_bytes -= late->event.captured;
        list_remove(link);
        free(late);
    }
}

uint64_t capture_direct_undecided_ns(const struct capture_direct *direct)
{
    return list_empty(&direct->late) ? UINT64_MAX : list_entry(direct->late.next, struct late, link)->event.time_ns;
}

/* ---- frames ---- */

int capture_direct_fd(const struct capture_direct *direct)
{
    return direct->fd;
}

static void read_control(struct msghdr *message, struct capture_event *event)
{
    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(message); cmsg; cmsg = CMSG_NXTHDR(message, cmsg)) {
        struct tpacket_auxdata aux;
        struct timespec stamp;

        if (cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SO_TIMESTAMPNS) {
            memcpy(&stamp, CMSG_DATA(cmsg), sizeof stamp);
            event->time_ns =
                (uint64_t)((int64_t)stamp.tv_sec * 1000000000 + stamp.tv_nsec - platform_realtime_offset_ns());
        } else if (cmsg->cmsg_level == SOL_PACKET && cmsg->cmsg_type == PACKET_AUXDATA) {
            memcpy(&aux, CMSG_DATA(cmsg), sizeof aux);
            event->length = aux.tp_len;
            if (aux.tp_status & TP_STATUS_VLAN_VALID) {
                event->vlan_tci = aux.tp_vlan_tci;
                event->vlan_protocol =
                    htons(aux.tp_status & TP_STATUS_VLAN_TPID_VALID ? aux.tp_vlan_tpid : ETH_P_8021Q);
            }
        }
    }
}

static bool read_frame(struct capture_direct *direct)
{
    union {
        char bytes[CMSG_SPACE(sizeof(struct timespec)) + CMSG_SPACE(sizeof(struct tpacket_auxdata))];
        struct cmsghdr align;
    } control;
    struct sockaddr_ll from = {0};
    struct iovec iov = {direct->frame, direct->snap_length};
    struct msghdr message = {.msg_name = &from,
                             .msg_namelen = sizeof from,
                             .msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    struct capture_event event = {.lane = CAPTURE_LANE_UNKNOWN, .verdict = CAPTURE_INJECTED};
    ssize_t length = recvmsg(direct->fd, &message, MSG_DONTWAIT | MSG_TRUNC);

    if (length < 0)
        return errno == EINTR || errno == ENETDOWN; /* an interface went down: the others go on */
    event.time_ns = platform_now_ns();
    event.length = (uint32_t)length;
    event.captured = (uint32_t)length < direct->snap_length ? (uint32_t)length : direct->snap_length;
    event.ifindex = (uint32_t)from.sll_ifindex;
    read_control(&message, &event);
    if (!hand_over(direct, &event, direct->frame))
        keep_late(direct, &event, direct->frame);
    return true;
}

void capture_direct_read(struct capture_direct *direct)
{
    for (int i = 0; i < FRAMES_A_READ && read_frame(direct); i++)
        ;
    if (!list_empty(&direct->late) && platform_now_ns() - capture_owners_asked_ns(direct->owners) > ASK_NS)
        capture_owners_refresh(direct->owners);
    settle_late(direct);
}

uint64_t capture_direct_lost(struct capture_direct *direct)
{
    struct tpacket_stats statistics; /* reset by the reading */
    socklen_t length = sizeof statistics;

    if (getsockopt(direct->fd, SOL_PACKET, PACKET_STATISTICS, &statistics, &length) == 0)
        direct->lost += statistics.tp_drops;
    return direct->lost;
}
