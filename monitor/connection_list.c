/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/connection_list.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/histogram.h"
#include "monitor/row_json.h"

#define BUCKET_JOIN  2  /* coarse buckets in one of the list's */
#define FIRST_COARSE 18 /* bucket i, from 1 on, begins at coarse bucket 18 + 2 i; 256 ns at 20 */
#define TEXTS_MAX    320
#define WORDS_MAX    16

/* --- choosing ----------------------------------------------------------------------------------------------- */

/* All that a filter looks at, in lower case. */
static void texts_of(const struct connection_row *row, char text[TEXTS_MAX])
{
    char local[NET_ENDPOINT_TEXT_MAX], remote[NET_ENDPOINT_TEXT_MAX];

    snprintf(text, TEXTS_MAX, "%s %u %s %s %s %s %s", row->program, row->pid, row_protocol(row->protocol),
             row_endpoint(&row->local, local), row_endpoint(&row->remote, remote), connection_state_name(row),
             row->interface);
    for (; *text; text++)
        *text = (char)tolower((unsigned char)*text);
}

struct words {
    char text[LIST_FILTER_MAX];
    const char *word[WORDS_MAX];
    unsigned count;
};

static void split(const char *filter, struct words *words)
{
    char *rest = words->text, *word;

    snprintf(words->text, sizeof words->text, "%s", filter);
    words->count = 0;
    while (words->count < WORDS_MAX && (word = strsep(&rest, " "))) {
        if (*word)
            words->word[words->count++] = word;
    }
}

static bool matches(const struct connection_row *row, const struct words *words)
{
    char text[TEXTS_MAX];

    if (words->count == 0)
        return true;
    texts_of(row, text);
    for (unsigned i = 0; i < words->count; i++) {
        if (!strstr(text, words->word[i]))
            return false;
    }
    return true;
}

/* --- sorting ------------------------------------------------------------------------------------------------ */

struct order {
    const struct connection_table *table;
    const struct connection_rate *rates;
    const struct list_query *query;
};

static double number_of(const struct order *order, uint32_t i)
{
    const struct connection_row *row = table_connection(order->table, i);

    switch (order->query->sort) {
    case LIST_SORT_RATE:
        return (double)order->rates[i].rx_bytes + (double)order->rates[i].tx_bytes;
    case LIST_SORT_SINCE:
        return (double)row->since_ns;
    case LIST_SORT_RECEIVED:
        return (double)row->rx_bytes;
    case LIST_SORT_SENT:
        return (double)row->tx_bytes;
    case LIST_SORT_P50:
        return row->latency_p50_ns;
    case LIST_SORT_P90:
        return row->latency_p90_ns;
    case LIST_SORT_P99:
        return row->latency_p99_ns;
    case LIST_SORT_P999:
        return row->latency_p999_ns;
    case LIST_SORT_MAX:
        return row->latency_max_ns;
    case LIST_SORT_MESSAGES:
        return (double)row->latency_count;
    case LIST_SORT_RTT:
        return row->srtt_us;
    case LIST_SORT_RETRANSMISSIONS:
        return row->retransmissions;
    case LIST_SORT_DROPS:
        return (double)row->drops + (double)row->ring_drops;
    default:
        return 0;
    }
}

static int compare_endpoints(const struct net_endpoint *a, const struct net_endpoint *b)
{
    int by_address = memcmp(&a->addr, &b->addr, sizeof a->addr);

    return by_address ? by_address : (int)a->port - (int)b->port;
}

static int compare(const void *one, const void *other, void *context)
{
    const struct order *order = context;
    const uint32_t i = *(const uint32_t *)one, j = *(const uint32_t *)other;
    const struct connection_row *a = table_connection(order->table, i), *b = table_connection(order->table, j);
    double x, y;
    int result;

    switch (order->query->sort) {
    case LIST_SORT_PROGRAM:
        result = strcmp(a->program, b->program);
        break;
    case LIST_SORT_LOCAL:
        result = compare_endpoints(&a->local, &b->local);
        break;
    case LIST_SORT_REMOTE:
        result = compare_endpoints(&a->remote, &b->remote);
        break;
    case LIST_SORT_STATE:
        result = strcmp(connection_state_name(a), connection_state_name(b));
        break;
    default:
        x = number_of(order, i);
        y = number_of(order, j);
        result = (x > y) - (x < y);
    }
    if (result == 0) /* an order that stays from one refresh to the next */
        return (a->key > b->key) - (a->key < b->key);
    return order->query->ascending ? result : -result;
}

int connection_list_select(const struct connection_table *table, const struct connection_rate *rates,
                           const struct list_query *query, uint32_t **rows, uint32_t *count, uint32_t *matching)
{
    struct order order = {table, rates, query};
    const uint32_t total = table->header.connection_count;
    struct words words;

    *matching = 0;
    *rows = malloc((total ? total : 1) * sizeof **rows);
    if (!*rows)
        return -ENOMEM;
    split(query->filter, &words);
    for (uint32_t i = 0; i < total; i++) {
        if (matches(table_connection(table, i), &words))
            (*rows)[(*matching)++] = i;
    }
    qsort_r(*rows, *matching, sizeof **rows, compare, &order);
    *count = *matching > query->offset ? *matching - query->offset : 0;
    if (*count > query->limit)
        *count = query->limit;
    memmove(*rows, *rows + (*count ? query->offset : 0), *count * sizeof **rows);
    return 0;
}

