/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/history_query.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "monitor/history_histogram.h"
#include "monitor/history_value.h"
#include "service/connection_table.h"

#define TEXT_MAX    16384
#define BUSY_MS     2000
#define MATCHES_MAX 5000 /* rows that are few */
#define NAMES_MAX   16

const char *const history_view_names[] = {"connections", "kernel",  "counters", "clock", "sources",
                                          "runs",        "results", "events",   "gaps",  NULL};

/* --- columns ------------------------------------------------------------------------------------------------ */

#define TEXT(name, title, sql)                                                                                         \
    {                                                                                                                  \
        name, title, HISTORY_COLUMN_TEXT, sql                                                                          \
    }
#define COUNT(name, title)                                                                                             \
    {                                                                                                                  \
        name, title, HISTORY_COLUMN_COUNT, name                                                                        \
    }
#define BYTES(name, title)                                                                                             \
    {                                                                                                                  \
        name, title, HISTORY_COLUMN_BYTES, name                                                                        \
    }
#define NS(name, title)                                                                                                \
    {                                                                                                                  \
        name, title, HISTORY_COLUMN_NS, name                                                                           \
    }
#define REAL(name, title)                                                                                              \
    {                                                                                                                  \
        name, title, HISTORY_COLUMN_REAL, name                                                                         \
    }
#define TIME(name, title, sql)                                                                                         \
    {                                                                                                                  \
        name, title, HISTORY_COLUMN_TIME, sql                                                                          \
    }
#define PROTOCOL TEXT("protocol", "PROTO", "CASE protocol WHEN 6 THEN 'tcp' WHEN 17 THEN 'udp' ELSE 'other' END")
#define ENDS                                                                                                           \
    TEXT("local", "LOCAL", "endpoint(local, local_port)"), TEXT("remote", "REMOTE", "endpoint(remote, remote_port)"),  \
        COUNT("local_port", NULL), COUNT("remote_port", NULL)
#define OWNER TEXT("program", "PROGRAM", "program"), COUNT("pid", "PID"), COUNT("uid", NULL)

