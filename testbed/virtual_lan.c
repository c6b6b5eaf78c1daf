/* SPDX-License-Identifier: BSD-2-Clause */
#include "testbed/virtual_lan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "platform/platform.h"
#include "testbed/channel.h"
#include "testbed/child.h"

#define NODES_MAX       16
#define SPACE_NAME_MAX  32
#define WORDS_MAX       48
#define COMMAND_MS      10000
#define SETTLE_MS       300
#define UPLINK_QUEUE    (4u << 20) /* a host waits rather than drops */
#define LOAD_BITS_PER_S 1000000000u
#define BURST_BYTES     16384 /* credit of an idle port: shortens what it predicts by as much */
#define FRAME_OVERHEAD  24    /* FCS, preamble and gap, which the kernel does not count */
#define DAEMONS         5

struct virtual_node {
    char name[12];
    char space[SPACE_NAME_MAX]; /* network namespace */
    bool sends, receives;
    struct child daemons[DAEMONS];
    const char *programs[DAEMONS];
    unsigned daemon_count;
};

struct virtual_lan {
    const struct virtual_lan_options *options;
    char directory[64], inventory[96], key[96], receiver_profile[96], switch_space[SPACE_NAME_MAX];
    struct virtual_node nodes[NODES_MAX];
    unsigned node_count;
    pid_t owner, guardian;
    int home;  /* the owner's own network namespace, while it is on the LAN; -1 */
    int leash; /* the guardian acts when it closes */
    char *problem;
};

/* ---- running programs ---- */

static int complain(struct virtual_lan *lan, int err, const char *format, ...) __attribute__((format(printf, 3, 4)));
static int complain(struct virtual_lan *lan, int err, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(lan->problem, VIRTUAL_PROBLEM_MAX, format, arguments);
    va_end(arguments);
    return err;
}

/* At blanks. */
static void split(char *text, char *words[WORDS_MAX])
{
    char *rest;
    int count = 0;

    for (char *word = strtok_r(text, " ", &rest); word && count < WORDS_MAX - 1; word = strtok_r(NULL, " ", &rest))
        words[count++] = word;
    words[count] = NULL;
}

/* Runs a command line without quotes or blanks in words. */
static int command(struct virtual_lan *lan, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int command(struct virtual_lan *lan, const char *format, ...)
{
    char line[512], said[256], shown[512], *words[WORDS_MAX];
    va_list arguments;
    int result;

    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    memcpy(shown, line, sizeof shown);
    split(line, words);
    result = child_run(words, COMMAND_MS, said, sizeof said);
    if (result == 0)
        return 0;
    said[strcspn(said, "\n")] = '\0';
    return complain(lan, result < 0 ? result : -EIO, "%.150s: %.150s", shown,
                    said[0] ? said : error_text(result < 0 ? result : -EIO));
}

/* ---- the guardian ---- */

/* Every process in the namespace. */
static void signal_space(const struct virtual_lan *lan, const char *space, int signal)
{
    char *argv[] = {"ip", "netns", "pids", (char *)space, NULL}, text[65536], *rest;

    if (child_run(argv, COMMAND_MS, text, sizeof text) != 0)
        return;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        pid_t pid = (pid_t)strtol(line, NULL, 10);

        if (pid > 1 && pid != lan->owner)
            kill(pid, signal);
    }
}

static bool space_is_empty(const char *space)
{
    char *argv[] = {"ip", "netns", "pids", (char *)space, NULL}, text[64];

    return child_run(argv, COMMAND_MS, text, sizeof text) != 0 || text[0] == '\0';
}

static bool all_empty(struct virtual_lan *lan)
{
    for (unsigned i = 0; i < lan->node_count; i++) {
        if (!space_is_empty(lan->nodes[i].space))
            return false;
    }
    return true;
}

static void delete_space(const char *space)
{
    char *argv[] = {"ip", "netns", "del", (char *)space, NULL};

    child_run(argv, COMMAND_MS, NULL, 0);
}

