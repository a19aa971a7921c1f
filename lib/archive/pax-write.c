/* SPDX-License-Identifier: Apache-2.0 */

/* From a member to the bytes before its content. What the ustar fields cannot hold goes into records of an
 * extended header, which has a header block of its own in front. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "archive/pax-format.h"
#include "archive/pax.h"
#include "base/alloc.h"
#include "base/text.h"

static const char member_type_flags[_MEMBER_TYPE_MAX] = {
        [MEMBER_FILE] = '0',
        [MEMBER_HARDLINK] = '1',
        [MEMBER_SYMLINK] = '2',
        [MEMBER_CHARACTER] = '3',
        [MEMBER_BLOCK] = '4',
        [MEMBER_DIRECTORY] = '5',
        [MEMBER_FIFO] = '6',
};

/* "<length> <key>=<value>\n", where the length counts its own digits. */
static int record_add(Buffer *out, const char *key, const void *value, size_t n) {
        size_t rest = strlen(key) + n + STRLEN(" =\n"), length, digits = 1;
        int r;

        for (size_t limit = 10; rest + digits >= limit; limit *= 10)
                digits++;
        length = rest + digits;
        r = buffer_reserve(out, length);
        if (r < 0)
                return r;
        r = buffer_printf(out, "%zu %s=", length, key);
        if (r < 0)
                return r;
        r = buffer_add(out, value, n);
        if (r < 0)
                return r;
        return buffer_add(out, "\n", 1);
}

static int record_add_string(Buffer *out, const char *key, const char *value) {
        return record_add(out, key, value, strlen(value));
}

static int record_add_number(Buffer *out, const char *key, uint64_t value) {
        char text[24];

        (void) snprintf(text, sizeof text, "%" PRIu64, value);
        return record_add_string(out, key, text);
}

/* Decimal seconds, exact: the record of -1.5 s is "-1.5", which the system has as -2 s and 500,000,000 ns.
 */
static int record_add_time(Buffer *out, int64_t sec, uint32_t nsec) {
        bool negative = sec < 0;
        uint64_t whole = negative ? (uint64_t) - (sec + 1) + 1 : (uint64_t) sec;
        char text[48];

        if (negative && nsec > 0) {
                whole--;
                nsec = 1000000000U - nsec;
        }
        (void) snprintf(text, sizeof text, "%s%" PRIu64 ".%09" PRIu32, negative ? "-" : "", whole, nsec);
        return record_add_string(out, "mtime", text);
}

/* An octal field with a NUL at its end; false where the value does not fit. */
static bool octal_put(char *field, size_t n, uint64_t value) {
        if (value >> (3 * (n - 1)) != 0) {
                memset(field, '0', n - 1);
                field[n - 1] = 0;
                return false;
        }
        field[n - 1] = 0;
        for (size_t i = n - 1; i-- > 0; value >>= 3)
                field[i] = (char) ('0' + (value & 7));
        return true;
}

/* A text field, cut where it is too long (then the record says all of it); false where it was cut. */
static bool text_put(char *field, size_t n, const char *text) {
        size_t length = strlen(text);

        memcpy(field, text, MIN(length, n));
        return length <= n;
}

static void header_seal(UstarHeader *h) {
        memcpy(h->magic, "ustar", 6);
        memcpy(h->version, "00", 2);
        (void) octal_put(h->checksum, 7, ustar_checksum(h));
        h->checksum[7] = ' ';
}

static int block_pad(Buffer *out, size_t from) {
        static const char zeros[PAX_BLOCK];

        return buffer_add(out, zeros, pax_padding(out->size - from));
}

/* The name in the archive: directories end in '/', the root is "./"; a sparse file has a stand-in, so that
 * readers that do not know of sparse files do not write its map over a file. */
static int archive_name(const Member *m, char **ret) {
        const char *base;

        assert(m);

        if (m->type == MEMBER_DIRECTORY)
                return asprintf_safe(ret, "%s/", isempty(m->path) ? "." : m->path);
        if (m->type != MEMBER_FILE || !m->sparse)
                return asprintf_safe(ret, "%s", m->path);
        base = strrchr(m->path, '/');
        base = base ? base + 1 : m->path;
        return asprintf_safe(ret, "%.*sGNUSparseFile.0/%s", (int) (base - m->path), m->path, base);
}

static int xattr_add(Buffer *out, const Xattr *x) {
        _cleanup_buffer_ Buffer key = BUFFER_NULL;
        int r;

        assert(x);

        r = buffer_add_string(&key, PAX_XATTR_PREFIX);
        for (const char *p = x->name; r >= 0 && *p; p++) {
                if (*p == '%')
                        r = buffer_add_string(&key, "%25");
                else if (*p == '=')
                        r = buffer_add_string(&key, "%3D");
                else
                        r = buffer_add(&key, p, 1);
        }
        if (r < 0)
                return r;
        return record_add(out, key.data, x->value, x->size);
}

static int xattrs_add(Buffer *records, const Member *m) {
        int r = 0;

        assert(m);

        if (m->acl_access)
                r = record_add_string(records, PAX_ACL_ACCESS, m->acl_access);
        if (r >= 0 && m->acl_default)
                r = record_add_string(records, PAX_ACL_DEFAULT, m->acl_default);
        for (size_t i = 0; r >= 0 && i < m->n_xattrs; i++)
                r = xattr_add(records, &m->xattrs[i]);
        return r;
}

/* The map of GNU sparse 1.0: the count, then offset and size of each extent, a line a number, padded. A
 * hole at the end is told by an empty extent there. */
