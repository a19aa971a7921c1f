/* SPDX-License-Identifier: Apache-2.0 */

/* The line to the master: requests with our token, their answers as a verdict (reply.h), and whether there
 * is contact at all. Nothing is retried here: whoever asks knows what waiting costs. */

#include "agent/daemon/master.h"
#include "base/alloc.h"
#include "base/text.h"
#include "wire/agent.h"

struct MasterCall {
        Master *master; /* weak */
        HttpRequest *request;
        bool anonymous;
        bool is_poll;
        usec_t asked; /* monotonic */
        MasterDone done;
        void *userdata;
};

struct Master {
        HttpMulti *http;
        char *url;
        char *token;
        bool connected;
        usec_t last_contact;
        usec_t lost; /* monotonic: the last answer that was none, or a refusal */
        char *trouble;
        unsigned talking; /* calls that are no long polls */
        MasterChanged changed;
        void *userdata;
        MasterChanged quiet;
        void *quiet_userdata;
};

int master_new(sd_event *event, const AgentOptions *options, Master **ret) {
        _cleanup_(master_freep) Master *m = NULL;
        HttpSettings settings;
        int r;

        assert(event);
        assert(options);
        assert(options->master);
        assert(ret);

        m = new0(Master, 1);
        if (!m)
                return -ENOMEM;
        r = free_and_strdup(&m->url, options->master);
        if (r < 0)
                return r;
        settings = (HttpSettings){
                .proxy_url = options->proxy_url,
                .ca_cert = options->ca_cert,
                .pin = options->pin,
                .insecure_tls = options->insecure_tls,
        };
        r = http_multi_new(event, &settings, &m->http);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(m);
        return 0;
}

Master *master_free(Master *m) {
        if (!m)
                return NULL;
        http_multi_free(m->http);
        free(m->url);
        erase_and_free(m->token);
        free(m->trouble);
        return mfree(m);
}

int master_set_token(Master *m, const char *token) {
        char *copy;

        assert(m);
        assert(token);

        copy = strdup(token);
        if (!copy)
                return -ENOMEM;
        erase_and_free(m->token);
        m->token = copy;
        return 0;
}

const char *master_token(const Master *m) {
        assert(m);
        return m->token;
}

const char *master_url(const Master *m) {
        assert(m);
        return m->url;
}

bool master_is_connected(const Master *m) {
        assert(m);
        return m->connected;
}

usec_t master_last_contact(const Master *m) {
        assert(m);
        return m->last_contact;
}

const char *master_trouble(const Master *m) {
        assert(m);
        return strempty(m->trouble);
}

void master_on_change(Master *m, MasterChanged changed, void *userdata) {
        assert(m);

        m->changed = changed;
        m->userdata = userdata;
}

bool master_is_talking(const Master *m) {
        assert(m);
        return m->talking > 0;
}

void master_on_quiet(Master *m, MasterChanged quiet, void *userdata) {
        assert(m);

        m->quiet = quiet;
        m->quiet_userdata = userdata;
}

/* An error about one command is an answer, too: the master is there and knows us. */
static bool verdict_is_contact(ReplyVerdict verdict) {
        switch (verdict) {
        case REPLY_OK:
        case REPLY_EMPTY:
        case REPLY_STALE:
        case REPLY_REFUSED:
                return true;
        case REPLY_RETRY:
        case REPLY_UNAUTHORIZED:
        case REPLY_DUPLICATE:
        case _REPLY_VERDICT_MAX:
        case _REPLY_VERDICT_INVALID:
                return false;
        }
        return false;
}

static void note_contact(Master *m, const Reply *reply, usec_t asked) {
        bool connected = verdict_is_contact(reply->verdict);
        const char *trouble = connected ? NULL : reply->message;
        bool changed = connected != m->connected || !streq_ptr(trouble, m->trouble);

        /* A long poll that was asked before is ended with nothing when the master refuses us from now on. */
        if (reply->verdict == REPLY_EMPTY && asked < m->lost)
                return;
        if (!connected)
                m->lost = now_usec(CLOCK_MONOTONIC);
        if (connected)
                m->last_contact = now_usec(CLOCK_REALTIME);
        m->connected = connected;
        (void) !free_and_strdup(&m->trouble, trouble);
        if (changed && m->changed)
                m->changed(m, m->userdata);
}

static void on_done(const HttpReply *http, void *userdata) {
        MasterCall *c = ASSERT_PTR(userdata);
        _cleanup_(reply_done) Reply reply = REPLY_NULL;
        MasterDone done = c->done;
        void *done_userdata = c->userdata;
        Master *m = c->master;
        bool anonymous = c->anonymous, was_talk = !c->is_poll;
        usec_t asked = c->asked;

        free(c); /* the request frees itself */
        m->talking -= was_talk;
        reply_read(http, &reply);
        if (!anonymous)
                note_contact(m, &reply, asked);
        done(&reply, done_userdata);
        if (was_talk && m->talking == 0 && m->quiet)
                m->quiet(m, m->quiet_userdata);
}

int master_ask(Master *m, const MasterRequest *request, MasterCall **ret) {
        _cleanup_(freep) char *url = NULL, *body = NULL;
        _cleanup_(freep) MasterCall *c = NULL;
        size_t size = 0;
        HttpCall call;
        int r;

        assert(m);
        assert(request);
        assert(request->done);

        r = asprintf_safe(&url, "%s/api/v1/agent/%s", m->url, request->path);
        if (r < 0)
                return r;
        if (request->body) {
                r = json_format(request->body, &body, &size);
                if (r < 0)
                        return r;
        }
        c = new0(MasterCall, 1);
        if (!c)
                return -ENOMEM;
        *c = (MasterCall){
                .master = m,
                .anonymous = request->anonymous,
                .is_poll = request->is_poll,
                .asked = now_usec(CLOCK_MONOTONIC),
                .done = request->done,
                .userdata = request->userdata,
        };
        call = (HttpCall){
                .method = request->body ? "POST" : "GET",
                .url = url,
                .bearer = request->anonymous ? NULL : m->token,
                .body = body,
                .body_size = size,
                .reply_max = request->reply_max > 0 ? request->reply_max : MASTER_REPLY_MAX,
                .timeout = request->timeout > 0 ? request->timeout : MASTER_TIMEOUT,
                .done = on_done,
                .userdata = c,
        };
        r = http_multi_start(m->http, &call, &c->request);
        if (r < 0)
                return r;
        m->talking += !c->is_poll;
        if (ret)
                *ret = c;
        c = NULL; /* the request has it */
        return 0;
}

MasterCall *master_call_free(MasterCall *c) {
        if (!c)
                return NULL;
        c->master->talking -= !c->is_poll;
        http_request_free(c->request);
        return mfree(c);
}
