/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/capture_series.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct capture_series {
    char path[CAPTURE_SERIES_PATH_MAX];
    char name[CAPTURE_SERIES_PATH_MAX + 16];
    uint32_t snap_length;
    uint64_t file_bytes, lost_before; /* the latter: when the file at hand began */
    unsigned keep, number;
    FILE *out;
    struct capture_file *file;
};

static bool is_pipe(const char *path)
{
    return !*path || strcmp(path, "-") == 0;
}

/* The name of the file with this number. */
static void make_name(const struct capture_series *series, unsigned number, char *name, size_t size)
{
    const char *slash = strrchr(series->path, '/'), *base = slash ? slash + 1 : series->path;
    const char *dot = strrchr(base, '.');
    size_t stem = dot && dot > base ? (size_t)(dot - series->path) : strlen(series->path);

    if (series->file_bytes)
        snprintf(name, size, "%.*s-%05u%s", (int)stem, series->path, number, series->path + stem);
    else
        snprintf(name, size, "%s", is_pipe(series->path) ? "standard output" : series->path);
}

/* Packets are everybody's data: a new file is for who captures only. */
static FILE *create(const char *name)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, S_IRUSR | S_IWUSR);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;

    if (fd >= 0 && !file)
        close(fd);
    return file;
}

static int begin(struct capture_series *series)
{
    series->number++;
    make_name(series, series->number, series->name, sizeof series->name);
    series->out = is_pipe(series->path) ? stdout : create(series->name);
    return series->out ? capture_file_open(&series->file, series->out, series->snap_length) : -errno;
}

static int end(struct capture_series *series, uint64_t lost)
{
    int err = capture_file_finish(series->file, lost - series->lost_before);

    capture_file_close(series->file);
    series->file = NULL;
    series->lost_before = lost;
    if (series->out != stdout && fclose(series->out) != 0 && err == 0)
        err = -errno;
    series->out = NULL;
    return err;
}

/* The oldest goes before the next comes, so that there is never more than was allowed. */
static int turn(struct capture_series *series, uint64_t lost)
{
    char oldest[sizeof series->name];
    int err = end(series, lost);

    if (err < 0)
        return err;
    if (series->keep && series->number >= series->keep) {
        make_name(series, series->number - series->keep + 1, oldest, sizeof oldest);
        if (unlink(oldest) < 0 && errno != ENOENT)
            return -errno;
    }
    return begin(series);
}

int capture_series_open(struct capture_series **out, const char *path, uint32_t snap_length, uint64_t file_bytes,
                        unsigned keep)
{
    struct capture_series *series = calloc(1, sizeof *series);

    *out = NULL;
    if (!series)
        return -ENOMEM;
    *out = series;
    series->snap_length = snap_length;
    series->file_bytes = file_bytes;
    series->keep = keep;
    if ((size_t)snprintf(series->path, sizeof series->path, "%s", path) >= sizeof series->path) {
        snprintf(series->name, sizeof series->name, "%s", path);
        return -ENAMETOOLONG;
    }
    return begin(series);
}

void capture_series_close(struct capture_series *series)
{
    if (!series)
        return;
    capture_file_close(series->file);
    if (series->out && series->out != stdout)
        fclose(series->out);
    free(series);
}

struct capture_file *capture_series_file(const struct capture_series *series)
{
    return series->file;
}

const char *capture_series_name(const struct capture_series *series)
{
    return series->name;
}

bool capture_series_is_pipe(const struct capture_series *series)
{
    return is_pipe(series->path);
}

int capture_series_write(struct capture_series *series, uint64_t before_ns, uint64_t lost)
{
    int err = capture_file_write(series->file, before_ns);

    if (err == 0 && series->file_bytes && capture_file_bytes(series->file) >= series->file_bytes)
        err = turn(series, lost);
    return err;
}

int capture_series_finish(struct capture_series *series, uint64_t lost)
{
    return series->file ? end(series, lost) : 0;
}
