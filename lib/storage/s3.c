/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "storage/s3.h"

/* --- Answers ------------------------------------------------------------------------------------------ */

int s3_answer_text(const HttpAnswer *a, const char *name, char **ret) {
        _cleanup_xml_ Xml x = XML_NULL;
        int r;

        assert(a);
        assert(name);
        assert(ret);

        *ret = NULL;
        xml_init(&x, a->body.data, a->body.size);
        while ((r = xml_next(&x)) > 0)
                if (r == XML_CLOSE && streq(x.name, name))
                        return xml_take_text(&x, ret);
        return r;
}

/* What servers call their errors: of AWS, and where they differ of Ceph, MinIO, OSS, COS and others. */
static const ObjectError errors[] = {
        { "AccessDenied", EACCES, "STORAGE_DENIED", false, "does not allow it" },
        { "AllAccessDisabled", EACCES, "STORAGE_DENIED", false, "has the account disabled" },
        { "AuthorizationHeaderMalformed", EINVAL, "STORAGE_REGION", false, "is in another region" },
        { "BadDigest", EBADMSG, "STORAGE_CHECKSUM", true, "received other bytes than were sent" },
        { "BandwidthLimitExceeded", EBUSY, "STORAGE_THROTTLED", true, "asks for fewer requests" },
        { "ConditionalRequestConflict", EBUSY, "STORAGE_THROTTLED", true, "has a request for the same key" },
        { "EntityTooLarge", EFBIG, "STORAGE_TOO_LARGE", false, "takes no object of this size" },
        { "ExpiredToken", EACCES, "STORAGE_DENIED", false, "says that the session is over" },
        { "InsufficientCapacity", ENOSPC, "STORAGE_FULL", false, "is full" },
        { "InternalError", EIO, "STORAGE_FAILED", true, "failed" },
        { "InvalidAccessKeyId", EACCES, "STORAGE_DENIED", false, "does not know the access key" },
        { "InvalidDigest", EBADMSG, "STORAGE_CHECKSUM", true, "received other bytes than were sent" },
        { "InvalidObjectState", EPERM, "STORAGE_LOCKED", false, "has the object in an archive class" },
        { "InvalidToken", EACCES, "STORAGE_DENIED", false, "does not know the session" },
        { "MethodNotAllowed", EPERM, "STORAGE_LOCKED", false, "does not allow this for the object" },
        { "NoSuchBucket", ENXIO, "STORAGE_NO_BUCKET", false, "has no such bucket" },
        { "NoSuchKey", ENOENT, "OBJECT_NOT_FOUND", false, "has no such object" },
        { "NoSuchUpload", ESTALE, "STORAGE_FAILED", false, "has no such upload" },
        { "NotImplemented", EOPNOTSUPP, "STORAGE_FAILED", false, "does not know this request" },
        { "ObjectLocked", EPERM, "STORAGE_LOCKED", false, "retains the object" },
        { "OperationAborted", EBUSY, "STORAGE_THROTTLED", true, "is changing the bucket" },
        { "PermanentRedirect", EINVAL, "STORAGE_REGION", false, "has the bucket in another region" },
        { "PreconditionFailed", EEXIST, "OBJECT_EXISTS", false, "has such an object already" },
        { "QuotaExceeded", EDQUOT, "STORAGE_QUOTA", false, "has no more room in the quota" },
        { "RequestLimitExceeded", EBUSY, "STORAGE_THROTTLED", true, "asks for fewer requests" },
        { "RequestTimeTooSkewed", EACCES, "STORAGE_CLOCK", false,
          "has another time than this host: set its clock" },
        { "RequestTimeout", ETIMEDOUT, "STORAGE_STALLED", true, "waited too long for the request" },
        { "ServiceUnavailable", EBUSY, "STORAGE_THROTTLED", true, "is busy" },
        { "SignatureDoesNotMatch", EACCES, "STORAGE_DENIED", false,
          "does not accept the signature: the secret key is another" },
        { "SlowDown", EBUSY, "STORAGE_THROTTLED", true, "asks for fewer requests" },
        { "TemporaryRedirect", EINVAL, "STORAGE_REGION", false, "has the bucket in another region" },
        { "Throttling", EBUSY, "STORAGE_THROTTLED", true, "asks for fewer requests" },
        { "TooManyRequests", EBUSY, "STORAGE_THROTTLED", true, "asks for fewer requests" },
        { "XAmzContentChecksumMismatch", EBADMSG, "STORAGE_CHECKSUM", true,
          "received other bytes than were sent" },
        { "XAmzContentSHA256Mismatch", EBADMSG, "STORAGE_CHECKSUM", true,
          "received other bytes than were sent" },
        { "XMinioStorageFull", ENOSPC, "STORAGE_FULL", false, "is full" },
};

