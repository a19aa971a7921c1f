/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "recovery/kit-target.h"
#include "wire/names.h"
#include "wire/path.h"
#include "wire/rclone-options.h"
#include "wire/s3-preset.h"

#define VARIABLE_MAX 128

void kit_reach_done(KitReach *r) {
        assert(r);

        free(r->place);
        free(r->repository);
        free(r->options);
        *r = KIT_REACH_NULL;
}

static void note(Kit *k, int r) {
        if (r < 0 && k->error == 0)
                k->error = r;
}

static const char *config(const KitTarget *t, const char *name) {
        return json_string_value(json_object_get(t->config, name));
}

static const char *secret(const KitTarget *t, const char *name) {
        return json_string_value(json_object_get(t->secrets, name));
}

/* The name of a setting of the remote that rclone knows this target as: RCLONE_CONFIG_BX3_HOST. */
static const char *variable(const KitTarget *t, const char *name, char buf[static VARIABLE_MAX]) {
        (void) snprintf(buf, VARIABLE_MAX, "RCLONE_CONFIG_BX%" PRIu64 "_%s", t->row->id, name);
        return buf;
}

static void set(Kit *k, const KitTarget *t, const char *name, const char *value) {
        char buf[VARIABLE_MAX];

        kit_export(k, variable(t, name, buf), value);
}

/* Rclone wants its passwords obscured, which is no protection. */
static void set_obscured(Kit *k, const KitTarget *t, const char *name, const char *value) {
        _cleanup_(erase_and_freep) char *quoted = NULL;
        char buf[VARIABLE_MAX];

        if (isempty(value))
                return;
        quoted = kit_quote(k, value);
        kit_run(k, "export %s=\"$(printf %%s %s | rclone obscure -)\"", variable(t, name, buf),
                strempty(quoted));
}

/* A directory and a prefix, with one slash between and none at the end. */
static void join(Kit *k, const char *directory, const char *prefix, char **ret) {
        size_t n = strlen(strempty(directory)), m = strlen(prefix);

        while (n > 1 && directory[n - 1] == '/')
                n--;
        while (m > 0 && prefix[m - 1] == '/')
                m--;
        note(k,
             asprintf_safe(ret, "%.*s%s%.*s", (int) n, strempty(directory),
                           n > 0 && directory[n - 1] != '/' ? "/" : "", (int) m, prefix));
}

/* --- Directories ------------------------------------------------------------------------------------ */

static void reach_files(Kit *k, const KitTarget *t, const char *prefix, KitReach *ret) {
        _cleanup_(freep) char *directory = NULL, *fallback = NULL;
        bool relay = streq(t->row->type, "relay");
        const json_t *named = json_object_get(t->config, relay ? "directory" : "path");

        if (named)
                note(k, json_to_path(named, &directory));
        else
                note(k, asprintf_safe(&fallback, "%s/" FILE_RELAY "/%" PRIu64, k->info->state, t->row->id));
        join(k, directory ? directory : fallback, prefix, &ret->place);
        note(k, free_and_strdup(&ret->repository, ret->place));
        ret->fetch = "cat";
        ret->list = "ls";
        if (relay)
                kit_say(k,
                        "This directory is on the master itself. Where its disk is lost, so is what lies "
                        "here;");
        else
                kit_say(k,
                        "This directory is on the machine of the node, or on a disk that was mounted "
                        "there.");
        kit_say(k, "%s",
                relay ? "where it was saved, change the path below to where it is now." :
                        "Where it is elsewhere now, change the path below.");
}

/* --- Through rclone --------------------------------------------------------------------------------- */

static void reach_rclone(Kit *k, const KitTarget *t, const char *directory, const char *prefix,
                         KitReach *ret) {
        _cleanup_(freep) char *path = NULL;

        join(k, directory, prefix, &path);
        note(k, asprintf_safe(&ret->place, "bx%" PRIu64 ":%s", t->row->id, strempty(path)));
        if (!ret->repository)
                note(k, asprintf_safe(&ret->repository, "rclone:%s", strempty(ret->place)));
        ret->fetch = "rclone cat";
        ret->list = "rclone lsf";
}

/* Rclone of Debian 12 takes the kind of key that the server likes best, whatever kinds are known: with the
 * pinned one alone it would refuse the server. */
