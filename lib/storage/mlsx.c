/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/text.h"
#include "storage/mlsx.h"

/* YYYYMMDDHHMMSS, in UTC, with a fraction or without; what is not of that form is not known. */
#define TIME_DIGITS 14

static int two_digits(const char *p) {
        return (p[0] - '0') * 10 + (p[1] - '0');
}

static usec_t read_time(const char *text) {
        struct tm tm = {};
        time_t t;

        if (strspn(text, "0123456789") != TIME_DIGITS ||
            (text[TIME_DIGITS] != 0 && text[TIME_DIGITS] != '.'))
                return 0;
        tm.tm_year = two_digits(text) * 100 + two_digits(text + 2) - 1900;
        tm.tm_mon = two_digits(text + 4) - 1;
        tm.tm_mday = two_digits(text + 6);
        tm.tm_hour = two_digits(text + 8);
        tm.tm_min = two_digits(text + 10);
        tm.tm_sec = two_digits(text + 12);
        if (tm.tm_mon < 0 || tm.tm_mon > 11 || tm.tm_mday < 1 || tm.tm_mday > 31)
                return 0;
        t = timegm(&tm);
        return t > 0 ? (usec_t) t * USEC_PER_SEC : 0;
}

static MlsxKind read_kind(const char *text) {
        static const struct {
                const char *text;
                MlsxKind kind;
        } kinds[] = {
                { "file", MLSX_FILE },
                { "dir", MLSX_DIRECTORY },
                { "cdir", MLSX_SELF },
        };

        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
                if (strcasecmp(text, kinds[i].text) == 0)
                        return kinds[i].kind;
        return MLSX_OTHER;
}

/* "size=3" */
static int read_fact(MlsxEntry *e, char *fact) {
        char *value = strchr(fact, '=');

        assert(e);

        if (!value)
                return -EBADMSG;
        *value++ = 0;
        if (strcasecmp(fact, "type") == 0)
                e->kind = read_kind(value);
        else if (strcasecmp(fact, "modify") == 0)
                e->modified = read_time(value);
        else if (strcasecmp(fact, "size") == 0) {
                if (parse_u64(value, 0, INT64_MAX, &e->size) < 0)
                        return -EBADMSG;
                e->has_size = true;
        }
        return 0;
}

static int read_line(char *line, MlsxFunc func, void *userdata) {
        char *name = strchr(line, ' '), *save = NULL;
        MlsxEntry e = {};

        assert(func);

        /* Each fact ends with ';', and a space stands before the name. */
        if (!name || name[1] == 0 || (name > line && name[-1] != ';'))
                return -EBADMSG;
        *name++ = 0;
        for (char *fact = strtok_r(line, ";", &save); fact; fact = strtok_r(NULL, ";", &save)) {
                int r = read_fact(&e, fact);

                if (r < 0)
                        return r;
        }
        e.name = name;
        return func(userdata, &e);
}

int mlsx_read(const void *data, size_t n, MlsxFunc func, void *userdata) {
        const char *p = data, *end = n > 0 ? p + n : p;

        assert(data || n == 0);

        while (p < end) {
                const char *newline = memchr(p, '\n', (size_t) (end - p));
                size_t length = (size_t) ((newline ?: end) - p);
                _cleanup_(freep) char *line = NULL;
                int r;

                if (length > MLSX_LINE_MAX || memchr(p, 0, length))
                        return -EBADMSG;
                line = memdup0(p, length);
                if (!line)
                        return -ENOMEM;
                p = newline ? newline + 1 : end;
                if (length > 0 && line[length - 1] == '\r')
                        line[--length] = 0;
                if (length == 0)
                        continue;
                r = read_line(line, func, userdata);
                if (r != 0)
                        return r;
        }
        return 0;
}
