/* SPDX-License-Identifier: Apache-2.0 */

/* A stream of tar to members. Strict: what our writer does not write (global headers, GNU long names, old
 * formats, base-256 numbers) is refused, since an archive that has it was not written by us. */

#include <errno.h>
#include <stdlib.h>

#include "archive/pax-records.h"
#include "archive/pax.h"
#include "base/alloc.h"
#include "base/text.h"

struct PaxReader {
        PaxRead read;
        void *userdata;
        uint64_t position;
        const char *reason;

        /* The member that is being read. */
        uint64_t content; /* bytes of content not read yet */
        size_t padding;   /* zeros behind them */
        Extent *extents;  /* one for a plain file */
        size_t n_extents;
        size_t extent; /* the current one */
        uint64_t done; /* bytes of it that were read */
};

static int bad(PaxReader *r, const char *reason) {
        r->reason = reason;
        return -EBADMSG;
}

int pax_reader_new(PaxRead read, void *userdata, PaxReader **ret) {
        PaxReader *r;

        assert(read);
        assert(ret);

        r = new0(PaxReader, 1);
        if (!r)
                return -ENOMEM;
        r->read = read;
        r->userdata = userdata;
        *ret = r;
        return 0;
}

PaxReader *pax_reader_free(PaxReader *r) {
        if (!r)
                return NULL;
        free(r->extents);
        return mfree(r);
}

uint64_t pax_reader_position(const PaxReader *r) {
        assert(r);

        return r->position;
}

/* Reads exactly n bytes: 1, or 0 where the input ended before the first. */
static int input_read(PaxReader *r, void *buf, size_t n) {
        size_t done = 0;

        assert(r);

        while (done < n) {
                ssize_t k = r->read(r->userdata, (char *) buf + done, n - done);

                if (k < 0)
                        return (int) k;
                if (k == 0)
                        break;
                done += (size_t) k;
                r->position += (size_t) k;
        }
        if (done == n)
                return 1;
        return done == 0 ? 0 : bad(r, "the archive ends within a block");
}

static int input_need(PaxReader *r, void *buf, size_t n) {
        int k = input_read(r, buf, n);

        if (k < 0)
                return k;
        return k == 0 ? bad(r, "the archive ends within a member") : 0;
}

static int input_skip(PaxReader *r, uint64_t n) {
        char buf[32 * PAX_BLOCK];
        int k;

        while (n > 0) {
                size_t part = (size_t) MIN(n, (uint64_t) sizeof buf);

                k = input_need(r, buf, part);
                if (k < 0)
                        return k;
                n -= part;
        }
        return 0;
}

/* --- Fields and records ------------------------------------------------------------------------------- */

/* Octal digits up to a NUL or space; an empty field is 0. */
static int octal_parse(const char *field, size_t n, uint64_t *ret) {
        uint64_t value = 0;
        size_t i = 0;

        while (i < n && field[i] == ' ')
                i++;
        for (; i < n && field[i] != 0 && field[i] != ' '; i++) {
                if (field[i] < '0' || field[i] > '7' || value > UINT64_MAX >> 3)
                        return -EBADMSG;
                value = value << 3 | (uint64_t) (field[i] - '0');
        }
        *ret = value;
        return 0;
}

static char *field_dup(const char *field, size_t n) {
        return memdup0(field, strnlen(field, n));
}

static int extended_read(PaxReader *r, uint64_t size, PaxRecords *records, Member *m) {
        _cleanup_(freep) char *data = NULL;
        int k;

        if (size > PAX_EXTENDED_MAX)
                return bad(r, "an extended header is too large");
        data = malloc(size + 1);
        if (!data)
                return -ENOMEM;
        k = input_need(r, data, size);
        if (k < 0)
                return k;
        k = input_skip(r, pax_padding(size));
        if (k < 0)
                return k;
        k = pax_records_parse(data, size, records, m);
        return k == -EBADMSG ? bad(r, "a record of an extended header is not well-formed") : k;
}

/* --- Sparse maps -------------------------------------------------------------------------------------- */

/* Gives the next number of a map that is read block by block. */
typedef struct MapReader {
        PaxReader *r;
        char block[PAX_BLOCK];
        size_t at; /* PAX_BLOCK: a new block is needed */
} MapReader;

static int map_number(MapReader *map, uint64_t *ret) {
        PaxReader *r = map->r;
        uint64_t value = 0;
        int k;

        for (unsigned digits = 0;; digits++) {
                char c;

                if (map->at == PAX_BLOCK) {
                        if (r->content < PAX_BLOCK)
                                return bad(r, "a sparse map is cut short");
                        k = input_need(r, map->block, PAX_BLOCK);
                        if (k < 0)
                                return k;
                        r->content -= PAX_BLOCK;
                        map->at = 0;
                }
                c = map->block[map->at++];
                if (c == '\n' && digits > 0)
                        break;
                if (c < '0' || c > '9' || digits >= 19)
                        return bad(r, "a sparse map is not well-formed");
                value = value * 10 + (uint64_t) (c - '0');
        }
        *ret = value;
        return 0;
}

