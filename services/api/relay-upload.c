/* SPDX-License-Identifier: Apache-2.0 */

/* Uploads: begin, parts in order (the last one that was taken may be repeated), commit. A part is on disk
 * before it is acknowledged, all of them are synced before the object appears. */

#include <errno.h>
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/text.h"
#include "crypto/random.h"
#include "store/relay-cap.h"

#include "services/api/relay-file.h"
#include "services/api/relay-private.h"

#define PARTS_MAX (1U << 24) /* 128 TiB */
/* What stays free of a disk: two hundredths of a small one, 64 MiB of a large one. */
#define ROOM_RESERVE_SHARE 50
#define ROOM_RESERVE_MAX (UINT64_C(64) << 20)

/* --- The cache of digests ------------------------------------------------------------------------- */

static void upload_free(RelayUpload *u) {
        sha256_free(u->digest);
        free(u);
}

void relay_uploads_free(Relay *relay) {
        assert(relay);

        while (relay->uploads) {
                RelayUpload *u = relay->uploads;

                relay->uploads = u->next;
                upload_free(u);
        }
        relay->n_uploads = 0;
}

static RelayUpload *find_cached(Relay *relay, const char *name) {
        for (RelayUpload *u = relay->uploads; u; u = u->next)
                if (streq(u->name, name))
                        return u;
        return NULL;
}

static void forget_cached(Relay *relay, RelayUpload *gone) {
        for (RelayUpload **u = &relay->uploads; *u; u = &(*u)->next)
                if (*u == gone) {
                        *u = gone->next;
                        relay->n_uploads--;
                        upload_free(gone);
                        return;
                }
}

static void make_room(Relay *relay) {
        RelayUpload *oldest = NULL;

        assert(relay);

        if (relay->n_uploads < RELAY_UPLOADS_MAX)
                return;
        for (RelayUpload *u = relay->uploads; u; u = u->next)
                if (!u->is_busy && (!oldest || u->used < oldest->used))
                        oldest = u;
        if (oldest)
                forget_cached(relay, oldest);
}

/* Without a running digest, that of a restart, the content is read at the commit. */
static RelayUpload *add_cached(Relay *relay, const char *name) {
        RelayUpload *u = new0(RelayUpload, 1);

        assert(relay);

        if (!u)
                return NULL;
        make_room(relay);
        memcpy(u->name, name, sizeof(u->name));
        u->used = now_usec(CLOCK_MONOTONIC);
        u->next = relay->uploads;
        relay->uploads = u;
        relay->n_uploads++;
        return u;
}

/* --- What all of them begin with ------------------------------------------------------------------ */

static int refused(int error) {
        return error < 0 ? error : 1;
}

/* A job on the key of the path, and on the upload that the query names (begin: a new one). */
static int new_job(Request *r, const char *upload, RelayJob **ret) {
        _cleanup_(relay_job_freep) RelayJob *job = NULL;
        int error;

        error = relay_job_new(r, RELAY_VERB_PUT, &job);
        if (error != 0)
                return error;
        if (!job->key)
                return refused(request_fail(r, ERROR_REQUEST_INVALID, "A key is expected in the path."));
        if (!relay_upload_id_is_valid(upload))
                return refused(request_fail(r, ERROR_RELAY_UPLOAD_UNKNOWN, "There is no such upload."));
        memcpy(job->upload.upload, upload, sizeof(job->upload.upload));
        error = relay_staged_name(&job->upload, job->key, job->staged);
        if (error < 0)
                return error;
        *ret = TAKE_PTR(job);
        return 0;
}

/* The cached digest for this job alone; positive: another request has it, the client comes again. */
static int hold_cached(Request *r, RelayJob *job) {
        RelayUpload *u = find_cached(job->relay, job->staged);

        if (u && u->is_busy)
                return refused(request_fail_later(r, ERROR_BUSY, USEC_PER_SEC,
                                                  "Another part of this upload is being written."));
        if (u)
                u->is_busy = true;
        job->cached = u;
        return 0;
}

