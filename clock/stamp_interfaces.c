/* SPDX-License-Identifier: BSD-2-Clause */
/* Interfaces with hardware stamps (stamps.h). */
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/net_tstamp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "clock/stamps.h"

#define WANTED_STAMPS (SOF_TIMESTAMPING_TX_HARDWARE | SOF_TIMESTAMPING_RX_HARDWARE | SOF_TIMESTAMPING_RAW_HARDWARE)

static int interface_ioctl(int fd, const char *name, unsigned long request, void *data)
{
    struct ifreq call;

    memset(&call, 0, sizeof(call));
    snprintf(call.ifr_name, sizeof(call.ifr_name), "%s", name);
    call.ifr_data = data;
    return ioctl(fd, request, &call) < 0 ? -errno : 0;
}

/* The number of the NIC's clock; negative: it cannot stamp every packet. */
static int phc_of(int fd, const char *name)
{
    struct ethtool_ts_info info = {.cmd = ETHTOOL_GET_TS_INFO};

    if (interface_ioctl(fd, name, SIOCETHTOOL, &info) < 0)
        return -1;
    if ((info.so_timestamping & WANTED_STAMPS) != WANTED_STAMPS || !(info.tx_types & 1u << HWTSTAMP_TX_ON) ||
        !(info.rx_filters & (1u << HWTSTAMP_FILTER_ALL | 1u << HWTSTAMP_FILTER_NTP_ALL)))
        return -1;
    return info.phc_index;
}

/* Leaves it as it is if somebody (a PTP daemon) has set it so that it serves here, too. */
static int switch_on(int fd, const char *name)
{
    struct hwtstamp_config present = {0}, wanted = {.tx_type = HWTSTAMP_TX_ON, .rx_filter = HWTSTAMP_FILTER_NTP_ALL};
    int result;

    if (interface_ioctl(fd, name, SIOCGHWTSTAMP, &present) == 0 && present.tx_type == HWTSTAMP_TX_ON &&
        (present.rx_filter == HWTSTAMP_FILTER_ALL || present.rx_filter == HWTSTAMP_FILTER_NTP_ALL))
        return 0;
    result = interface_ioctl(fd, name, SIOCSHWTSTAMP, &wanted);
    if (result == -ERANGE || result == -EINVAL) {
        wanted.rx_filter = HWTSTAMP_FILTER_ALL;
        result = interface_ioctl(fd, name, SIOCSHWTSTAMP, &wanted);
    }
    return result;
}

static bool try_interface(int fd, const char *name, bool wanted, struct stamp_interface *out)
{
    int phc = phc_of(fd, name), result;
    char device[32];

    if (phc < 0) {
        if (wanted)
            log_warning("stamps: %s offers no hardware stamps of all packets", name);
        return false;
    }
    snprintf(device, sizeof(device), "/dev/ptp%d", phc);
    result = switch_on(fd, name);
    if (result == 0) {
        out->phc_fd = open(device, O_RDONLY | O_CLOEXEC);
        result = out->phc_fd < 0 ? -errno : 0;
    }
    if (result < 0) {
        log_warning("stamps: hardware stamps of %s (%s) cannot be used: %s", name, device, error_text(result));
        return false;
    }
    snprintf(out->name, sizeof(out->name), "%s", name);
    out->index = if_nametoindex(name);
    log_info("stamps: %s stamps in hardware (%s)", name, device);
    return true;
}

static bool is_listed(const char (*names)[16], unsigned count, const char *name)
{
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

unsigned stamp_interfaces_open(const char (*names)[16], unsigned name_count,
                               struct stamp_interface out[STAMP_INTERFACES_MAX])
{
    struct if_nameindex *all = if_nameindex();
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    unsigned count = 0;

    while (name_count > 0 && !names[name_count - 1][0])
        name_count--;
    for (unsigned i = 0; i < name_count; i++) {
        if (strcmp(names[i], "none") != 0 && if_nametoindex(names[i]) == 0)
            log_warning("stamps: there is no interface %s", names[i]);
    }
    for (struct if_nameindex *one = all; fd >= 0 && one && one->if_index && count < STAMP_INTERFACES_MAX; one++) {
        bool wanted = is_listed(names, name_count, one->if_name);

        if (wanted || name_count == 0)
            count += try_interface(fd, one->if_name, wanted, &out[count]);
    }
    if (all)
        if_freenameindex(all);
    if (fd >= 0)
        close(fd);
    return count;
}

void stamp_interfaces_close(struct stamp_interface *interfaces, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        close(interfaces[i].phc_fd);
}

unsigned stamp_interface_index(const struct net_addr *local)
{
    struct ifaddrs *all = NULL;
    unsigned index = 0;

    if (getifaddrs(&all) < 0)
        return 0;
    for (const struct ifaddrs *one = all; one; one = one->ifa_next) {
        struct net_endpoint endpoint;
        socklen_t length;

        if (!one->ifa_addr)
            continue;
        length = one->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
        if (net_endpoint_from_sockaddr(one->ifa_addr, length, &endpoint) == 0 && net_addr_equal(&endpoint.addr, local))
            index = if_nametoindex(one->ifa_name);
    }
    freeifaddrs(all);
    return index;
}
