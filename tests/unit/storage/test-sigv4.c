/* SPDX-License-Identifier: Apache-2.0 */

/* The test suite of AWS for Signature Version 4 (each folder a request with what is signed of it), and the
 * examples of the S3 API reference for bodies in chunks. */

#include <dirent.h>
#include <fcntl.h>
#include <strings.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"
#include "storage/sigv4.h"
#include "tests/test.h"
#include "wire/json.h"

#define FILE_MAX 65536

/* --- The suite ---------------------------------------------------------------------------------------- */

static char *file_of(int dirfd, const char *folder, const char *name) {
        _cleanup_(freep) char *path = NULL;
        char *text = NULL;
        size_t n;

        CHECK_OK(asprintf_safe(&path, "%s/%s", folder, name));
        CHECK_OK(read_file(dirfd, path, FILE_MAX, &text, &n));
        return text;
}

typedef struct Case {
        char *text; /* of the request; what follows points into it */
        SigV4Request q;
        SigV4Pair query[SIGV4_PAIRS_MAX], headers[SIGV4_PAIRS_MAX];
        const char *body;
        char hash[SHA256_HEX_SIZE], time[SIGV4_TIME_SIZE];
        SigV4Key key;
        json_t *context;
} Case;

static void unescape(char *s) {
        char *to = s;

        for (; *s; s++)
                if (*s == '%') {
                        char hex[3] = { s[1], s[2], 0 };

                        *to++ = (char) strtoul(hex, NULL, 16);
                        s += 2;
                } else
                        *to++ = *s;
        *to = 0;
}

static void read_query(Case *c, char *p) {
        while (p && *p) {
                char *next = strchr(p, '&'), *value;

                if (next)
                        *next++ = 0;
                value = strchr(p, '=');
                if (value)
                        *value++ = 0;
                unescape(p);
                if (value)
                        unescape(value);
                c->query[c->q.n_query++] = (SigV4Pair){ p, strempty(value) };
                p = next;
        }
        c->q.query = c->query;
}

static void read_line(Case *c, char *line) {
        char *path = strchr(line, ' '), *version, *query;

        CHECK(path);
        *path++ = 0;
        version = strstr(path, " HTTP/1.1");
        CHECK(version);
        *version = 0;
        query = strchr(path, '?');
        if (query)
                *query++ = 0;
        c->q.method = line;
        c->q.path = path;
        read_query(c, query);
}

static void add_header(Case *c, const char *name, const char *value) {
        CHECK(c->q.n_headers < SIGV4_PAIRS_MAX);
        c->headers[c->q.n_headers++] = (SigV4Pair){ name, value };
        c->q.headers = c->headers;
}

/* "Name:value" lines; one that begins with a space goes on with the value before. */
static void read_headers(Case *c, char *p) {
        while (p && *p && *p != '\n') {
                char *end = strchr(p, '\n'), *value = strchr(p, ':');

                while (end && (end[1] == ' ' || end[1] == '\t'))
                        end = strchr(end + 1, '\n');
                if (end)
                        *end++ = 0;
                CHECK(value);
                *value++ = 0;
                add_header(c, p, value);
                p = end;
        }
        c->body = p && *p == '\n' ? p + 1 : "";
}

static void case_read(Case *c, int dirfd, const char *folder) {
        _cleanup_(freep) char *text = file_of(dirfd, folder, "context.json");
        const json_t *credentials;
        const char *token;
        usec_t at;
        char *rest;

        *c = (Case){ .text = file_of(dirfd, folder, "request.txt") };
        CHECK_OK(json_parse_strict(text, strlen(text), 8, &c->context, NULL));
        rest = strchr(c->text, '\n');
        if (rest)
                *rest++ = 0;
        read_line(c, c->text);
        read_headers(c, rest);
        CHECK_OK(sha256_hex(c->body, strlen(c->body), c->hash));
        c->q.payload = c->hash;
        CHECK_OK(parse_rfc3339(json_string_value(json_object_get(c->context, "timestamp")), &at));
        sigv4_time(at, c->time);
        add_header(c, "X-Amz-Date", c->time);
        if (json_is_true(json_object_get(c->context, "sign_body")))
                add_header(c, "x-amz-content-sha256", c->hash);
        credentials = json_object_get(c->context, "credentials");
        token = json_string_value(json_object_get(credentials, "token"));
        if (token && !json_is_true(json_object_get(c->context, "omit_session_token")))
                add_header(c, "X-Amz-Security-Token", token);
        c->key = (SigV4Key){
                .access_key = json_string_value(json_object_get(credentials, "access_key_id")),
                .secret_key = json_string_value(json_object_get(credentials, "secret_access_key")),
                .region = json_string_value(json_object_get(c->context, "region")),
                .service = json_string_value(json_object_get(c->context, "service")),
        };
}

static void case_done(Case *c) {
        free(c->text);
        json_decref(c->context);
}

/* A service that is not S3 may want its path normalised; S3 never does, and this signs for S3. */
static bool is_for_others(const Case *c) {
        return json_is_true(json_object_get(c->context, "normalize")) &&
                        (strstr(c->q.path, "//") || strstr(c->q.path, "/."));
}

static void check_equal(const char *folder, const char *what, const char *got, const char *expected) {
        if (!streq(got, expected))
                TEST_FAIL("%s, %s:\n%s\nexpected:\n%s", folder, what, got, expected);
}

