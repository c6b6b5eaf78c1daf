/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tools/image.h"

#define SCRIPT_LEVELS_MAX 5 /* as the kernel */
#define DEFAULT_PATH      "/bin:/usr/bin"

static int check_file(const char *path)
{
    struct stat status;

    if (stat(path, &status) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode))
        return -EACCES;
    return access(path, X_OK) < 0 ? -errno : 0;
}

/* The first executable file in $PATH; -EACCES if there was one that may not be executed, else -ENOENT. */
static int search_path(const char *name, char *path, size_t size)
{
    const char *directory = getenv("PATH");
    int result = -ENOENT;

    if (!directory)
        directory = DEFAULT_PATH;
    for (;; directory++) {
        size_t length = strcspn(directory, ":");
        int err;

        if ((size_t)snprintf(path, size, "%.*s%s%s", (int)length, directory, length ? "/" : "", name) < size) {
            err = check_file(path);
            if (err == 0)
                return 0;
            if (err == -EACCES)
                result = err;
        }
        directory += length;
        if (*directory == '\0')
            return result;
    }
}

static int find_program(const char *name, char *path, size_t size)
{
    if (*name == '\0')
        return -ENOENT;
    if (!strchr(name, '/'))
        return search_path(name, path, size);
    if ((size_t)snprintf(path, size, "%s", name) >= size)
        return -ENAMETOOLONG;
    return check_file(path);
}

static void read_image(const char *path, struct image *out)
{
    static char head[IMAGE_HEAD_BYTES];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? pread(fd, head, sizeof head, 0) : -1;

    if (fd >= 0)
        close(fd);
    *out = (struct image){.kind = IMAGE_UNKNOWN};
    if (length >= 0)
        image_parse(head, (size_t)length, out);
}

/* Follows scripts to the file that the kernel loads. */
static void resolve_image(struct program *program, struct image *image)
{
    snprintf(program->image, sizeof program->image, "%s", program->path);
    for (int level = 0;; level++) {
        read_image(program->image, image);
        if (level == SCRIPT_LEVELS_MAX)
            return;
        if (image->kind == IMAGE_SCRIPT)
            snprintf(program->image, sizeof program->image, "%s", image->interpreter);
        else if (image->kind == IMAGE_TEXT && level == 0)
            snprintf(program->image, sizeof program->image, "/bin/sh");
        else
            return;
    }
}

/* Will an exec by this user set AT_SECURE (execve(2), capabilities(7))? */
static bool gains_privileges(const char *path, uid_t uid, gid_t gid)
{
    struct stat status;
    struct statvfs filesystem;

    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 || stat(path, &status) < 0)
        return false;
    if (statvfs(path, &filesystem) == 0 && (filesystem.f_flag & ST_NOSUID))
        return false;
    if ((status.st_mode & S_ISUID) && status.st_uid != uid)
        return true;
    if ((status.st_mode & S_ISGID) && (status.st_mode & S_IXGRP) && status.st_gid != gid)
        return true;
    return uid != 0 && getxattr(path, "security.capability", NULL, 0) > 0;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static bool other_libc(const struct image *image)
{
    struct image own;

    read_image("/proc/self/exe", &own);
    return image->interpreter[0] && own.kind == IMAGE_DYNAMIC && own.interpreter[0] &&
           strcmp(base_name(image->interpreter), base_name(own.interpreter)) != 0;
}

static enum program_obstacle find_obstacle(const struct program *program, const struct image *image, uid_t uid,
                                           gid_t gid)
{
    if (gains_privileges(program->image, uid, gid))
        return PROGRAM_PRIVILEGED;
    if (image->kind == IMAGE_STATIC)
        return PROGRAM_STATIC;
    if (image->kind == IMAGE_OTHER_MACHINE)
        return PROGRAM_OTHER_MACHINE;
    if (image->kind == IMAGE_DYNAMIC && other_libc(image))
        return PROGRAM_OTHER_LIBC;
    return PROGRAM_PRELOADABLE;
}

int program_examine_for(const char *name, uid_t uid, gid_t gid, struct program *out)
{
    struct image image;
    int err;

    memset(out, 0, sizeof *out);
    err = find_program(name, out->path, sizeof out->path);
    if (err < 0)
        return err;
    resolve_image(out, &image);
    out->obstacle = find_obstacle(out, &image, uid, gid);
    return 0;
}

int program_examine(const char *name, struct program *out)
{
    return program_examine_for(name, getuid(), getgid(), out);
}

const char *program_obstacle_text(enum program_obstacle obstacle)
{
    switch (obstacle) {
    case PROGRAM_STATIC:
        return "is statically linked";
    case PROGRAM_OTHER_MACHINE:
        return "is built for another machine";
    case PROGRAM_OTHER_LIBC:
        return "uses another C library";
    case PROGRAM_PRIVILEGED:
        return "gains privileges when it starts (set-user-ID, set-group-ID or file capabilities)";
    default:
        return NULL;
    }
}

int program_own_directory(char *directory, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", directory, size - 1);
    char *slash;

    if (length < 0)
        return -errno;
    directory[length] = '\0';
    slash = strrchr(directory, '/');
    if (!slash)
        return -ENOENT;
    slash[1] = '\0';
    return 0;
}
