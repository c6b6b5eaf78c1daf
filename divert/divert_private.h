/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by the loader's files; not for others. */
#ifndef LOCKSTEP_DIVERT_DIVERT_PRIVATE_H
#define LOCKSTEP_DIVERT_DIVERT_PRIVATE_H

#include <bpf/libbpf.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <stdarg.h>

#include "divert/divert.h"

struct divert_bpf;
struct guard_bpf;
struct reaper;

#define DIVERT_PORT_KINDS 3

struct divert_lane {
    bool used;
    int control_fd;       /* own duplicate, to read the counters */
    unsigned tap_ifindex; /* 0: none */
    unsigned allowed;     /* guard entries */
};

struct divert_attachment {
    struct divert_attachment *next;
    unsigned ifindex;
    enum divert_mode mode;
};

struct divert {
    struct divert_bpf *bpf;
    struct guard_bpf *guard;
    uint64_t *heartbeat;                     /* mapped */
    uint64_t *ports;                         /* mapped: a byte for each port */
    uint32_t *port_users[DIVERT_PORT_KINDS]; /* entries of each kind, by port index */
    struct divert_attachment *attachments;
    struct reaper *reaper;
    struct divert_lane lanes[DIVERT_MAX_LANES];
};

/* For libbpf_set_print: what libbpf has to say is for those who debug. */
int divert_print_libbpf(enum libbpf_print_level level, const char *format, va_list args);

/* Programs of an earlier or the present instance are known by their names. */
#define DIVERT_PROGRAM_PREFIX "lockstep_"
/* Name of a loaded program into name (16 bytes). 0 or negated errno. */
int divert_program_name(unsigned program_id, char *name);
bool divert_program_is_own(unsigned program_id);
/* A divert's program at this interface, the earlier instance's before this one attaches; 0: none. */
unsigned divert_program_attached(unsigned ifindex);
/* The program's map of this name and shape: a descriptor, the caller's, or a negative code. */
int divert_program_map(unsigned program_id, const char *name, unsigned key_size, unsigned value_size);

/* tc programs at an interface's clsact hook (point: BPF_TC_INGRESS, BPF_TC_EGRESS). Replaces Lockstep's own earlier
 * program atomically and leaves foreign filters alone. */
int divert_tc_attach(unsigned ifindex, int point, int program_fd);
/* The id of Lockstep's own program there; 0: none. */
unsigned divert_tc_find(unsigned ifindex, int point);
/* Removes Lockstep's own; 0 also if there is none. */
int divert_tc_detach(unsigned ifindex, int point);

/* Deletes a network interface. */
int divert_link_delete(unsigned ifindex);

/* Cuts the lane off from its TAP device, at once, and removes its guard entries. The device's index or 0: the caller
 * deletes it. */
unsigned divert_tap_release(struct divert *divert, uint32_t lane);

#endif
