/* SPDX-License-Identifier: Apache-2.0 */

/* Where a target of type azure is, what is signed for it, and what answers mean. Nothing is sent. */

#include <errno.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"
#include "storage/azure.h"
#include "tests/test.h"

/* The emulator's, which everybody knows. */
#define KNOWN_KEY "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

static Storage *open_target(const char *config, const char *secrets, Failure *failure) {
        _cleanup_json_ json_t *c = NULL, *s = NULL;
        Storage *storage = NULL;

        CHECK_OK(json_parse_strict(config, strlen(config), 4, &c, NULL));
        CHECK_OK(json_parse_strict(secrets, strlen(secrets), 4, &s, NULL));
        if (storage_open(&(StorageConfig){ .id = 1, .type = "azure", .config = c, .secrets = s }, &storage,
                         failure) < 0)
                CHECK(!storage);
        return storage;
}

static void test_places(void) {
        static const struct {
                const char *config, *url, *root;
        } places[] = {
                { "", "https://acme.blob.core.windows.net", "/box" },
                { ",\"endpoint\":\"https://acme.blob.core.chinacloudapi.cn/\"",
                  "https://acme.blob.core.chinacloudapi.cn", "/box" },
                { ",\"endpoint\":\"https://h.example:443\"", "https://h.example", "/box" },
                { ",\"endpoint\":\"http://127.0.0.1:10000/acme\"", "http://127.0.0.1:10000", "/acme/box" },
        };

        for (size_t i = 0; i < ELEMENTSOF(places); i++) {
                _cleanup_failure_ Failure failure = FAILURE_NULL;
                _cleanup_(storage_freep) Storage *s = NULL;
                char config[256];
                const Azure *z;

                (void) snprintf(config, sizeof config, "{\"account\":\"acme\",\"container\":\"box\"%s}",
                                places[i].config);
                s = open_target(config, "{\"account_key\":\"QUJD\"}", &failure);
                if (!s)
                        TEST_FAIL("%s: %s", config, failure_message(&failure, -EINVAL));
                z = s->backend;
                CHECK_STR(z->url, places[i].url);
                CHECK_STR(z->root, places[i].root);
                CHECK_INT(z->key_size, 3);
        }
}

