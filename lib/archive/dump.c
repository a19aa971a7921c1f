/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "archive/copies.h"
#include "archive/dump.h"
#include "archive/streams.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/text.h"
#include "wire/path.h"

#define BUFFER_SIZE (256U << 10)

typedef struct Dump {
        const ArchiveDumpArgs *args;
        Copies *copies;
        Failure *failure;
        char *path;       /* relative to the root */
        uint64_t *places; /* of the members, in order */
        size_t n, allocated;
        bool stranger; /* something in the directory is no part */
        uint64_t position, written;
        uint8_t *buf;
} Dump;

static void dump_done(Dump *d) {
        copies_free(d->copies);
        free(d->path);
        free(d->places);
        free(d->buf);
}

/* --- Which members ------------------------------------------------------------------------------------ */

static int add_place(Dump *d, uint64_t place) {
        uint64_t *grown;

        if (d->n == d->allocated) {
                size_t n = d->allocated == 0 ? 16 : 2 * d->allocated;

                grown = reallocarray(d->places, n, sizeof *grown);
                if (!grown)
                        return -ENOMEM;
                d->places = grown;
                d->allocated = n;
        }
        d->places[d->n++] = place;
        return 0;
}

/* They come in the order of their names, so of their numbers. */
static int on_part(void *userdata, const char *directory, Entry *e) {
        Dump *d = ASSERT_PTR(userdata);
        const char *name = strrchr(e->member.path, '/');
        uint64_t number;

        name = name ? name + 1 : e->member.path;
        if (e->member.type != MEMBER_FILE || e->incomplete || strlen(name) != STREAM_PART_DIGITS ||
            parse_u64(name + strspn(name, "0") - (strspn(name, "0") == STREAM_PART_DIGITS), 0, UINT64_MAX,
                      &number) < 0 ||
            number != d->n) {
                d->stranger = true;
                return 0;
        }
        return add_place(d, e->offset);
}

static int find_members(Dump *d) {
        _cleanup_(entry_done) Entry entry = ENTRY_NULL;
        const char *path = d->args->path;
        int r;

        r = copies_lookup(d->copies, d->path, &entry, d->failure);
        if (r == -ENOENT)
                return failure_set(d->failure, r, "PATH_NOT_FOUND", "The archive does not have %s", path);
        if (r < 0)
                return r;
        if (entry.member.type == MEMBER_FILE)
                return add_place(d, entry.offset);
        if (entry.member.type == MEMBER_DIRECTORY) {
                r = copies_list(d->copies, d->path, on_part, d, d->failure);
                if (r < 0 && r != -ENOENT)
                        return r;
        }
        if (d->n == 0 || d->stranger)
                return failure_set(d->failure, -EISDIR, "PATH_INVALID",
                                   "%s is neither a file nor a stream that is whole", path);
        return 0;
}

/* --- Content ------------------------------------------------------------------------------------------ */

static ssize_t read_stream(void *userdata, void *buf, size_t n) {
        Dump *d = ASSERT_PTR(userdata);
        ssize_t k;

        k = copies_pread(d->copies, d->position, buf, n, d->failure);
        if (k > 0)
                d->position += (uint64_t) k;
        return k;
}

static int write_zeros(Dump *d, uint64_t n) {
        int r = 0;

        memset(d->buf, 0, BUFFER_SIZE);
        while (n > 0 && r >= 0) {
                size_t k = (size_t) MIN(n, (uint64_t) BUFFER_SIZE);

                r = write_full(d->args->fd, d->buf, k);
                n -= k;
        }
        return r;
}

static int dump_data(Dump *d, PaxReader *reader, const Member *m) {
        uint64_t at = 0;
        int r;

        for (;;) {
                uint64_t offset;
                ssize_t n;

                if (d->args->cancel && atomic_load(d->args->cancel))
                        return -ECANCELED;
                n = pax_reader_data(reader, d->buf, BUFFER_SIZE, &offset);
                if (n < 0)
                        return (int) n;
                if (n == 0)
                        break;
                if (offset > at) {
                        _cleanup_(freep) uint8_t *data = memdup0(d->buf, (size_t) n);

                        if (!data)
                                return -ENOMEM;
                        r = write_zeros(d, offset - at);
                        if (r < 0)
                                return r;
                        memcpy(d->buf, data, (size_t) n);
                }
                r = write_full(d->args->fd, d->buf, (size_t) n);
                if (r < 0)
                        return r;
                at = offset + (uint64_t) n;
        }
        r = write_zeros(d, m->size - at);
        d->written += m->size;
        return r;
}

static int dump_member(Dump *d, uint64_t place) {
        _cleanup_(pax_reader_freep) PaxReader *reader = NULL;
        _cleanup_(member_done) Member m = MEMBER_NULL;
        const char *reason = NULL;
        int r;

        d->position = place;
        r = pax_reader_new(read_stream, d, &reader);
        if (r < 0)
                return r;
        r = pax_reader_next(reader, &m, &reason);
        if (r == 0 || r == -EBADMSG || (r > 0 && m.type != MEMBER_FILE))
                return failure_set(d->failure, -EBADMSG, "ARCHIVE_DAMAGED", "%s cannot be read: %s",
                                   d->args->path, reason ? reason : "its place in the archive is wrong");
        return r < 0 ? r : dump_data(d, reader, &m);
}

int archive_dump(const ArchiveDumpArgs *args, uint64_t *ret_bytes, Failure *reterr_failure) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_(dump_done) Dump d = { .args = args, .failure = &failure };
        int r;

        assert(args && args->path);

        d.buf = malloc(BUFFER_SIZE);
        d.path = strdup(args->path + (args->path[0] == '/'));
        if (!d.buf || !d.path)
                return -ENOMEM;
        r = copies_open(&args->source, NULL, NULL, &d.copies, &failure);
        if (r >= 0)
                r = find_members(&d);
        for (size_t i = 0; i < d.n && r >= 0; i++)
                r = dump_member(&d, d.places[i]);
        if (ret_bytes)
                *ret_bytes = d.written;
        if (r >= 0 || r == -ECANCELED || r == -ENOMEM)
                return r;
        return failure_set(reterr_failure, r, failure_is_set(&failure) ? failure.code : "DUMP_FAILED", "%s",
                           failure_message(&failure, r));
}
