/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/settings.h"
#include "wire/json.h"

#define FILE_MAX (64U << 10)
#define TEXT_MAX 4096

void settings_done(Settings *s) {
        assert(s);

        free(s->server);
        erase_and_free(s->token);
        free(s->ca_cert);
        free(s->pin);
        *s = SETTINGS_NULL;
}

int settings_folder(char **ret) {
        const char *folder = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

        assert(ret);

        if (folder && folder[0] == '/')
                return asprintf_safe(ret, "%s/backupx", folder);
        if (home && home[0] == '/')
                return asprintf_safe(ret, "%s/.config/backupx", home);
        return -ENXIO;
}

static int settings_path(char **ret) {
        _cleanup_(freep) char *folder = NULL;
        int r;

        r = settings_folder(&folder);
        if (r < 0)
                return r;
        return asprintf_safe(ret, "%s/session.json", folder);
}

static int parse(const char *data, size_t n, Settings *s, Failure *reterr_failure) {
        _cleanup_json_ json_t *json = NULL;
        JsonReader reader;
        int r;

        assert(s);

        r = json_parse_strict(data, n, JSON_DEPTH_DEFAULT, &json, reterr_failure);
        if (r < 0)
                return r;
        (void) json_reader_init(&reader, json, reterr_failure);
        (void) json_reader_strdup(&reader, "server", JSON_OPTIONAL, TEXT_MAX, &s->server);
        (void) json_reader_strdup(&reader, "token", JSON_OPTIONAL, TEXT_MAX, &s->token);
        (void) json_reader_strdup(&reader, "ca_cert", JSON_OPTIONAL, TEXT_MAX, &s->ca_cert);
        (void) json_reader_strdup(&reader, "pin", JSON_OPTIONAL, TEXT_MAX, &s->pin);
        return json_reader_finish_lenient(&reader);
}

int settings_load(Settings *ret, Failure *reterr_failure) {
        _cleanup_(settings_done) Settings s = SETTINGS_NULL;
        _cleanup_(failure_done) Failure why = FAILURE_NULL;
        _cleanup_(erase_and_freep) char *data = NULL;
        _cleanup_(freep) char *path = NULL;
        size_t n = 0;
        int r;

        assert(ret);

        r = settings_path(&path);
        if (r >= 0)
                r = read_file(AT_FDCWD, path, FILE_MAX, &data, &n);
        if (r == -ENOENT || r == -ENXIO)
                return 0;
        if (r >= 0)
                r = parse(data, n, &s, &why);
        if (r < 0)
                return failure_set(reterr_failure, r, "SETTINGS",
                                   "The session in %s cannot be read: %s. Log in again: backupx login", path,
                                   failure_message(&why, r));
        *ret = s;
        s = SETTINGS_NULL;
        return 0;
}

static int format(const Settings *s, char **ret, size_t *ret_size) {
        _cleanup_json_ json_t *json = json_object();
        int r;

        assert(s);

        if (!json)
                return -ENOMEM;
        r = json_set(json, "server", json_from_string(s->server));
        if (r < 0)
                return r;
        r = json_set(json, "token", json_from_string(s->token));
        if (r < 0)
                return r;
        r = json_set(json, "ca_cert", json_from_string(s->ca_cert));
        if (r < 0)
                return r;
        r = json_set(json, "pin", json_from_string(s->pin));
        if (r < 0)
                return r;
        return json_format(json, ret, ret_size);
}

int settings_save(const Settings *s, Failure *reterr_failure) {
        _cleanup_(freep) char *folder = NULL, *path = NULL;
        _cleanup_(erase_and_freep) char *text = NULL;
        size_t n = 0;
        int r;

        assert(s);

        r = settings_folder(&folder);
        if (r >= 0)
                r = mkdir_p(folder, 0700);
        if (r >= 0)
                r = settings_path(&path);
        if (r >= 0)
                r = format(s, &text, &n);
        if (r >= 0)
                r = write_file_atomic(AT_FDCWD, path, text, n, 0600);
        if (r < 0)
                return failure_set(reterr_failure, r, "SETTINGS", "The session cannot be kept in %s: %m",
                                   path ? path : "~/.config/backupx");
        return 0;
}

int settings_forget(Failure *reterr_failure) {
        _cleanup_(settings_done) Settings s = SETTINGS_NULL;
        int r;

        r = settings_load(&s, reterr_failure);
        if (r < 0)
                return r;
        if (!s.token)
                return 0;
        s.token = erase_and_free(s.token);
        return settings_save(&s, reterr_failure);
}

int settings_read_token(const char *path, char **ret, Failure *reterr_failure) {
        _cleanup_(erase_and_freep) char *data = NULL;
        int r;

        assert(path);
        assert(ret);

        r = read_file(AT_FDCWD, path, TEXT_MAX, &data, NULL);
        if (r < 0)
                return failure_set(reterr_failure, r, "TOKEN_FILE", "The token file '%s' cannot be read: %m",
                                   path);
        data[strcspn(data, "\r\n")] = 0;
        *ret = TAKE_PTR(data);
        return 0;
}
