/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/text.h"
#include "wire/path.h"
#include "wire/rclone-options.h"

static const char name_letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_";

/* --- The description ----------------------------------------------------------------------------------- */

static void option_done(RcloneOption *o) {
        assert(o);

        free(o->name);
        free(o->help);
        free(o->standard);
        free(o->provider);
        strv_free(o->choices);
}

void rclone_description_done(RcloneDescription *d) {
        assert(d);

        for (size_t i = 0; i < d->n; i++) {
                RcloneBackend *b = d->backends + i;

                for (size_t k = 0; k < b->n_options; k++)
                        option_done(b->options + k);
                free(b->options);
                free(b->name);
                free(b->title);
                free(b->about);
        }
        free(d->backends);
        *d = (RcloneDescription){};
}

static void read_text(JsonReader *r, const char *key, size_t max, char **ret) {
        const char *text = "";

        (void) json_reader_string(r, key, JSON_OPTIONAL, max, &text);
        if (free_and_strdup(ret, text) < 0)
                (void) json_reader_fail(r, key, "is too much");
}

/* What people must not see, beside passwords: rclone does not say it of all of them. */
static bool name_is_secret(const char *name) {
        static const char *const ends[] = { "token", "secret", "password", "pass", "passphrase", "api_key",
                                            "access_key", "_pem", "credentials", "sas_url" };

        for (size_t i = 0; i < ELEMENTSOF(ends); i++)
                if (endswith(name, ends[i]))
                        return true;
        return streq(name, "key") || strstr(name, "customer_key");
}

static void read_choice(JsonReader *row, void *item) {
        read_text(row, "Value", RCLONE_VALUE_MAX, item);
}

static void read_choices(JsonReader *r, RcloneOption *o) {
        static const JsonRows rows = { RCLONE_CHOICES_MAX, sizeof(char *), read_choice };
        char **values = NULL;
        size_t n = 0;

        (void) json_reader_rows(r, "Examples", JSON_OPTIONAL, &rows, &values, &n);
        for (size_t i = 0; i < n; i++) {
                if (values[i] && strv_extend(&o->choices, values[i]) < 0)
                        (void) json_reader_fail(r, "Examples", "are too many");
                free(values[i]);
        }
        free(values);
}

static RcloneKind kind_of(const char *type) {
        if (streq(type, "bool"))
                return RCLONE_SWITCH;
        return streq(type, "int") ? RCLONE_NUMBER : RCLONE_TEXT;
}

static void read_option(JsonReader *row, void *item) {
        RcloneOption *o = item;
        const char *type = "";

        read_text(row, "Name", RCLONE_NAME_MAX, &o->name);
        read_text(row, "Help", RCLONE_HELP_MAX, &o->help);
        read_text(row, "DefaultStr", RCLONE_VALUE_MAX, &o->standard);
        read_text(row, "Provider", RCLONE_VALUE_MAX, &o->provider);
        (void) json_reader_string(row, "Type", JSON_OPTIONAL, RCLONE_NAME_MAX, &type);
        o->kind = kind_of(type);
        (void) json_reader_bool(row, "Exclusive", JSON_OPTIONAL, &o->is_exclusive);
        (void) json_reader_bool(row, "Required", JSON_OPTIONAL, &o->is_required);
        (void) json_reader_bool(row, "Advanced", JSON_OPTIONAL, &o->is_advanced);
        (void) json_reader_bool(row, "IsPassword", JSON_OPTIONAL, &o->is_password);
        (void) json_reader_bool(row, "Sensitive", JSON_OPTIONAL, &o->is_secret);
        read_choices(row, o);
        if (o->name)
                o->is_secret = o->is_secret || o->is_password || name_is_secret(o->name);
        (void) !json_reader_finish_lenient(row);
}

