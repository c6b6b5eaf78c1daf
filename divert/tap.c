/* SPDX-License-Identifier: BSD-2-Clause */
/* Injectors as the service makes them: TAP devices with the guard, packet sockets; and what the guard allows. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "divert/capture_abi.h"
#include "divert/divert_private.h"
#include "divert/guard.skel.h"

#define TAP_FLAGS         (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)
#define TAP_PREFIX        "ls"
#define SEND_BUFFER_BYTES (4 << 20)

/* ---- the device ---- */

/* Opens a new TAP device with the first name that is free. */
static int tap_open(uint32_t lane, struct ifreq *request, int *out)
{
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return -errno;
    memset(request, 0, sizeof(*request));
    snprintf(request->ifr_name, IFNAMSIZ, TAP_PREFIX "%u", lane);
    request->ifr_flags = (short)(TAP_FLAGS | IFF_TUN_EXCL);
    if (ioctl(fd, TUNSETIFF, request)) {
        snprintf(request->ifr_name, IFNAMSIZ, TAP_PREFIX "x%%d");
        if (ioctl(fd, TUNSETIFF, request)) {
            int err = -errno;

            close(fd);
            return err;
        }
    }
    *out = fd;
    return 0;
}

static void write_setting(const char *interface, const char *setting, const char *value)
{
    char path[128];
    int fd;

    snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/%s", interface, setting);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, value, strlen(value)) < 0)
        log_debug("divert: cannot set %s: %s", path, error_text(-errno));
    close(fd);
}

/* Up, and nothing that the kernel would send on it by itself. */
static int tap_start(const char *name)
{
    struct ifreq request = {0};
    int err = 0;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    write_setting(name, "addr_gen_mode", "1");
    write_setting(name, "disable_ipv6", "1");
    snprintf(request.ifr_name, IFNAMSIZ, "%s", name);
    request.ifr_flags = IFF_UP | IFF_NOARP;
    if (ioctl(fd, SIOCSIFFLAGS, &request))
        err = -errno;
    close(fd);
    return err;
}

/* The guard lets nothing out of a device without a lane. */
int divert_tap_mute(struct divert *divert, unsigned ifindex)
{
    int err = divert_tc_attach(ifindex, BPF_TC_INGRESS, bpf_program__fd(divert->guard->progs.lockstep_guard));

    if (!err)
        err = divert_tc_attach(ifindex, BPF_TC_EGRESS, bpf_program__fd(divert->guard->progs.lockstep_mute));
    return err;
}

/* The guard comes before the device knows its lane, and the lane before the device is up. */
static int tap_protect(struct divert *divert, uint32_t lane, unsigned ifindex)
{
    int taps = bpf_map__fd(divert->guard->maps.taps);
    int err = divert_tap_mute(divert, ifindex);

    if (!err)
        err = bpf_map_update_elem(taps, &ifindex, &lane, BPF_NOEXIST);
    if (!err)
        divert->lanes[lane].tap_ifindex = ifindex;
    return err == -EEXIST ? LOCKSTEP_E_CONFLICT : err;
}

int divert_tap_create(struct divert *divert, uint32_t lane, char *name, int *tap_fd)
{
    struct ifreq request;
    unsigned ifindex;
    int fd = -1, err;

    if (lane >= DIVERT_MAX_LANES)
        return -EINVAL;
    if (divert->lanes[lane].tap_ifindex)
        return LOCKSTEP_E_CONFLICT;
    err = tap_open(lane, &request, &fd);
    if (err) {
        log_limited(LOG_LEVEL_ERROR, NULL, "divert: cannot create a TAP device for lane %u: %s", lane, error_text(err));
        return err;
    }
    ifindex = if_nametoindex(request.ifr_name);
    err = ifindex ? tap_protect(divert, lane, ifindex) : -errno;
    if (!err)
        err = tap_start(request.ifr_name);
    if (err) {
        log_limited(LOG_LEVEL_ERROR, NULL, "divert: cannot set up %s for lane %u: %s", request.ifr_name, lane,
                    error_text(err));
        divert_tap_release(divert, lane);
        close(fd); /* and so the device is gone */
        return err;
    }
    memcpy(name, request.ifr_name, IFNAMSIZ);
    *tap_fd = fd;
    return 0;
}

/* True if the device behind fd lives in the caller's network namespace. */
static bool tap_is_here(int fd)
{
    struct stat device, own;
    int namespace_fd = ioctl(fd, TUNGETDEVNETNS, 0);
    bool same;

    if (namespace_fd < 0)
        return false;
    same = !fstat(namespace_fd, &device) && !stat("/proc/thread-self/ns/net", &own) && device.st_ino == own.st_ino &&
           device.st_dev == own.st_dev;
    close(namespace_fd);
    return same;
}

