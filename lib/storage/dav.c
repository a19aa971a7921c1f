/* SPDX-License-Identifier: Apache-2.0 */

/* WebDAV (RFC 4918), as the file servers that speak it do: PROPFIND for what is there, PUT for bytes, MKCOL
 * for directories, and MOVE with "Overwrite: F", which refuses to replace. An object of more than one part
 * is a body of unknown size, in chunks; such a PUT cannot be gone on with. */

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "storage/http.h"
#include "storage/multistatus.h"
#include "storage/remote.h"

/* The answer about one directory; some hundred bytes an entry. */
#define LIST_BODY_MAX (64U << 20)

#define HTTP_INTERNAL_ERROR 500

typedef struct Dav {
        char *server; /* "https://host:443" */
        char *user, *ca_cert, *pin, *proxy_url;
        char *password, *token; /* secrets */
} Dav;

static const RemoteText dav_texts[] = {
        { "user", offsetof(Dav, user), false },
        { "ca_cert", offsetof(Dav, ca_cert), false },
        { "pin", offsetof(Dav, pin), false },
        { "proxy", offsetof(Dav, proxy_url), false },
        { "password", offsetof(Dav, password), true },
        { "token", offsetof(Dav, token), true },
        {},
};

typedef struct DavSession {
        RemoteSession head;
        HttpClient *client;
        usec_t end;     /* as of the head when the client was made */
        uint64_t size;  /* of the file that is written, UINT64_MAX: not known */
        char *path;     /* of that file; NULL: none is */
        bool begun;     /* its body is being sent */
        HttpAnswer put; /* to it */
        char *put_url;
} DavSession;

static DavSession *dav_session(RemoteSession *x) {
        return CONTAINER_OF(x, DavSession, head);
}

/* --- Requests ------------------------------------------------------------------------------------------ */

static void on_moved(void *userdata) {
        storage_moved(userdata);
}

/* A client with the limits of the session, which change when it tidies up. */
static int client_prepare(DavSession *x) {
        Storage *s = x->head.storage;
        const Remote *m = s->backend;
        const Dav *c = m->config;
        usec_t end = x->head.end;
        HttpClientArgs args = {
                .transfer = {
                                .ca_cert = c->ca_cert,
                                .pin = c->pin,
                                .proxy_url = c->proxy_url,
                                .stall = end > 0 ? usec_sub(end, now_usec(CLOCK_MONOTONIC)) : s->stall,
                                .pace = s->pace,
                                .cancel = end > 0 ? NULL : s->cancel,
                                .moved = on_moved,
                                .userdata = s,
                },
                .bearer = c->token,
                .user = c->user,
                .password = c->password,
        };

        if (x->client && x->end == end)
                return 0;
        x->client = http_client_free(x->client);
        x->end = end;
        return http_client_new(&args, &x->client);
}

static int address_of(const DavSession *x, const char *path, char **ret) {
        const Remote *m = x->head.storage->backend;
        const Dav *c = m->config;
        _cleanup_(freep) char *escaped = NULL;
        int r;

        r = http_escape_path(path, &escaped);
        return r < 0 ? r : asprintf_safe(ret, "%s%s", c->server, escaped);
}