/* Both. */
static int new_held_job(Request *r, const char *upload, RelayJob **ret) {
        _cleanup_(relay_job_freep) RelayJob *job = NULL;
        int error;

        assert(ret);

        error = new_job(r, upload, &job);
        if (error == 0)
                error = hold_cached(r, job);
        if (error != 0)
                return error;
        *ret = TAKE_PTR(job);
        return 0;
}

/* --- Begin ---------------------------------------------------------------------------------------- */

static int work_begin(RelayJob *job) {
        _cleanup_close_ int base = -EBADF;
        int r;

        r = relay_open_base(job->base, /* make= */ true, &base);
        if (r < 0)
                return r;
        return relay_stage(base, job->staged, job->key);
}

static int answer_begin(RelayJob *job, Request *r) {
        RelayUpload *u = add_cached(job->relay, job->staged);

        if (u && sha256_new(&u->digest) < 0)
                u->digest = NULL;
        return request_reply(r, MHD_HTTP_CREATED,
                             json_pack("{s:s,s:I}", "upload", job->upload.upload, "part_size",
                                       (json_int_t) RELAY_PART_SIZE));
}

int relay_upload_begin(Request *r) {
        uint8_t random[(RELAY_UPLOAD_ID_SIZE - 1) / 2];
        char id[RELAY_UPLOAD_ID_SIZE];
        RelayJob *job = NULL;
        int error;

        assert(r);

        error = random_bytes(random, sizeof(random));
        if (error < 0)
                return error;
        error = new_job(r, hex_encode(random, sizeof(random), id), &job);
        if (error != 0)
                return MIN(error, 0);
        job->work = work_begin;
        job->answer = answer_begin;
        return relay_job_submit(job);
}

/* --- Parts ---------------------------------------------------------------------------------------- */

/* The relay directory may share its disk with the database, which has to go on when an upload cannot. */
static int check_room(int fd, uint64_t n) {
        uint64_t room, reserve;
        struct statvfs fs;

        if (fstatvfs(fd, &fs) < 0)
                return -errno;
        room = (uint64_t) fs.f_bavail * fs.f_frsize;
        reserve = MIN((uint64_t) fs.f_blocks * fs.f_frsize / ROOM_RESERVE_SHARE, ROOM_RESERVE_MAX);
        return room < reserve + n ? -ENOSPC : 0;
}

static int write_part(RelayJob *job, int fd, uint64_t offset) {
        size_t done = 0;
        int r;

        assert(job);

        r = check_room(fd, job->body.size);
        if (r < 0)
                return r;
        while (done < job->body.size) {
                ssize_t n = pwrite(fd, job->body.data + done, job->body.size - done,
                                   (off_t) (offset + done));

                if (n < 0 && errno != EINTR)
                        return -errno;
                done += n > 0 ? (size_t) n : 0;
        }
        if (ftruncate(fd, (off_t) (offset + job->body.size)) < 0)
                return -errno;
        /* Begin now, so that the commit has little left to wait for. */
        (void) sync_file_range(fd, (off_t) offset, (off_t) job->body.size, SYNC_FILE_RANGE_WRITE);
        return 0;
}

/* Into the running digest, once; a repetition has to be one. The cache may be without this upload, or behind
 * what is on disk (after a restart): then it is of no use. */
static int digest_part(RelayJob *job, const uint8_t digest[static SHA256_SIZE]) {
        RelayUpload *u = job->cached;
        int r;

        if (!u || !u->digest)
                return 0;
        if (u->parts == job->part + 1) {
                if (memcmp(u->last_part, digest, SHA256_SIZE) != 0) {
                        job->message = "A part was sent again with another content.";
                        return -EBADMSG;
                }
                return 0;
        }
        if (u->parts != job->part)
                return 0;
        r = sha256_add(u->digest, job->body.data, job->body.size);
        if (r < 0)
                return r;
        memcpy(u->last_part, digest, SHA256_SIZE);
        u->parts++;
        return 0;
}

