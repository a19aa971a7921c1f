/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/text.h"
#include "database/mysql-cutter.h"
#include "database/mysql-snapshot.h"

/* Settings of the session, and the place in the binary log: far below. */
#define PREAMBLE_MAX (64U << 10)

struct MysqlSnapshot {
        char **names; /* the array alone is ours */
        MysqlDump *dump;
        MysqlCutter *cutter;
        Buffer preamble;
        size_t given;       /* of the preamble, in this section */
        MysqlCutPiece data; /* not yet given */
        MysqlCutPiece mark; /* of the section that comes next */
        bool marked, ended;
};

MysqlSnapshot *mysql_snapshot_free(MysqlSnapshot *s) {
        if (!s)
                return NULL;
        mysql_dump_free(s->dump);
        mysql_cutter_free(s->cutter);
        buffer_done(&s->preamble);
        free(s->names);
        return mfree(s);
}

static int invalid(Failure *reterr_failure) {
        return failure_set(reterr_failure, -EBADMSG, "DUMP_INVALID",
                           "The dump of all databases is not made up of one part for each of them in their "
                           "order, or has views that were not there when it began: run the task again");
}

/* Until there is data, a mark or the end: that of the dump has to be a good one. */
static int step(MysqlSnapshot *s, Failure *reterr_failure) {
        for (;;) {
                MysqlCutPiece piece;
                size_t room;
                ssize_t n;
                char *p;
                int r;

                r = mysql_cutter_next(s->cutter, &piece);
                if (r == -EBADMSG)
                        return invalid(reterr_failure);
                if (r < 0)
                        return r;
                switch ((MysqlCut) r) {
                case MYSQL_CUT_DATA:
                        s->data = piece;
                        return 0;
                case MYSQL_CUT_MARK:
                        s->mark = piece;
                        s->marked = true;
                        return 0;
                case MYSQL_CUT_END:
                        s->ended = true;
                        return 0;
                case MYSQL_CUT_WANTS:
                        break;
                }
                p = mysql_cutter_room(s->cutter, &room);
                n = mysql_dump_read(s->dump, p, room, reterr_failure);
                if (n < 0)
                        return (int) n;
                mysql_cutter_fed(s->cutter, (size_t) n);
        }
}

static int read_preamble(MysqlSnapshot *s, Failure *reterr_failure) {
        int r;

        s->preamble.limit = PREAMBLE_MAX;
        for (;;) {
                r = step(s, reterr_failure);
                if (r < 0 || s->marked)
                        return r;
                if (s->ended)
                        return invalid(reterr_failure);
                r = buffer_add(&s->preamble, s->data.data, s->data.size);
                s->data = (MysqlCutPiece){};
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        return invalid(reterr_failure);
        }
}

int mysql_snapshot_new(const MysqlDumpArgs *args, const MysqlDatabases *databases, MysqlSnapshot **ret,
                       Failure *reterr_failure) {
        _cleanup_(mysql_snapshot_freep) MysqlSnapshot *s = NULL;
        bool views = false;
        int r;

        assert(args);
        assert(databases && databases->n > 0);
        assert(ret);

        s = new0(MysqlSnapshot, 1);
        if (!s)
                return -ENOMEM;
        s->names = new0(char *, databases->n);
        if (!s->names)
                return -ENOMEM;
        for (size_t i = 0; i < databases->n; i++) {
                s->names[i] = databases->items[i].name;
                views = views || databases->items[i].views > 0;
        }
        r = mysql_cutter_new(s->names, databases->n, views, &s->cutter);
        if (r == -EINVAL)
                return failure_set(reterr_failure, r, "NAME_UNSUPPORTED",
                                   "The name of a database has control characters in it: leave it out, or "
                                   "back up these databases without one snapshot of all");
        if (r >= 0)
                r = mysql_dump_new(args, MYSQL_DUMP_TABLES, s->names, databases->n, &s->dump,
                                   reterr_failure);
        if (r >= 0)
                r = read_preamble(s, reterr_failure);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

int mysql_snapshot_next(MysqlSnapshot *s, size_t *ret_index, bool *ret_views, Failure *reterr_failure) {
        assert(s);
        assert(ret_index);
        assert(ret_views);

        if (s->ended)
                return 0;
        if (!s->marked)
                return invalid(reterr_failure);
        s->marked = false;
        s->given = 0;
        *ret_index = s->mark.index;
        *ret_views = s->mark.views;
        return 1;
}

ssize_t mysql_snapshot_read(MysqlSnapshot *s, void *p, size_t n, Failure *reterr_failure) {
        int r;

        assert(s);
        assert(p && n > 0);

        if (s->given < s->preamble.size) {
                n = MIN(n, s->preamble.size - s->given);
                memcpy(p, s->preamble.data + s->given, n);
                s->given += n;
                return (ssize_t) n;
        }
        if (s->data.size == 0 && !s->marked && !s->ended) {
                r = step(s, reterr_failure);
                if (r < 0)
                        return r;
        }
        n = MIN(n, s->data.size);
        if (n == 0)
                return 0;
        memcpy(p, s->data.data, n);
        s->data.data += n;
        s->data.size -= n;
        return (ssize_t) n;
}
