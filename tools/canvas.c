/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/canvas.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 1024

int canvas_resize(struct canvas *canvas, int width, int height)
{
    size_t cells = (size_t)width * (size_t)height;

    canvas_free(canvas);
    canvas->text = malloc(cells + 1);
    canvas->style = calloc(cells + 1, 1);
    if (!canvas->text || !canvas->style) {
        canvas_free(canvas);
        return -ENOMEM;
    }
    memset(canvas->text, ' ', cells);
    canvas->width = width;
    canvas->height = height;
    return 0;
}

void canvas_free(struct canvas *canvas)
{
    free(canvas->text);
    free(canvas->style);
    *canvas = (struct canvas){0};
}

int canvas_put(struct canvas *canvas, int row, int column, enum canvas_style style, const char *text)
{
    for (; *text; text++, column++) {
        size_t cell = (size_t)row * (size_t)canvas->width + (size_t)column;

        if (row < 0 || row >= canvas->height || column < 0 || column >= canvas->width)
            continue;
        canvas->text[cell] = (char)(*text >= ' ' && *text <= '~' ? *text : '?');
        canvas->style[cell] = (uint8_t)style;
    }
    return column;
}

int canvas_printf(struct canvas *canvas, int row, int column, enum canvas_style style, const char *format, ...)
{
    char text[LINE_MAX_BYTES];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return canvas_put(canvas, row, column, style, text);
}

void canvas_paint(struct canvas *canvas, int row, enum canvas_style style)
{
    if (row >= 0 && row < canvas->height)
        memset(canvas->style + (size_t)row * (size_t)canvas->width, (int)style, (size_t)canvas->width);
}