static void pin_host(Kit *k, const KitTarget *t, const char *host, unsigned port) {
        _cleanup_(freep) char *server = kit_quote(k, host), *key = kit_quote(k, config(t, "host_key"));
        char file[32];

        if (!config(t, "host_key"))
                return;
        (void) snprintf(file, sizeof(file), "bx%" PRIu64 ".known_hosts", t->row->id);
        kit_say(k,
                "The line with ssh-keygen has to print the server's key that was pinned. Where it prints "
                "nothing,");
        kit_say(k, "another server answers: stop there.");
        kit_run(k, "ssh-keyscan -p %u %s 2>/dev/null > %s", port, strempty(server), file);
        kit_run(k, "ssh-keygen -lf %s | grep -F %s", file, strempty(key));
        set(k, t, "KNOWN_HOSTS_FILE", file);
}

static void reach_sftp(Kit *k, const KitTarget *t, const char *prefix, KitReach *ret) {
        const char *key = secret(t, "private_key");
        json_int_t given = json_integer_value(json_object_get(t->config, "port"));
        unsigned port = given > 0 && given < 65536 ? (unsigned) given : 22;
        char text[32];

        set(k, t, "TYPE", "sftp");
        set(k, t, "HOST", config(t, "host"));
        (void) snprintf(text, sizeof(text), "%u", port);
        set(k, t, "PORT", text);
        set(k, t, "USER", config(t, "user"));
        pin_host(k, t, config(t, "host"), port);
        if (key) {
                (void) snprintf(text, sizeof(text), "bx%" PRIu64 ".ssh", t->row->id);
                kit_file(k, text, key);
                set(k, t, "KEY_FILE", text);
                set_obscured(k, t, "KEY_FILE_PASS", secret(t, "passphrase"));
        }
        set_obscured(k, t, "PASS", secret(t, "password"));
        reach_rclone(k, t, config(t, "path"), prefix, ret);
}

static void say_pin(Kit *k, const KitTarget *t) {
        if (!config(t, "pin"))
                return;
        kit_say(k, "The server's key was pinned (%s), which rclone cannot do: where its certificate is not",
                config(t, "pin"));
        kit_say(k, "from a known authority, save it to a file and set RCLONE_CA_CERT to that.");
}

static void reach_ftp(Kit *k, const KitTarget *t, const char *prefix, KitReach *ret) {
        json_int_t port = json_integer_value(json_object_get(t->config, "port"));
        const char *tls = config(t, "tls");
        char text[32];

        set(k, t, "TYPE", "ftp");
        set(k, t, "HOST", config(t, "host"));
        (void) snprintf(text, sizeof(text), "%u", (unsigned) port);
        set(k, t, "PORT", port > 0 ? text : NULL);
        set(k, t, "USER", config(t, "user"));
        set(k, t, "EXPLICIT_TLS", !tls || streq(tls, "explicit") ? "true" : NULL);
        set(k, t, "TLS", tls && streq(tls, "implicit") ? "true" : NULL);
        set_obscured(k, t, "PASS", secret(t, "password"));
        /* Of Debian 12, rclone reads nothing else for FTP. */
        kit_export(k, "SSL_CERT_FILE", config(t, "ca_cert"));
        say_pin(k, t);
        reach_rclone(k, t, config(t, "path"), prefix, ret);
}

static void reach_webdav(Kit *k, const KitTarget *t, const char *prefix, KitReach *ret) {
        set(k, t, "TYPE", "webdav");
        set(k, t, "URL", config(t, "url"));
        set(k, t, "VENDOR", "other");
        set(k, t, "USER", config(t, "user"));
        set_obscured(k, t, "PASS", secret(t, "password"));
        set(k, t, "BEARER_TOKEN", secret(t, "token"));
        kit_export(k, "RCLONE_CA_CERT", config(t, "ca_cert"));
        kit_export(k, "HTTPS_PROXY", config(t, "proxy"));
        say_pin(k, t);
        reach_rclone(k, t, "", prefix, ret);
}

/* An option of rclone's own, under its own name. */
static void set_option(Kit *k, const KitTarget *t, const char *option, const char *value, bool is_secret) {
        char name[RCLONE_NAME_MAX + 1];
        size_t n = strlen(option);

        if (n > RCLONE_NAME_MAX || rclone_name_complaint(option))
                return;
        for (size_t i = 0; i <= n; i++)
                name[i] = (char) toupper((unsigned char) option[i]);
        if (is_secret && rclone_name_is_password(option))
                set_obscured(k, t, name, value);
        else
                set(k, t, name, value);
}

