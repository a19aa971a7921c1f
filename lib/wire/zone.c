/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"
#include "wire/zone-rule.h"
#include "wire/zone.h"

#define ZONE_DIRECTORY "/usr/share/zoneinfo"
#define ZONE_LOCALTIME "/etc/localtime"
/* The largest files of the database have 250 changes and 3.5 KiB. */
#define ZONE_FILE_MAX (256U << 10)
#define ZONE_CHANGES_MAX 4096
#define ZONE_TYPES_MAX 256
/* RFC 8536 asks for offsets between -25:59:59 and 25:59:59. */
#define ZONE_OFFSET_MAX (26 * 3600)
/* And for no change before the Big Bang, which leaves room for sums. */
#define ZONE_TIME_MAX (INT64_C(1) << 60)

typedef struct ZoneTime {
        int64_t at;
        int32_t offset;
} ZoneTime;

struct Zone {
        int32_t first; /* before the first change */
        size_t n_changes;
        ZoneTime *changes;
        bool has_rule;
        ZoneRule rule; /* after the last change */
};

Zone *zone_free(Zone *z) {
        if (!z)
                return NULL;
        free(z->changes);
        return mfree(z);
}

typedef struct TzHeader {
        uint8_t version;
        uint32_t utc_count, std_count, leap_count, time_count, type_count, char_count;
        size_t time_size; /* of one time: 4 or 8 */
} TzHeader;

#define TZ_HEADER_SIZE 44

