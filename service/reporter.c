/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/reporter.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "platform/platform.h"
#include "service/report.h"
#include "service/server.h"

#define MAX_JOBS       8
#define MAX_WAITING    64 /* requests of one user other than root */
/* Lanes and flows (of which the status says nothing): from then on a report is written by a child. A binary one takes
 * as long as the fork would. */
#define LONG_REPORT    200
#define LONG_TABLE     20000
#define SHARED_FOR_NS  250000000ull
#define READ_WITHIN_NS 3000000000ull /* then it is gone, whoever has it */

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

/* A child at work. */
struct report_job {
    struct list link;
    uint32_t kind;
    bool shared;
    struct list waiting;
    uint64_t begun_ns;
    int pid_fd, memfd;
    struct event_source on_exit;
};

/* Who waits for it. */
struct report_waiter {
    struct list link;
    struct client *client;
    uint32_t sequence;
};

static void job_free(const struct netd *netd, struct report_job *job)
{
    struct list *link;

    while ((link = list_pop_front(&job->waiting)))
        free(list_entry(link, struct report_waiter, link));
    list_remove(&job->link);
    if (job->pid_fd >= 0)
        server_unwatch(netd, job->pid_fd);
    if (job->memfd >= 0)
        close(job->memfd);
    free(job);
}

static void shared_free(struct shared_report *shared)
{
    if (shared->fd < 0)
        return;
    report_empty(shared->fd);
    close(shared->fd);
    close(shared->reader);
    *shared = (struct shared_report){-1, -1, 0};
}

/* The latest report of a kind that may be shared; fd -1: none. */
static struct shared_report *shared_latest(struct netd *netd, uint32_t kind)
{
    return &netd->shared_reports[kind][netd->shared_next[kind]];
}

/* Keeps a finished report for others; takes fd over unless it fails. */
static int share(struct netd *netd, uint32_t kind, int fd, uint64_t made_ns)
{
    int reader = report_reader(fd);
    struct shared_report *shared;

    if (reader < 0)
        return reader;
    netd->shared_next[kind] = (netd->shared_next[kind] + 1) % SHARED_REPORTS;
    shared = shared_latest(netd, kind);
    shared_free(shared);
    *shared = (struct shared_report){fd, reader, made_ns};
    return 0;
}

static void handle_exit(struct netd *netd, void *object, uint32_t events)
{
    struct report_job *job = object;
    siginfo_t info = {0};
    int fd = job->memfd;
    bool done;

    (void)events;
    done = waitid(P_PIDFD, (id_t)job->pid_fd, &info, WEXITED) == 0 && info.si_code == CLD_EXITED && info.si_status == 0;
    if (done && job->shared) {
        done = share(netd, job->kind, fd, job->begun_ns) == 0;
        if (done) {
            job->memfd = -1;
            fd = shared_latest(netd, job->kind)->reader;
        }
    } else if (done) {
        done = report_seal(fd) == 0;
    }
    list_for_each(link, &job->waiting)
    {
        struct report_waiter *waiter = list_entry(link, struct report_waiter, link);

        if (done)
            server_reply_fd(waiter->client, CONTROL_REPORT, waiter->sequence, fd);
        else
            server_reply(waiter->client, CONTROL_REPORT, waiter->sequence, -EIO);
    }
    job_free(netd, job);
}

static unsigned job_count(const struct netd *netd)
{
    unsigned count = 0;

    list_for_each(link, &netd->reports) count++;
    return count;
}

static unsigned waiting_for(const struct report_job *job, const struct user *user)
{
    unsigned count = 0;

    list_for_each(link, &job->waiting)
    {
        if (list_entry(link, struct report_waiter, link)->client->user == user)
            count++;
    }
    return count;
}

static unsigned waiting_count(const struct netd *netd, const struct user *user)
{
    unsigned count = 0;

    list_for_each(link, &netd->reports) count += waiting_for(list_entry(link, struct report_job, link), user);
    return count;
}

/* The child dies with the service, whose lock and sockets it holds as well, but for those that reserve ports: whom the
 * service has told that a port is free finds it so. ready: closed when that is done. */
static void run_child(const struct netd *netd, const struct report_job *job, pid_t service, int ready)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != service)
        _exit(1);
    flows_close_copies(netd->flows);
    close(ready);
    _exit(report_write(netd, job->kind, job->memfd) == 0 ? 0 : 1);
}

/* A child, or a negated errno. It has closed what it is to close. */
static pid_t fork_child(const struct netd *netd, const struct report_job *job)
{
    pid_t service = getpid(), child;
    int ends[2], result;
    char byte;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    child = fork();
    result = -errno;
    if (child == 0)
        run_child(netd, job, service, ends[1]);
    close(ends[1]);
    while (child > 0 && read(ends[0], &byte, 1) < 0 && errno == EINTR)
        ;
    close(ends[0]);
    return child < 0 ? result : child;
}