static void read_backend(JsonReader *row, void *item) {
        static const JsonRows rows = { RCLONE_OPTIONS_MAX, sizeof(RcloneOption), read_option };
        RcloneBackend *b = item;

        read_text(row, "Prefix", RCLONE_NAME_MAX, &b->name);
        read_text(row, "Name", RCLONE_NAME_MAX, &b->title);
        read_text(row, "Description", RCLONE_HELP_MAX, &b->about);
        (void) json_reader_rows(row, "Options", JSON_OPTIONAL, &rows, &b->options, &b->n_options);
        (void) !json_reader_finish_lenient(row);
}

int rclone_description_parse(const void *data, size_t n, RcloneDescription *ret, Failure *reterr_failure) {
        static const JsonRows rows = { RCLONE_BACKENDS_MAX, sizeof(RcloneBackend), read_backend };
        _cleanup_(rclone_description_done) RcloneDescription d = {};
        _cleanup_json_ json_t *list = NULL, *whole = json_object();
        JsonReader reader;
        int r;

        assert(ret);

        if (n > RCLONE_DESCRIPTION_MAX)
                return failure_set(reterr_failure, -EBADMSG, "JSON_INVALID",
                                   "The description of rclone is larger than %u bytes.",
                                   RCLONE_DESCRIPTION_MAX);
        r = json_parse_strict(data, n, JSON_DEPTH_DEFAULT, &list, reterr_failure);
        if (r >= 0)
                r = json_set(whole, "backends", TAKE_PTR(list));
        if (r < 0)
                return r;
        (void) json_reader_init(&reader, whole, reterr_failure);
        (void) json_reader_rows(&reader, "backends", JSON_REQUIRED, &rows, &d.backends, &d.n);
        r = json_reader_finish(&reader);
        if (r < 0)
                return r;
        *ret = d;
        d = (RcloneDescription){};
        return 0;
}

const RcloneBackend *rclone_backend_find(const RcloneDescription *d, const char *name) {
        assert(d);

        for (size_t i = 0; i < d->n; i++)
                if (streq_ptr(d->backends[i].name, name))
                        return d->backends + i;
        return NULL;
}

const RcloneOption *rclone_option_find(const RcloneBackend *b, const char *name) {
        assert(b);

        for (size_t i = 0; i < b->n_options; i++)
                if (streq_ptr(b->options[i].name, name))
                        return b->options + i;
        return NULL;
}

/* --- By form ------------------------------------------------------------------------------------------- */

bool rclone_backend_name_is_valid(const char *name) {
        size_t n = strlen(name);

        return n > 0 && n <= RCLONE_NAME_MAX && strspn(name, name_letters) == n;
}

const char *rclone_type_backend(const char *type) {
        const char *name = type ? startswith(type, RCLONE_TYPE_PREFIX) : NULL;

        return name && rclone_backend_name_is_valid(name) ? name : NULL;
}

const char *rclone_name_complaint(const char *name) {
        size_t n;

        assert(name);

        n = strlen(name);
        if (n == 0 || n > RCLONE_NAME_MAX || strspn(name, name_letters) != n || streq(name, "type"))
                return "is not the name of an option";
        /* They would let whoever may configure targets run programs on nodes. */
        if (endswith(name, "command") || streq(name, "ssh"))
                return "is a command, which targets cannot have";
        if (streq(name, "remotes") || streq(name, "upstreams"))
                return "names other remotes, which targets do not have";
        return NULL;
}

bool rclone_name_is_password(const char *name) {
        static const char *const others[] = { "library_key", "password2", "secret" };

        assert(name);

        for (size_t i = 0; i < ELEMENTSOF(others); i++)
                if (streq(name, others[i]))
                        return true;
        if (streq(name, "ask_password") || streq(name, "link_password"))
                return false;
        return endswith(name, "password") || endswith(name, "pass");
}