static const struct history_column connection_columns[] = {
    COUNT("id", "ID"),
    TIME("opened", "OPENED", "opened_ns"),
    TIME("closed", NULL, "iif(ending = 0, 0, closed_ns)"),
    {"duration_s", "LASTED", HISTORY_COLUMN_DURATION, /* of an open one until something was recorded last */
     "ifnull(duration_ns, max((SELECT realtime_ns FROM recorder) - opened_ns, 0))"},
    TEXT("ending", "ENDING",
         "CASE ending WHEN 0 THEN 'open' WHEN 1 THEN 'closed' WHEN 2 THEN 'unseen' ELSE 'service' END"),
    OWNER,
    TEXT("interface", NULL, "interface"),
    PROTOCOL,
    TEXT("kind", NULL,
         "iif(accepted, 'accepted', CASE kind WHEN 0 THEN 'connect' WHEN 1 THEN 'bound' ELSE 'multicast' END)"),
    TEXT("state", NULL, "connection_state(protocol, kind, state)"),
    ENDS,
    BYTES("rx_bytes", "RX"),
    BYTES("tx_bytes", "TX"),
    COUNT("rx_packets", NULL),
    COUNT("tx_packets", NULL),
    COUNT("ring_drops", NULL),
    COUNT("drops", "DROPS"),
    COUNT("retransmissions", "RETR"),
    COUNT("srtt_us", NULL),
    COUNT("latency_count", NULL),
    NS("p50_ns", "P50"),
    NS("p90_ns", NULL),
    NS("p99_ns", "P99"),
    NS("p99_9_ns", NULL),
    NS("max_ns", "MAX"),
    TIME("seen", NULL, "seen_ns"),
    {0},
};
static const struct history_column kernel_columns[] = {
    COUNT("id", NULL), TIME("at", "AT", "at_ns"), OWNER, PROTOCOL, ENDS, TEXT("reason", "REASON", "reason"), {0},
};
static const struct history_column counter_columns[] = {
    TIME("at", "AT", "at_ns"), TEXT("name", "COUNTER", "name"), COUNT("change", "CHANGE"), COUNT("value", "VALUE"), {0},
};
static const struct history_column clock_columns[] = {
    TIME("at", "AT", "at_ns"),
    TEXT("status", "STATUS", "status"),
    TEXT("selected", "SOURCE", "selected"),
    COUNT("stratum", NULL),
    NS("offset_ns", "OFFSET"),
    NS("bound_ns", "BOUND"),
    NS("bound_utc_ns", "TO UTC"),
    REAL("frequency_ppm", "PPM"),
    REAL("frequency_sigma_ppb", NULL),
    NS("system_offset_ns", "SYSTEM CLOCK"),
    NS("root_delay_ns", NULL),
    NS("root_dispersion_ns", NULL),
    COUNT("disruptions", "DISRUPTIONS"),
    {0},
};
static const struct history_column source_columns[] = {
    TIME("at", "AT", "at_ns"), TEXT("name", "SOURCE", "name"), TEXT("state", "STATE", "state"),
    COUNT("stratum", "ST"),    COUNT("reach", "REACH"),        NS("offset_ns", "OFFSET"),
    NS("bound_ns", "BOUND"),   NS("round_trip_ns", "TRIP"),    {0},
};
static const struct history_column run_columns[] = {
    COUNT("id", "ID"),
    TIME("ended", "ENDED", "at_ns"),
    TEXT("verdict", "VERDICT", "verdict"),
    COUNT("nodes", "NODES"),
    COUNT("rounds", "ROUNDS"),
    REAL("duration_s", "SECONDS"),
    TEXT("title", "TITLE", "title"),
    TEXT("pattern", NULL, "pattern"),
    TEXT("version", NULL, "version"),
    TEXT("reason", "REASON", "reason"),
    TIME("imported", NULL, "imported_ns"),
    TEXT("fingerprint", NULL, "fingerprint"),
    {0},
};
static const struct history_column result_columns[] = {
    COUNT("run", "RUN"),
    TEXT("stack", "STACK", "stack"),
    TEXT("phase", "PHASE", "phase"),
    TEXT("level", NULL, "CASE level WHEN 0 THEN 'whole' WHEN 1 THEN 'class' ELSE 'type' END"),
    TEXT("name", "OF", "CASE level WHEN 0 THEN 'all' ELSE run_results.name END"),
    TEXT("class", NULL, "class"),
    TEXT("verdict", "VERDICT", "run_results.verdict"),
    COUNT("received", "RECEIVED"),
    COUNT("lost", "LOST"),
    NS("limit_ns", "LIMIT"),
    NS("bound_ns", "BOUND"),
    NS("p50_ns", "P50"),
    NS("p99_ns", "P99"),
    NS("p99_9_ns", "P99.9"),
    NS("max_ns", "MAX"),
    {0},
};
static const struct history_column event_columns[] = {
    TIME("at", "AT", "at_ns"), TEXT("subject", "SUBJECT", "subject"), TEXT("text", "TEXT", "text"), {0}};
static const struct history_column gap_columns[] = {TIME("from", "FROM", "from_ns"), TIME("to", "TO", "to_ns"),
                                                    TEXT("what", "WHAT", "what"),    COUNT("lost", "LOST"),
                                                    TEXT("text", "TEXT", "text"),    {0}};

static const struct view {
    const struct history_column *columns;
    const char *from;
    const char *time; /* rows are in its order */
    bool program, name, ends;
} views[HISTORY_VIEWS] = {
    [HISTORY_VIEW_CONNECTIONS] = {connection_columns, "connections", "opened_ns", true, false, true},
    [HISTORY_VIEW_KERNEL] = {kernel_columns, "kernel", "at_ns", true, false, true},
    [HISTORY_VIEW_COUNTERS] = {counter_columns, "counters JOIN series ON series.id = counters.series", "at_ns", false,
                               true, false},
    [HISTORY_VIEW_CLOCK] = {clock_columns, "clock", "at_ns", false, false, false},
    [HISTORY_VIEW_SOURCES] = {source_columns, "sources", "at_ns", false, true, false},
    [HISTORY_VIEW_RUNS] = {run_columns, "runs", "at_ns", false, false, false},
    [HISTORY_VIEW_RESULTS] = {result_columns, "run_results", "run_results.id", false, true, false},
    [HISTORY_VIEW_EVENTS] = {event_columns, "events", "at_ns", false, false, false},
    [HISTORY_VIEW_GAPS] = {gap_columns, "gaps", "to_ns", false, false, false},
};

const struct history_column *history_view_columns(enum history_view view)
{
    return views[view].columns;
}

/* --- opening ------------------------------------------------------------------------------------------------ */

