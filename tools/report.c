/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/report.h"

#include "base/error.h"

struct netd_client *report_connect(const char *dir)
{
    char problem[CLIENT_PROBLEM_MAX];
    struct netd_client *client;
    int err = client_connect(&client, dir, "lockstep", 0, NULL);

    dir = client_runtime_dir(dir);
    if (err == LOCKSTEP_E_NO_SERVICE)
        fprintf(stderr, "lockstep: no service at %s: is lockstep-netd running?\n", dir);
    else if (err < 0)
        fprintf(stderr, "lockstep: the service at %s cannot be asked: %s\n", dir, client_problem(err, problem));
    return err < 0 ? NULL : client;
}

struct json_object *report_fetch(struct netd_client *client, uint32_t kind)
{
    struct json_object *report;
    int err = report_ask(client, kind, &report);

    if (err < 0)
        fprintf(stderr, "lockstep: the service gives no report: %s\n", error_text(err));
    return report;
}

void report_print_json(struct json_object *report, FILE *out)
{
    fprintf(out, "%s\n",
            json_object_to_json_string_ext(report, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                                       JSON_C_TO_STRING_NOSLASHESCAPE));
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
