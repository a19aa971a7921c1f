#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A database in a directory of its own, opened in every role, as the three daemons do. */

#include "store/node.h"
#include "store/queue.h"
#include "store/run.h"
#include "store/task.h"
#include "tests/test.h"

typedef struct Fixture {
        char directory[32];
        char path[48];
        Store *api;
        Store *scheduler;
        Store *dispatcher;
} Fixture;

#define T0 UINT64_C(1700000000000000) /* some wall-clock time */

void fixture_init(Fixture *f);
void fixture_done(Fixture *f);

#define _cleanup_fixture_ _cleanup_(fixture_done)

uint64_t fixture_node(Fixture *f, const char *name);
uint64_t fixture_target(Fixture *f, const char *name);
/* A task of that node with these targets (0 ends the list). */
uint64_t fixture_task(Fixture *f, const char *name, uint64_t node_id, uint64_t target_1, uint64_t target_2);
/* A queued run of the task, by hand. */
uint64_t fixture_run(Fixture *f, uint64_t task_id);
/* A pending command of kind backup. run_id may be 0. */
uint64_t fixture_command(Fixture *f, uint64_t node_id, uint64_t run_id);
/* This boot, at that many seconds. */
Stamp fixture_stamp(usec_t seconds);
/* The API listens since then, and was alive at that second. */
void fixture_api_alive(Fixture *f, usec_t since, usec_t at);
CommandState fixture_command_state(Fixture *f, uint64_t id);
RunState fixture_run_state(Fixture *f, uint64_t id);