/* endpoint(address, port): "10.0.0.1:7001", or "*" */
static void sql_endpoint(sqlite3_context *context, int count, sqlite3_value **values)
{
    struct net_endpoint endpoint = {.port = (uint16_t)sqlite3_value_int(values[1])};
    char text[NET_ENDPOINT_TEXT_MAX];

    (void)count;
    endpoint.addr = history_address_unpack(sqlite3_value_blob(values[0]), (size_t)sqlite3_value_bytes(values[0]));
    if (endpoint.port || !net_addr_is_any(&endpoint.addr))
        sqlite3_result_text(context, net_endpoint_format(&endpoint, text), -1, SQLITE_TRANSIENT);
    else
        sqlite3_result_text(context, "*", 1, SQLITE_STATIC);
}

/* connection_state(protocol, kind, state): "established" */
static void sql_state(sqlite3_context *context, int count, sqlite3_value **values)
{
    const struct connection_row row = {.protocol = (uint8_t)sqlite3_value_int(values[0]),
                                       .kind = (uint8_t)sqlite3_value_int(values[1]),
                                       .tcp_state = (uint8_t)sqlite3_value_int(values[2])};

    (void)count;
    sqlite3_result_text(context, connection_state_name(&row), -1, SQLITE_STATIC);
}

static int check_version(struct history_sql *sql)
{
    int version = 0, result = history_sql_code(history_schema_version(sql->db, &version));

    if (result < 0)
        return result;
    return version == HISTORY_SCHEMA_VERSION ? 0 : LOCKSTEP_E_BAD_VERSION;
}

static int open_file(const char *name, int flags, int busy_ms, struct history_sql *sql)
{
    int result =
        history_sql_code(sqlite3_open_v2(name, &sql->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | flags, NULL));

    if (result < 0)
        return result;
    sqlite3_busy_timeout(sql->db, busy_ms);
    sqlite3_create_function(sql->db, "endpoint", 2, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, sql_endpoint, NULL, NULL);
    sqlite3_create_function(sql->db, "connection_state", 3, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, sql_state, NULL,
                            NULL);
    return check_version(sql);
}

/* Without a log, which this reader could not make: nobody writes. */
static int open_unchanging(const char *path, int busy_ms, struct history_sql *sql)
{
    char uri[3 * HISTORY_PATH_MAX + 32] = "file:";
    size_t length = strlen(uri);

    for (; *path && length < sizeof uri - 32; path++)
        length += (size_t)snprintf(uri + length, sizeof uri - length, strchr("%?#", *path) ? "%%%02X" : "%c", *path);
    snprintf(uri + length, sizeof uri - length, "?immutable=1");
    return open_file(uri, SQLITE_OPEN_URI, busy_ms, sql);
}

static const char *why_not_open(const char *path, int result, sqlite3 *db)
{
    if (result == LOCKSTEP_E_BAD_FORMAT)
        return "is damaged, or no database";
    if (result == LOCKSTEP_E_BAD_VERSION)
        return "is of another version, or no history";
    if (result == -EAGAIN)
        return "is locked by another program";
    if (access(path, R_OK) == 0)
        return sqlite3_errmsg(db);
    return errno == ENOENT   ? "No such file or directory: has lockstep-historyd been started?"
           : errno == EACCES ? "Permission denied: members of the group lockstep may read it"
                             : strerror(errno);
}

int history_query_open_within(const char *path, int busy_ms, struct history_sql *out, char *problem)
{
    int result;

    *out = (struct history_sql){0};
    result = open_file(path, 0, busy_ms, out);
    if ((result == -EACCES || result == -EROFS) && access(path, R_OK) == 0) {
        history_query_close(out);
        result = open_unchanging(path, busy_ms, out);
    }
    if (result == 0)
        return 0;
    snprintf(problem, HISTORY_QUERY_PROBLEM_MAX, "%.160s: %.100s", path, why_not_open(path, result, out->db));
    history_query_close(out);
    return result;
}

int history_query_open(const char *path, struct history_sql *out, char *problem)
{
    return history_query_open_within(path, BUSY_MS, out, problem);
}

void history_query_close(struct history_sql *sql)
{
    history_sql_release(sql);
    sqlite3_close(sql->db);
    sql->db = NULL;
}

/* --- filters ------------------------------------------------------------------------------------------------ */