static const char *text_complaint(const char *text) {
        for (const char *p = text; *p; p++)
                if ((unsigned char) *p < ' ' || *p == 127)
                        return "has a control character in it";
        return utf8_is_valid(text, strlen(text)) ? NULL : "is not UTF-8";
}

const char *rclone_value_complaint(const char *name, const char *value) {
        assert(name);
        assert(value);

        if (value[0] == ':')
                return "begins with a ':', as a connection string does; options have fields of their own";
        if (streq(name, "remote") && (!path_is_normalized_absolute(value) || streq(value, "/")))
                return "is not a directory of the node: an absolute path without '.' and '..'";
        if (name_is_secret(name))
                return "belongs to the secrets";
        return text_complaint(value);
}

const char *rclone_path_complaint(const char *path) {
        assert(path);

        if (path[0] == ':')
                return "begins with a ':', as a connection string does; options have fields of their own";
        if (path[0] == '-')
                return "begins with a '-'";
        for (const char *p = path[0] == '/' ? path + 1 : path; *p;) {
                size_t n = strcspn(p, "/");

                if (n == 0 || strncmp(p, "..", MAX(n, (size_t) 1)) == 0)
                        return "has an empty part, a '.' or a '..'";
                p += n;
                p += *p == '/';
        }
        return text_complaint(path);
}

const char *rclone_directory(const char *type, const json_t *config) {
        const char *backend = rclone_type_backend(type);

        if (!backend)
                return NULL;
        return json_string_value(json_object_get(config, streq(backend, "local") ? "path" : "remote"));
}

/* --- For forms ----------------------------------------------------------------------------------------- */

static const char *const kind_names[] = {
        [RCLONE_TEXT] = "text",
        [RCLONE_NUMBER] = "number",
        [RCLONE_SWITCH] = "switch",
};

static int option_build(const RcloneOption *o, json_t **ret) {
        _cleanup_json_ json_t *json = json_object();

        assert(o);

        if (json_set(json, "name", json_from_string(o->name)) < 0 ||
            json_set(json, "help", json_from_string(o->help)) < 0 ||
            json_set(json, "kind", json_string(kind_names[o->kind])) < 0 ||
            json_set(json, "default", json_from_string(o->standard)) < 0 ||
            json_set(json, "providers", json_from_string(o->provider)) < 0 ||
            json_set(json, "choices", json_from_strv(o->choices)) < 0 ||
            json_set(json, "exclusive", json_boolean(o->is_exclusive)) < 0 ||
            json_set(json, "required", json_boolean(o->is_required)) < 0 ||
            json_set(json, "advanced", json_boolean(o->is_advanced)) < 0 ||
            json_set(json, "secret", json_boolean(o->is_secret)) < 0)
                return -ENOMEM;
        *ret = TAKE_PTR(json);
        return 0;
}

int rclone_backend_build(const RcloneBackend *b, bool is_whole, json_t **ret) {
        _cleanup_json_ json_t *json = json_object(), *options = json_array();

        assert(b);
        assert(ret);

        if (json_set(json, "name", json_from_string(b->name)) < 0 ||
            json_set(json, "title", json_from_string(b->title)) < 0 ||
            json_set(json, "about", json_from_string(b->about)) < 0)
                return -ENOMEM;
        for (size_t i = 0; is_whole && i < b->n_options; i++) {
                json_t *option = NULL;
                int r;

                /* What a target cannot have is no field of a form. */
                if (rclone_name_complaint(strempty(b->options[i].name)))
                        continue;
                r = option_build(b->options + i, &option);
                if (r >= 0)
                        r = json_append(options, option);
                if (r < 0)
                        return r;
        }
        if (is_whole && json_set(json, "options", TAKE_PTR(options)) < 0)
                return -ENOMEM;
        *ret = TAKE_PTR(json);
        return 0;
}

/* --- By the description -------------------------------------------------------------------------------- */