static bool check_case(int dirfd, const char *folder) {
        _cleanup_(freep) char *canonical = file_of(dirfd, folder, "header-canonical-request.txt"),
                              *to_sign = file_of(dirfd, folder, "header-string-to-sign.txt"),
                              *signature = file_of(dirfd, folder, "header-signature.txt"),
                              *signed_request = file_of(dirfd, folder, "header-signed-request.txt");
        _cleanup_buffer_ Buffer got = BUFFER_NULL, names = BUFFER_NULL, text = BUFFER_NULL;
        _cleanup_(case_done) Case c;
        _cleanup_(freep) char *value = NULL;
        SigV4Signature found;

        case_read(&c, dirfd, folder);
        if (is_for_others(&c))
                return false;
        CHECK_OK(sigv4_canonical_request(&c.q, &got, &names));
        check_equal(folder, "canonical request", got.data, canonical);
        CHECK_OK(sigv4_string_to_sign(&c.key, c.time, &got, &text));
        check_equal(folder, "string to sign", text.data, to_sign);
        CHECK_OK(sigv4_authorization(&c.key, c.time, &c.q, &value, found));
        check_equal(folder, "signature", found, signature);
        CHECK(strstr(signed_request, value));
        return true;
}

static void test_suite(int dirfd) {
        unsigned checked = 0, left = 0;
        struct dirent *entry;
        DIR *folder;

        folder = fdopendir(dup(dirfd));
        CHECK(folder);
        while ((entry = readdir(folder)))
                if (entry->d_name[0] != '.') {
                        if (check_case(dirfd, entry->d_name))
                                checked++;
                        else
                                left++;
                }
        closedir(folder);
        fprintf(stderr, "%u requests, %u of other services\n", checked, left);
        CHECK(checked >= 31 && left <= 7);
}

/* --- Chunks ------------------------------------------------------------------------------------------- */

#define EXAMPLE_TIME "20130524T000000Z"
static const SigV4Key example = {
        .access_key = "AKIAIOSFODNN7EXAMPLE",
        .secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        .region = "us-east-1",
        .service = "s3",
};

static void check_chunks(const char *payload, const SigV4Pair *more, const char *const expected[4],
                         const char *trailer) {
        SigV4Pair headers[] = { { "Host", "s3.amazonaws.com" },
                                { "x-amz-date", EXAMPLE_TIME },
                                { "x-amz-storage-class", "REDUCED_REDUNDANCY" },
                                { "x-amz-content-sha256", payload },
                                { "Content-Encoding", "aws-chunked" },
                                { "x-amz-decoded-content-length", "66560" },
                                more ? *more : (SigV4Pair){ "Content-Length", "66824" } };
        SigV4Request q = { .method = "PUT",
                           .path = "/examplebucket/chunkObject.txt",
                           .headers = headers,
                           .n_headers = ELEMENTSOF(headers),
                           .payload = payload };
        static const size_t sizes[] = { 65536, 1024, 0 };
        _cleanup_(freep) char *data = malloc(65536), *value = NULL;
        SigV4Signature last, next;

        CHECK(data);
        memset(data, 'a', 65536);
        CHECK_OK(sigv4_authorization(&example, EXAMPLE_TIME, &q, &value, last));
        CHECK_STR(last, expected[0]);
        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                CHECK_OK(sigv4_chunk(&example, EXAMPLE_TIME, last, data, sizes[i], next));
                CHECK_STR(next, expected[i + 1]);
                memcpy(last, next, sizeof last);
        }
        if (!trailer)
                return;
        CHECK_OK(sigv4_trailer(&example, EXAMPLE_TIME, last, "x-amz-checksum-crc32c:sOO8/Q==\n", next));
        CHECK_STR(next, trailer);
}

static void test_chunks(void) {
        static const char *const plain[] = {
                "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
                "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
                "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
                "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
        };
        static const char *const trailing[] = {
                "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
                "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
                "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
                "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
        };
        const SigV4Pair trailer = { "x-amz-trailer", "x-amz-checksum-crc32c" };

        check_chunks("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", NULL, plain, NULL);
        check_chunks(SIGV4_PAYLOAD_TRAILER, &trailer, trailing,
                     "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435");
}

static void test_bounds(void) {
        SigV4Pair many[SIGV4_PAIRS_MAX + 1];
        char *text = NULL;

        for (size_t i = 0; i < ELEMENTSOF(many); i++)
                many[i] = (SigV4Pair){ "a", "b" };
        CHECK_INT(sigv4_query(many, ELEMENTSOF(many), &text), -E2BIG);
        CHECK_OK(sigv4_query(NULL, 0, &text));
        CHECK_STR(text, "");
        free(text);
}

int main(void) {
        _cleanup_(freep) char *path = NULL;
        const char *data = getenv("BACKUPX_TEST_DATA");
        int dirfd;

        RUN(test_chunks);
        RUN(test_bounds);
        CHECK_OK(asprintf_safe(&path, "%s/aws-sigv4", isempty(data) ? TEST_DATA_DEFAULT : data));
        dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dirfd < 0) {
                printf("no test suite of Signature Version 4 in %s (set BACKUPX_TEST_DATA)\n", path);
                return TEST_SKIP;
        }
        fprintf(stderr, "# test_suite\n");
        test_suite(dirfd);
        (void) close(dirfd);
        return EXIT_SUCCESS;
}