int history_filter_connection(struct history_filter *filter, const char *text)
{
    struct net_endpoint endpoint;
    char *end;
    long port;

    filter->has_address = filter->has_port = false;
    if (*text == ':' && text[1] >= '0' && text[1] <= '9') {
        port = strtol(text + 1, &end, 10);
        if (*end || port < 0 || port > 65535)
            return LOCKSTEP_E_BAD_FORMAT;
        filter->has_port = true;
        filter->port = (uint16_t)port;
        return 0;
    }
    filter->has_address = true;
    if (net_addr_parse(text, &filter->address) == 0)
        return 0;
    if (net_endpoint_parse(text, &endpoint) < 0)
        return LOCKSTEP_E_BAD_FORMAT;
    filter->address = endpoint.addr;
    filter->port = endpoint.port;
    filter->has_port = endpoint.port != 0;
    return 0;
}

/* Text that grows; what does not fit is cut, and noticed when the statement is prepared. */
struct text {
    char bytes[TEXT_MAX];
    size_t length;
};

static void add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *text, const char *format, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(text->bytes + text->length, sizeof text->bytes - text->length, format, arguments);
    va_end(arguments);
    text->length += length > 0 && text->length + (size_t)length < sizeof text->bytes ? (size_t)length : 0;
}

/* What the statement's parameters are bound to, by name. */
static void bind_filter(sqlite3_stmt *statement, const struct history_filter *filter)
{
    struct history_address address = history_address_pack(&filter->address);
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {{":since", filter->since_ns}, {":until", filter->until_ns}, {":port", filter->port},
                   {":run", filter->run},        {":id", filter->id},          {":limit", filter->limit}};

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sqlite3_bind_int64(statement, sqlite3_bind_parameter_index(statement, numbers[i].name), numbers[i].value);
    sqlite3_bind_text(statement, sqlite3_bind_parameter_index(statement, ":program"), filter->program, -1,
                      SQLITE_TRANSIENT);
    sqlite3_bind_text(statement, sqlite3_bind_parameter_index(statement, ":name"), filter->name, -1, SQLITE_TRANSIENT);
    sqlite3_bind_blob(statement, sqlite3_bind_parameter_index(statement, ":address"), address.bytes,
                      (int)address.length, SQLITE_TRANSIENT);
}

static bool given(const char *text)
{
    return text && *text;
}

static void add_pattern(struct text *text, const char *column, const char *parameter, const char *value)
{
    if (given(value))
        add(text, " AND %s %s %s", column, strchr(value, '*') ? "GLOB" : "=", parameter);
}

/* "side" is local or remote. */
static void add_side(struct text *text, const struct history_filter *filter, const char *side)
{
    if (filter->has_address)
        add(text, "%s = :address", side);
    if (filter->has_address && filter->has_port)
        add(text, " AND ");
    if (filter->has_port)
        add(text, "%s_port = :port", side);
}

static void add_common(struct text *text, const struct view *view, const struct history_filter *filter)
{
    if (view->program)
        add_pattern(text, "program", ":program", filter->program);
    if (view->name)
        add_pattern(text, "name", ":name", filter->name);
    if (!view->ends || (!filter->has_address && !filter->has_port))
        return;
    add(text, " AND (");
    add_side(text, filter, "local");
    add(text, " OR ");
    add_side(text, filter, "remote");
    add(text, ")");
}

static const char *limit_of(const struct history_filter *filter)
{
    return filter->limit > 0 ? " LIMIT :limit" : "";
}

/* --- connections: alive at any time of the range -------------------------------------------------------------- */

/* Where the newest rows of a filter are found: an index, whose rows of one key are in the order of time, and its key.
 */
struct access {
    unsigned count;
    struct {
        const char *index, *condition; /* "" : all rows */
    } keys[NAMES_MAX];
};

/* Programs that a pattern means; more than there is room for: it is not looked up by program. */
struct names {
    unsigned count;
    char name[NAMES_MAX + 1][CONTROL_NAME_MAX + 1], condition[NAMES_MAX + 1][24];
};

/* Whether the key has few rows. */
static bool is_few(struct history_sql *sql, const struct history_filter *filter, const char *index,
                   const char *condition)
{
    sqlite3_stmt *statement = NULL;
    struct text text = {.length = 0};
    bool few = false;

    add(&text, "SELECT count(*) FROM (SELECT 1 FROM connections INDEXED BY %s WHERE %s LIMIT %d)", index, condition,
        MATCHES_MAX);
    if (sqlite3_prepare_v2(sql->db, text.bytes, -1, &statement, NULL) == SQLITE_OK) {
        bind_filter(statement, filter);
        few = sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_int64(statement, 0) < MATCHES_MAX;
    }
    sqlite3_finalize(statement);
    return few;
}

