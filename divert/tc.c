/* SPDX-License-Identifier: BSD-2-Clause */
/* tc filters of Lockstep: one place in an interface's clsact hooks, found again by handle and program name. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "divert/divert_private.h"

#define TC_HANDLE 0x4c53

/* Early, because filters before ours might end the classification; the later ones where a foreign filter of
 * another kind has the first. */
static const unsigned priorities[] = {1, 2, 3, 0x4c53};
#define PRIORITY_COUNT (sizeof(priorities) / sizeof(priorities[0]))

int divert_program_name(unsigned program_id, char *name)
{
    struct bpf_prog_info info = {0};
    __u32 length = sizeof(info);
    int fd, err;

    fd = bpf_prog_get_fd_by_id(program_id);
    if (fd < 0)
        return fd;
    err = bpf_obj_get_info_by_fd(fd, &info, &length);
    close(fd);
    if (err)
        return err;
    memcpy(name, info.name, BPF_OBJ_NAME_LEN);
    name[BPF_OBJ_NAME_LEN - 1] = 0;
    return 0;
}

bool divert_program_is_own(unsigned program_id)
{
    char name[BPF_OBJ_NAME_LEN];

    return divert_program_name(program_id, name) == 0 &&
           strncmp(name, DIVERT_PROGRAM_PREFIX, sizeof(DIVERT_PROGRAM_PREFIX) - 1) == 0;
}

enum slot { SLOT_FREE, SLOT_OWN, SLOT_FOREIGN };

/* Free also when the query fails otherwise: attaching without "replace" then finds out. */
static enum slot slot_query(const struct bpf_tc_hook *hook, unsigned priority)
{
    LIBBPF_OPTS(bpf_tc_opts, opts, .handle = TC_HANDLE, .priority = priority);

    if (bpf_tc_query(hook, &opts))
        return SLOT_FREE;
    return divert_program_is_own(opts.prog_id) ? SLOT_OWN : SLOT_FOREIGN;
}

static int slot_attach(const struct bpf_tc_hook *hook, unsigned priority, enum slot slot, int program_fd)
{
    LIBBPF_OPTS(bpf_tc_opts, opts, .handle = TC_HANDLE, .priority = priority, .prog_fd = program_fd,
                .flags = slot == SLOT_OWN ? BPF_TC_F_REPLACE : 0);

    return bpf_tc_attach(hook, &opts);
}

static int slot_detach(const struct bpf_tc_hook *hook, unsigned priority)
{
    LIBBPF_OPTS(bpf_tc_opts, opts, .handle = TC_HANDLE, .priority = priority);

    return bpf_tc_detach(hook, &opts);
}

int divert_tc_attach(unsigned ifindex, int point, int program_fd)
{
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = (enum bpf_tc_attach_point)point);
    size_t chosen = PRIORITY_COUNT;
    int err;

    err = bpf_tc_hook_create(&hook);
    if (err && err != -EEXIST)
        return err;
    err = -EEXIST;
    /* The own slot first, so that an earlier instance's program is replaced and not joined. */
    for (size_t i = 0; i < PRIORITY_COUNT && chosen == PRIORITY_COUNT; i++) {
        if (slot_query(&hook, priorities[i]) == SLOT_OWN) {
            err = slot_attach(&hook, priorities[i], SLOT_OWN, program_fd);
            chosen = i;
        }
    }
    for (size_t i = 0; i < PRIORITY_COUNT && chosen == PRIORITY_COUNT; i++) {
        if (slot_query(&hook, priorities[i]) != SLOT_FREE)
            continue;
        err = slot_attach(&hook, priorities[i], SLOT_FREE, program_fd);
        if (!err)
            chosen = i;
    }
    return err;
}

unsigned divert_tc_find(unsigned ifindex, int point)
{
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = (enum bpf_tc_attach_point)point);

    for (size_t i = 0; i < PRIORITY_COUNT; i++) {
        LIBBPF_OPTS(bpf_tc_opts, opts, .handle = TC_HANDLE, .priority = priorities[i]);

        if (bpf_tc_query(&hook, &opts) == 0 && divert_program_is_own(opts.prog_id))
            return opts.prog_id;
    }
    return 0;
}

int divert_tc_detach(unsigned ifindex, int point)
{
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = (enum bpf_tc_attach_point)point);
    int err = 0;

    for (size_t i = 0; i < PRIORITY_COUNT && !err; i++) {
        if (slot_query(&hook, priorities[i]) == SLOT_OWN)
            err = slot_detach(&hook, priorities[i]);
    }
    return err;
}