static int work_part(RelayJob *job) {
        _cleanup_close_ int base = -EBADF, fd = -EBADF;
        uint64_t offset = job->part * RELAY_PART_SIZE, size = 0;
        uint8_t digest[SHA256_SIZE];
        int r;

        job->message = "There is no such upload (any more).";
        r = relay_open_base(job->base, /* make= */ false, &base);
        if (r >= 0)
                r = relay_open_staged(base, job->staged, &fd, &size);
        if (r < 0)
                return r;
        /* Whole parts before this one, and nothing but this one behind them. */
        if (size < offset || size > offset + RELAY_PART_SIZE) {
                job->message = "Parts have to come in order, and only the last one may be shorter.";
                return -ESPIPE;
        }
        r = sha256(job->body.data, job->body.size, digest);
        if (r >= 0)
                r = digest_part(job, digest);
        if (r >= 0)
                r = write_part(job, fd, offset);
        if (r < 0 && r != -EBADMSG && job->cached) /* what the digest has is not what the disk has */
                job->cached->digest = sha256_free(job->cached->digest);
        return r;
}

static int answer_part(RelayJob *job, Request *r) {
        return request_reply_empty(r, MHD_HTTP_NO_CONTENT);
}

int relay_upload_part(Request *r) {
        const char *upload = request_query(r, "upload"), *part = request_query(r, "part");
        RelayJob *job = NULL;
        uint32_t number = 0;
        int error;

        assert(r);

        if (!upload || !part || parse_u32(part, 0, PARTS_MAX, &number) < 0)
                return request_fail(r, ERROR_QUERY_INVALID,
                                    "'upload' and 'part' are expected in the query.");
        if (r->body.size == 0)
                return request_fail(r, ERROR_BODY_INVALID, "A part has to have at least one byte.");
        error = new_held_job(r, upload, &job);
        if (error != 0)
                return MIN(error, 0);
        job->part = number;
        /* The worker outlives a request that is cancelled: the bytes go with the job. */
        job->body = r->body;
        r->body = BUFFER_NULL;
        job->work = work_part;
        job->answer = answer_part;
        return relay_job_submit(job);
}

/* --- Commit --------------------------------------------------------------------------------------- */

/* The reply of an earlier commit was lost: then the object is there, and is the one. */
static int find_committed(RelayJob *job, int base) {
        _cleanup_close_ int fd = -EBADF;
        uint8_t digest[SHA256_SIZE];
        uint64_t size = 0;
        int r;

        assert(job);

        r = relay_open_object(base, job->key, &fd, &size);
        if (r < 0)
                return r;
        if (size != job->size)
                return -EEXIST;
        r = relay_digest(fd, size, digest);
        if (r < 0)
                return r;
        job->existed = true;
        return memcmp(digest, job->digest, SHA256_SIZE) == 0 ? 0 : -EEXIST;
}

static int digest_of_upload(RelayJob *job, int fd, uint64_t size, uint8_t ret[static SHA256_SIZE]) {
        RelayUpload *u = job->cached;
        uint64_t parts = (size + RELAY_PART_SIZE - 1) / RELAY_PART_SIZE;

        if (u && u->digest && u->parts == parts)
                return sha256_peek(u->digest, ret);
        return relay_digest(fd, size, ret);
}

static bool is_same_commit(const RelayJob *job) {
        return job->cached->size == job->size &&
                        memcmp(job->cached->committed, job->digest, SHA256_SIZE) == 0;
}

