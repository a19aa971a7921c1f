/* SPDX-License-Identifier: Apache-2.0 */

/* Objects through rclone: what a tree of files needs, one child for each. Where a backend can rename, an
 * object is written under a temporary name; where it is a store of objects that appear whole, under its own.
 * What can do neither is refused. rclone compares a checksum of what it sent with the server's, where the
 * server has one; the size is checked here. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "storage/rclone.h"

/* Repeating is ours. */
#define ONE_TRY "--low-level-retries", "1"
#define ANSWER_SMALL (64U << 10)
#define SIZE_HOLDS (5 * USEC_PER_SEC)

static RcloneSession *rclone_session(RemoteSession *x) {
        return CONTAINER_OF(x, RcloneSession, head);
}

/* --- Arguments ----------------------------------------------------------------------------------------- */

static bool has_control(const char *name) {
        for (const char *p = name; *p; p++)
                if ((unsigned char) *p < ' ' || *p == 127)
                        return true;
        return false;
}

static int remote_of(RemoteSession *head, const char *path, char **ret) {
        /* rclone would change it, and two names could become one. */
        if (!utf8_is_valid(path, strlen(path)) || has_control(path))
                return remote_session_error(head, -EINVAL,
                                            "names have to be UTF-8 without control characters there");
        return asprintf_safe(ret, RCLONE_REMOTE "%s", streq(path, ".") ? "" : path);
}

static int run(RemoteSession *head, const char *const *arguments, size_t limit, Buffer *ret) {
        if (ret)
                ret->limit = limit;
        return rclone_child_run(rclone_session(head), arguments, ret);
}

static int run_json(RemoteSession *head, const char *const *arguments, json_t **ret) {
        _cleanup_buffer_ Buffer answer = BUFFER_NULL;
        int r;

        r = run(head, arguments, ANSWER_SMALL, &answer);
        if (r < 0)
                return r;
        r = json_parse_strict(strempty(answer.data), answer.size, JSON_DEPTH_DEFAULT, ret, NULL);
        return r < 0 ? remote_session_error(head, -EPROTO, "rclone's answer is not well-formed") : 0;
}

/* --- What is there ------------------------------------------------------------------------------------- */

static int entry_read(const json_t *json, RemoteEntry *ret) {
        json_int_t size = json_integer_value(json_object_get(json, "Size"));
        const char *modified = json_string_value(json_object_get(json, "ModTime"));

        ret->is_directory = json_is_true(json_object_get(json, "IsDir"));
        ret->size = size > 0 ? (uint64_t) size : 0;
        if (isempty(modified) || parse_rfc3339(modified, &ret->modified) < 0)
                ret->modified = 0;
        return size < 0 && !ret->is_directory ? -EPROTO : 0;
}

static int rclone_stat(RemoteSession *head, const char *path, RemoteEntry *ret) {
        _cleanup_(freep) char *remote = NULL;
        _cleanup_json_ json_t *json = NULL;
        int r;

        r = remote_of(head, path, &remote);
        if (r < 0)
                return r;
        r = run_json(head,
                     (const char *const[]){ "lsjson", "--stat", "--no-modtime", "--no-mimetype",
                                            ONE_TRY, remote, NULL },
                     &json);
        if (r < 0)
                return r;
        /* Some backends say null of what is not there. */
        if (!json_is_object(json))
                return -ENOENT;
        r = entry_read(json, ret);
        /* In a store of objects every prefix is one. */
        if (r >= 0 && ret->is_directory && rclone_session(head)->rclone->is_store)
                return -ENOENT;
        return r < 0 ? remote_session_error(head, r, "the server does not say how large it is") : 0;
}

/* One line of a listing: an object, with a comma behind it or not; or a bracket. */
static int line_read(RemoteSession *head, const char *line, size_t n, RemoteList *list) {
        _cleanup_json_ json_t *json = NULL;
        RemoteEntry e = {};
        const char *name;

        if (n > 0 && line[n - 1] == ',')
                n--;
        if (n <= 1)
                return 0;
        if (json_parse_strict(line, n, JSON_DEPTH_DEFAULT, &json, NULL) < 0)
                return remote_session_error(head, -EPROTO, "rclone's listing is not well-formed");
        name = json_string_value(json_object_get(json, "Name"));
        if (!name || entry_read(json, &e) < 0)
                return 0;
        return remote_list_add(list, name, e.is_directory, e.size, e.modified);
}

/* The whole lines of what came; the rest stays. */
static int lines_read(RemoteSession *head, Buffer *b, RemoteList *list) {
        size_t from = 0;
        char *end;
        int r = 0;

        while (r >= 0 && b->size > from && (end = memchr(b->data + from, '\n', b->size - from))) {
                r = line_read(head, b->data + from, (size_t) (end - b->data) - from, list);
                from = (size_t) (end - b->data) + 1;
        }
        if (from > 0)
                buffer_consume(b, from);
        return r;
}

