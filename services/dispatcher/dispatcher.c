/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/text.h"
#include "services/dispatcher/dispatcher.h"
#include "sys/credentials.h"
#include "sys/daemon.h"
#include "sys/event.h"
#include "sys/log.h"
#include "wire/json.h"
#include "wire/names.h"

#define CREDENTIAL_MAX 1024
#define ACTOR_TEXT_MAX 255

/* --- Looking --- */

static void say_status(Dispatcher *d) {
        QueueCounts counts;

        if (queue_counts(d->store, /* node_id= */ 0, &counts) == 0)
                notify_status("%" PRIu64 " commands wait, %" PRIu64 " are out, %u nodes are online",
                              counts.pending, counts.dispatched + counts.accepted, d->nodes_online);
}

/* Ends first, so that a run that is over frees its task before the next one is looked at. */
static void look(Dispatcher *d) {
        int r;

        r = dispatcher_settle(d);
        if (r >= 0)
                r = dispatcher_issue(d);
        if (r < 0)
                log_struct_errno(LOG_ERR, r, MESSAGE_STORE_FAILED, NULL,
                                 "Failed to read the queue, trying again: %m");
}

static int on_look(sd_event_source *source, void *userdata) {
        Dispatcher *d = ASSERT_PTR(userdata);

        look(d);
        return 0;
}

void dispatcher_kick(Dispatcher *d) {
        int r;

        assert(d);

        if (!d->look)
                return;
        r = sd_event_source_set_enabled(d->look, SD_EVENT_ONESHOT);
        if (r < 0)
                log_error_errno(r, "Failed to plan a look at the queue, the next one comes by itself: %m");
}

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata) {
        Dispatcher *d = ASSERT_PTR(userdata);
        int r;

        r = dispatcher_watch(d);
        if (r < 0)
                log_struct_errno(LOG_ERR, r, MESSAGE_STORE_FAILED, NULL,
                                 "Failed to look at leases and nodes, trying again: %m");
        /* Waiting for the lock once is enough for one turn: the watchdog waits, too. */
        if (r != -EBUSY)
                look(d);
        say_status(d);
        r = event_rearm(source, DISPATCHER_TICK_USEC);
        return r < 0 ? log_error_errno(r, "Failed to set the timer: %m") : 0;
}

static int on_clean(sd_event_source *source, uint64_t usec, void *userdata) {
        const StoreRetention keep = STORE_RETENTION_DEFAULT;
        Dispatcher *d = ASSERT_PTR(userdata);
        bool more = false;
        int r;

        r = store_clean(d->store, &keep, now_usec(CLOCK_REALTIME), &more);
        if (r < 0)
                log_warning_errno(r, "Failed to clean up, trying again later: %m");
        r = event_rearm(source, more ? DISPATCHER_SLICE_USEC : DISPATCHER_CLEAN_USEC);
        return r < 0 ? log_error_errno(r, "Failed to set the timer: %m") : 0;
}

/* --- Who asks --- */

void actor_done(Actor *a) {
        assert(a);

        free(a->username);
        free(a->address);
        *a = ACTOR_NULL;
}

int actor_parse(const char *text, Actor *ret, Failure *reterr_failure) {
        _cleanup_(actor_done) Actor a = ACTOR_NULL;
        _cleanup_json_ json_t *json = NULL;
        JsonReader reader;
        int r;

        assert(text);
        assert(ret);

        r = json_parse_text(text, &json, reterr_failure);
        if (r < 0)
                return r;
        json_reader_init(&reader, json, reterr_failure);
        json_reader_u64(&reader, "user_id", JSON_OPTIONAL, INT64_MAX, &a.user_id);
        json_reader_strdup(&reader, "username", JSON_OPTIONAL, ACTOR_TEXT_MAX, &a.username);
        json_reader_strdup(&reader, "address", JSON_OPTIONAL, ACTOR_TEXT_MAX, &a.address);
        r = json_reader_finish_lenient(&reader);
        if (r < 0)
                return r;
        *ret = a;
        a = ACTOR_NULL;
        return 0;
}

/* --- Life --- */