static void reach_backend(Kit *k, const KitTarget *t, const char *prefix, KitReach *ret) {
        const char *directory = rclone_directory(t->row->type, t->config), *name;
        json_t *value;

        if (directory)
                kit_say(k,
                        "It is a directory of the machine of the node. Where it is elsewhere now, change "
                        "its path below.");
        set(k, t, "TYPE", rclone_type_backend(t->row->type));
        json_object_foreach(t->config, name, value) {
                if (!streq(name, "path"))
                        set_option(k, t, name, json_string_value(value), /* is_secret= */ false);
        }
        json_object_foreach(t->secrets, name, value) {
                set_option(k, t, name, json_string_value(value), /* is_secret= */ true);
        }
        reach_rclone(k, t, config(t, "path"), prefix, ret);
}

/* --- Azure ------------------------------------------------------------------------------------------ */

/* Rclone of Debian 12 wants the host without the account in front: "blob.core.windows.net". */
static void azure_endpoint(Kit *k, const KitTarget *t, const char *account) {
        const char *endpoint = config(t, "endpoint"), *host, *rest;

        if (!endpoint)
                return;
        host = startswith(endpoint, "https://");
        rest = host ? startswith(host, account) : NULL;
        if (rest && rest[0] == '.' && !strchr(rest, '/'))
                set(k, t, "ENDPOINT", rest + 1);
        else
                kit_say(k,
                        "The account is at %s, which rclone of Debian 12 does not reach: take a later "
                        "one, and set its option endpoint to that.",
                        endpoint);
}

static void reach_azure(Kit *k, const KitTarget *t, const char *prefix, KitReach *ret) {
        const char *account = strempty(config(t, "account")), *sas = secret(t, "sas_token");
        _cleanup_(erase_and_freep) char *url = NULL;
        _cleanup_(freep) char *place = NULL;

        set(k, t, "TYPE", "azureblob");
        set(k, t, "ACCOUNT", sas ? NULL : account);
        set(k, t, "KEY", secret(t, "account_key"));
        if (sas) {
                note(k,
                     config(t, "endpoint") ?
                                     asprintf_safe(&url, "%s/%s?%s", config(t, "endpoint"),
                                                   strempty(config(t, "container")), sas) :
                                     asprintf_safe(&url, "https://%s.blob.core.windows.net/%s?%s", account,
                                                   strempty(config(t, "container")), sas));
                set(k, t, "SAS_URL", url);
        } else
                azure_endpoint(k, t, account);
        kit_export(k, "HTTPS_PROXY", config(t, "proxy"));
        kit_export(k, "RCLONE_CA_CERT", config(t, "ca_cert"));
        join(k, config(t, "container"), strempty(config(t, "prefix")), &place);
        reach_rclone(k, t, place, prefix, ret);
}

/* --- S3 --------------------------------------------------------------------------------------------- */

static void s3_endpoint(Kit *k, const KitTarget *t, const S3Preset *preset, char **ret) {
        const char *pattern = preset ? preset->endpoint : NULL,
                   *open = pattern ? strchr(pattern, '{') : NULL;
        const char *value;

        if (config(t, "endpoint") || !open) {
                note(k, free_and_strdup(ret, config(t, "endpoint") ? config(t, "endpoint") : pattern));
                return;
        }
        value = config(t, startswith(open, "{account}") ? "account" : "region");
        note(k,
             asprintf_safe(ret, "%.*s%s%s", (int) (open - pattern), pattern, strempty(value),
                           strchr(open, '}') + 1));
}

static void s3_restic(Kit *k, const KitTarget *t, const char *place, bool path_style, KitReach *ret) {
        _cleanup_(freep) char *ca = config(t, "ca_cert") ? kit_quote(k, config(t, "ca_cert")) : NULL;

        note(k, asprintf_safe(&ret->repository, "s3:%s", place));
        note(k,
             asprintf_safe(&ret->options, " -o s3.bucket-lookup=%s%s%s", path_style ? "path" : "dns",
                           ca ? " --cacert " : "", strempty(ca)));
}

