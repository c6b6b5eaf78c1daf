/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening and closing; local addresses, next hops, counters. */
#include "divert/divert.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "divert/capture_abi.h"
#include "divert/divert.skel.h"
#include "divert/divert_private.h"
#include "divert/guard.skel.h"
#include "divert/reaper.h"

#define PORT_COUNT (2 * 65536)

int divert_print_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
    char line[512];

    if (level == LIBBPF_DEBUG)
        return 0;
    vsnprintf(line, sizeof(line), format, args);
    line[strcspn(line, "\n")] = 0;
    log_debug("%s", line);
    return 0;
}

/* Maps an mmapable array. */
static void *map_array(int fd, size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    return at == MAP_FAILED ? NULL : at;
}

static int load_programs(struct divert *divert)
{
    int err;

    divert->bpf = divert_bpf__open_and_load();
    if (!divert->bpf) {
        err = -errno;
        log_error("divert: cannot load the divert's programs: %s", error_text(err));
        return err;
    }
    divert->guard = guard_bpf__open();
    if (!divert->guard)
        return -errno;
    err = bpf_map__reuse_fd(divert->guard->maps.locals, bpf_map__fd(divert->bpf->maps.locals));
    if (!err)
        err = bpf_map__reuse_fd(divert->guard->maps.data_capture, bpf_map__fd(divert->bpf->maps.data_capture));
    if (!err)
        err = bpf_map__reuse_fd(divert->guard->maps.captured, bpf_map__fd(divert->bpf->maps.captured));
    if (!err)
        err = guard_bpf__load(divert->guard);
    if (err)
        log_error("divert: cannot load the guard's programs: %s", error_text(err));
    return err;
}

static int map_shared(struct divert *divert)
{
    divert->heartbeat = map_array(bpf_map__fd(divert->bpf->maps.heartbeat), sizeof(uint64_t));
    if (!divert->heartbeat)
        return -errno;
    divert->ports = map_array(bpf_map__fd(divert->bpf->maps.ports), DIVERT_PORT_WORDS * sizeof(uint64_t));
    if (!divert->ports)
        return -errno;
    for (int kind = 0; kind < DIVERT_PORT_KINDS; kind++) {
        divert->port_users[kind] = calloc(PORT_COUNT, sizeof(uint32_t));
        if (!divert->port_users[kind])
            return -ENOMEM;
    }
    return 0;
}

static void divert_free(struct divert *divert)
{
    reaper_stop(divert->reaper);
    for (uint32_t lane = 0; lane < DIVERT_MAX_LANES; lane++) {
        if (divert->lanes[lane].used)
            close(divert->lanes[lane].control_fd);
    }
    while (divert->attachments) {
        struct divert_attachment *next = divert->attachments->next;

        free(divert->attachments);
        divert->attachments = next;
    }
    for (int kind = 0; kind < DIVERT_PORT_KINDS; kind++)
        free(divert->port_users[kind]);
    if (divert->ports)
        munmap(divert->ports, DIVERT_PORT_WORDS * sizeof(uint64_t));
    if (divert->heartbeat)
        munmap(divert->heartbeat, sizeof(uint64_t));
    guard_bpf__destroy(divert->guard);
    divert_bpf__destroy(divert->bpf);
    free(divert);
}

int divert_open(struct divert **out)
{
    struct divert *divert = calloc(1, sizeof(*divert));
    int err;

    if (!divert)
        return -ENOMEM;
    libbpf_set_print(divert_print_libbpf);
    err = load_programs(divert);
    if (!err)
        err = map_shared(divert);
    if (!err)
        err = reaper_start(&divert->reaper, bpf_map__fd(divert->bpf->maps.lanes),
                           bpf_map__fd(divert->bpf->maps.controls));
    if (err) {
        divert_free(divert);
        return err;
    }
    *out = divert;
    return 0;
}

void divert_close(struct divert *divert, bool detach)
{
    if (!divert)
        return;
    while (detach && divert->attachments)
        divert_detach(divert, divert->attachments->ifindex);
    for (uint32_t lane = 0; detach && lane < DIVERT_MAX_LANES; lane++) {
        unsigned ifindex = divert_tap_release(divert, lane);

        if (ifindex)
            divert_link_delete(ifindex);
    }
    divert_free(divert);
}

static int local_set(struct divert *divert, const struct divert_addr *addr, uint32_t kind)
{
    return bpf_map_update_elem(bpf_map__fd(divert->bpf->maps.locals), addr, &kind, BPF_ANY);
}

int divert_local_add(struct divert *divert, const struct divert_addr *addr)
{
    return local_set(divert, addr, DIVERT_LOCAL_UNICAST);
}

int divert_local_add_broadcast(struct divert *divert, const struct divert_addr *addr)
{
    return local_set(divert, addr, DIVERT_LOCAL_BROADCAST);
}

int divert_local_remove(struct divert *divert, const struct divert_addr *addr)
{
    return bpf_map_delete_elem(bpf_map__fd(divert->bpf->maps.locals), addr);
}

/* An entry in use is switched over through the kernel's own resolution, so that no packet leaves with half an address.
 */
int divert_nexthop_set(struct divert *divert, uint16_t index, const struct divert_nexthop *nexthop)
{
    int fd = bpf_map__fd(divert->guard->maps.nexthops);
    struct divert_nexthop between = *nexthop;
    uint32_t key = index;
    int err = 0;

    if (index >= DIVERT_MAX_NEXTHOPS)
        return -EINVAL;
    if (nexthop->ifindex && nexthop->resolved && !nexthop->multicast) {
        between.resolved = 0;
        err = bpf_map_update_elem(fd, &key, &between, BPF_ANY);
    }
    return err ? err : bpf_map_update_elem(fd, &key, nexthop, BPF_ANY);
}

void divert_heartbeat(struct divert *divert, uint64_t now_ns)
{
    __atomic_store_n(divert->heartbeat, now_ns, __ATOMIC_RELAXED);
}

int divert_stats(struct divert *divert, uint64_t stats[DIVERT_STAT_COUNT])
{
    int cpus = libbpf_num_possible_cpus();
    uint64_t *values;
    int err = 0;

    if (cpus < 0)
        return cpus;
    values = calloc((size_t)cpus, sizeof(*values));
    if (!values)
        return -ENOMEM;
    for (uint32_t which = 0; which < DIVERT_STAT_COUNT && !err; which++) {
        err = bpf_map_lookup_elem(bpf_map__fd(divert->bpf->maps.stats), &which, values);
        stats[which] = 0;
        for (int cpu = 0; cpu < cpus && !err; cpu++)
            stats[which] += values[cpu];
    }
    free(values);
    return err;
}