Dispatcher *dispatcher_free(Dispatcher *d) {
        if (!d)
                return NULL;
        sd_event_source_disable_unref(d->look);
        sd_event_source_disable_unref(d->tick);
        sd_event_source_disable_unref(d->clean);
        bus_peer_free(d->scheduler);
        bus_doors_free(d->doors);
        store_close(d->store);
        age_identity_erase(&d->identity);
        dispatcher_group_drop(d);
        free(d->seen);
        free(d->token_old.ids);
        free(d->check_failed.ids);
        sd_event_unref(d->event);
        return mfree(d);
}

static int open_identity(Dispatcher *d) {
        _cleanup_(erase_and_freep) char *text = NULL;
        int r;

        assert(d);

        r = credential_read(CREDENTIAL_DISPATCHER, CREDENTIAL_MAX, &text, NULL);
        if (r < 0)
                return log_error_errno(
                                r, "Failed to read the credential %s, which backupx-keys.service makes: %m",
                                CREDENTIAL_DISPATCHER);
        r = age_identity_parse(text, &d->identity);
        if (r >= 0)
                r = age_identity_recipient(&d->identity, &d->recipient);
        if (r < 0)
                return log_error_errno(r, "The credential %s is not an age identity: %m",
                                       CREDENTIAL_DISPATCHER);
        return 0;
}

static int open_store(Dispatcher *d) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_(freep) char *path = NULL;
        int r;

        assert(d);

        r = asprintf_safe(&path, "%s/" FILE_DATABASE, daemon_state_directory());
        if (r < 0)
                return log_error_errno(r, "Out of memory");
        r = store_open(path, STORE_DISPATCHER, &d->store, &failure);
        if (r < 0)
                return log_struct_errno(LOG_ERR, r, MESSAGE_STORE_FAILED, NULL, "%s",
                                        failure_message(&failure, r));
        return 0;
}

static int open_door(Dispatcher *d) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int fd, r;

        assert(d);

        fd = daemon_listen_private("dispatcher", &failure);
        if (fd < 0)
                return log_failure(fd, &failure, "Failed to open the private socket");
        r = bus_doors_new(d->event, BUS_DISPATCHER_NAME, BUS_DISPATCHER_PATH, fd, &d->doors);
        if (r < 0)
                return log_error_errno(r, "Failed to set up the bus: %m");
        r = dispatcher_bus_add(d);
        if (r < 0)
                return log_error_errno(r, "Failed to export the object: %m");
        return 0;
}

int dispatcher_new(sd_event *event, Dispatcher **ret) {
        _cleanup_(dispatcher_freep) Dispatcher *d = NULL;
        int r;

        assert(event);
        assert(ret);

        d = new0(Dispatcher, 1);
        if (!d)
                return log_error_errno(-ENOMEM, "Out of memory");
        d->event = sd_event_ref(event);
        r = open_identity(d);
        if (r >= 0)
                r = open_store(d);
        if (r >= 0)
                r = open_door(d);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(d);
        return 0;
}

static int start_sources(Dispatcher *d) {
        int r;

        assert(d);

        r = sd_event_add_defer(d->event, &d->look, on_look, d);
        if (r >= 0)
                r = sd_event_source_set_enabled(d->look, SD_EVENT_OFF);
        if (r >= 0)
                r = event_add_timer(d->event, &d->tick, DISPATCHER_TICK_USEC, on_tick, d);
        if (r >= 0)
                r = event_add_timer(d->event, &d->clean, DISPATCHER_CLEAN_USEC, on_clean, d);
        return r;
}

int dispatcher_start(Dispatcher *d) {
        int r;

        assert(d);

        r = start_sources(d);
        if (r < 0)
                return log_error_errno(r, "Failed to set up the timers: %m");
        r = bus_doors_start(d->doors);
        if (r < 0)
                return log_error_errno(r, "Failed to open the bus: %m");
        r = dispatcher_bus_watch_scheduler(d);
        if (r < 0)
                return log_error_errno(r, "Failed to watch the scheduler: %m");
        r = dispatcher_watch(d);
        if (r < 0)
                return log_error_errno(r, "Failed to look at leases and nodes: %m");
        look(d);
        say_status(d);
        return 0;
}