static int sparse_map(const Member *m, Buffer *out) {
        bool tail = m->n_extents == 0 ||
                        m->extents[m->n_extents - 1].offset + m->extents[m->n_extents - 1].size < m->size;
        int r;

        r = buffer_printf(out, "%zu\n", m->n_extents + tail);
        for (size_t i = 0; r >= 0 && i < m->n_extents; i++)
                r = buffer_printf(out, "%" PRIu64 "\n%" PRIu64 "\n", m->extents[i].offset,
                                  m->extents[i].size);
        if (r >= 0 && tail)
                r = buffer_printf(out, "%" PRIu64 "\n0\n", m->size);
        if (r < 0)
                return r;
        return block_pad(out, 0);
}

static int sparse_add(Buffer *records, const Member *m) {
        int r;

        assert(m);

        if (m->type != MEMBER_FILE || !m->sparse)
                return 0;
        r = record_add_string(records, PAX_SPARSE_PREFIX "major", "1");
        if (r >= 0)
                r = record_add_string(records, PAX_SPARSE_PREFIX "minor", "0");
        if (r >= 0)
                r = record_add_string(records, PAX_SPARSE_PREFIX "name", m->path);
        if (r >= 0)
                r = record_add_number(records, PAX_SPARSE_PREFIX "realsize", m->size);
        return r;
}

/* Fills the names of header, and the records for what was cut. */
static int names_add(UstarHeader *h, Buffer *records, const Member *m) {
        _cleanup_(freep) char *name = NULL;
        const char *user = strempty(m->user), *group = strempty(m->group);
        int r;

        assert(h);

        r = archive_name(m, &name);
        if (r < 0)
                return r;
        if (!text_put(h->name, sizeof h->name, name))
                r = record_add_string(records, "path", name);
        if (r >= 0 && m->target && !text_put(h->linkname, sizeof h->linkname, m->target))
                r = record_add_string(records, "linkpath", m->target);
        /* The last byte of these two stays NUL, which some readers rely on. */
        if (r >= 0 && !text_put(h->user, sizeof h->user - 1, user))
                r = record_add_string(records, "uname", user);
        if (r >= 0 && !text_put(h->group, sizeof h->group - 1, group))
                r = record_add_string(records, "gname", group);
        return r;
}

static int numbers_add(UstarHeader *h, Buffer *records, const Member *m, uint64_t size) {
        uint64_t whole = m->mtime_sec < 0 ? UINT64_MAX : (uint64_t) m->mtime_sec;
        int r = 0;

        assert(h);

        (void) octal_put(h->mode, sizeof h->mode, m->mode & 07777);
        if (!octal_put(h->uid, sizeof h->uid, m->uid))
                r = record_add_number(records, "uid", m->uid);
        if (r >= 0 && !octal_put(h->gid, sizeof h->gid, m->gid))
                r = record_add_number(records, "gid", m->gid);
        if (r >= 0 && !octal_put(h->size, sizeof h->size, size))
                r = record_add_number(records, "size", size);
        if (r >= 0 && (!octal_put(h->mtime, sizeof h->mtime, whole) || m->mtime_nsec != 0))
                r = record_add_time(records, m->mtime_sec, m->mtime_nsec);
        (void) octal_put(h->major, sizeof h->major, m->major);
        (void) octal_put(h->minor, sizeof h->minor, m->minor);
        return r;
}

static int extended_add(Buffer *out, const Member *m, const Buffer *records) {
        UstarHeader h = { .type = PAX_TYPE_EXTENDED };
        const char *base = strrchr(strempty(m->path), '/');
        char name[sizeof h.name + 1];
        size_t from = out->size;
        int r;

        assert(records);

        if (records->size == 0)
                return 0;
        if (records->size > PAX_EXTENDED_MAX)
                return -E2BIG;
        (void) snprintf(name, sizeof name, "PaxHeaders/%.80s", base ? base + 1 : strempty(m->path));
        (void) text_put(h.name, sizeof h.name, name);
        (void) octal_put(h.mode, sizeof h.mode, 0644);
        (void) octal_put(h.uid, sizeof h.uid, 0);
        (void) octal_put(h.gid, sizeof h.gid, 0);
        (void) octal_put(h.size, sizeof h.size, records->size);
        (void) octal_put(h.mtime, sizeof h.mtime, 0);
        header_seal(&h);
        r = buffer_add(out, &h, sizeof h);
        if (r < 0)
                return r;
        r = buffer_add(out, records->data, records->size);
        if (r < 0)
                return r;
        return block_pad(out, from);
}

int pax_header(const Member *m, Buffer *out) {
        _cleanup_buffer_ Buffer records = BUFFER_NULL, map = BUFFER_NULL;
        UstarHeader h = {};
        int r;

        assert(m);
        assert(m->path);
        assert(out);
        assert(out->size % PAX_BLOCK == 0);

        h.type = member_type_flags[m->type];
        if (m->type == MEMBER_FILE && m->sparse) {
                r = sparse_map(m, &map);
                if (r < 0)
                        return r;
        }
        r = names_add(&h, &records, m);
        if (r < 0)
                return r;
        r = numbers_add(&h, &records, m, map.size + member_stored_size(m));
        if (r < 0)
                return r;
        r = sparse_add(&records, m);
        if (r < 0)
                return r;
        r = xattrs_add(&records, m);
        if (r < 0)
                return r;
        r = extended_add(out, m, &records);
        if (r < 0)
                return r;
        header_seal(&h);
        r = buffer_add(out, &h, sizeof h);
        if (r < 0)
                return r;
        return buffer_add(out, map.data, map.size);
}