static int map_read(PaxReader *r, Member *m) {
        MapReader map = { .r = r, .at = PAX_BLOCK };
        uint64_t n = 0, end = 0, sum = 0;
        int k;

        assert(m);

        k = map_number(&map, &n);
        if (k < 0)
                return k;
        /* One more for the mark of a hole at the end. */
        if (n > PAX_EXTENTS_MAX + 1)
                return bad(r, "a sparse map is too long");
        m->extents = new0(Extent, n + 1);
        if (!m->extents)
                return -ENOMEM;
        for (uint64_t i = 0; i < n; i++) {
                Extent e = {};

                k = map_number(&map, &e.offset);
                if (k >= 0)
                        k = map_number(&map, &e.size);
                if (k < 0)
                        return k;
                if (e.offset < end || e.offset > m->size || e.size > m->size - e.offset)
                        return bad(r, "a sparse map is out of order or beyond the file");
                end = e.offset + e.size;
                sum += e.size;
                if (e.size > 0)
                        m->extents[m->n_extents++] = e;
        }
        return sum == r->content ? 0 : bad(r, "a sparse map does not fit its member");
}

/* --- Members ------------------------------------------------------------------------------------------ */

/* Takes '/' and "./" off the front and '/' off the end; false for what could lead elsewhere. */
static bool path_normalize(char *path) {
        char *p = path;
        size_t n;

        for (;;) {
                if (p[0] == '/')
                        p++;
                else if (p[0] == '.' && (p[1] == '/' || p[1] == 0))
                        p++;
                else
                        break;
        }
        n = strlen(p);
        while (n > 0 && p[n - 1] == '/')
                n--;
        memmove(path, p, n);
        path[n] = 0;
        for (p = path; *p;) {
                size_t length = strcspn(p, "/");

                if (length == 0 || (length == 1 && p[0] == '.') ||
                    (length == 2 && p[0] == '.' && p[1] == '.'))
                        return false;
                p += length;
                p += *p == '/';
        }
        return true;
}

static int type_from_flag(char flag, MemberType *ret) {
        static const char flags[] = "0123456";
        static const MemberType types[] = {
                MEMBER_FILE,
                MEMBER_HARDLINK,
                MEMBER_SYMLINK,
                MEMBER_CHARACTER,
                MEMBER_BLOCK,
                MEMBER_DIRECTORY,
                MEMBER_FIFO,
        };
        const char *p = flag ? strchr(flags, flag) : NULL;

        if (!p)
                return -EBADMSG;
        *ret = types[p - flags];
        return 0;
}

/* Fields of the header that no record replaced. */
static int header_numbers(const UstarHeader *h, PaxRecords *records, Member *m) {
        uint64_t mode = 0, mtime = 0, major = 0, minor = 0;

        assert(h);
        assert(records);
        assert(m);

        if (octal_parse(h->mode, sizeof h->mode, &mode) < 0 ||
            octal_parse(h->major, sizeof h->major, &major) < 0 ||
            octal_parse(h->minor, sizeof h->minor, &minor) < 0 ||
            (!records->has_uid && octal_parse(h->uid, sizeof h->uid, &records->uid) < 0) ||
            (!records->has_gid && octal_parse(h->gid, sizeof h->gid, &records->gid) < 0) ||
            (!records->has_size && octal_parse(h->size, sizeof h->size, &records->size) < 0) ||
            (!records->has_mtime && octal_parse(h->mtime, sizeof h->mtime, &mtime) < 0))
                return -EBADMSG;
        m->mode = (uint32_t) (mode & 07777);
        m->uid = records->uid;
        m->gid = records->gid;
        m->major = (uint32_t) major;
        m->minor = (uint32_t) minor;
        if (!records->has_mtime)
                m->mtime_sec = (int64_t) mtime;
        return 0;
}

static int header_texts(const UstarHeader *h, PaxRecords *records, Member *m) {
        assert(h);
        assert(records);
        assert(m);

        if (records->sparse_name) {
                free(m->path);
                m->path = TAKE_PTR(records->sparse_name);
        }
        if (!m->path && h->prefix[0]) {
                int r = asprintf_safe(&m->path, "%.*s/%.*s", (int) sizeof h->prefix, h->prefix,
                                      (int) sizeof h->name, h->name);

                if (r < 0)
                        return r;
        }
        if (!m->path)
                m->path = field_dup(h->name, sizeof h->name);
        if (!m->target && (m->type == MEMBER_SYMLINK || m->type == MEMBER_HARDLINK))
                m->target = field_dup(h->linkname, sizeof h->linkname);
        if (!m->user && h->user[0])
                m->user = field_dup(h->user, sizeof h->user);
        if (!m->group && h->group[0])
                m->group = field_dup(h->group, sizeof h->group);
        if (!m->path || (!m->target && m->type == MEMBER_SYMLINK))
                return -ENOMEM;
        return 0;
}

static int names_check(PaxReader *r, Member *m) {
        bool linked = m->type == MEMBER_HARDLINK;

        if (!path_normalize(m->path) || (m->path[0] == 0 && m->type != MEMBER_DIRECTORY))
                return bad(r, "a path is empty, or has '.', '..' or '//' in it");
        if (linked && (!m->target || !path_normalize(m->target) || m->target[0] == 0))
                return bad(r, "the target of a hard link is not a path");
        if (m->type == MEMBER_SYMLINK && m->target[0] == 0)
                return bad(r, "a symbolic link is empty");
        return 0;
}

