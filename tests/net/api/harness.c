/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/net/api/harness.h"

#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <regex.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ACCEPTED_SUFFIX ".accepted"
#define STEP_FD         990 /* shared with the case's process: where it is */
#define NAME_MAX_LENGTH 96

struct step {
    char file[64];
    int line;
};

struct run {
    const char *name;
    const struct api_case *definition;
    int output; /* memfd: what the case printed */
    struct step *step;
    int step_fd;
};

struct selection {
    const struct api_case *const *tables;
    char **patterns;
    int pattern_count;
    const char *except;
    bool list;
    bool verbose;
};

struct api_options api = {.family = AF_INET, .interface = "eth0"};
static struct step *current_step;

/* ---- used by cases ---- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

const char *errno_name(int number)
{
    const char *name = number ? strerrorname_np(number) : "no error";
    return name ? name : "unknown error";
}

void case_step(const char *file, int line)
{
    if (!current_step)
        return;
    strncpy(current_step->file, base_name(file), sizeof(current_step->file) - 1);
    current_step->line = line;
}

void case_fail(const char *file, int line, const char *format, ...)
{
    char why[512], text[640];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(why, sizeof(why), format, arguments);
    va_end(arguments);
    int length = snprintf(text, sizeof(text), "\ncheck: %s at %s:%d\n", why, base_name(file), line);
    if (length > (int)sizeof(text) - 1)
        length = sizeof(text) - 1;
    if (write(STDERR_FILENO, text, length) < 0)
        abort();
    _exit(1);
}

int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

void sleep_ms(unsigned ms)
{
    struct timespec left = {ms / 1000, ms % 1000 * 1000000L};

    while (nanosleep(&left, &left) == -1 && errno == EINTR)
        ;
}

void wait_child(pid_t pid)
{
    int status = 0;

    EQUAL(TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)), pid);
    if (WIFSIGNALED(status))
        FAIL("child process killed by SIG%s", sigabbrev_np(WTERMSIG(status)));
    EQUAL(WEXITSTATUS(status), 0);
}

/* ---- the runner ---- */

static void show_output(const struct run *run)
{
    char line[512];
    FILE *file = fdopen(dup(run->output), "r");

    rewind(file);
    while (fgets(line, sizeof(line), file))
        if (line[0] != '\n')
            printf("    | %s%s", line, strchr(line, '\n') ? "" : "\n");
    fclose(file);
}

/* The first failed check that the case's processes printed, without its newline; false: none. */
static bool find_failure(const struct run *run, char *why, size_t size)
{
    char line[700];
    bool found = false;
    FILE *file = fdopen(dup(run->output), "r");

    rewind(file);
    while (!found && fgets(line, sizeof(line), file)) {
        if (strncmp(line, "check: ", 7))
            continue;
        line[strcspn(line, "\n")] = 0;
        snprintf(why, size, "%s", line + 7);
        found = true;
    }
    fclose(file);
    return found;
}

static _Noreturn void become_case(const struct run *run, char **arguments)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int null = open("/dev/null", O_RDONLY);
    dup2(null, STDIN_FILENO);
    dup2(run->output, STDOUT_FILENO);
    dup2(run->output, STDERR_FILENO);
    dup2(run->step_fd, STEP_FD);
    close(null);
    close(run->output);
    close(run->step_fd);
    execv("/proc/self/exe", arguments);
    _exit(127);
}

/* Waits for the case's process: its wait status, or -1 after the time-out. */
static int wait_case(pid_t pid, unsigned timeout_s)
{
    int status = 0, pidfd = syscall(SYS_pidfd_open, pid, 0);
    struct pollfd wait = {.fd = pidfd, .events = POLLIN};
    int ended = poll(&wait, 1, timeout_s * 1000);

    close(pidfd);
    kill(-pid, SIGKILL);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return ended == 1 ? status : -1;
}

static bool judge(const struct run *run, int status, unsigned timeout_s)
{
    char why[700];

    if (status == 0)
        return true;
    printf("FAIL %s: ", run->name);
    if (find_failure(run, why, sizeof(why)))
        printf("%s\n", why);
    else if (status == -1)
        printf("timed out after %u s at %s:%d\n", timeout_s, run->step->file, run->step->line);
    else if (WIFSIGNALED(status))
        printf("killed by SIG%s at %s:%d\n", sigabbrev_np(WTERMSIG(status)), run->step->file, run->step->line);
    else
        printf("exit status %d at %s:%d\n", WEXITSTATUS(status), run->step->file, run->step->line);
    return false;
}

static bool run_case(const char *name, const struct api_case *definition, char **arguments, bool verbose)
{
    unsigned timeout_s = definition->timeout_s ? definition->timeout_s : CASE_TIMEOUT_S;
    struct run run = {.name = name, .definition = definition};
    int64_t begin = now_ms();

    run.output = memfd_create("output", MFD_CLOEXEC);
    run.step_fd = memfd_create("step", MFD_CLOEXEC);
    if (run.output < 0 || run.step_fd < 0 || ftruncate(run.step_fd, sizeof(struct step)))
        abort();
    run.step = mmap(NULL, sizeof(struct step), PROT_READ | PROT_WRITE, MAP_SHARED, run.step_fd, 0);
    pid_t pid = fork();
    if (pid == 0)
        become_case(&run, arguments);
    bool passed = judge(&run, wait_case(pid, timeout_s), timeout_s);
    if (passed)
        printf(verbose ? "ok %s (%d ms)\n" : "ok %s\n", name, (int)(now_ms() - begin));
    if (!passed || verbose)
        show_output(&run);
    fflush(stdout);
    munmap(run.step, sizeof(struct step));
    close(run.step_fd);
    close(run.output);
    return passed;
}

