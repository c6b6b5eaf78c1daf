/* SPDX-License-Identifier: BSD-2-Clause */
/* Lanes as the service sees them: their two maps, put into the divert's tables. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "divert/capture_abi.h"
#include "divert/divert.skel.h"
#include "divert/divert_private.h"
#include "divert/reaper.h"

static int ring_create(size_t ring_bytes)
{
    return bpf_map_create(BPF_MAP_TYPE_RINGBUF, "lockstep_ring", 0, 0, (__u32)ring_bytes, NULL);
}

static int control_create(void)
{
    LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);

    return bpf_map_create(BPF_MAP_TYPE_ARRAY, "lockstep_lane", sizeof(__u32), sizeof(struct lane_control), 1, &opts);
}

/* Puts the maps into the tables: from here on the divert can find the lane. */
static int lane_install(struct divert *divert, uint32_t lane, const struct divert_lane_fds *fds)
{
    struct divert_lane *entry = &divert->lanes[lane];
    int err;

    reaper_wait(divert->reaper, lane);
    entry->control_fd = fcntl(fds->control, F_DUPFD_CLOEXEC, 0);
    if (entry->control_fd < 0)
        return -errno;
    err = bpf_map_update_elem(bpf_map__fd(divert->bpf->maps.controls), &lane, &fds->control, BPF_ANY);
    if (!err)
        err = bpf_map_update_elem(bpf_map__fd(divert->bpf->maps.lanes), &lane, &fds->ring, BPF_ANY);
    if (err) {
        bpf_map_delete_elem(bpf_map__fd(divert->bpf->maps.controls), &lane);
        close(entry->control_fd);
        return err;
    }
    entry->used = true;
    return 0;
}

int divert_lane_create(struct divert *divert, uint32_t lane, size_t ring_bytes, struct divert_lane_fds *fds)
{
    int err;

    if (lane >= DIVERT_MAX_LANES || ring_bytes > UINT32_MAX)
        return -EINVAL;
    if (divert->lanes[lane].used)
        return LOCKSTEP_E_CONFLICT;
    fds->ring = ring_create(ring_bytes);
    if (fds->ring < 0) {
        log_limited(LOG_LEVEL_ERROR, NULL, "divert: cannot create a ring of %zu bytes: %s", ring_bytes,
                    error_text(fds->ring));
        return fds->ring;
    }
    fds->control = control_create();
    err = fds->control < 0 ? fds->control : lane_install(divert, lane, fds);
    if (err) {
        log_limited(LOG_LEVEL_ERROR, NULL, "divert: cannot create lane %u: %s", lane, error_text(err));
        if (fds->control >= 0)
            close(fds->control);
        close(fds->ring);
    }
    return err;
}

static bool ring_is_valid(int fd)
{
    struct bpf_map_info info = {0};
    __u32 length = sizeof(info);

    return !bpf_obj_get_info_by_fd(fd, &info, &length) && info.type == BPF_MAP_TYPE_RINGBUF && info.map_flags == 0;
}

static bool control_is_valid(int fd)
{
    struct bpf_map_info info = {0};
    __u32 length = sizeof(info);

    return !bpf_obj_get_info_by_fd(fd, &info, &length) && info.type == BPF_MAP_TYPE_ARRAY && info.max_entries == 1 &&
           info.value_size == sizeof(struct lane_control) && info.map_flags == BPF_F_MMAPABLE;
}

int divert_lane_adopt(struct divert *divert, uint32_t lane, const struct divert_lane_fds *fds)
{
    if (lane >= DIVERT_MAX_LANES)
        return -EINVAL;
    if (divert->lanes[lane].used)
        return LOCKSTEP_E_CONFLICT;
    if (!ring_is_valid(fds->ring) || !control_is_valid(fds->control))
        return LOCKSTEP_E_BAD_FORMAT;
    return lane_install(divert, lane, fds);
}

void divert_lane_destroy(struct divert *divert, uint32_t lane)
{
    struct divert_lane *entry;
    unsigned tap_ifindex;

    if (lane >= DIVERT_MAX_LANES)
        return;
    entry = &divert->lanes[lane];
    tap_ifindex = divert_tap_release(divert, lane);
    if (entry->used)
        close(entry->control_fd);
    if (entry->used || tap_ifindex)
        reaper_add(divert->reaper, lane, tap_ifindex);
    memset(entry, 0, sizeof(*entry));
}

int divert_lane_counters(struct divert *divert, uint32_t lane, struct lane_control *out)
{
    __u32 zero = 0;

    if (lane >= DIVERT_MAX_LANES || !divert->lanes[lane].used)
        return -ENOENT;
    return bpf_map_lookup_elem(divert->lanes[lane].control_fd, &zero, out);
}
