/* SPDX-License-Identifier: BSD-2-Clause */
/* What a service tells its manager (systemd's sd_notify protocol): that it is ready, what it is doing, and again and
 * again that its loop turns. Nothing happens without a manager ($NOTIFY_SOCKET). One thread. */
#ifndef LOCKSTEP_PLATFORM_SERVICE_MANAGER_H
#define LOCKSTEP_PLATFORM_SERVICE_MANAGER_H

#include <stdint.h>

/* Takes what the manager has left in the environment, out of it: programs that the service starts are not the
 * service. Call once, before rights are given up. */
void service_manager_open(void);
/* Ready, also after a reload. */
void service_manager_ready(void);
void service_manager_reloading(void);
void service_manager_stopping(void);
/* One line for `systemctl status`; nothing is sent if it is the last one again. */
void service_manager_status(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Call it in each turn of the loop: feeds the watchdog three times in its period. A loop that does not come by within
 * the period is killed and started again. The loop's own tick must be shorter than a third of it. */
void service_manager_feed(uint64_t now_ns);

#endif
