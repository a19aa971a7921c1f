/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "storage/mlsx.h"
#include "tests/test.h"

static const char proftpd[] =
                "modify=20261123083743;perm=flcdmpe;type=cdir;unique=FE03U1;UNIX.mode=0755; .\r\n"
                "modify=20261123083743;perm=flcdmpe;type=pdir;unique=FE03U1; ..\r\n"
                "modify=20261123083743;perm=adfrw;size=12345;type=file;unique=FE03U2; a  b;c=d\r\n"
                "modify=20261123083743.250;perm=flcdmpe;type=dir;unique=FE03U3; sub\r\n";

typedef struct Seen {
        unsigned n;
        char *names[8];
        MlsxEntry entries[8];
} Seen;

static int on_entry(void *userdata, const MlsxEntry *e) {
        Seen *s = userdata;

        CHECK(s->n < ELEMENTSOF(s->names));
        s->names[s->n] = strdup(e->name);
        CHECK(s->names[s->n]);
        s->entries[s->n++] = *e;
        return 0;
}

static void seen_done(Seen *s) {
        for (unsigned i = 0; i < s->n; i++)
                free(s->names[i]);
}

static void test_list(void) {
        _cleanup_(seen_done) Seen s = {};

        CHECK_OK(mlsx_read(proftpd, strlen(proftpd), on_entry, &s));
        CHECK_INT(s.n, 4);
        CHECK_INT(s.entries[0].kind, MLSX_SELF);
        CHECK_INT(s.entries[1].kind, MLSX_OTHER);
        CHECK_STR(s.names[2], "a  b;c=d");
        CHECK_INT(s.entries[2].kind, MLSX_FILE);
        CHECK(s.entries[2].has_size);
        CHECK_INT(s.entries[2].size, 12345);
        CHECK_INT(s.entries[2].modified, UINT64_C(1795423063) * USEC_PER_SEC);
        CHECK_STR(s.names[3], "sub");
        CHECK_INT(s.entries[3].kind, MLSX_DIRECTORY);
        CHECK(!s.entries[3].has_size);
        CHECK_INT(s.entries[3].modified, UINT64_C(1795423063) * USEC_PER_SEC);
}

/* What the standard leaves to servers: case, order, facts that are missing or unknown, the end of lines. */
static void test_forms(void) {
        static const char text[] = "TYPE=File;SIZE=1;x.y=; a\n"
                                   " b\n"
                                   "\r\n"
                                   "Type=OS.unix=slink:/etc;Size=7; c\n"
                                   "modify=yesterday;type=file; d\n"
                                   "modify=20261323083743;type=dir; e";
        _cleanup_(seen_done) Seen s = {};

        CHECK_OK(mlsx_read(text, strlen(text), on_entry, &s));
        CHECK_INT(s.n, 5);
        CHECK_INT(s.entries[0].kind, MLSX_FILE);
        CHECK_INT(s.entries[0].size, 1);
        CHECK_STR(s.names[1], "b");
        CHECK_INT(s.entries[1].kind, MLSX_OTHER);
        CHECK_INT(s.entries[2].kind, MLSX_OTHER);
        CHECK_INT(s.entries[3].modified, 0);
        CHECK(!s.entries[3].has_size);
        CHECK_INT(s.entries[4].modified, 0);
        CHECK_STR(s.names[4], "e");
        CHECK_OK(mlsx_read(NULL, 0, on_entry, &s));
        CHECK_INT(s.n, 5);
}

static int stop(void *userdata, const MlsxEntry *e) {
        ++*(unsigned *) userdata;
        return 7;
}

static void test_stopped(void) {
        unsigned n = 0;

        CHECK_INT(mlsx_read(proftpd, strlen(proftpd), stop, &n), 7);
        CHECK_INT(n, 1);
}

/* What has another form is no list. */
static void test_refused(void) {
        static const char *const texts[] = {
                "type=file;size=3",
                "type=file;size=3; ",
                "type=file;size=3 x",
                "type=file;size=; x",
                "type=file;size=-1; x",
                "type=file;size=9223372036854775808; x",
                "type; x",
                "-rw-r--r-- 1 0 0 3 Nov 23 08:37 x",
                "total 0",
        };
        _cleanup_(freep) char *line = malloc(MLSX_LINE_MAX + 2);
        unsigned n = 0;

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                CHECK_INT(mlsx_read(texts[i], strlen(texts[i]), stop, &n), -EBADMSG);
                CHECK_INT(n, 0);
        }
        CHECK_INT(mlsx_read(" a\0b", 4, stop, &n), -EBADMSG);
        CHECK(line);
        memset(line, 'x', MLSX_LINE_MAX + 1);
        line[0] = ' ';
        CHECK_INT(mlsx_read(line, MLSX_LINE_MAX + 1, stop, &n), -EBADMSG);
        CHECK_INT(n, 0);
        CHECK_INT(mlsx_read(line, MLSX_LINE_MAX, stop, &n), 7);
}

int main(void) {
        RUN(test_list);
        RUN(test_forms);
        RUN(test_stopped);
        RUN(test_refused);
        return 0;
}
