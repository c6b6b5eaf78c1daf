/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/json_report.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/value.h"

#define DEPTH_MAX 16

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

int report_ask(struct netd_client *client, uint32_t kind, struct json_object **out)
{
    int fd, err = client_report(client, kind, &fd);

    *out = NULL;
    if (err < 0)
        return err;
    *out = parse_file(fd);
    close(fd);
    return *out ? 0 : LOCKSTEP_E_BAD_FORMAT;
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

void report_copy(char *out, size_t size, struct json_object *object, const char *key)
{
    snprintf(out, size, "%s", report_text(object, key));
    value_make_printable(out);
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

double report_real(struct json_object *object, const char *key)
{
    struct json_object *member = report_member(object, key);

    return json_object_is_type(member, json_type_int) || json_object_is_type(member, json_type_double)
               ? json_object_get_double(member)
               : (double)NAN;
}
