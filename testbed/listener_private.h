/* SPDX-License-Identifier: BSD-2-Clause */
/* The listener's insides, shared by its source files. One thread. */
#ifndef LOCKSTEP_TESTBED_LISTENER_PRIVATE_H
#define LOCKSTEP_TESTBED_LISTENER_PRIVATE_H

#include <json-c/json.h>

#include "testbed/child.h"
#include "testbed/job.h"
#include "testbed/listener.h"
#include "testbed/node_clock.h"

#define CALLERS_MAX 4 /* connections at a time, the controller's included */

struct process {
    char name[JOB_PROCESS_MAX];
    struct child child;
    struct child_lines out_lines, err_lines;
    bool out_open, err_open;
    char result_path[JOB_PATH_MAX], raw_path[JOB_PATH_MAX];
    struct listener *listener;
};

struct caller {
    struct channel *channel; /* NULL: free */
    bool greeted;
    uint64_t deadline_ns;
};

struct listener {
    const struct listener_options *options;
    struct channel_credentials *credentials;
    struct node_clock *clock; /* NULL: none */
    int socket, signals;
    bool stopping;
    struct caller callers[CALLERS_MAX];
    struct caller *controller; /* the one that has greeted */
    char directory[144];       /* of the present controller's run; "": none yet */
    struct process processes[LISTENER_PROCESSES_MAX];
    int transfer; /* file being sent; -1: none */
};

/* listener.c: what is said. All take the object over. */
struct json_object *listener_message(const char *type);
void listener_say_error(struct channel *channel, const char *about, const char *process, const char *text);
/* To the controller, if there is one. */
void listener_tell(struct listener *listener, struct json_object *object);

/* listener_processes.c. NULL: none. */
struct process *listener_find_process(struct listener *listener, const char *name);
struct process *listener_free_process(struct listener *listener);
/* Chooses the paths of the job's files and writes job_path. 0 or a negative code. */
int listener_place_files(struct listener *listener, struct process *process, struct job *job,
                         char job_path[JOB_PATH_MAX]);
int listener_start_process(struct listener *listener, struct process *process, bool accelerated, enum job_role role,
                           const char *job_path);
/* Passes on what it says. */
void listener_read_process(struct process *process);
/* Ends it if it has not ended; its files stay. */
void listener_end_process(struct process *process, int patience_ms);
void listener_forget_process(struct process *process);
/* Ends all of them, and removes all files. */
void listener_end_all(struct listener *listener);

/* listener_requests.c */
void listener_handle_request(struct listener *listener, struct json_object *object, const char *type);
/* The next pieces of the file that is being sent. */
void listener_go_on_sending(struct listener *listener);

#endif
