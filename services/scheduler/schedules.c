/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "services/scheduler/decide.h"
#include "services/scheduler/schedules.h"
#include "sys/log.h"
#include "wire/names.h"

static void entry_done(Entry *e) {
        schedule_done(&e->row);
        timetable_free(e->timetable);
        *e = (Entry){};
}

void schedules_done(Schedules *s) {
        assert(s);

        for (size_t i = 0; i < s->n; i++)
                entry_done(s->items + i);
        free(s->items);
        *s = SCHEDULES_NULL;
}

Entry *schedules_find(Schedules *s, uint64_t task_id) {
        size_t low = 0, high;

        assert(s);

        for (high = s->n; low < high;) {
                size_t middle = low + (high - low) / 2;

                if (s->items[middle].row.task_id == task_id)
                        return s->items + middle;
                if (s->items[middle].row.task_id < task_id)
                        low = middle + 1;
                else
                        high = middle;
        }
        return NULL;
}

static void tell_broken(Entry *e) {
        if (e->told)
                return;
        e->told = true;
        log_struct(LOG_WARNING, MESSAGE_TASK_DISABLED, LOG_FIELDS(LOG_TASK(e->row.task_id)),
                   "The schedule of %stask '%s' is broken and starts nothing: %s",
                   e->row.kind == SCHEDULE_VERIFY ? "the checks of " : "", strempty(e->row.task_name),
                   strempty(e->row.error));
}

/* The first look at this revision of the task: what elapsed since the change counts, even if nobody looked
 * then. */
static int first_elapse(Entry *e, usec_t now) {
        usec_t since = e->row.task_updated;
        int r;

        if (since == 0 || since > now)
                since = now;
        r = timetable_next(e->timetable, since, &e->row.next);
        if (r == CALENDAR_E_NEVER)
                e->row.next = 0;
        return r < 0 ? r : 0;
}

/* Sets what follows from the row. ret_changed: it is to be written. */
static int entry_evaluate(Entry *e, usec_t now, bool *ret_changed) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        bool fresh = e->row.revision != e->row.task_revision;
        int r;

        r = timetable_new(strempty(e->row.expression), e->row.timezone, &e->timetable, &failure);
        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                bool same = !fresh && streq_ptr(e->row.error, failure_message(&failure, r));

                *ret_changed = !same;
                e->row.revision = e->row.task_revision;
                e->row.next = 0;
                r = free_and_strdup(&e->row.error, failure_message(&failure, r));
                if (r < 0)
                        return r;
                tell_broken(e);
                return 0;
        }
        *ret_changed = fresh || e->row.error;
        if (*ret_changed) {
                e->row.error = mfree(e->row.error);
                e->row.revision = e->row.task_revision;
                return first_elapse(e, now);
        }
        return decide_next_after_step(e->timetable, e->row.next, now, &e->row.next);
}

/* write false: somebody holds the lock, and waiting for it once is enough. */
static int entry_adopt(Entry *e, Store *store, usec_t now, bool write) {
        bool changed;
        int r;

        assert(e);

        r = entry_evaluate(e, now, &changed);
        if (r < 0 || !changed)
                return r;
        r = write ? schedule_put(store, &e->row) : -EBUSY;
        /* Gone in the meantime: the next look will not find it. */
        return r < 0 ? r : 0;
}

/* Takes what was parsed and decided before, when the task is the same. */
static bool entry_inherit(Entry *e, Entry *old, bool parse_all) {
        if (!old || old->row.task_revision != e->row.task_revision || old->row.revision != e->row.revision)
                return false;
        e->told = old->told;
        e->row.next = old->row.next;
        if (!parse_all)
                e->timetable = TAKE_PTR(old->timetable);
        return e->timetable != NULL;
}

static int append_page(Schedules *s, ScheduleList *page) {
        Entry *grown;

        assert(s);
        assert(page);

        grown = realloc(s->items, (s->n + page->n) * sizeof *grown);
        if (!grown)
                return -ENOMEM;
        s->items = grown;
        for (size_t i = 0; i < page->n; i++) {
                s->items[s->n++] = (Entry){ .row = page->items[i] };
                page->items[i] = SCHEDULE_NULL;
        }
        return 0;
}

static int read_all(Schedules *s, Store *store) {
        uint64_t after = 0;

        for (;;) {
                _cleanup_(schedule_list_done) ScheduleList page = SCHEDULE_LIST_NULL;
                int r;

                r = schedules_list(store, s->kind, after, STORE_LIST_MAX, &page);
                if (r < 0)
                        return r;
                if (page.n == 0)
                        return 0;
                after = page.items[page.n - 1].task_id;
                r = append_page(s, &page);
                if (r < 0)
                        return r;
        }
}

int schedules_refresh(Schedules *s, Store *store, usec_t now, bool parse_all) {
        _cleanup_(schedules_done) Schedules fresh = { .kind = s->kind };
        Schedules swap;
        int failed = 0, r;

        assert(s);
        assert(store);

        r = read_all(&fresh, store);
        if (r < 0)
                return r;
        for (size_t i = 0; i < fresh.n; i++) {
                Entry *e = fresh.items + i;
                Entry *old = schedules_find(s, e->row.task_id);

                if (entry_inherit(e, old, parse_all))
                        continue;
                r = entry_adopt(e, store, now, /* write= */ failed != -EBUSY);
                if (r < 0)
                        failed = r;
        }
        swap = *s;
        *s = fresh;
        fresh = swap;
        return failed;
}

int schedules_step(Schedules *s, usec_t now) {
        assert(s);

        for (size_t i = 0; i < s->n; i++) {
                Entry *e = s->items + i;
                int r;

                if (!e->timetable)
                        continue;
                r = decide_next_after_step(e->timetable, e->row.next, now, &e->row.next);
                if (r < 0)
                        return r;
        }
        return 0;
}

usec_t schedules_earliest(const Schedules *s, unsigned *ret_active) {
        usec_t earliest = USEC_INFINITY;
        unsigned active = 0;

        assert(s);

        for (size_t i = 0; i < s->n; i++)
                if (entry_is_active(s->items + i)) {
                        earliest = MIN(earliest, s->items[i].row.next);
                        active++;
                }
        if (ret_active)
                *ret_active = active;
        return earliest;
}
