/* SPDX-License-Identifier: BSD-2-Clause */
/* A program without a lane tells the service of its sockets: also of one that answers nothing. */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stack/stack_private.h"
#include "tests/unit/unit.h"

#define SOCKETS 3

static char dir[] = "/tmp/lockstep-messenger-XXXXXX";
static char path[64];

/* It takes connections, and that is all it does. */
static int dead_service(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    snprintf(path, sizeof path, "%s/%s", dir, CONTROL_SOCKET_NAME);
    strcpy(address.sun_path, path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 128), 0);
    return fd;
}

/* Each try takes seconds, and the program's threads wait for it. */
static void a_service_that_does_not_answer_is_not_asked_for_every_socket(void **unused)
{
    const struct control_not_accelerated message = {.protocol = IPPROTO_TCP, .reason = "a test"};
    int service = dead_service(), tries = 0, fd;

    (void)unused;
    for (int i = 0; i < SOCKETS; i++)
        stack_tell_not_accelerated(&message);
    while ((fd = accept(service, NULL, NULL)) >= 0) {
        tries++;
        close(fd);
    }
    assert_int_equal(tries, 1);
    close(service);
    unlink(path);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_service_that_does_not_answer_is_not_asked_for_every_socket),
    };
    int status;

    /* The stack reads its settings before main. */
    if (argc == 1) {
        if (!mkdtemp(dir) || setenv(CONTROL_DIR_ENV, dir, 1) < 0)
            return 1;
        execl("/proc/self/exe", argv[0], dir, (char *)NULL);
        return 1;
    }
    strcpy(dir, argv[1]);
    status = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(dir);
    return status;
}
