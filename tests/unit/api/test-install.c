/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"
#include "crypto/token.h"

#include "services/api/agent-package.h"
#include "services/api/install-private.h"
#include "tests/test.h"

#define SUM "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* What a shell makes of a text, which ends with a newline. */
static void run_shell(const char *shell, const char *script, const char *argument, char out[static 4096]) {
        char path[] = "/tmp/backupx-test-install.XXXXXX", command[256];
        int fd = mkstemp(path);
        size_t n;
        FILE *p;

        CHECK(fd >= 0);
        CHECK_INT(write(fd, script, strlen(script)), strlen(script));
        close(fd);
        snprintf(command, sizeof(command), "%s %s %s 2>&1", shell, path, argument);
        p = popen(command, "r");
        CHECK(p);
        n = fread(out, 1, 4095, p);
        out[n] = 0;
        (void) pclose(p);
        CHECK_INT(unlink(path), 0);
}

static void test_quote(void) {
        static const char *const texts[] = {
                "web-1",
                "it's",
                "'",
                "''; rm -rf /; '",
                "$(id)`id`\\\"!*",
                "two\nlines",
                "-n",
                "\xc3\xa4\xf0\x9f\x98\x80",
                "",
        };
        static const char *const shells[] = { "dash", "bash" };
        char out[4096];

        for (size_t s = 0; s < ELEMENTSOF(shells); s++)
                for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                        _cleanup_buffer_ Buffer script = BUFFER_NULL;

                        CHECK_OK(buffer_add_string(&script, "X="));
                        CHECK_OK(install_quote(&script, texts[i]));
                        CHECK_OK(buffer_add_string(&script, "\nprintf '%s' \"$X\"\n"));
                        run_shell(shells[s], script.data, "", out);
                        CHECK_STR(out, texts[i]);
                }
}

static InstallPlan plan_for(const char *node) {
        return (InstallPlan){
                .node = node,
                .master = "https://backup.example.com",
                .token = "bxe_secret",
                .version = "1.0",
                .mode = INSTALL_SYSTEMD,
                .arch = INSTALL_AUTO,
                .urls = { [INSTALL_AMD64] = "https://backup.example.com/x.tar.gz" },
                .checksums = { [INSTALL_AMD64] = SUM },
        };
}

/* The command, run by a shell, gives the very script; what is not ours in it is caught. Instead of running
 * the script, id says "nobody" and sudo prints what it was to run. */
static void test_command(void) {
        _cleanup_buffer_ Buffer values = BUFFER_NULL, script = BUFFER_NULL, expected = BUFFER_NULL;
        _cleanup_(freep) char *command = NULL;
        InstallPlan plan = plan_for("it's $HOME");
        char out[4096];

        CHECK_OK(install_values(&plan, &values));
        CHECK_OK(install_command(values.data, &command));
        CHECK(!strchr(command, '\n'));
        CHECK(!strstr(command, "bxe_secret")); /* it is packed; nobody reads it over a shoulder */
        CHECK_OK(install_add_script(values.data, &expected));
        CHECK_OK(buffer_printf(&script,
                               "d=$(mktemp -d)\nprintf '#!/bin/sh\\necho 1000\\n' >$d/id\n"
                               "printf '#!/bin/sh\\nsha256sum <$2; wc -c <$2\\n' >$d/sudo\n"
                               "chmod +x $d/*\nPATH=$d:$PATH\n%s\nrm -r $d\n",
                               command));
        run_shell("dash", script.data, "", out);
        {
                char hex[SHA256_HEX_SIZE], want[4096];

                CHECK_OK(sha256_hex(expected.data, expected.size, hex));
                snprintf(want, sizeof(want), "%s  -\n%zu\n", hex, expected.size);
                CHECK_STR(out, want);
        }
        /* Cut, as a terminal may do. */
        memmove(command + 2000, command + 2004, strlen(command + 2004) + 1);
        script.size = 0;
        CHECK_OK(buffer_printf(&script, "sudo() { echo RAN; }\nid() { echo 1; }\n%s\n", command));
        run_shell("dash", script.data, "", out);
        CHECK(!strstr(out, "RAN"));
}

static void test_bundle(void) {
        static const char *const nodes[] = { "web-1", "it's", "*" };
        _cleanup_buffer_ Buffer bundle = BUFFER_NULL;
        char out[4096];

        CHECK_OK(install_bundle_begin(&bundle));
        for (size_t i = 0; i < ELEMENTSOF(nodes); i++) {
                _cleanup_buffer_ Buffer values = BUFFER_NULL;
                InstallPlan plan = plan_for(nodes[i]);

                CHECK_OK(install_values(&plan, &values));
                CHECK_OK(install_bundle_add(&bundle, nodes[i], values.data));
        }
        CHECK_OK(install_bundle_end(&bundle));
        /* Stop where the common script begins. */
        strcpy(strstr(bundle.data, "esac\n#!/bin/sh"), "esac\necho \"$BX_NODE\"\n");
        run_shell("dash", bundle.data, "web-1", out);
        CHECK_STR(out, "web-1\n");
        run_shell("dash", bundle.data, "\"it's\"", out);
        CHECK_STR(out, "it's\n");
        run_shell("dash", bundle.data, "'*'", out);
        CHECK_STR(out, "*\n");
        run_shell("dash", bundle.data, "web-2", out);
        CHECK(strstr(out, "usage: ") && strstr(out, "'web-1'"));
        run_shell("dash", bundle.data, "", out);
        CHECK(strstr(out, "usage: "));
        run_shell("dash", bundle.data, "web-1 web-1", out); /* never many on one host */
        CHECK(strstr(out, "usage: "));
}

