/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "storage/volumes.h"

/* --- Names --------------------------------------------------------------------------------------------- */

char *volume_suffix(size_t number, char buf[static VOLUME_SUFFIX_SIZE]) {
        assert(number < VOLUMES_MAX);

        buf[0] = 0;
        if (number > 0)
                (void) snprintf(buf, VOLUME_SUFFIX_SIZE, ".%03u", (unsigned) (number % VOLUMES_MAX));
        return buf;
}

int volume_suffix_parse(const char *suffix, size_t *ret) {
        size_t number = 0;

        assert(suffix);
        assert(ret);

        if (suffix[0] != 0) {
                if (suffix[0] != '.' || strlen(suffix) != VOLUME_SUFFIX_SIZE - 1)
                        return -EINVAL;
                for (const char *p = suffix + 1; *p; p++) {
                        if (*p < '0' || *p > '9')
                                return -EINVAL;
                        number = 10 * number + (size_t) (*p - '0');
                }
                if (number == 0)
                        return -EINVAL;
        }
        *ret = number;
        return 0;
}

int volume_key(const char *key, size_t number, char **ret) {
        char suffix[VOLUME_SUFFIX_SIZE];

        assert(key);

        return asprintf_safe(ret, "%s%s", key, volume_suffix(number, suffix));
}

/* --- Where volumes end --------------------------------------------------------------------------------- */

int volume_list_init(VolumeList *l, uint64_t limit) {
        int r;

        assert(l);
        assert(limit == UINT64_MAX || (limit > 0 && limit % VOLUME_UNIT == 0));

        *l = (VolumeList){ .limit = limit };
        r = sha256_new(&l->whole);
        return r < 0 ? r : sha256_new(&l->current);
}

void volume_list_done(VolumeList *l) {
        assert(l);

        sha256_free(l->whole);
        sha256_free(l->current);
        free(l->volumes);
        *l = VOLUME_LIST_NULL;
}

int volume_list_reset(VolumeList *l) {
        uint8_t dropped[SHA256_SIZE];
        int r;

        assert(l);

        r = sha256_finish(l->whole, dropped);
        if (r >= 0)
                r = sha256_finish(l->current, dropped);
        l->size = l->filled = 0;
        l->n = 0;
        return r;
}

size_t volume_list_room(const VolumeList *l, size_t n) {
        assert(l);
        assert(l->filled <= l->limit);

        return (size_t) MIN((uint64_t) n, l->limit - l->filled);
}

int volume_list_add(VolumeList *l, const void *p, size_t n) {
        int r;

        assert(l);
        assert(n <= volume_list_room(l, n));

        r = sha256_add(l->whole, p, n);
        if (r >= 0 && l->n > 0)
                r = sha256_add(l->current, p, n);
        if (r < 0)
                return r;
        l->filled += n;
        l->size += n;
        return 0;
}

static int end_volume(VolumeList *l) {
        Volume *v;
        int r;

        if (l->n == l->allocated) {
                size_t n = MAX((size_t) 1, 2 * l->allocated);
                Volume *grown = reallocarray(l->volumes, n, sizeof *grown);

                if (!grown)
                        return -ENOMEM;
                l->volumes = grown;
                l->allocated = n;
        }
        v = &l->volumes[l->n];
        r = l->n == 0 ? sha256_peek(l->whole, v->sha256) : sha256_finish(l->current, v->sha256);
        if (r < 0)
                return r;
        v->size = l->filled;
        l->filled = 0;
        l->n++;
        return 0;
}

int volume_list_next(VolumeList *l, const Volume **ret) {
        int r;

        assert(l);
        assert(l->filled == l->limit);
        assert(ret);

        if (l->n + 1 >= VOLUMES_MAX)
                return -EFBIG;
        r = end_volume(l);
        if (r < 0)
                return r;
        *ret = &l->volumes[l->n - 1];
        return 0;
}

int volume_list_finish(VolumeList *l, uint8_t ret[static SHA256_SIZE]) {
        int r;

        assert(l);

        r = end_volume(l);
        return r < 0 ? r : sha256_finish(l->whole, ret);
}