static int rclone_list(RemoteSession *head, const char *path, RemoteList *list) {
        /* Only leftovers are asked for their times: some servers have to be asked for each. */
        const char *times = endswith(path, REMOTE_TEMP) ? "--use-server-modtime" : "--no-modtime";
        _cleanup_buffer_ Buffer lines = BUFFER_LIMITED(ANSWER_SMALL);
        _cleanup_(freep) char *remote = NULL;
        RcloneSession *x = rclone_session(head);
        RcloneChild c = {};
        char buf[16384];
        ssize_t n = 0;
        int r;

        r = remote_of(head, path, &remote);
        if (r >= 0)
                r = rclone_child_start(x,
                                       (const char *const[]){ "lsjson", "--no-mimetype", times,
                                                              ONE_TRY, remote, NULL },
                                       /* feeds= */ false, &c);
        if (r < 0)
                return r;
        while (r >= 0 && (n = rclone_child_read(x, &c, buf, sizeof buf)) > 0) {
                r = buffer_add(&lines, buf, (size_t) n);
                if (r >= 0)
                        r = lines_read(head, &lines, list);
        }
        if (n < 0 || r < 0) {
                rclone_child_kill(&c);
                return r < 0 ? r : (int) n;
        }
        return rclone_child_wait(x, &c);
}

static int simple(RemoteSession *head, const char *command, const char *path) {
        _cleanup_(freep) char *remote = NULL;
        int r;

        r = remote_of(head, path, &remote);
        if (r < 0)
                return r;
        return run(head, (const char *const[]){ command, ONE_TRY, remote, NULL }, 0, NULL);
}

static int rclone_make_directory(RemoteSession *head, const char *path) {
        return simple(head, "mkdir", path);
}

static int rclone_remove(RemoteSession *head, const char *path) {
        return simple(head, "deletefile", path);
}

/* The caller looked that the name is free: rclone would replace. */
static int rclone_rename(RemoteSession *head, const char *from, const char *to) {
        _cleanup_(freep) char *source = NULL, *destination = NULL;
        int r;

        r = remote_of(head, from, &source);
        if (r >= 0)
                r = remote_of(head, to, &destination);
        if (r < 0)
                return r;
        return run(head,
                   (const char *const[]){ "moveto", "--no-check-dest", ONE_TRY, source,
                                          destination, NULL },
                   0, NULL);
}

static int rclone_usage(RemoteSession *head, const char *path, StorageUsage *ret) {
        _cleanup_(freep) char *remote = NULL;
        _cleanup_json_ json_t *json = NULL;
        json_int_t free_bytes, total;
        int r;

        if (!rclone_session(head)->rclone->has_usage)
                return -EOPNOTSUPP;
        r = remote_of(head, path, &remote);
        if (r >= 0)
                r = run_json(head,
                             (const char *const[]){ "about", "--json", ONE_TRY, remote,
                                                    NULL },
                             &json);
        if (r < 0)
                return r;
        free_bytes = json_integer_value(json_object_get(json, "free"));
        total = json_integer_value(json_object_get(json, "total"));
        if (total > 0)
                *ret = (StorageUsage){ (uint64_t) MAX(free_bytes, 0), (uint64_t) total };
        return 0;
}

/* --- Writing ------------------------------------------------------------------------------------------- */

/* Rclone makes the directories that are missing, but of several that make the same one at once on an SFTP
 * server only one can. So the first writer makes that of temporary files. */
static int temp_prepare(RcloneSession *x, const char *path) {
        int r;

        if (x->rclone->is_store)
                return 0;
        (void) pthread_mutex_lock(&x->rclone->lock);
        r = remote_temp_prepare(&x->head, path);
        (void) pthread_mutex_unlock(&x->rclone->lock);
        return r;
}

static int rclone_create(RemoteSession *head, const char *path, uint64_t size) {
        /* What cannot be repeated from its start is tried harder by rclone, where a part of it fails. */
        const char *tries = size == UINT64_MAX ? "5" : "1";
        RcloneSession *x = rclone_session(head);
        _cleanup_(freep) char *remote = NULL, *cutoff = NULL;
        int r;

        r = temp_prepare(x, path);
        if (r >= 0)
                r = remote_of(head, path, &remote);
        if (r >= 0)
                r = asprintf_safe(&cutoff, "%uB", RCLONE_CUTOFF);
        if (r < 0)
                return r;
        x->sent = 0;
        return rclone_child_start(x,
                                  (const char *const[]){ "rcat", "--low-level-retries", tries,
                                                         "--streaming-upload-cutoff", cutoff, remote, NULL },
                                  /* feeds= */ true, &x->put);
}

