/* SPDX-License-Identifier: BSD-2-Clause */
/* Does in threads of its own what the service must not wait for: close() of descriptors that came from programs (of a
 * lingering socket, of a file on a file system that lives in some process, of a socket that holds such ones in its
 * queue) may block for as long as their owner likes; deleting a network device takes tens of milliseconds.
 *
 * The functions are for one thread, the service's. Each account may keep a few threads busy, so that one user's
 * descriptors do not hold up another's. */
#ifndef LOCKSTEP_SERVICE_CLOSER_H
#define LOCKSTEP_SERVICE_CLOSER_H

#include <stdint.h>

#include "base/list.h"

/* Whose descriptors they are. Must live until closer_pending says 0. */
struct closer_account {
    struct list jobs;  /* waiting for a thread */
    struct list ready; /* among the accounts with such jobs */
    unsigned running;  /* threads at work */
    unsigned pending;  /* waiting and running */
};
void closer_account_init(struct closer_account *account);
unsigned closer_pending(const struct closer_account *account);

/* Closes at once what cannot block (sockets without data to linger for, memory files), the rest in a thread. account
 * NULL: the service's own. */
void closer_close(struct closer_account *account, int fd);
/* Runs work(argument) in a thread. */
void closer_run(struct closer_account *account, void (*work)(intptr_t argument), intptr_t argument);

/* How many of them hang: asked for more than a second ago and not done. */
unsigned closer_hanging(void);
/* Waits until all is done, at most this long. */
void closer_wait(unsigned limit_ms);

#endif