static void take_down(struct virtual_lan *lan)
{
    char *argv[] = {"rm", "-rf", lan->directory, NULL};

    for (unsigned i = 0; i < lan->node_count; i++)
        signal_space(lan, lan->nodes[i].space, SIGTERM);
    for (int i = 0; i < 20 && !all_empty(lan); i++)
        usleep(100000);
    for (unsigned i = 0; i < lan->node_count; i++) {
        signal_space(lan, lan->nodes[i].space, SIGKILL);
        delete_space(lan->nodes[i].space);
    }
    delete_space(lan->switch_space);
    child_run(argv, COMMAND_MS, NULL, 0);
}

/* Its own session: the terminal's signals are not for it. It has nothing open but the leash and standard error. */
static int start_guardian(struct virtual_lan *lan)
{
    int leash[2];

    if (pipe2(leash, O_CLOEXEC) < 0)
        return -errno;
    lan->guardian = fork();
    if (lan->guardian == 0) {
        char end;

        setsid();
        signal(SIGINT, SIG_IGN);
        signal(SIGTERM, SIG_IGN);
        signal(SIGHUP, SIG_IGN);
        close(leash[1]);
        while (read(leash[0], &end, 1) < 0 && errno == EINTR)
            continue;
        take_down(lan);
        _exit(0);
    }
    close(leash[0]);
    lan->leash = leash[1];
    return lan->guardian < 0 ? -errno : 0;
}

/* ---- the network ---- */

static void add_node(struct virtual_lan *lan, const char *role, unsigned number, bool sends, bool receives)
{
    struct virtual_node *node = &lan->nodes[lan->node_count++];
    char digits[12] = "";

    if (number)
        snprintf(digits, sizeof digits, "%u", number);
    snprintf(node->name, sizeof node->name, "%.5s%.5s", role, digits);
    snprintf(node->space, sizeof node->space, "lstb%d-%.5s%.5s", (int)lan->owner, role, digits);
    node->sends = sends;
    node->receives = receives;
}

static void name_nodes(struct virtual_lan *lan)
{
    add_node(lan, "ref", 0, false, false);
    for (unsigned i = 1; i <= lan->options->senders; i++)
        add_node(lan, "send", i, true, false);
    for (unsigned i = 1; i <= lan->options->receivers; i++)
        add_node(lan, "recv", i, false, true);
    snprintf(lan->switch_space, sizeof lan->switch_space, "lstb%d-switch", (int)lan->owner);
}

static int make_switch(struct virtual_lan *lan)
{
    const char *space = lan->switch_space;
    int err = command(lan, "ip netns add %s", space);

    for (int i = 0; err == 0 && i < 2; i++) {
        const char *bridge = i ? "control" : "lan";

        err = command(lan, "ip -n %s link add %s type bridge mcast_snooping 0", space, bridge);
        if (err == 0)
            err = command(lan, "ip -n %s link set %s up", space, bridge);
    }
    return err;
}

/* One cable from the node to a bridge; the switch's end is BRIDGE-NODE. */
static int plug(struct virtual_lan *lan, const struct virtual_node *node, const char *interface, const char *bridge,
                unsigned network, unsigned host)
{
    const char *space = node->space, *hub = lan->switch_space;
    char port[16];
    int err;

    snprintf(port, sizeof port, "%c-%.12s", bridge[0], node->name);
    err = command(lan, "ip link add %s netns %s type veth peer name %s netns %s", interface, space, port, hub);
    if (err == 0)
        err = command(lan, "ip -n %s link set %s master %s up", hub, port, bridge);
    if (err == 0)
        err = command(lan, "ip -n %s addr add 10.%u.0.%u/24 dev %s", space, network, host, interface);
    return err < 0 ? err : command(lan, "ip -n %s link set %s up", space, interface);
}

static int limit(struct virtual_lan *lan, const char *space, const char *interface, uint64_t queue)
{
    if (lan->options->rate_bits_per_s == 0)
        return 0;
    return command(lan, "tc -n %s qdisc add dev %s root tbf rate %" PRIu64 "bit overhead %d burst %d limit %" PRIu64,
                   space, interface, lan->options->rate_bits_per_s, FRAME_OVERHEAD, BURST_BYTES, queue);
}