static uint32_t read_be32(const uint8_t *p) {
        return (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16 | (uint32_t) p[2] << 8 | p[3];
}

static int64_t read_time(const uint8_t *p, size_t size) {
        if (size == 4)
                return (int32_t) read_be32(p);
        return (int64_t) ((uint64_t) read_be32(p) << 32 | read_be32(p + 4));
}

static int header_parse(const uint8_t *p, size_t n, size_t time_size, TzHeader *ret) {
        TzHeader h = { .time_size = time_size };

        if (n < TZ_HEADER_SIZE || memcmp(p, "TZif", 4) != 0)
                return -EBADMSG;
        h.version = p[4];
        h.utc_count = read_be32(p + 20);
        h.std_count = read_be32(p + 24);
        h.leap_count = read_be32(p + 28);
        h.time_count = read_be32(p + 32);
        h.type_count = read_be32(p + 36);
        h.char_count = read_be32(p + 40);
        if (h.type_count == 0 || h.type_count > ZONE_TYPES_MAX || h.time_count > ZONE_CHANGES_MAX ||
            h.char_count > ZONE_FILE_MAX || h.leap_count > ZONE_CHANGES_MAX ||
            h.utc_count > ZONE_TYPES_MAX || h.std_count > ZONE_TYPES_MAX)
                return -EBADMSG;
        *ret = h;
        return 0;
}

/* Of the header and what follows it, up to the next header or the footer. */
static size_t block_size(const TzHeader *h) {
        return TZ_HEADER_SIZE + (size_t) h->time_count * (h->time_size + 1) + (size_t) h->type_count * 6 +
                        h->char_count + (size_t) h->leap_count * (h->time_size + 4) + h->std_count +
                        h->utc_count;
}

static int read_offset(const uint8_t *types, size_t i, int32_t *ret) {
        int32_t offset = (int32_t) read_be32(types + i * 6);

        if (offset <= -ZONE_OFFSET_MAX || offset >= ZONE_OFFSET_MAX)
                return -EBADMSG;
        *ret = offset;
        return 0;
}

static int read_block(Zone *z, const TzHeader *h, const uint8_t *p) {
        const uint8_t *times = p + TZ_HEADER_SIZE, *kinds = times + h->time_count * h->time_size;
        const uint8_t *types = kinds + h->time_count;
        int r;

        assert(z);

        r = read_offset(types, 0, &z->first);
        if (r < 0)
                return r;
        z->changes = new0(ZoneTime, MAX(h->time_count, 1u));
        if (!z->changes)
                return -ENOMEM;
        for (size_t i = 0; i < h->time_count; i++) {
                ZoneTime *c = z->changes + i;

                c->at = read_time(times + i * h->time_size, h->time_size);
                if (kinds[i] >= h->type_count || c->at < -ZONE_TIME_MAX || c->at > ZONE_TIME_MAX ||
                    (i > 0 && c->at <= c[-1].at))
                        return -EBADMSG;
                r = read_offset(types, kinds[i], &c->offset);
                if (r < 0)
                        return r;
        }
        z->n_changes = h->time_count;
        return 0;
}

/* A line feed, the rule, a line feed; an empty rule means that the last offset stays. */
static int read_footer(Zone *z, const uint8_t *p, size_t n) {
        const uint8_t *end;
        int r;

        assert(z);

        if (n < 2 || p[0] != '\n')
                return -EBADMSG;
        end = memchr(p + 1, '\n', n - 1);
        if (!end)
                return -EBADMSG;
        if (end == p + 1)
                return 0;
        r = zone_rule_parse((const char *) p + 1, (size_t) (end - p - 1), &z->rule);
        if (r < 0)
                return r;
        z->has_rule = true;
        return 0;
}

int zone_parse(const void *data, size_t n, Zone **ret) {
        _cleanup_(zone_freep) Zone *z = NULL;
        const uint8_t *p = data;
        TzHeader h;
        int r;

        assert(data || n == 0);
        assert(ret);

        r = header_parse(p, n, 4, &h);
        if (r < 0)
                return r;
        if (h.version >= '2') {
                if (block_size(&h) > n)
                        return -EBADMSG;
                n -= block_size(&h);
                p += block_size(&h);
                r = header_parse(p, n, 8, &h);
                if (r < 0)
                        return r;
        }
        if (block_size(&h) > n || h.leap_count > 0)
                return -EBADMSG;
        z = new0(Zone, 1);
        if (!z)
                return -ENOMEM;
        r = read_block(z, &h, p);
        if (r < 0)
                return r;
        if (h.version >= '2') {
                r = read_footer(z, p + block_size(&h), n - block_size(&h));
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(z);
        return 0;
}

bool zone_name_is_valid(const char *name) {
        size_t n;

        if (isempty(name))
                return false;
        n = strlen(name);
        if (n > ZONE_NAME_MAX || name[n - 1] == '/')
                return false;
        for (size_t i = 0; i < n; i++) {
                char c = name[i];
                bool starts = i == 0 || name[i - 1] == '/';
                bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');

                /* No name in the database begins with anything else, so that "..", "//" and "-x" are out. */
                if (starts ? !letter : !letter && !(c >= '0' && c <= '9') && !strchr("+-_/", c))
                        return false;
        }
        return true;
}

static int zone_new_utc(Zone **ret) {
        Zone *z = new0(Zone, 1);

        if (!z)
                return -ENOMEM;
        *ret = z;
        return 0;
}

static int zone_load(const char *path, Zone **ret) {
        _cleanup_(freep) char *data = NULL;
        size_t n;
        int r;

        r = read_file(AT_FDCWD, path, ZONE_FILE_MAX, &data, &n);
        if (r < 0)
                return r;
        return zone_parse(data, n, ret);
}

int zone_open_at(const char *directory, const char *name, Zone **ret, Failure *reterr_failure) {
        _cleanup_(freep) char *path = NULL;
        int r;

        assert(directory);
        assert(name);
        assert(ret);

        if (!zone_name_is_valid(name))
                return failure_set_field(
                                reterr_failure, -EINVAL, "TIMEZONE_INVALID", "schedule.timezone",
                                "This is not the name of a time zone; use one like Europe/Berlin or UTC");
        r = asprintf_safe(&path, "%s/%s", directory, name);
        if (r < 0)
                return r;
        r = zone_load(path, ret);
        if (r == -ENOENT && (streq(name, "UTC") || streq(name, "Etc/UTC")))
                return zone_new_utc(ret);
        if (r == -ENOMEM)
                return r;
        if (r == -ENOENT || r == -ENOTDIR || r == -EISDIR)
                return failure_set_field(
                                reterr_failure, -EINVAL, "TIMEZONE_INVALID", "schedule.timezone",
                                "There is no time zone '%s' on this machine; 'timedatectl list-timezones'"
                                " shows them",
                                name);
        if (r < 0)
                return failure_set_field(reterr_failure, -EINVAL, "TIMEZONE_INVALID", "schedule.timezone",
                                         "The time zone '%s' cannot be read from %s: %s", name, path,
                                         strerror(-r));
        return 0;
}

int zone_open(const char *name, Zone **ret, Failure *reterr_failure) {
        int r;

        assert(ret);

        if (!isempty(name))
                return zone_open_at(ZONE_DIRECTORY, name, ret, reterr_failure);
        r = zone_load(ZONE_LOCALTIME, ret);
        if (r < 0 && r != -ENOMEM)
                return zone_new_utc(ret);
        return r;
}

/* The number of changes at or before t. */
static size_t changes_before(const Zone *z, int64_t t) {
        size_t low = 0, high = z->n_changes;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (z->changes[middle].at <= t)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

ZoneSegment zone_segment(const Zone *z, int64_t t) {
        ZoneSegment segment = { INT64_MIN, INT64_MAX, 0 };
        size_t i;

        assert(z);

        i = changes_before(z, t);
        if (i == z->n_changes && z->has_rule) {
                segment = zone_rule_segment(&z->rule, t);
                if (i > 0)
                        segment.start = MAX(segment.start, z->changes[i - 1].at);
                return segment;
        }
        segment.offset = i > 0 ? z->changes[i - 1].offset : z->first;
        if (i > 0)
                segment.start = z->changes[i - 1].at;
        if (i < z->n_changes)
                segment.end = z->changes[i].at;
        return segment;
}
