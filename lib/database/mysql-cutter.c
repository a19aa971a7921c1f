/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "database/mysql-cutter.h"

/* How every mark begins. */
#define MARK "\n--\n-- Current Database: `"
/* More than the longest mark, so that a whole one always fits. */
#define CUTTER_SIZE (64U << 10)

struct MysqlCutter {
        char *const *names; /* borrowed */
        size_t n_names;
        size_t n_marks; /* that may come: of one round, or of two */
        size_t next;    /* mark */
        Buffer mark;    /* its text, once it is looked for */
        bool ended;
        size_t begin, end; /* of what is not yet given */
        char bytes[CUTTER_SIZE];
};

MysqlCutter *mysql_cutter_free(MysqlCutter *c) {
        if (!c)
                return NULL;
        buffer_done(&c->mark);
        return mfree(c);
}

/* Dumps print control characters in a comment otherwise than in a statement. */
bool mysql_cutter_knows(const char *name) {
        size_t n;

        assert(name);

        n = strlen(name);
        if (n == 0 || n > MYSQL_CUTTER_NAME_MAX)
                return false;
        for (const char *p = name; *p; p++)
                if ((unsigned char) *p < ' ' || *p == 0x7f)
                        return false;
        return true;
}

int mysql_cutter_new(char *const *names, size_t n, bool views, MysqlCutter **ret) {
        MysqlCutter *c;

        assert(names && n > 0);
        assert(ret);

        for (size_t i = 0; i < n; i++)
                if (!mysql_cutter_knows(names[i]))
                        return -EINVAL;
        c = new0(MysqlCutter, 1);
        if (!c)
                return -ENOMEM;
        c->names = names;
        c->n_names = n;
        c->n_marks = views ? 2 * n : n;
        *ret = c;
        return 0;
}

char *mysql_cutter_room(MysqlCutter *c, size_t *ret_size) {
        assert(c);
        assert(!c->ended);
        assert(ret_size);

        memmove(c->bytes, c->bytes + c->begin, c->end - c->begin);
        c->end -= c->begin;
        c->begin = 0;
        *ret_size = CUTTER_SIZE - c->end;
        return c->bytes + c->end;
}

void mysql_cutter_fed(MysqlCutter *c, size_t n) {
        assert(c);
        assert(n <= CUTTER_SIZE - c->end);

        c->end += n;
        c->ended = n == 0;
}

static int add_quoted(Buffer *b, const char *name) {
        int r = 0;

        for (const char *p = name; r >= 0 && *p; p++)
                r = buffer_add(b, *p == '`' ? "``" : p, *p == '`' ? 2 : 1);
        return r;
}

/* The text of the mark that has to come. */
static int make_mark(MysqlCutter *c) {
        const char *name;
        int r;

        assert(c);

        if (c->mark.size > 0)
                return 0;
        name = c->names[c->next % c->n_names];
        r = buffer_add_string(&c->mark, MARK);
        if (r >= 0)
                r = add_quoted(&c->mark, name);
        if (r >= 0)
                r = buffer_add_string(&c->mark, "`\n--\n\nUSE `");
        if (r >= 0)
                r = add_quoted(&c->mark, name);
        return r < 0 ? r : buffer_add_string(&c->mark, "`;\n");
}

static int give(MysqlCutter *c, size_t n, MysqlCutPiece *ret) {
        ret->data = c->bytes + c->begin;
        ret->size = n;
        c->begin += n;
        return MYSQL_CUT_DATA;
}

static int want(const MysqlCutter *c) {
        return c->ended || c->end - c->begin == CUTTER_SIZE ? -EBADMSG : (int) MYSQL_CUT_WANTS;
}

/* It begins like a mark, and is not the one that has to come. Within a name backticks come in pairs, while
 * those that begin the name of a mark are one more: somebody gave an odd name to a table of his. */
static int take_other(MysqlCutter *c, MysqlCutPiece *ret) {
        size_t at = c->begin + STRLEN(MARK) - 1, n = 0;

        while (at + n < c->end && c->bytes[at + n] == '`')
                n++;
        if (at + n == c->end)
                return want(c);
        return n % 2 == 0 ? give(c, 1, ret) : -EBADMSG;
}

/* What is left begins like a mark. */
static int take_mark(MysqlCutter *c, MysqlCutPiece *ret) {
        size_t size;
        int r;

        assert(c);

        if (c->next == c->n_marks)
                return take_other(c, ret);
        r = make_mark(c);
        if (r < 0)
                return r;
        size = MIN(c->end - c->begin, c->mark.size);
        if (memcmp(c->bytes + c->begin, c->mark.data, size) != 0)
                return take_other(c, ret);
        if (size < c->mark.size)
                return want(c);
        c->begin += size;
        buffer_clear(&c->mark);
        ret->index = c->next % c->n_names;
        ret->views = c->next >= c->n_names;
        c->next++;
        return MYSQL_CUT_MARK;
}

int mysql_cutter_next(MysqlCutter *c, MysqlCutPiece *ret) {
        const char *mark;
        size_t left, keep;

        assert(c);
        assert(ret);

        *ret = (MysqlCutPiece){};
        left = c->end - c->begin;
        mark = memmem(c->bytes + c->begin, left, MARK, STRLEN(MARK));
        if (mark == c->bytes + c->begin)
                return take_mark(c, ret);
        if (mark)
                return give(c, (size_t) (mark - c->bytes) - c->begin, ret);
        /* A mark may have begun. */
        keep = c->ended ? 0 : STRLEN(MARK) - 1;
        if (left > keep)
                return give(c, left - keep, ret);
        if (!c->ended)
                return MYSQL_CUT_WANTS;
        return c->next == c->n_names || c->next == 2 * c->n_names ? (int) MYSQL_CUT_END : -EBADMSG;
}
