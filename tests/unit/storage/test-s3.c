/* SPDX-License-Identifier: Apache-2.0 */

/* Where a target of type s3 is: what its service, region and bucket come to. Nothing is sent. */

#include "base/text.h"
#include "storage/s3.h"
#include "tests/test.h"

typedef struct Place {
        const char *config; /* beside the bucket and the key */
        const char *url, *root, *region;
} Place;

static Storage *open_target(const char *config, const char *secrets, Failure *failure) {
        _cleanup_json_ json_t *c = NULL, *s = NULL;
        Storage *storage = NULL;

        CHECK_OK(json_parse_strict(config, strlen(config), 4, &c, NULL));
        CHECK_OK(json_parse_strict(secrets, strlen(secrets), 4, &s, NULL));
        if (storage_open(&(StorageConfig){ .id = 1, .type = "s3", .config = c, .secrets = s }, &storage,
                         failure) < 0)
                CHECK(!storage);
        return storage;
}

static void test_places(void) {
        static const Place places[] = {
                { "\"preset\":\"aws\",\"region\":\"eu-west-1\"",
                  "https://bu.s3.eu-west-1.amazonaws.com", "/",
                  "eu-west-1" },
                { "\"preset\":\"aws-cn\",\"region\":\"cn-north-1\"",
                  "https://bu.s3.cn-north-1.amazonaws.com.cn", "/", "cn-north-1" },
                { "\"preset\":\"oss\",\"region\":\"cn-hangzhou\"",
                  "https://bu.s3.oss-cn-hangzhou.aliyuncs.com", "/", "cn-hangzhou" },
                { "\"preset\":\"cos\",\"region\":\"ap-beijing\"", "https://bu.cos.ap-beijing.myqcloud.com",
                  "/", "ap-beijing" },
                { "\"preset\":\"kodo\",\"region\":\"cn-east-1\"", "https://bu.s3.cn-east-1.qiniucs.com", "/",
                  "cn-east-1" },
                { "\"preset\":\"wasabi\",\"region\":\"us-east-2\"", "https://bu.s3.us-east-2.wasabisys.com",
                  "/", "us-east-2" },
                { "\"preset\":\"b2\",\"region\":\"us-west-004\"",
                  "https://bu.s3.us-west-004.backblazeb2.com",
                  "/", "us-west-004" },
                { "\"preset\":\"r2\",\"account\":\"0a1b\"", "https://0a1b.r2.cloudflarestorage.com", "/bu/",
                  "auto" },
                { "\"preset\":\"gcs\"", "https://storage.googleapis.com", "/bu/", "auto" },
                { "\"preset\":\"minio\",\"endpoint\":\"http://minio:9000/\"", "http://minio:9000", "/bu/",
                  "us-east-1" },
                { "\"endpoint\":\"https://h.example:443\",\"path_style\":false", "https://bu.h.example", "/",
                  "us-east-1" },
                /* An address has no names below it. */
                { "\"preset\":\"oss\",\"region\":\"x\",\"endpoint\":\"https://192.0.2.7:8443\"",
                  "https://192.0.2.7:8443", "/bu/", "x" },
                { "\"preset\":\"oss\",\"region\":\"x\",\"endpoint\":\"https://[2001:db8::1]\"",
                  "https://[2001:db8::1]", "/bu/", "x" },
        };

        for (size_t i = 0; i < ELEMENTSOF(places); i++) {
                _cleanup_failure_ Failure failure = FAILURE_NULL;
                char config[512];
                Storage *s;
                S3 *s3;

                (void) snprintf(config, sizeof config, "{%s,\"bucket\":\"bu\",\"access_key\":\"AK\"}",
                                places[i].config);
                s = open_target(config, "{\"secret_key\":\"s\"}", &failure);
                if (!s)
                        TEST_FAIL("%s: %s", config, failure_message(&failure, -EINVAL));
                s3 = s->backend;
                CHECK_STR(s3->url, places[i].url);
                CHECK_STR(strstr(s3->url, "://") + 3, s3->host);
                CHECK_STR(s3->root, places[i].root);
                CHECK_STR(s3->region, places[i].region);
                storage_free(s);
        }
}