/* Jumps from one program to the next. */
static void find_names(struct history_sql *sql, const struct history_filter *filter, struct names *names)
{
    static const char query[] =
        "WITH RECURSIVE programs(name) AS (SELECT min(program) FROM connections UNION ALL"
        " SELECT (SELECT min(program) FROM connections WHERE program > name) FROM programs WHERE name IS NOT NULL)"
        " SELECT name FROM programs WHERE name GLOB :program";
    sqlite3_stmt *statement = NULL;

    names->count = 0;
    if (sqlite3_prepare_v2(sql->db, query, -1, &statement, NULL) == SQLITE_OK) {
        bind_filter(statement, filter);
        while (names->count <= NAMES_MAX && sqlite3_step(statement) == SQLITE_ROW) {
            snprintf(names->name[names->count], sizeof *names->name, "%s",
                     (const char *)sqlite3_column_text(statement, 0));
            snprintf(names->condition[names->count], sizeof *names->condition, "program = :name%u", names->count);
            names->count++;
        }
    }
    sqlite3_finalize(statement);
}

static void bind_names(sqlite3_stmt *statement, const struct names *names)
{
    for (unsigned i = 0; i < names->count; i++) {
        char parameter[16];

        snprintf(parameter, sizeof parameter, ":name%u", i);
        sqlite3_bind_text(statement, sqlite3_bind_parameter_index(statement, parameter), names->name[i], -1,
                          SQLITE_TRANSIENT);
    }
}

static void add_key(struct access *access, const char *index, const char *condition)
{
    access->keys[access->count].index = index;
    access->keys[access->count++].condition = condition;
}

static void access_by_end(struct history_sql *sql, const struct history_filter *filter, struct access *access)
{
    if (!filter->has_port || (filter->has_address && is_few(sql, filter, "connections_local", "local = :address") &&
                              is_few(sql, filter, "connections_remote", "remote = :address"))) {
        add_key(access, "connections_local", "local = :address");
        add_key(access, "connections_remote", "remote = :address");
    } else {
        add_key(access, "connections_local_port", "local_port = :port");
        add_key(access, "connections_remote_port", "remote_port = :port");
    }
}

static void access_by_program(const struct history_filter *filter, const struct names *names, struct access *access)
{
    if (!strchr(filter->program, '*'))
        add_key(access, "connections_program", "program = :program");
    for (unsigned i = 0; i < names->count; i++)
        add_key(access, "connections_program", names->condition[i]);
}

static void choose_access(struct history_sql *sql, const struct history_filter *filter, struct names *names,
                          struct access *access)
{
    bool program = given(filter->program), pattern = program && strchr(filter->program, '*');

    if (filter->has_address || filter->has_port)
        access_by_end(sql, filter, access);
    if (access->count && (!program || (is_few(sql, filter, access->keys[0].index, access->keys[0].condition) &&
                                       is_few(sql, filter, access->keys[1].index, access->keys[1].condition))))
        return;
    if (pattern)
        find_names(sql, filter, names);
    if (program && names->count <= NAMES_MAX) {
        access->count = 0;
        access_by_program(filter, names, access);
        return;
    }
    names->count = 0;
    if (access->count == 0)
        add_key(access, "connections_opened", "1");
}

/* Rows of a key that were opened in the range, the newest first. */
static void add_opened(struct text *text, const struct view *view, const struct history_filter *filter,
                       const char *index, const char *condition)
{
    add(text,
        "SELECT * FROM (SELECT id, opened_ns FROM connections INDEXED BY %s WHERE %s"
        " AND opened_ns BETWEEN :since AND :until",
        index, condition);
    add_common(text, view, filter);
    add(text, " ORDER BY opened_ns DESC%s)", limit_of(filter));
}

