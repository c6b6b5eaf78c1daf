/* SPDX-License-Identifier: BSD-2-Clause */
/* loss DEVICE... [--share PERCENT] [--burst PACKETS PERIOD] [--least BYTES]: loses packets that come in on the devices,
 * at random and so many in a row after each period of so many, until it gets SIGTERM or SIGINT; prints "ready", and at
 * the end "seen N dropped N". */
#include <errno.h>
#include <net/if.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "loss.skel.h"

#define DEVICES_MAX 8

static int quiet(enum libbpf_print_level level, const char *format, va_list arguments)
{
    return level == LIBBPF_WARN ? vfprintf(stderr, format, arguments) : 0;
}

/* A filter of its own priority, ahead of others on the device; a clsact qdisc that is there already is kept. */
static int attach(const char *device, int program_fd)
{
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)if_nametoindex(device), .attach_point = BPF_TC_INGRESS);
    LIBBPF_OPTS(bpf_tc_opts, options, .handle = 1, .priority = 1, .prog_fd = program_fd);
    if (hook.ifindex == 0)
        return -errno;
    int err = bpf_tc_hook_create(&hook);
    if (err != 0 && err != -EEXIST)
        return err;
    return bpf_tc_attach(&hook, &options);
}

static void detach(const char *device)
{
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)if_nametoindex(device), .attach_point = BPF_TC_INGRESS);
    LIBBPF_OPTS(bpf_tc_opts, options, .handle = 1, .priority = 1);
    if (hook.ifindex != 0)
        bpf_tc_detach(&hook, &options);
}

static int parse(int argc, char **argv, struct loss_bpf *loss, const char **devices)
{
    int count = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--share") == 0 && i + 1 < argc) {
            loss->bss->drop_share = (__u32)(strtod(argv[++i], NULL) / 100 * 4294967295.0);
        } else if (strcmp(argv[i], "--burst") == 0 && i + 2 < argc) {
            loss->bss->burst_packets = (__u32)strtoul(argv[++i], NULL, 10);
            loss->bss->burst_period = (__u32)strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--least") == 0 && i + 1 < argc) {
            loss->bss->least_bytes = (__u32)strtoul(argv[++i], NULL, 10);
        } else if (argv[i][0] != '-' && count < DEVICES_MAX) {
            devices[count++] = argv[i];
        } else {
            return -EINVAL;
        }
    }
    return count > 0 ? count : -EINVAL;
}

static void wait_for_end(sigset_t *signals)
{
    int signal_number;
    printf("ready\n");
    fflush(stdout);
    sigwait(signals, &signal_number);
}

int main(int argc, char **argv)
{
    const char *devices[DEVICES_MAX];
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    libbpf_set_print(quiet);
    struct loss_bpf *loss = loss_bpf__open_and_load();
    if (loss == NULL) {
        fprintf(stderr, "loss: cannot load the program: %s\n", strerror(errno));
        return 1;
    }
    int count = parse(argc, argv, loss, devices);
    int status = count < 0 ? 2 : 0;
    if (count < 0)
        fprintf(stderr, "usage: loss DEVICE... [--share PERCENT] [--burst PACKETS PERIOD] [--least BYTES]\n");
    for (int i = 0; i < count && status == 0; i++) {
        int err = attach(devices[i], bpf_program__fd(loss->progs.lose));
        if (err != 0) {
            fprintf(stderr, "loss: cannot attach to %s: %s\n", devices[i], strerror(-err));
            status = 1;
        }
    }
    if (status == 0) {
        wait_for_end(&signals);
        printf("seen %llu dropped %llu\n", (unsigned long long)loss->bss->packets_seen,
               (unsigned long long)loss->bss->packets_dropped);
    }
    for (int i = 0; i < count; i++)
        detach(devices[i]);
    loss_bpf__destroy(loss);
    return status;
}
