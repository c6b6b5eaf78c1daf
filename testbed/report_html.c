/* SPDX-License-Identifier: BSD-2-Clause */
/* The page: its own style sheet and script, uPlot, and the document, all in one file. The parts are embedded at build
 * (page_parts.h is generated from page/ and from uPlot's distribution). */
#include "testbed/page_parts.h"
#include "testbed/report.h"

static void put(FILE *out, const unsigned char *part, size_t length)
{
    fwrite(part, 1, length, out);
}

/* "<" occurs in strings only; escaped there, nothing in them can end the script element. */
static void put_document(FILE *out, struct json_object *report)
{
    for (const char *text = json_object_to_json_string_ext(report, JSON_C_TO_STRING_PLAIN); *text; text++) {
        if (*text == '<')
            fputs("\\u003c", out);
        else
            fputc(*text, out);
    }
}

void report_write_html(struct json_object *report, FILE *out)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Lockstep test "
          "bed</title>\n<style>\n",
          out);
    put(out, page_uplot_css, page_uplot_css_length);
    put(out, page_css, page_css_length);
    fputs("</style>\n</head>\n<body>\n", out);
    put(out, page_html, page_html_length);
    fputs("<script type=\"application/json\" id=\"data\">", out);
    put_document(out, report);
    fputs("</script>\n<script>\n", out);
    put(out, page_uplot_js, page_uplot_js_length);
    fputs("</script>\n<script>\n", out);
    put(out, page_js, page_js_length);
    fputs("</script>\n</body>\n</html>\n", out);
}
