/* SPDX-License-Identifier: BSD-2-Clause */
/* Attaches the divert to interfaces: which hook, by policy and by trying. By netlink and not by bpf_link, so that an
 * attachment outlives the service. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "divert/capture_abi.h"
#include "divert/divert.skel.h"
#include "divert/divert_private.h"

static const char *const mode_names[] = {
    [DIVERT_MODE_AUTO] = "auto",
    [DIVERT_MODE_XDP_NATIVE] = "xdp-native",
    [DIVERT_MODE_XDP_GENERIC] = "xdp-generic",
    [DIVERT_MODE_TC] = "tc",
};
#define MODE_COUNT (sizeof(mode_names) / sizeof(mode_names[0]))

/* Drivers whose native XDP costs streams more than it gives messages: it turns off the merging of segments that makes
 * virtual links fast. */
static const char *const bulk_drivers[] = {"veth",    "virtio_net",         "tun", "bridge", "vxlan",
                                           "bonding", "802.1Q VLAN Support"};

const char *divert_mode_name(enum divert_mode mode)
{
    return (size_t)mode < MODE_COUNT ? mode_names[mode] : "unknown";
}

int divert_mode_parse(const char *text, enum divert_mode *out)
{
    for (size_t i = 0; i < MODE_COUNT; i++) {
        if (!strcmp(text, mode_names[i])) {
            *out = (enum divert_mode)i;
            return 0;
        }
    }
    return LOCKSTEP_E_UNKNOWN_NAME;
}

/* The driver's name, "" if it has none. */
static void driver_name(unsigned ifindex, char *name, size_t size)
{
    struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
    struct ifreq request = {0};
    int fd;

    name[0] = 0;
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    request.ifr_data = (char *)&info;
    if (if_indextoname(ifindex, request.ifr_name) && !ioctl(fd, SIOCETHTOOL, &request)) {
        snprintf(name, size, "%.*s", (int)sizeof(info.driver), info.driver);
    }
    close(fd);
}

static bool driver_prefers_tc(unsigned ifindex)
{
    char name[sizeof(((struct ethtool_drvinfo *)0)->driver) + 1];

    driver_name(ifindex, name, sizeof(name));
    for (size_t i = 0; i < sizeof(bulk_drivers) / sizeof(bulk_drivers[0]); i++) {
        if (!strcmp(name, bulk_drivers[i]))
            return true;
    }
    return false;
}

/* ---- XDP ---- */

struct xdp_state {
    unsigned own_id; /* program of an earlier instance, 0: none */
    unsigned own_flags;
    bool foreign;
};

static int xdp_query(unsigned ifindex, struct xdp_state *out)
{
    LIBBPF_OPTS(bpf_xdp_query_opts, opts);
    int err = bpf_xdp_query((int)ifindex, 0, &opts);
    const struct {
        unsigned id, flags;
    } found[] = {{opts.drv_prog_id, XDP_FLAGS_DRV_MODE}, {opts.skb_prog_id, XDP_FLAGS_SKB_MODE}};

    memset(out, 0, sizeof(*out));
    if (err)
        return err;
    out->foreign = opts.hw_prog_id != 0;
    for (size_t i = 0; i < sizeof(found) / sizeof(found[0]); i++) {
        if (!found[i].id)
            continue;
        if (divert_program_is_own(found[i].id)) {
            out->own_id = found[i].id;
            out->own_flags = found[i].flags;
        } else {
            out->foreign = true;
        }
    }
    return 0;
}

/* Puts program_fd (-1: nothing) where the own program old_id is, and fails if another one has come there meanwhile. */
static int xdp_replace(unsigned ifindex, int program_fd, unsigned flags, unsigned old_id)
{
    LIBBPF_OPTS(bpf_xdp_attach_opts, opts);
    int err;

    if (!old_id)
        return bpf_xdp_attach((int)ifindex, program_fd, flags | XDP_FLAGS_UPDATE_IF_NOEXIST, NULL);
    opts.old_prog_fd = bpf_prog_get_fd_by_id(old_id);
    if (opts.old_prog_fd < 0)
        return opts.old_prog_fd;
    err = bpf_xdp_attach((int)ifindex, program_fd, flags | XDP_FLAGS_REPLACE, &opts);
    close(opts.old_prog_fd);
    return err;
}

static int xdp_detach(unsigned ifindex)
{
    struct xdp_state state;
    int err = xdp_query(ifindex, &state);

    if (err || !state.own_id)
        return err;
    return xdp_replace(ifindex, -1, state.own_flags, state.own_id);
}

static int xdp_attach(unsigned ifindex, int program_fd, unsigned flags)
{
    struct xdp_state state;
    int err = xdp_query(ifindex, &state);

    if (err)
        return err;
    if (state.foreign)
        return LOCKSTEP_E_CONFLICT;
    /* The kernel has native or generic XDP on an interface, not both. */
    if (state.own_id && state.own_flags != flags) {
        err = xdp_replace(ifindex, -1, state.own_flags, state.own_id);
        state.own_id = 0;
    }
    return err ? err : xdp_replace(ifindex, program_fd, flags, state.own_id);
}