/* --- Writing ------------------------------------------------------------------------------------------ */

typedef struct PutItem {
        StoragePut *put; /* NULL: it is committed, or was given up */
        uint8_t sha256[SHA256_SIZE];
        bool committed;
} PutItem;

struct VolumesPut {
        Storage *storage; /* weak */
        char *key;
        PutItem *items;
        size_t n, allocated;
        bool open; /* the last one is being written */
        bool committed;
};

static int add_item(VolumesPut *p, Failure *f) {
        _cleanup_(freep) char *key = NULL;
        int r;

        if (p->n == VOLUMES_MAX)
                return -EFBIG;
        if (p->n == p->allocated) {
                size_t n = MAX((size_t) 1, 2 * p->allocated);
                PutItem *grown = reallocarray(p->items, n, sizeof *grown);

                if (!grown)
                        return -ENOMEM;
                p->items = grown;
                p->allocated = n;
        }
        r = volume_key(p->key, p->n, &key);
        if (r < 0)
                return r;
        p->items[p->n] = (PutItem){};
        r = storage_put_new(p->storage, key, &p->items[p->n].put, f);
        if (r < 0)
                return r;
        p->n++;
        p->open = true;
        return 0;
}

int volumes_put_new(Storage *s, const char *key, VolumesPut **ret, Failure *reterr_failure) {
        _cleanup_(volumes_put_freep) VolumesPut *p = NULL;
        int r;

        assert(s);
        assert(key);
        assert(ret);

        p = new0(VolumesPut, 1);
        if (!p)
                return -ENOMEM;
        p->storage = s;
        r = free_and_strdup(&p->key, key);
        if (r >= 0)
                r = add_item(p, reterr_failure);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(p);
        return 0;
}

int volumes_put_write(VolumesPut *p, const void *data, size_t n, Failure *reterr_failure) {
        int r = 0;

        assert(p);
        assert(!p->committed);

        if (n == 0)
                return 0;
        if (!p->open)
                r = add_item(p, reterr_failure);
        return r < 0 ? r : storage_put_write(p->items[p->n - 1].put, data, n, reterr_failure);
}

static int commit_item(PutItem *item, Failure *f) {
        int r;

        if (item->committed)
                return 0;
        r = storage_put_commit(item->put, item->sha256, f);
        if (r < 0)
                return r;
        item->committed = true;
        item->put = storage_put_free(item->put);
        return 0;
}

int volumes_put_next(VolumesPut *p, const uint8_t sha256[static SHA256_SIZE], Failure *reterr_failure) {
        PutItem *item;

        assert(p && p->open);
        assert(!p->committed);

        item = &p->items[p->n - 1];
        memcpy(item->sha256, sha256, SHA256_SIZE);
        p->open = false;
        return storage_can_seal(p->storage) ? storage_put_seal(item->put, reterr_failure) :
                                              commit_item(item, reterr_failure);
}

int volumes_put_commit(VolumesPut *p, const uint8_t sha256[static SHA256_SIZE], Failure *reterr_failure) {
        int r = 0;

        assert(p && p->open);
        assert(!p->committed);

        memcpy(p->items[p->n - 1].sha256, sha256, SHA256_SIZE);
        p->open = false;
        for (size_t i = 1; i < p->n && r >= 0; i++)
                r = commit_item(&p->items[i], reterr_failure);
        if (r >= 0)
                r = commit_item(&p->items[0], reterr_failure);
        if (r < 0)
                return r;
        p->committed = true;
        return 0;
}

void volumes_put_undo(VolumesPut *p) {
        assert(p);

        for (size_t i = 0; i < p->n; i++) {
                _cleanup_(freep) char *key = NULL;

                if (p->items[i].committed && volume_key(p->key, i, &key) >= 0) {
                        _unused_ int ignored = storage_remove(p->storage, key, /* reterr_failure= */ NULL);
                }
                p->items[i].committed = false;
        }
}

VolumesPut *volumes_put_free(VolumesPut *p) {
        if (!p)
                return NULL;
        for (size_t i = 0; i < p->n; i++)
                storage_put_free(p->items[i].put);
        if (!p->committed)
                volumes_put_undo(p);
        free(p->items);
        free(p->key);
        return mfree(p);
}