/* It ended before it had all: it says why. */
static int put_ended(RcloneSession *x) {
        int r;

        r = rclone_child_wait(x, &x->put);
        return r < 0 ? r : remote_session_error(&x->head, -EPROTO, "rclone stopped reading");
}

static ssize_t rclone_write(RemoteSession *head, const void *data, size_t n) {
        RcloneSession *x = rclone_session(head);
        ssize_t k;

        /* It would collect all of it in a file of this host. */
        if (!x->rclone->can_stream && x->sent + n >= RCLONE_CUTOFF)
                return remote_session_error(head, -EFBIG,
                                            "this backend of rclone takes no more than %u MiB without "
                                            "knowing the size before",
                                            RCLONE_CUTOFF >> 20);
        k = rclone_child_write(x, &x->put, data, n);
        if (k > 0)
                x->sent += (uint64_t) k;
        return k == -EPIPE ? put_ended(x) : k;
}

static int rclone_finish(RemoteSession *head) {
        RcloneSession *x = rclone_session(head);

        return rclone_child_wait(x, &x->put);
}

static void rclone_give_up(RemoteSession *head) {
        rclone_child_kill(&rclone_session(head)->put);
}

/* --- Reading ------------------------------------------------------------------------------------------- */

static void get_end(RcloneSession *x) {
        rclone_child_kill(&x->get);
        x->get_path = mfree(x->get_path);
}

/* Asks for left bytes at offset. */
static int get_start(RcloneSession *x, const char *path, uint64_t offset, uint64_t left) {
        _cleanup_(freep) char *remote = NULL, *from = NULL, *count = NULL;
        int r;

        r = remote_of(&x->head, path, &remote);
        if (r >= 0)
                r = asprintf_safe(&from, "%" PRIu64, offset);
        if (r >= 0)
                r = asprintf_safe(&count, "%" PRIu64, left);
        if (r >= 0)
                r = free_and_strdup(&x->get_path, path);
        if (r < 0)
                return r;
        return rclone_child_start(x,
                                  (const char *const[]){ "cat", ONE_TRY, "--offset", from,
                                                         "--count", count, remote, NULL },
                                  /* feeds= */ false, &x->get);
}

/* How large it is. rclone prints all files of a directory, so what it is has to be known. */
static int get_size(RcloneSession *x, const char *path, uint64_t *ret) {
        usec_t now = now_usec(CLOCK_MONOTONIC);
        RemoteEntry there = {};
        int r;

        if (streq_ptr(x->last_path, path) && now < usec_add(x->last_asked, SIZE_HOLDS)) {
                *ret = x->last_size;
                return 0;
        }
        r = rclone_stat(&x->head, path, &there);
        if (r >= 0 && there.is_directory)
                r = -ENOENT;
        if (r < 0)
                return r;
        *ret = x->last_size = there.size;
        x->last_asked = now;
        return 0;
}

/* From offset: to the end where the object is being read from front to back, else n bytes. */
static int get_begin(RcloneSession *x, const char *path, uint64_t offset, size_t n) {
        bool follows = streq_ptr(x->last_path, path) && x->last_end == offset;
        uint64_t size = 0, left;
        int r;

        get_end(x);
        r = get_size(x, path, &size);
        if (r < 0)
                return r;
        x->get_at = offset;
        left = size > offset ? size - offset : 0;
        if (!follows)
                left = MIN(left, (uint64_t) n);
        x->get_stop = offset + left;
        x->get_is_rest = x->get_stop >= size;
        return left == 0 ? 0 : get_start(x, path, offset, left);
}

static ssize_t rclone_read(RemoteSession *head, const char *path, uint64_t offset, void *buf, size_t n) {
        RcloneSession *x = rclone_session(head);
        size_t done = 0;
        ssize_t k = 0;
        int r = 0;

        if (x->get.pid == 0 || !streq_ptr(x->get_path, path) || x->get_at != offset ||
            (!x->get_is_rest && n > x->get_stop - offset))
                r = get_begin(x, path, offset, n);
        if (r < 0)
                return r;
        n = MIN(n, x->get_stop - offset);
        while (done < n && (k = rclone_child_read(x, &x->get, (char *) buf + done, n - done)) > 0)
                done += (size_t) k;
        x->get_at += done;
        if (done < n && k == 0) {
                /* Less than there was: it says why, or was ended. */
                r = rclone_child_wait(x, &x->get);
                k = r < 0 ? r : remote_session_error(head, -ECONNRESET, "it gave less than the object has");
        }
        if (k < 0) {
                get_end(x);
                x->last_path = mfree(x->last_path);
                return k;
        }
        if (x->get_at >= x->get_stop)
                get_end(x);
        x->last_end = x->get_at;
        r = free_and_strdup(&x->last_path, path);
        return r < 0 ? r : (ssize_t) done;
}