static int work_commit(RelayJob *job) {
        _cleanup_close_ int base = -EBADF, fd = -EBADF;
        uint8_t digest[SHA256_SIZE];
        uint64_t size = 0;
        int r;

        assert(job);

        job->message = "There is no such upload (any more).";
        if (job->cached && job->cached->is_committed) {
                job->existed = job->repeated = true;
                return is_same_commit(job) ? 0 : -EEXIST;
        }
        r = relay_open_base(job->base, /* make= */ false, &base);
        if (r < 0)
                return r;
        r = relay_open_staged(base, job->staged, &fd, &size);
        if (r == -ENOENT)
                return find_committed(job, base);
        if (r < 0)
                return r;
        if (size != job->size) {
                job->message = "The upload has another size than announced.";
                return -EBADMSG;
        }
        r = digest_of_upload(job, fd, size, digest);
        if (r < 0)
                return r;
        if (memcmp(digest, job->digest, SHA256_SIZE) != 0) {
                job->message = "The upload has another SHA-256 than announced.";
                return -EBADMSG;
        }
        r = relay_publish(base, job->staged, fd, job->key);
        if (r >= 0 && job->cached) {
                job->cached->is_committed = true;
                job->cached->size = size;
                memcpy(job->cached->committed, digest, SHA256_SIZE);
                job->cached->digest = sha256_free(job->cached->digest);
        }
        return r;
}

/* One that was there already may be another's. */
static int note_lock(const RelayJob *job, Request *r) {
        const RelayCap *cap = &r->principal.relay;

        assert(job);

        if ((job->existed && !job->repeated) || !(cap->verbs & RELAY_VERB_LOCK) ||
            !relay_key_is_lock(job->prefix, job->key))
                return 0;
        return relay_lock_add(r->api->store, r->id, job->key, cap->command_id);
}

static int answer_commit(RelayJob *job, Request *r) {
        int error;

        error = note_lock(job, r);
        if (error < 0)
                return error;
        return request_reply(r, job->existed ? MHD_HTTP_OK : MHD_HTTP_CREATED, json_object());
}

static int parse_commit(Request *r, uint64_t *ret_size, uint8_t ret_digest[static SHA256_SIZE]) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *json = NULL;
        JsonReader reader;
        int error;

        error = request_body_json(r, &json);
        if (error < 0)
                return error == -EBADMSG ? 1 : error;
        (void) json_reader_init(&reader, json, &failure);
        (void) json_reader_u64(&reader, "size", JSON_REQUIRED, INT64_MAX, ret_size);
        (void) json_reader_hex(&reader, "sha256", JSON_REQUIRED, ret_digest, SHA256_SIZE);
        error = json_reader_finish(&reader);
        return error < 0 ? refused(request_fail_failure(r, error, &failure)) : 0;
}

int relay_upload_commit(Request *r) {
        uint8_t digest[SHA256_SIZE] = {};
        RelayJob *job = NULL;
        uint64_t size = 0;
        int error;

        assert(r);

        error = parse_commit(r, &size, digest);
        if (error == 0)
                error = new_held_job(r, request_query(r, "commit"), &job);
        if (error != 0)
                return MIN(error, 0);
        if (!job->cached) { /* keeps a second commit out while this one reads, and its outcome for a third */
                job->cached = add_cached(job->relay, job->staged);
                if (job->cached)
                        job->cached->is_busy = true;
        }
        job->size = size;
        memcpy(job->digest, digest, SHA256_SIZE);
        job->work = work_commit;
        job->answer = answer_commit;
        return relay_job_submit(job);
}

/* --- Abort ---------------------------------------------------------------------------------------- */

static int work_abort(RelayJob *job) {
        _cleanup_close_ int base = -EBADF;
        int r;

        job->message = "There is no such upload (any more).";
        r = relay_open_base(job->base, /* make= */ false, &base);
        if (r < 0)
                return r;
        return relay_remove_staged(base, job->staged);
}

static int answer_abort(RelayJob *job, Request *r) {
        if (job->cached) {
                forget_cached(job->relay, job->cached);
                job->cached = NULL;
        }
        return request_reply_empty(r, MHD_HTTP_NO_CONTENT);
}

int relay_upload_abort(Request *r) {
        RelayJob *job = NULL;
        int error;

        assert(r);

        error = new_held_job(r, strempty(request_query(r, "upload")), &job);
        if (error != 0)
                return MIN(error, 0);
        job->work = work_abort;
        job->answer = answer_abort;
        return relay_job_submit(job);
}