static int make_node(struct virtual_lan *lan, unsigned index)
{
    struct virtual_node *node = &lan->nodes[index];
    char port[16];
    int err = command(lan, "ip netns add %s", node->space);

    snprintf(port, sizeof port, "l-%.12s", node->name);
    if (err == 0)
        err = command(lan, "ip -n %s link set lo up", node->space);
    if (err == 0)
        err = plug(lan, node, "eth0", "lan", 77, index + 1);
    if (err == 0)
        err = plug(lan, node, "control0", "control", 78, index + 1);
    if (err == 0)
        err = command(lan, "ip -n %s route add 224.0.0.0/4 dev eth0", node->space);
    if (err == 0)
        err = limit(lan, node->space, "eth0", UPLINK_QUEUE);
    return err < 0 ? err : limit(lan, lan->switch_space, port, lan->options->queue_bytes);
}

/* ---- files ---- */

static int write_key(struct virtual_lan *lan)
{
    uint8_t key[32];
    FILE *file;
    int fd = open(lan->key, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0 || platform_random(key, sizeof key) < 0)
        return complain(lan, -errno, "cannot write %s", lan->key);
    file = fdopen(fd, "w");
    for (size_t i = 0; i < sizeof key; i++)
        fprintf(file, "%02x", key[i]);
    fputc('\n', file);
    fclose(file);
    return 0;
}

static int write_inventory(struct virtual_lan *lan)
{
    FILE *file = fopen(lan->inventory, "we");

    if (!file)
        return complain(lan, -errno, "cannot write %s: %s", lan->inventory, strerror(errno));
    fprintf(file, "[testbed]\nkey = %s\nmtu = 1500\n", lan->key);
    for (unsigned i = 0; i < lan->node_count; i++) {
        const struct virtual_node *node = &lan->nodes[i];

        fprintf(file,
                "\n[node %s]\naddress = 10.77.0.%u\ncontrol = 10.78.0.%u\ncontrol-port = %d\nrate = %" PRIu64
                "\nsends = %s\nreceives = %s\nclock = %s/%s/clock\n",
                node->name, i + 1, i + 1, CHANNEL_PORT, lan->options->rate_bits_per_s, node->sends ? "yes" : "no",
                node->receives ? "yes" : "no", lan->directory, node->name);
    }
    fclose(file);
    return 0;
}

/* The first node is the reference; the others follow it. */
static int write_clock_configuration(struct virtual_lan *lan, const struct virtual_node *node, bool reference)
{
    char path[128];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s/clockd.conf", lan->directory, node->name);
    file = fopen(path, "we");
    if (!file)
        return complain(lan, -errno, "cannot write %s: %s", path, strerror(errno));
    fprintf(file, "[clockd]\nstate-file = none\n");
    if (reference)
        fprintf(file, "\n[serve]\naddress = 10.77.0.1\nallow = 10.77.0.0/24\nlocal-stratum = 1\n");
    else
        fprintf(file, "\n[source ref]\naddress = 10.77.0.1\npoll-min = 250ms\npoll-max = 1s\n");
    fclose(file);
    return 0;
}

/* Receivers have a core of their own: they spin whatever the machine's state. */
static int write_receiver_profile(struct virtual_lan *lan)
{
    FILE *file;

    snprintf(lan->receiver_profile, sizeof lan->receiver_profile, "%s/receiver.profile", lan->directory);
    file = fopen(lan->receiver_profile, "we");
    if (!file)
        return complain(lan, -errno, "cannot write %s: %s", lan->receiver_profile, strerror(errno));
    fputs("base = latency\nspin_backoff = no\n", file);
    fclose(file);
    return 0;
}

/* ---- daemons ---- */

/* In the build tree, or installed side by side. */
static const char *find_program(const struct virtual_lan *lan, const char *name, char path[256])
{
    static const char *const places[] = {"%s%s",         "%s../service/%s", "%s../clock/%s", "%s../testbed/%s",
                                         "%s../sbin/%s", "%s../bin/%s"};

    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(path, 256, places[i], lan->options->program_directory, name);
#pragma GCC diagnostic pop
        if (access(path, X_OK) == 0)
            return path;
    }
    snprintf(path, 256, "%s", name);
    return path;
}

