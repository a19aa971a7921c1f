/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "crypto/seal.h"
#include "recovery/kit-text.h"
#include "recovery/kit.h"
#include "tests/test.h"

#define PASSWORD "{\"password\":\"00ff\",\"polynomial\":\"3da3358b4dc173\"}"

static void contains(const Buffer *b, const char *what) {
        if (!strstr(b->data, what)) {
                fprintf(stderr, "missing: %s\nin:\n%s\n", what, b->data);
                CHECK(!"the text has it");
        }
}

/* What sh makes of a quoted word is what was quoted. */
static void test_quoting(void) {
        static const char *const words[] = {
                "",
                "plain",
                "it's",
                "''",
                "a b\t c",
                "$(rm x) `y` \\ \"z\"",
                "100%",
                "line\nline",
                "%d\\n\n.",
                "-n",
                "\001\x7f",
                "ü",
        };
        Buffer out = BUFFER_NULL;
        Kit k = { .out = &out };

        for (size_t i = 0; i < ELEMENTSOF(words); i++) {
                _cleanup_(erase_and_freep) char *quoted = kit_quote(&k, words[i]);
                _cleanup_(freep) char *command = NULL;
                char got[256] = {};
                FILE *pipe;
                size_t n;

                CHECK(quoted);
                CHECK_OK(asprintf_safe(&command, "x=%s; printf '%%s' \"$x\"", quoted));
                pipe = popen(command, "r");
                CHECK(pipe);
                n = fread(got, 1, sizeof(got) - 1, pipe);
                CHECK_INT(pclose(pipe), 0);
                CHECK_INT(n, strlen(words[i]));
                CHECK_STR(got, words[i]);
        }
        CHECK_OK(k.error);
        buffer_done(&out);
}

static char *sealed(const AgeIdentity *identity, const char *text) {
        AgeRecipient recipient;
        char *base64;

        CHECK_OK(age_identity_recipient(identity, &recipient));
        CHECK_OK(seal(&recipient, text, strlen(text), &base64));
        return base64;
}

/* One repository on a target; the kit. */
static void kit_of(const char *type, const char *config, const char *secrets, Buffer *out) {
        AgeIdentity identity;
        RecoveryTarget target = {
                .id = 3, .name = (char *) "cloud\nx", .type = (char *) type, .config = (char *) config
        };
        RecoveryRepository repository = { .id = 2,
                                          .node_id = 7,
                                          .node_name = (char *) "web-1",
                                          .target_id = 3,
                                          .prefix = (char *) "web-1/repository-7/" };
        RecoveryData data = {
                .targets = &target, .n_targets = 1, .repositories = &repository, .n_repositories = 1
        };
        KitInfo info = {
                .hostname = "master", .state = "/var/lib/backupx", .identity = &identity, .data = &data
        };
        size_t unreadable = 99;

        CHECK_OK(age_identity_generate(&identity));
        target.sealed = secrets ? sealed(&identity, secrets) : NULL;
        repository.sealed = sealed(&identity, PASSWORD);
        CHECK_OK(kit_format(&info, out, &unreadable));
        CHECK_INT(unreadable, 0);
        contains(out, "export RESTIC_PASSWORD='00ff'\n");
        contains(out, "target cloud?x");
        free(target.sealed);
        free(repository.sealed);
}