/* What a status says, as an errno; what no request of ours expects is an error like any other. */
static int error_from_status(DavSession *x, const HttpAnswer *a) {
        static const struct {
                long status;
                int error;
                const char *words;
        } errors[] = {
                { 401, EACCES, "it refuses the user or the password" },
                { 403, EACCES, "it forbids that" },
                { 404, ENOENT, "there is no such file" },
                { 405, EOPNOTSUPP, "it does not do that at this address: is it one of WebDAV?" },
                { 408, EHOSTUNREACH, "it waited too long" },
                { 409, ENOENT, "there is no such directory" },
                { 410, ENOENT, "there is no such file any more" },
                { 412, EEXIST, "it exists" },
                { 413, EFBIG, "it takes no file of that size" },
                { 423, EPERM, "it is locked" },
                { 429, EBUSY, "it asks for fewer requests" },
                { 500, EHOSTUNREACH, "it failed" },
                { 502, EHOSTUNREACH, "what is behind it does not answer" },
                { 503, EBUSY, "it is busy or asks for fewer requests" },
                { 504, EHOSTUNREACH, "what is behind it does not answer" },
                { 507, ENOSPC, "it is full" },
        };

        assert(x);

        x->head.retry_after = a->retry_after;
        for (size_t i = 0; i < ELEMENTSOF(errors); i++)
                if (errors[i].status == a->status)
                        return remote_session_error(&x->head, -errors[i].error, "%s (HTTP %ld)",
                                                    errors[i].words, a->status);
        if (a->status >= 300 && a->status < 400)
                return remote_session_error(&x->head, -EIO,
                                            "it redirects elsewhere (HTTP %ld), which is not followed: give "
                                            "the target the right address",
                                            a->status);
        return remote_session_error(&x->head, -EIO, "HTTP %ld", a->status);
}

static int no_answer(DavSession *x, int error, const HttpAnswer *a) {
        assert(x);

        x->head.broken = true;
        return remote_session_error(&x->head, error == -EPROTO ? -ECONNRESET : error, "%s", a->error);
}

/* 0: the answer has a status of success. */
static int dav_request(DavSession *x, const HttpRequest *request, const char *path, HttpAnswer *a) {
        _cleanup_(freep) char *url = NULL;
        HttpRequest q = *request;
        int r;

        r = client_prepare(x);
        if (r >= 0)
                r = address_of(x, path, &url);
        if (r < 0)
                return r;
        q.url = url;
        r = http_client_request(x->client, &q, a);
        if (r < 0)
                return no_answer(x, r, a);
        return a->status >= 200 && a->status < 300 ? 0 : error_from_status(x, a);
}

static int dav_simple(DavSession *x, const char *method, const char *path) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;

        return dav_request(x, &(HttpRequest){ .method = method }, path, &a);
}

/* --- What is there ------------------------------------------------------------------------------------- */

static int propfind(DavSession *x, const char *path, const char *depth, DavResourceFunc func,
                    void *userdata) {
        static const char body[] = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"
                                   "<propfind xmlns=\"DAV:\"><prop><resourcetype/><getcontentlength/>"
                                   "<getlastmodified/><quota-available-bytes/><quota-used-bytes/>"
                                   "</prop></propfind>\n";
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        _cleanup_(http_lines_done) HttpLines lines = {};
        const HttpRequest q = {
                .method = "PROPFIND",
                .body = body,
                .body_size = strlen(body),
                .content_type = "application/xml; charset=utf-8",
                .lines = &lines,
        };
        int r;

        a.body.limit = LIST_BODY_MAX;
        r = http_line_add(&lines, "Depth: %s", depth);
        if (r >= 0)
                r = dav_request(x, &q, path, &a);
        if (r == -EFBIG)
                return remote_session_error(&x->head, r, "its list is too long");
        if (r < 0)
                return r;
        if (a.status != 207)
                return remote_session_error(&x->head, -EPROTO, "it speaks no WebDAV (HTTP %ld)", a.status);
        r = multistatus_read(a.body.data, a.body.size, func, userdata);
        return r == -EBADMSG ? remote_session_error(&x->head, -EPROTO, "its list is not well-formed") : r;
}

static int take_resource(void *userdata, const DavResource *d) {
        DavResource *to = ASSERT_PTR(userdata);

        *to = *d;
        to->path = NULL;
        return 0;
}

static int stat_resource(DavSession *x, const char *path, DavResource *ret) {
        DavResource d = { .is_gone = true };
        int r;

        r = propfind(x, path, "0", take_resource, &d);
        if (r < 0)
                return r;
        if (d.is_gone)
                return -ENOENT;
        *ret = d;
        return 0;
}

