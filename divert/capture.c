/* SPDX-License-Identifier: BSD-2-Clause */
#include "divert/capture.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "base/list.h"
#include "divert/divert_private.h"

#define ALIVE_NS 3000000000ull

/* The maps of one service. */
struct source {
    struct list link;
    unsigned map_id; /* of the control map */
    struct capture_control *control;
    int events_fd; /* the events leave the map when it is closed, also by the end of the process; -1: none */
    struct perf_buffer *buffer;
    bool attached;        /* as of the last look */
    uint32_t lost_before; /* control->lost when this began */
};

struct capture {
    struct capture_config config;
    capture_handler handler;
    void *context;
    int epoll_fd;
    uint64_t lost; /* of sources that are gone */
    struct list sources;
};

/* ---- packets ---- */

static void take_sample(void *context, int core, void *data, __u32 size)
{
    struct capture *capture = context;
    const struct capture_event *event = data;

    (void)core;
    if (size >= sizeof(*event) && event->captured <= size - sizeof(*event))
        capture->handler(capture->context, event, event + 1);
}

void capture_read(struct capture *capture)
{
    list_for_each(link, &capture->sources)
    {
        struct source *source = list_entry(link, struct source, link);

        if (source->buffer)
            perf_buffer__consume(source->buffer);
    }
}

int capture_fd(const struct capture *capture)
{
    return capture->epoll_fd;
}

static uint32_t lost_of(const struct source *source)
{
    return source->control ? __atomic_load_n(&source->control->lost, __ATOMIC_RELAXED) - source->lost_before : 0;
}

uint64_t capture_lost(const struct capture *capture)
{
    uint64_t lost = capture->lost;

    list_for_each(link, &capture->sources) lost += lost_of(list_entry(link, struct source, link));
    return lost;
}

/* ---- sources ---- */

static size_t buffer_pages(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = 1;

    while (pages * page < bytes)
        pages *= 2;
    return pages;
}

static void source_close(struct source *source)
{
    struct capture_control *control = source->control;

    if (control && control->owner == (uint32_t)getpid()) {
        __atomic_store_n(&control->wanted, 0, __ATOMIC_RELEASE);
        control->owner = 0;
    }
    perf_buffer__free(source->buffer); /* its descriptor leaves the epoll set with it */
    if (source->events_fd >= 0)
        close(source->events_fd);
    if (control)
        munmap(control, (size_t)sysconf(_SC_PAGESIZE));
    list_remove(&source->link);
    free(source);
}

static void source_renew(const struct capture *capture, const struct source *source, uint64_t now_ns)
{
    struct capture_control *control = source->control;

    control->snap_length = capture->config.snap_length;
    control->until_ns = now_ns + ALIVE_NS;
    control->owner = (uint32_t)getpid();
    __atomic_store_n(&control->wanted, capture->config.verdicts, __ATOMIC_RELEASE);
}

static int map_control(struct source *source, int fd)
{
    void *at = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (at == MAP_FAILED)
        return -errno;
    source->control = at;
    source->lost_before = source->control->lost;
    return 0;
}

static int open_buffer(struct capture *capture, struct source *source)
{
    struct epoll_event event = {.events = EPOLLIN};

    source->buffer = perf_buffer__new(source->events_fd, buffer_pages(capture->config.buffer_bytes), take_sample, NULL,
                                      capture, NULL);
    if (!source->buffer)
        return -errno;
    return epoll_ctl(capture->epoll_fd, EPOLL_CTL_ADD, perf_buffer__epoll_fd(source->buffer), &event) < 0 ? -errno : 0;
}

static bool taken_by_other(const struct capture_control *control, uint64_t now_ns, unsigned *other_pid)
{
    *other_pid = control->owner;
    return control->owner && control->owner != (uint32_t)getpid() && control->until_ns > now_ns;
}

