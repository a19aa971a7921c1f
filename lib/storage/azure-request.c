/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"
#include "storage/azure.h"
#include "storage/xml.h"

#define RANGE_MAX 64

/* --- Making one --------------------------------------------------------------------------------------- */

void azure_request_done(AzureRequest *r) {
        assert(r);

        free(r->path);
        erase_and_free(r->url);
        http_lines_done(&r->lines);
}

int azure_request_init(Storage *s, AzureRequest *r, const char *method, const char *key) {
        const Azure *z = s->backend;
        _cleanup_(freep) char *full = NULL, *escaped = NULL;
        int e;

        assert(r);
        assert(method);

        *r = AZURE_REQUEST_NULL;
        r->http.method = method;
        r->http.lines = &r->lines;
        if (!key)
                return free_and_strdup(&r->path, z->root);
        e = asprintf_safe(&full, "%s%s", z->prefix, key);
        if (e >= 0)
                e = http_escape_path(full, &escaped);
        return e < 0 ? e : asprintf_safe(&r->path, "%s/%s", z->root, escaped);
}

void azure_request_query(AzureRequest *r, const char *name, const char *value) {
        assert(r);
        assert(r->n_query < AZURE_QUERY_MAX);

        r->query[r->n_query++] = (SigV4Pair){ name, value };
}

int azure_request_body(AzureRequest *r, const void *data, size_t n) {
        _cleanup_(freep) char *text = NULL;
        uint8_t digest[MD5_SIZE];
        int e;

        assert(r);

        r->http.body = n > 0 ? data : "";
        r->http.body_size = n;
        e = md5(r->http.body, n, digest);
        if (e >= 0)
                e = base64_encode(BASE64_STANDARD, digest, sizeof digest, &text);
        return e < 0 ? e : http_line_add(&r->lines, "Content-MD5: %s", text);
}

int azure_request_send(Storage *s, AzureRequest *r, const char *key, HttpAnswer *a, Failure *f) {
        const Azure *z = s->backend;
        _cleanup_(freep) char *query = NULL;
        int e;

        assert(r);

        e = sigv4_query(r->query, r->n_query, &query);
        if (e < 0)
                return e;
        r->url = erase_and_free(r->url);
        e = asprintf_safe(&r->url, "%s%s%s%s%s%s", z->url, r->path, r->n_query > 0 || z->sas ? "?" : "",
                          query, r->n_query > 0 && z->sas ? "&" : "", strempty(z->sas));
        r->http.url = r->url;
        return e < 0 ? e : http_server_request(z->server, &r->http, key, a, f);
}

/* --- Signing one -------------------------------------------------------------------------------------- */

typedef struct Headers {
        SigV4Pair pairs[HTTP_LINES_MAX + 2];
        char *names[HTTP_LINES_MAX];
        char range[RANGE_MAX];
        size_t n;
} Headers;

static void headers_done(Headers *h) {
        for (size_t i = 0; i < ELEMENTSOF(h->names); i++)
                free(h->names[i]);
}

/* Ours, and what the client adds. */
static int headers_read(Headers *h, const HttpRequest *q, const HttpLines *lines) {
        const char *type = q->content_type ?: "application/octet-stream";

        if (q->body)
                h->pairs[h->n++] = (SigV4Pair){ "Content-Type", type };
        if (q->ranged) {
                assert(q->range_last != UINT64_MAX);
                (void) snprintf(h->range, sizeof h->range, "bytes=%" PRIu64 "-%" PRIu64, q->range_first,
                                q->range_last);
                h->pairs[h->n++] = (SigV4Pair){ "Range", h->range };
        }
        for (size_t i = 0; i < lines->n; i++) {
                char *colon;

                h->names[i] = strdup(lines->lines[i]);
                if (!h->names[i])
                        return -ENOMEM;
                colon = strchr(h->names[i], ':');
                if (!colon)
                        return -EINVAL;
                *colon = 0;
                h->pairs[h->n++] = (SigV4Pair){ h->names[i], colon + 1 + strspn(colon + 1, " ") };
        }
        return 0;
}

