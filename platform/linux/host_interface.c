/* SPDX-License-Identifier: BSD-2-Clause */
/* Facts of a network interface: /sys/class/net, /proc/irq, and its driver by the ethtool requests of SIOCETHTOOL
 * (linux/ethtool.h). */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/host_facts.h"
#include "platform/linux/host_files.h"

#define NETWORK "/sys/class/net/"

static const char *net_line(const char *root, const char *name, const char *file, char *text, size_t size)
{
    char path[128];

    snprintf(path, sizeof path, NETWORK "%s/%s", name, file);
    return host_file_line(root, path, text, size);
}

/* The last part of what a link points to. */
static void read_link_name(const char *root, const char *name, const char *link, char *out, size_t size)
{
    char path[PATH_MAX], target[PATH_MAX];
    const char *last;
    ssize_t length;

    snprintf(path, sizeof path, "%s" NETWORK "%s/%s", root, name, link);
    length = readlink(path, target, sizeof target - 1);
    if (length <= 0)
        return;
    target[length] = '\0';
    last = strrchr(target, '/') ? strrchr(target, '/') + 1 : target;
    if (strlen(last) < size)
        strcpy(out, last);
}

/* ---- interrupts ---- */

static void add_interrupt(const char *root, struct host_interface *interface, unsigned number)
{
    struct host_interrupt *interrupt = &interface->interrupt[interface->interrupt_count];
    char path[64];

    if (interface->interrupt_count == HOST_FACTS_INTERRUPTS)
        return;
    for (size_t i = 0; i < interface->interrupt_count; i++) {
        if (interface->interrupt[i].number == number)
            return;
    }
    interrupt->number = number;
    snprintf(path, sizeof path, "/proc/irq/%u/smp_affinity_list", number);
    host_file_line(root, path, interrupt->cores, sizeof interrupt->cores);
    snprintf(path, sizeof path, "/proc/irq/%u/effective_affinity_list", number);
    if (!*host_file_line(root, path, interrupt->comes_to, sizeof interrupt->comes_to))
        strcpy(interrupt->comes_to, interrupt->cores);
    interface->interrupt_count++;
}

/* The lines of /proc/interrupts whose action begins with the interface's or its device's name: "eth0-rx-1",
 * "virtio4-input.0". (device/msi_irqs would also list those that are not in use.) */
static void read_interrupts(const char *root, struct host_interface *interface)
{
    char path[PATH_MAX], line[4096], device[64] = "";
    FILE *file;

    read_link_name(root, interface->name, "device", device, sizeof device);
    snprintf(path, sizeof path, "%s/proc/interrupts", root);
    file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        const char *names[] = {interface->name, device};
        unsigned number;

        if (sscanf(line, " %u:", &number) != 1)
            continue;
        for (int i = 0; i < 2; i++) {
            const char *found = names[i][0] ? strstr(line, names[i]) : NULL;

            if (found && found[-1] == ' ' && strchr("-@:\n", found[strlen(names[i])]))
                add_interrupt(root, interface, number);
        }
    }
    if (file)
        fclose(file);
}

bool host_cores_contain(const char *list, unsigned core)
{
    while (*list >= '0' && *list <= '9') {
        char *end;
        unsigned long first = strtoul(list, &end, 10), last = first;

        if (*end == '-')
            last = strtoul(end + 1, &end, 10);
        if (core >= first && core <= last)
            return true;
        list = *end == ',' ? end + 1 : end;
    }
    return false;
}

const char *host_interrupts_text(const struct host_interface *interface, char *text, size_t size)
{
    size_t used = 0;

    snprintf(text, size, "none of its own");
    for (size_t i = 0; i < interface->interrupt_count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%u on core %s", i ? ", " : "",
                                 interface->interrupt[i].number, interface->interrupt[i].cores);
    return text;
}

/* ---- the driver ---- */

static bool ask(int fd, const char *name, void *request)
{
    struct ifreq wrapped = {0};

    snprintf(wrapped.ifr_name, sizeof wrapped.ifr_name, "%s", name);
    wrapped.ifr_data = request;
    return ioctl(fd, SIOCETHTOOL, &wrapped) == 0;
}

static enum host_switch ask_switch(int fd, const char *name, unsigned command, unsigned bit)
{
    struct ethtool_value value = {.cmd = command};

    if (!ask(fd, name, &value))
        return HOST_SWITCH_UNKNOWN;
    return value.data & bit ? HOST_SWITCH_ON : HOST_SWITCH_OFF;
}

static void ask_driver(struct host_interface *interface)
{
    struct ethtool_coalesce coalesce = {.cmd = ETHTOOL_GCOALESCE};
    struct ethtool_drvinfo driver = {.cmd = ETHTOOL_GDRVINFO};
    const char *name = interface->name;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return;
    interface->segmentation = ask_switch(fd, name, ETHTOOL_GTSO, ~0u);
    interface->receive_merge = ask_switch(fd, name, ETHTOOL_GGRO, ~0u);
    interface->send_checksum = ask_switch(fd, name, ETHTOOL_GTXCSUM, ~0u);
    interface->large_receive = ask_switch(fd, name, ETHTOOL_GFLAGS, ETH_FLAG_LRO);
    interface->vlan_strip = ask_switch(fd, name, ETHTOOL_GFLAGS, ETH_FLAG_RXVLAN);
    if (ask(fd, name, &coalesce)) {
        interface->hold_back_us = coalesce.rx_coalesce_usecs;
        interface->adaptive = coalesce.use_adaptive_rx_coalesce ? HOST_SWITCH_ON : HOST_SWITCH_OFF;
    }
    if (ask(fd, name, &driver) && driver.driver[0])
        snprintf(interface->driver, sizeof interface->driver, "%.31s", driver.driver);
    close(fd);
}

int host_interface_read(const char *root, const char *name, struct host_interface *interface)
{
    char line[64], path[PATH_MAX];

    memset(interface, 0, sizeof *interface);
    snprintf(path, sizeof path, "%s" NETWORK "%s", root, name);
    if (!*name || strlen(name) >= sizeof interface->name || strchr(name, '/') || access(path, F_OK) < 0)
        return -ENODEV;
    strcpy(interface->name, name);
    snprintf(path, sizeof path, "%s" NETWORK "%s/device", root, name);
    interface->is_virtual = access(path, F_OK) < 0;
    snprintf(interface->driver, sizeof interface->driver, "%s", interface->is_virtual ? "virtual" : "");
    read_link_name(root, name, "device/driver", interface->driver, sizeof interface->driver);
    interface->up = strcmp(net_line(root, name, "carrier", line, sizeof line), "1") == 0;
    net_line(root, name, "speed", interface->speed_mbit, sizeof interface->speed_mbit);
    interface->mtu = (unsigned)strtoul(net_line(root, name, "mtu", line, sizeof line), NULL, 10);
    net_line(root, name, "device/local_cpulist", interface->near_cores, sizeof interface->near_cores);
    read_interrupts(root, interface);
    if (!*root)
        ask_driver(interface);
    return 0;
}
