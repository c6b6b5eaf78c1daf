/* SPDX-License-Identifier: BSD-2-Clause */
/* The service's end of the divert: loads and attaches the eBPF programs, owns the flow table, makes lanes and
 * injectors. Single-threaded; needs CAP_NET_ADMIN and CAP_BPF (or root). Failures are logged with operation and object.
 */
#ifndef LOCKSTEP_DIVERT_DIVERT_H
#define LOCKSTEP_DIVERT_DIVERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "divert/divert_abi.h"

struct divert;

enum divert_mode { DIVERT_MODE_AUTO, DIVERT_MODE_XDP_NATIVE, DIVERT_MODE_XDP_GENERIC, DIVERT_MODE_TC };
const char *divert_mode_name(enum divert_mode mode); /* "auto", "xdp-native", "xdp-generic", "tc" */
int divert_mode_parse(const char *text, enum divert_mode *out);

/* Loads the programs and creates the maps. Nothing is attached yet. */
int divert_open(struct divert **out);
/* Frees everything; detach (which also deletes the lanes' TAP devices) says whether attached programs are removed from
 * the interfaces or left running (a restart: the kernel keeps them and their maps until the next instance replaces
 * them). */
void divert_close(struct divert *divert, bool detach);

/* Attaches to an interface. AUTO probes: chosen gets the mode in force and why (a static or divert-owned string) the
 * reason, for the log and `lockstep status`. Refuses (LOCKSTEP_E_CONFLICT) to replace a foreign XDP program; replaces
 * an earlier instance of Lockstep's own atomically. Also attaches tc for bulk flows where XDP is used and tc works. */
int divert_attach(struct divert *divert, unsigned ifindex, enum divert_mode wanted, enum divert_mode *chosen,
                  const char **why);
int divert_detach(struct divert *divert, unsigned ifindex);

/* Local addresses: wildcard flows match only these. Broadcast addresses (the subnets' and 255.255.255.255) are named
 * apart, because the guard lets nobody send from them. Adding one again is no error; remove is for both kinds. */
int divert_local_add(struct divert *divert, const struct divert_addr *addr);
int divert_local_add_broadcast(struct divert *divert, const struct divert_addr *addr);
int divert_local_remove(struct divert *divert, const struct divert_addr *addr);

/* Lanes. The descriptors are for handing out (SCM_RIGHTS); the caller closes them. */
struct divert_lane_fds {
    int ring;
    int control;
};
int divert_lane_create(struct divert *divert, uint32_t lane, size_t ring_bytes, struct divert_lane_fds *fds);
/* After a restart: takes a lane over from the descriptors that its program holds (verified to be a ring buffer map and
 * a control page map of the right shapes). */
int divert_lane_adopt(struct divert *divert, uint32_t lane, const struct divert_lane_fds *fds);
/* Removes the lane, its guard entries and its device; the flows are the caller's to remove first. Cut off at once,
 * freed by a thread (the kernel takes tens of milliseconds): until then creating the same lane again waits, so take
 * another id. */
void divert_lane_destroy(struct divert *divert, uint32_t lane);
int divert_lane_counters(struct divert *divert, uint32_t lane, struct lane_control *out);

/* Guarded injector: creates the lane's TAP device (name gets IFNAMSIZ bytes), attaches the guard, brings it up with
 * IPv6 autoconfiguration off and its transmit side dropped, so that the descriptor never receives. */
int divert_tap_create(struct divert *divert, uint32_t lane, char *name, int *tap_fd);
/* After a restart: checks that fd is a TAP of this namespace made by Lockstep and re-attaches the guard. */
int divert_tap_adopt(struct divert *divert, uint32_t lane, int tap_fd);
/* After a restart: from now on nothing leaves from this device (of an earlier instance) until its lane is handed back.
 */
int divert_tap_mute(struct divert *divert, unsigned ifindex);
/* Direct injector: a packet socket for interface ifindex with PACKET_VNET_HDR that receives nothing (protocol 0). */
int divert_packet_socket_create(unsigned ifindex, int *fd);
int divert_guard_counters(struct divert *divert, uint32_t lane, struct guard_counters *out);

/* Flows. add: LOCKSTEP_E_CONFLICT when the key exists; the service resolves sharing with groups. */
int divert_flow_add(struct divert *divert, const struct divert_flow_key *key, const struct divert_flow *flow);
int divert_flow_update(struct divert *divert, const struct divert_flow_key *key, uint32_t target, uint32_t flags,
                       uint32_t flow_id); /* keeps the counters */
int divert_flow_remove(struct divert *divert, const struct divert_flow_key *key);
int divert_flow_get(struct divert *divert, const struct divert_flow_key *key, struct divert_flow *out);
/* After a restart, before divert_attach: the entry in the flow table of the earlier instance's programs, which are
 * still attached to ifindex. LOCKSTEP_E_GONE: there is none. */
int divert_previous_flow(unsigned ifindex, const struct divert_flow_key *key, struct divert_flow *out);

int divert_group_set(struct divert *divert, uint32_t group, uint32_t mode, const uint32_t *lanes, size_t lane_count);

/* What a lane may send from. Counted: each allow needs its revoke; divert_lane_destroy revokes what is left. */
int divert_guard_allow(struct divert *divert, const struct guard_key *key);
int divert_guard_revoke(struct divert *divert, const struct guard_key *key);

int divert_nexthop_set(struct divert *divert, uint16_t index, const struct divert_nexthop *nexthop);

/* Service heartbeat (CLOCK_MONOTONIC ns), see DIVERT_HEARTBEAT_LIMIT_NS; call at least every second. */
void divert_heartbeat(struct divert *divert, uint64_t now_ns);
int divert_stats(struct divert *divert, uint64_t stats[DIVERT_STAT_COUNT]);

#endif
