/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>

#include "backint/line.h"
#include "backint/request.h"
#include "base/alloc.h"
#include "base/parse.h"
#include "base/text.h"

static const char *const backint_function_table[] = {
        [BACKINT_BACKUP] = "backup",
        [BACKINT_RESTORE] = "restore",
        [BACKINT_INQUIRE] = "inquire",
        [BACKINT_DELETE] = "delete",
};

DEFINE_STRING_TABLE(backint_function, BackintFunction);

static const char *const backint_keyword_table[] = {
        [BACKINT_PIPE] = "#PIPE",
        [BACKINT_FILE] = "#FILE",
        [BACKINT_EBID] = "#EBID",
        [BACKINT_NULL] = "#NULL",
};

DEFINE_STRING_TABLE(backint_keyword, BackintKeyword);

/* How many words may follow a keyword. */
typedef struct Shape {
        BackintFunction function;
        BackintKeyword keyword;
        size_t least, most;
} Shape;

static const Shape shapes[] = {
        { BACKINT_BACKUP, BACKINT_PIPE, 1, 2 },
        { BACKINT_BACKUP, BACKINT_FILE, 1, 2 },
        { BACKINT_RESTORE, BACKINT_EBID, 2, 3 },
        { BACKINT_RESTORE, BACKINT_NULL, 1, 2 },
        { BACKINT_INQUIRE, BACKINT_EBID, 1, 2 },
        { BACKINT_INQUIRE, BACKINT_NULL, 0, 1 },
        { BACKINT_DELETE, BACKINT_EBID, 2, 2 },
};

static const Shape *shape_of(BackintFunction function, BackintKeyword keyword) {
        for (size_t i = 0; i < ELEMENTSOF(shapes); i++)
                if (shapes[i].function == function && shapes[i].keyword == keyword)
                        return &shapes[i];
        return NULL;
}

static void request_done(BackintRequest *request) {
        free(request->ebid);
        free(request->name);
        free(request->destination);
}

void backint_input_done(BackintInput *input) {
        assert(input);

        for (size_t i = 0; i < input->n_requests; i++)
                request_done(&input->requests[i]);
        free(input->requests);
        *input = BACKINT_INPUT_NULL;
}

/* "backint 1.04": a major number, a dot, two digits (or one, "1.5"). What cannot be read is the oldest. */
static unsigned version_of(const char *text) {
        const char *p = startswith(text, "backint ");
        unsigned version;

        if (!p || p[0] < '1' || p[0] > '9' || p[1] != '.' || p[2] < '0' || p[2] > '9')
                return BACKINT_VERSION_OLDEST;
        version = (unsigned) (p[0] - '0') * 100 + (unsigned) (p[2] - '0') * 10;
        if (p[3] >= '0' && p[3] <= '9')
                version += (unsigned) (p[3] - '0');
        return CLAMP(version, BACKINT_VERSION_OLDEST, BACKINT_VERSION);
}

typedef struct Parsing {
        BackintFunction function;
        BackintInput *input;
        size_t allocated;
        size_t line;
        Failure *failure;
} Parsing;

static int refuse(const Parsing *p, const char *why) {
        return failure_set(p->failure, -EBADMSG, "BACKINT_INPUT", "Line %zu of the input file %s", p->line,
                           why);
}

static int room_for_request(Parsing *p) {
        BackintRequest *grown;
        size_t n = MAX((size_t) 16, 2 * p->allocated);

        if (p->input->n_requests == BACKINT_REQUESTS_MAX)
                return refuse(p, "is one request too many for one call");
        if (p->input->n_requests < p->allocated)
                return 0;
        grown = reallocarray(p->input->requests, n, sizeof *grown);
        if (!grown)
                return -ENOMEM;
        p->input->requests = grown;
        p->allocated = n;
        return 0;
}

/* Whether it is a name that can stand in an answer. */
static bool is_named(const char *word) {
        _cleanup_buffer_ Buffer line = BUFFER_NULL;

        return !word || (word[0] != 0 && backint_line_quote(&line, word) >= 0);
}

/* Words of a request, without its keyword; what it takes becomes NULL there. */
static int fill(const Parsing *p, BackintRequest *request, char **words) {
        char **next = words;
        uint64_t size;

        if (request->keyword == BACKINT_EBID) {
                request->ebid = TAKE_PTR(*next);
                next++;
        }
        if (*next) {
                request->name = TAKE_PTR(*next);
                next++;
        }
        if (*next && p->function != BACKINT_BACKUP)
                request->destination = TAKE_PTR(*next);
        else if (*next && parse_u64(*next, 0, UINT64_MAX, &size) < 0)
                return refuse(p, "says a size that is no number");
        if (!is_named(request->ebid) || !is_named(request->name) || !is_named(request->destination))
                return refuse(p, "has an empty name, or one that ends in a backslash");
        return 0;
}

static int add_request(Parsing *p, BackintKeyword keyword, char **words) {
        const Shape *shape = shape_of(p->function, keyword);
        size_t n = strv_length(words) - 1;
        BackintRequest request = { .keyword = keyword };
        int r;

        if (!shape)
                return refuse(p, "has a keyword that this function does not have");
        if (n < shape->least || n > shape->most)
                return refuse(p, "has too few words, or too many");
        r = room_for_request(p);
        if (r < 0)
                return r;
        /* What fill() took of the words is not freed with them. */
        r = fill(p, &request, words + 1);
        p->input->requests[p->input->n_requests++] = request;
        return r;
}

static int take_line(Parsing *p, const char *line, size_t n) {
        char **words = NULL;
        BackintKeyword keyword;
        size_t count;
        int r;

        if (n == 0 || line[0] != '#')
                return 0;
        if (n > BACKINT_LINE_MAX)
                return refuse(p, "is too long");
        r = backint_line_split(line, n, &words);
        if (r < 0)
                return r == -EINVAL ? refuse(p, "cannot be read: look at its quotation marks") : r;
        count = strv_length(words);
        keyword = backint_keyword_from_string(words[0]);
        if (keyword >= 0)
                r = add_request(p, keyword, words);
        else if (streq(words[0], "#SOFTWAREID") && count > 1)
                p->input->version = version_of(words[1]);
        for (size_t i = 0; i < count; i++)
                free(words[i]);
        free(words);
        return r;
}

int backint_input_parse(BackintFunction function, const char *data, size_t n, BackintInput *ret,
                        Failure *reterr_failure) {
        _cleanup_(backint_input_done) BackintInput input = BACKINT_INPUT_NULL;
        Parsing p = { .function = function, .input = &input, .failure = reterr_failure };
        int r;

        assert(function >= 0 && function < _BACKINT_FUNCTION_MAX);
        assert(data || n == 0);
        assert(ret);

        if (!utf8_is_valid(data, n))
                return failure_set(reterr_failure, -EBADMSG, "BACKINT_INPUT", "The input file is not UTF-8");
        for (size_t at = 0; at < n;) {
                const char *end = memchr(data + at, '\n', n - at);
                size_t length = end ? (size_t) (end - (data + at)) : n - at;

                p.line++;
                r = take_line(&p, data + at,
                              length > 0 && data[at + length - 1] == '\r' ? length - 1 : length);
                if (r < 0)
                        return r;
                at += length + 1;
        }
        *ret = input;
        input = BACKINT_INPUT_NULL;
        return 0;
}