/* Receivers have cores of their own where there are two or more, so that those who wait for messages by spinning do not
 * stand in the way of those who send them. */
static const char *cores_of(const struct virtual_node *node, char cores[48])
{
    long count = sysconf(_SC_NPROCESSORS_ONLN), first = (count + 1) / 2;

    if (count < 2)
        snprintf(cores, 48, "0");
    else if (node->receives)
        snprintf(cores, 48, "%ld-%ld", first, count - 1);
    else
        snprintf(cores, 48, "0-%ld", first - 1);
    return cores;
}

static int start_daemon(struct virtual_lan *lan, struct virtual_node *node, const char *program, const char *format,
                        ...) __attribute__((format(printf, 4, 5)));
static int start_daemon(struct virtual_lan *lan, struct virtual_node *node, const char *program, const char *format,
                        ...)
{
    char line[1024], path[256], log[128], cores[48], *words[WORDS_MAX];
    va_list arguments;
    int length = snprintf(line, sizeof line, "taskset -c %s ip netns exec %s %s ", cores_of(node, cores), node->space,
                          find_program(lan, program, path));
    int err, saved = -1;

    va_start(arguments, format);
    vsnprintf(line + length, sizeof line - (size_t)length, format, arguments);
    va_end(arguments);
    split(line, words);
    snprintf(log, sizeof log, "%s/%s/%s.log", lan->directory, node->name, program);
    if (!lan->options->verbose) {
        int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

        saved = fcntl(2, F_DUPFD_CLOEXEC, 3);
        dup2(fd, 2);
        close(fd);
    }
    err = child_spawn(words, CHILD_ALONE, &node->daemons[node->daemon_count]);
    if (saved >= 0) {
        dup2(saved, 2);
        close(saved);
    }
    if (err < 0)
        return complain(lan, err, "cannot start %s: %s", program, error_text(err));
    node->programs[node->daemon_count++] = program;
    return 0;
}

static int start_node(struct virtual_lan *lan, unsigned index)
{
    const char *own = lan->options->receiver_profile, *receiver_profile = own[0] ? own : lan->receiver_profile;
    struct virtual_node *node = &lan->nodes[index];
    char directory[96], path[256];
    int err;

    snprintf(directory, sizeof directory, "%s/%s", lan->directory, node->name);
    if (mkdir(directory, 0755) < 0)
        return complain(lan, -errno, "cannot make %s: %s", directory, strerror(errno));
    err = write_clock_configuration(lan, node, index == 0);
    if (err == 0)
        err = start_daemon(lan, node, "lockstep-clockd", "--config %s/clockd.conf --runtime-dir %s", directory,
                           directory);
    if (err == 0 && lan->options->accelerated)
        err = start_daemon(lan, node, "lockstep-netd", "--interface eth0 --runtime-dir %s", directory);
    if (err < 0)
        return err;
    return start_daemon(
        lan, node, "lockstep",
        "testbed listener --listen 10.78.0.%u --name %s --key %s --directory %s/runs --clock-path %s/clock "
        "--runtime-dir %s --profile %s --testbench %s",
        index + 1, node->name, lan->key, directory, directory, directory,
        node->receives ? receiver_profile : lan->options->profile, find_program(lan, "lockstep-testbench", path));
}

/* Something for the machine and the network to do beside: half of the rate as a bulk stream, and a busy core. */
static int start_load(struct virtual_lan *lan)
{
    struct virtual_node *sender = &lan->nodes[1], *receiver = &lan->nodes[1 + lan->options->senders];
    uint64_t rate = lan->options->rate_bits_per_s ? lan->options->rate_bits_per_s / 2 : LOAD_BITS_PER_S;
    int err = start_daemon(lan, receiver, "iperf3", "--server --bind 10.77.0.%u", (unsigned)lan->options->senders + 2);

    if (err == 0) {
        usleep(SETTLE_MS * 1000);
        err = start_daemon(lan, sender, "iperf3", "--client 10.77.0.%u --time 86400 --bitrate %" PRIu64,
                           (unsigned)lan->options->senders + 2, rate);
    }
    return err < 0 ? err : start_daemon(lan, sender, "yes", "busy");
}

