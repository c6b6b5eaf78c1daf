/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/units.h"

#include <stdio.h>

/* Divides by base until what is left has at most three digits before the point, and prints four significant digits;
 * whole when it was not divided. names ends with an entry that is never left. */
static const char *format_scaled(double value, double base, const char *const *names, int count, char *text)
{
    int i = 0;

    /* 999.95 would be printed as 1000. */
    while (i < count - 1 && value >= (i == 0 ? base : base * 0.99995)) {
        value /= base;
        i++;
    }
    if (i == 0)
        snprintf(text, UNITS_TEXT_MAX, "%.0f%s", value, names[i]);
    else
        snprintf(text, UNITS_TEXT_MAX, "%.*f%s",
                 value < 9.9995   ? 3
                 : value < 99.995 ? 2
                 : value < 999.95 ? 1
                                  : 0,
                 value, names[i]);
    return text;
}

const char *units_format_ns(uint64_t ns, char *text)
{
    static const char *const names[] = {" ns", " us", " ms", " s"};

    return format_scaled((double)ns, 1000, names, 4, text);
}

const char *units_format_bytes(uint64_t bytes, char *text)
{
    static const char *const names[] = {" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"};

    return format_scaled((double)bytes, 1024, names, 7, text);
}

const char *units_format_count(uint64_t count, char *text)
{
    static const char *const names[] = {"", " k", " M", " G", " T", " P", " E"};

    return format_scaled((double)count, 1000, names, 7, text);
}

const char *units_format_bits_per_s(double bits_per_s, char *text)
{
    static const char *const names[] = {" b/s", " kb/s", " Mb/s", " Gb/s", " Tb/s"};

    return format_scaled(bits_per_s < 0 ? 0 : bits_per_s, 1000, names, 5, text);
}
