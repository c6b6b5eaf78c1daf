/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/socket_info.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif
#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif

static bool get_int(int fd, int level, int name, int *out)
{
    socklen_t length = sizeof(*out);

    *out = 0;
    return getsockopt(fd, level, name, out, &length) == 0;
}

static bool get_u64(int fd, int name, uint64_t *out)
{
    socklen_t length = sizeof(*out);

    *out = 0;
    return getsockopt(fd, SOL_SOCKET, name, out, &length) == 0;
}

int socket_namespace(uint64_t *cookie)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int result;

    if (fd < 0)
        return -errno;
    result = get_u64(fd, SO_NETNS_COOKIE, cookie) ? 0 : -errno;
    close(fd);
    return result;
}

static uint8_t tcp_state(int fd)
{
    struct tcp_info info;
    socklen_t length = sizeof(info);

    memset(&info, 0, sizeof(info));
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 ? info.tcpi_state : 0;
}

static bool is_transport_socket(int fd, struct socket_info *out)
{
    int type, wanted;

    /* getsockopt answers ENOTSOCK for other files without asking their file system. */
    if (!get_int(fd, SOL_SOCKET, SO_DOMAIN, &out->family) || (out->family != AF_INET && out->family != AF_INET6))
        return false;
    if (!get_int(fd, SOL_SOCKET, SO_TYPE, &type) || !get_int(fd, SOL_SOCKET, SO_PROTOCOL, &out->protocol))
        return false;
    wanted = type == SOCK_STREAM ? IPPROTO_TCP : type == SOCK_DGRAM ? IPPROTO_UDP : -1;
    return out->protocol == wanted;
}

int socket_info_read(int fd, uint64_t namespace_cookie, struct socket_info *out)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof(address);
    uint64_t cookie;
    struct stat status;
    int flag;

    memset(out, 0, sizeof(*out));
    if (!is_transport_socket(fd, out) || !get_u64(fd, SO_NETNS_COOKIE, &cookie) || cookie != namespace_cookie)
        return LOCKSTEP_E_DENIED;
    if (getsockname(fd, (struct sockaddr *)&address, &length) < 0 ||
        net_endpoint_from_sockaddr((struct sockaddr *)&address, length, &out->local) < 0)
        return LOCKSTEP_E_DENIED;
    if (!get_u64(fd, SO_COOKIE, &out->cookie) || fstat(fd, &status) < 0)
        return LOCKSTEP_E_DENIED;
    out->inode = status.st_ino;
    out->listening = get_int(fd, SOL_SOCKET, SO_ACCEPTCONN, &flag) && flag;
    if (out->family == AF_INET6 && !net_addr_is_v4(&out->local.addr) && net_addr_is_any(&out->local.addr))
        out->dual_stack = get_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, &flag) && !flag;
    out->shared_port = (get_int(fd, SOL_SOCKET, SO_REUSEADDR, &flag) && flag) ||
                       (get_int(fd, SOL_SOCKET, SO_REUSEPORT, &flag) && flag);
    if (get_int(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &flag))
        out->ifindex = (uint32_t)flag;
    if (out->protocol == IPPROTO_TCP)
        out->tcp_state = tcp_state(fd);
    return 0;
}
