/* SPDX-License-Identifier: BSD-2-Clause */
/* Pointers that lead nowhere: EFAULT, and everything goes on. */
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <poll.h>

#include "tests/net/api/cases.h"
#include "tests/net/api/remote.h"

static void *volatile nowhere = (void *)16; /* the compiler is not to know */
#define NOWHERE nowhere

static void works(int fd)
{
    EQUAL(data_send(fd, 1000, 0, 0), 1000);
    EQUAL(peer("receive 1 1000 0"), 1000);
    peer("send 1 1000 0");
    EQUAL(data_receive(fd, 1000, 0, 0), 1000);
}

static void *read_only_page(void)
{
    return mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void stream_buffers(void)
{
    int fd = tcp_pair();
    struct iovec parts[2] = {{"hello", 5}, {NOWHERE, 5}};
    struct msghdr message = {.msg_iov = NOWHERE, .msg_iovlen = 1};

    FAILS(send(fd, NOWHERE, 100, 0), EFAULT);
    FAILS(write(fd, NOWHERE, 100), EFAULT);
    FAILS(sendmsg(fd, NOWHERE, 0), EFAULT);
    FAILS(sendmsg(fd, &message, 0), EFAULT);
    parts[0].iov_len = 0;
    FAILS(writev(fd, parts, 2), EFAULT);
    peer("send 1 100 0");
    CHECK(poll_one(fd, 1, 3000) & 1);
    FAILS(recv(fd, NOWHERE, 100, 0), EFAULT);
    FAILS(recv(fd, read_only_page(), 100, 0), EFAULT);
    FAILS(read(fd, NOWHERE, 100), EFAULT);
    FAILS(recvmsg(fd, NOWHERE, 0), EFAULT);
    FAILS(recvmsg(fd, &message, 0), EFAULT);
    EQUAL(data_receive(fd, 100, 0, 0), 100);
    works(fd);
}

/* The datagram itself may be gone. */
static void datagram_buffers(void)
{
    int fd = udp_pair();

    FAILS(send(fd, NOWHERE, 100, 0), EFAULT);
    FAILS(sendto(fd, "hello", 5, 0, NOWHERE, 16), EFAULT);
    peer("sendto 1 100 0");
    CHECK(poll_one(fd, 1, 3000) & 1);
    FAILS(recv(fd, NOWHERE, 100, 0), EFAULT);
    datagrams_both_ways(udp_pair());
}

static void addresses_and_options(void)
{
    int fd = tcp_pair(), value;
    socklen_t length = 16;
    struct epoll_event event = {.events = EPOLLOUT};

    FAILS(getpeername(fd, NOWHERE, &length), EFAULT);
    FAILS(getpeername(fd, NOWHERE, NOWHERE), EFAULT);
    FAILS(getsockname(fd, NOWHERE, &length), EFAULT);
    FAILS(getsockopt(fd, SOL_SOCKET, SO_ERROR, NOWHERE, &length), EFAULT);
    FAILS(getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, NOWHERE), EFAULT);
    FAILS(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, NOWHERE, 4), EFAULT);
    FAILS(connect(tcp_socket(), NOWHERE, 16), EFAULT);
    FAILS(bind(udp_socket(), NOWHERE, 16), EFAULT);
    int set = OK(epoll_create1(0));
    OK(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
    FAILS(epoll_wait(set, NOWHERE, 1, 0), EFAULT);
    FAILS(poll(NOWHERE, 1, 0), EFAULT);
    works(fd);
}

/* Programs see nothing of the fault, nor of who looks at it. */
static void handlers(void)
{
    struct sigaction action;
    int fd = tcp_pair();

    OK(sigaction(SIGSEGV, NULL, &action));
    CHECK(action.sa_handler == SIG_DFL && action.sa_flags == 0);
    CHECK(signal(SIGSEGV, SIG_IGN) == SIG_DFL);
    CHECK(signal(SIGBUS, SIG_DFL) == SIG_DFL);
    OK(sigaction(SIGSEGV, &action, NULL));
    works(fd);
}

static void true_faults_kill(void)
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGSEGV};

    for (int i = 0; i < 3; i++) {
        pid_t child = fork();
        int status;

        if (child == 0) {
            int fd = tcp_pair();

            EQUAL(send(fd, "x", 1, 0), 1);
            if (i == 2)
                *(volatile char *)NOWHERE = 1;
            kill(getpid(), numbers[i]);
            sleep_ms(3000);
            _exit(1);
        }
        OK(waitpid(child, &status, 0));
        CHECK(WIFSIGNALED(status));
        EQUAL(WTERMSIG(status), numbers[i]);
    }
}

const struct api_case memory_cases[] = {
    {"memory.stream_buffers", stream_buffers, CASE_PAIR},
    {"memory.datagram_buffers", datagram_buffers},
    {"memory.addresses_and_options", addresses_and_options, CASE_PAIR},
    {"memory.handlers", handlers},
    {"memory.true_faults_kill", true_faults_kill},
    {0},
};
