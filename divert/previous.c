/* SPDX-License-Identifier: BSD-2-Clause */
/* What an earlier instance of the service left in the kernel: its flow table, found through the attached program. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "divert/divert_private.h"

#define PROGRAM_MAPS_MAX 64

unsigned divert_program_attached(unsigned ifindex)
{
    LIBBPF_OPTS(bpf_xdp_query_opts, opts);
    const unsigned point = BPF_TC_INGRESS;

    if (bpf_xdp_query((int)ifindex, 0, &opts) == 0) {
        if (opts.drv_prog_id && divert_program_is_own(opts.drv_prog_id))
            return opts.drv_prog_id;
        if (opts.skb_prog_id && divert_program_is_own(opts.skb_prog_id))
            return opts.skb_prog_id;
    }
    return divert_tc_find(ifindex, (int)point);
}

int divert_program_map(unsigned program_id, const char *name, unsigned key_size, unsigned value_size)
{
    __u32 ids[PROGRAM_MAPS_MAX] = {0};
    struct bpf_prog_info program = {.map_ids = (__u64)(unsigned long)ids, .nr_map_ids = PROGRAM_MAPS_MAX};
    __u32 length = sizeof(program);
    int fd = bpf_prog_get_fd_by_id(program_id), err;

    if (fd < 0)
        return fd;
    err = bpf_obj_get_info_by_fd(fd, &program, &length);
    close(fd);
    if (err)
        return err;
    for (unsigned i = 0; i < program.nr_map_ids && i < PROGRAM_MAPS_MAX; i++) {
        struct bpf_map_info map = {0};

        length = sizeof(map);
        fd = bpf_map_get_fd_by_id(ids[i]);
        if (fd < 0)
            continue;
        if (bpf_obj_get_info_by_fd(fd, &map, &length) == 0 && !strcmp(map.name, name) && map.key_size == key_size &&
            map.value_size == value_size)
            return fd;
        close(fd);
    }
    return LOCKSTEP_E_GONE;
}

int divert_previous_flow(unsigned ifindex, const struct divert_flow_key *key, struct divert_flow *out)
{
    unsigned program_id = divert_program_attached(ifindex);
    int fd, err;

    if (!program_id)
        return LOCKSTEP_E_GONE;
    fd = divert_program_map(program_id, "flows", sizeof(*key), sizeof(*out));
    if (fd < 0)
        return LOCKSTEP_E_GONE;
    err = bpf_map_lookup_elem(fd, key, out);
    close(fd);
    return err ? LOCKSTEP_E_GONE : 0;
}