/* ---- modes ---- */

static int attach_tc(struct divert *divert, unsigned ifindex)
{
    int err = divert_tc_attach(ifindex, BPF_TC_INGRESS, bpf_program__fd(divert->bpf->progs.lockstep_tc));

    return err ? err : xdp_detach(ifindex);
}

/* XDP with tc behind it for bulk flows. XDP first: until then an earlier instance's tc program sees everything. */
static int attach_xdp(struct divert *divert, unsigned ifindex, unsigned flags)
{
    int err;

    err = xdp_attach(ifindex, bpf_program__fd(divert->bpf->progs.lockstep_xdp), flags);
    if (err)
        return err;
    err = divert_tc_attach(ifindex, BPF_TC_INGRESS, bpf_program__fd(divert->bpf->progs.lockstep_bulk));
    if (!err)
        return 0;
    log_info("divert: no tc on interface %u, bulk flows go by XDP too: %s", ifindex, error_text(err));
    return xdp_attach(ifindex, bpf_program__fd(divert->bpf->progs.lockstep_xdp1), flags);
}

static int attach_mode(struct divert *divert, unsigned ifindex, enum divert_mode mode)
{
    switch (mode) {
    case DIVERT_MODE_XDP_NATIVE:
        return attach_xdp(divert, ifindex, XDP_FLAGS_DRV_MODE);
    case DIVERT_MODE_XDP_GENERIC:
        return attach_xdp(divert, ifindex, XDP_FLAGS_SKB_MODE);
    case DIVERT_MODE_TC:
        return attach_tc(divert, ifindex);
    default:
        return -EINVAL;
    }
}

struct choice {
    enum divert_mode mode;
    const char *why;
};

static const struct choice choices_virtual[] = {
    {DIVERT_MODE_TC, "native XDP would disable segmentation offload on this kind of device"},
    {DIVERT_MODE_XDP_GENERIC, "tc not available"},
};
static const struct choice choices_native[] = {
    {DIVERT_MODE_XDP_NATIVE, "driver supports native XDP"},
    {DIVERT_MODE_TC, "native XDP not available"},
    {DIVERT_MODE_XDP_GENERIC, "neither native XDP nor tc available"},
};

/* Attaches the first choice that works. */
static int attach_auto(struct divert *divert, unsigned ifindex, struct choice *chosen)
{
    const struct choice *choices = choices_native;
    size_t count = sizeof(choices_native) / sizeof(choices_native[0]);
    int err = -EOPNOTSUPP;

    if (driver_prefers_tc(ifindex)) {
        choices = choices_virtual;
        count = sizeof(choices_virtual) / sizeof(choices_virtual[0]);
    }
    for (size_t i = 0; i < count; i++) {
        err = attach_mode(divert, ifindex, choices[i].mode);
        if (!err) {
            *chosen = choices[i];
            return 0;
        }
        log_debug("divert: %s on interface %u: %s", divert_mode_name(choices[i].mode), ifindex, error_text(err));
    }
    return err;
}

static struct divert_attachment *attachment_get(struct divert *divert, unsigned ifindex)
{
    struct divert_attachment *entry;

    for (entry = divert->attachments; entry; entry = entry->next) {
        if (entry->ifindex == ifindex)
            return entry;
    }
    entry = calloc(1, sizeof(*entry));
    if (!entry)
        return NULL;
    entry->ifindex = ifindex;
    entry->next = divert->attachments;
    divert->attachments = entry;
    return entry;
}

static void attachment_drop(struct divert *divert, unsigned ifindex)
{
    for (struct divert_attachment **at = &divert->attachments; *at; at = &(*at)->next) {
        struct divert_attachment *entry = *at;

        if (entry->ifindex == ifindex) {
            *at = entry->next;
            free(entry);
            return;
        }
    }
}

int divert_attach(struct divert *divert, unsigned ifindex, enum divert_mode wanted, enum divert_mode *chosen,
                  const char **why)
{
    struct choice choice = {wanted, "as configured"};
    struct divert_attachment *entry = attachment_get(divert, ifindex);
    int err;

    if (!entry)
        return -ENOMEM;
    err = wanted == DIVERT_MODE_AUTO ? attach_auto(divert, ifindex, &choice) : attach_mode(divert, ifindex, wanted);
    if (err) {
        attachment_drop(divert, ifindex);
        log_error("divert: cannot attach %s to interface %u: %s", divert_mode_name(wanted), ifindex, error_text(err));
        return err;
    }
    entry->mode = choice.mode;
    *chosen = choice.mode;
    *why = choice.why;
    return 0;
}

int divert_detach(struct divert *divert, unsigned ifindex)
{
    int xdp, tc;

    attachment_drop(divert, ifindex);
    xdp = xdp_detach(ifindex);
    tc = divert_tc_detach(ifindex, BPF_TC_INGRESS);
    if (xdp || tc)
        log_warning("divert: cannot detach from interface %u: %s", ifindex, error_text(xdp ? xdp : tc));
    return xdp ? xdp : tc;
}
