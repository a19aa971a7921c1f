/* SPDX-License-Identifier: Apache-2.0 */

/* A directory of the master, over its API, with a capability that is good for one job. An object goes up in
 * parts that are held in memory until the master has them, so that a part, or the commit, is repeated after
 * any failure that may pass: a master that restarts costs a pause. */

#include <errno.h>
#include <inttypes.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "storage/relay-request.h"

#define PART_SIZE (8U << 20)
/* Giving an upload back is a courtesy: the master sweeps what is not committed. */
#define ABORT_STALL (3 * USEC_PER_SEC)
#define LIST_PAGE 1000
/* One read of more is several requests. */
#define READ_MAX HTTP_BODY_MAX

typedef struct RelayPut {
        char *url; /* of the object */
        char *upload;
        Buffer part;
        uint64_t n_parts;
} RelayPut;

/* --- The configuration -------------------------------------------------------------------------------- */

static void relay_close(Storage *s) {
        Relay *l = s->backend;

        if (!l)
                return;
        http_server_free(l->master);
        free(l->base);
        erase_and_free(l->token);
        free(l->ca_cert);
        free(l->pin);
        free(l->proxy_url);
        free(l);
}

static int relay_open(Storage *s, const StorageConfig *config, Failure *reterr_failure) {
        const char *token = json_string_value(json_object_get(config->secrets, "relay_token"));
        const StorageContext *context = &config->context;
        const char *url = strempty(context->master_url);
        HttpServerArgs args = { .peer = "the master", .judge = relay_judge };
        size_t n = strlen(url);
        Relay *l;
        int r;

        assert(s);

        l = new0(Relay, 1);
        if (!l)
                return -ENOMEM;
        s->backend = l;
        if (!startswith(url, "http://") && !startswith(url, "https://"))
                return failure_set(reterr_failure, -EINVAL, "RELAY_NO_MASTER",
                                   "The address of the master is not known; %s goes through it.", s->name);
        if (isempty(token))
                return failure_set(reterr_failure, -EINVAL, "RELAY_NO_TOKEN",
                                   "The master gave no capability for %s.", s->name);
        while (n > 0 && url[n - 1] == '/')
                n--;
        r = asprintf_safe(&l->base, "%.*s/api/v1/relay/%" PRIu64 "/", (int) n, url, s->id);
        if (r >= 0)
                r = asprintf_safe(&l->token, "%s.%" PRIu64, token, context->attempt);
        if (r >= 0)
                r = free_and_strdup(&l->ca_cert, context->ca_cert);
        if (r >= 0)
                r = free_and_strdup(&l->pin, context->pin);
        if (r >= 0)
                r = free_and_strdup(&l->proxy_url, context->proxy_url);
        if (r < 0)
                return r;
        args.client = (HttpClientArgs){
                .transfer = { .ca_cert = l->ca_cert,
                              .pin = l->pin,
                              .proxy_url = l->proxy_url,
                              .insecure_tls = context->insecure_tls },
                .bearer = l->token,
        };
        return http_server_new(s, &args, &l->master);
}

/* --- Uploads ------------------------------------------------------------------------------------------ */

static int relay_put_new(StoragePut *put, Failure *reterr_failure) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        _cleanup_json_ json_t *data = NULL;
        _cleanup_(freep) char *url = NULL;
        Storage *s = put->storage;
        const char *upload;
        RelayPut *p;
        int r;

        p = new0(RelayPut, 1);
        if (!p)
                return -ENOMEM;
        put->backend = p;
        r = relay_object_url(s->backend, put->key, &p->url);
        if (r >= 0)
                r = asprintf_safe(&url, "%s?upload", p->url);
        if (r < 0)
                return r;
        r = relay_request(s, &(HttpRequest){ .method = "POST", .url = url, .body = "" },
                          put->key, &a, reterr_failure);
        if (r < 0)
                return r;
        r = relay_answer_data(s, &a, &data, reterr_failure);
        if (r < 0)
                return r;
        upload = json_string_value(json_object_get(data, "upload"));
        if (isempty(upload) || json_integer_value(json_object_get(data, "part_size")) != PART_SIZE)
                return failure_set(reterr_failure, -EPROTO, "RELAY_FAILED",
                                   "The master takes parts of another size for %s than this agent sends.",
                                   s->name);
        return http_escape_text(upload, &p->upload);
}

