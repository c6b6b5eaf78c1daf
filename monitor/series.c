/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/series.h"

#include <math.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct series {
    pthread_mutex_t lock;
    unsigned first, count;
    struct series_point points[SERIES_POINTS];
};

static const struct {
    const char *name;
    size_t offset;
} columns[] = {
    {"measured_ns", offsetof(struct series_point, measured_ns)},
    {"offset_ns", offsetof(struct series_point, offset_ns)},
    {"bound_ns", offsetof(struct series_point, bound_ns)},
    {"rx_bits_per_s", offsetof(struct series_point, rx_bits)},
    {"tx_bits_per_s", offsetof(struct series_point, tx_bits)},
    {"drops_per_s", offsetof(struct series_point, drops)},
    {"retransmissions_per_s", offsetof(struct series_point, retransmissions)},
    {"connections", offsetof(struct series_point, connections)},
    {"p50_ns", offsetof(struct series_point, p50_ns)},
    {"p99_ns", offsetof(struct series_point, p99_ns)},
};

static double value_of(const struct series_point *point, size_t column)
{
    double value;

    memcpy(&value, (const char *)point + columns[column].offset, sizeof value);
    return value;
}

struct series_point series_unknown(int64_t time_ms)
{
    return (struct series_point){time_ms, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
}

struct series *series_create(void)
{
    struct series *series = calloc(1, sizeof *series);

    if (series)
        pthread_mutex_init(&series->lock, NULL);
    return series;
}

void series_destroy(struct series *series)
{
    if (!series)
        return;
    pthread_mutex_destroy(&series->lock);
    free(series);
}

static const struct series_point *point_at(const struct series *series, unsigned i)
{
    return &series->points[(series->first + i) % SERIES_POINTS];
}

/* A system clock that has been set back begins the hour anew: the page wants times that grow. */
void series_add(struct series *series, const struct series_point *point)
{
    int64_t since;

    pthread_mutex_lock(&series->lock);
    since = series->count ? point->time_ms - point_at(series, series->count - 1)->time_ms : SERIES_INTERVAL_MS;
    if (since < 0)
        series->count = 0;
    if (since < 0 || since >= SERIES_INTERVAL_MS) {
        if (series->count == SERIES_POINTS) {
            series->first = (series->first + 1) % SERIES_POINTS;
            series->count--;
        }
        series->points[(series->first + series->count) % SERIES_POINTS] = *point;
        series->count++;
    }
    pthread_mutex_unlock(&series->lock);
}

size_t series_copy(struct series *series, int64_t from_ms, struct series_point *out)
{
    size_t count = 0;

    pthread_mutex_lock(&series->lock);
    for (unsigned i = 0; i < series->count; i++) {
        if (point_at(series, i)->time_ms >= from_ms)
            out[count++] = *point_at(series, i);
    }
    pthread_mutex_unlock(&series->lock);
    return count;
}

void series_write(const struct series_point *points, size_t count, struct json_stream *json)
{
    json_begin(json, "time_ms", '[');
    for (size_t i = 0; i < count; i++)
        json_put_int(json, NULL, points[i].time_ms);
    json_end(json, ']');
    for (size_t column = 0; column < sizeof columns / sizeof *columns; column++) {
        json_begin(json, columns[column].name, '[');
        for (size_t i = 0; i < count; i++)
            json_put_real(json, NULL, value_of(&points[i], column));
        json_end(json, ']');
    }
}

void series_write_point(const struct series_point *point, struct json_stream *json, const char *key)
{
    json_begin(json, key, '{');
    json_put_int(json, "time_ms", point->time_ms);
    for (size_t column = 0; column < sizeof columns / sizeof *columns; column++)
        json_put_real(json, columns[column].name, value_of(point, column));
    json_end(json, '}');
}
