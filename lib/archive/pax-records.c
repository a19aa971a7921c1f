/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>

#include "archive/pax-records.h"
#include "base/alloc.h"
#include "base/parse.h"
#include "base/text.h"

/* Xattrs of one member: the kernel's list of names is at most 64 KiB. */
#define XATTRS_MAX 4096

void pax_records_done(PaxRecords *r) {
        assert(r);

        free(r->sparse_name);
}

/* A value without NUL, as a string in place of *p. */
static int value_take(char **p, const char *value, size_t n) {
        char *copy;

        if (memchr(value, 0, n))
                return -EBADMSG;
        copy = memdup0(value, n);
        if (!copy)
                return -ENOMEM;
        free(*p);
        *p = copy;
        return 0;
}

static int value_number(const char *value, size_t n, uint64_t *ret) {
        _cleanup_(freep) char *text = NULL;
        int r;

        r = value_take(&text, value, n);
        if (r < 0)
                return r;
        return parse_u64(text, 0, INT64_MAX, ret) < 0 ? -EBADMSG : 0;
}

/* "-1.5": seconds with an optional fraction, digits beyond nanoseconds ignored. */
static int value_time(const char *value, size_t n, Member *m) {
        bool negative = n > 0 && value[0] == '-';
        const char *dot, *start = value + negative;
        size_t length = n - negative, whole;
        uint64_t sec;
        uint32_t nsec = 0, scale = 100000000;
        int r;

        assert(m);

        dot = memchr(start, '.', length);
        whole = dot ? (size_t) (dot - start) : length;
        r = value_number(start, whole, &sec);
        if (r < 0)
                return r;
        for (const char *p = dot ? dot + 1 : value + n; p < value + n; p++) {
                if (*p < '0' || *p > '9')
                        return -EBADMSG;
                nsec += (uint32_t) (*p - '0') * scale;
                scale /= 10;
        }
        m->mtime_sec = negative ? -(int64_t) sec : (int64_t) sec;
        m->mtime_nsec = nsec;
        if (negative && nsec > 0) {
                m->mtime_sec--;
                m->mtime_nsec = 1000000000U - nsec;
        }
        return 0;
}

static void xattr_name_decode(char *name) {
        char *to = name;

        for (const char *p = name; *p; to++) {
                if (startswith(p, "%25") || startswith(p, "%3D")) {
                        *to = p[1] == '2' ? '%' : '=';
                        p += 3;
                } else
                        *to = *p++;
        }
        *to = 0;
}

static int xattr_take(Member *m, const char *key, const char *value, size_t n) {
        Xattr *grown;
        _cleanup_(freep) char *name = NULL;
        _cleanup_(freep) void *copy = NULL;

        assert(m);

        if (m->n_xattrs >= XATTRS_MAX || *key == 0)
                return -EBADMSG;
        name = memdup0(key, strlen(key));
        copy = memdup0(value, n);
        if (!name || !copy)
                return -ENOMEM;
        xattr_name_decode(name);
        grown = reallocarray(m->xattrs, m->n_xattrs + 1, sizeof *grown);
        if (!grown)
                return -ENOMEM;
        m->xattrs = grown;
        m->xattrs[m->n_xattrs++] = (Xattr){ TAKE_PTR(name), TAKE_PTR(copy), n };
        return 0;
}

static int sparse_record(PaxRecords *records, const char *key, const char *value, size_t n) {
        assert(records);

        if (streq(key, "name"))
                return value_take(&records->sparse_name, value, n);
        if (streq(key, "realsize")) {
                records->has_realsize = true;
                return value_number(value, n, &records->realsize);
        }
        if (streq(key, "major") && n == 1)
                records->sparse_major = value[0];
        else if (streq(key, "minor") && n == 1)
                records->sparse_minor = value[0];
        else
                return -EBADMSG;
        return 0;
}

static int record_apply(PaxRecords *records, Member *m, const char *key, const char *value, size_t n) {
        assert(records);
        assert(m);

        const struct {
                const char *key;
                char **text;
        } texts[] = {
                { "path", &m->path },
                { "linkpath", &m->target },
                { "uname", &m->user },
                { "gname", &m->group },
                { PAX_ACL_ACCESS, &m->acl_access },
                { PAX_ACL_DEFAULT, &m->acl_default },
        };
        const struct {
                const char *key;
                bool *has;
                uint64_t *value;
        } numbers[] = {
                { "size", &records->has_size, &records->size },
                { "uid", &records->has_uid, &records->uid },
                { "gid", &records->has_gid, &records->gid },
        };
        const char *rest;

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                if (streq(key, texts[i].key))
                        return value_take(texts[i].text, value, n);
        for (size_t i = 0; i < ELEMENTSOF(numbers); i++)
                if (streq(key, numbers[i].key)) {
                        *numbers[i].has = true;
                        return value_number(value, n, numbers[i].value);
                }
        if (streq(key, "mtime")) {
                records->has_mtime = true;
                return value_time(value, n, m);
        }
        rest = startswith(key, PAX_XATTR_PREFIX);
        if (rest)
                return xattr_take(m, rest, value, n);
        rest = startswith(key, PAX_SPARSE_PREFIX);
        if (rest)
                return sparse_record(records, rest, value, n);
        return 0; /* times that we do not keep, comments */
}

/* One record at p: its length, or 0 where it is not well-formed. The key is NUL-terminated in place. */
static size_t record_split(char *p, size_t n, char **ret_key, char **ret_value, size_t *ret_value_size) {
        size_t length = 0, i = 0;
        char *equals;

        for (; i < n && i < 9 && p[i] >= '0' && p[i] <= '9'; i++)
                length = length * 10 + (size_t) (p[i] - '0');
        if (i == 0 || i >= n || p[i] != ' ' || length > n || length < i + 4 || p[length - 1] != '\n')
                return 0;
        equals = memchr(p + i + 1, '=', length - i - 2);
        if (!equals || equals == p + i + 1 || memchr(p + i + 1, 0, (size_t) (equals - p) - i - 1))
                return 0;
        *equals = 0;
        *ret_key = p + i + 1;
        *ret_value = equals + 1;
        *ret_value_size = (size_t) (p + length - 1 - (equals + 1));
        return length;
}

int pax_records_parse(char *data, size_t n, PaxRecords *records, Member *m) {
        assert(data);
        assert(records);
        assert(m);

        for (size_t at = 0; at < n;) {
                size_t length, value_size = 0;
                char *key = NULL, *value = NULL;
                int r;

                length = record_split(data + at, n - at, &key, &value, &value_size);
                if (length == 0)
                        return -EBADMSG;
                r = record_apply(records, m, key, value, value_size);
                if (r < 0)
                        return r;
                at += length;
        }
        return 0;
}