/* The last line that a daemon wrote. */
static void last_words(const struct virtual_lan *lan, const struct virtual_node *node, const char *program,
                       char text[200])
{
    char path[160], line[200];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s/%s.log", lan->directory, node->name, program);
    file = fopen(path, "re");
    text[0] = '\0';
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        snprintf(text, 200, "%s", line);
    }
    if (file)
        fclose(file);
}

static int check_daemons(struct virtual_lan *lan)
{
    for (unsigned i = 0; i < lan->node_count; i++) {
        struct virtual_node *node = &lan->nodes[i];

        for (unsigned j = 0; j < node->daemon_count; j++) {
            const char *program = node->programs[j];
            char words[200];

            if (!child_ended(&node->daemons[j]))
                continue;
            last_words(lan, node, program, words);
            return complain(lan, LOCKSTEP_E_GONE, "%s ended at once on %s: %s", program, node->name, words);
        }
    }
    return 0;
}

/* ---- from beginning to end ---- */

static int build(struct virtual_lan *lan)
{
    int err;

    if (geteuid() != 0)
        return complain(lan, -EPERM, "a virtual LAN needs root");
    snprintf(lan->directory, sizeof lan->directory, "/run/lockstep-virtual-XXXXXX");
    if (!mkdtemp(lan->directory))
        return complain(lan, -errno, "cannot make a directory in /run: %s", strerror(errno));
    chmod(lan->directory, 0755);
    snprintf(lan->inventory, sizeof lan->inventory, "%s/inventory", lan->directory);
    snprintf(lan->key, sizeof lan->key, "%s/key", lan->directory);
    name_nodes(lan);
    err = start_guardian(lan);
    if (err < 0)
        return complain(lan, err, "cannot start the guardian: %s", strerror(-err));
    err = make_switch(lan);
    for (unsigned i = 0; err == 0 && i < lan->node_count; i++)
        err = make_node(lan, i);
    if (err == 0)
        err = write_key(lan);
    if (err == 0)
        err = write_inventory(lan);
    if (err == 0)
        err = write_receiver_profile(lan);
    for (unsigned i = 0; err == 0 && i < lan->node_count; i++)
        err = start_node(lan, i);
    if (err == 0 && lan->options->load)
        err = start_load(lan);
    if (err == 0) {
        usleep(SETTLE_MS * 1000);
        err = check_daemons(lan);
    }
    return err;
}

int virtual_lan_create(const struct virtual_lan_options *options, struct virtual_lan **out,
                       char problem[VIRTUAL_PROBLEM_MAX])
{
    struct virtual_lan *lan = calloc(1, sizeof *lan);
    int err;

    *out = NULL;
    if (!lan)
        return -ENOMEM;
    lan->options = options;
    lan->problem = problem;
    lan->leash = lan->home = -1;
    lan->owner = getpid();
    err = build(lan);
    if (err < 0) {
        virtual_lan_destroy(lan);
        return err;
    }
    *out = lan;
    return 0;
}

const char *virtual_lan_inventory(const struct virtual_lan *lan)
{
    return lan->inventory;
}

int virtual_lan_enter(struct virtual_lan *lan)
{
    char path[96];
    int fd, err = 0;

    if (lan->home < 0)
        lan->home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    snprintf(path, sizeof path, "/run/netns/%s", lan->nodes[0].space);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
        err = -errno;
    if (fd >= 0)
        close(fd);
    return err;
}

void virtual_lan_destroy(struct virtual_lan *lan)
{
    if (!lan)
        return;
    if (lan->home >= 0) {
        setns(lan->home, CLONE_NEWNET);
        close(lan->home);
    }
    for (unsigned i = 0; i < lan->node_count; i++) {
        for (unsigned j = lan->nodes[i].daemon_count; j-- > 0;)
            child_end(&lan->nodes[i].daemons[j], 3000);
    }
    if (lan->leash >= 0)
        close(lan->leash);
    if (lan->guardian > 0)
        waitpid(lan->guardian, NULL, 0);
    free(lan);
}