static bool matches(const char *pattern, const char *name)
{
    regex_t expression;

    if (regcomp(&expression, pattern, REG_EXTENDED | REG_NOSUB)) {
        fprintf(stderr, "api_client: bad pattern '%s'\n", pattern);
        exit(2);
    }
    bool found = regexec(&expression, name, 0, NULL, 0) == 0;
    regfree(&expression);
    return found;
}

static bool selected(const struct selection *selection, const char *name, unsigned flags)
{
    bool wanted = selection->pattern_count == 0;

    if ((flags & CASE_V4 && api.family != AF_INET) || (flags & CASE_V6 && api.family != AF_INET6))
        return false;
    for (int i = 0; i < selection->pattern_count; i++)
        wanted |= matches(selection->patterns[i], name);
    return wanted && !(selection->except && matches(selection->except, name));
}

static int run_all(const struct selection *selection)
{
    unsigned passed = 0, failed = 0;

    for (const struct api_case *const *table = selection->tables; *table; table++) {
        for (const struct api_case *definition = *table; definition->name; definition++) {
            for (int accepted = 0; accepted <= !!(definition->flags & CASE_PAIR); accepted++) {
                char name[NAME_MAX_LENGTH];
                snprintf(name, sizeof(name), "%s%s", definition->name, accepted ? ACCEPTED_SUFFIX : "");
                if (!selected(selection, name, definition->flags))
                    continue;
                if (selection->list) {
                    puts(name);
                    continue;
                }
                char *arguments[] = {"api_client",
                                     "--case",
                                     name,
                                     "--server",
                                     (char *)api.server,
                                     "--self",
                                     (char *)api.self,
                                     "--blackhole",
                                     (char *)api.blackhole,
                                     "--interface",
                                     (char *)api.interface,
                                     "--control",
                                     (char *)api.control,
                                     NULL};
                run_case(name, definition, arguments, selection->verbose) ? passed++ : failed++;
            }
        }
    }
    if (!selection->list)
        printf("%u passed, %u failed\n", passed, failed);
    return failed || (!passed && !selection->list);
}

/* In the case's own process. */
static int run_here(const struct api_case *const *tables, char *name)
{
    size_t length = strlen(name), suffix = strlen(ACCEPTED_SUFFIX);

    if (length > suffix && !strcmp(name + length - suffix, ACCEPTED_SUFFIX)) {
        api.accepted = true;
        name[length - suffix] = 0;
    }
    current_step = mmap(NULL, sizeof(struct step), PROT_READ | PROT_WRITE, MAP_SHARED, STEP_FD, 0);
    if (current_step == MAP_FAILED)
        current_step = NULL; /* started by hand */
    else
        close(STEP_FD);
    for (; *tables; tables++) {
        for (const struct api_case *definition = *tables; definition->name; definition++) {
            if (strcmp(definition->name, name))
                continue;
            definition->run();
            return 0;
        }
    }
    fprintf(stderr, "api_client: no case '%s'\n", name);
    return 2;
}

static _Noreturn void usage(int status)
{
    fprintf(status ? stderr : stdout,
            "usage: api_client --server ADDRESS --self ADDRESS --control SOCKET [OPTION...] [PATTERN...]\n"
            "  --server ADDRESS     where api_server runs; its family is the one that is tested\n"
            "  --self ADDRESS       our own address on the way there\n"
            "  --blackhole ADDRESS  on the link, answers nothing\n"
            "  --interface NAME     the device that leads there (eth0)\n"
            "  --control SOCKET     api_server's control socket\n"
            "  --except PATTERN     leave these cases out\n"
            "  --list               only list the cases\n"
            "  --verbose            times, and what the cases print\n");
    exit(status);
}

int harness_main(int argc, char **argv, const struct api_case *const *tables)
{
    static const struct option options[] = {{"server", required_argument, NULL, 's'},
                                            {"self", required_argument, NULL, 'S'},
                                            {"blackhole", required_argument, NULL, 'b'},
                                            {"interface", required_argument, NULL, 'i'},
                                            {"control", required_argument, NULL, 'c'},
                                            {"except", required_argument, NULL, 'e'},
                                            {"case", required_argument, NULL, 'C'},
                                            {"list", no_argument, NULL, 'l'},
                                            {"verbose", no_argument, NULL, 'v'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct selection selection = {.tables = tables};
    char *only = NULL;
    int option;

    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (option) {
        case 's':
            api.server = optarg;
            break;
        case 'S':
            api.self = optarg;
            break;
        case 'b':
            api.blackhole = optarg;
            break;
        case 'i':
            api.interface = optarg;
            break;
        case 'c':
            api.control = optarg;
            break;
        case 'e':
            selection.except = optarg;
            break;
        case 'C':
            only = optarg;
            break;
        case 'l':
            selection.list = true;
            break;
        case 'v':
            selection.verbose = true;
            break;
        case 'h':
            usage(0);
        default:
            usage(2);
        }
    }
    if (!api.server || !api.self || !api.control || !api.blackhole)
        usage(2);
    api.family = strchr(api.server, ':') ? AF_INET6 : AF_INET;
    if (only)
        return run_here(tables, only);
    selection.patterns = argv + optind;
    selection.pattern_count = argc - optind;
    return run_all(&selection);
}
