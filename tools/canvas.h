/* SPDX-License-Identifier: BSD-2-Clause */
/* A screen in memory: characters with styles. What is drawn there can be looked at by tests and copied to a terminal.
 * Writing outside of it is cut; bytes that could drive a terminal become '?'. Single-threaded. */
#ifndef LOCKSTEP_TOOLS_CANVAS_H
#define LOCKSTEP_TOOLS_CANVAS_H

#include <stdint.h>

/* Each must be told from the others by its text alone, too: there are terminals without colour. */
enum canvas_style { CANVAS_PLAIN, CANVAS_BOLD, CANVAS_TITLE, CANVAS_SELECTED, CANVAS_GOOD, CANVAS_BAD, CANVAS_STYLES };

struct canvas {
    int width, height;
    char *text;     /* height * width, no NULs */
    uint8_t *style; /* enum canvas_style of each */
};

/* Blank; zero the structure before the first time. 0 or -ENOMEM: the canvas is empty. */
int canvas_resize(struct canvas *canvas, int width, int height);
void canvas_free(struct canvas *canvas);

/* Writes text from a column on; returns the column after its last character, also if that is outside. */
int canvas_put(struct canvas *canvas, int row, int column, enum canvas_style style, const char *text);
int canvas_printf(struct canvas *canvas, int row, int column, enum canvas_style style, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* A whole row gets a style. */
void canvas_paint(struct canvas *canvas, int row, enum canvas_style style);

#endif
