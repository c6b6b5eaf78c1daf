/* SPDX-License-Identifier: BSD-2-Clause */
/* lwIP's options for the engine: TCP over IPv4 and IPv6 only, no operating system, memory from the engine's pool.
 * Packets enter and leave below lwIP's IP layer (stack/engine_lwip.c), so that most of lwIP is not compiled at all. */
#ifndef LOCKSTEP_LWIPOPTS_H
#define LOCKSTEP_LWIPOPTS_H

#define NO_SYS               1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_TIMERS          0
#define LWIP_NETCONN         0
#define LWIP_SOCKET          0
#define LWIP_STATS           0

#define LWIP_IPV4                       1
#define LWIP_IPV6                       1
#define LWIP_IPV6_SCOPES                0
#define LWIP_IPV6_MLD                   0
#define LWIP_IPV6_REASS                 0
#define LWIP_IPV6_AUTOCONFIG            0
#define LWIP_ND6_TCP_REACHABILITY_HINTS 0
#define IP_REASSEMBLY                   0
#define IP_FRAG                         0
#define LWIP_ARP                        0
#define LWIP_ETHERNET                   0
#define LWIP_ICMP                       0
#define LWIP_ICMP6                      1 /* wanted by LWIP_IPV6; not compiled */
#define LWIP_RAW                        0
#define LWIP_UDP                        0
#define LWIP_DHCP                       0
#define LWIP_DNS                        0
#define LWIP_IGMP                       0
#define LWIP_TCP                        1
#define LWIP_CALLBACK_API               1

/* Memory: size classes of stack/pool.h. */
void *engine_lwip_malloc(unsigned long size);
void *engine_lwip_calloc(unsigned long count, unsigned long size);
void engine_lwip_free(void *memory);
#define MEM_LIBC_MALLOC          1
#define MEMP_MEM_MALLOC          1
#define MEM_ALIGNMENT            8
#define mem_clib_malloc          engine_lwip_malloc
#define mem_clib_calloc          engine_lwip_calloc
#define mem_clib_free            engine_lwip_free
#define PBUF_POOL_FREE_OOSEQ     0
#define LWIP_SUPPORT_CUSTOM_PBUF 1

/* TCP. The window field of <netinet/tcp.h>'s TCP_MSS would be in the way. */
#undef TCP_MSS
#define TCP_MSS                    65400 /* bound only: the segment size in use comes from the peer and the route */
#define LWIP_WND_SCALE             1
#define TCP_RCV_SCALE              8
#define TCP_WND                    (0xffffu << TCP_RCV_SCALE) /* bound only: each connection has its own window */
#define TCP_SND_BUF                (4u << 20)
#define TCP_SND_QUEUELEN           0xff00
#define TCP_SNDLOWAT               32768
#define TCP_OVERSIZE               0
#define TCP_QUEUE_OOSEQ            1
#define LWIP_TCP_SACK_OUT          1
#define LWIP_TCP_MAX_SACK_NUM      4
#define LWIP_TCP_TIMESTAMPS        1
#define LWIP_TCP_KEEPALIVE         0
#define TCP_LISTEN_BACKLOG         0
#define TCP_CALCULATE_EFF_SEND_MSS 1
#define TCP_TTL                    64

/* Bounds of what a peer can make us hold out of order. */
struct tcp_pcb;
unsigned engine_lwip_ooseq_bytes(const struct tcp_pcb *pcb);
unsigned short engine_lwip_ooseq_pbufs(const struct tcp_pcb *pcb);
#define TCP_OOSEQ_BYTES_LIMIT(pcb) engine_lwip_ooseq_bytes(pcb)
#define TCP_OOSEQ_PBUFS_LIMIT(pcb) engine_lwip_ooseq_pbufs(pcb)

/* RFC 6528 */
struct ip_addr;
unsigned engine_lwip_isn(const struct ip_addr *local, unsigned short local_port, const struct ip_addr *remote,
                         unsigned short remote_port);
#define LWIP_HOOK_TCP_ISN(local, local_port, remote, remote_port)                                                      \
    engine_lwip_isn(local, local_port, remote, remote_port)

/* Checksums are made and verified outside. */
#define CHECKSUM_GEN_IP      0
#define CHECKSUM_GEN_TCP     0
#define CHECKSUM_GEN_ICMP    0
#define CHECKSUM_GEN_ICMP6   0
#define CHECKSUM_CHECK_IP    0
#define CHECKSUM_CHECK_TCP   0
#define CHECKSUM_CHECK_ICMP  0
#define CHECKSUM_CHECK_ICMP6 0

#define LWIP_DONT_PROVIDE_BYTEORDER_FUNCTIONS 1
#define LWIP_NO_CTYPE_H                       0

#endif
