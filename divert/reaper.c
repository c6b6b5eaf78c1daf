/* SPDX-License-Identifier: BSD-2-Clause */
#include "divert/reaper.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "divert/divert_private.h"

struct reaper {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping;
    int lanes_map_fd;
    int controls_map_fd;
    /* A ring of lanes: each can be in it once only. */
    uint32_t queue[DIVERT_MAX_LANES];
    uint32_t first, count;
    bool queued[DIVERT_MAX_LANES];
    unsigned tap_ifindex[DIVERT_MAX_LANES];
};

static void take_down(const struct reaper *reaper, uint32_t lane, unsigned tap_ifindex)
{
    if (tap_ifindex) {
        int err = divert_link_delete(tap_ifindex);

        if (err && err != -ENODEV)
            log_limited(LOG_LEVEL_WARNING, NULL, "divert: cannot delete the TAP device of lane %u: %s", lane,
                        error_text(err));
    }
    bpf_map_delete_elem(reaper->lanes_map_fd, &lane);
    bpf_map_delete_elem(reaper->controls_map_fd, &lane);
}

static void *reaper_main(void *argument)
{
    struct reaper *reaper = argument;

    pthread_mutex_lock(&reaper->lock);
    while (reaper->count || !reaper->stopping) {
        uint32_t lane;

        if (!reaper->count) {
            pthread_cond_wait(&reaper->changed, &reaper->lock);
            continue;
        }
        lane = reaper->queue[reaper->first];
        pthread_mutex_unlock(&reaper->lock);
        take_down(reaper, lane, reaper->tap_ifindex[lane]);
        pthread_mutex_lock(&reaper->lock);
        reaper->first = (reaper->first + 1) % DIVERT_MAX_LANES;
        reaper->count--;
        reaper->queued[lane] = false;
        pthread_cond_broadcast(&reaper->changed);
    }
    pthread_mutex_unlock(&reaper->lock);
    return NULL;
}

int reaper_start(struct reaper **out, int lanes_map_fd, int controls_map_fd)
{
    struct reaper *reaper = calloc(1, sizeof(*reaper));
    sigset_t all, before;
    int err;

    if (!reaper)
        return -ENOMEM;
    reaper->lanes_map_fd = lanes_map_fd;
    reaper->controls_map_fd = controls_map_fd;
    pthread_mutex_init(&reaper->lock, NULL);
    pthread_cond_init(&reaper->changed, NULL);
    sigfillset(&all); /* signals are the caller's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    err = pthread_create(&reaper->thread, NULL, reaper_main, reaper);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (err) {
        free(reaper);
        return -err;
    }
    *out = reaper;
    return 0;
}

void reaper_stop(struct reaper *reaper)
{
    if (!reaper)
        return;
    pthread_mutex_lock(&reaper->lock);
    reaper->stopping = true;
    pthread_cond_broadcast(&reaper->changed);
    pthread_mutex_unlock(&reaper->lock);
    pthread_join(reaper->thread, NULL);
    pthread_cond_destroy(&reaper->changed);
    pthread_mutex_destroy(&reaper->lock);
    free(reaper);
}

void reaper_add(struct reaper *reaper, uint32_t lane, unsigned tap_ifindex)
{
    pthread_mutex_lock(&reaper->lock);
    if (!reaper->queued[lane]) {
        reaper->queue[(reaper->first + reaper->count) % DIVERT_MAX_LANES] = lane;
        reaper->count++;
        reaper->queued[lane] = true;
        reaper->tap_ifindex[lane] = tap_ifindex;
        pthread_cond_broadcast(&reaper->changed);
    }
    pthread_mutex_unlock(&reaper->lock);
}

void reaper_wait(struct reaper *reaper, uint32_t lane)
{
    pthread_mutex_lock(&reaper->lock);
    while (reaper->queued[lane])
        pthread_cond_wait(&reaper->changed, &reaper->lock);
    pthread_mutex_unlock(&reaper->lock);
}