static int source_open(struct capture *capture, struct source *source, unsigned program_id, int control_fd,
                       uint64_t now_ns, unsigned *other_pid)
{
    int err = map_control(source, control_fd);

    if (!err && taken_by_other(source->control, now_ns, other_pid))
        err = LOCKSTEP_E_CONFLICT;
    if (err)
        return err;
    source->events_fd = divert_program_map(program_id, "captured", sizeof(__u32), sizeof(__u32));
    return source->events_fd < 0 ? LOCKSTEP_E_NOT_SUPPORTED : open_buffer(capture, source);
}

static unsigned map_id(int fd)
{
    struct bpf_map_info info = {0};
    __u32 length = sizeof(info);

    return bpf_obj_get_info_by_fd(fd, &info, &length) == 0 ? info.id : 0;
}

static struct source *source_find(const struct capture *capture, unsigned id)
{
    list_for_each(link, &capture->sources)
    {
        struct source *source = list_entry(link, struct source, link);

        if (source->map_id == id)
            return source;
    }
    return NULL;
}

/* The divert at one interface; several may have the same. */
static int look_at_program(struct capture *capture, unsigned program_id, uint64_t now_ns, unsigned *other_pid)
{
    int fd = divert_program_map(program_id, CAPTURE_CONTROL_MAP, sizeof(__u32), sizeof(struct capture_control)),
        err = 0;
    struct source *source;

    if (fd < 0)
        return fd == LOCKSTEP_E_GONE ? LOCKSTEP_E_NOT_SUPPORTED : fd;
    source = source_find(capture, map_id(fd));
    if (!source) {
        source = calloc(1, sizeof(*source));
        if (!source) {
            close(fd);
            return -ENOMEM;
        }
        source->map_id = map_id(fd);
        source->events_fd = -1;
        list_push_back(&capture->sources, &source->link);
        err = source_open(capture, source, program_id, fd, now_ns, other_pid);
    }
    close(fd);
    source->attached = !err;
    return err;
}

static int look_at_interfaces(struct capture *capture, uint64_t now_ns, unsigned *other_pid)
{
    struct if_nameindex *interfaces = if_nameindex();
    int result = interfaces ? 0 : -errno;

    for (const struct if_nameindex *at = interfaces; at && at->if_index; at++) {
        unsigned program_id = divert_program_attached(at->if_index);
        int err = program_id ? look_at_program(capture, program_id, now_ns, other_pid) : 0;

        if (err)
            result = err;
    }
    if_freenameindex(interfaces);
    return result;
}

int capture_refresh(struct capture *capture, uint64_t now_ns, unsigned *other_pid)
{
    int count = 0, err;

    list_for_each(link, &capture->sources) list_entry(link, struct source, link)->attached = false;
    err = look_at_interfaces(capture, now_ns, other_pid);
    capture_read(capture); /* of those that are to be closed */
    list_for_each(link, &capture->sources)
    {
        struct source *source = list_entry(link, struct source, link);

        if (source->attached) {
            source_renew(capture, source, now_ns);
            count++;
        } else {
            capture->lost += lost_of(source);
            source_close(source);
        }
    }
    return err ? err : count;
}

/* ---- life ---- */

int capture_open(struct capture **out, const struct capture_config *config, capture_handler handler, void *context)
{
    struct capture *capture = calloc(1, sizeof(*capture));

    *out = NULL;
    if (!capture)
        return -ENOMEM;
    libbpf_set_print(divert_print_libbpf);
    capture->config = *config;
    if (capture->config.snap_length > CAPTURE_BYTES_MAX)
        capture->config.snap_length = CAPTURE_BYTES_MAX;
    capture->handler = handler;
    capture->context = context;
    list_init(&capture->sources);
    capture->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (capture->epoll_fd < 0) {
        free(capture);
        return -errno;
    }
    *out = capture;
    return 0;
}

void capture_close(struct capture *capture)
{
    if (!capture)
        return;
    list_for_each(link, &capture->sources) source_close(list_entry(link, struct source, link));
    close(capture->epoll_fd);
    free(capture);
}
