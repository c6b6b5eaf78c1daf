/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/timeline.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/past.h"

struct kept {
    struct past past;
    int64_t read_ms; /* when; 0: not yet */
};

struct timeline {
    const char *history;
    struct series *series;
    pthread_mutex_t lock;
    struct kept *kept[SERIES_SPANS];
};

struct timeline *timeline_create(const char *history, struct series *series)
{
    struct timeline *timeline = calloc(1, sizeof *timeline);

    if (!timeline)
        return NULL;
    timeline->history = history;
    timeline->series = series;
    pthread_mutex_init(&timeline->lock, NULL);
    return timeline;
}

void timeline_destroy(struct timeline *timeline)
{
    if (!timeline)
        return;
    for (int span = 0; span < SERIES_SPANS; span++)
        free(timeline->kept[span]);
    pthread_mutex_destroy(&timeline->lock);
    free(timeline);
}

/* For half a step. */
static bool is_young(const struct kept *kept, int64_t now_ms)
{
    return kept->read_ms && now_ms >= kept->read_ms && now_ms - kept->read_ms < kept->past.step_ms / 2;
}

/* What the history knows of the span up to `to_ms`; NULL: no memory. */
static const struct past *look_back(struct timeline *timeline, enum series_span span, int64_t now_ms, int64_t to_ms)
{
    struct kept *kept = timeline->kept[span];

    if (!kept)
        timeline->kept[span] = kept = calloc(1, sizeof *kept);
    if (!kept)
        return NULL;
    if (!is_young(kept, now_ms)) {
        past_read(timeline->history, now_ms - series_span_s(span) * 1000, to_ms, &kept->past);
        kept->read_ms = now_ms;
    }
    return &kept->past;
}

/* Puts what the history knows of the time before the recent points in front of them; returns how many there are. */
static size_t join(const struct past *past, struct series_point *points, const struct series_point *recent,
                   size_t recent_count)
{
    size_t count = 0;

    while (past && count < past->count && (recent_count == 0 || past->point[count].time_ms < recent->time_ms)) {
        points[count] = past->point[count];
        count++;
    }
    memmove(points + count, recent, recent_count * sizeof *points);
    return count + recent_count;
}

static struct body *write_document(const struct past *past, enum series_span span, const struct series_point *points,
                                   size_t count)
{
    struct json_stream json = {0};
    struct body_writer writer;

    if (!body_begin(&writer))
        return NULL;
    json.out = writer.out;
    json_begin(&json, NULL, '{');
    json_put_int(&json, "span_s", series_span_s(span));
    json_begin(&json, "history", '{');
    json_put_bool(&json, "available", past && past->available);
    json_put_text(&json, "problem", past ? past->problem : "");
    json_end(&json, '}');
    series_write(points, count, &json);
    json_end(&json, '}');
    return body_end(&writer);
}

struct body *timeline_write(struct timeline *timeline, enum series_span span, int64_t now_ms)
{
    struct series_point *points = calloc(PAST_POINTS + SERIES_POINTS, sizeof *points), *recent;
    const struct past *past;
    struct body *body;
    size_t count;

    if (!points)
        return NULL;
    recent = points + PAST_POINTS;
    pthread_mutex_lock(&timeline->lock);
    count = series_copy(timeline->series, now_ms - series_span_s(span) * 1000, recent);
    past = look_back(timeline, span, now_ms, count ? recent->time_ms : now_ms);
    count = join(past, points, recent, count);
    body = write_document(past, span, points, count);
    pthread_mutex_unlock(&timeline->lock);
    free(points);
    return body;
}
