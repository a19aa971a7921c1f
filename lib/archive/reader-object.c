/* SPDX-License-Identifier: Apache-2.0 */

/* One object of an archive as a plain stream, wherever and however it is stored: its size is compared with
 * what the manifest says before anything is read, and an encrypted one is opened with its file key. Errors
 * of the storage and of the decryption come out as what they mean for the archive: gone, damaged, or not
 * reachable, since only of the last kind another copy may say something else tomorrow. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "archive/reader-object.h"
#include "base/alloc.h"
#include "base/text.h"

struct ReaderObject {
        Storage *storage;
        char *key; /* of the first volume */
        Volumes volumes;
        AgeReader *age;
        Failure *failure; /* of the call that is being answered */
};

ReaderObject *reader_object_free(ReaderObject *o) {
        if (!o)
                return NULL;
        age_reader_free(o->age);
        free(o->key);
        return mfree(o);
}

const char *reader_object_key(const ReaderObject *o) {
        assert(o);

        return o->key;
}

uint64_t reader_object_size(const ReaderObject *o) {
        assert(o);

        return o->age ? age_reader_size(o->age) : o->volumes.size;
}

/* An object that was committed and is not there is damage: -ENOENT would mean a path that was asked for. */
static int missing(Storage *storage, const char *key, Failure *reterr_failure) {
        return failure_set(reterr_failure, -EBADMSG, "ARCHIVE_MISSING", "%s is not on %s any more", key,
                           storage_name(storage));
}

static int stat_failed(Storage *storage, const char *key, int error, const Failure *why,
                       Failure *reterr_failure) {
        if (error == -ENOENT)
                return missing(storage, key, reterr_failure);
        return failure_set(reterr_failure, error, why->code[0] ? why->code : "STORAGE_UNREADABLE", "%s",
                           failure_message(why, error));
}

static int check_size(Storage *storage, const char *key, uint64_t size, Failure *reterr_failure) {
        _cleanup_failure_ Failure why = FAILURE_NULL;
        uint64_t found;
        int r;

        r = storage_stat(storage, key, &found, &why);
        if (r < 0)
                return stat_failed(storage, key, r, &why, reterr_failure);
        if (found != size)
                return failure_set(reterr_failure, -EBADMSG, "ARCHIVE_DAMAGED",
                                   "%s on %s has %" PRIu64 " bytes, and had %" PRIu64 " when it was written",
                                   key, storage_name(storage), found, size);
        return 0;
}

static int check_volumes(Storage *storage, const char *key, const ManifestObject *object,
                         Failure *reterr_failure) {
        int r = 0;

        if (object->n_volumes == 0)
                return check_size(storage, key, object->size, reterr_failure);
        for (size_t i = 0; i < object->n_volumes && r >= 0; i++) {
                _cleanup_(freep) char *name = NULL;

                r = volume_key(key, i, &name);
                if (r >= 0)
                        r = check_size(storage, name, object->volumes[i].size, reterr_failure);
        }
        return r;
}

int reader_object_check(Storage *storage, const char *prefix, const ManifestObject *object,
                        Failure *reterr_failure) {
        _cleanup_(freep) char *key = NULL;
        int r;

        assert(storage);
        assert(prefix);
        assert(object);

        r = asprintf_safe(&key, "%s%s", prefix, object->name);
        if (r < 0)
                return r;
        return check_volumes(storage, key, object, reterr_failure);
}

static ssize_t read_stored(ReaderObject *o, uint64_t offset, void *buf, size_t n) {
        _cleanup_failure_ Failure why = FAILURE_NULL;
        ssize_t k;

        assert(o);

        k = volumes_read_at(o->storage, o->key, &o->volumes, offset, buf, n, &why);
        if (k == -ENOENT)
                return missing(o->storage, o->key, o->failure);
        if (k < 0)
                return failure_set(o->failure, (int) k, why.code[0] ? why.code : "STORAGE_UNREADABLE", "%s",
                                   failure_message(&why, (int) k));
        return k;
}

static ssize_t read_for_age(void *userdata, uint64_t offset, void *buf, size_t n) {
        return read_stored(ASSERT_PTR(userdata), offset, buf, n);
}

