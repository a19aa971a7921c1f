/* SPDX-License-Identifier: Apache-2.0 */

/* Staged files of attempts that have ended are removed. Names are read in a worker, whether an attempt still
 * lives is asked of the store in the loop, and a worker removes. */

#include <errno.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/text.h"
#include "store/queue.h"
#include "store/target.h"
#include "sys/event.h"
#include "sys/log.h"

#include "services/api/relay-file.h"
#include "services/api/relay-private.h"

#define TARGETS_PER_PAGE 200
#define TYPE_RELAY "relay"

typedef struct Sweep {
        Relay *relay;
        char **bases;
        char **names;   /* staged files, each behind its base: base, name, base, name, … */
        char **removed; /* the dead ones of them, in the same form */
} Sweep;

static Sweep *sweep_free(Sweep *s) {
        if (!s)
                return NULL;
        strv_free(s->bases);
        strv_free(s->names);
        strv_free(s->removed);
        return mfree(s);
}

DEFINE_CLEANUP(Sweep *, sweep_free);

/* --- Removing ------------------------------------------------------------------------------------- */

static void remove_run(void *userdata) {
        Sweep *s = ASSERT_PTR(userdata);

        for (size_t i = 0; s->removed && s->removed[i]; i += 2) {
                _cleanup_close_ int base = -EBADF;

                /* Failing is no harm: the next sweep comes. */
                if (relay_open_base(s->removed[i], /* make= */ false, &base) >= 0)
                        (void) !relay_remove_staged(base, s->removed[i + 1]);
        }
}

static void remove_done(void *userdata) {
        _cleanup_(sweep_freep) Sweep *s = ASSERT_PTR(userdata);

        s->relay->is_sweeping = false;
}

static void sweep_drop(void *userdata) {
        sweep_free(userdata);
}

/* --- Looking -------------------------------------------------------------------------------------- */

static void look_run(void *userdata) {
        Sweep *s = ASSERT_PTR(userdata);

        STRV_FOREACH(path, s->bases) {
                _cleanup_(strv_freep) char **staged = NULL;
                _cleanup_close_ int base = -EBADF;

                if (relay_open_base(*path, /* make= */ false, &base) < 0 ||
                    relay_list_staged(base, &staged) < 0)
                        continue;
                STRV_FOREACH(name, staged)
                        if (strv_extend(&s->names, *path) < 0 || strv_extend(&s->names, *name) < 0)
                                return;
        }
}

/* Whether the attempt that a staged file belongs to may still write it. */
static bool is_alive(Relay *relay, const char *name) {
        _cleanup_(command_done) Command row = COMMAND_NULL;
        RelayStaged staged;
        int r;

        assert(relay);

        if (relay_staged_parse(name, &staged) < 0)
                return true; /* not ours to remove */
        r = command_get(relay->api->store, staged.command, &row);
        if (r == STORE_E_NOT_FOUND)
                return false;
        if (r < 0)
                return true;
        return !command_state_is_final(row.state) && row.attempt == staged.attempt;
}

static void look_done(void *userdata) {
        _cleanup_(sweep_freep) Sweep *s = ASSERT_PTR(userdata);
        const WorkerJob job = { .run = remove_run, .done = remove_done, .drop = sweep_drop, .userdata = s };

        s->relay->is_sweeping = false;
        for (size_t i = 0; s->names && s->names[i] && s->names[i + 1]; i += 2) {
                if (is_alive(s->relay, s->names[i + 1]))
                        continue;
                log_info("Removing %s/%s/%s: its job has ended without a commit", s->names[i], RELAY_STAGING,
                         s->names[i + 1]);
                if (strv_extend(&s->removed, s->names[i]) < 0 ||
                    strv_extend(&s->removed, s->names[i + 1]) < 0)
                        return;
        }
        if (!s->removed)
                return;
        s->relay->is_sweeping = true;
        if (workers_submit(s->relay->api->workers, &job) < 0)
                s->relay->is_sweeping = false;
        else
                TAKE_PTR(s);
}

static int add_bases(Sweep *s) {
        uint64_t after = 0;
        size_t n;

        assert(s);

        do {
                _cleanup_(target_list_done) TargetList list = TARGET_LIST_NULL;
                int r;

                r = targets_list(s->relay->api->store, after, TARGETS_PER_PAGE, &list);
                if (r < 0)
                        return r;
                n = list.n;
                for (size_t i = 0; i < n; i++) {
                        _cleanup_(freep) char *dir = NULL;

                        after = list.items[i].id;
                        if (!streq(list.items[i].type, TYPE_RELAY))
                                continue;
                        r = relay_directory(s->relay, after, list.items[i].config, &dir);
                        if (r >= 0 && dir[0] && !strv_contains(s->bases, dir))
                                r = strv_extend(&s->bases, dir);
                        if (r == -ENOMEM)
                                return r;
                }
        } while (n == TARGETS_PER_PAGE);
        return 0;
}

static int sweep(Relay *relay) {
        _cleanup_(sweep_freep) Sweep *s = new0(Sweep, 1);
        const WorkerJob job = { .run = look_run, .done = look_done, .drop = sweep_drop, .userdata = s };
        int r;

        if (!s)
                return -ENOMEM;
        s->relay = relay;
        r = add_bases(s);
        if (r < 0 || !s->bases)
                return r;
        r = workers_submit(relay->api->workers, &job);
        if (r < 0)
                return r;
        TAKE_PTR(s);
        relay->is_sweeping = true;
        return 0;
}

static int on_sweep(sd_event_source *source, uint64_t usec, void *userdata) {
        Relay *relay = ASSERT_PTR(userdata);
        int r = 0;

        if (!relay->is_sweeping)
                r = sweep(relay);
        if (r < 0)
                log_warning_errno(r, "Failed to look for abandoned uploads, ignoring: %m");
        r = event_rearm(relay->sweep, RELAY_SWEEP_USEC);
        return r < 0 ? log_error_errno(r, "Failed to set the timer of the relay: %m") : 0;
}

int relay_sweep_start(Relay *relay) {
        return event_add_timer(relay->api->event, &relay->sweep, RELAY_SWEEP_USEC, on_sweep, relay);
}