static int dav_stat(RemoteSession *head, const char *path, RemoteEntry *ret) {
        DavSession *x = dav_session(head);
        DavResource d = {};
        int r;

        r = stat_resource(x, path, &d);
        if (r < 0)
                return r;
        if (!d.is_directory && !d.has_size)
                return remote_session_error(head, -EPROTO, "it does not say how large a file is");
        *ret = (RemoteEntry){ .size = d.size, .modified = d.modified, .is_directory = d.is_directory };
        return 0;
}

typedef struct Listing {
        DavSession *session;
        RemoteList *list;
        const char *path; /* with a '/' at its end */
        bool is_directory;
} Listing;

/* What lies in the directory that was asked for; the first one is that itself. */
static int list_resource(void *userdata, const DavResource *d) {
        const Listing *l = ASSERT_PTR(userdata);
        _cleanup_(freep) char *name = NULL;
        const char *rest = startswith(d->path, l->path);
        size_t n = strlen(d->path), base = strlen(l->path);

        if ((n == base && rest) || (n + 1 == base && strncmp(d->path, l->path, n) == 0)) {
                ((Listing *) userdata)->is_directory = d->is_directory;
                return 0;
        }
        n = rest ? strcspn(rest, "/") : 0;
        if (n == 0 || (rest[n] == '/' && rest[n + 1] != 0))
                return remote_session_error(&l->session->head, -EPROTO,
                                            "it lists '%.100s', which it was not asked for", d->path);
        if (d->is_gone || (!d->is_directory && !d->has_size))
                return 0;
        name = memdup0(rest, n);
        return name ? remote_list_add(l->list, name, d->is_directory, d->size, d->modified) : -ENOMEM;
}

static int dav_list(RemoteSession *head, const char *path, RemoteList *list) {
        _cleanup_(freep) char *with_slash = NULL;
        Listing l = { .session = dav_session(head), .list = list };
        size_t n = strlen(path);
        int r;

        r = asprintf_safe(&with_slash, "%s%s", path, n > 0 && path[n - 1] == '/' ? "" : "/");
        if (r < 0)
                return r;
        l.path = with_slash;
        r = propfind(l.session, with_slash, "1", list_resource, &l);
        return r < 0 ? r : l.is_directory ? 0 :
                                            -ENOENT;
}

static int dav_usage(RemoteSession *head, const char *path, StorageUsage *ret) {
        DavResource d = {};
        int r;

        r = stat_resource(dav_session(head), path, &d);
        if (r < 0)
                return r;
        if (!d.has_quota)
                return -EOPNOTSUPP;
        *ret = (StorageUsage){ .free_bytes = d.free_bytes, .total_bytes = d.free_bytes + d.used_bytes };
        return 0;
}

/* --- Changes ------------------------------------------------------------------------------------------- */

static int dav_make_directory(RemoteSession *head, const char *path) {
        _cleanup_(freep) char *with_slash = NULL;
        char words[REMOTE_ERROR_MAX];
        DavResource d = {};
        int r;

        r = asprintf_safe(&with_slash, "%s/", path);
        if (r >= 0)
                r = dav_simple(dav_session(head), "MKCOL", with_slash);
        if (r == -EOPNOTSUPP)
                return -EEXIST; /* RFC 4918, 9.3.1: 405 where something is there */
        if (r != -EACCES)
                return r;
        /* Apache forbids what another made in this moment. */
        memcpy(words, head->error, sizeof words);
        if (stat_resource(dav_session(head), with_slash, &d) >= 0 && d.is_directory)
                return -EEXIST;
        memcpy(head->error, words, sizeof words);
        return r;
}

static int dav_remove(RemoteSession *head, const char *path) {
        return dav_simple(dav_session(head), "DELETE", path);
}

