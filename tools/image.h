/* SPDX-License-Identifier: BSD-2-Clause */
/* What an executable file is, as far as preloading a library into it goes (elf(5), execve(2)). Pure. */
#ifndef LOCKSTEP_TOOLS_IMAGE_H
#define LOCKSTEP_TOOLS_IMAGE_H

#include <stddef.h>

#define IMAGE_HEAD_BYTES      65536 /* as much of a file's beginning is worth giving to image_parse */
#define IMAGE_INTERPRETER_MAX 256

enum image_kind {
    IMAGE_UNKNOWN,       /* malformed, not a program, or its headers are not within the bytes given */
    IMAGE_TEXT,          /* neither ELF nor script: execvp gives it to /bin/sh */
    IMAGE_SCRIPT,        /* begins with "#!" */
    IMAGE_DYNAMIC,       /* this machine's, with a dynamic linker */
    IMAGE_STATIC,        /* this machine's, without */
    IMAGE_OTHER_MACHINE, /* another processor or word size */
};

struct image {
    enum image_kind kind;
    char interpreter[IMAGE_INTERPRETER_MAX]; /* SCRIPT: the program; DYNAMIC: the dynamic linker, "" if not found */
};

/* data: a file's first `length` bytes. */
void image_parse(const void *data, size_t length, struct image *out);

#endif
