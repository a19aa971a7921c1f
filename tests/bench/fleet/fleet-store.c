/* SPDX-License-Identifier: Apache-2.0 */

/* What would take the API's routes minutes: a fleet's nodes, and many runs at one moment, as a schedule
 * makes them at midnight. Straight into the database, beside the daemons. */

#include <inttypes.h>
#include <stdio.h>

#include "base/alloc.h"
#include "crypto/token.h"
#include "store/node-token.h"
#include "store/node.h"
#include "store/run.h"

#include "tests/bench/fleet/fleet.h"

#define KEY "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"

static int add_node(Store *s, unsigned i, uint64_t *ret_id) {
        usec_t now = now_usec(CLOCK_REALTIME);
        _cleanup_(freep) char *token = NULL;
        uint8_t hash[TOKEN_HASH_SIZE];
        char name[32];
        uint64_t id;
        int r;

        (void) snprintf(name, sizeof(name), "fleet-%05u", i);
        r = node_add(s, name, NULL, now, &id);
        if (r == 0)
                r = token_new(TOKEN_NODE, &token);
        if (r == 0)
                r = token_hash(token, hash);
        if (r == 0)
                r = node_token_add(s, id, hash, NULL, now, /* replace_now= */ true);
        if (r != 0)
                return r;
        printf("%" PRIu64 " %s\n", id, token);
        *ret_id = id;
        return 0;
}

static int add_all(Store *s, unsigned n, uint64_t *ret_first, uint64_t *ret_last) {
        int r;

        r = store_group_open(s);
        for (unsigned i = 0; i < n && r == 0; i++) {
                r = add_node(s, i, ret_last);
                if (i == 0)
                        *ret_first = *ret_last;
        }
        return r == 0 ? store_group_commit(s) : r;
}

/* As if each had been in contact before. */
static int pin_all(Store *s, uint64_t first, uint64_t last) {
        int r;

        r = store_group_open(s);
        for (uint64_t id = first; id <= last && r == 0; id++)
                r = node_pin_key(s, id, KEY);
        return r == 0 ? store_group_commit(s) : r;
}

int fleet_add_nodes(const char *database, unsigned n) {
        _cleanup_(store_closep) Store *api = NULL, *dispatcher = NULL;
        uint64_t first = 0, last = 0;
        int r;

        r = store_open(database, STORE_API, &api, NULL);
        if (r == 0)
                r = store_open(database, STORE_DISPATCHER, &dispatcher, NULL);
        if (r == 0)
                r = add_all(api, n, &first, &last);
        return r == 0 ? pin_all(dispatcher, first, last) : r;
}

int fleet_queue_runs(const char *database, uint64_t first, uint64_t last) {
        _cleanup_(store_closep) Store *s = NULL;
        int r;

        r = store_open(database, STORE_SCHEDULER, &s, NULL);
        if (r == 0)
                r = store_group_open(s);
        for (uint64_t task = first; task <= last && r == 0; task++) {
                const RunNew run = { .kind = RUN_BACKUP, .task_id = task, .origin = "schedule" };
                uint64_t id;

                r = run_add(s, &run, now_usec(CLOCK_REALTIME), &id);
        }
        if (r == 0)
                r = store_group_commit(s);
        if (r == 0)
                printf("queued %" PRIu64 "\n", now_usec(CLOCK_REALTIME));
        return r;
}
