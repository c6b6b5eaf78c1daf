/* SPDX-License-Identifier: BSD-2-Clause */
/* The agent on each node: starts and stops testbench processes for one controller at a time, tells it what they say,
 * and hands over what they measured. Nothing of it stays when the controller is gone.
 *
 * Messages are JSON objects with a "type". From the controller:
 *   hello {version}                 first; anything but the own version ends the connection with an error
 *   facts {address, mtu}            node_check.h
 *   clock {clock}                   "lockstep" or "system"
 *   spawn {stack, job}              "kernel" or "lockstep"; a job as in job.h, whose paths are chosen here
 *   start {process, tai_ns}         passed on to the process
 *   stop {process}
 *   counters                        bytes that went through the kernel's IP and through lanes so far
 *   fetch {process, file}           "result" or "raw"; answered by "file" and as many data messages as it takes
 *   end                             ends all processes and removes their files
 * To the controller:
 *   hello {version, node, program}, facts {facts, findings}, clock {status, bound_ns, tai_ns}, spawned {process},
 *   event {process, event}          a line of the process, see docs/testbed.md
 *   said {process, text}            a line of its error output
 *   exited {process, status}        exit status, 128 + signal
 *   counters {kernel, lanes}, file {process, file, size}, ended
 *   error {text, about, process}    about: the type of the message that could not be followed
 */
#ifndef LOCKSTEP_TESTBED_LISTENER_H
#define LOCKSTEP_TESTBED_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "testbed/channel.h"
#include "testbed/pattern.h"

#define LISTENER_VERSION       1
#define LISTENER_PROCESSES_MAX 64

struct listener_options {
    char address[80];
    int64_t port;
    char name[PATTERN_NODE_MAX];
    char key[200], certificate[200], certificate_key[200], authority[200];
    char directory[128];        /* for jobs, results and raw logs; a fresh one below it is used */
    char clock_path[200];       /* "": the usual one */
    char runtime_dir[90];       /* of lockstep-netd; "": the usual one */
    char profile[200];          /* of accelerated processes */
    char testbench[200];        /* program; "": beside this one */
    char lockstep_program[200]; /* "": this one */
};

/* Runs until SIGTERM or SIGINT. The exit status. */
int listener_main(const struct listener_options *options);

#endif