/* A name under a certificate for one level of names has no dots. */
static void test_bucket_with_dots(void) {
        Storage *s = open_target("{\"preset\":\"aws\",\"region\":\"r\","
                                 "\"bucket\":\"a.b\",\"access_key\":\"k\"}",
                                 "{\"secret_key\":\"s\"}", NULL);

        CHECK(s);
        CHECK_STR(((S3 *) s->backend)->root, "/a.b/");
        storage_free(s);
}

#define BASE "\"preset\":\"aws\",\"region\":\"r\",\"bucket\":\"b\",\"access_key\":\"k\""

/* A configuration that came past the API is told by its field, too. */
static void test_refused(void) {
        static const struct {
                const char *config, *secrets, *field;
        } cases[] = {
                { "{" BASE "}", "{}", "secrets.secret_key" },
                { "{" BASE ",\"lock_mode\":\"GOVERNANCE\"}", "{\"secret_key\":\"s\"}", "config.lock_days" },
                { "{" BASE ",\"prefix\":\"a//b\"}", "{\"secret_key\":\"s\"}", "config.prefix" },
                { "{" BASE ",\"part_size\":64}", "{\"secret_key\":\"s\"}", "config.part_size" },
                { "{" BASE ",\"volume_size\":7}", "{\"secret_key\":\"s\"}", "config.volume_size" },
                { "{" BASE ",\"storage_class\":\"A\\nX: y\"}", "{\"secret_key\":\"s\"}",
                  "config.storage_class" },
                { "{" BASE "}", "{\"secret_key\":\"s\\r\\nHost: x\"}", "secrets.secret_key" },
                { "{" BASE "}", "{\"secret_key\":\"s\",\"sse_customer_key\":\"AAAA\"}",
                  "secrets.sse_customer_key" },
                { "{" BASE ",\"endpoint\":\"https://h/../x\"}", "{\"secret_key\":\"s\"}",
                  "config.endpoint" },
                { "{\"bucket\":\"b\",\"access_key\":\"k\"}", "{\"secret_key\":\"s\"}", "config.endpoint" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_failure_ Failure failure = FAILURE_NULL;

                CHECK(!open_target(cases[i].config, cases[i].secrets, &failure));
                CHECK_STR(failure.field, cases[i].field);
                CHECK(!strstr(failure.message, "Host: x"));
        }
}

/* What is held in memory: a part that is filled, and some on their way. */
static void test_memory(void) {
        for (unsigned mib = 5; mib <= 32; mib++) {
                char config[256];
                Storage *s;
                S3 *s3;

                (void) snprintf(config, sizeof config, "{" BASE ",\"part_size\":%u}", mib);
                s = open_target(config, "{\"secret_key\":\"s\"}", NULL);
                CHECK(s);
                s3 = s->backend;
                CHECK(atomic_load(&s3->spare) >= 1);
                CHECK(((uint64_t) atomic_load(&s3->spare) + 1) * s3->part_size <= 64U << 20);
                storage_free(s);
        }
}

/* As much as its parts hold, or less where that is wanted. */
static void test_object_max(void) {
        static const struct {
                const char *more;
                uint64_t mib;
        } cases[] = {
                { "", 160000 },
                { ",\"part_size\":5", 50000 },
                { ",\"volume_size\":8", 8 },
                { ",\"part_size\":5,\"volume_size\":1000000", 50000 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char config[256];
                Storage *s;

                (void) snprintf(config, sizeof config, "{" BASE "%s}", cases[i].more);
                s = open_target(config, "{\"secret_key\":\"s\"}", NULL);
                CHECK(s);
                CHECK(storage_can_seal(s));
                CHECK_INT(storage_object_max(s), cases[i].mib * STORAGE_OBJECT_UNIT);
                storage_free(s);
        }
}

int main(void) {
        RUN(test_places);
        RUN(test_bucket_with_dots);
        RUN(test_refused);
        RUN(test_memory);
        RUN(test_object_max);
        return 0;
}
