/* SPDX-License-Identifier: Apache-2.0 */

/* Server-sent events. A stream is a connection that waits: events are queued for it while it does not read,
 * up to a limit, beyond which it is closed and the client comes again. Who may see what is asked again when
 * a user changes, so that a stream does not outlive its permission. */

#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "store/api-key.h"
#include "sys/event.h"
#include "sys/log.h"

#include "services/api/api.h"
#include "services/api/handlers.h"
#include "services/api/stream.h"

/* What MHD asks for at a time. */
#define BLOCK 4096U

typedef struct Stream {
        Streams *streams; /* weak; NULL after streams_free() */
        struct Stream *prev, *next;
        Conn *conn; /* weak */
        struct MHD_Connection *connection;
        uint64_t user_id;
        uint64_t api_key_id; /* 0: a session */
        char jti[SESSION_ID_LENGTH + 1];
        Buffer buffer;
        bool is_suspended;
        bool is_ended; /* nothing more is taken; what is in the buffer still goes */
} Stream;

struct Streams {
        Api *api;
        sd_event_source *timer;
        Stream *first;
        size_t n;
        uint64_t last_id;
};

static void stream_wake(Stream *x) {
        if (!x->is_suspended)
                return;
        x->is_suspended = false;
        MHD_resume_connection(x->connection);
        conn_wake(x->conn);
}

static void stream_end(Stream *x) {
        x->is_ended = true;
        stream_wake(x);
}

static void stream_write(Stream *x, const char *text, size_t n) {
        assert(x);

        if (x->is_ended)
                return;
        if (buffer_add(&x->buffer, text, n) < 0) {
                log_debug("A client of the event stream reads too slowly: it is cut off.");
                buffer_clear(&x->buffer);
                stream_end(x);
                return;
        }
        stream_wake(x);
}

/* MHD asks for bytes. With none there the connection sleeps: 0 alone would make it ask again at once. */
static ssize_t stream_read(void *userdata, uint64_t position, char *buf, size_t max) {
        Stream *x = ASSERT_PTR(userdata);
        size_t n = MIN(max, x->buffer.size);

        if (n == 0 && x->is_ended)
                return MHD_CONTENT_READER_END_OF_STREAM;
        if (n == 0) {
                x->is_suspended = true;
                MHD_suspend_connection(x->connection);
                return 0;
        }
        memcpy(buf, x->buffer.data, n);
        buffer_consume(&x->buffer, n);
        return (ssize_t) n;
}

static void stream_free(void *userdata) {
        Stream *x = ASSERT_PTR(userdata);

        if (x->streams) {
                if (x->prev)
                        x->prev->next = x->next;
                else
                        x->streams->first = x->next;
                if (x->next)
                        x->next->prev = x->prev;
                x->streams->n--;
        }
        buffer_done(&x->buffer);
        free(x);
}

/* --- All of them ---------------------------------------------------------------------------------- */

static bool is_alive(const Stream *x) {
        _cleanup_(user_done) User user = USER_NULL;
        _cleanup_(api_key_done) ApiKey key = API_KEY_NULL;
        Store *store = x->streams->api->store;
        usec_t now = now_usec(CLOCK_REALTIME);

        if (x->api_key_id == 0)
                return session_get(store, x->jti, now, NULL, &user) == 0;
        if (api_key_get(store, x->api_key_id, &key) != 0 || user_get(store, x->user_id, &user) != 0)
                return false;
        return user.enabled && (key.expires == 0 || key.expires > now);
}

void streams_check(Streams *s) {
        assert(s);

        for (Stream *x = s->first; x; x = x->next)
                if (!x->is_ended && !is_alive(x))
                        stream_end(x);
}

static int on_keepalive(sd_event_source *source, uint64_t usec, void *userdata) {
        Streams *s = ASSERT_PTR(userdata);

        streams_check(s);
        for (Stream *x = s->first; x; x = x->next)
                stream_write(x, ":\n\n", 3);
        return event_rearm(s->timer, STREAM_KEEPALIVE_USEC);
}

int streams_new(Api *api, Streams **ret) {
        _cleanup_(streams_freep) Streams *s = NULL;
        int r;

        assert(api);
        assert(ret);

        s = new0(Streams, 1);
        if (!s)
                return -ENOMEM;
        s->api = api;
        r = event_add_timer(api->event, &s->timer, STREAM_KEEPALIVE_USEC, on_keepalive, s);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

void streams_end(Streams *s) {
        assert(s);

        for (Stream *x = s->first; x; x = x->next)
                stream_end(x);
}

Streams *streams_free(Streams *s) {
        if (!s)
                return NULL;

        for (Stream *x = s->first; x; x = x->next)
                x->streams = NULL;
        sd_event_source_disable_unref(s->timer);
        free(s);
        return NULL;
}

size_t streams_count(const Streams *s) {
        assert(s);

        return s->n;
}

static int format_event(Streams *s, const char *name, const json_t *json, Buffer *text) {
        _cleanup_(freep) char *data = NULL;
        int r;

        r = json_format(json, &data, NULL);
        if (r < 0)
                return r;
        return buffer_printf(text, "id: %" PRIu64 "\nevent: %s\ndata: %s\n\n", ++s->last_id, name, data);
}

void streams_send(Streams *s, const char *name, json_t *json) {
        _cleanup_buffer_ Buffer text = BUFFER_NULL;
        _cleanup_json_ json_t *owned = json;

        assert(s);
        assert(name);

        if (!owned || s->n == 0 || format_event(s, name, owned, &text) < 0)
                return;
        for (Stream *x = s->first; x; x = x->next)
                stream_write(x, text.data, text.size);
}

/* --- One more ------------------------------------------------------------------------------------- */

static size_t count_of_user(const Streams *s, uint64_t user_id) {
        size_t n = 0;

        for (const Stream *x = s->first; x; x = x->next)
                n += x->user_id == user_id;
        return n;
}

static Stream *stream_new(Streams *s, const Request *r) {
        Stream *x = new0(Stream, 1);

        assert(s);
        assert(r);

        if (!x)
                return NULL;
        *x = (Stream){
                .streams = s,
                .next = s->first,
                .conn = r->conn,
                .connection = r->connection,
                .user_id = r->principal.user_id,
                .api_key_id = r->principal.api_key_id,
                .buffer = BUFFER_LIMITED(STREAM_BUFFER_MAX),
        };
        memcpy(x->jti, r->principal.jti, sizeof(x->jti));
        if (x->next)
                x->next->prev = x;
        s->first = x;
        s->n++;
        return x;
}

int events_get(Request *r) {
        static const char hello[] = "retry: 1000\nevent: hello\ndata: {}\n\n";
        Streams *s = r->api->streams;
        struct MHD_Response *response;
        Stream *x;
        int error;

        if (s->n >= STREAMS_MAX || count_of_user(s, r->principal.user_id) >= STREAMS_PER_USER_MAX)
                return request_fail_later(r, ERROR_TOO_MANY_REQUESTS, 30 * USEC_PER_SEC,
                                          "Too many event streams are open: close one first.");
        x = stream_new(s, r);
        if (!x)
                return -ENOMEM;
        stream_write(x, hello, sizeof(hello) - 1);
        response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, stream_read, x, stream_free);
        if (!response) {
                stream_free(x);
                return -ENOMEM;
        }
        error = request_reply_response(r, MHD_HTTP_OK, response, MHD_SIZE_UNKNOWN);
        if (error >= 0)
                error = request_add_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, "text/event-stream");
        if (error >= 0) /* nginx would hold events back */
                error = request_add_header(r, "X-Accel-Buffering", "no");
        return error;
}
