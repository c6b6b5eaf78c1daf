/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/prometheus.h"

#include <math.h>

#define EXACT 9e15 /* integers up to here are doubles */

void prometheus_head(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void print_label(FILE *out, const char *value)
{
    for (; *value; value++) {
        if (*value == '\n')
            fputs("\\n", out);
        else if (*value == '"' || *value == '\\')
            fprintf(out, "\\%c", *value);
        else
            fputc(*value >= ' ' && *value <= '~' ? *value : '?', out);
    }
}

static void print_value(FILE *out, double value)
{
    if (value == floor(value) && fabs(value) < EXACT)
        fprintf(out, " %.0f\n", value);
    else
        fprintf(out, " %.12g\n", value);
}

void prometheus_put(FILE *out, const char *name, double value, const char *const *labels)
{
    const char *separator = "{";

    if (!isfinite(value))
        return;
    fputs(name, out);
    for (; *labels; labels += 2) {
        fprintf(out, "%s%s=\"", separator, labels[0]);
        print_label(out, labels[1]);
        fputc('"', out);
        separator = ",";
    }
    if (*separator == ',')
        fputc('}', out);
    print_value(out, value);
}

void prometheus_single(FILE *out, const char *name, const char *type, const char *help, double value)
{
    if (!isfinite(value))
        return;
    prometheus_head(out, name, type, help);
    prometheus_sample(out, name, value, NULL);
}