int divert_tap_adopt(struct divert *divert, uint32_t lane, int tap_fd)
{
    struct ifreq request = {0};
    unsigned ifindex;
    int err;

    if (lane >= DIVERT_MAX_LANES)
        return -EINVAL;
    if (divert->lanes[lane].tap_ifindex)
        return LOCKSTEP_E_CONFLICT;
    if (ioctl(tap_fd, TUNGETIFF, &request) ||
        (request.ifr_flags & (TAP_FLAGS | IFF_TUN | IFF_MULTI_QUEUE)) != TAP_FLAGS)
        return LOCKSTEP_E_BAD_FORMAT;
    if (strncmp(request.ifr_name, TAP_PREFIX, strlen(TAP_PREFIX)) || !tap_is_here(tap_fd))
        return LOCKSTEP_E_BAD_FORMAT;
    ifindex = if_nametoindex(request.ifr_name);
    if (!ifindex)
        return -errno;
    err = tap_protect(divert, lane, ifindex);
    return err ? err : tap_start(request.ifr_name);
}

int divert_link_delete(unsigned ifindex)
{
    struct {
        struct nlmsghdr header;
        struct ifinfomsg link;
    } request = {
        .header = {.nlmsg_len = sizeof(request), .nlmsg_type = RTM_DELLINK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
        .link = {.ifi_index = (int)ifindex},
    };
    struct {
        struct nlmsghdr header;
        struct nlmsgerr error;
        char rest[64];
    } reply;
    ssize_t got;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

    if (fd < 0)
        return -errno;
    got = send(fd, &request, sizeof(request), 0) < 0 ? -1 : recv(fd, &reply, sizeof(reply), 0);
    if (got < 0) {
        int err = -errno;

        close(fd);
        return err;
    }
    close(fd);
    if ((size_t)got < sizeof(reply.header) + sizeof(reply.error) || reply.header.nlmsg_type != NLMSG_ERROR)
        return -EPROTO;
    return reply.error.error;
}

int divert_packet_socket_create(unsigned ifindex, int *out)
{
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = (int)ifindex};
    int on = 1, bytes = SEND_BUFFER_BYTES;
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) ||
        bind(fd, (struct sockaddr *)&address, sizeof(address))) {
        int err = -errno;

        log_limited(LOG_LEVEL_ERROR, NULL, "divert: cannot open a packet socket on interface %u: %s", ifindex,
                    error_text(err));
        close(fd);
        return err;
    }
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
    *out = fd;
    return 0;
}

/* ---- what the guard allows ---- */

static int allowed_fd(const struct divert *divert)
{
    return bpf_map__fd(divert->guard->maps.allowed);
}

int divert_guard_allow(struct divert *divert, const struct guard_key *key)
{
    uint32_t users = 0;
    int err;

    if (key->lane >= DIVERT_MAX_LANES)
        return -EINVAL;
    bpf_map_lookup_elem(allowed_fd(divert), key, &users);
    users++;
    err = bpf_map_update_elem(allowed_fd(divert), key, &users, BPF_ANY);
    if (!err && users == 1)
        divert->lanes[key->lane].allowed++;
    return err == -E2BIG || err == -ENOMEM ? LOCKSTEP_E_EXHAUSTED : err;
}

int divert_guard_revoke(struct divert *divert, const struct guard_key *key)
{
    uint32_t users;
    int err;

    if (key->lane >= DIVERT_MAX_LANES)
        return -EINVAL;
    err = bpf_map_lookup_elem(allowed_fd(divert), key, &users);
    if (err)
        return err;
    if (--users)
        return bpf_map_update_elem(allowed_fd(divert), key, &users, BPF_EXIST);
    err = bpf_map_delete_elem(allowed_fd(divert), key);
    if (!err)
        divert->lanes[key->lane].allowed--;
    return err;
}

static void allowed_clear(struct divert *divert, uint32_t lane)
{
    struct guard_key key, next;
    bool more = bpf_map_get_next_key(allowed_fd(divert), NULL, &next) == 0;

    while (more && divert->lanes[lane].allowed) {
        key = next;
        more = bpf_map_get_next_key(allowed_fd(divert), &key, &next) == 0;
        if (key.lane == lane && !bpf_map_delete_elem(allowed_fd(divert), &key))
            divert->lanes[lane].allowed--;
    }
    divert->lanes[lane].allowed = 0;
}

int divert_guard_counters(struct divert *divert, uint32_t lane, struct guard_counters *out)
{
    return bpf_map_lookup_elem(bpf_map__fd(divert->guard->maps.counters), &lane, out);
}

unsigned divert_tap_release(struct divert *divert, uint32_t lane)
{
    static const struct guard_counters none;
    unsigned ifindex = divert->lanes[lane].tap_ifindex;

    allowed_clear(divert, lane);
    if (!ifindex)
        return 0;
    bpf_map_delete_elem(bpf_map__fd(divert->guard->maps.taps), &ifindex);
    bpf_map_update_elem(bpf_map__fd(divert->guard->maps.counters), &lane, &none, BPF_ANY);
    divert->lanes[lane].tap_ifindex = 0;
    return ifindex;
}
