/* SPDX-License-Identifier: BSD-2-Clause */
/* What the machine and its network interfaces are, as far as it matters for latency, and what is to be said about it.
 * Reads the system's files and asks the interfaces' drivers; changes nothing, needs no privilege. What cannot be found
 * out is "", 0 or UNKNOWN. */
#ifndef LOCKSTEP_PLATFORM_HOST_FACTS_H
#define LOCKSTEP_PLATFORM_HOST_FACTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/finding.h"

#define HOST_FACTS_NAME       64
#define HOST_FACTS_INTERRUPTS 64

enum host_switch { HOST_SWITCH_UNKNOWN, HOST_SWITCH_OFF, HOST_SWITCH_ON };

struct host_facts {
    char host[HOST_FACTS_NAME + 1], kernel[HOST_FACTS_NAME + 1];
    unsigned kernel_major, kernel_minor;
    char cpu[128];
    unsigned cores; /* online */
    bool virtual_machine;
    char clock_source[32];
    char isolated_cores[128];
    char huge_pages[16];           /* transparent ones: "always", "madvise", "never" */
    char governor[32];             /* of the first core that has another one than "performance", else core 0's */
    unsigned slow_governors;       /* how many have */
    char idle_state[32];           /* the deepest that any core may enter ... */
    unsigned idle_us;              /* ... and how long leaving it takes */
    enum host_switch multi_thread; /* two threads share a core */
    enum host_switch bpf_jit;
};

struct host_interrupt {
    unsigned number;
    char cores[64];    /* a list as the kernel writes it: "0-3,6" */
    char comes_to[64]; /* those that it really comes to at present */
};

struct host_interface {
    char name[16];
    bool is_virtual; /* has no device behind it */
    bool up;         /* with a carrier */
    char driver[32];
    char speed_mbit[16];
    unsigned mtu;
    struct host_interrupt interrupt[HOST_FACTS_INTERRUPTS];
    size_t interrupt_count;
    char near_cores[128]; /* those of the memory that the card is at */
    enum host_switch segmentation, receive_merge, send_checksum, large_receive,
        vlan_strip;            /* TSO, GRO, tx, LRO, rxvlan */
    unsigned hold_back_us;     /* rx-usecs */
    enum host_switch adaptive; /* adaptive-rx */
};

/* root: "" for the machine; tests put files of their own below a directory. */
void host_facts_read(const char *root, struct host_facts *facts);
/* -ENODEV: there is no such interface. The offloads are those of the caller's network namespace. */
int host_interface_read(const char *root, const char *name, struct host_interface *interface);

/* True if the kernel's list of cores ("0-3,6") has this one. Pure. */
bool host_cores_contain(const char *list, unsigned core);
/* "41 on core 0, 42 on core 1", "none of its own". Returns text. */
const char *host_interrupts_text(const struct host_interface *interface, char *text, size_t size);

/* What is to be said about them (pure): "governor", "idle states"; "interrupts", "offloads", "interrupt coalescing". */
void host_facts_judge(const struct host_facts *facts, struct findings *findings);
void host_interface_judge(const struct host_facts *facts, const struct host_interface *interface,
                          struct findings *findings);

#endif
