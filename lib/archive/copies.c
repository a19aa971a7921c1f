/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "archive/copies.h"
#include "base/alloc.h"
#include "base/text.h"

struct Copies {
        const ArchiveSource *source;
        CopiesLog log;
        void *userdata;
        size_t current;
        ArchiveReader *reader; /* of the current copy */
};

Copies *copies_free(Copies *c) {
        if (!c)
                return NULL;
        archive_reader_free(c->reader);
        return mfree(c);
}

const Manifest *copies_manifest(const Copies *c) {
        assert(c);

        return archive_reader_manifest(c->reader);
}

/* What another copy would answer just the same, or nobody should ask again. */
static bool is_final(int error) {
        return error == -ENOENT || error == -ENOTDIR || error == -ECANCELED || error == -ENOMEM;
}

static int open_current(Copies *c, Failure *reterr_failure) {
        const ArchiveSource *s = c->source;
        const ArchivePlace *copy = s->copies + c->current;

        return archive_reader_new(&(ArchiveReaderArgs){ .storage = copy->storage,
                                                        .key = copy->key,
                                                        .manifest_sha256 = s->manifest_sha256,
                                                        .encrypted = s->encrypted,
                                                        .data_key = s->data_key,
                                                        .entries_key = s->entries_key,
                                                        .manifest_key = s->manifest_key },
                                  &c->reader, reterr_failure);
}

static void tell(Copies *c, const char *name, const Failure *why, int error) {
        _cleanup_(freep) char *text = NULL;

        assert(c);

        if (!c->log)
                return;
        if (asprintf_safe(&text, "The copy on %s cannot be used: %s; taking the next one, on %s.", name,
                          failure_message(why, error),
                          storage_name(c->source->copies[c->current].storage)) < 0)
                return;
        c->log(c->userdata, text);
}

/* Opens the current copy, or (when it gave an error) another one. tries counts the copies that failed at one
 * question; when that are all of them, the error and why come back. A copy that failed before may be asked
 * again for something else: what is damaged here may be whole there, and the other way round. */
static int open_next(Copies *c, int error, size_t *tries, Failure *why, Failure *reterr_failure) {
        assert(c);

        for (;;) {
                const char *name = storage_name(c->source->copies[c->current].storage);

                if (error < 0 &&
                    (error == -ECANCELED || error == -ENOMEM || ++*tries >= c->source->n_copies)) {
                        if (reterr_failure && !failure_is_set(reterr_failure)) {
                                *reterr_failure = *why;
                                *why = FAILURE_NULL;
                        }
                        return error;
                }
                if (error < 0) {
                        c->reader = archive_reader_free(c->reader);
                        c->current = (c->current + 1) % c->source->n_copies;
                        tell(c, name, why, error);
                        failure_done(why);
                }
                error = open_current(c, why);
                if (error >= 0)
                        return 0;
        }
}

int copies_open(const ArchiveSource *source, CopiesLog log, void *userdata, Copies **ret,
                Failure *reterr_failure) {
        _cleanup_(copies_freep) Copies *c = NULL;
        _cleanup_failure_ Failure why = FAILURE_NULL;
        size_t tries = 0;
        int r;

        assert(source);
        assert(source->n_copies > 0);
        assert(ret);

        c = new0(Copies, 1);
        if (!c)
                return -ENOMEM;
        c->source = source;
        c->log = log;
        c->userdata = userdata;
        r = open_next(c, 0, &tries, &why, reterr_failure);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}

/* A listing that another copy goes on with must not give an entry twice. */
typedef struct Listing {
        EntriesFunc func;
        void *userdata;
        char *last;  /* the path given last */
        int stopped; /* what func gave, other than 0 */
} Listing;

static void listing_done(Listing *l) {
        free(l->last);
}

static int list_entry(void *userdata, const char *directory, Entry *e) {
        Listing *l = ASSERT_PTR(userdata);
        int r;

        assert(e);

        if (l->last && strcmp(e->member.path, l->last) <= 0)
                return 0;
        r = free_and_strdup(&l->last, e->member.path);
        if (r >= 0)
                r = l->func(l->userdata, directory, e);
        l->stopped = r;
        return r;
}

int copies_list(Copies *c, const char *directory, EntriesFunc func, void *userdata,
                Failure *reterr_failure) {
        _cleanup_(listing_done) Listing listing = { .func = func, .userdata = userdata };
        size_t tries = 0;

        assert(c);
        assert(directory);
        assert(func);

        for (;;) {
                _cleanup_failure_ Failure why = FAILURE_NULL;
                int r;

                r = archive_reader_list(c->reader, directory, list_entry, &listing, &why);
                if (r >= 0 || listing.stopped != 0)
                        return r;
                if (is_final(r))
                        return failure_set(reterr_failure, r, why.code[0] ? why.code : "UNREADABLE", "%s",
                                           failure_message(&why, r));
                r = open_next(c, r, &tries, &why, reterr_failure);
                if (r < 0)
                        return r;
        }
}

int copies_lookup(Copies *c, const char *path, Entry *ret, Failure *reterr_failure) {
        size_t tries = 0;

        assert(c);
        assert(path);
        assert(ret);

        for (;;) {
                _cleanup_failure_ Failure why = FAILURE_NULL;
                int r;

                r = archive_reader_lookup(c->reader, path, ret, &why);
                if (r >= 0 || is_final(r))
                        return r;
                r = open_next(c, r, &tries, &why, reterr_failure);
                if (r < 0)
                        return r;
        }
}

ssize_t copies_pread(Copies *c, uint64_t offset, void *buf, size_t n, Failure *reterr_failure) {
        size_t tries = 0;

        assert(c);
        assert(buf || n == 0);

        for (;;) {
                _cleanup_failure_ Failure why = FAILURE_NULL;
                ssize_t k;
                int r;

                k = archive_reader_pread(c->reader, offset, buf, n, &why);
                if (k >= 0)
                        return k;
                r = open_next(c, (int) k, &tries, &why, reterr_failure);
                if (r < 0)
                        return r;
        }
}