/* --- Reading ------------------------------------------------------------------------------------------ */

Volumes volumes_of_one(uint64_t size) {
        return (Volumes){ .n = 1, .each = size, .size = size };
}

bool volumes_may_follow(uint64_t size) {
        return size > 0 && size % VOLUME_UNIT == 0;
}

void volumes_add(Volumes *v, uint64_t size) {
        assert(v && v->n > 0);

        /* The one before was not the last. */
        v->uneven |= v->size != v->n * v->each || size > v->each;
        v->n++;
        v->size += size;
}

int volumes_find(Storage *s, const char *key, uint64_t size, Volumes *ret, Failure *reterr_failure) {
        Volumes v = volumes_of_one(size);

        assert(ret);

        while (volumes_may_follow(size) && v.n < VOLUMES_MAX) {
                _cleanup_failure_ Failure why = FAILURE_NULL;
                _cleanup_(freep) char *next = NULL;
                int r;

                r = volume_key(key, v.n, &next);
                if (r >= 0)
                        r = storage_stat(s, next, &size, &why);
                if (r == -ENOENT)
                        break;
                if (r < 0)
                        return failure_set(reterr_failure, r, why.code[0] ? why.code : "STORAGE_UNREADABLE",
                                           "%s", failure_message(&why, r));
                volumes_add(&v, size);
        }
        *ret = v;
        return 0;
}

ssize_t volumes_read_at(Storage *s, const char *key, const Volumes *v, uint64_t offset, void *buf, size_t n,
                        Failure *reterr_failure) {
        _cleanup_(freep) char *name = NULL;
        size_t number;
        int r;

        assert(v && v->n > 0);

        if (v->n == 1)
                return storage_read_at(s, key, offset, buf, n, reterr_failure);
        if (offset >= v->size)
                return 0;
        number = (size_t) (offset / v->each);
        offset %= v->each;
        if (number >= v->n)
                return -EBADMSG; /* uneven */
        r = volume_key(key, number, &name);
        if (r < 0)
                return r;
        return storage_read_at(s, name, offset, buf, (size_t) MIN((uint64_t) n, v->each - offset),
                               reterr_failure);
}

static int remove_one(Storage *s, const char *key, size_t number, Failure *f) {
        _cleanup_(freep) char *name = NULL;
        int r;

        r = volume_key(key, number, &name);
        return r < 0 ? r : storage_remove(s, name, f);
}

int volumes_remove(Storage *s, const char *key, size_t n, Failure *reterr_failure) {
        int hidden;

        assert(n > 0);

        hidden = remove_one(s, key, 0, reterr_failure);
        /* The rest from behind: what is left of it begins with ".001". */
        for (size_t i = n - 1; i > 0 && hidden >= 0; i--) {
                _cleanup_failure_ Failure why = FAILURE_NULL;
                int r;

                r = remove_one(s, key, i, &why);
                if (r < 0 && r != -ENOENT)
                        return failure_set(reterr_failure, r, why.code[0] ? why.code : "STORAGE_FAILED",
                                           "%s", failure_message(&why, r));
                hidden = MAX(hidden, r);
        }
        return hidden;
}

int volumes_remove_rest(Storage *s, const char *key, Failure *reterr_failure) {
        size_t n = 1;
        int r = 0;

        for (; n < VOLUMES_MAX; n++) {
                _cleanup_failure_ Failure why = FAILURE_NULL;
                _cleanup_(freep) char *name = NULL;
                uint64_t size;

                r = volume_key(key, n, &name);
                if (r >= 0)
                        r = storage_stat(s, name, &size, &why);
                if (r == -ENOENT)
                        break;
                if (r < 0)
                        return failure_set(reterr_failure, r, why.code[0] ? why.code : "STORAGE_UNREADABLE",
                                           "%s", failure_message(&why, r));
        }
        r = 0;
        for (size_t i = n - 1; i > 0 && r >= 0; i--)
                r = remove_one(s, key, i, reterr_failure);
        return r < 0 ? r : (int) (n - 1);
}
