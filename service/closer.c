/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/closer.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "platform/platform.h"

#define MAX_THREADS         128
#define THREADS_PER_ACCOUNT 4
#define STACK_BYTES         65536
#define IDLE_S              5 /* then a thread ends */
#define HANGING_NS          1000000000ull

struct job {
    struct list link;   /* of its account, while it waits */
    struct list of_all; /* oldest first */
    struct closer_account *account;
    void (*work)(intptr_t argument);
    intptr_t argument;
    uint64_t since_ns;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t added = PTHREAD_COND_INITIALIZER;
static struct list ready = {&ready, &ready}; /* accounts that have a job and may have another thread */
static struct list all = {&all, &all};
static unsigned threads, idle;
static pthread_once_t prepared = PTHREAD_ONCE_INIT;
static struct closer_account own = {{&own.jobs, &own.jobs}, {&own.ready, &own.ready}, 0, 0};

void closer_account_init(struct closer_account *account)
{
    memset(account, 0, sizeof(*account));
    list_init(&account->jobs);
    list_init(&account->ready);
}

unsigned closer_pending(const struct closer_account *account)
{
    unsigned pending;

    pthread_mutex_lock(&lock);
    pending = account->pending;
    pthread_mutex_unlock(&lock);
    return pending;
}

/* Lock held. Makes the account ready if it should be, at the end of the line. */
static void line_up(struct closer_account *account)
{
    if (!list_empty(&account->jobs) && list_empty(&account->ready) && account->running < THREADS_PER_ACCOUNT)
        list_push_back(&ready, &account->ready);
}

static void start_thread(void);

/* Lock held. The next job, or NULL when there was none for a while. */
static struct job *take_job(void)
{
    struct closer_account *account;
    struct timespec until;
    struct job *job;
    int result = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += IDLE_S;
    idle++;
    while (list_empty(&ready) && result == 0)
        result = pthread_cond_timedwait(&added, &lock, &until);
    idle--;
    if (list_empty(&ready))
        return NULL;
    account = list_entry(list_pop_front(&ready), struct closer_account, ready);
    job = list_entry(list_pop_front(&account->jobs), struct job, link);
    account->running++;
    line_up(account);
    if (!list_empty(&ready) && idle == 0)
        start_thread(); /* this one may be busy for long */
    return job;
}

static void *run_jobs(void *unused)
{
    struct job *job;

    (void)unused;
    pthread_mutex_lock(&lock);
    while ((job = take_job())) {
        pthread_mutex_unlock(&lock);
        job->work(job->argument);
        pthread_mutex_lock(&lock);
        list_remove(&job->of_all);
        job->account->running--;
        job->account->pending--;
        line_up(job->account);
        free(job);
    }
    threads--;
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* Lock held. */
static void start_thread(void)
{
    pthread_attr_t attributes;
    pthread_t thread;

    if (threads == MAX_THREADS)
        return;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    if (pthread_create(&thread, &attributes, run_jobs, NULL) == 0)
        threads++;
    pthread_attr_destroy(&attributes);
}

static void acquire(void)
{
    pthread_mutex_lock(&lock);
}

static void release(void)
{
    pthread_mutex_unlock(&lock);
}

/* A child that writes a report asks how many hang: it must not be born with the lock in the hands of a thread that it
 * has not. */
static void prepare_for_forks(void)
{
    pthread_atfork(acquire, release, release);
}

void closer_run(struct closer_account *account, void (*work)(intptr_t argument), intptr_t argument)
{
    struct job *job = malloc(sizeof(*job));

    if (!job) {
        work(argument);
        return;
    }
    *job = (struct job){.account = account ? account : &own, .work = work, .argument = argument};
    job->since_ns = platform_now_ns();
    pthread_once(&prepared, prepare_for_forks);
    pthread_mutex_lock(&lock);
    list_push_back(&all, &job->of_all);
    list_push_back(&job->account->jobs, &job->link);
    job->account->pending++;
    line_up(job->account);
    if (idle == 0)
        start_thread();
    pthread_cond_signal(&added);
    pthread_mutex_unlock(&lock);
}

static bool inet_socket_may_linger(int fd)
{
    struct tcp_info info;
    struct linger linger = {0, 0};
    socklen_t length = sizeof(linger);

    if (getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length) < 0 || !linger.l_onoff || linger.l_linger == 0)
        return false;
    memset(&info, 0, sizeof(info));
    length = sizeof(info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0)
        return false; /* UDP */
    return info.tcpi_state != TCP_CLOSE && info.tcpi_state != TCP_LISTEN;
}

/* Asks nothing that a file system would have to answer. */
static bool may_block(int fd)
{
    int domain = 0;
    socklen_t length = sizeof(domain);

    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0)
        return (domain != AF_INET && domain != AF_INET6) || inet_socket_may_linger(fd);
    return fcntl(fd, F_GET_SEALS) < 0; /* only memory files have seals */
}

static void close_descriptor(intptr_t argument)
{
    close((int)argument);
}

void closer_close(struct closer_account *account, int fd)
{
    if (fd < 0)
        return;
    if (may_block(fd))
        closer_run(account, close_descriptor, fd);
    else
        close(fd);
}

unsigned closer_hanging(void)
{
    uint64_t now_ns = platform_now_ns();
    unsigned count = 0;

    pthread_mutex_lock(&lock);
    list_for_each(link, &all)
    {
        if (now_ns - list_entry(link, struct job, of_all)->since_ns < HANGING_NS)
            break;
        count++;
    }
    pthread_mutex_unlock(&lock);
    return count;
}

void closer_wait(unsigned limit_ms)
{
    for (unsigned i = 0; i < limit_ms; i++) {
        bool done;

        pthread_mutex_lock(&lock);
        done = list_empty(&all);
        pthread_mutex_unlock(&lock);
        if (done)
            return;
        usleep(1000);
    }
}
