/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/service_manager.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "platform/platform.h"

#define FEEDS_A_PERIOD 3
#define TEXT_MAX       256

static struct sockaddr_un manager_address;
static socklen_t manager_address_length;
static int manager_fd = -1;
static uint64_t feed_interval_ns, fed_ns; /* interval 0: no watchdog */
static char last_status[TEXT_MAX];

/* The address: a path, or "@name" in the abstract space. Its length, or 0. */
static socklen_t parse_address(const char *text, struct sockaddr_un *address)
{
    size_t length = text ? strlen(text) : 0;

    if (length < 2 || length >= sizeof address->sun_path || (*text != '/' && *text != '@'))
        return 0;
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->sun_path, text, length);
    if (*text == '@')
        address->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

static void read_watchdog(void)
{
    const char *period = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    uint64_t us = period ? strtoull(period, NULL, 10) : 0;

    if (pid && strtoull(pid, NULL, 10) != (uint64_t)getpid())
        us = 0;
    if (us < UINT64_MAX / 1000)
        feed_interval_ns = us * 1000 / FEEDS_A_PERIOD;
}

/* Never waits: a manager that does not listen must not stop the service. */
static void tell(const char *text)
{
    if (manager_fd >= 0 && sendto(manager_fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
                                  (struct sockaddr *)&manager_address, manager_address_length) < 0)
        log_debug("service manager: cannot be told \"%.40s\": %s", text, error_text(-errno));
}

void service_manager_open(void)
{
    manager_address_length = parse_address(getenv("NOTIFY_SOCKET"), &manager_address);
    if (manager_address_length > 0) {
        manager_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        read_watchdog();
    }
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

void service_manager_ready(void)
{
    tell("READY=1");
}

void service_manager_reloading(void)
{
    char text[TEXT_MAX];

    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, platform_now_ns() / 1000);
    tell(text);
}

void service_manager_stopping(void)
{
    tell("STOPPING=1");
}

void service_manager_status(const char *format, ...)
{
    char text[TEXT_MAX] = "STATUS=";
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text + strlen(text), sizeof text - strlen(text), format, arguments);
    va_end(arguments);
    if (strcmp(text, last_status) == 0)
        return;
    memcpy(last_status, text, sizeof text);
    tell(text);
}

void service_manager_feed(uint64_t now_ns)
{
    if (feed_interval_ns == 0 || now_ns - fed_ns < feed_interval_ns)
        return;
    fed_ns = now_ns;
    tell("WATCHDOG=1");
}
