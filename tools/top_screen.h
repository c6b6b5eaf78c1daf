/* SPDX-License-Identifier: BSD-2-Clause */
/* The terminal of `lockstep top`, by ncurses. Whatever ends the program, the terminal is as it was before. One thread,
 * and one screen a process. */
#ifndef LOCKSTEP_TOOLS_TOP_SCREEN_H
#define LOCKSTEP_TOOLS_TOP_SCREEN_H

#include <signal.h>
#include <stdbool.h>

#include "tools/canvas.h"

/* Takes the terminal over. Blocks SIGWINCH and the signals that end programs in this thread, but for top_screen_wait:
 * threads made from now on leave them to this one. 0, or -1 with problem (100 bytes). */
int top_screen_open(bool colour, char *problem);
/* Gives the terminal back. */
void top_screen_close(void);

void top_screen_size(int *width, int *height);
/* whole: also what should be there already. */
void top_screen_draw(const struct canvas *canvas, bool whole);
/* A character, enum top_key; 0: there is none; TOP_KEY_REDRAW also when the size has changed. */
int top_screen_key(void);
/* Waits for a key, for fd being readable, or for a signal. False: the terminal has gone. */
bool top_screen_wait(int fd, int timeout_ms);
/* The signal that wants the program to end; 0: none. */
int top_screen_stopped(void);

#endif
