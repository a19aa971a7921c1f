/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "crypto/random.h"
#include "database/hana-backup.h"

/* Outcomes of a look at the catalog. */
enum {
        SUCCEEDED = 0,
        NOT_THERE = 1, /* it failed, or never began */
        RUNNING = 2,
};

void hana_backup_result_done(HanaBackupResult *r) {
        assert(r);

        hana_answer_done(&r->answer);
        failure_done(&r->first);
        *r = HANA_BACKUP_RESULT_NULL;
}

/* "cancel pending" runs, too. */
static bool is_running(const char *state) {
        return streq(state, "running") || streq(state, "prepared") || endswith(state, "pending");
}

static int state_of(const HanaAnswer *a, uint64_t *ret_id) {
        int outcome = NOT_THERE;

        for (size_t i = 0; i < a->n_entries; i++) {
                const HanaEntry *e = a->entries + i;

                if (streq(e->state, "successful")) {
                        *ret_id = e->id;
                        return SUCCEEDED;
                }
                if (is_running(e->state))
                        outcome = RUNNING;
        }
        return outcome;
}

static int write_target(const HanaBackupArgs *args, const char *name, char **ret) {
        return args->place ? asprintf_safe(ret, "%s/%s", args->place->path, name) :
                             asprintf_safe(ret, "%s", name);
}

static int write_backup(const HanaBackupArgs *args, const char *name, Buffer *b) {
        const HanaSettings *how = args->tool->settings;
        _cleanup_(freep) char *target = NULL;
        int r;

        r = write_target(args, name, &target);
        if (r >= 0 && how->channels > 0 && !args->place)
                r = hana_sql_channels(b, &args->of, how->channels);
        if (r >= 0)
                r = hana_sql_backup(b, &args->of, how, target);
        return r < 0 ? r : hana_sql_find(b, &args->of, name);
}

/* -EREMOTEIO: nobody knows what became of it. */
static int try_once(const HanaBackupArgs *args, HanaBackupResult *ret, Failure *reterr_failure) {
        _cleanup_(hana_answer_done) HanaAnswer a = HANA_ANSWER_NULL;
        _cleanup_buffer_ Buffer b = BUFFER_NULL;
        int r;

        r = write_backup(args, ret->name, &b);
        if (r == -E2BIG)
                return failure_set(reterr_failure, r, "SOURCE_INVALID",
                                   "The names of database '%s' and of its directory are too long together",
                                   args->of.database);
        if (r >= 0)
                r = hana_tool_run(args->tool, b.data, &a, reterr_failure);
        if (r < 0)
                return r;
        if (state_of(&a, &ret->id) != SUCCEEDED)
                return failure_set(reterr_failure, -EREMOTEIO, "HANA_FAILED",
                                   "SAP HANA says that database '%s' is backed up, but its catalog does not "
                                   "say so",
                                   args->of.database);
        ret->answer = a;
        a = HANA_ANSWER_NULL;
        return 0;
}

/* Until the catalog tells how it ended: it may run for hours behind a connection that broke. */
static int look(const HanaBackupArgs *args, Backoff *backoff, HanaBackupResult *ret) {
        unsigned unanswered = 0;

        for (;;) {
                _cleanup_(hana_answer_done) HanaAnswer a = HANA_ANSWER_NULL;
                _cleanup_buffer_ Buffer b = BUFFER_NULL;
                int r;

                r = hana_tool_pause(args->tool, backoff);
                if (r >= 0)
                        r = hana_sql_find(&b, &args->of, ret->name);
                if (r >= 0)
                        r = hana_tool_run(args->tool, b.data, &a, NULL);
                if (r == -EREMOTEIO && unanswered++ < args->tool->settings->retries)
                        continue;
                if (r < 0)
                        return r;
                r = state_of(&a, &ret->id);
                if (r == RUNNING)
                        continue;
                if (r == SUCCEEDED) {
                        ret->answer = a;
                        a = HANA_ANSWER_NULL;
                }
                return r;
        }
}

static int pass_on(Failure *from, int error, Failure *reterr_failure) {
        if (!failure_is_set(from))
                return error;
        return failure_set(reterr_failure, error, from->code, "%s", failure_message(from, error));
}

/* What is left of a try would be taken for a piece by the next run. */
static int clean(const HanaBackupArgs *args, const char *name, Failure *reterr_failure) {
        int r;

        if (!args->place)
                return 0;
        r = hana_place_clear(args->place, name);
        if (r < 0)
                return failure_set(reterr_failure, r, "DIRECTORY_UNUSABLE",
                                   "%s cannot be cleaned of a backup that failed, %s: %s", args->place->path,
                                   name, strerror(-r));
        return 0;
}

int hana_backup(const HanaBackupArgs *args, HanaBackupResult *ret, Failure *reterr_failure) {
        _cleanup_(hana_backup_result_done) HanaBackupResult result = HANA_BACKUP_RESULT_NULL;
        Backoff backoff;
        int r;

        assert(args && args->tool);
        assert(ret);

        backoff = hana_tool_backoff(args->tool);
        for (;;) {
                _cleanup_failure_ Failure why = FAILURE_NULL;

                (void) hana_name_new(args->of.database, (int64_t) (now_usec(CLOCK_REALTIME) / USEC_PER_SEC),
                                     random_u32(), result.name);
                r = try_once(args, &result, &why);
                if (r == -EREMOTEIO)
                        r = look(args, &backoff, &result);
                if (r < 0)
                        return r == -ECANCELED ? r : pass_on(&why, r, reterr_failure);
                if (r == SUCCEEDED)
                        break;
                r = clean(args, result.name, reterr_failure);
                if (r < 0)
                        return r;
                if (result.tries == args->tool->settings->retries)
                        return pass_on(&why, -EREMOTEIO, reterr_failure);
                if (result.tries++ == 0) {
                        result.first = why;
                        why = FAILURE_NULL;
                }
        }
        *ret = result;
        result = HANA_BACKUP_RESULT_NULL;
        return 0;
}
