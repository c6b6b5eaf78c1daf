/* SPDX-License-Identifier: BSD-2-Clause */
/* The screen of `lockstep top`: from its state to characters. Pure; single-threaded. */
#ifndef LOCKSTEP_TOOLS_TOP_DRAW_H
#define LOCKSTEP_TOOLS_TOP_DRAW_H

#include "tools/canvas.h"
#include "tools/top_ui.h"

/* Lines that a screen of this height has for rows, for top_ui_resize. */
int top_draw_list_rows(int height);

/* Widths of a view's columns (0: not shown) so that they fit into width with a blank between them: columns of the
 * highest ranks go first, the sorted one never; the others become as wide as their cells need; then others are added.
 */
void top_draw_layout(const struct top_view *view, size_t sorted, const void *const *rows, size_t count,
                     int64_t realtime_ns, int width, uint8_t widths[TOP_COLUMNS_MAX]);

/* Any size of canvas will do. Puts right how far a page is scrolled. */
void top_draw(struct top_ui *ui, const struct top_data *data, struct canvas *canvas);

#endif