/* Sends the part that is collected; it stays in memory until the master has it. */
static int part_send(StoragePut *put, Failure *f) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        RelayPut *p = put->backend;
        _cleanup_(freep) char *url = NULL;
        HttpRequest q = { .method = "PUT", .body = p->part.data, .body_size = p->part.size };
        int r;

        r = asprintf_safe(&url, "%s?upload=%s&part=%" PRIu64, p->url, p->upload, p->n_parts);
        if (r < 0)
                return r;
        q.url = url;
        r = relay_request(put->storage, &q, put->key, &a, f);
        if (r < 0)
                return r;
        p->n_parts++;
        buffer_clear(&p->part);
        return 0;
}

static int relay_put_write(StoragePut *put, const void *data, size_t n, Failure *reterr_failure) {
        RelayPut *p = put->backend;
        const char *from = data;

        while (n > 0) {
                int r = buffer_fill(&p->part, PART_SIZE, /* spare= */ 0, &from, &n);

                if (r > 0)
                        r = part_send(put, reterr_failure);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int relay_put_commit(StoragePut *put, const uint8_t sha256[static 32], Failure *reterr_failure) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        RelayPut *p = put->backend;
        _cleanup_(freep) char *url = NULL, *body = NULL;
        char hex[SHA256_HEX_SIZE];
        HttpRequest q = { .method = "POST", .content_type = "application/json" };
        int r = 0;

        if (p->part.size > 0)
                r = part_send(put, reterr_failure);
        if (r >= 0)
                r = asprintf_safe(&url, "%s?commit=%s", p->url, p->upload);
        if (r >= 0)
                r = asprintf_safe(&body, "{\"size\":%" PRIu64 ",\"sha256\":\"%s\"}", put->size,
                                  hex_encode(sha256, SHA256_SIZE, hex));
        if (r < 0)
                return r;
        q.url = url;
        q.body = body;
        q.body_size = strlen(body);
        return relay_request(put->storage, &q, put->key, &a, reterr_failure);
}

static void upload_abort(StoragePut *put) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        const Relay *l = put->storage->backend;
        HttpRequest q = { .method = "DELETE" };
        RelayPut *p = put->backend;
        _cleanup_(freep) char *url = NULL;

        if (asprintf_safe(&url, "%s?upload=%s", p->url, p->upload) < 0)
                return;
        q.url = url;
        if (http_server_try(l->master, &q, ABORT_STALL, &a) < 0)
                return;
}

static void relay_put_free(StoragePut *put) {
        RelayPut *p = put->backend;

        if (!put->committed && p->upload)
                upload_abort(put);
        free(p->url);
        free(p->upload);
        buffer_done(&p->part);
        free(p);
}

/* --- Reading ------------------------------------------------------------------------------------------ */

static ssize_t read_once(Storage *s, const char *url, const char *key, uint64_t offset, void *buf, size_t n,
                         Failure *f) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        HttpRequest q = {
                .method = "GET",
                .url = url,
                .ranged = true,
                .range_first = offset,
                .range_last = offset + n - 1,
                .into = buf,
                .into_size = n,
        };
        int r;

        assert(s);

        r = relay_request(s, &q, key, &a, f);
        if (r == -ERANGE || a.status == 416)
                return 0;
        if (r < 0)
                return r;
        if (a.status != 206)
                return failure_set(f, -EPROTO, "RELAY_FAILED",
                                   "The master did not answer with the part of '%s' (%s) that "
                                   "was asked for.",
                                   key, s->name);
        return (ssize_t) a.into_used;
}

static ssize_t relay_read_at(Storage *s, const char *key, uint64_t offset, void *buf, size_t n,
                             Failure *reterr_failure) {
        _cleanup_(freep) char *url = NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        size_t done = 0;
        int r;

        assert(s);

        r = relay_object_url(s->backend, key, &url);
        if (r < 0)
                return r;
        while (done < n) {
                size_t part = MIN(n - done, (size_t) READ_MAX);
                ssize_t k;

                k = read_once(s, url, key, offset + done, (char *) buf + done, part, &failure);
                if (k < 0)
                        return failure_set(reterr_failure, (int) k, failure.code, "%s",
                                           failure_message(&failure, (int) k));
                done += (size_t) k;
                if ((size_t) k < part)
                        break;
        }
        return (ssize_t) done;
}

static int relay_stat(Storage *s, const char *key, uint64_t *ret_size, Failure *reterr_failure) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        _cleanup_(freep) char *url = NULL;
        int r;

        assert(s);

        r = relay_object_url(s->backend, key, &url);
        if (r < 0)
                return r;
        r = relay_request(s, &(HttpRequest){ .method = "HEAD", .url = url }, key, &a, reterr_failure);
        if (r < 0)
                return r;
        if (a.content_length < 0)
                return failure_set(reterr_failure, -EPROTO, "RELAY_FAILED",
                                   "The master did not say how large '%s' (%s) is.", key, s->name);
        *ret_size = (uint64_t) a.content_length;
        return 0;
}

