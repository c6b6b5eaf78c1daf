/* SPDX-License-Identifier: BSD-2-Clause */
/* What the recorder's watching threads have seen and its writing thread is to write: items in a queue of bounded
 * memory. */
#ifndef LOCKSTEP_MONITOR_HISTORY_ITEM_H
#define LOCKSTEP_MONITOR_HISTORY_ITEM_H

#include <json-c/json.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "monitor/history_run.h"
#include "service/journal.h"

enum history_item_type {
    HISTORY_ITEM_JOURNAL,  /* journal: one was opened; its records follow */
    HISTORY_ITEM_RECORD,   /* record: of the journal that was opened last */
    HISTORY_ITEM_TABLE,    /* table: a part of a connection table */
    HISTORY_ITEM_COUNTERS, /* counters */
    HISTORY_ITEM_CLOCK,    /* clock */
    HISTORY_ITEM_RUN,      /* run */
    HISTORY_ITEM_EVENT,    /* note: subject, text */
    HISTORY_ITEM_GAP,      /* gap */
};

struct history_counter {
    char name[96]; /* "divert/passed" */
    int64_t value, change;
};

/* What is not known is NAN, or "". */
struct history_clock {
    char status[24], selected[64];
    double stratum, offset_ns, bound_ns, bound_utc_ns, frequency_ppm, frequency_sigma_ppb, system_offset_ns;
    double root_delay_ns, root_dispersion_ns, disruptions;
    struct history_source {
        char name[64], state[16];
        double stratum, reach, offset_ns, bound_ns, round_trip_ns;
    } sources[16];
    unsigned source_count;
};

/* A table that several items share. */
struct history_table {
    struct connection_table table;
    unsigned references;
};

struct history_item {
    struct list link;
    enum history_item_type type;
    size_t bytes;  /* memory that it takes */
    int64_t at_ns; /* CLOCK_REALTIME when it was seen */
    union {
        struct {
            uint64_t instance, first; /* sequence number of the oldest record */
        } journal;
        struct {
            struct history_table *shared;
            uint32_t from, to;
            bool last;
        } table;
        struct {
            size_t count;
            struct history_counter *list;
        } counters;
        struct history_clock *clock;
        struct {
            struct history_run *run;
            char *path; /* a file to be removed when the run is in the database */
        } run;
        struct {
            char subject[40], text[CONTROL_TEXT_MAX + 1];
        } note;
        struct {
            int64_t from_ns; /* to: at_ns */
            int64_t lost;    /* negative: not known */
            char what[32], text[160];
        } gap;
    };
    struct journal_record record[]; /* RECORD: the whole record */
};

/* Zeroed, at_ns now; NULL: no memory. */
struct history_item *history_item_create(enum history_item_type type);
struct history_item *history_item_of_record(const struct journal_record *record);
void history_item_free(struct history_item *item);

/* --- the queue: any threads ---------------------------------------------------------------------------------- */

struct history_queue {
    pthread_mutex_t lock;
    struct list items;
    size_t bytes, bytes_max;
};
void history_queue_init(struct history_queue *queue, size_t bytes_max);
void history_queue_clear(struct history_queue *queue);
/* Room for an item of usual size. */
bool history_queue_has_room(struct history_queue *queue);
/* Takes the item over, if the queue is not full (false). */
bool history_queue_push(struct history_queue *queue, struct history_item *item);
bool history_queue_empty(struct history_queue *queue);
/* Moves items of `rows` rows, or one that has more, to the end of `out`. They count as being in the queue until
 * history_queue_done. */
void history_queue_take(struct history_queue *queue, struct list *out, unsigned rows);
/* Frees all of `items`. */
void history_queue_done(struct history_queue *queue, struct list *items);

#endif
