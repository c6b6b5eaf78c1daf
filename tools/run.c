/* SPDX-License-Identifier: BSD-2-Clause */
/* lockstep run: starts a program with the preload library. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/units.h"
#include "lockstep/clock.h"
#include "stack/netd_client.h"
#include "stack/profile.h"
#include "tools/command.h"
#include "tools/preload.h"
#include "tools/program.h"

#define INJECTOR_ENV      "LOCKSTEP_INJECTOR"
#define LOG_LEVEL_ENV     "LOCKSTEP_LOG_LEVEL"
#define CLOCK_ENV         "LOCKSTEP_CLOCK"
#define PRELOAD_ENV       "LD_PRELOAD"
#define PROFILE_FILE_MAX  4095 /* what the stack reads */
#define EXIT_OWN_FAILURE  125  /* as env(1) has it */
#define EXIT_NOT_STARTED  126
#define EXIT_NOT_FOUND    127
#define PRELOAD_VALUE_MAX 8192

struct run_options {
    char profile[PATH_MAX];
    char runtime_dir[90]; /* + "/netd.sock" fits a socket address */
    int injector, log_level;
    bool clock, clock_only, quiet;
};

/* The first of each means: what the environment says. */
static const char *const injector_names[] = {"default", "guarded", "direct", NULL};
static const char *const level_names[] = {"default", "error", "warning", "info", "debug", NULL};

static const struct option_entry entries[] = {
    {"profile",
     'p',
     "How much processor time latency is worth: latency, balanced, frugal, or a file (see lockstep-profile(5)). "
     "Default: $LOCKSTEP_PROFILE, else balanced.",
     {VALUE_TEXT(struct run_options, profile)},
     "NAME|FILE"},
    {"injector",
     'i',
     "How the program's packets leave. The service grants direct to root and by its own rules, others get "
     "guarded. \"default\" is $LOCKSTEP_INJECTOR, else guarded.",
     {VALUE_ENUM(struct run_options, injector, injector_names)},
     NULL},
    {"runtime-dir",
     'd',
     "The service's directory. Default: $LOCKSTEP_RUNTIME_DIR, else " CONTROL_DEFAULT_DIR ".",
     {VALUE_TEXT(struct run_options, runtime_dir)},
     "DIR"},
    {"log-level",
     'l',
     "Least severe messages of the stack, on the program's standard error. \"default\" is $LOCKSTEP_LOG_LEVEL, else "
     "warning.",
     {VALUE_ENUM(struct run_options, log_level, level_names)},
     "LEVEL"},
    {"clock",
     'c',
     "Give the program the Lockstep time, too: time of day, stamps of messages. The kernel's while there is none.",
     {VALUE_BOOL(struct run_options, clock)},
     NULL},
    {"clock-only",
     0,
     "Only the Lockstep time; its sockets stay the kernel's.",
     {VALUE_BOOL(struct run_options, clock_only)},
     NULL},
    {"quiet", 'q', "Do not say what is accelerated.", {VALUE_BOOL(struct run_options, quiet)}, NULL},
    {0},
};

static const struct option_program program_table = {
    .name = "lockstep run",
    .summary = "Run a program on the user-mode stack.",
    .arguments = "[--] PROGRAM [ARGUMENT...]",
    .entries = entries,
};

static void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static void fail(const char *format, ...)
{
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    log_error("%s", text);
    exit(EXIT_OWN_FAILURE);
}

static void set_environment(const char *name, const char *value)
{
    if (setenv(name, value, 1) < 0)
        fail("run: cannot set %s: %s", name, error_text(-errno));
}

/* --- profile ------------------------------------------------------------------------------------------------ */

static void check_profile_file(const char *path)
{
    char text[PROFILE_FILE_MAX + 1], problem[512];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct profile profile;
    struct stat status;
    ssize_t length;

    if (fd < 0 || fstat(fd, &status) < 0)
        fail("run: cannot read profile %s: %s", path, error_text(-errno));
    if (!S_ISREG(status.st_mode))
        fail("run: profile %s: not a regular file", path);
    length = read(fd, text, sizeof text);
    if (length < 0)
        fail("run: cannot read profile %s: %s", path, error_text(-errno));
    close(fd);
    if (length > PROFILE_FILE_MAX)
        fail("run: profile %s: larger than %d bytes", path, PROFILE_FILE_MAX);
    if (profile_parse(path, text, (size_t)length, &profile, problem, sizeof problem) < 0)
        fail("run: profile %s", problem);
}

