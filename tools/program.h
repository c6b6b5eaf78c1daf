/* SPDX-License-Identifier: BSD-2-Clause */
/* The program that `lockstep run` is to start: where it is, and whether a library can be preloaded into it. */
#ifndef LOCKSTEP_TOOLS_PROGRAM_H
#define LOCKSTEP_TOOLS_PROGRAM_H

#include <stddef.h>
#include <sys/types.h>

enum program_obstacle {
    PROGRAM_PRELOADABLE, /* also when nothing is known against it */
    PROGRAM_STATIC,
    PROGRAM_OTHER_MACHINE,
    PROGRAM_OTHER_LIBC, /* another dynamic linker than this program's own */
    PROGRAM_PRIVILEGED, /* set-user-ID, set-group-ID or file capabilities: the dynamic linker ignores LD_PRELOAD */
};

struct program {
    char path[4096];  /* found as execvp(3) finds it */
    char image[4096]; /* the file the kernel will load: path, or a script's interpreter */
    enum program_obstacle obstacle;
};

/* 0, -ENOENT when there is no such program, or another negated errno. */
int program_examine(const char *name, struct program *out);
/* The same as if this user, with this effective group, were to start it. */
int program_examine_for(const char *name, uid_t uid, gid_t gid, struct program *out);
/* "is statically linked" and so on: completes "PROGRAM ...". NULL for PRELOADABLE. */
const char *program_obstacle_text(enum program_obstacle obstacle);

/* The directory that this program itself is in, with a '/' at its end. 0 or a negated errno. */
int program_own_directory(char *directory, size_t size);

#endif
