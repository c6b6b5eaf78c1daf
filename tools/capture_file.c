/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/capture_file.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "platform/platform.h"

#define INTERFACES_MAX 256
#define BLOCK_MAX      (65536 + PCAPNG_OVERHEAD)
#define PENDING_MAX    (32u << 20) /* bytes; then all of it is written */

/* A finished block that waits for its turn. */
struct pending {
    uint64_t monotonic_ns;
    size_t offset, length;
};

struct interface {
    unsigned ifindex;
    uint64_t packets;
};

struct capture_file {
    FILE *out;
    uint32_t snap_length;
    uint64_t begin_ns; /* since 1970 */
    uint64_t bytes;
    int error;
    unsigned interface_count;
    struct interface interfaces[INTERFACES_MAX];
    struct pending *pending;
    size_t pending_count, pending_size;
    uint8_t *blocks;
    size_t blocks_used, blocks_size;
    uint8_t block[BLOCK_MAX];
};

static uint64_t since_1970(uint64_t monotonic_ns)
{
    return (uint64_t)((int64_t)monotonic_ns + platform_realtime_offset_ns());
}

static void write_bytes(struct capture_file *file, const void *bytes, size_t length)
{
    errno = 0;
    if (file->error == 0 && length > 0 && fwrite(bytes, length, 1, file->out) != 1)
        file->error = errno ? -errno : -EIO;
    file->bytes += length;
}

/* ---- interfaces ---- */

static uint64_t speed_of(const char *name)
{
    struct ethtool_cmd command = {.cmd = ETHTOOL_GSET};
    struct ifreq request = {.ifr_data = (char *)&command};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    uint32_t mbit = 0;

    if (fd < 0)
        return 0;
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    if (ioctl(fd, SIOCETHTOOL, &request) == 0)
        mbit = ethtool_cmd_speed(&command);
    close(fd);
    return mbit == (uint32_t)SPEED_UNKNOWN ? 0 : mbit * 1000000ull;
}

static void describe_interface(struct capture_file *file, unsigned ifindex)
{
    char name[IF_NAMESIZE];
    struct pcapng_interface interface = {.name = name, .snap_length = file->snap_length};

    if (if_indextoname(ifindex, name))
        interface.speed_bps = speed_of(name);
    else
        snprintf(name, sizeof name, "if%u", ifindex);
    write_bytes(file, file->block, pcapng_interface(file->block, sizeof file->block, &interface));
}

/* Its number in the file. What comes after INTERFACES_MAX others counts as the last one. */
static uint32_t number_of(struct capture_file *file, unsigned ifindex)
{
    uint32_t number = 0;

    while (number < file->interface_count && file->interfaces[number].ifindex != ifindex)
        number++;
    if (number == INTERFACES_MAX)
        return INTERFACES_MAX - 1;
    if (number == file->interface_count) {
        file->interfaces[file->interface_count++].ifindex = ifindex;
        describe_interface(file, ifindex);
    }
    return number;
}

/* ---- packets ---- */

static int grow(void **array, size_t *size, size_t wanted, size_t element)
{
    size_t more = *size ? *size : 1024;
    void *grown;

    if (wanted <= *size)
        return 0;
    while (more < wanted)
        more *= 2;
    grown = realloc(*array, more * element);
    if (!grown)
        return -ENOMEM;
    *array = grown;
    *size = more;
    return 0;
}

static int keep(struct capture_file *file, uint64_t monotonic_ns, size_t length)
{
    int err = grow((void **)&file->blocks, &file->blocks_size, file->blocks_used + length, 1);

    if (err == 0)
        err = grow((void **)&file->pending, &file->pending_size, file->pending_count + 1, sizeof *file->pending);
    if (err < 0)
        return err;
    memcpy(file->blocks + file->blocks_used, file->block, length);
    file->pending[file->pending_count++] = (struct pending){monotonic_ns, file->blocks_used, length};
    file->blocks_used += length;
    return 0;
}

