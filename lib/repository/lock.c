/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/text.h"
#include "repository/go-text.h"
#include "repository/lock.h"
#include "wire/json.h"

#define DEPTH_MAX 4
#define TEXT_MAX 1024
#define COMMAND_KEY "backupx_command"

void repo_lock_done(RepoLock *l) {
        assert(l);

        free(l->hostname);
        free(l->username);
        free(l->command);
        *l = REPO_LOCK_NULL;
}

static int read_fields(const json_t *json, RepoLock *l, Failure *why) {
        const char *time = NULL;
        JsonReader r;

        assert(l);

        (void) json_reader_init(&r, json, why);
        if (json_reader_string(&r, "time", JSON_REQUIRED, MOMENT_TEXT_MAX, &time) > 0 &&
            moment_parse(time, strlen(time), &l->time) < 0)
                (void) json_reader_fail(&r, "time", "has to be a time like 2026-11-22T22:15:01Z");
        (void) json_reader_bool(&r, "exclusive", JSON_OPTIONAL, &l->exclusive);
        (void) json_reader_strdup(&r, "hostname", JSON_OPTIONAL, TEXT_MAX, &l->hostname);
        (void) json_reader_strdup(&r, "username", JSON_OPTIONAL, TEXT_MAX, &l->username);
        (void) json_reader_strdup(&r, COMMAND_KEY, JSON_OPTIONAL, TEXT_MAX, &l->command);
        (void) json_reader_u64(&r, "pid", JSON_OPTIONAL, INT64_MAX, &l->pid);
        (void) json_reader_u32(&r, "uid", JSON_OPTIONAL, UINT32_MAX, &l->uid);
        (void) json_reader_u32(&r, "gid", JSON_OPTIONAL, UINT32_MAX, &l->gid);
        return json_reader_finish_lenient(&r);
}

int repo_lock_parse(const void *data, size_t n, RepoLock *ret, Failure *reterr_failure) {
        _cleanup_(repo_lock_done) RepoLock l = REPO_LOCK_NULL;
        _cleanup_failure_ Failure why = FAILURE_NULL;
        _cleanup_json_ json_t *json = NULL;
        int r;

        assert(data || n == 0);
        assert(ret);

        r = n > REPO_LOCK_SIZE_MAX ? -EBADMSG : json_parse_strict(data, n, DEPTH_MAX, &json, &why);
        if (r >= 0)
                r = read_fields(json, &l, &why);
        if (r == -EBADMSG)
                return failure_set(reterr_failure, r, "LOCK_DAMAGED", "The lock is damaged: %s",
                                   failure_message(&why, r));
        if (r < 0)
                return r;
        *ret = l;
        l = REPO_LOCK_NULL;
        return 0;
}

int repo_lock_format(const RepoLock *l, char **ret, size_t *ret_size) {
        _cleanup_buffer_ Buffer out = BUFFER_LIMITED(REPO_LOCK_SIZE_MAX);
        char time[MOMENT_TEXT_MAX];
        int r;

        assert(l);
        assert(ret);
        assert(ret_size);

        r = buffer_printf(&out, "{\"time\":\"%s\",\"exclusive\":%s,\"hostname\":",
                          moment_format(&l->time, time), l->exclusive ? "true" : "false");
        if (r >= 0)
                r = go_text_add_json(&out, strempty(l->hostname));
        if (r >= 0)
                r = buffer_add_string(&out, ",\"username\":");
        if (r >= 0)
                r = go_text_add_json(&out, strempty(l->username));
        if (r >= 0)
                r = buffer_printf(&out, ",\"pid\":%" PRIu64, l->pid);
        if (r >= 0 && l->uid > 0)
                r = buffer_printf(&out, ",\"uid\":%" PRIu32, l->uid);
        if (r >= 0 && l->gid > 0)
                r = buffer_printf(&out, ",\"gid\":%" PRIu32, l->gid);
        if (r >= 0 && l->command) {
                r = buffer_add_string(&out, ",\"" COMMAND_KEY "\":");
                if (r >= 0)
                        r = go_text_add_json(&out, l->command);
        }
        if (r >= 0)
                r = buffer_add_string(&out, "}");
        if (r < 0)
                return r;
        *ret_size = out.size;
        *ret = buffer_take(&out);
        return *ret ? 0 : -ENOMEM;
}

bool repo_lock_is_stale(const RepoLock *l, const Moment *now) {
        assert(l);
        assert(now);

        return now->sec - l->time.sec > REPO_LOCK_STALE_SEC;
}

bool repo_lock_conflicts(const RepoLock *other, bool want_exclusive, const Moment *now) {
        return (other->exclusive || want_exclusive) && !repo_lock_is_stale(other, now);
}
