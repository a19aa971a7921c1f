/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/common/tools.h"
#include "agent/job/tools-run.h"
#include "base/alloc.h"
#include "base/text.h"
#include "base/times.h"
#include "tests/test.h"

static void test_version(void) {
        static const struct {
                const char *text, *version;
        } table[] = {
                { "pg_dump (PostgreSQL) 15.6 (Debian 15.6-0+deb12u1)\n", "15.6" },
                { "pg_dump (PostgreSQL) 17beta1\n", "17beta1" },
                { "mysqldump  Ver 10.19 Distrib 10.11.6-MariaDB, for debian-linux-gnu (x86_64)\n",
                  "10.11.6-MariaDB" },
                { "mariadb-dump from 11.4.2-MariaDB, client 10.19 for linux\n", "11.4.2-MariaDB" },
                { "mysqldump  Ver 8.0.36 for Linux on x86_64 (MySQL Community Server - GPL)\n", "8.0.36" },
                { "3.40.1 2022-12-28 14:03:47 df5c253c0b3dd24916e4ec7cf77d3db5294cc9fd\n", "3.40.1" },
                { "tar (GNU tar) 1.34\nCopyright (C) 2021\n", "1.34" },
                { "*** Zstandard CLI (64-bit) v1.5.4, by Yann Collet ***\n", "1.5.4" },
                { "rclone v1.60.1-DEV\n- os/version: debian 12.5\n", "1.60.1-DEV" },
                { "restic 0.14.0 compiled with go1.19.3 on linux/amd64\n", "0.14.0" },
                { "HDBSQL version 2.18.24, the SAP HANA Database interactive terminal.\n", "2.18.24" },
                { "v1.1.1\n", "1.1.1" },
                { "1.", "1" },
                { "(devel)\n", NULL },
                { "", NULL },
                { "-v.", NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                char version[TOOL_VERSION_MAX] = "";

                CHECK_INT(tool_version_parse(table[i].text, strlen(table[i].text), version),
                          table[i].version ? 0 : -ENODATA);
                CHECK_STR(version, strempty(table[i].version));
        }
}

static void write_tool(const char *folder, const char *name, const char *script) {
        _cleanup_(freep) char *path = NULL;
        FILE *f;

        CHECK_OK(asprintf_safe(&path, "%s/%s", folder, name));
        f = fopen(path, "we");
        CHECK(f);
        CHECK(fputs(script, f) >= 0);
        CHECK_INT(fclose(f), 0);
        CHECK_INT(chmod(path, 0755), 0);
}

static const char *version_of(const json_t *versions, const char *name) {
        return strempty(json_string_value(json_object_get(versions, name)));
}

/* One that hangs costs the time limit, one that floods nothing; what they start ends with us. */
static void test_ask(void) {
        static const char *const names[] = { "pg_dump", "restic", "tar", "zstd" };
        char folder[] = "/tmp/backupx-test-tools-XXXXXX";
        _cleanup_(freep) char *directories = NULL, *found = NULL;
        _cleanup_json_ json_t *versions = NULL, *cancelled_versions = NULL;
        atomic_bool cancelled = false;
        unsigned silent = 99;
        uint64_t before;
        usec_t start;

        CHECK(mkdtemp(folder));
        CHECK_OK(asprintf_safe(&directories, "/nonexistent::%s", folder));
        before = tools_signature(directories);
        write_tool(folder, "pg_dump", "#!/bin/sh\n[ \"$1\" = --version ] && echo pg_dump 15.6\n");
        write_tool(folder, "tar", "#!/bin/sh\nwhile echo 1.34; do :; done\n");
        write_tool(folder, "zstd", "#!/bin/sh\necho no number >&2\nexit 1\n");
        write_tool(folder, "restic", "#!/bin/sh\n[ -z \"$BACKUPX_TEST_SECRET\" ] && echo restic 0.14.0\n");
        CHECK(tools_signature(directories) != before);
        before = tools_signature(directories);
        CHECK_INT(tools_signature(directories), before);
        CHECK_INT(tool_find(directories, "rclone", &found), -ENOENT);
        CHECK_INT(setenv("BACKUPX_TEST_SECRET", "x", 1), 0);
        CHECK_OK(tools_ask(directories, &cancelled, &versions, &silent));
        CHECK_INT(json_object_size(versions), 4);
        CHECK_STR(version_of(versions, "pg_dump"), "15.6");
        CHECK_STR(version_of(versions, "tar"), "1.34");
        CHECK_STR(version_of(versions, "zstd"), "?");
        CHECK_STR(version_of(versions, "restic"), "0.14.0");
        CHECK_INT(silent, 1);
        json_decref(versions);
        versions = NULL;

        write_tool(folder, "zstd", "#!/bin/sh\nsleep 1000\n");
        CHECK(tools_signature(directories) != before);
        start = now_usec(CLOCK_MONOTONIC);
        CHECK_OK(tools_ask(directories, &cancelled, &versions, &silent));
        CHECK(now_usec(CLOCK_MONOTONIC) - start < 30 * USEC_PER_SEC);
        CHECK_STR(version_of(versions, "zstd"), "?");
        CHECK_STR(version_of(versions, "pg_dump"), "15.6");
        atomic_store(&cancelled, true);
        CHECK_INT(tools_ask(directories, &cancelled, &cancelled_versions, &silent), -ECANCELED);
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_(freep) char *path = NULL;

                CHECK_OK(asprintf_safe(&path, "%s/%s", folder, names[i]));
                CHECK_INT(unlink(path), 0);
        }
        CHECK_INT(rmdir(folder), 0);
}

int main(void) {
        RUN(test_version);
        RUN(test_ask);
        return EXIT_SUCCESS;
}