/* RFC 4918, 9.9.4, has 409 for a MOVE into a directory that is not there; Apache answers with 500. */
static int error_or_no_directory(DavSession *x, const char *path, int error) {
        _cleanup_(freep) char *parent = memdup0(path, strlen(path));
        char words[REMOTE_ERROR_MAX];

        if (!parent)
                return -ENOMEM;
        memcpy(words, x->head.error, sizeof words);
        *strrchr(parent, '/') = 0;
        if (stat_resource(x, isempty(parent) ? "/" : parent, &(DavResource){}) == -ENOENT)
                return -ENOENT;
        memcpy(x->head.error, words, sizeof words);
        return error;
}

static int dav_rename(RemoteSession *head, const char *from, const char *to) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        _cleanup_(http_lines_done) HttpLines lines = {};
        _cleanup_(freep) char *url = NULL;
        DavSession *x = dav_session(head);
        int r;

        r = address_of(x, to, &url);
        if (r >= 0)
                r = http_line_add(&lines, "Destination: %s", url);
        if (r >= 0)
                r = http_line_add(&lines, "Overwrite: F");
        if (r >= 0)
                r = dav_request(x, &(HttpRequest){ .method = "MOVE", .lines = &lines }, from, &a);
        return a.status == HTTP_INTERNAL_ERROR ? error_or_no_directory(x, to, r) : r;
}

/* --- Files --------------------------------------------------------------------------------------------- */

static ssize_t dav_read(RemoteSession *head, const char *path, uint64_t offset, void *buf, size_t n) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        DavSession *x = dav_session(head);
        const HttpRequest q = {
                .method = "GET",
                .ranged = true,
                .range_first = offset,
                .range_last = offset + n - 1,
                .into = buf,
                .into_size = n,
        };
        int r;

        r = dav_request(x, &q, path, &a);
        if (a.status == 416)
                return 0;
        /* Of an empty file there are no parts, so that some servers send the whole of it. */
        if (r >= 0 && a.status != 206 && a.content_length >= 0 && (uint64_t) a.content_length <= offset)
                return 0;
        if (r == -EFBIG || (r >= 0 && a.status != 206 && offset > 0))
                return remote_session_error(head, -EPROTO, "it does not give parts of files");
        return r < 0 ? r : (ssize_t) a.into_used;
}

static void put_end(DavSession *x) {
        assert(x);

        if (x->begun)
                http_client_abort(x->client);
        x->begun = false;
        x->path = mfree(x->path);
        x->put_url = mfree(x->put_url);
        http_answer_done(&x->put);
        x->put = HTTP_ANSWER_NULL;
}

static int dav_create(RemoteSession *head, const char *path, uint64_t size) {
        DavSession *x = dav_session(head);
        int r;

        put_end(x);
        r = remote_temp_prepare(head, path);
        if (r < 0)
                return r;
        x->size = size;
        return free_and_strdup(&x->path, path);
}

static int put_whole(DavSession *x, const void *data, size_t n) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        const HttpRequest q = { .method = "PUT", .body = data, .body_size = n };

        return dav_request(x, &q, x->path, &a);
}

static int put_answer(DavSession *x) {
        int r;

        r = http_client_finish(x->client);
        x->begun = false;
        if (r < 0)
                return no_answer(x, r, &x->put);
        return x->put.status >= 200 && x->put.status < 300 ? 0 : error_from_status(x, &x->put);
}

static int put_begin(DavSession *x) {
        int r;

        r = client_prepare(x);
        if (r >= 0)
                r = address_of(x, x->path, &x->put_url);
        if (r < 0)
                return r;
        r = http_client_begin(x->client, &(HttpRequest){ .method = "PUT", .url = x->put_url }, &x->put);
        if (r < 0)
                return no_answer(x, r, &x->put);
        x->begun = true;
        return 0;
}