static void reach_s3(Kit *k, const KitTarget *t, const char *prefix, KitReach *ret) {
        const S3Preset *preset = s3_preset_find(config(t, "preset"));
        const char *region = config(t, "region");
        const json_t *choice = json_object_get(t->config, "path_style");
        bool path_style = json_is_boolean(choice) ? json_is_true(choice) : preset && preset->path_style;
        _cleanup_(freep) char *endpoint = NULL, *bucket = NULL, *place = NULL;

        s3_endpoint(k, t, preset, &endpoint);
        region = region ? region : preset ? preset->region :
                                            NULL;
        kit_export(k, "AWS_ACCESS_KEY_ID", config(t, "access_key"));
        kit_export(k, "AWS_SECRET_ACCESS_KEY", secret(t, "secret_key"));
        kit_export(k, "AWS_SESSION_TOKEN", secret(t, "session_token"));
        kit_export(k, "AWS_DEFAULT_REGION", region);
        kit_export(k, "HTTPS_PROXY", config(t, "proxy"));
        kit_export(k, "RCLONE_CA_CERT", config(t, "ca_cert"));
        set(k, t, "TYPE", "s3");
        set(k, t, "PROVIDER", startswith(strempty(config(t, "preset")), "aws") ? "AWS" : "Other");
        set(k, t, "ENDPOINT", endpoint);
        set(k, t, "REGION", region);
        set(k, t, "ACCESS_KEY_ID", config(t, "access_key"));
        set(k, t, "SECRET_ACCESS_KEY", secret(t, "secret_key"));
        set(k, t, "SESSION_TOKEN", secret(t, "session_token"));
        set(k, t, "FORCE_PATH_STYLE", path_style ? "true" : "false");
        join(k, config(t, "bucket"), strempty(config(t, "prefix")), &bucket);
        join(k, bucket, prefix, &place);
        if (secret(t, "sse_customer_key")) {
                set(k, t, "SSE_CUSTOMER_ALGORITHM", "AES256");
                set(k, t, "SSE_CUSTOMER_KEY_BASE64", secret(t, "sse_customer_key"));
                kit_say(k,
                        "The server holds this under a key of the customer: rclone 1.61 or later is "
                        "needed.");
        } else {
                _cleanup_(freep) char *url = NULL;

                join(k, endpoint, strempty(place), &url);
                s3_restic(k, t, strempty(url), path_style, ret);
        }
        reach_rclone(k, t, "", strempty(place), ret);
}

/* --- All of them ------------------------------------------------------------------------------------ */

void kit_target_reach(Kit *k, const KitTarget *t, const char *prefix, KitReach *ret) {
        static const struct {
                const char *type;
                void (*reach)(Kit *k, const KitTarget *t, const char *prefix, KitReach *ret);
        } types[] = {
                { "azure", reach_azure },
                { "local", reach_files },
                { "relay", reach_files },
                { "s3", reach_s3 },
                { "ftp", reach_ftp },
                { "sftp", reach_sftp },
                { "webdav", reach_webdav },
        };

        assert(k);
        assert(t && t->row);
        assert(prefix);
        assert(ret);

        for (size_t i = 0; t->config && i < ELEMENTSOF(types); i++)
                if (streq_ptr(types[i].type, t->row->type))
                        types[i].reach(k, t, prefix, ret);
        if (t->config && rclone_type_backend(t->row->type))
                reach_backend(k, t, prefix, ret);
        if (!ret->fetch) {
                kit_say(k,
                        "Bring what lies under %s of this target to a directory of this machine with a "
                        "tool that",
                        prefix);
                kit_say(k,
                        "reaches it (its settings and secrets are in section 2), and change the path below "
                        "to it.");
                ret->fetch = "cat";
                ret->list = "ls";
                join(k, ".", prefix, &ret->place);
                note(k, free_and_strdup(&ret->repository, ret->place));
        }
        if (!ret->options)
                note(k, free_and_strdup(&ret->options, ""));
}

static void describe(Kit *k, const json_t *object, const char *what) {
        const char *name;
        json_t *value;

        json_object_foreach((json_t *) object, name, value) {
                _cleanup_(erase_and_freep) char *text = json_dumps(value, JSON_ENCODE_ANY);

                if (!text)
                        note(k, -ENOMEM);
                else
                        kit_say(k, "- %s %s: %s", what, name, text);
        }
}

void kit_target_describe(Kit *k, const KitTarget *t) {
        _cleanup_(freep) char *name = NULL;

        assert(t && t->row);

        name = kit_name(k, t->row->name);
        kit_say(k, "### 2.%" PRIu64 " Target %s, type %s", t->row->id, strempty(name),
                strempty(t->row->type));
        kit_say(k, "%s", "");
        describe(k, t->config, "setting");
        describe(k, t->secrets, "secret");
        if (t->row->sealed && !t->secrets)
                kit_say(k,
                        "ITS SECRETS COULD NOT BE OPENED with the master's key. Note them down elsewhere.");
        kit_say(k, "%s", "");
}
