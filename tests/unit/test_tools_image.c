/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/unit.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/image.h"
#include "tools/program.h"

#define LINKER "/lib64/ld-linux-x86-64.so.2"

struct file {
    Elf64_Ehdr elf;
    Elf64_Phdr headers[2];
    char interpreter[64];
};

static struct file dynamic_program(void)
{
    struct file file = {
        .elf = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                .e_type = ET_DYN,
                .e_machine = EM_X86_64,
                .e_phoff = offsetof(struct file, headers),
                .e_phentsize = sizeof(Elf64_Phdr),
                .e_phnum = 2},
        .headers = {{.p_type = PT_LOAD},
                    {.p_type = PT_INTERP, .p_offset = offsetof(struct file, interpreter), .p_filesz = sizeof LINKER}},
        .interpreter = LINKER,
    };

    return file;
}

static enum image_kind kind_of(const void *data, size_t length)
{
    struct image image;

    image_parse(data, length, &image);
    return image.kind;
}

static void a_dynamic_program_names_its_linker(void **state)
{
    struct file file = dynamic_program();
    struct image image;

    (void)state;
    image_parse(&file, sizeof file, &image);
    assert_int_equal(image.kind, IMAGE_DYNAMIC);
    assert_string_equal(image.interpreter, LINKER);
}

static void without_a_linker_it_is_static(void **state)
{
    struct file file = dynamic_program();

    (void)state;
    file.headers[1].p_type = PT_NOTE;
    assert_int_equal(kind_of(&file, sizeof file), IMAGE_STATIC);
    file.elf.e_type = ET_EXEC;
    assert_int_equal(kind_of(&file, sizeof file), IMAGE_STATIC);
}

static void other_machines_are_told(void **state)
{
    struct file file = dynamic_program();

    (void)state;
    file.elf.e_machine = EM_AARCH64;
    assert_int_equal(kind_of(&file, sizeof file), IMAGE_OTHER_MACHINE);
    file = dynamic_program();
    file.elf.e_ident[EI_CLASS] = ELFCLASS32;
    assert_int_equal(kind_of(&file, sizeof file), IMAGE_OTHER_MACHINE);
    file = dynamic_program();
    file.elf.e_ident[EI_DATA] = ELFDATA2MSB;
    assert_int_equal(kind_of(&file, sizeof file), IMAGE_OTHER_MACHINE);
}

static void damaged_headers_are_unknown(void **state)
{
    struct file file = dynamic_program();

    (void)state;
    assert_int_equal(kind_of(&file, 10), IMAGE_UNKNOWN);
    assert_int_equal(kind_of(&file, sizeof file.elf), IMAGE_UNKNOWN);
    file.elf.e_phoff = UINT64_MAX - 8;
    assert_int_equal(kind_of(&file, sizeof file), IMAGE_UNKNOWN);
    file = dynamic_program();
    file.elf.e_phnum = 60000;
    assert_int_equal(kind_of(&file, sizeof file), IMAGE_UNKNOWN);
    file = dynamic_program();
    file.elf.e_type = ET_REL;
    assert_int_equal(kind_of(&file, sizeof file), IMAGE_UNKNOWN);
}

static void a_linker_out_of_reach_has_no_name(void **state)
{
    struct file file = dynamic_program();
    struct image image;

    (void)state;
    file.headers[1].p_offset = UINT64_MAX - 1;
    image_parse(&file, sizeof file, &image);
    assert_int_equal(image.kind, IMAGE_DYNAMIC);
    assert_string_equal(image.interpreter, "");
    file = dynamic_program();
    file.headers[1].p_filesz = sizeof LINKER - 1; /* not terminated */
    image_parse(&file, sizeof file, &image);
    assert_string_equal(image.interpreter, "");
}

static void assert_script(const char *text, const char *interpreter)
{
    struct image image;

    image_parse(text, strlen(text), &image);
    assert_int_equal(image.kind, IMAGE_SCRIPT);
    assert_string_equal(image.interpreter, interpreter);
}

