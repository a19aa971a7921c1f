/* SPDX-License-Identifier: Apache-2.0 */

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/text.h"
#include "database/mysql-cutter.h"
#include "tests/test.h"

#define MARK(name) "\n--\n-- Current Database: `" name "`\n--\n\nUSE `" name "`;\n"

/* Of the name of a table, and of a comment. */
#define QUOTED "\n--\n-- Current Database: ``b``\n--\n\nUSE ``b``;\n"
#define BARE "\n--\n-- Current Database: x"

static char *const names[] = { (char *) "a", (char *) "b `c" };

/* What comes out when the dump is fed in pieces of this size: data as it is, marks as "<i>" or "<i views>".
 * NULL: it is refused. */
static char *cut(const char *dump, size_t size, bool views, size_t piece_size) {
        _cleanup_(mysql_cutter_freep) MysqlCutter *c = NULL;
        _cleanup_buffer_ Buffer out = BUFFER_NULL;
        size_t at = 0;

        CHECK_OK(mysql_cutter_new(names, ELEMENTSOF(names), views, &c));
        CHECK_OK(buffer_add_string(&out, ""));
        for (;;) {
                MysqlCutPiece piece;
                size_t room, n;
                char *p;
                int r = mysql_cutter_next(c, &piece);

                if (r == -EBADMSG)
                        return NULL;
                CHECK(r >= 0);
                if (r == MYSQL_CUT_END)
                        return buffer_take(&out);
                if (r == MYSQL_CUT_DATA) {
                        CHECK(piece.size > 0);
                        CHECK_OK(buffer_add(&out, piece.data, piece.size));
                        continue;
                }
                if (r == MYSQL_CUT_MARK) {
                        CHECK_OK(buffer_printf(&out, "<%zu%s>", piece.index, piece.views ? " views" : ""));
                        continue;
                }
                p = mysql_cutter_room(c, &room);
                CHECK(room > 0);
                n = MIN(MIN(room, piece_size), size - at);
                memcpy(p, dump + at, n);
                mysql_cutter_fed(c, n);
                at += n;
        }
}

static void test_cuts(void) {
        static const struct {
                const char *dump;
                bool views;
                const char *out;
        } table[] = {
                { "head" MARK("a") "A" MARK("b ``c") "B", false, "head<0>A<1>B" },
                { "head" MARK("a") "A" MARK("b ``c") "B", true, "head<0>A<1>B" },
                { MARK("a") MARK("b ``c"), false, "<0><1>" },
                { "h" MARK("a") "A" MARK("b ``c") "B" MARK("a") "V" MARK("b ``c") "W\n", true,
                  "h<0>A<1>B<0 views>V<1 views>W\n" },
                /* Views that nobody knew of, too few, too many, in another order, of others. */
                { "h" MARK("a") "A" MARK("b ``c") "B" MARK("a") "V" MARK("b ``c") "W\n", false, NULL },
                { "h" MARK("a") "A" MARK("b ``c") "B" MARK("a") "V", true, NULL },
                { "h" MARK("a") MARK("b ``c") MARK("a") MARK("b ``c") MARK("a"), true, NULL },
                { "h" MARK("a") "A", false, NULL },
                { "h" MARK("b ``c") "B" MARK("a") "A", false, NULL },
                { "h" MARK("a") "A" MARK("d") "D", false, NULL },
                { "h" MARK("a") MARK("a") "A" MARK("b ``c"), true, NULL },
                { "h" MARK("a") MARK("b ``c") MARK("``b"), true, NULL },
                { "", false, NULL },
                { "only a head", true, NULL },
                /* One that is not whole, or says two things. */
                { "h" MARK("a") "A\n--\n-- Current Database: `b ``c`\n--\n", false, NULL },
                { "h" MARK("a") "A\n--\n-- Current Database: `b ``c`\n--\n\nUSE `a`;\n", false, NULL },
                { "h" MARK("a") "A\n--\n-- Current Database: `b `c`\n--\n\nUSE `b `c`;\n", false, NULL },
                /* What only looks like one. */
                { "-- Current Database: `a`" MARK("a") QUOTED MARK("b ``c") "\n--" BARE, false,
                  "-- Current Database: `a`<0>" QUOTED "<1>\n--" BARE },
                { "\n--\n\n--" MARK("a") "\n--" MARK("b ``c") "\n--\n-- Current Database: ", false,
                  "\n--\n\n--<0>\n--<1>\n--\n-- Current Database: " },
        };
        static const size_t sizes[] = { 1, 2, 3, 7, 26, 64, 100000 };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                for (size_t k = 0; k < ELEMENTSOF(sizes); k++) {
                        const char *dump = table[i].dump;
                        _cleanup_(freep) char *out = NULL;

                        out = cut(dump, strlen(dump), table[i].views, sizes[k]);
                        if (!streq_ptr(out, table[i].out))
                                TEST_FAIL("%zu by %zu: %s", i, sizes[k], strempty(out));
                }
}

/* Marks at every place of the cutter's own buffer. */
static void test_long(void) {
        enum {
                SIZE = 70000
        };
        _cleanup_(freep) char *dump = malloc(SIZE + 200);

        memset(dump, 'x', SIZE);
        for (size_t shift = 0; shift < 120; shift++) {
                size_t head = 65536 - 60 + shift, size;
                _cleanup_(freep) char *out = NULL;

                memset(dump, '-', head);
                size = head + (size_t) sprintf(dump + head, "%s", MARK("a") "A" MARK("b ``c") "B");
                out = cut(dump, size, false, SIZE);
                CHECK(out && strlen(out) == head + strlen("<0>A<1>B"));
                CHECK_STR(out + head, "<0>A<1>B");
        }
}

static void test_names(void) {
        char *const newline[] = { (char *) "a\nb" }, *const empty[] = { (char *) "" };
        _cleanup_(freep) char *longest = malloc(MYSQL_CUTTER_NAME_MAX + 2);
        _cleanup_(mysql_cutter_freep) MysqlCutter *c = NULL;

        CHECK_INT(mysql_cutter_new(newline, 1, false, &c), -EINVAL);
        CHECK_INT(mysql_cutter_new(empty, 1, false, &c), -EINVAL);
        memset(longest, '`', MYSQL_CUTTER_NAME_MAX + 1);
        longest[MYSQL_CUTTER_NAME_MAX + 1] = 0;
        CHECK_INT(mysql_cutter_new(&longest, 1, false, &c), -EINVAL);
        longest[MYSQL_CUTTER_NAME_MAX] = 0;
        CHECK_OK(mysql_cutter_new(&longest, 1, false, &c));
        CHECK(mysql_cutter_knows(longest));
        CHECK(mysql_cutter_knows("ü `'\""));
        CHECK(!mysql_cutter_knows("a\tb"));
        CHECK(!mysql_cutter_knows("a\x7f"));
        CHECK(!mysql_cutter_knows(""));
}

int main(void) {
        RUN(test_cuts);
        RUN(test_long);
        RUN(test_names);
        return EXIT_SUCCESS;
}
