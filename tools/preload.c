/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/preload.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "tools/program.h"

#define SEPARATORS " :" /* of LD_PRELOAD */

/* LOCKSTEP_LIBRARY_DIR, LOCKSTEP_LIBRARY_DIR_FROM_BIN: set by meson.build. */
static const char *const places[] = {"../stack", LOCKSTEP_LIBRARY_DIR_FROM_BIN "/lockstep",
                                     LOCKSTEP_LIBRARY_DIR_FROM_BIN, NULL};

static const char *const absolute_places[] = {LOCKSTEP_LIBRARY_DIR "/lockstep", LOCKSTEP_LIBRARY_DIR, NULL};

int preload_find(const char *name, char *path, size_t size)
{
    char directory[PATH_MAX], candidate[PATH_MAX * 2], resolved[PATH_MAX];
    const char *found = NULL;
    int err = program_own_directory(directory, sizeof directory);

    for (int i = 0; err == 0 && !found && places[i]; i++) {
        snprintf(candidate, sizeof candidate, "%s%s/%s", directory, places[i], name);
        found = realpath(candidate, resolved);
    }
    for (int i = 0; !found && absolute_places[i]; i++) {
        snprintf(candidate, sizeof candidate, "%s/%s", absolute_places[i], name);
        found = realpath(candidate, resolved);
    }
    if (!found)
        return -ENOENT;
    if ((size_t)snprintf(path, size, "%s", found) >= size)
        return -ENAMETOOLONG;
    return strpbrk(found, SEPARATORS "\t\n") ? LOCKSTEP_E_BAD_VALUE : 0;
}

static int append(char *out, size_t size, size_t *used, const char *text, size_t length)
{
    size_t separator = *used > 0;

    if (size - *used <= separator + length)
        return -ENAMETOOLONG;
    if (separator)
        out[(*used)++] = ':';
    memcpy(out + *used, text, length);
    *used += length;
    out[*used] = '\0';
    return 0;
}

int preload_compose(const char *library, const char *existing, char *out, size_t size)
{
    size_t used = 0, wanted = strlen(library);
    int err = append(out, size, &used, library, wanted);

    for (; err == 0 && existing && *existing; existing += strspn(existing, SEPARATORS)) {
        size_t length = strcspn(existing, SEPARATORS);

        if (length > 0 && (length != wanted || memcmp(existing, library, length) != 0))
            err = append(out, size, &used, existing, length);
        existing += length;
    }
    return err;
}