/* By time, too: those that were open when the range began. */
static void add_connections(struct text *text, const struct view *view, const struct history_filter *filter,
                            const struct access *access)
{
    add(text, "connections WHERE ");
    if (filter->id) {
        add(text, "id = :id");
        return;
    }
    add(text, "id IN (SELECT id FROM (SELECT 0 AS id, 0 AS opened_ns WHERE 0");
    for (unsigned i = 0; i < access->count; i++) {
        add(text, " UNION ");
        add_opened(text, view, filter, access->keys[i].index, access->keys[i].condition);
    }
    if (filter->since_ns > INT64_MIN) {
        add(text, " UNION SELECT * FROM (SELECT id, opened_ns FROM connections INDEXED BY connections_closed"
                  " WHERE closed_ns >= :since AND opened_ns < :since");
        add_common(text, view, filter);
        add(text, " ORDER BY opened_ns DESC%s)", limit_of(filter));
    }
    add(text, " ORDER BY opened_ns DESC%s)) ORDER BY opened_ns, id", limit_of(filter));
}

/* --- all others --------------------------------------------------------------------------------------------- */

static void add_columns(struct text *text, const struct view *view)
{
    for (const struct history_column *column = view->columns; column->name; column++)
        add(text, "%s%s AS \"%s\"", column == view->columns ? "" : ", ", column->sql, column->name);
}

/* The newest so many, and those in order. */
static void add_rows(struct text *text, enum history_view kind, const struct view *view,
                     const struct history_filter *filter)
{
    const char *id = kind == HISTORY_VIEW_COUNTERS  ? "counters.id"
                     : kind == HISTORY_VIEW_RESULTS ? "run_results.id"
                                                    : "id";

    add(text, "SELECT * FROM (SELECT ");
    add_columns(text, view);
    add(text, ", %s AS time_, %s AS id_ FROM %s WHERE ", view->time, id, view->from);
    if (kind == HISTORY_VIEW_RESULTS)
        add(text, "run = iif(:run > 0, :run, (SELECT id FROM runs ORDER BY at_ns DESC LIMIT 1))");
    else
        add(text, "%s BETWEEN :since AND :until", view->time);
    add_common(text, view, filter);
    add(text, " ORDER BY time_ DESC, id_ DESC%s) ORDER BY time_, id_", limit_of(filter));
}

static const char *unknown_filter(const struct view *view, const struct history_filter *filter)
{
    if (given(filter->program) && !view->program)
        return "program";
    if (given(filter->name) && !view->name)
        return "name";
    if ((filter->has_address || filter->has_port) && !view->ends)
        return "connection";
    return NULL;
}

int history_query_prepare(struct history_sql *sql, enum history_view kind, const struct history_filter *filter,
                          sqlite3_stmt **out, char *problem)
{
    const struct view *view = &views[kind];
    const char *unknown = unknown_filter(view, filter);
    struct access access = {.count = 0};
    struct names names = {.count = 0};
    struct text text = {.length = 0};

    if (unknown) {
        snprintf(problem, HISTORY_QUERY_PROBLEM_MAX, "%s cannot be chosen by %s", history_view_names[kind], unknown);
        return LOCKSTEP_E_NOT_SUPPORTED;
    }
    if (kind == HISTORY_VIEW_CONNECTIONS) {
        add(&text, "SELECT ");
        add_columns(&text, view);
        add(&text, " FROM ");
        if (!filter->id)
            choose_access(sql, filter, &names, &access);
        add_connections(&text, view, filter, &access);
    } else {
        add_rows(&text, kind, view, filter);
    }
    if (sqlite3_prepare_v2(sql->db, text.bytes, -1, out, NULL) != SQLITE_OK) {
        snprintf(problem, HISTORY_QUERY_PROBLEM_MAX, "%.200s", sqlite3_errmsg(sql->db));
        return history_sql_error(sql);
    }
    bind_filter(*out, filter);
    bind_names(*out, &names);
    return 0;
}

int history_query_histogram(struct history_sql *sql, int64_t id, uint32_t buckets[LANE_STATS_SLOT_BUCKETS])
{
    sqlite3_stmt *statement = history_sql_query(sql, "SELECT histogram FROM connections WHERE id = ?", "i", id);
    int code = statement ? sqlite3_step(statement) : SQLITE_ERROR, result = history_sql_code(code);

    if (code == SQLITE_ROW)
        result = history_histogram_unpack(sqlite3_column_blob(statement, 0), (size_t)sqlite3_column_bytes(statement, 0),
                                          buckets);
    else if (code == SQLITE_DONE)
        result = LOCKSTEP_E_GONE;
    sqlite3_reset(statement);
    return result;
}
