/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <unistd.h>

#include "archive/streams.h"
#include "base/alloc.h"
#include "base/text.h"
#include "tests/test.h"

#define ROOM 5

/* What a sink was given, as text: "<a {a.b=1:xyz} >" */
typedef struct Heard {
        Buffer text, content;
        char room[ROOM];
        int fail_at; /* so many advances give -EPIPE */
} Heard;

typedef struct Given {
        const char *path, *like, *content;
        bool sized;
        uint64_t size;
        int error; /* instead of the end */
} Given;

typedef struct Giving {
        const Given *given;
        size_t n, next;
        const char *at;
        const char *end;
} Giving;

static int heard_enter(void *userdata, const char *path) {
        Heard *h = userdata;

        return buffer_printf(&h->text, "<%s ", path);
}

static int heard_leave(void *userdata) {
        Heard *h = userdata;

        return buffer_add_string(&h->text, "> ");
}

static int heard_begin(void *userdata, Entry *entry, const FsStat *st) {
        Heard *h = userdata;

        if (S_ISREG(st->mode))
                CHECK_INT(entry->member.size, st->size);
        buffer_clear(&h->content);
        return buffer_add_string(&h->content, "");
}

static int heard_space(void *userdata, void **ret, size_t *ret_n) {
        Heard *h = userdata;

        *ret = h->room;
        *ret_n = ROOM;
        return 0;
}

static int heard_advance(void *userdata, size_t n) {
        Heard *h = userdata;

        if (h->fail_at > 0 && --h->fail_at == 0)
                return -EPIPE;
        return buffer_add(&h->content, h->room, n);
}

static int heard_end(void *userdata, const Entry *e) {
        Heard *h = userdata;

        if (e->member.type == MEMBER_DIRECTORY)
                return buffer_printf(&h->text, "%s%s/ ", e->parent ? "^" : "", e->member.path);
        CHECK_INT(e->member.size, h->content.size);
        return buffer_printf(&h->text, "%s=%.*s ", e->member.path, (int) h->content.size,
                             h->content.data);
}

static const WalkSink parts_sink = {
        .enter = heard_enter,
        .leave = heard_leave,
        .begin = heard_begin,
        .space = heard_space,
        .advance = heard_advance,
        .end = heard_end,
        .part_max = 4,
};

static int give_next(void *userdata, BackupStream *ret, Failure *reterr_failure) {
        Giving *g = userdata;
        const Given *given = g->given + g->next;

        if (g->next == g->n)
                return 0;
        g->next++;
        g->at = given->content;
        g->end = g->at + strlen(g->at);
        ret->path = strdup(given->path);
        ret->like = given->like ? strdup(given->like) : NULL;
        ret->mode = 0600;
        ret->sized = given->sized;
        ret->size = given->size;
        return 1;
}

static ssize_t give_read(void *userdata, void *p, size_t n, Failure *reterr_failure) {
        Giving *g = userdata;
        const Given *given = g->given + g->next - 1;

        if (g->at == g->end)
                return given->error == 0 ?
                                0 :
                                failure_set(reterr_failure, given->error, "TOOL", "The tool ended");
        n = MIN(n, (size_t) 3);
        n = MIN(n, (size_t) (g->end - g->at));
        memcpy(p, g->at, n);
        g->at += n;
        return (ssize_t) n;
}

/* Gives the result of the run, what the sink heard in *ret, the code of the failure in code. */
static int run(const Given *given, size_t n, bool parts, int fail_at, char **ret, char *code) {
        char *const paths[] = { (char *) "/db", (char *) "/tmp/x", NULL };
        Giving giving = { .given = given, .n = n };
        const BackupStreams streams = { &giving, give_next, give_read };
        const BackupArgs args = { .streams = &streams };
        WalkSink sink = parts_sink;
        Heard heard = { .fail_at = fail_at };
        Sources sources = SOURCES_NULL;
        Report report;
        int r;

        if (!parts)
                sink.part_max = 0;
        CHECK_OK(sources_init(&sources, paths, NULL));
        CHECK_OK(report_init(&report));
        r = streams_run(&args, &sources, &sink, &heard, &report);
        if (r >= 0) {
                CHECK_INT(report.files, n);
                CHECK_INT(report.errors_total, 0);
        }
        (void) strcpy(code, report.failure.code);
        CHECK_OK(buffer_add_string(&heard.text, ""));
        *ret = heard.text.data;
        buffer_done(&heard.content);
        report_done(&report);
        sources_done(&sources);
        return r;
}