/* Passes the profile on under a name that holds wherever the program goes; returns it. */
static const char *choose_profile(const char *option)
{
    static char resolved[PATH_MAX];
    const char *name = *option ? option : getenv(PROFILE_ENV);
    struct profile profile;

    if (!name || !*name)
        return PROFILE_DEFAULT;
    if (profile_builtin(name, &profile) < 0) {
        if (!realpath(name, resolved)) {
            if (errno == ENOENT && !strchr(name, '/'))
                fail("run: profile %s: neither latency, balanced or frugal nor a file", name);
            fail("run: cannot read profile %s: %s", name, error_text(-errno));
        }
        check_profile_file(resolved);
        name = resolved;
    }
    set_environment(PROFILE_ENV, name);
    return name;
}

/* --- the service -------------------------------------------------------------------------------------------- */

/* Absolute, because the program may change its working directory; it need not exist. */
static const char *choose_runtime_dir(const char *option)
{
    static char path[PATH_MAX * 2];
    const char *dir = client_runtime_dir(option);
    char current[PATH_MAX];

    if (*dir == '/')
        snprintf(path, sizeof path, "%s", dir);
    else if (getcwd(current, sizeof current))
        snprintf(path, sizeof path, "%s/%s", current, dir);
    else
        fail("run: cannot find the working directory: %s", error_text(-errno));
    if (*option || getenv(CONTROL_DIR_ENV))
        set_environment(CONTROL_DIR_ENV, path);
    return path;
}

/* The rule that leaves the program to the kernel, or NULL. */
static const char *ask_policy(struct netd_client *client, const struct program *program)
{
    static struct control_policy_reply reply;
    char executable[PATH_MAX];

    if (!realpath(program->image, executable) || client_policy(client, executable, &reply) < 0 || !reply.kernel)
        return NULL;
    reply.reason[sizeof reply.reason - 1] = '\0';
    return reply.reason;
}

/* Why nothing is accelerated, or NULL with hello filled in. may_come: it may be accelerated later, or what it starts.
 */
static const char *ask_service(const char *dir, const char *name, const struct program *program,
                               struct control_hello_reply *hello, bool *may_come)
{
    static char text[PATH_MAX + 128];
    char problem[CLIENT_PROBLEM_MAX];
    struct netd_client *client;
    const char *rule = NULL;
    int err = client_connect(&client, dir, name, 0, hello);

    if (err == 0) {
        rule = ask_policy(client, program);
        client_close(client);
    }
    *may_come = err != LOCKSTEP_E_DENIED && err != LOCKSTEP_E_BAD_VERSION && err != -ENAMETOOLONG;
    if (err == 0)
        return rule;
    if (err == LOCKSTEP_E_NO_SERVICE)
        snprintf(text, sizeof text, "there is no service at %s (yet)", dir);
    else if (err == LOCKSTEP_E_DENIED)
        snprintf(text, sizeof text, "the service at %s refuses user %u", dir, (unsigned)getuid());
    else
        snprintf(text, sizeof text, "the service at %s cannot be used: %s", dir, client_problem(err, problem));
    return text;
}

/* --- the program -------------------------------------------------------------------------------------------- */

/* Puts a library before those that are to be preloaded already. */
static void set_preload(const char *name)
{
    char library[PATH_MAX], value[PRELOAD_VALUE_MAX];
    int err = preload_find(name, library, sizeof library);

    if (err == LOCKSTEP_E_BAD_VALUE)
        fail("run: %s: LD_PRELOAD cannot name a file with blanks or colons in its path", library);
    if (err < 0)
        fail("run: cannot find %s: %s", name, error_text(err));
    err = preload_compose(library, getenv(PRELOAD_ENV), value, sizeof value);
    if (err < 0)
        fail("run: LD_PRELOAD is too long: %s", error_text(err));
    set_environment(PRELOAD_ENV, value);
}

