/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/resolver.h"

#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "clock/sandbox.h"

struct question {
    uint32_t id;
    char name[RESOLVER_NAME_MAX];
};

static int error_of(int result)
{
    switch (result) {
    case 0:
        return 0;
    case EAI_NONAME:
    case EAI_NODATA:
        return -ENOENT;
    case EAI_SYSTEM:
        return -errno;
    case EAI_MEMORY:
        return -ENOMEM;
    default:
        return -EAGAIN;
    }
}

static void look_up(const char *name, int flags, struct resolver_answer *answer)
{
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = flags}, *list = NULL;

    answer->count = 0;
    answer->error = error_of(getaddrinfo(name, NULL, &hints, &list));
    if (answer->error)
        return;
    for (const struct addrinfo *one = list; one && answer->count < RESOLVER_ADDRESSES_MAX; one = one->ai_next) {
        struct net_endpoint endpoint;

        if (net_endpoint_from_sockaddr(one->ai_addr, one->ai_addrlen, &endpoint) < 0)
            continue;
        answer->scope_ids[answer->count] = 0;
        if (one->ai_family == AF_INET6) {
            struct sockaddr_in6 v6;

            memcpy(&v6, one->ai_addr, sizeof(v6));
            answer->scope_ids[answer->count] = v6.sin6_scope_id;
        }
        answer->addresses[answer->count++] = endpoint.addr;
    }
    freeaddrinfo(list);
    if (answer->count == 0)
        answer->error = -ENOENT;
}

static _Noreturn void child_main(int fd, uid_t uid, gid_t gid)
{
    sigset_t none;

    prctl(PR_SET_NAME, "clockd-names");
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGINT, SIG_IGN); /* of a terminal: the parent ends the child */
    if (dup2(fd, 3) < 0 || sandbox_drop(uid, gid, 0) < 0)
        _exit(1);
    closefrom(4);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a change of user would have cleared it */
    for (;;) {
        struct question question;
        struct resolver_answer answer;
        ssize_t length = recv(3, &question, sizeof(question), 0);

        if (length <= 0)
            _exit(0);
        if (length != sizeof(question))
            continue;
        memset(&answer, 0, sizeof(answer));
        question.name[sizeof(question.name) - 1] = 0;
        answer.id = question.id;
        look_up(question.name, 0, &answer);
        if (send(3, &answer, sizeof(answer), MSG_NOSIGNAL) < 0)
            _exit(0);
    }
}

int resolver_open(struct resolver *resolver, uid_t uid, gid_t gid)
{
    int pair[2];

    *resolver = (struct resolver){-1, -1};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    resolver->child = fork();
    if (resolver->child == 0)
        child_main(pair[1], uid, gid);
    close(pair[1]);
    if (resolver->child < 0) {
        int result = -errno;

        close(pair[0]);
        return result;
    }
    resolver->fd = pair[0];
    return 0;
}

void resolver_close(struct resolver *resolver)
{
    if (resolver->fd < 0)
        return;
    close(resolver->fd);
    resolver->fd = -1;
    kill(resolver->child, SIGKILL); /* it may be waiting for a name server */
    waitpid(resolver->child, NULL, 0);
}

int resolver_numeric(const char *name, struct resolver_answer *answer)
{
    memset(answer, 0, sizeof(*answer));
    look_up(name, AI_NUMERICHOST, answer);
    return answer->error;
}

int resolver_ask(struct resolver *resolver, uint32_t id, const char *name)
{
    struct question question;

    if (resolver->fd < 0)
        return -ENOTCONN;
    memset(&question, 0, sizeof(question));
    question.id = id;
    snprintf(question.name, sizeof(question.name), "%s", name);
    return send(resolver->fd, &question, sizeof(question), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int resolver_answer(struct resolver *resolver, struct resolver_answer *answer)
{
    ssize_t length;

    if (resolver->fd < 0)
        return -ENOTCONN;
    length = recv(resolver->fd, answer, sizeof(*answer), MSG_DONTWAIT);
    if (length < 0)
        return -errno;
    return length == sizeof(*answer) && answer->count <= RESOLVER_ADDRESSES_MAX ? 0 : -EPIPE;
}