static int content_start(PaxReader *r, const PaxRecords *records, Member *m) {
        bool file = m->type == MEMBER_FILE, sparse = records->sparse_major != 0;
        int k;

        assert(r);

        if (!file && (records->size > 0 || sparse))
                return bad(r, "a member that is no file has content");
        r->content = records->size;
        r->padding = pax_padding(records->size);
        m->size = records->size;
        m->sparse = sparse;
        if (!sparse) {
                m->n_extents = 0;
                r->n_extents = file ? 1 : 0;
                r->extents = new0(Extent, 1);
                if (!r->extents)
                        return -ENOMEM;
                r->extents[0].size = records->size;
                return 0;
        }
        if (records->sparse_major != '1' || records->sparse_minor != '0' || !records->has_realsize)
                return bad(r, "a sparse format that is not 1.0");
        m->size = records->realsize;
        k = map_read(r, m);
        if (k < 0)
                return k;
        r->n_extents = m->n_extents;
        r->extents = memdup0(m->extents, m->n_extents * sizeof(Extent));
        return r->extents ? 0 : -ENOMEM;
}

static bool block_is_zero(const void *p) {
        static const char zeros[PAX_BLOCK];

        return memcmp(p, zeros, PAX_BLOCK) == 0;
}

static int header_check(PaxReader *r, const UstarHeader *h) {
        uint64_t sum = 0;

        if (memcmp(h->magic, "ustar", 6) != 0 || memcmp(h->version, "00", 2) != 0)
                return bad(r, "not a header of a pax archive");
        if (octal_parse(h->checksum, sizeof h->checksum, &sum) < 0 || sum != ustar_checksum(h))
                return bad(r, "the checksum of a header is wrong");
        return 0;
}

/* The header of the next member, and before it the records of its extended header. 0 at the end. */
static int header_read(PaxReader *r, UstarHeader *h, PaxRecords *records, Member *m) {
        uint64_t size = 0;
        int k;

        assert(h);

        k = input_read(r, h, sizeof *h);
        if (k <= 0)
                return k;
        if (block_is_zero(h))
                return 0;
        k = header_check(r, h);
        if (k < 0)
                return k;
        if (h->type != PAX_TYPE_EXTENDED)
                return 1;
        if (octal_parse(h->size, sizeof h->size, &size) < 0)
                return bad(r, "the size of an extended header is wrong");
        k = extended_read(r, size, records, m);
        if (k < 0)
                return k;
        k = input_need(r, h, sizeof *h);
        if (k < 0)
                return k;
        k = header_check(r, h);
        if (k < 0)
                return k;
        return 1;
}

static int member_read(PaxReader *r, Member *m) {
        _cleanup_(pax_records_done) PaxRecords records = {};
        UstarHeader h;
        int k;

        assert(r);
        assert(m);

        k = input_skip(r, r->content + r->padding);
        if (k < 0)
                return k;
        r->content = r->padding = 0;
        r->extents = mfree(r->extents);
        r->n_extents = r->extent = 0;
        r->done = 0;

        k = header_read(r, &h, &records, m);
        if (k <= 0)
                return k;
        if (type_from_flag(h.type, &m->type) < 0)
                return bad(r, "a member of an unknown type");
        if (header_numbers(&h, &records, m) < 0)
                return bad(r, "a number in a header is not octal");
        k = header_texts(&h, &records, m);
        if (k < 0)
                return k;
        k = names_check(r, m);
        if (k < 0)
                return k;
        k = content_start(r, &records, m);
        return k < 0 ? k : 1;
}

int pax_reader_next(PaxReader *r, Member *ret, const char **reterr_reason) {
        _cleanup_(member_done) Member m = MEMBER_NULL;
        int k;

        assert(r);
        assert(ret);

        r->reason = NULL;
        k = member_read(r, &m);
        if (k < 0 && reterr_reason)
                *reterr_reason = r->reason ? r->reason : "the archive could not be read";
        if (k <= 0)
                return k;
        *ret = m;
        m = MEMBER_NULL;
        return 1;
}

ssize_t pax_reader_data(PaxReader *r, void *buf, size_t n, uint64_t *ret_offset) {
        const Extent *e;
        ssize_t k;

        assert(r);
        assert(buf);
        assert(ret_offset);

        while (r->extent < r->n_extents && r->done == r->extents[r->extent].size) {
                r->extent++;
                r->done = 0;
        }
        if (r->extent >= r->n_extents || n == 0)
                return 0;
        e = &r->extents[r->extent];
        k = r->read(r->userdata, buf, (size_t) MIN((uint64_t) n, e->size - r->done));
        if (k < 0)
                return k;
        if (k == 0)
                return bad(r, "the archive ends within a member");
        *ret_offset = e->offset + r->done;
        r->done += (size_t) k;
        r->content -= (size_t) k;
        r->position += (size_t) k;
        return k;
}
