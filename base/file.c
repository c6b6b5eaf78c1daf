/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/error.h"

#define STEP       65536
#define CONFIG_MAX (256 << 10)

/* Doubles the room until the end of the file is in it. */
static int read_all(FILE *file, size_t max, char **text, size_t *length)
{
    size_t room = STEP;

    *length = 0;
    *text = malloc(room);
    while (*text) {
        char *larger;

        *length += fread(*text + *length, 1, room - 1 - *length, file);
        if (ferror(file))
            return -EIO;
        if (*length > max)
            return LOCKSTEP_E_EXHAUSTED;
        (*text)[*length] = '\0';
        if (feof(file))
            return 0;
        room *= 2;
        larger = realloc(*text, room);
        if (!larger)
            break;
        *text = larger;
    }
    return -ENOMEM;
}

int file_read(const char *path, size_t max, char **text, size_t *length)
{
    FILE *file = fopen(path, "re");
    int err;

    *text = NULL;
    if (!file)
        return -errno;
    err = read_all(file, max, text, length);
    if (err) {
        free(*text);
        *text = NULL;
    }
    fclose(file);
    return err;
}

int file_read_config(const char *given, const char *usual, const char **path, char **text, size_t *length,
                     char *problem)
{
    int err;

    *path = *given ? given : usual;
    err = file_read(*path, CONFIG_MAX, text, length);
    if (err == -ENOENT && !*given) {
        *length = 0;
        *text = strdup("");
        err = *text ? 0 : -ENOMEM;
    }
    if (err < 0)
        snprintf(problem, CONFIG_PROBLEM_MAX, "cannot read %.300s: %s", *path, error_text(err));
    return err;
}

int file_write(const char *path, const char *text, size_t length)
{
    char *temporary = NULL;
    FILE *file = NULL;
    bool good = false;
    int err = 0;

    if (asprintf(&temporary, "%s.new", path) < 0)
        return -ENOMEM;
    file = fopen(temporary, "we");
    if (file) {
        good = fwrite(text, 1, length, file) == length;
        good = fclose(file) == 0 && good;
        good = good && rename(temporary, path) == 0;
    }
    if (!good) {
        err = errno ? -errno : -EIO;
        if (file)
            remove(temporary);
    }
    free(temporary);
    return err;
}