/* What a static or privileged program starts may well be accelerated; another machine's or C library's linker would
 * only stumble over the library. */
static bool harms(enum program_obstacle obstacle)
{
    return obstacle == PROGRAM_OTHER_MACHINE || obstacle == PROGRAM_OTHER_LIBC;
}

/* The clock of the service's directory, if one was named and no other clock is. */
static void choose_clock(const char *dir)
{
    char path[PATH_MAX * 2 + 8];

    if (!getenv(CLOCK_ENV) && getenv(CONTROL_DIR_ENV)) {
        snprintf(path, sizeof path, "%s/clock", dir);
        set_environment(CLOCK_ENV, path);
    }
}

static void say_clock(const char *name)
{
    struct lockstep_clock *clock;
    struct lockstep_time time;
    char bound[UNITS_TEXT_MAX];
    int err = lockstep_clock_open(NULL, &clock);

    if (err == 0) {
        err = lockstep_clock_now(clock, LOCKSTEP_TAI, &time);
        lockstep_clock_close(clock);
    }
    if (err == 0)
        log_info("%s: Lockstep time, within %s", name, units_format_ns((uint64_t)(time.latest_ns - time.ns), bound));
    else
        log_info("%s: the kernel's time as long as there is no other: clock: %s", name, lockstep_clock_error_text(err));
}

static void prepare_sockets(const struct run_options *options, const char *name, const struct program *program,
                            const char *dir)
{
    const char *profile = choose_profile(options->profile);
    const char *obstacle = program_obstacle_text(program->obstacle), *refusal = NULL;
    struct control_hello_reply hello = {0};
    bool may_come = true;

    if (options->injector > 0)
        set_environment(INJECTOR_ENV, injector_names[options->injector]);
    if (options->log_level > 0)
        set_environment(LOG_LEVEL_ENV, level_names[options->log_level]);
    if (!obstacle)
        refusal = ask_service(dir, name, program, &hello, &may_come);
    if (may_come && !harms(program->obstacle))
        set_preload(PRELOAD_LIBRARY);
    hello.summary[sizeof hello.summary - 1] = '\0';
    if (options->quiet)
        return;
    if (obstacle)
        log_info("%s runs on the kernel's stack: %s %s", name, strcmp(name, program->image) ? program->image : "it",
                 obstacle);
    else if (refusal)
        log_info("%s runs on the kernel's stack: %s", name, refusal);
    else
        log_info("%s: TCP and UDP accelerated on %s; profile %s", name, hello.summary, profile);
}

static void prepare_clock(const struct run_options *options, const char *name, const struct program *program,
                          const char *dir)
{
    choose_clock(dir);
    if (!harms(program->obstacle))
        set_preload(PRELOAD_CLOCK_LIBRARY);
    if (options->quiet)
        return;
    if (program->obstacle)
        log_info("%s: the kernel's time: it %s", name, program_obstacle_text(program->obstacle));
    else
        say_clock(name);
}

/* The clock first, so that the sockets' library stands before it and has its time, too. */
static void prepare(const struct run_options *options, const char *name, const struct program *program)
{
    const char *dir = choose_runtime_dir(options->runtime_dir);

    if (options->clock || options->clock_only)
        prepare_clock(options, name, program, dir);
    if (!options->clock_only)
        prepare_sockets(options, name, program, dir);
}

static int start(char **argv)
{
    int err;

    execvp(argv[0], argv);
    err = -errno;
    log_error("run: cannot start %s: %s", argv[0], error_text(err));
    return err == -ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_STARTED;
}

static int run_main(int argc, char **argv)
{
    static struct run_options options;
    static struct program program;
    int exit_status, first = option_run(&program_table, argc, argv, &options, &exit_status);

    if (first < 0)
        return exit_status == 0 ? 0 : EXIT_OWN_FAILURE;
    log_init("lockstep", LOG_LEVEL_INFO);
    if (first == argc) {
        fprintf(stderr, "lockstep run: no program is given\nTry \"lockstep run --help\".\n");
        return EXIT_OWN_FAILURE;
    }
    if (program_examine(argv[first], &program) == 0)
        prepare(&options, argv[first], &program);
    return start(argv + first);
}

const struct command command_run = {"run", &program_table, run_main, NULL};
