/* SPDX-License-Identifier: BSD-2-Clause */
/* The whole service, with the real divert, in one of two namespaces, and programs that talk to it. The other
 * namespace's kernel is the peer. */
#ifndef LOCKSTEP_TESTS_NETD_RIG_H
#define LOCKSTEP_TESTS_NETD_RIG_H

#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "divert/inject.h"
#include "divert/lane.h"
#include "platform/platform.h"
#include "service/lane_stats.h"
#include "service/netd.h"
#include "stack/netd_client.h"
#include "tests/unit/namespaces.h"
#include "tests/unit/unit.h"

#define NOBODY 65534
#define HERE   "10.77.0.1"
#define PEER   "10.77.0.2"

static char dir[64];
static pid_t service;

/* --- the service -------------------------------------------------------------------------------------------- */

/* option, value: what it accelerates. */
static inline void service_start_with(const char *option, const char *value)
{
    char socket_path[128];

    enter(0);
    service = fork();
    if (service == 0) {
        char *arguments[] = {"lockstep-netd", (char *)option, (char *)value, "--runtime-dir", dir,
                             "--log-level",   "error",        NULL};

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGCHLD, SIG_IGN); /* as some starters do */
        close_range(3, ~0u, 0);
        exit(netd_main(7, arguments));
    }
    snprintf(socket_path, sizeof(socket_path), "%s/%s", dir, CONTROL_SOCKET_NAME);
    for (int i = 0; i < 500; i++) {
        struct netd_client *client;

        if (client_connect(&client, dir, "probe", 0, NULL) == 0) {
            client_close(client);
            return;
        }
        usleep(10000);
    }
    fail_msg("the service does not answer");
}

static inline void service_start(void)
{
    service_start_with("--interface", "v0");
}

static inline void service_end(int signal_number)
{
    int status;

    assert_int_equal(kill(service, signal_number), 0);
    assert_int_equal(waitpid(service, &status, 0), service);
    service = 0;
}

static inline bool service_lives(void)
{
    return waitpid(service, NULL, WNOHANG) == 0;
}

/* --- a program's end ---------------------------------------------------------------------------------------- */

struct program {
    struct netd_client *client;
    struct control_lane_reply lane;
    struct client_lane_fds fds;
    struct lane *ring;
    struct injector *injector;
    struct lane_stats *stats;
};

static inline void program_open(struct program *program)
{
    memset(program, 0, sizeof(*program));
    assert_int_equal(client_connect(&program->client, dir, "test", 0, NULL), 0);
    assert_int_equal(client_lane_open(program->client, CONTROL_INJECTOR_GUARDED, 0, &program->lane, &program->fds), 0);
    assert_int_equal(
        lane_open(&program->ring, dup(program->fds.ring), program->lane.ring_bytes, dup(program->fds.control)), 0);
    assert_int_equal(injector_open_guarded(&program->injector, dup(program->fds.injector)), 0);
    assert_int_equal(platform_memfd_map(program->fds.stats, sizeof(*program->stats), true, (void **)&program->stats),
                     0);
    lane_heartbeat(program->ring, platform_now_ns());
}

static inline void program_close(struct program *program)
{
    client_close(program->client);
    lane_close(program->ring);
    injector_close(program->injector);
    munmap(program->stats, sizeof(*program->stats));
    close(program->fds.ring);
    close(program->fds.control);
    close(program->fds.injector);
    close(program->fds.stats);
    close(program->fds.event);
}

static inline struct net_endpoint endpoint(const char *text, uint16_t port)
{
    struct net_endpoint out = {.port = port};

    assert_int_equal(net_addr_parse(text, &out.addr), 0);
    return out;
}

static inline void set_int(int fd, int level, int name, int value)
{
    assert_int_equal(setsockopt(fd, level, name, &value, sizeof(value)), 0);
}

/* A socket bound in namespace `which`; text "" binds to the wildcard address. */
static inline int bound_socket(int which, int type, const char *text, uint16_t port, bool reuse)
{
    struct net_endpoint local = *text ? endpoint(text, port) : (struct net_endpoint){net_addr_any(true), port};
    bool v4 = net_addr_is_v4(&local.addr);
    struct sockaddr_storage address;
    socklen_t length = net_endpoint_to_sockaddr(&local, v4 ? AF_INET : AF_INET6, 0, &address);
    int fd;

    enter(which);
    fd = socket(v4 ? AF_INET : AF_INET6, type, 0);
    assert_true(fd >= 0);
    if (reuse)
        set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
    enter(0);
    return fd;
}

static inline int flow_add_bound(struct program *program, int fd, uint32_t slot, uint32_t *flow_id)
{
    struct control_flow_add request = {.kind = CONTROL_FLOW_BOUND, .slot = slot};

    return client_flow_add(program->client, fd, &request, flow_id);
}

#define child_assert(condition)                                                                                        \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "child, line %d: %s\n", __LINE__, #condition);                                             \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

struct child {
    pid_t pid;
    int from_child, to_child;
};

static inline void tell(int fd)
{
    if (write(fd, "x", 1) != 1)
        _exit(98);
}

static inline bool await(int fd)
{
    char byte;

    return read(fd, &byte, 1) == 1;
}

static inline void child_start(struct child *child, uid_t uid,
                               void (*body)(void *argument, int to_parent, int from_parent), void *argument)
{
    int up[2], down[2];

    assert_int_equal(pipe(up), 0);
    assert_int_equal(pipe(down), 0);
    child->pid = fork();
    if (child->pid == 0) {
        if (setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
            _exit(99);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(up[0]);
        close(down[1]);
        body(argument, up[1], down[0]);
        _exit(0);
    }
    close(up[1]);
    close(down[0]);
    child->from_child = up[0];
    child->to_child = down[1];
}

static inline int child_end(struct child *child)
{
    int status;

    close(child->to_child);
    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    close(child->from_child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static inline int rig_set_up(void **unused)
{
    (void)unused;
    snprintf(dir, sizeof(dir), "/tmp/lockstep-test-netd-%d", (int)getpid());
    namespaces_create();
    service_start();
    return 0;
}

static inline int rig_tear_down(void **unused)
{
    (void)unused;
    if (service)
        service_end(SIGTERM);
    shell("rm -rf %s", dir);
    return 0;
}

#endif
