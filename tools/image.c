/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/image.h"

#include <elf.h>
#include <string.h>

#if defined(__x86_64__)
#define OWN_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OWN_MACHINE EM_AARCH64
#else
#error "the machine's ELF number is wanted here"
#endif
#define SCRIPT_LINE_MAX 256 /* the kernel looks at no more */

static enum image_kind parse_script(const char *text, size_t length, struct image *out)
{
    size_t begin = 2, end;

    length = length < SCRIPT_LINE_MAX ? length : SCRIPT_LINE_MAX;
    while (begin < length && (text[begin] == ' ' || text[begin] == '\t'))
        begin++;
    end = begin;
    while (end < length && !strchr(" \t\r\n", text[end])) /* finds NUL too */
        end++;
    if (end == begin || end - begin >= sizeof out->interpreter)
        return IMAGE_UNKNOWN;
    memcpy(out->interpreter, text + begin, end - begin);
    out->interpreter[end - begin] = '\0';
    return IMAGE_SCRIPT;
}

static void copy_interpreter(const char *file, size_t length, const Elf64_Phdr *header, struct image *out)
{
    if (header->p_offset >= length || header->p_filesz > length - header->p_offset ||
        header->p_filesz > sizeof out->interpreter || header->p_filesz == 0 ||
        file[header->p_offset + header->p_filesz - 1] != '\0')
        return;
    memcpy(out->interpreter, file + header->p_offset, header->p_filesz);
}

static enum image_kind parse_elf(const char *file, size_t length, struct image *out)
{
    Elf64_Ehdr elf;

    if (length < EI_NIDENT)
        return IMAGE_UNKNOWN;
    if (file[EI_CLASS] != ELFCLASS64 || file[EI_DATA] != ELFDATA2LSB)
        return IMAGE_OTHER_MACHINE;
    if (length < sizeof elf)
        return IMAGE_UNKNOWN;
    memcpy(&elf, file, sizeof elf);
    if (elf.e_machine != OWN_MACHINE)
        return IMAGE_OTHER_MACHINE;
    if ((elf.e_type != ET_EXEC && elf.e_type != ET_DYN) || elf.e_phentsize != sizeof(Elf64_Phdr) || elf.e_phnum == 0 ||
        elf.e_phoff > length || (length - elf.e_phoff) / sizeof(Elf64_Phdr) < elf.e_phnum)
        return IMAGE_UNKNOWN;
    for (unsigned i = 0; i < elf.e_phnum; i++) {
        Elf64_Phdr header;

        memcpy(&header, file + elf.e_phoff + i * sizeof header, sizeof header);
        if (header.p_type == PT_INTERP) {
            copy_interpreter(file, length, &header, out);
            return IMAGE_DYNAMIC;
        }
    }
    return IMAGE_STATIC;
}

void image_parse(const void *data, size_t length, struct image *out)
{
    const char *file = data;

    memset(out, 0, sizeof *out);
    if (length >= SELFMAG && memcmp(file, ELFMAG, SELFMAG) == 0)
        out->kind = parse_elf(file, length, out);
    else if (length >= 2 && memcmp(file, "#!", 2) == 0)
        out->kind = parse_script(file, length, out);
    else
        out->kind = IMAGE_TEXT;
}