static void check_run(const Given *given, size_t n, bool parts, int result, const char *expected,
                      const char *expected_code) {
        _cleanup_(freep) char *text = NULL;
        char code[FAILURE_CODE_MAX];

        CHECK_INT(run(given, n, parts, 0, &text, code), result);
        if (expected)
                CHECK_STR(text, expected);
        CHECK_STR(code, expected_code);
}

static void test_whole(void) {
        const Given given[] = { { .path = "db/a.sql", .content = "0123456789" },
                                { .path = "db/b/c", .content = "" },
                                { .path = "db/d", .content = "xyz" } };

        check_run(given, 3, /* parts= */ false, 0,
                  "< db/ <db db/a.sql=0123456789 db/b/ <db/b db/b/c= > db/d=xyz > > ", "");
}

static void test_parts(void) {
        const Given given[] = { { .path = "db/a", .content = "0123456789" },
                                { .path = "db/b", .content = "01234567" },
                                { .path = "db/c", .content = "" },
                                { .path = "db/d", .content = "0123456", .sized = true, .size = 7 } };

        check_run(given, 4, /* parts= */ true, 0,
                  "< db/ <db "
                  "db/a/ <db/a db/a/0000000000=0123 db/a/0000000001=4567 db/a/0000000002=89 > "
                  "db/b/ <db/b db/b/0000000000=0123 db/b/0000000001=4567 > "
                  "db/c/ <db/c db/c/0000000000= > "
                  "db/d=0123456 > > ",
                  "");
}

/* Owner and mode are those of what is on this host, and a directory that only leads to a source says so. */
static void test_like(void) {
        char name[] = "/tmp/x-XXXXXX";
        _cleanup_(freep) char *expected = NULL;
        int fd = mkstemp(name);

        CHECK(fd >= 0);
        CHECK_OK(asprintf_safe(&expected, "< ^tmp/ <tmp %s=abc > > ", name + 1));

        const Given given[] = {
                { .path = name + 1, .like = name, .content = "abc", .sized = true, .size = 3 }
        };

        check_run(given, 1, /* parts= */ true, 0, expected, "");
        (void) close(fd);
        (void) unlink(name);
        check_run(given, 1, /* parts= */ true, -ENOENT, NULL, "STREAM_FAILED");
}

/* A size that was not kept, a tool that failed at its end: never an end that looks well. */
static void test_failures(void) {
        static const struct {
                Given given;
                int result;
                const char *code;
        } table[] = {
                { { .path = "db/a", .content = "abc", .sized = true, .size = 4 }, -EPROTO, "STREAM_FAILED" },
                { { .path = "db/a", .content = "abc", .sized = true, .size = 2 }, -EPROTO, "STREAM_FAILED" },
                { { .path = "db/a", .content = "abc", .sized = true, .size = 3, .error = -EIO },
                  -EIO,
                  "TOOL" },
                { { .path = "db/a", .content = "abcdefgh", .error = -EIO }, -EIO, "TOOL" },
                { { .path = "db/a", .content = "", .error = -EIO }, -EIO, "TOOL" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                for (unsigned parts = 0; parts < 2; parts++)
                        check_run(&table[i].given, 1, parts, table[i].result, NULL, table[i].code);
}

/* What is wrong with the targets is not blamed on the stream. */
static void test_sink_fails(void) {
        const Given given = { .path = "db/a", .content = "0123456789" };
        _cleanup_(freep) char *text = NULL;
        char code[FAILURE_CODE_MAX];

        CHECK_INT(run(&given, 1, /* parts= */ false, 2, &text, code), -EPIPE);
        CHECK_STR(code, "");
}

static void test_order(void) {
        const Given given[] = { { .path = "db/b", .content = "" }, { .path = "db/a", .content = "" } };
        const Given after[] = { { .path = "db/b/c", .content = "" }, { .path = "db/b", .content = "" } };

        check_run(given, 2, /* parts= */ false, -EINVAL, NULL, "");
        check_run(after, 2, /* parts= */ false, -EINVAL, NULL, "");
}

int main(void) {
        RUN(test_whole);
        RUN(test_parts);
        RUN(test_like);
        RUN(test_failures);
        RUN(test_sink_fails);
        RUN(test_order);
        return 0;
}
