/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/report.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

#define DEPTH_MAX 16

struct netd_client *report_connect(const char *dir)
{
    struct netd_client *client;
    int err = client_connect(&client, dir, "lockstep", 0, NULL);

    dir = client_runtime_dir(dir);
    if (err == LOCKSTEP_E_NO_SERVICE)
        fprintf(stderr, "lockstep: no service at %s: is lockstep-netd running?\n", dir);
    else if (err < 0)
        fprintf(stderr, "lockstep: the service at %s cannot be asked: %s\n", dir, error_text(err));
    return err < 0 ? NULL : client;
}

struct json_object *report_parse(const char *text, size_t length)
{
    struct json_tokener *tokener;
    struct json_object *report;

    if (length == 0 || length > INT_MAX)
        return NULL;
    tokener = json_tokener_new_ex(DEPTH_MAX);
    if (!tokener)
        return NULL;
    report = json_tokener_parse_ex(tokener, text, (int)length);
    json_tokener_free(tokener);
    if (report && !json_object_is_type(report, json_type_object)) {
        json_object_put(report);
        report = NULL;
    }
    return report;
}

/* The service made and sealed the file: it stays as it is while it is mapped. */
static struct json_object *parse_file(int fd)
{
    struct json_object *report;
    struct stat status;
    ssize_t length;
    char *text;

    if (fstat(fd, &status) < 0 || status.st_size <= 0)
        return NULL;
    text = malloc((size_t)status.st_size);
    if (!text)
        return NULL;
    length = pread(fd, text, (size_t)status.st_size, 0);
    report = length > 0 ? report_parse(text, (size_t)length) : NULL;
    free(text);
    return report;
}

struct json_object *report_fetch(struct netd_client *client, uint32_t kind)
{
    struct json_object *report;
    int fd, err = client_report(client, kind, &fd);

    if (err < 0) {
        fprintf(stderr, "lockstep: the service gives no report: %s\n", error_text(err));
        return NULL;
    }
    report = parse_file(fd);
    close(fd);
    if (!report)
        fprintf(stderr, "lockstep: cannot read the service's report\n");
    return report;
}

void report_print_json(struct json_object *report, FILE *out)
{
    fprintf(out, "%s\n",
            json_object_to_json_string_ext(report, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                                       JSON_C_TO_STRING_NOSLASHESCAPE));
}

struct json_object *report_member(struct json_object *object, const char *key)
{
    struct json_object *member = NULL;

    if (json_object_is_type(object, json_type_object))
        json_object_object_get_ex(object, key, &member);
    return member;
}

const char *report_text(struct json_object *object, const char *key)
{
    struct json_object *member = report_member(object, key);

    return json_object_is_type(member, json_type_string) ? json_object_get_string(member) : "";
}

uint64_t report_number(struct json_object *object, const char *key)
{
    struct json_object *member = report_member(object, key);

    return json_object_is_type(member, json_type_int) || json_object_is_type(member, json_type_boolean)
               ? json_object_get_uint64(member)
               : 0;
}

size_t report_count(struct json_object *object, const char *key)
{
    struct json_object *member = report_member(object, key);

    return json_object_is_type(member, json_type_array) ? json_object_array_length(member) : 0;
}

struct json_object *report_element(struct json_object *object, const char *key, size_t index)
{
    return index < report_count(object, key) ? json_object_array_get_idx(report_member(object, key), index) : NULL;
}

void report_print_table(struct json_object *report, const struct report_table *what, FILE *out, unsigned width)
{
    size_t count = report_count(report, what->key);
    struct text_table *table;

    if (count == 0) {
        fprintf(out, "%s\n", what->empty);
        return;
    }
    table = text_table_create(what->columns, what->column_count);
    for (size_t i = 0; i < count; i++)
        what->add_row(table, report_element(report, what->key, i));
    text_table_print(table, out, width);
    text_table_destroy(table);
}