static int sign_with_key(const Azure *z, const AzureRequest *r, HttpLines *lines) {
        _cleanup_(erase_and_freep) char *authorization = NULL;
        _cleanup_(headers_done) Headers headers = {};
        SharedKeyRequest q;
        int e;

        e = headers_read(&headers, &r->http, lines);
        if (e < 0)
                return e;
        q = (SharedKeyRequest){
                .method = r->http.method,
                .path = r->path,
                .query = r->query,
                .n_query = r->n_query,
                .headers = headers.pairs,
                .n_headers = headers.n,
                .content_length = r->http.body_size,
        };
        e = shared_key_authorization(z->account, z->key, z->key_size, &q, &authorization);
        return e < 0 ? e : http_line_add(lines, "Authorization: %s", authorization);
}

int azure_sign(Storage *s, const HttpRequest *q, HttpLines *lines) {
        const AzureRequest *r = CONTAINER_OF(q, AzureRequest, http);
        char time[SHARED_KEY_TIME_SIZE];
        const Azure *z = s->backend;
        int e;

        assert(q);
        assert(lines);

        shared_key_time(now_usec(CLOCK_REALTIME), time);
        e = http_line_add(lines, "x-ms-date: %s", time);
        if (e >= 0)
                e = http_line_add(lines, "x-ms-version: %s", r->tier ? AZURE_VERSION_TIERS : AZURE_VERSION);
        if (e >= 0 && r->tier)
                e = http_line_add(lines, "x-ms-access-tier: %s", r->tier);
        return e < 0 || !z->key ? e : sign_with_key(z, r, lines);
}

/* --- Answers ------------------------------------------------------------------------------------------ */

typedef struct AzureError {
        const char *name;
        int error;
        const char *code;
        bool may_pass;
        const char *text;
} AzureError;

static const AzureError errors[] = {
        { "AccountBeingCreated", EBUSY, "STORAGE_THROTTLED", true, "is making the account" },
        { "AccountIsDisabled", EACCES, "STORAGE_DENIED", false, "has the account disabled" },
        { "AccountRequiresHttps", EACCES, "STORAGE_DENIED", false, "wants https" },
        { "AuthenticationFailed", EACCES, "STORAGE_DENIED", false,
          "does not accept the credential: another key, or a token that is over" },
        { "AuthorizationFailure", EACCES, "STORAGE_DENIED", false, "does not allow it" },
        { "AuthorizationPermissionMismatch", EACCES, "STORAGE_DENIED", false, "does not allow it" },
        { "AuthorizationProtocolMismatch", EACCES, "STORAGE_DENIED", false, "wants https for this token" },
        { "AuthorizationResourceTypeMismatch", EACCES, "STORAGE_DENIED", false,
          "does not allow it with this token" },
        { "AuthorizationServiceMismatch", EACCES, "STORAGE_DENIED", false,
          "does not allow it with this token" },
        { "AuthorizationSourceIPMismatch", EACCES, "STORAGE_DENIED", false,
          "does not allow it from this address" },
        { "BlobAlreadyExists", EEXIST, "OBJECT_EXISTS", false, "has such an object already" },
        { "BlobArchived", EPERM, "STORAGE_LOCKED", false, "has the object in the archive tier" },
        { "BlobBeingRehydrated", EPERM, "STORAGE_LOCKED", false, "is fetching the object from its archive" },
        { "BlobImmutableDueToPolicy", EPERM, "STORAGE_LOCKED", false, "retains the object" },
        { "BlobNotFound", ENOENT, "OBJECT_NOT_FOUND", false, "has no such object" },
        { "BlockCountExceedsLimit", EFBIG, "STORAGE_TOO_LARGE", false, "takes no object of so many blocks" },
        { "BlockListTooLong", EFBIG, "STORAGE_TOO_LARGE", false, "takes no object of so many blocks" },
        { "ConditionNotMet", EEXIST, "OBJECT_EXISTS", false, "has such an object already" },
        { "ContainerBeingDeleted", ENXIO, "STORAGE_NO_BUCKET", false, "is deleting the container" },
        { "ContainerDisabled", EACCES, "STORAGE_DENIED", false, "has the container disabled" },
        { "ContainerNotFound", ENXIO, "STORAGE_NO_BUCKET", false, "has no such container" },
        { "InsufficientAccountPermissions", EACCES, "STORAGE_DENIED", false,
          "has an account without writing" },
        { "InternalError", EIO, "STORAGE_FAILED", true, "failed" },
        { "InvalidBlockList", ESTALE, "STORAGE_FAILED", false, "does not have the blocks any more" },
        { "InvalidResourceName", EINVAL, "STORAGE_KEY_INVALID", false, "takes no such name" },
        { "InvalidUri", EINVAL, "STORAGE_KEY_INVALID", false, "takes no such name" },
        { "LeaseIdMissing", EPERM, "STORAGE_LOCKED", false, "has a lease on the object" },
        { "Md5Mismatch", EBADMSG, "STORAGE_CHECKSUM", true, "received other bytes than were sent" },
        { "OperationTimedOut", ETIMEDOUT, "STORAGE_STALLED", true, "took too long" },
        { "RequestBodyTooLarge", EFBIG, "STORAGE_TOO_LARGE", false, "takes no body of this size" },
        { "ResourceNotFound", ENOENT, "OBJECT_NOT_FOUND", false, "has no such object" },
        { "ServerBusy", EBUSY, "STORAGE_THROTTLED", true, "is busy or asks for fewer requests" },
        { "UnauthorizedBlobOverwrite", EEXIST, "OBJECT_EXISTS", false, "has such an object already" },
};

