/* SPDX-License-Identifier: BSD-2-Clause */
/* For tests of the divert: an instance attached to v0 in namespace 0 (namespaces.h), lanes, kernel sockets on both
 * sides and hand-made frames from the peer. Needs root. Helpers fail the test when the system refuses. */
#ifndef LOCKSTEP_TESTS_DIVERT_RIG_H
#define LOCKSTEP_TESTS_DIVERT_RIG_H

#include "unit.h"

#include <netinet/in.h>
#include <stdbool.h>

#include "divert/divert.h"
#include "divert/lane.h"

#define RIG_LANES 8
#define RIG_RING  262144
#define OWN4      "10.77.0.1"
#define PEER4     "10.77.0.2"
#define OWN6      "fd00:77::1"
#define PEER6     "fd00:77::2"

struct rig {
    struct divert *divert;
    enum divert_mode mode;
    unsigned ifindex;      /* of v0 */
    unsigned peer_ifindex; /* of v1, in its namespace */
    uint8_t own_mac[6], peer_mac[6];
    struct lane *lanes[RIG_LANES];
};

/* Makes the namespaces once a process; false without root. */
bool rig_possible(void);
void rig_open(struct rig *rig, enum divert_mode mode);
void rig_close(struct rig *rig);

void rig_enter(int which); /* this thread's namespace */
void rig_shell(int where, const char *command);

/* Lane `id` with a ring of that many bytes; it shows a heartbeat. */
struct lane *rig_lane(struct rig *rig, uint32_t id, size_t ring_bytes);
/* The lane's next packet, waiting for at most a second; or NULL, at once, if nothing comes within a short while. */
const struct lane_record *rig_take(struct lane *lane);
bool rig_nothing(struct lane *lane);
size_t rig_count(struct lane *lane); /* takes all there is and counts */

uint64_t rig_now_ns(void);
struct divert_addr rig_addr(const char *text);
/* remote NULL: a bound port, or any if local is "0.0.0.0" or "::". */
struct divert_flow_key rig_key(int protocol, const char *local, uint16_t local_port, const char *remote,
                               uint16_t remote_port);
void rig_flow(struct rig *rig, const struct divert_flow_key *key, uint32_t target, uint32_t flags, uint32_t flow_id);

/* A UDP socket in namespace 0 (own) or 1 (peer), bound to that address and port. */
int rig_udp(int where, const char *address, uint16_t port);
void rig_send(int socket_fd, const char *to, uint16_t port, const void *data, size_t bytes);
/* Waits for a datagram; its length, or -1. */
long rig_receive(int socket_fd, void *data, size_t bytes);
bool rig_silent(int socket_fd); /* nothing comes within a short while */

/* Frames made by hand and sent from v1. */
struct frame {
    _Alignas(4) uint8_t before[2]; /* so that the IP header is aligned */
    uint8_t bytes[9000];
    size_t length;
};
/* Ethernet, IP, UDP, payload. Lengths and IPv4 checksum are right, the UDP checksum is 0. */
void frame_udp(const struct rig *rig, struct frame *frame, const char *source, uint16_t source_port,
               const char *destination, uint16_t destination_port, const void *payload, size_t bytes);
void frame_insert(struct frame *frame, size_t at, const void *data, size_t bytes);
/* IPv4 header checksum of the (untagged) frame anew. */
void frame_checksum(struct frame *frame);
/* vnet_header: NULL or 10 bytes of virtio-net header to send it with. */
void frame_send(const struct rig *rig, const struct frame *frame, const void *vnet_header);

#endif