/* Forks the child that fills job->memfd; sets job->pid_fd. */
static int spawn(const struct netd *netd, struct report_job *job)
{
    pid_t child = fork_child(netd, job);

    if (child < 0)
        return child;
    job->pid_fd = (int)syscall(SYS_pidfd_open, child, 0);
    if (job->pid_fd < 0) {
        int result = -errno;

        waitpid(child, NULL, 0);
        return result;
    }
    return 0;
}

static int job_start(struct netd *netd, uint32_t kind, bool shared, struct report_job **out)
{
    struct report_job *job;
    int result;

    if (job_count(netd) >= MAX_JOBS)
        return -EAGAIN;
    job = calloc(1, sizeof(*job));
    if (!job)
        return -ENOMEM;
    list_init(&job->link);
    list_init(&job->waiting);
    job->pid_fd = -1;
    job->kind = kind;
    job->shared = shared;
    job->begun_ns = platform_now_ns();
    job->on_exit = (struct event_source){handle_exit, job};
    result = job->memfd = report_create();
    if (result >= 0)
        result = spawn(netd, job);
    if (result >= 0)
        result = server_watch(netd, job->pid_fd, &job->on_exit);
    if (result < 0) {
        log_limited(LOG_LEVEL_WARNING, NULL, "reporter: no report: %s", error_text(result));
        if (job->pid_fd >= 0)
            handle_exit(netd, job, 0); /* waits for the child */
        else
            job_free(netd, job);
        return result;
    }
    list_push_back(&netd->reports, &job->link);
    *out = job;
    return 0;
}

static struct report_job *find_shared_job(const struct netd *netd, uint32_t kind)
{
    list_for_each(link, &netd->reports)
    {
        struct report_job *job = list_entry(link, struct report_job, link);

        if (job->shared && job->kind == kind)
            return job;
    }
    return NULL;
}

/* The answer comes when a child has written it. */
static int wait_for_report(struct netd *netd, struct client *client, uint32_t sequence, uint32_t kind, bool shared)
{
    struct report_job *job = shared ? find_shared_job(netd, kind) : NULL;
    struct report_waiter *waiter;
    int result;

    if (client->uid != 0 && waiting_count(netd, client->user) >= MAX_WAITING)
        return LOCKSTEP_E_EXHAUSTED;
    waiter = calloc(1, sizeof(*waiter));
    if (!waiter)
        return -ENOMEM;
    result = job ? 0 : job_start(netd, kind, shared, &job);
    if (result < 0) {
        free(waiter);
        return result;
    }
    waiter->client = client;
    waiter->sequence = sequence;
    list_push_back(&job->waiting, &waiter->link);
    return 0;
}

static int report_now(struct netd *netd, struct client *client, uint32_t sequence, uint32_t kind, bool shared)
{
    int fd = report_create(), result = fd < 0 ? fd : report_write(netd, kind, fd);

    if (result == 0)
        result = shared ? share(netd, kind, fd, platform_now_ns()) : report_seal(fd);
    if (result == 0)
        server_reply_fd(client, CONTROL_REPORT, sequence, shared ? shared_latest(netd, kind)->reader : fd);
    if (fd >= 0 && (result < 0 || !shared))
        close(fd);
    return result;
}

int reporter_request(struct netd *netd, struct client *client, uint32_t sequence, uint32_t kind)
{
    const struct shared_report *latest = shared_latest(netd, kind);
    uint32_t rows = netd->lane_count + (kind == CONTROL_REPORT_STATUS ? 0 : flows_count(netd->flows));
    uint32_t most = kind <= CONTROL_REPORT_CONNECTIONS ? LONG_REPORT : LONG_TABLE;
    bool shared = client->uid != 0;

    if (shared && latest->fd >= 0 && platform_now_ns() - latest->made_ns < SHARED_FOR_NS) {
        server_reply_fd(client, CONTROL_REPORT, sequence, latest->reader);
        return 0;
    }
    if (rows > most)
        return wait_for_report(netd, client, sequence, kind, shared);
    return report_now(netd, client, sequence, kind, shared);
}

static void forget_waiters(struct report_job *job, const struct client *client)
{
    list_for_each(link, &job->waiting)
    {
        struct report_waiter *waiter = list_entry(link, struct report_waiter, link);

        if (waiter->client != client)
            continue;
        list_remove(&waiter->link);
        free(waiter);
    }
}

void reporter_forget_client(struct netd *netd, const struct client *client)
{
    list_for_each(link, &netd->reports) forget_waiters(list_entry(link, struct report_job, link), client);
}

void reporter_tick(struct netd *netd, uint64_t now_ns)
{
    for (uint32_t i = 0; i < REPORT_KINDS * SHARED_REPORTS; i++) {
        struct shared_report *shared = &netd->shared_reports[i / SHARED_REPORTS][i % SHARED_REPORTS];

        if (now_ns - shared->made_ns > READ_WITHIN_NS)
            shared_free(shared);
    }
}
