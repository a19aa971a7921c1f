/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"
#include "storage/rclone.h"
#include "tests/test.h"

/* What rclone 1.60 and servers behind it were seen to say. */
static void test_kinds(void) {
        static const struct {
                int code, error;
                const char *words;
        } table[] = {
                { 3, -ENOENT, "directory not found" },
                { 4, -ENOENT, "object not found" },
                { 1, -ENOENT, "Failed to deletefile: x is a directory or doesn't exist: object not found" },
                { 5, -ECONNRESET, "something that may pass" },
                { 1, -EIO, "something else" },
                { 1, -EEXIST, "Failed to moveto: immutable file modified" },
                { 1, -EACCES, "couldn't connect SSH: ssh: handshake failed: ssh: unable to authenticate" },
                { 1, -EACCES, "Failed to rcat: Update mkParentDir failed: 401 Unauthorized" },
                { 1, -EHOSTUNREACH, "dial tcp 127.0.0.1:1: connect: connection refused" },
                { 1, -EHOSTUNREACH, "dial tcp: lookup nas: i/o timeout" },
                { 1, -ETIMEDOUT, "net/http: timeout awaiting response headers" },
                { 1, -ECONNRESET, "Update ReadFrom failed: connection lost" },
                { 1, -ECONNRESET, "Put \"http://x/\": EOF" },
                { 1, -EBUSY, "Failed to rcat: Update mkParentDir failed: 503 Fault" },
                { 1, -EBUSY, "SlowDown: status code: 503" },
                { 1, -EBUSY, "Move mkParentDir failed: mkdir \"/x\" failed: sftp: \"Failure\"." },
                { 1, -EACCES, "mkdir \"/x\" failed: sftp: \"Permission denied\"" },
                { 1, -ENOSPC, "Failed to rcat: preallocate: file too big for remaining disk space" },
                { 1, -ENOSPC, "write /x: no space left on device" },
                { 1, -EDQUOT, "QuotaExceeded: status code: 403" },
                { 1, -EFBIG, "Failed to rcat: 413 Request Entity Too Large" },
                { 1, -EKEYREJECTED, "x509: certificate signed by unknown authority" },
                { 1, -EKEYREJECTED, "ssh: handshake failed: knownhosts: key mismatch" },
                { -1, -EIO, "" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                CHECK_INT(rclone_error_kind(table[i].code, table[i].words, NULL, NULL), table[i].error);
}

/* Names of people are no words of rclone. */
static void test_names(void) {
        static const struct {
                int code, error;
                const char *names, *words;
        } table[] = {
                { 3, -ENOENT, "backups/Certificate",
                  "ERROR : certificate: directory not found\nFailed to lsjson: directory not found" },
                { 1, -ENOENT, "/a/quota", "deletefile: x:/a/quota is a directory or doesn't exist" },
                { 1, -EACCES, "/srv/quota reports/x", "open /srv/quota reports/x: permission denied" },
                { 1, -ECONNRESET, "quota reports/x", "Put \"http://nas/quota%20reports/x\": EOF" },
                { 1, -EHOSTUNREACH, "", "dial tcp: lookup quota.example: no such host" },
                { 1, -EDQUOT, "a/quota/x", "write /a/quota/x: disk quota exceeded" },
                { 1, -EKEYREJECTED, "a/b", "x509: certificate signed by unknown authority" },
                { 4, -ENOENT, "a/part\ncertificates/x", "Failed to moveto: certificates/x: not found" },
        };
        char *environment[] = { (char *) "PATH=/certificates",
                                (char *) "RCLONE_CONFIG_X_HOST=Quota.example",
                                (char *) "RCLONE_CONFIG_X_USER=certificate", NULL };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                CHECK_INT(rclone_error_kind(table[i].code, table[i].words, table[i].names, environment),
                          table[i].error);
}

/* A start and what is hidden behind it; another start each time. */
static void test_obscure(void) {
        _cleanup_(freep) char *first = NULL, *again = NULL, *empty = NULL;

        CHECK_OK(rclone_obscure("a pass/word: 1%", &first));
        CHECK_OK(rclone_obscure("a pass/word: 1%", &again));
        CHECK_OK(rclone_obscure("", &empty));
        CHECK_INT(strlen(first), (16 + 15) * 4 / 3 + 1);
        CHECK(!streq(first, again));
        CHECK_INT(strlen(empty), 22);
        CHECK(!strpbrk(first, "+/="));
}

int main(void) {
        RUN(test_kinds);
        RUN(test_names);
        RUN(test_obscure);
        return EXIT_SUCCESS;
}