/* The texts of the first elements of these names; what is not there stays NULL. */
static void read_texts(const HttpAnswer *a, char **message, char **detail) {
        _cleanup_xml_ Xml x = XML_NULL;
        int r;

        xml_init(&x, a->body.data, a->body.size);
        while ((r = xml_next(&x)) > 0) {
                char **to = r != XML_CLOSE                                 ? NULL :
                                streq(x.name, "Message")                   ? message :
                                streq(x.name, "AuthenticationErrorDetail") ? detail :
                                                                             NULL;

                if (to && !*to)
                        *to = memdup0(strempty(x.text.data), x.text.size);
        }
        /* The first line says it; behind it are numbers of the request. */
        if (*message)
                (*message)[strcspn(*message, "\r\n")] = 0;
}

/* What the service says of a credential may have the signature in it; of that only this much is told. */
static const char *words_of(char *message, char *detail) {
        if (!detail || !startswith(detail, "Signature not valid in the specified time frame"))
                return message;
        detail[strcspn(detail, ":\r\n")] = 0;
        return detail;
}

HttpVerdict azure_judge(Storage *s, const HttpAnswer *a, const char *key, Failure *f) {
        _cleanup_(freep) char *name = NULL, *message = NULL, *detail = NULL;
        const char *words;

        assert(s);
        assert(a);

        if (a->body.size > 0)
                read_texts(a, &message, &detail);
        if (detail && strcasestr(detail, "date header"))
                return (HttpVerdict){ .error = failure_set(f, -EACCES, "STORAGE_CLOCK",
                                                           "'%s' (%s): the Azure storage has another time "
                                                           "than this host: set its clock.",
                                                           key, s->name) };
        words = words_of(message, detail);
        if (http_answer_header(a, "x-ms-error-code", &name) <= 0)
                return http_judge_status(s, a->status, words, key, f);
        for (size_t i = 0; i < ELEMENTSOF(errors); i++) {
                const AzureError *e = &errors[i];

                if (streq(e->name, name))
                        return (HttpVerdict){
                                .may_pass = e->may_pass,
                                .error = failure_set(f, -e->error, e->code,
                                                     "'%s' (%s): the Azure storage %s (%s%s%s).", key,
                                                     s->name, e->text, name, isempty(words) ? "" : ": ",
                                                     strempty(words)),
                        };
        }
        /* Emulators have other names for it. */
        if (a->status == 400 && words && strcasestr(words, "md5"))
                return (HttpVerdict){ .may_pass = true,
                                      .error = failure_set(f, -EBADMSG, "STORAGE_CHECKSUM",
                                                           "'%s' (%s): the Azure storage received other "
                                                           "bytes than were sent (%s: %s).",
                                                           key, s->name, name, words) };
        return http_judge_status(s, a->status, isempty(words) ? name : words, key, f);
}

int azure_head(Storage *s, const char *key, HttpAnswer *a, Failure *f) {
        _cleanup_(azure_request_done) AzureRequest q = AZURE_REQUEST_NULL;
        int r;

        assert(key);
        assert(a);

        r = azure_request_init(s, &q, "HEAD", key);
        if (r >= 0)
                r = azure_request_send(s, &q, key, a, f);
        if (r >= 0 && a->content_length < 0)
                return failure_set(f, -EPROTO, "STORAGE_FAILED",
                                   "The Azure storage did not say how large '%s' (%s) is.", key, s->name);
        return r;
}