int capture_file_add(struct capture_file *file, const struct capture_frame *frame)
{
    struct pcapng_packet packet = {
        .interface = number_of(file, frame->ifindex),
        .direction = frame->direction,
        .time_ns = since_1970(frame->monotonic_ns),
        .length = frame->length,
        .captured = frame->captured,
        .bytes = frame->bytes,
        .comment = frame->comment,
    };
    size_t length = pcapng_packet(file->block, sizeof file->block, &packet);
    int err = length > 0 ? keep(file, frame->monotonic_ns, length) : -EMSGSIZE;

    if (err == 0)
        file->interfaces[packet.interface].packets++;
    return err;
}

static int by_time(const void *a, const void *b)
{
    const struct pending *first = a, *second = b;

    if (first->monotonic_ns != second->monotonic_ns)
        return first->monotonic_ns < second->monotonic_ns ? -1 : 1;
    return first->offset < second->offset ? -1 : 1; /* as they came */
}

/* What stays moves to the front. */
static void forget_written(struct capture_file *file, size_t written)
{
    uint8_t *kept = NULL;
    size_t used = 0;

    if (written < file->pending_count) {
        kept = malloc(file->blocks_size);
        if (!kept) {
            file->error = -ENOMEM;
            return;
        }
    }
    for (size_t i = written; i < file->pending_count; i++) {
        struct pending *pending = &file->pending[i];

        memcpy(kept + used, file->blocks + pending->offset, pending->length);
        file->pending[i - written] = (struct pending){pending->monotonic_ns, used, pending->length};
        used += pending->length;
    }
    if (kept) {
        free(file->blocks);
        file->blocks = kept;
    }
    file->pending_count -= written;
    file->blocks_used = used;
}

int capture_file_write(struct capture_file *file, uint64_t before_ns)
{
    size_t written = 0;

    if (file->blocks_used > PENDING_MAX)
        before_ns = UINT64_MAX;
    if (file->pending_count > 1)
        qsort(file->pending, file->pending_count, sizeof *file->pending, by_time);
    for (; written < file->pending_count && file->pending[written].monotonic_ns < before_ns; written++)
        write_bytes(file, file->blocks + file->pending[written].offset, file->pending[written].length);
    if (written > 0)
        forget_written(file, written);
    if (file->error == 0 && fflush(file->out) != 0)
        file->error = -errno;
    return file->error;
}

int capture_file_finish(struct capture_file *file, uint64_t lost)
{
    uint64_t now_ns = since_1970(platform_now_ns());

    capture_file_write(file, UINT64_MAX);
    for (uint32_t i = 0; i < file->interface_count; i++) {
        struct pcapng_statistics statistics = {.interface = i,
                                               .time_ns = now_ns,
                                               .begin_ns = file->begin_ns,
                                               .end_ns = now_ns,
                                               .received = file->interfaces[i].packets};

        if (i == 0) {
            statistics.dropped = lost;
            statistics.comment = lost ? "dropped: of all interfaces together" : NULL;
        }
        write_bytes(file, file->block, pcapng_statistics(file->block, sizeof file->block, &statistics));
    }
    return capture_file_write(file, UINT64_MAX);
}

/* ---- life ---- */

int capture_file_open(struct capture_file **out, FILE *stream, uint32_t snap_length)
{
    struct capture_file *file = calloc(1, sizeof *file);
    struct utsname system = {0};
    char text[2 * sizeof system.release];

    *out = NULL;
    if (!file)
        return -ENOMEM;
    uname(&system);
    snprintf(text, sizeof text, "%s %s", system.sysname, system.release);
    file->out = stream;
    file->snap_length = snap_length;
    file->begin_ns = since_1970(platform_now_ns());
    write_bytes(file, file->block,
                pcapng_section(file->block, sizeof file->block, "lockstep capture " LOCKSTEP_VERSION, text));
    *out = file;
    return capture_file_write(file, 0); /* a reader at the pipe's other end wants to know the format at once */
}

uint64_t capture_file_bytes(const struct capture_file *file)
{
    return file->bytes;
}

void capture_file_close(struct capture_file *file)
{
    if (!file)
        return;
    free(file->pending);
    free(file->blocks);
    free(file);
}