/* --- Sessions ------------------------------------------------------------------------------------------ */

static void rclone_disconnect(RemoteSession *head) {
        RcloneSession *x = rclone_session(head);

        rclone_child_kill(&x->put);
        get_end(x);
        free(x->last_path);
        free(x);
}

/* Asks once what the backend can. */
static int features_learn(RcloneSession *x) {
        Remote *m = x->head.storage->backend;
        _cleanup_(freep) char *remote = NULL;
        _cleanup_json_ json_t *json = NULL;
        Rclone *rc = x->rclone;
        const json_t *f;
        bool can_move;
        int r;

        r = remote_of(&x->head, m->base, &remote);
        if (r >= 0)
                r = run_json(&x->head,
                             (const char *const[]){ "backend", "features", ONE_TRY, remote,
                                                    NULL },
                             &json);
        if (r < 0)
                return r;
        f = json_object_get(json, "Features");
        rc->is_store = json_is_true(json_object_get(f, "BucketBased"));
        can_move = json_is_true(json_object_get(f, "Move"));
        rc->can_stream = json_is_true(json_object_get(f, "PutStream"));
        rc->has_usage = json_is_true(json_object_get(f, "About"));
        m->direct = rc->is_store && !can_move;
        if (!rc->is_store && !can_move && !json_is_true(json_object_get(f, "Copy")))
                return remote_session_error(&x->head, -EOPNOTSUPP,
                                            "this backend of rclone can neither rename nor write a whole "
                                            "object at once; it cannot hold backups");
        rc->is_known = true;
        return 0;
}

static int rclone_connect(Storage *s, usec_t end, RemoteSession **ret, Failure *f) {
        const Remote *m = s->backend;
        Rclone *rc = m->config;
        RcloneSession *x;
        int r = 0;

        assert(ret);

        x = new0(RcloneSession, 1);
        if (!x)
                return -ENOMEM;
        x->head.storage = s;
        x->head.end = end;
        x->rclone = rc;
        (void) pthread_mutex_lock(&rc->lock);
        if (!rc->is_known)
                r = features_learn(x);
        (void) pthread_mutex_unlock(&rc->lock);
        if (r < 0) {
                remote_failure(s, r, m->place, x->head.error, f);
                rclone_disconnect(&x->head);
                return r;
        }
        *ret = &x->head;
        return 0;
}

static const RemoteOps rclone_ops = {
        .is_slow = true,
        .connect = rclone_connect,
        .disconnect = rclone_disconnect,
        .create = rclone_create,
        .write = rclone_write,
        .finish = rclone_finish,
        .give_up = rclone_give_up,
        .read = rclone_read,
        .stat = rclone_stat,
        .list = rclone_list,
        .make_directory = rclone_make_directory,
        .remove = rclone_remove,
        /* Not of directories: some backends look whether it is empty, and then remove all that is in it. */
        .rename = rclone_rename,
        .usage = rclone_usage,
};

/* --- The type ------------------------------------------------------------------------------------------ */

static void rclone_close(Storage *s) {
        Rclone *rc = remote_close(s);

        if (rc)
                rclone_config_free(rc);
}

static const char *rclone_directory_of(const Storage *s) {
        const Remote *m = s->backend;
        const Rclone *rc = m->config;

        return rc->directory;
}

static int rclone_open(Storage *s, const StorageConfig *config, Failure *reterr_failure) {
        const char *path = strempty(json_string_value(json_object_get(config->config, "path")));
        const char *directory = rclone_directory(config->type, config->config);
        const char *why = rclone_path_complaint(path);
        Remote *m = NULL;
        Rclone *rc;
        int r;

        /* Anything else would be where this process happens to be. */
        if (!why && streq(config->type, RCLONE_TYPE_PREFIX "local") && path[0] != '/')
                why = "is not an absolute path of the node";
        if (why)
                return failure_set_field(reterr_failure, -EINVAL, "FIELD_INVALID", "config.path",
                                         "The field 'config.path' %s (%s).", why, s->name);
        r = remote_new(s, &rclone_ops, path, &m);
        if (r < 0)
                return r;
        r = rclone_config_new(&rc);
        if (r < 0)
                return r;
        m->config = rc;
        m->read_back = json_is_true(json_object_get(config->config, "read_back"));
        r = free_and_strdup(&rc->directory, directory);
        if (r >= 0)
                r = asprintf_safe(&m->place, "%s of rclone, %s", rclone_type_backend(config->type),
                                  isempty(path) ? "its top" : path);
        return r < 0 ? r : rclone_config_read(s, rc, config, reterr_failure);
}

const StorageType storage_type_rclone = {
        .name = RCLONE_TYPE_PREFIX,
        .open = rclone_open,
        .close = rclone_close,
        .directory = rclone_directory_of,
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
