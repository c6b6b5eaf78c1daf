/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/top_screen.h"

#include "tools/top_ui.h" /* before term.h, which makes words like "columns" macros */

#include <curses.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>

#define ESCAPE_DELAY_MS 50

static const int ending[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};
static const int fatal[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

static SCREEN *screen;
static volatile sig_atomic_t stopped;
static sigset_t outside; /* the signals blocked before */
static attr_t attributes[CANVAS_STYLES];

/* What a crash needs to give the terminal back, for nothing of ncurses may be called then. */
static struct termios before;
static char farewell[256];
static size_t farewell_length;

/* --- signals ------------------------------------------------------------------------------------------------ */

static void on_end(int number)
{
    stopped = number;
}

static void on_crash(int number)
{
    ssize_t unused = write(STDOUT_FILENO, farewell, farewell_length);

    (void)unused;
    tcsetattr(STDIN_FILENO, TCSANOW, &before);
    raise(number); /* blocked until this returns; the default then */
}

static int collect(int c)
{
    if (farewell_length < sizeof farewell)
        farewell[farewell_length++] = (char)c;
    return c;
}

static void prepare_farewell(void)
{
    static const char *const names[] = {"sgr0", "rmkx", "cnorm", "rmcup"};

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char *text = tigetstr((char *)(uintptr_t)names[i]);

        if (text && text != (char *)-1)
            tputs(text, 1, collect);
    }
}

static void catch_signals(void)
{
    struct sigaction end = {.sa_handler = on_end}, crash = {.sa_handler = on_crash, .sa_flags = (int)SA_RESETHAND};
    sigset_t blocked;

    sigemptyset(&blocked);
    sigaddset(&blocked, SIGWINCH);
    for (size_t i = 0; i < COUNT_OF(ending); i++) {
        sigaction(ending[i], &end, NULL);
        sigaddset(&blocked, ending[i]);
    }
    for (size_t i = 0; i < COUNT_OF(fatal); i++)
        sigaction(fatal[i], &crash, NULL);
    sigprocmask(SIG_BLOCK, &blocked, &outside);
    for (size_t i = 0; i < COUNT_OF(ending); i++)
        sigdelset(&outside, ending[i]);
    sigdelset(&outside, SIGWINCH);
}

int top_screen_stopped(void)
{
    return stopped;
}

/* --- the terminal ------------------------------------------------------------------------------------------- */

static void choose_attributes(bool colour)
{
    const attr_t plain[CANVAS_STYLES] = {[CANVAS_BOLD] = A_BOLD,
                                         [CANVAS_TITLE] = A_BOLD | A_UNDERLINE,
                                         [CANVAS_SELECTED] = A_REVERSE,
                                         [CANVAS_BAD] = A_BOLD};

    memcpy(attributes, plain, sizeof attributes);
    if (!colour || !has_colors() || start_color() == ERR)
        return;
    use_default_colors();
    init_pair(1, COLOR_GREEN, -1);
    init_pair(2, COLOR_RED, -1);
    init_pair(3, COLOR_CYAN, -1);
    attributes[CANVAS_GOOD] = (attr_t)COLOR_PAIR(1);
    attributes[CANVAS_BAD] = A_BOLD | (attr_t)COLOR_PAIR(2);
    attributes[CANVAS_TITLE] = A_BOLD | A_UNDERLINE | (attr_t)COLOR_PAIR(3);
}

/* Whether the terminal's type is known and its cursor can be moved. */
static bool can_draw(void)
{
    const char *move;
    int problem;

    if (setupterm(NULL, STDOUT_FILENO, &problem) != OK)
        return false;
    move = tigetstr((char *)(uintptr_t) "cup");
    del_curterm(cur_term);
    return move && move != (char *)-1;
}

int top_screen_open(bool colour, char *problem)
{
    const char *type = getenv("TERM");

    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &before) < 0) {
        snprintf(problem, 100, "there is no terminal to draw on: use --batch");
        return -1;
    }
    if (!can_draw() || !(screen = newterm(NULL, stdout, stdin))) {
        snprintf(problem, 100, "cannot draw on a terminal of type \"%.40s\": use --batch", type ? type : "");
        return -1;
    }
    prepare_farewell();
    catch_signals();
    cbreak();
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    set_escdelay(ESCAPE_DELAY_MS);
    curs_set(0);
    choose_attributes(colour);
    return 0;
}

void top_screen_close(void)
{
    move(LINES - 1, 0); /* where a terminal with one screen only goes on */
    clrtoeol();
    refresh();
    endwin();
    delscreen(screen);
    screen = NULL;
    for (size_t i = 0; i < COUNT_OF(fatal); i++)
        signal(fatal[i], SIG_DFL);
}

void top_screen_size(int *width, int *height)
{
    getmaxyx(stdscr, *height, *width);
}

static void draw_line(const struct canvas *canvas, int row)
{
    const char *text = canvas->text + (size_t)row * (size_t)canvas->width;
    const uint8_t *style = canvas->style + (size_t)row * (size_t)canvas->width;

    for (int from = 0, to; from < canvas->width; from = to) {
        for (to = from + 1; to < canvas->width && style[to] == style[from]; to++)
            ;
        attrset(attributes[style[from]]);
        mvaddnstr(row, from, text + from, to - from);
    }
}

void top_screen_draw(const struct canvas *canvas, bool whole)
{
    erase();
    for (int row = 0; row < canvas->height; row++)
        draw_line(canvas, row);
    attrset(A_NORMAL);
    if (whole)
        clearok(stdscr, TRUE);
    refresh();
}

int top_screen_key(void)
{
    static const struct {
        int curses, key;
    } keys[] = {
        {KEY_UP, TOP_KEY_UP},
        {KEY_DOWN, TOP_KEY_DOWN},
        {KEY_LEFT, TOP_KEY_LEFT},
        {KEY_RIGHT, TOP_KEY_RIGHT},
        {KEY_PPAGE, TOP_KEY_PAGE_UP},
        {KEY_NPAGE, TOP_KEY_PAGE_DOWN},
        {KEY_HOME, TOP_KEY_HOME},
        {KEY_END, TOP_KEY_END},
        {KEY_ENTER, TOP_KEY_ENTER},
        {'\r', TOP_KEY_ENTER},
        {'\n', TOP_KEY_ENTER},
        {27, TOP_KEY_ESCAPE},
        {KEY_BACKSPACE, TOP_KEY_BACKSPACE},
        {'\b', TOP_KEY_BACKSPACE},
        {127, TOP_KEY_BACKSPACE},
        {'\t', TOP_KEY_TAB},
        {KEY_BTAB, TOP_KEY_BACK_TAB},
        {12, TOP_KEY_REDRAW}, /* Ctrl-L */
        {KEY_RESIZE, TOP_KEY_REDRAW},
    };
    int code = getch();

    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        if (keys[i].curses == code)
            return keys[i].key;
    }
    if (code == ERR)
        return 0;
    return code >= ' ' && code <= '~' ? code : 1; /* some other key: it does nothing */
}

bool top_screen_wait(int fd, int timeout_ms)
{
    struct pollfd fds[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    struct timespec timeout = {timeout_ms / 1000, (long)(timeout_ms % 1000) * 1000000};

    if (ppoll(fds, 2, timeout_ms < 0 ? NULL : &timeout, &outside) < 0)
        return errno == EINTR;
    return !(fds[0].revents & (POLLHUP | POLLERR | POLLNVAL));
}