static int refuse(Failure *f, const char *where, const char *name, const char *why) {
        _cleanup_(freep) char *field = NULL;

        if (asprintf_safe(&field, "%s.%s", where, name) < 0)
                return -ENOMEM;
        return failure_set_field(f, -EINVAL, "FIELD_INVALID", field, "The field '%s' %s.", field, why);
}

/* Whether an option is for this provider: "A,B" of these, "!A,B" of all others. */
static bool is_for(const RcloneOption *o, const char *provider) {
        bool is_not = o->provider && o->provider[0] == '!', found = false;
        size_t n = strlen(provider);

        if (isempty(o->provider))
                return true;
        for (const char *p = o->provider + is_not; *p; p += strcspn(p, ","), p += *p == ',')
                found = found || (strcspn(p, ",") == n && strncmp(p, provider, n) == 0);
        return found != is_not;
}

static const char *provider_of(const json_t *config) {
        return strempty(json_string_value(json_object_get(config, "provider")));
}

/* The choices of all options of that name that are for this provider. */
static bool is_choice(const RcloneBackend *b, const char *name, const char *value, const char *provider) {
        bool is_free = false;

        assert(b);

        for (size_t i = 0; i < b->n_options; i++) {
                const RcloneOption *o = b->options + i;

                if (!streq_ptr(o->name, name) || !is_for(o, provider))
                        continue;
                if (!o->is_exclusive || strv_contains(o->choices, value))
                        return true;
                is_free = is_free || !o->choices;
        }
        return is_free;
}

static int check_value(const RcloneBackend *b, const json_t *config, const char *name, const json_t *value,
                       Failure *f) {
        const RcloneOption *o = rclone_option_find(b, name);
        const char *text = json_string_value(value), *why;
        uint64_t number;
        bool on;

        why = rclone_name_complaint(name);
        if (why || !o)
                return refuse(f, "config", name, why ?: "is no option of this backend of rclone");
        if (o->is_secret)
                return refuse(f, "config", name, "belongs to the secrets");
        if (!text || json_string_length(value) > RCLONE_VALUE_MAX)
                return refuse(f, "config", name, "is not a text of at most 4096 bytes");
        why = rclone_value_complaint(name, text);
        if (!why && o->kind == RCLONE_SWITCH && parse_boolean(text, &on) < 0)
                why = "is not true or false";
        if (!why && o->kind == RCLONE_NUMBER &&
            parse_u64(text[0] == '-' ? text + 1 : text, 0, INT64_MAX, &number) < 0)
                why = "is not a whole number";
        if (!why && !is_choice(b, name, text, provider_of(config)))
                why = "has a value that this rclone does not know";
        return why ? refuse(f, "config", name, why) : 0;
}

static bool is_own(const char *name) {
        return streq(name, "path") || streq(name, "read_back");
}

int rclone_options_check(const RcloneBackend *b, const json_t *config, const json_t *secrets,
                         Failure *reterr_failure) {
        const char *name;
        json_t *value;

        assert(b);

        json_object_foreach((json_t *) config, name, value) {
                int r = is_own(name) ? 0 : check_value(b, config, name, value, reterr_failure);

                if (r < 0)
                        return r;
        }
        json_object_foreach((json_t *) secrets, name, value) {
                const char *why = rclone_name_complaint(name);

                if (why || !rclone_option_find(b, name))
                        return refuse(reterr_failure, "secrets", name,
                                      why ?: "is no option of this backend of rclone");
                if (!json_is_string(value))
                        return refuse(reterr_failure, "secrets", name, "is not a text");
        }
        for (size_t i = 0; i < b->n_options; i++) {
                const RcloneOption *o = b->options + i;

                if (!o->is_required || !isempty(o->standard) || !is_for(o, provider_of(config)) ||
                    json_object_get(config, o->name) || json_object_get(secrets, o->name))
                        continue;
                return refuse(reterr_failure, o->is_secret ? "secrets" : "config", o->name, "is missing");
        }
        return 0;
}