static void scripts_name_their_interpreter(void **state)
{
    (void)state;
    assert_script("#!/bin/sh\necho\n", "/bin/sh");
    assert_script("#! \t/usr/bin/env python3\n", "/usr/bin/env");
    assert_script("#!/bin/sh", "/bin/sh");
    assert_int_equal(kind_of("#!\n/bin/sh", 10), IMAGE_UNKNOWN);
    assert_int_equal(kind_of("#!", 2), IMAGE_UNKNOWN);
    assert_int_equal(kind_of("echo\n", 5), IMAGE_TEXT);
    assert_int_equal(kind_of("", 0), IMAGE_TEXT);
}

/* --- programs on disk --------------------------------------------------------------------------------------- */

static char directory[] = "/tmp/lockstep-image-XXXXXX";

static const char *write_file(const char *name, const void *data, size_t length, mode_t mode)
{
    static char path[128];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, length, file), length);
    fclose(file);
    assert_int_equal(chmod(path, mode), 0);
    return path;
}

static enum program_obstacle obstacle_of(const char *path)
{
    static struct program program;

    assert_int_equal(program_examine(path, &program), 0);
    return program.obstacle;
}

static void programs_are_found_in_the_path(void **state)
{
    static struct program program;

    (void)state;
    assert_int_equal(program_examine("sh", &program), 0);
    assert_non_null(strstr(program.path, "/sh"));
    assert_int_equal(program.obstacle, PROGRAM_PRELOADABLE);
    assert_int_equal(program_examine("no-such-program-here", &program), -ENOENT);
    assert_int_equal(program_examine("", &program), -ENOENT);
    assert_int_equal(program_examine("/tmp", &program), -EACCES);
    assert_int_equal(program_examine(write_file("not-executable", "x", 1, 0600), &program), -EACCES);
}

static void obstacles_are_found(void **state)
{
    struct file file = dynamic_program();
    char script[128];

    (void)state;
    file.headers[1].p_type = PT_NOTE;
    assert_int_equal(obstacle_of(write_file("static", &file, sizeof file, 0700)), PROGRAM_STATIC);
    snprintf(script, sizeof script, "#!%s/static -x\n", directory);
    assert_int_equal(obstacle_of(write_file("script", script, strlen(script), 0700)), PROGRAM_STATIC);
    assert_int_equal(obstacle_of(write_file("text", "exit 0\n", 7, 0700)), PROGRAM_PRELOADABLE);
    file = dynamic_program();
    file.elf.e_machine = EM_S390;
    assert_int_equal(obstacle_of(write_file("foreign", &file, sizeof file, 0700)), PROGRAM_OTHER_MACHINE);
    file = dynamic_program();
    strcpy(file.interpreter, "/lib/ld-musl-x86_64.so.1");
    file.headers[1].p_filesz = strlen(file.interpreter) + 1;
    assert_int_equal(obstacle_of(write_file("musl", &file, sizeof file, 0700)), PROGRAM_OTHER_LIBC);
}

static void set_user_id_counts_for_other_users_only(void **state)
{
    struct file file = dynamic_program();
    const char *path = write_file("own-setuid", &file, sizeof file, 04700);

    (void)state;
    assert_int_equal(obstacle_of(path), PROGRAM_PRELOADABLE);
    if (getuid() != 0 || chown(path, 65534, 65534) < 0 || chmod(path, 04755) < 0)
        return; /* not root: there is no other user's file; skip() would count as a failure in TAP */
    assert_int_equal(obstacle_of(path), PROGRAM_PRIVILEGED);
}

static int make_directory(void **state)
{
    (void)state;
    return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
    static const char *const names[] = {"not-executable", "static", "script", "text", "foreign", "musl", "own-setuid"};
    char path[128];

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        unlink(path);
    }
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dynamic_program_names_its_linker),
        cmocka_unit_test(without_a_linker_it_is_static),
        cmocka_unit_test(other_machines_are_told),
        cmocka_unit_test(damaged_headers_are_unknown),
        cmocka_unit_test(a_linker_out_of_reach_has_no_name),
        cmocka_unit_test(scripts_name_their_interpreter),
        cmocka_unit_test(programs_are_found_in_the_path),
        cmocka_unit_test(obstacles_are_found),
        cmocka_unit_test(set_user_id_counts_for_other_users_only),
    };

    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