/* Says what an error of reading means, where it was not said yet. */
static int explain(const ReaderObject *o, int error, Failure *reterr_failure) {
        const char *name = storage_name(o->storage);

        if (error == -EBADMSG)
                return failure_set(reterr_failure, error, "ARCHIVE_DAMAGED",
                                   "%s on %s is not what was written: it was changed or cut", o->key, name);
        if (error == -EKEYREJECTED || error == -ENOKEY)
                return failure_set(reterr_failure, -EBADMSG, "ARCHIVE_DAMAGED",
                                   "The key that was kept for %s does not open the object on %s", o->key,
                                   name);
        return failure_set(reterr_failure, error, "STORAGE_UNREADABLE", "%s on %s cannot be read: %m",
                           o->key, name);
}

static int open_age(ReaderObject *o, const uint8_t *file_key, Failure *reterr_failure) {
        AgeKeys keys = { .file_key = file_key };
        int r;

        o->failure = reterr_failure;
        r = age_reader_new(read_for_age, o, o->volumes.size, &keys, &o->age);
        o->failure = NULL;
        return r < 0 ? explain(o, r, reterr_failure) : 0;
}

int reader_object_open(Storage *storage, const char *prefix, const ManifestObject *object,
                       const uint8_t *file_key, ReaderObject **ret, Failure *reterr_failure) {
        _cleanup_(reader_object_freep) ReaderObject *o = NULL;
        int r;

        assert(storage);
        assert(prefix);
        assert(object);
        assert(ret);

        o = new0(ReaderObject, 1);
        if (!o)
                return -ENOMEM;
        o->storage = storage;
        o->volumes = volumes_of_one(object->n_volumes > 0 ? object->volumes[0].size : object->size);
        for (size_t i = 1; i < object->n_volumes; i++)
                volumes_add(&o->volumes, object->volumes[i].size);
        r = asprintf_safe(&o->key, "%s%s", prefix, object->name);
        if (r < 0)
                return r;
        r = check_volumes(storage, o->key, object, reterr_failure);
        if (r < 0)
                return r;
        if (file_key) {
                r = open_age(o, file_key, reterr_failure);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(o);
        return 0;
}

int reader_object_read(ReaderObject *o, uint64_t offset, void *buf, size_t n, Failure *reterr_failure) {
        size_t done = 0;

        assert(o);
        assert(buf || n == 0);

        while (done < n) {
                ssize_t k;

                o->failure = reterr_failure;
                if (o->age)
                        k = age_reader_pread(o->age, offset + done, (uint8_t *) buf + done, n - done);
                else
                        k = read_stored(o, offset + done, (uint8_t *) buf + done, n - done);
                o->failure = NULL;
                if (k <= 0)
                        return explain(o, k < 0 ? (int) k : -EBADMSG, reterr_failure);
                done += (size_t) k;
        }
        return 0;
}

int reader_object_load(Storage *storage, const char *prefix, const char *name, size_t max, Buffer *out,
                       Failure *reterr_failure) {
        _cleanup_(freep) char *key = NULL;
        _cleanup_failure_ Failure why = FAILURE_NULL;
        ReaderObject o = { .storage = storage };
        uint64_t size;
        int r;

        assert(storage);
        assert(prefix);
        assert(name);
        assert(out);

        r = asprintf_safe(&key, "%s%s", prefix, name);
        if (r < 0)
                return r;
        r = storage_stat(storage, key, &size, &why);
        if (r < 0)
                return stat_failed(storage, key, r, &why, reterr_failure);
        if (size > max)
                return failure_set(reterr_failure, -EBADMSG, "ARCHIVE_DAMAGED", "%s on %s is too large", key,
                                   storage_name(storage));
        r = buffer_reserve(out, (size_t) size);
        if (r < 0)
                return r;
        o.key = key;
        o.volumes = volumes_of_one(size);
        r = reader_object_read(&o, 0, out->data + out->size, (size_t) size, reterr_failure);
        if (r < 0)
                return r;
        out->size += (size_t) size;
        out->data[out->size] = 0;
        return 0;
}
