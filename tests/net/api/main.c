/* SPDX-License-Identifier: BSD-2-Clause */
/* The conformance tests of the socket API. "api peer" is started at one node, "api run" at the other; each case is then a
 * process of its own. On the kernel every case must pass, which proves that what it expects is what the kernel does. Prints
 * TAP; the exit status is 0 if no case failed. */
#include <errno.h>
#include <getopt.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/net/api/check.h"
#include "tests/net/api/peer.h"

#define CASE_SECONDS 20

static const struct {
    const char *topic;
    const struct api_case *cases;
} topics[] = {
    {"connect", connect_cases},       {"listen", listen_cases},   {"stream", stream_cases},
    {"datagram", datagram_cases},     {"multicast", multicast_cases}, {"option", option_cases},
    {"poll", poll_cases},             {"epoll", epoll_cases},     {"descriptor", descriptor_cases},
    {"process", process_cases},       {"signal", signal_cases},   {"thread", thread_cases},
    {"stdio", stdio_cases},           {"many", many_cases},
};

static const char *control_path, *only = ".";
static char **own_arguments;
static char **own_role, case_role[] = "case"; /* "run" among them, and what replaces it */
static unsigned passed, failed, skipped;

static void usage(void)
{
    fprintf(stderr, "usage: api peer|run|case --control PATH --family 4|6 --local ADDRESS --peer ADDRESS\n"
                    "           --local4 ADDRESS --absent ADDRESS --broadcast ADDRESS --interface NAME [--only REGEX]\n");
    exit(2);
}

/* Waits for the case's process, kills it when it takes too long. */
static int await(pid_t pid)
{
    uint64_t end = now_ms() + CASE_SECONDS * 1000;
    int status;

    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (now_ms() > end) {
            fprintf(stderr, "# still running after %d s\n", CASE_SECONDS);
            kill(-pid, SIGKILL);
            waitpid(pid, &status, 0);
            break;
        }
        sleep_ms(2);
    }
    kill(-pid, SIGKILL); /* what the case left behind */
    if (WIFSIGNALED(status))
        fprintf(stderr, "# ended by %s\n", strsignal(WTERMSIG(status)));
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void run_case(const char *name)
{
    pid_t pid;
    int status;

    fflush(stdout);
    pid = OK(fork());
    if (pid == 0) {
        setpgid(0, 0);
        *own_role = case_role;
        setenv("API_CASE", name, 1);
        execv("/proc/self/exe", own_arguments);
        _exit(126);
    }
    setpgid(pid, pid);
    status = await(pid);
    if (status == 77)
        skipped++;
    else if (status == 0)
        passed++;
    else
        failed++;
    printf("%s %u - %s%s\n", status == 0 || status == 77 ? "ok" : "not ok", passed + failed + skipped, name,
           status == 77 ? " # SKIP" : "");
}

static int run_all(void)
{
    regex_t pattern;

    if (regcomp(&pattern, only, REG_EXTENDED | REG_NOSUB) != 0)
        usage();
    for (size_t i = 0; i < sizeof topics / sizeof *topics; i++)
        for (const struct api_case *one = topics[i].cases; one->name; one++) {
            char name[128];

            snprintf(name, sizeof name, "%s.%s", topics[i].topic, one->name);
            if (regexec(&pattern, name, 0, NULL, 0) == 0)
                run_case(name);
        }
    printf("1..%u\n# %u passed, %u failed, %u skipped\n", passed + failed + skipped, passed, failed, skipped);
    return failed > 0 || passed == 0;
}

static int run_one(const char *wanted)
{
    for (size_t i = 0; i < sizeof topics / sizeof *topics; i++)
        for (const struct api_case *one = topics[i].cases; one->name; one++) {
            char name[128];

            snprintf(name, sizeof name, "%s.%s", topics[i].topic, one->name);
            if (strcmp(name, wanted) != 0)
                continue;
            peer_connect(control_path);
            one->run();
            if (check_count() == 0)
                fprintf(stderr, "# the case checked nothing\n");
            return check_count() == 0;
        }
    return 2;
}

static void parse(int argc, char **argv)
{
    static const struct option options[] = {
        {"control", required_argument, NULL, 'c'},   {"family", required_argument, NULL, 'f'},
        {"local", required_argument, NULL, 'l'},     {"peer", required_argument, NULL, 'p'},
        {"local4", required_argument, NULL, '4'},    {"absent", required_argument, NULL, 'a'},
        {"broadcast", required_argument, NULL, 'b'}, {"interface", required_argument, NULL, 'i'},
        {"only", required_argument, NULL, 'o'},      {0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        switch (option) {
        case 'c':
            control_path = optarg;
            break;
        case 'f':
            place.family = *optarg == '6' ? AF_INET6 : AF_INET;
            break;
        case 'l':
            place.local = optarg;
            break;
        case 'p':
            place.peer = optarg;
            break;
        case '4':
            place.local4 = optarg;
            break;
        case 'a':
            place.absent = optarg;
            break;
        case 'b':
            place.broadcast = optarg;
            break;
        case 'i':
            place.interface = optarg;
            break;
        case 'o':
            only = optarg;
            break;
        default:
            usage();
        }
}

int main(int argc, char **argv)
{
    own_arguments = argv;
    parse(argc, argv);
    if (!control_path || optind != argc - 1)
        usage();
    own_role = &argv[optind];
    if (strcmp(argv[optind], "peer") == 0)
        peer_serve(control_path);
    if (!place.family || !place.local || !place.peer || !place.local4 || !place.absent || !place.broadcast ||
        !place.interface)
        usage();
    if (strcmp(argv[optind], "case") == 0)
        return run_one(getenv("API_CASE") ?: "");
    return run_all();
}