static void test_refused(void) {
        static const struct {
                const char *config, *secrets, *field;
        } cases[] = {
                { "{\"container\":\"b\"}", "{\"account_key\":\"QUJD\"}", "config.account" },
                { "{\"account\":\"a/b\",\"container\":\"b\"}", "{\"account_key\":\"QUJD\"}",
                  "config.account" },
                { "{\"account\":\"a\"}", "{\"account_key\":\"QUJD\"}", "config.container" },
                { "{\"account\":\"a\",\"container\":\"b\",\"endpoint\":\"ftp://h\"}",
                  "{\"account_key\":\"QUJD\"}", "config.endpoint" },
                { "{\"account\":\"a\",\"container\":\"b\"}", "{}", "secrets.account_key" },
                { "{\"account\":\"a\",\"container\":\"b\"}", "{\"account_key\":\"no base64\"}",
                  "secrets.account_key" },
                { "{\"account\":\"a\",\"container\":\"b\"}",
                  "{\"account_key\":\"QUJD\",\"sas_token\":\"sig=x\"}", "secrets.account_key" },
                { "{\"account\":\"a\",\"container\":\"b\"}", "{\"sas_token\":\"sig=x y\"}",
                  "secrets.sas_token" },
                { "{\"account\":\"a\",\"container\":\"b\",\"endpoint\":\"http://h\"}",
                  "{\"sas_token\":\"sig=x\"}", "secrets.sas_token" },
                { "{\"account\":\"a\",\"container\":\"b\",\"block_size\":64}", "{\"account_key\":\"QUJD\"}",
                  "config.block_size" },
                { "{\"account\":\"a\",\"container\":\"b\",\"tier\":\"Archive\"}",
                  "{\"account_key\":\"QUJD\"}", "config.tier" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_failure_ Failure failure = FAILURE_NULL;

                CHECK(!open_target(cases[i].config, cases[i].secrets, &failure));
                CHECK_STR(failure.field, cases[i].field);
        }
}

/* --- Signatures --------------------------------------------------------------------------------------- */

static void test_time(void) {
        char text[SHARED_KEY_TIME_SIZE];

        shared_key_time(UINT64_C(1435361952) * USEC_PER_SEC, text);
        CHECK_STR(text, "Fri, 26 Jun 2015 23:39:12 GMT");
        shared_key_time(0, text);
        CHECK_STR(text, "Thu, 01 Jan 1970 00:00:00 GMT");
}

#define DATED "x-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2015-02-21\n"
#define NOTHING "\n\n\n\n\n\n\n\n\n\n\n\n"

/* The examples of the REST reference; the signatures were computed with Python's hmac. */
static void test_examples(void) {
        static const SigV4Pair headers[] = {
                { "x-ms-version", "2015-02-21" },
                { "X-MS-Date", " Fri, 26 Jun 2015 23:39:12 GMT" },
                { "User-Agent", "x" },
        };
        static const SigV4Pair metadata[] = {
                { "restype", "container" },
                { "comp", "metadata" },
                { "timeout", "20" },
        };
        static const SigV4Pair create[] = { { "timeout", "30" }, { "restype", "container" } };
        static const struct {
                const char *method;
                const SigV4Pair *query;
                size_t n;
                const char *text, *signature;
        } cases[] = {
                { "GET", metadata, ELEMENTSOF(metadata),
                  "GET" NOTHING DATED "/myaccount/mycontainer\ncomp:metadata\nrestype:container\ntimeout:20",
                  "1u9lui2jDxj0+fpbHjQ5m5NnastJRSYM+PSmfi8TXx4=" },
                { "PUT", create, ELEMENTSOF(create),
                  "PUT" NOTHING DATED "/myaccount/mycontainer\nrestype:container\ntimeout:30",
                  "xGXG0xDZ4LffNUrgvdRqISw8BZe4MJz8EbGZmcCE038=" },
        };
        _cleanup_(freep) void *key = NULL;
        size_t size = 0;

        CHECK_OK(base64_decode(BASE64_STANDARD, KNOWN_KEY, strlen(KNOWN_KEY), &key, &size));
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const SharedKeyRequest q = { cases[i].method, "/mycontainer", cases[i].query, headers,
                                             cases[i].n, ELEMENTSOF(headers), 0 };
                _cleanup_(freep) char *authorization = NULL, *text = NULL;
                _cleanup_buffer_ Buffer b = BUFFER_NULL;
                const char *signature;

                CHECK_OK(shared_key_string("myaccount", &q, &b));
                text = memdup0(b.data, b.size);
                CHECK(text);
                CHECK_STR(text, cases[i].text);
                CHECK_OK(shared_key_authorization("myaccount", key, size, &q, &authorization));
                signature = startswith(authorization, "SharedKey myaccount:");
                CHECK(signature);
                CHECK_STR(signature, cases[i].signature);
        }
}

/* Every line in its place. */
static void test_lines(void) {
        static const SigV4Pair headers[] = {
                { "Range", "range" },
                { "If-Unmodified-Since", "unmodified" },
                { "If-None-Match", "none" },
                { "If-Match", "match" },
                { "If-Modified-Since", "modified" },
                { "Date", "date" },
                { "content-type", "type" },
                { "Content-MD5", "md5" },
                { "Content-Language", "language" },
                { "Content-Encoding", "encoding" },
                { "x-ms-b", "2" },
                { "x-ms-a", "1  " },
        };
        const SharedKeyRequest q = { "PUT", "/c/a%20b", NULL, headers, 0, ELEMENTSOF(headers), 42 };
        _cleanup_buffer_ Buffer b = BUFFER_NULL;
        _cleanup_(freep) char *text = NULL;

        CHECK_OK(shared_key_string("a", &q, &b));
        text = memdup0(b.data, b.size);
        CHECK(text);
        CHECK_STR(text,
                  "PUT\nencoding\nlanguage\n42\nmd5\ntype\ndate\nmodified\nmatch\nnone\nunmodified\nrange\n"
                  "x-ms-a:1\nx-ms-b:2\n/a/c/a%20b");
}

