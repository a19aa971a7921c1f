/* SPDX-License-Identifier: Apache-2.0 */

/* A dump of several databases, cut: how it comes in makes no difference, nothing is lost and nothing is
 * added. The first byte says in which pieces it is fed. */

#include "base/alloc.h"
#include "base/buffer.h"
#include "database/mysql-cutter.h"
#include "tests/test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *const names[] = { (char *) "a", (char *) "b`", (char *) "c" };

/* Data and marks; the size of all is that of what was cut. */
static int cut(const uint8_t *data, size_t size, size_t piece_size, Buffer *ret) {
        _cleanup_(mysql_cutter_freep) MysqlCutter *c = NULL;
        size_t at = 0, marks = 0;

        CHECK_OK(mysql_cutter_new(names, ELEMENTSOF(names), size % 2 == 0, &c));
        for (;;) {
                MysqlCutPiece piece;
                size_t room, n;
                char *p;
                int r = mysql_cutter_next(c, &piece);

                switch (r) {
                case MYSQL_CUT_DATA:
                        CHECK_OK(buffer_add(ret, piece.data, piece.size));
                        break;
                case MYSQL_CUT_MARK:
                        CHECK_INT(piece.index, marks % ELEMENTSOF(names));
                        CHECK(piece.views == (marks >= ELEMENTSOF(names)));
                        CHECK_OK(buffer_printf(ret,
                                               "\n--\n-- Current Database: `%s%s`\n--\n\nUSE `%s%s`;\n",
                                               names[piece.index], piece.index == 1 ? "`" : "",
                                               names[piece.index], piece.index == 1 ? "`" : ""));
                        marks++;
                        break;
                case MYSQL_CUT_WANTS:
                        p = mysql_cutter_room(c, &room);
                        n = MIN(MIN(room, piece_size), size - at);
                        if (n > 0)
                                memcpy(p, data + at, n);
                        mysql_cutter_fed(c, n);
                        at += n;
                        break;
                default:
                        return r;
                }
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_buffer_ Buffer one = BUFFER_NULL, all = BUFFER_NULL;
        int r;

        if (size < 1)
                return 0;
        r = cut(data + 1, size - 1, 1 + data[0] % 97, &one);
        CHECK(r == MYSQL_CUT_END || r == -EBADMSG);
        CHECK_INT(cut(data + 1, size - 1, SIZE_MAX, &all), r);
        if (r != MYSQL_CUT_END)
                return 0;
        CHECK_INT(one.size, size - 1);
        CHECK_INT(all.size, size - 1);
        CHECK(memcmp(one.data, data + 1, one.size) == 0);
        CHECK(memcmp(all.data, data + 1, all.size) == 0);
        return 0;
}