/* One page to the callback; *cursor becomes that of the next one, or NULL. A page that leads back to itself
 * would never end. */
static int list_page(const json_t *data, StorageListFunc func, void *userdata, char **cursor) {
        const json_t *items = json_object_get(data, "items"), *item;
        const char *next = json_string_value(json_object_get(data, "next_cursor"));
        size_t i;
        int r;

        if (!json_is_array(items) || (next && streq_ptr(next, *cursor)))
                return -EPROTO;
        json_array_foreach((json_t *) items, i, item) {
                const char *key = json_string_value(json_object_get(item, "key"));
                const json_t *size = json_object_get(item, "size");

                if (!key || !storage_key_is_valid(key) || !json_is_integer(size) ||
                    json_integer_value(size) < 0)
                        return -EPROTO;
                r = func(userdata, key, (uint64_t) json_integer_value(size));
                if (r != 0)
                        return r;
        }
        return free_and_strdup(cursor, next);
}

static int list_url(const Relay *l, const char *prefix, const char *cursor, char **ret) {
        _cleanup_(freep) char *escaped_prefix = NULL, *escaped_cursor = NULL;
        int r;

        assert(l);

        r = http_escape_text(prefix, &escaped_prefix);
        if (r >= 0)
                r = http_escape_text(strempty(cursor), &escaped_cursor);
        if (r < 0)
                return r;
        return asprintf_safe(ret, "%s?prefix=%s&limit=%d%s%s", l->base, escaped_prefix, LIST_PAGE,
                             cursor ? "&cursor=" : "", escaped_cursor);
}

static int relay_list(Storage *s, const char *prefix, StorageListFunc func, void *userdata,
                      Failure *reterr_failure) {
        _cleanup_(freep) char *cursor = NULL;
        int r;

        assert(s);

        do {
                _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
                _cleanup_json_ json_t *data = NULL;
                _cleanup_(freep) char *url = NULL;

                r = list_url(s->backend, prefix, cursor, &url);
                if (r >= 0)
                        r = relay_request(s, &(HttpRequest){ .method = "GET", .url = url }, prefix, &a,
                                          reterr_failure);
                if (r >= 0)
                        r = relay_answer_data(s, &a, &data, reterr_failure);
                if (r >= 0)
                        r = list_page(data, func, userdata, &cursor);
                if (r == -EPROTO)
                        return failure_set(reterr_failure, r, "RELAY_FAILED",
                                           "The master's list of '%s' (%s) is not well-formed.", prefix,
                                           s->name);
                if (r != 0)
                        return r;
        } while (cursor);
        return 0;
}

static int relay_remove(Storage *s, const char *key, Failure *reterr_failure) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        _cleanup_(freep) char *url = NULL;
        int r;

        r = relay_object_url(s->backend, key, &url);
        if (r < 0)
                return r;
        return relay_request(s, &(HttpRequest){ .method = "DELETE", .url = url }, key, &a, reterr_failure);
}

static int relay_probe(Storage *s, StorageUsage *ret, Failure *reterr_failure) {
        static const char text[] = "BackupX writes and removes this to see whether it can.\n";
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        _cleanup_(freep) char *url = NULL;
        _cleanup_json_ json_t *data = NULL;
        const Relay *l = s->backend;
        int r;

        r = storage_probe_object(s, text, sizeof text, reterr_failure);
        if (r >= 0)
                r = asprintf_safe(&url, "%s?usage", l->base);
        if (r >= 0)
                r = relay_request(s, &(HttpRequest){ .method = "GET", .url = url }, "usage", &a,
                                  reterr_failure);
        if (r >= 0)
                r = relay_answer_data(s, &a, &data, reterr_failure);
        if (r < 0)
                return r;
        *ret = (StorageUsage){
                .free_bytes = (uint64_t) MAX(json_integer_value(json_object_get(data, "free_bytes")), 0),
                .total_bytes = (uint64_t) MAX(json_integer_value(json_object_get(data, "total_bytes")), 0),
        };
        return 0;
}

const StorageType storage_type_relay = {
        .name = "relay",
        .open = relay_open,
        .close = relay_close,
        .put_new = relay_put_new,
        .put_write = relay_put_write,
        .put_commit = relay_put_commit,
        .put_free = relay_put_free,
        .read_at = relay_read_at,
        .stat = relay_stat,
        .list = relay_list,
        .remove = relay_remove,
        .probe = relay_probe,
};
