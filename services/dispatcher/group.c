/* SPDX-License-Identifier: Apache-2.0 */

/* Steps that share a commit. Each is whole by itself, in a savepoint of its own; on disk they are together,
 * and so the words about them, to the journal and the bus, are kept until then: nobody is told what did not
 * happen. A thousand runs at midnight are some thirty commits then. */

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "services/dispatcher/dispatcher.h"

/* The API commits claims meanwhile, and waits for its turn in its loop: groups are small, and short. */
#define STEPS_MAX 32U
#define GROUP_USEC (10 * USEC_PER_MSEC)

typedef enum WordKind {
        WORD_LOG,
        WORD_QUEUED,
        WORD_FINISHED,
        WORD_RUN,
} WordKind;

struct Word {
        Word *next;
        WordKind kind;
        uint64_t id;
        int state;
        int level;
        const char *message_id; /* static */
        LogField fields[GROUP_FIELDS_MAX + 1];
        char *text;
};

static void say(Dispatcher *d, const Word *w) {
        switch (w->kind) {
        case WORD_LOG:
                log_struct(w->level, w->message_id, w->fields, "%s", w->text);
                break;
        case WORD_QUEUED:
                dispatcher_bus_emit_queued(d, w->id);
                break;
        case WORD_FINISHED:
                dispatcher_bus_emit_finished(d, w->id, (CommandState) w->state);
                break;
        case WORD_RUN:
                dispatcher_bus_emit_run(d, w->id, (RunState) w->state);
                break;
        }
}

/* Without memory to keep it a word is said early, which is better than never. */
static void keep_or_say(Dispatcher *d, Word *word) {
        Word *w = store_group_is_open(d->store) ? new0(Word, 1) : NULL;

        assert(d);
        assert(word);

        if (!w) {
                say(d, word);
                free(word->text);
                return;
        }
        *w = *word;
        if (d->words_end)
                d->words_end->next = w;
        else
                d->words = w;
        d->words_end = w;
}

void dispatcher_group_drop(Dispatcher *d) {
        assert(d);

        while (d->words) {
                Word *w = d->words;

                d->words = w->next;
                free(w->text);
                free(w);
        }
        d->words_end = NULL;
}

int dispatcher_begin(Dispatcher *d, StoreTx *tx) {
        int r;

        assert(d);
        assert(tx);

        if (!store_group_is_open(d->store)) {
                r = store_group_open(d->store);
                if (r < 0)
                        return r;
                d->steps = 0;
                d->group_began = now_usec(CLOCK_MONOTONIC);
        }
        d->steps++;
        return store_begin(d->store, tx);
}

int dispatcher_group_commit(Dispatcher *d) {
        int r;

        assert(d);

        r = store_group_commit(d->store);
        for (const Word *w = r < 0 ? NULL : d->words; w; w = w->next)
                say(d, w);
        dispatcher_group_drop(d);
        return r;
}

static bool is_full(const Dispatcher *d) {
        return store_group_is_open(d->store) &&
                        (d->steps >= STEPS_MAX ||
                         now_usec(CLOCK_MONOTONIC) >= d->group_began + GROUP_USEC);
}

int dispatcher_group_step(Dispatcher *d, int result) {
        int r = result;

        assert(d);

        if (r >= 0 && is_full(d))
                r = dispatcher_group_commit(d);
        /* What failed hard has undone the whole group: the next step begins another. */
        if (r < 0 && r != -EBUSY)
                (void) !dispatcher_group_commit(d);
        return r;
}

void dispatcher_log(Dispatcher *d, int level, const char *message_id, const LogField *fields,
                    const char *format, ...) {
        Word w = { .kind = WORD_LOG, .level = level, .message_id = message_id };
        va_list args;
        int r;

        assert(d);
        assert(fields);

        if (level > log_max_level())
                return;
        for (size_t i = 0; i < GROUP_FIELDS_MAX && fields[i].name; i++)
                w.fields[i] = fields[i];
        va_start(args, format);
        r = vasprintf_safe(&w.text, format, args);
        va_end(args);
        if (r >= 0)
                keep_or_say(d, &w);
}

void dispatcher_tell_queued(Dispatcher *d, uint64_t node) {
        keep_or_say(d, &(Word){ .kind = WORD_QUEUED, .id = node });
}

void dispatcher_tell_finished(Dispatcher *d, uint64_t command, CommandState state) {
        keep_or_say(d, &(Word){ .kind = WORD_FINISHED, .id = command, .state = state });
}

void dispatcher_tell_run(Dispatcher *d, uint64_t run, RunState state) {
        keep_or_say(d, &(Word){ .kind = WORD_RUN, .id = run, .state = state });
}