/* --- writing ------------------------------------------------------------------------------------------------ */

static unsigned list_bucket(unsigned coarse)
{
    unsigned bucket = coarse < FIRST_COARSE + BUCKET_JOIN ? 0 : (coarse - FIRST_COARSE) / BUCKET_JOIN;

    return bucket < LIST_BUCKETS ? bucket : LIST_BUCKETS - 1;
}

static void write_edges(struct json_stream *json)
{
    json_begin(json, "bucket_edges_ns", '[');
    for (unsigned i = 1; i < LIST_BUCKETS; i++)
        json_put_uint(json, NULL, histogram_bucket_low((FIRST_COARSE + i * BUCKET_JOIN) << HISTOGRAM_COARSE_SHIFT));
    json_end(json, ']');
}

/* [first bucket in use, its count, the next one's, ... the last in use], to be short; [] if nothing was counted. */
static void write_histogram(struct json_stream *json, const uint32_t *histogram)
{
    uint64_t counts[LIST_BUCKETS] = {0};
    unsigned first = 0, last = LIST_BUCKETS;

    for (unsigned i = 0; i < LANE_STATS_SLOT_BUCKETS; i++)
        counts[list_bucket(i)] += histogram[i];
    while (first < LIST_BUCKETS && counts[first] == 0)
        first++;
    while (last > first && counts[last - 1] == 0)
        last--;
    json_begin(json, "histogram", '[');
    if (first < last)
        json_put_uint(json, NULL, first);
    for (unsigned i = first; i < last; i++)
        json_put_uint(json, NULL, counts[i]);
    json_end(json, ']');
}

/* Members of an object that is open. */
static void write_row(struct json_stream *json, const struct connection_table *table,
                      const struct connection_rate *rates, uint32_t i)
{
    const uint32_t *histogram = table_histogram(table, i);

    row_write(json, table_connection(table, i));
    json_put_real(json, "rx_bytes_per_s", (double)rates[i].rx_bytes);
    json_put_real(json, "tx_bytes_per_s", (double)rates[i].tx_bytes);
    if (histogram)
        write_histogram(json, histogram);
}

int connection_list_write(struct json_stream *json, const struct connection_table *table,
                          const struct connection_rate *rates, const struct list_query *query)
{
    uint32_t *rows, count, matching;
    int err = connection_list_select(table, rates, query, &rows, &count, &matching);

    if (err < 0)
        return err;
    json_put_uint(json, "monotonic_ns", table->header.monotonic_ns);
    json_put_int(json, "time_ns", table->header.realtime_ns);
    json_put_uint(json, "total", table->header.connection_count);
    json_put_uint(json, "matching", matching);
    json_put_uint(json, "offset", query->offset);
    json_put_text(json, "sort", list_sort_name(query->sort));
    json_put_bool(json, "ascending", query->ascending);
    write_edges(json);
    json_begin(json, "connections", '[');
    for (uint32_t i = 0; i < count; i++) {
        json_begin(json, NULL, '{');
        write_row(json, table, rates, rows[i]);
        json_end(json, '}');
    }
    json_end(json, ']');
    free(rows);
    return 0;
}

static void write_lane(struct json_stream *json, const struct connection_table *table, uint32_t lane)
{
    for (uint32_t i = 0; i < table->header.lane_count; i++) {
        const struct lane_row *row = table_lane(table, i);

        if (row->lane != lane)
            continue;
        json_begin(json, "lane", '{');
        json_put_uint(json, "lane", row->lane);
        json_put_text(json, "injector", row->injector == CONTROL_INJECTOR_DIRECT ? "direct" : "guarded");
        json_put_text(json, "device", row->device);
        json_put_uint(json, "flows", row->flows);
        json_put_uint(json, "ring_bytes", row->ring_bytes);
        json_put_uint(json, "ring_high_water", row->ring_high_water);
        json_put_uint(json, "overruns", row->overruns);
        json_put_uint(json, "bad_packets", row->bad_packets);
        json_put_uint(json, "send_failures", row->send_failures);
        json_put_uint(json, "guard_drops", row->guard_drops);
        json_put_uint(json, "sleeps", row->sleeps);
        json_put_uint(json, "wakeups", row->wakeups);
        json_put_uint(json, "spin_ns", row->spin_ns);
        json_end(json, '}');
        return;
    }
}

bool connection_write_one(struct json_stream *json, const struct connection_table *table,
                          const struct connection_rate *rates, uint64_t key)
{
    const struct connection_row *row = NULL;
    uint32_t i;

    for (i = 0; i < table->header.connection_count; i++) {
        row = table_connection(table, i);
        if (row->key == key)
            break;
    }
    if (i == table->header.connection_count)
        return false;
    json_begin(json, NULL, '{');
    write_row(json, table, rates, i);
    write_edges(json);
    write_lane(json, table, row->lane);
    json_end(json, '}');
    return true;
}
