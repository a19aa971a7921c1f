/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "storage/azure.h"

/* --- Answers ------------------------------------------------------------------------------------------ */

static const ObjectError errors[] = {
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

                if (to && !*to && xml_take_text(&x, to) < 0)
                        break;
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
        HttpVerdict verdict;
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
        if (object_judge(&azure_objects, s, name, words, key, &verdict, f))
                return verdict;
        /* Emulators have other names for it. */
        if (a->status == 400 && words && strcasestr(words, "md5"))
                return (HttpVerdict){ .may_pass = true,
                                      .error = failure_set(f, -EBADMSG, "STORAGE_CHECKSUM",
                                                           "'%s' (%s): the Azure storage received other "
                                                           "bytes than were sent (%s: %s).",
                                                           key, s->name, name, words) };
        return http_judge_status(s, a->status, isempty(words) ? name : words, key, f);
}

/* --- Objects ------------------------------------------------------------------------------------------ */

static int send_head(Storage *s, const char *key, HttpAnswer *a, Failure *f) {
        _cleanup_(azure_request_done) AzureRequest q = AZURE_REQUEST_NULL;
        int r;

        assert(key);

        r = azure_request_init(s, &q, "HEAD", key);
        return r < 0 ? r : azure_request_send(s, &q, key, a, f);
}

static int send_get(Storage *s, const char *key, const ObjectRange *range, HttpAnswer *a, Failure *f) {
        _cleanup_(azure_request_done) AzureRequest q = AZURE_REQUEST_NULL;
        int r;

        r = azure_request_init(s, &q, "GET", key);
        if (r < 0)
                return r;
        object_range_set(range, &q.http);
        return azure_request_send(s, &q, key, a, f);
}

static int send_delete(Storage *s, const char *key, Failure *f) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        _cleanup_(azure_request_done) AzureRequest q = AZURE_REQUEST_NULL;
        int r;

        r = azure_request_init(s, &q, "DELETE", key);
        if (r >= 0)
                r = http_line_add(&q.lines, "x-ms-delete-snapshots: include");
        return r < 0 ? r : azure_request_send(s, &q, key, &a, f);
}

const ObjectType azure_objects = {
        .peer = "Azure storage",
        .id_header = AZURE_META_ID,
        .errors = errors,
        .n_errors = ELEMENTSOF(errors),
        .head = send_head,
        .get = send_get,
        .remove = send_delete,
        .page = azure_ask_page,
        .read_page = azure_read_page,
};

/* --- The type ----------------------------------------------------------------------------------------- */

static int azure_open(Storage *s, const StorageConfig *config, Failure *reterr_failure) {
        return azure_configure(s, config, reterr_failure);
}

static void azure_close(Storage *s) {
        assert(s);

        s->backend = azure_free(s->backend);
}

static ssize_t azure_read_at(Storage *s, const char *key, uint64_t offset, void *buf, size_t n,
                             Failure *reterr_failure) {
        return object_read_at(&azure_objects, s, key, offset, buf, n, reterr_failure);
}

static int azure_stat(Storage *s, const char *key, uint64_t *ret_size, Failure *reterr_failure) {
        return object_stat(&azure_objects, s, key, ret_size, reterr_failure);
}

static int azure_list(Storage *s, const char *prefix, StorageListFunc func, void *userdata,
                      Failure *reterr_failure) {
        const Azure *z = s->backend;

        return object_list(&azure_objects, s, z->prefix, prefix, func, userdata, reterr_failure);
}

/* A request that is repeated finds nothing any more; so what was there is asked first. */
static int azure_remove(Storage *s, const char *key, Failure *reterr_failure) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        _cleanup_failure_ Failure why = FAILURE_NULL;
        int r;

        assert(s);

        r = object_head(&azure_objects, s, key, &a, reterr_failure);
        if (r < 0)
                return r;
        r = send_delete(s, key, &why);
        if (r == -ENOENT)
                return 0;
        return r < 0 ? failure_set(reterr_failure, r, why.code, "%s", failure_message(&why, r)) : 0;
}

static int azure_probe(Storage *s, StorageUsage *ret, Failure *reterr_failure) {
        int r;

        assert(ret);

        r = object_probe(&azure_objects, s, reterr_failure);
        if (r < 0)
                return r;
        *ret = (StorageUsage){};
        return 0;
}

const StorageType storage_type_azure = {
        .name = "azure",
        .open = azure_open,
        .close = azure_close,
        .put_new = azure_put_new,
        .put_write = azure_put_write,
        .put_seal = azure_put_seal,
        .put_commit = azure_put_commit,
        .put_free = azure_put_free,
        .read_at = azure_read_at,
        .stat = azure_stat,
        .list = azure_list,
        .remove = azure_remove,
        .probe = azure_probe,
};