static ssize_t dav_write(RemoteSession *head, const void *data, size_t n) {
        DavSession *x = dav_session(head);
        int r;

        assert(x->path);

        if (x->size != UINT64_MAX) {
                r = put_whole(x, data, n);
                return r < 0 ? r : (ssize_t) n;
        }
        r = x->begun ? 0 : put_begin(x);
        if (r < 0)
                return r;
        r = http_client_send(x->client, data, n);
        if (r == 0)
                return (ssize_t) n;
        /* An answer before the end, or none. */
        r = put_answer(x);
        return r < 0 ? r : remote_session_error(head, -EPROTO, "it took a file before its end");
}

static int dav_finish(RemoteSession *head) {
        DavSession *x = dav_session(head);
        int r = 0;

        if (x->begun)
                r = put_answer(x);
        else if (x->size == 0)
                r = put_whole(x, "", 0);
        put_end(x);
        return r;
}

static void dav_give_up(RemoteSession *head) {
        put_end(dav_session(head));
}

/* --- Sessions and the configuration -------------------------------------------------------------------- */

/* Nothing goes over the line yet. */
static int dav_connect(Storage *s, usec_t end, RemoteSession **ret, Failure *reterr_failure) {
        DavSession *x;

        x = new0(DavSession, 1);
        if (!x)
                return -ENOMEM;
        x->head.storage = s;
        x->put = HTTP_ANSWER_NULL;
        *ret = &x->head;
        return 0;
}

static void dav_disconnect(RemoteSession *head) {
        DavSession *x = dav_session(head);

        put_end(x);
        http_client_free(x->client);
        free(x);
}

static const RemoteOps dav_ops = {
        .keeps_pace = true,
        .connect = dav_connect,
        .disconnect = dav_disconnect,
        .create = dav_create,
        .write = dav_write,
        .finish = dav_finish,
        .give_up = dav_give_up,
        .read = dav_read,
        .stat = dav_stat,
        .list = dav_list,
        .make_directory = dav_make_directory,
        .remove = dav_remove,
        .rename = dav_rename,
        .usage = dav_usage,
};

static void dav_close(Storage *s) {
        Dav *c = remote_close(s);

        if (!c)
                return;
        remote_free_texts(dav_texts, c);
        free(c->server);
        free(c);
}

static int dav_open(Storage *s, const StorageConfig *config, Failure *reterr_failure) {
        const char *url = strempty(json_string_value(json_object_get(config->config, "url")));
        const char *rest = startswith(url, "https://") ?: startswith(url, "http://");
        _cleanup_(freep) char *path = NULL;
        Remote *m = NULL;
        size_t n;
        Dav *c;
        int r;

        assert(s);

        if (!rest || rest[0] == '/' || rest[0] == 0)
                return failure_set_field(reterr_failure, -EINVAL, "FIELD_INVALID", "config.url",
                                         "A WebDAV target needs the url of a directory, https://… (%s).",
                                         s->name);
        n = strcspn(rest, "/");
        r = dav_decode_path(rest[n] ? rest + n : "/", &path);
        if (r == -EBADMSG)
                return failure_set_field(reterr_failure, -EINVAL, "FIELD_INVALID", "config.url",
                                         "The path of the url of %s is not encoded.", s->name);
        if (r >= 0)
                r = remote_new(s, &dav_ops, path, &m);
        if (r < 0)
                return r;
        m->config = c = new0(Dav, 1);
        if (!c)
                return -ENOMEM;
        m->read_back = json_is_true(json_object_get(config->config, "read_back"));
        r = asprintf_safe(&c->server, "%.*s", (int) (rest - url + (ptrdiff_t) n), url);
        if (r >= 0)
                r = asprintf_safe(&m->place, "%s", url);
        return r < 0 ? r : remote_read_texts(config, dav_texts, c);
}

const StorageType storage_type_webdav = {
        .name = "webdav",
        .open = dav_open,
        .close = dav_close,
        .put_new = remote_put_new,
        .put_write = remote_put_write,
        .put_commit = remote_put_commit,
        .put_free = remote_put_free,
        .read_at = remote_read_at,
        .stat = remote_stat,
        .list = remote_list,
        .remove = remote_remove,
        .probe = remote_probe,
};