static void test_types(void) {
        static const struct {
                const char *type, *config, *secrets;
                const char *has[6];
        } cases[] = {
                { "local",
                  "{\"path\":\"/srv/it's\"}",
                  NULL,
                  { "export RESTIC_REPOSITORY='/srv/it'\\''s/web-1/repository-7'\n" } },
                { "relay",
                  "{}",
                  NULL,
                  { "export RESTIC_REPOSITORY='/var/lib/backupx/relay/3/web-1/repository-7'\n" } },
                { "relay", "{\"directory\":\"/mnt/x\"}", NULL, { "'/mnt/x/web-1/repository-7'" } },
                { "s3",
                  "{\"preset\":\"aws\",\"region\":\"eu-central-1\",\"bucket\":\"acme\",\"prefix\":\"a/b\","
                  "\"access_key\":\"AK\"}",
                  "{\"secret_key\":\"SK\"}",
                  { "export "
                    "RESTIC_REPOSITORY='s3:https://s3.eu-central-1.amazonaws.com/acme/a/b/web-1/"
                    "repository-7'\n",
                    "export AWS_ACCESS_KEY_ID='AK'\n", "export AWS_SECRET_ACCESS_KEY='SK'\n",
                    "export AWS_DEFAULT_REGION='eu-central-1'\n",
                    "restic -o s3.bucket-lookup=dns snapshots\n" } },
                { "s3",
                  "{\"endpoint\":\"http://"
                  "127.0.0.1:7480\",\"bucket\":\"acme\",\"access_key\":\"AK\",\"ca_cert\":\"/ca\"}",
                  "{\"secret_key\":\"SK\"}",
                  { "'s3:http://127.0.0.1:7480/acme/web-1/repository-7'\n",
                    "restic -o s3.bucket-lookup=path --cacert '/ca' snapshots\n" } },
                { "s3",
                  "{\"endpoint\":\"https://h\",\"bucket\":\"acme\",\"access_key\":\"AK\"}",
                  "{\"secret_key\":\"SK\",\"sse_customer_key\":\"QQ==\"}",
                  { "'rclone:bx3:acme/web-1/repository-7'\n",
                    "RCLONE_CONFIG_BX3_SSE_CUSTOMER_KEY_BASE64='QQ=='\n" } },
                { "sftp",
                  "{\"host\":\"nas\",\"user\":\"u\",\"path\":\"b\",\"port\":2222,\"host_key\":\"SHA256:"
                  "x\"}",
                  "{\"private_key\":\"BEGIN\\nKEY\\n\",\"passphrase\":\"p p\"}",
                  { "'rclone:bx3:b/web-1/repository-7'\n", "ssh-keyscan -p 2222 'nas'",
                    "grep -F 'SHA256:x'\n", "      'KEY' \\\n      > bx3.ssh\n",
                    "printf %s 'p p' | rclone obscure -" } },
                { "ftp",
                  "{\"host\":\"nas\",\"user\":\"u\",\"path\":\"b\",\"pin\":\"sha256//x\"}",
                  "{\"password\":\"p\"}",
                  { "'rclone:bx3:b/web-1/repository-7'\n", "RCLONE_CONFIG_BX3_EXPLICIT_TLS='true'\n",
                    "pinned (sha256//x)" } },
                { "webdav",
                  "{\"url\":\"https://h/d\",\"user\":\"u\"}",
                  "{\"password\":\"p\"}",
                  { "export RCLONE_CONFIG_BX3_URL='https://h/d'\n", "'rclone:bx3:web-1/repository-7'\n" } },
                { "azure",
                  "{\"account\":\"acme\",\"container\":\"c\",\"prefix\":\"a/b\","
                  "\"endpoint\":\"https://acme.blob.core.chinacloudapi.cn\"}",
                  "{\"account_key\":\"QQ==\"}",
                  { "'rclone:bx3:c/a/b/web-1/repository-7'\n", "BX3_TYPE='azureblob'\n",
                    "BX3_ACCOUNT='acme'\n", "BX3_KEY='QQ=='\n",
                    "BX3_ENDPOINT='blob.core.chinacloudapi.cn'\n" } },
                { "azure",
                  "{\"account\":\"acme\",\"container\":\"c\"}",
                  "{\"sas_token\":\"sv=1&sig=x\"}",
                  { "'rclone:bx3:c/web-1/repository-7'\n",
                    "BX3_SAS_URL='https://acme.blob.core.windows.net/c?sv=1&sig=x'\n" } },
                { "azure",
                  "{\"account\":\"a\",\"container\":\"c\",\"endpoint\":\"http://h:1/a\"}",
                  "{\"account_key\":\"QQ==\"}",
                  { "The account is at http://h:1/a, which" } },
                { "rclone:crypt",
                  "{\"remote\":\"/srv/safe\",\"path\":\"b\",\"read_back\":true,\"no; x\":\"no\"}",
                  "{\"password\":\"p\",\"client_secret\":\"s\"}",
                  { "'rclone:bx3:b/web-1/repository-7'\n", "export RCLONE_CONFIG_BX3_TYPE='crypt'\n",
                    "export RCLONE_CONFIG_BX3_REMOTE='/srv/safe'\n", "of the machine of the node",
                    "BX3_PASSWORD=\"$(printf %s 'p' | rclone obscure -)\"\n",
                    "export RCLONE_CONFIG_BX3_CLIENT_SECRET='s'\n" } },
                { "of-tomorrow",
                  "{\"place\":\"x\"}",
                  "{\"word\":\"w\"}",
                  { "- setting place: \"x\"\n", "- secret word: \"w\"\n", "'./web-1/repository-7'" } },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Buffer out = BUFFER_NULL;

                kit_of(cases[i].type, cases[i].config, cases[i].secrets, &out);
                for (size_t j = 0; j < ELEMENTSOF(cases[i].has) && cases[i].has[j]; j++)
                        contains(&out, cases[i].has[j]);
                buffer_done(&out);
        }
}

/* What cannot be opened is said in capitals, and counted. */
static void test_unreadable(void) {
        AgeIdentity identity, other;
        RecoveryIdentity node = { .node_id = 7, .recipient = (char *) "age1" };
        RecoveryData data = { .identities = &node, .n_identities = 1 };
        KitInfo info = { .hostname = "m", .state = "/s", .identity = &identity, .data = &data };
        Buffer out = BUFFER_NULL;
        size_t unreadable = 0;

        CHECK_OK(age_identity_generate(&identity));
        CHECK_OK(age_identity_generate(&other));
        node.sealed = sealed(&other, "AGE-SECRET-KEY-1X");
        CHECK_OK(kit_format(&info, &out, &unreadable));
        CHECK_INT(unreadable, 1);
        contains(&out, "COULD NOT BE OPENED");
        free(node.sealed);
        buffer_done(&out);
}

int main(void) {
        RUN(test_quoting);
        RUN(test_types);
        RUN(test_unreadable);
        return EXIT_SUCCESS;
}