HttpVerdict s3_judge(Storage *s, const HttpAnswer *a, const char *key, Failure *f) {
        _cleanup_(freep) char *name = NULL, *message = NULL;
        HttpVerdict verdict;

        assert(s);
        assert(a);

        if (a->body.size == 0 || s3_answer_text(a, "Code", &name) < 0 || !name)
                return http_judge_status(s, a->status, /* message= */ NULL, key, f);
        if (s3_answer_text(a, "Message", &message) < 0)
                message = NULL;
        if (object_judge(&s3_objects, s, name, message, key, &verdict, f))
                return verdict;
        return http_judge_status(s, a->status, isempty(message) ? name : message, key, f);
}

/* --- Objects ------------------------------------------------------------------------------------------ */

static int send_head(Storage *s, const char *key, HttpAnswer *a, Failure *f) {
        _cleanup_(s3_request_done) S3Request q = S3_REQUEST_NULL;
        int r;

        assert(key);

        r = s3_request_init(s, &q, "HEAD", key);
        if (r >= 0)
                r = s3_request_customer_key(s->backend, &q);
        return r < 0 ? r : s3_request_send(s, &q, key, a, f);
}

static int send_get(Storage *s, const char *key, const ObjectRange *range, HttpAnswer *a, Failure *f) {
        _cleanup_(s3_request_done) S3Request q = S3_REQUEST_NULL;
        int r;

        r = s3_request_init(s, &q, "GET", key);
        if (r >= 0)
                r = s3_request_customer_key(s->backend, &q);
        if (r < 0)
                return r;
        object_range_set(range, &q.http);
        return s3_request_send(s, &q, key, a, f);
}

/* A bucket with versions only adds a marker, also where object lock retains what is below. Gives 1 then. */
static int send_delete(Storage *s, const char *key, Failure *f) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        _cleanup_(s3_request_done) S3Request q = S3_REQUEST_NULL;
        _cleanup_(freep) char *marker = NULL;
        int r;

        r = s3_request_init(s, &q, "DELETE", key);
        if (r >= 0)
                r = s3_request_send(s, &q, key, &a, f);
        if (r >= 0)
                r = http_answer_header(&a, "x-amz-delete-marker", &marker);
        return r < 0 ? r : streq_ptr(marker, "true");
}

const ObjectType s3_objects = {
        .peer = "S3 server",
        .id_header = S3_META_ID,
        .errors = errors,
        .n_errors = ELEMENTSOF(errors),
        .head = send_head,
        .get = send_get,
        .remove = send_delete,
        .page = s3_ask_page,
        .read_page = s3_read_page,
};

/* --- The type ----------------------------------------------------------------------------------------- */

static int s3_open(Storage *s, const StorageConfig *config, Failure *reterr_failure) {
        return s3_configure(s, config, reterr_failure);
}

static void s3_close(Storage *s) {
        assert(s);

        s->backend = s3_free(s->backend);
}

static ssize_t s3_read_at(Storage *s, const char *key, uint64_t offset, void *buf, size_t n,
                          Failure *reterr_failure) {
        return object_read_at(&s3_objects, s, key, offset, buf, n, reterr_failure);
}

static int s3_stat(Storage *s, const char *key, uint64_t *ret_size, Failure *reterr_failure) {
        return object_stat(&s3_objects, s, key, ret_size, reterr_failure);
}

static int s3_list(Storage *s, const char *prefix, StorageListFunc func, void *userdata,
                   Failure *reterr_failure) {
        const S3 *s3 = s->backend;

        return object_list(&s3_objects, s, s3->prefix, prefix, func, userdata, reterr_failure);
}

/* S3 removes what is not there, too; so it is asked first. */
static int s3_remove(Storage *s, const char *key, Failure *reterr_failure) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        int r;

        assert(s);

        r = object_head(&s3_objects, s, key, &a, reterr_failure);
        return r < 0 ? r : send_delete(s, key, reterr_failure);
}

static int s3_probe(Storage *s, StorageUsage *ret, Failure *reterr_failure) {
        int r;

        assert(s);
        assert(ret);

        r = object_probe(&s3_objects, s, reterr_failure);
        if (r < 0)
                return r;
        s3_sweep(s);
        *ret = (StorageUsage){};
        return 0;
}

const StorageType storage_type_s3 = {
        .name = "s3",
        .open = s3_open,
        .close = s3_close,
        .put_new = s3_put_new,
        .put_write = s3_put_write,
        .put_seal = s3_put_seal,
        .put_commit = s3_put_commit,
        .put_free = s3_put_free,
        .read_at = s3_read_at,
        .stat = s3_stat,
        .list = s3_list,
        .remove = s3_remove,
        .probe = s3_probe,
};
