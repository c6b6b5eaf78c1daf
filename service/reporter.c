/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/reporter.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "service/report.h"
#include "service/server.h"

#define MAX_JOBS 8

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

struct report_job {
    struct list link;
    struct client *client; /* NULL: gone */
    uint32_t sequence;
    int pid_fd, memfd;
    struct event_source on_exit;
};

static void job_free(struct report_job *job)
{
    list_remove(&job->link);
    if (job->pid_fd >= 0)
        close(job->pid_fd);
    if (job->memfd >= 0)
        close(job->memfd);
    free(job);
}

static void handle_exit(struct netd *netd, void *object, uint32_t events)
{
    struct report_job *job = object;
    siginfo_t info = {0};
    bool done;

    (void)netd;
    (void)events;
    done = waitid(P_PIDFD, (id_t)job->pid_fd, &info, WEXITED) == 0 && info.si_code == CLD_EXITED && info.si_status == 0;
    if (job->client && done)
        server_reply_fd(job->client, CONTROL_REPORT, job->sequence, job->memfd);
    else if (job->client)
        server_reply(job->client, CONTROL_REPORT, job->sequence, -EIO);
    job_free(job);
}

static unsigned job_count(const struct netd *netd)
{
    unsigned count = 0;

    list_for_each(link, &netd->reports) count++;
    return count;
}

/* Forks the child that fills job->memfd; sets job->pid_fd. */
static int spawn(struct netd *netd, struct report_job *job, uint32_t kind)
{
    pid_t child = fork();

    if (child < 0)
        return -errno;
    if (child == 0)
        _exit(report_write(netd, kind, job->memfd) == 0 ? 0 : 1);
    job->pid_fd = (int)syscall(SYS_pidfd_open, child, 0);
    if (job->pid_fd < 0) {
        int result = -errno;

        waitpid(child, NULL, 0);
        return result;
    }
    return 0;
}

int reporter_start(struct netd *netd, struct client *client, uint32_t sequence, uint32_t kind)
{
    struct report_job *job;
    int result;

    if (job_count(netd) >= MAX_JOBS)
        return -EAGAIN;
    job = calloc(1, sizeof(*job));
    if (!job)
        return -ENOMEM;
    list_init(&job->link);
    job->pid_fd = -1;
    job->client = client;
    job->sequence = sequence;
    job->on_exit = (struct event_source){handle_exit, job};
    result = job->memfd = report_create();
    if (result >= 0)
        result = spawn(netd, job, kind);
    if (result < 0) {
        log_warning("reporter: no report: %s", error_text(result));
        job_free(job);
        return result;
    }
    list_push_back(&netd->reports, &job->link);
    result = server_watch(netd, job->pid_fd, &job->on_exit);
    if (result < 0)
        handle_exit(netd, job, 0); /* waits for the child, and answers */
    return 0;
}

void reporter_forget_client(struct netd *netd, const struct client *client)
{
    list_for_each(link, &netd->reports)
    {
        struct report_job *job = list_entry(link, struct report_job, link);

        if (job->client == client)
            job->client = NULL;
    }
}