/* What a try adds, signed or with a token: a tier needs another version. */
static void test_signed(void) {
        static const struct {
                const char *secrets, *tier;
        } cases[] = {
                { "{\"account_key\":\"QUJD\"}", NULL },
                { "{\"account_key\":\"QUJD\"}", "Cold" },
                { "{\"sas_token\":\"?sig=x\"}", "Hot" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(azure_request_done) AzureRequest q = AZURE_REQUEST_NULL;
                _cleanup_(storage_freep) Storage *s = NULL;
                _cleanup_(http_lines_done) HttpLines lines = {};
                const char *tier = cases[i].tier;
                size_t n = 0;

                s = open_target("{\"account\":\"acme\",\"container\":\"box\"}", cases[i].secrets, NULL);
                CHECK(s);
                CHECK_OK(azure_request_init(s, &q, "PUT", "a b"));
                q.tier = tier;
                CHECK_OK(azure_sign(s, &q.http, &lines));
                CHECK(startswith(lines.lines[n++], "x-ms-date: "));
                CHECK_STR(lines.lines[n++], tier ? "x-ms-version: 2021-12-02" : "x-ms-version: 2020-10-02");
                if (tier)
                        CHECK_STR(startswith(lines.lines[n++], "x-ms-access-tier: "), tier);
                if (strstr(cases[i].secrets, "key"))
                        CHECK(startswith(lines.lines[n++], "Authorization: SharedKey acme:"));
                CHECK_INT(lines.n, n);
        }
}

/* --- Answers ------------------------------------------------------------------------------------------ */

#define ERROR_OF(detail) \
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>AuthenticationFailed</Code>" \
        "<Message>Server failed.\nRequestId:7</Message>" \
        "<AuthenticationErrorDetail>" detail "</AuthenticationErrorDetail></Error>"

static void test_judge(void) {
        static const struct {
                const char *name, *body;
                long status;
                int error;
                const char *code, *has, *has_not;
                bool may_pass;
        } cases[] = {
                { "BlobNotFound", "", 404, ENOENT, "OBJECT_NOT_FOUND", "BlobNotFound", "HTTP", false },
                { "ContainerNotFound", "", 404, ENXIO, "STORAGE_NO_BUCKET", "container", "HTTP", false },
                { "ServerBusy", "", 503, EBUSY, "STORAGE_THROTTLED", "busy", "HTTP", true },
                { "Md5Mismatch", "", 400, EBADMSG, "STORAGE_CHECKSUM", "other bytes", "HTTP", true },
                { "InvalidOperation", "<Error><Message>contentMD5 doesn't match.</Message></Error>", 400,
                  EBADMSG, "STORAGE_CHECKSUM", "other bytes", "HTTP", true },
                { "BlobImmutableDueToPolicy", "", 409, EPERM, "STORAGE_LOCKED", "retains", "HTTP", false },
                { "SomethingNew", "<Error><Message>Why.</Message></Error>", 500, EIO, "STORAGE_FAILED",
                  "Why.", "RequestId", true },
                { "AuthenticationFailed", ERROR_OF("Signature not valid in the specified time frame: Start"),
                  403, EACCES, "STORAGE_DENIED", "time frame)", "Start", false },
                { "AuthenticationFailed", ERROR_OF("The MAC signature 'c2ln' is not it"), 403, EACCES,
                  "STORAGE_DENIED", "Server failed.)", "c2ln", false },
                { "AuthenticationFailed", ERROR_OF("Request date header too old: 'x'"), 403, EACCES,
                  "STORAGE_CLOCK", "clock", "'x'", false },
                { NULL, "<html>", 502, EIO, "STORAGE_FAILED", "HTTP 502", "html", true },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
                _cleanup_failure_ Failure failure = FAILURE_NULL;
                _cleanup_(freep) char *name = (char *) strdup("target 't'");
                Storage s = { .name = name };
                HttpVerdict v;

                a.status = cases[i].status;
                CHECK_OK(buffer_add_string(&a.body, cases[i].body));
                if (cases[i].name)
                        CHECK_OK(buffer_printf(&a.headers, "X-MS-Error-Code: %s\r\n", cases[i].name));
                v = azure_judge(&s, &a, "a/key", &failure);
                CHECK_INT(v.error, -cases[i].error);
                CHECK_INT(v.may_pass, cases[i].may_pass);
                CHECK_STR(failure.code, cases[i].code);
                CHECK(strstr(failure_message(&failure, v.error), cases[i].has));
                CHECK(!strstr(failure_message(&failure, v.error), cases[i].has_not));
        }
}

static int on_object(void *userdata, const char *key, uint64_t size) {
        return buffer_printf(userdata, "%s=%llu ", key, (unsigned long long) size);
}

#define BLOB(name, size) \
        "<Blob><Name>" name "</Name><Properties><Content-Length>" size \
        "</Content-Length></Properties></Blob>"
#define PAGE(blobs, rest) "<EnumerationResults><Blobs>" blobs "</Blobs>" rest "</EnumerationResults>"

static void test_listing(void) {
        static const struct {
                const char *page, *objects, *marker;
        } cases[] = {
                { PAGE(BLOB("p/a", "1") BLOB("p/a/b&amp;c", "0"), "<NextMarker/>"), "a=1 a/b&c=0 ", NULL },
                { PAGE(BLOB("p/a", "1"), "<NextMarker>m</NextMarker>"), "a=1 ", "m" },
                { PAGE(BLOB("p/", "0") BLOB("p/a", "1"), ""), "a=1 ", NULL },
                { PAGE("<Blob><Name>p/d</Name><Properties><ResourceType>directory</ResourceType>"
                       "</Properties></Blob>" BLOB("p/d/x", "1"),
                       ""),
                  "d/x=1 ", NULL },
                { PAGE("", ""), "", NULL },
                { PAGE(BLOB("q/a", "1"), ""), NULL, NULL },
                { PAGE(BLOB("p/b", "1") BLOB("p/a", "1"), ""), NULL, NULL },
                { PAGE(BLOB("p/b", "-1"), ""), NULL, NULL },
                { PAGE("<Blob><Name>p/b</Name></Blob>", ""), NULL, NULL },
                { "<ListBucketResult/>", NULL, NULL },
                { "<EnumerationResults><Blobs>", NULL, NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
                _cleanup_buffer_ Buffer seen = BUFFER_NULL;
                _cleanup_(object_listing_done) ObjectListing l = { "p/", on_object, &seen, NULL, NULL };
                _cleanup_(freep) char *text = NULL;
                int r;

                CHECK_OK(buffer_add_string(&a.body, cases[i].page));
                r = azure_read_page(&l, &a);
                CHECK_INT(r, cases[i].objects ? 0 : -EBADMSG);
                if (r < 0)
                        continue;
                text = memdup0(strempty(seen.data), seen.size);
                CHECK(text);
                CHECK_STR(text, cases[i].objects);
                CHECK(streq_ptr(l.next, cases[i].marker));
        }
}

int main(void) {
        RUN(test_places);
        RUN(test_refused);
        RUN(test_time);
        RUN(test_examples);
        RUN(test_lines);
        RUN(test_signed);
        RUN(test_judge);
        RUN(test_listing);
        return 0;
}
