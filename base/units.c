/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/units.h"

#include <stdio.h>

/* Divides by base until what is left has at most three digits before the point, and prints three or four significant
 * digits; whole when it was not divided. names ends with an entry that is never left. */
static const char *format_scaled(double value, double base, const char *const *names, int count, int digits, char *text)
{
    const double rounds_up = digits == 4 ? 0.99995 : 0.9995; /* 999.95 would be printed as 1000. */
    int i = 0, decimals = 0;

    while (i < count - 1 && value >= (i == 0 ? base : base * rounds_up)) {
        value /= base;
        i++;
    }
    if (i > 0)
        decimals = digits - (value < 10 * rounds_up ? 1 : value < 100 * rounds_up ? 2 : 3);
    if (value >= 1000 * rounds_up)
        decimals = 0;
    snprintf(text, UNITS_TEXT_MAX, "%.*f%s", decimals, value, names[i]);
    return text;
}

const char *units_format_ns(uint64_t ns, char *text)
{
    static const char *const names[] = {" ns", " us", " ms", " s"};

    return format_scaled((double)ns, 1000, names, 4, 4, text);
}

const char *units_format_bytes(uint64_t bytes, char *text)
{
    static const char *const names[] = {" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"};

    return format_scaled((double)bytes, 1024, names, 7, 4, text);
}

const char *units_format_count(uint64_t count, char *text)
{
    static const char *const names[] = {"", " k", " M", " G", " T", " P", " E"};

    return format_scaled((double)count, 1000, names, 7, 4, text);
}

const char *units_format_bits_per_s(double bits_per_s, char *text)
{
    static const char *const names[] = {" b/s", " kb/s", " Mb/s", " Gb/s", " Tb/s"};

    return format_scaled(bits_per_s < 0 ? 0 : bits_per_s, 1000, names, 5, 4, text);
}

const char *units_format_short(double value, char *text)
{
    static const char *const names[] = {"", "k", "M", "G", "T", "P", "E"};

    return format_scaled(value < 0 ? 0 : value, 1000, names, 7, 3, text);
}

const char *units_format_short_ns(double ns, char *text)
{
    static const char *const names[] = {"ns", "us", "ms", "s"};

    return format_scaled(ns < 0 ? 0 : ns, 1000, names, 4, 3, text);
}