static void test_compose(void) {
        _cleanup_buffer_ Buffer text = BUFFER_NULL;
        InstallPlan plan = plan_for("web-1");

        plan.mode = INSTALL_DOCKER;
        plan.proxy_url = "http://u:p\"$x@proxy";
        CHECK_OK(install_compose(&plan, &text));
        CHECK(strstr(text.data, "BACKUPX_AGENT_MASTER: \"https://backup.example.com\"\n"));
        CHECK(strstr(text.data, "BACKUPX_AGENT_TOKEN: \"bxe_secret\"\n"));
        CHECK(strstr(text.data, "BACKUPX_AGENT_TEMP_DIR: /var/lib/backupx-agent/tmp\n"));
        CHECK(strstr(text.data, "BACKUPX_AGENT_PROXY_URL: \"http://u:p\\\"$$x@proxy\"\n"));
        CHECK(strstr(text.data, "ADD --checksum=sha256:" SUM " https://backup.example.com/x.tar.gz"));
        CHECK(!strstr(text.data, "agent-arm64"));
        CHECK(strstr(text.data, "backupx-agent:/var/lib/backupx-agent\n"));
}

static void test_gift(void) {
        _cleanup_(install_gift_done) InstallGift gift = { strdup("BX_NODE='x'\n"), NULL },
                                                 got = INSTALL_GIFT_NULL;
        _cleanup_(freep) char *sealed = NULL, *token = NULL, *other = NULL;

        CHECK_OK(token_new(TOKEN_INSTALL, &token));
        CHECK_OK(token_new(TOKEN_INSTALL, &other));
        CHECK_OK(install_gift_seal(&gift, token, &sealed));
        CHECK(install_gift_open(sealed, other, &got) < 0);
        CHECK_OK(install_gift_open(sealed, token, &got));
        CHECK_STR(got.values, gift.values);
        CHECK(!got.compose);
}

static void test_package_names(void) {
        static const struct {
                const char *name;
                bool valid;
        } cases[] = {
                { "backupx-agent-1.0-linux-amd64.tar.gz", true },
                { "backupx-agent-1.0~rc1-2+b1-linux-arm64.tar.gz", true },
                { "backupx-agent-1.0-linux-amd64.tar.gz.sha256", true },
                { "backupx-agent-1.0-linux-amd64.tar.gz.sig", true },
                { "signing-key.pem", true },
                { "signing-key.pem.secret", false },
                { "backupx-agent-1.0-linux-amd64.tar.gz.key", false },
                { "backupx-agent--linux-amd64.tar.gz", false },
                { "backupx-agent-.-linux-amd64.tar.gz", false },
                { "backupx-agent-1/../../etc/x-linux-amd64.tar.gz", false },
                { "backupx-agent-1.0-linux-mips.tar.gz", false },
                { "../signing-key.pem", false },
                { "..", false },
                { "", false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                if (agent_package_name_is_valid(cases[i].name) != cases[i].valid)
                        TEST_FAIL("'%s' is taken for %s", cases[i].name, cases[i].valid ? "bad" : "good");
}

static void test_packages(void) {
        char folder[] = "/tmp/backupx-test-packages.XXXXXX", path[256], sum[SHA256_HEX_SIZE];
        static const char *const files[][2] = {
                { "backupx-agent-1.0-linux-amd64.tar.gz", "package" },
                { "backupx-agent-1.0-linux-amd64.tar.gz.sha256",
                  SUM "  backupx-agent-1.0-linux-amd64.tar.gz\n" },
                { "backupx-agent-1.0-linux-arm64.tar.gz", "no checksum" },
                { "backupx-agent-2.0-linux-arm64.tar.gz.sha256", "not a checksum\n" },
                { "private.key", "secret" },
        };
        _cleanup_json_ json_t *list = NULL;
        uint64_t size;
        int fd;

        CHECK(mkdtemp(folder));
        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                snprintf(path, sizeof(path), "%s/%s", folder, files[i][0]);
                CHECK_OK(write_file_atomic(AT_FDCWD, path, files[i][1], strlen(files[i][1]), 0644));
        }
        CHECK_OK(agent_packages_list(folder, &list));
        CHECK_INT(json_array_size(list), 1);
        CHECK_STR(json_string_value(json_object_get(json_array_get(list, 0), "arch")), "amd64");
        CHECK_STR(json_string_value(json_object_get(json_array_get(list, 0), "sha256")), SUM);
        CHECK_OK(agent_package_checksum(folder, "1.0", INSTALL_AMD64, sum));
        CHECK_STR(sum, SUM);
        CHECK_INT(agent_package_checksum(folder, "1.0", INSTALL_ARM64, sum), -ENOENT);
        CHECK_INT(agent_package_checksum(folder, "2.0", INSTALL_ARM64, sum), -EBADMSG);
        CHECK_INT(agent_package_checksum(folder, "../1.0", INSTALL_AMD64, sum), -ENOENT);
        CHECK_INT(agent_package_open(folder, "private.key", &fd, &size), -ENOENT);
        CHECK_INT(agent_package_open(folder, "signing-key.pem", &fd, &size), -ENOENT);
        CHECK_OK(agent_package_open(folder, files[0][0], &fd, &size));
        CHECK_INT(size, strlen("package"));
        close(fd);
        json_decref(list);
        CHECK_OK(agent_packages_list("/nowhere", &list));
        CHECK_INT(json_array_size(list), 0);
        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                snprintf(path, sizeof(path), "%s/%s", folder, files[i][0]);
                CHECK_INT(unlink(path), 0);
        }
        CHECK_INT(rmdir(folder), 0);
}

int main(void) {
        RUN(test_quote);
        RUN(test_command);
        RUN(test_bundle);
        RUN(test_compose);
        RUN(test_gift);
        RUN(test_package_names);
        RUN(test_packages);
        return 0;
}
